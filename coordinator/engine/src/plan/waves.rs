//! The question: how many of a lane's hosts are in each wave?
//!
//! The rule: sizes are cumulative. A wave takes the next portions (single hosts, or whole groups, which are never cut) as
//! long as they fit into its size; where not even one fits it takes one all the same, or it would be empty. A wave that
//! the ones before it have used up has no hosts and is left out.
//!
//! Worked example: 4 groups of 3 hosts and waves of 1, 50 % and 100 %. The canary takes one group, though it has 3 hosts;
//! 50 % is 6 hosts, so one more group fits; the last wave takes the other two. With 45 % (5 hosts) the second wave takes
//! one group too: none fits, and one is the least.
//!
//! Edge cases: a ladder's steps go by the hosts of the lane, not by its groups.

use std::collections::BTreeMap;

use echelon_playbooks::model::{Amount, Wave, Waves};
use echelon_proto::WaveName;

use super::{HostPlan, WavePlan};

/// Cuts the lane's portions into waves.
pub(super) fn cut(waves: &Waves, portions: Vec<Vec<HostPlan>>) -> Vec<WavePlan> {
    let total = portions.iter().map(|portion| count(portion)).sum();
    let ladder;
    let waves = match waves {
        Waves::Listed(waves) => waves,
        Waves::Ladder { bake, gates } => {
            let rung = |(at, percent): (usize, &u8)| Wave {
                name: WaveName::new(format!("w{}", at + 1)).expect("a name"),
                size: Amount::Percent(*percent),
                bake: *bake,
                gates: gates.clone(),
            };
            ladder = rungs(total).iter().enumerate().map(rung).collect::<Vec<_>>();
            &ladder
        }
    };
    let mut portions = portions.into_iter().peekable();
    let mut plans = Vec::new();
    let mut taken = 0;
    for wave in waves {
        let upto = wave.size.of(total);
        let mut hosts = Vec::new();
        while let Some(portion) = portions.next_if(|portion| {
            let fits = taken + count(portion) <= upto;
            fits || (hosts.is_empty() && taken < upto)
        }) {
            taken += count(&portion);
            hosts.extend(portion);
        }
        if !hosts.is_empty() {
            plans.push(WavePlan {
                name: wave.name.clone(),
                bake: wave.bake,
                gates: wave.gates.clone(),
                hosts,
                arms: BTreeMap::new(),
            });
        }
    }
    plans
}

fn count(portion: &[HostPlan]) -> u32 {
    u32::try_from(portion.len()).unwrap_or(u32::MAX)
}

/// Edge's ladder: in percent, cumulative.
fn rungs(hosts: u32) -> &'static [u8] {
    match hosts {
        0..2 => &[100],
        2..4 => &[50, 100],
        4..8 => &[25, 50, 100],
        8.. => &[10, 25, 50, 100],
    }
}

#[cfg(test)]
mod tests {
    use echelon_proto::{HostId, Pool, Span, StateName};

    use super::*;

    fn portions(sizes: &[u32]) -> Vec<Vec<HostPlan>> {
        let host = |group: usize, n: u32| HostPlan {
            host: HostId::new(format!("h{group}-{n}")).unwrap(),
            pool: Pool::new("p").unwrap(),
            state: StateName::new("serving").unwrap(),
            release: None,
            phases: Vec::new(),
            group: None,
            stop_before_service: false,
        };
        let portion = |(group, size): (usize, &u32)| (0..*size).map(|n| host(group, n)).collect();
        sizes.iter().enumerate().map(portion).collect()
    }

    /// Hosts of each wave.
    fn sizes(waves: &[Amount], groups: &[u32]) -> Vec<usize> {
        let wave = |(at, size): (usize, &Amount)| Wave {
            name: WaveName::new(format!("w{at}")).unwrap(),
            size: *size,
            bake: Span::ZERO,
            gates: Vec::new(),
        };
        let waves = Waves::Listed(waves.iter().enumerate().map(wave).collect());
        cut(&waves, portions(groups))
            .iter()
            .map(|wave| wave.hosts.len())
            .collect()
    }

    const ALL: Amount = Amount::Percent(100);

    #[test]
    fn a_wave_takes_whole_groups_as_long_as_they_fit_and_at_least_one() {
        let one = Amount::Hosts(1);
        assert_eq!(sizes(&[one, Amount::Percent(50), ALL], &[3, 3, 3, 3]), [3, 3, 6]);
        assert_eq!(sizes(&[one, Amount::Percent(45), ALL], &[3, 3, 3, 3]), [3, 3, 6]);
        assert_eq!(sizes(&[Amount::Hosts(4), ALL], &[3, 1, 2]), [4, 2]);
        assert_eq!(sizes(&[Amount::Hosts(5), ALL], &[2, 4, 2]), [2, 6]);
    }

    #[test]
    fn a_wave_that_the_ones_before_it_have_used_up_is_left_out() {
        assert_eq!(sizes(&[Amount::Hosts(1), Amount::Hosts(2), ALL], &[3, 3]), [3, 3]);
        assert_eq!(
            sizes(&[Amount::Hosts(2), Amount::Percent(50), ALL], &[1, 1, 1, 1]),
            [2, 2]
        );
    }
}
