//! How much a seed tells, by the size of its fleet: with a hundred hosts more happens in each minute than with ten, and what
//! takes longest is to bring every rollout to its end. Deliberately nothing that is asked: that is the same for all sizes,
//! but for what `watch` says.

use echelon_proto::Span;

use crate::chance::Chance;

/// What is set by the number of hosts. Times are of the world's, in milliseconds, from and to.
#[derive(Debug)]
pub(crate) struct Size {
    /// How long the bad times last.
    lasts: (u64, u64),
    /// And in one seed of twelve: what takes long must be seen too.
    lasts_long: (u64, u64),
    /// Between two wishes of people.
    pub(crate) wish: (u64, u64),
    /// Of so many in a thousand rollouts a person wishes that they are for one datacenter.
    pub(crate) local: u32,
    /// When the world heals, people let so many go on that have not begun, and take back the others.
    pub(crate) queued: usize,
}

const MINUTE: u64 = 60_000;

/// Up to 25 hosts, up to 200, and beyond.
const SIZES: [(usize, Size); 3] = [
    (
        25,
        Size {
            lasts: (MINUTE, 12 * MINUTE),
            lasts_long: (12 * MINUTE, 45 * MINUTE),
            wish: (300, 25_000),
            local: 150,
            queued: usize::MAX,
        },
    ),
    (
        200,
        Size {
            lasts: (MINUTE / 3, 5 * MINUTE / 4),
            lasts_long: (5 * MINUTE / 4, 9 * MINUTE / 2),
            wish: (300, 6000),
            local: 400,
            queued: 0,
        },
    ),
    (
        usize::MAX,
        Size {
            lasts: (MINUTE / 2, MINUTE),
            lasts_long: (MINUTE, 4 * MINUTE),
            wish: (300, 5000),
            local: 900,
            queued: 0,
        },
    ),
];

impl Size {
    /// That of a fleet of so many hosts.
    pub(crate) fn of(hosts: usize) -> &'static Self {
        let fits = SIZES.iter().find(|(most, _)| hosts <= *most);
        fits.map_or(&SIZES[2].1, |(_, size)| size)
    }

    /// How long the bad times of a seed last.
    pub(crate) fn lasts(&self, chance: &mut Chance) -> Span {
        let (from, to) = if chance.permille(83) {
            self.lasts_long
        } else {
            self.lasts
        };
        Span(chance.between(from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bigger_fleet_has_shorter_bad_times_in_which_people_wish_more() {
        let [small, middle, big] = [12, 100, 2000].map(Size::of);
        for (less, more) in [(small, middle), (middle, big)] {
            assert!(more.lasts.1 < less.lasts.1 && more.lasts_long.1 < less.lasts_long.1);
            assert!(more.wish.1 < less.wish.1 && more.lasts.0 > 3 * more.wish.1);
        }
        assert!(Size::of(25).lasts == small.lasts && Size::of(26).lasts == middle.lasts);
    }
}
