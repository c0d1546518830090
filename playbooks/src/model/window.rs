//! The question: is it a good time to go on?
//!
//! The rule: a window is open from one time of day to another, on some days of the week, on the clocks of one time zone,
//! but for dates when it stays closed. Zones are those of the IANA database that this build has with it, whatever the
//! machine has.
//!
//! Worked example: `{ days: [mon, tue], from: "09:00", to: "16:00" }` in `Europe/Berlin` is open on Monday from 08:00 UTC in
//! winter and from 07:00 UTC in summer, both for seven hours.
//!
//! Edge cases: `from` is inside and `to` is not. A time of day that a change of clocks leaves out is the one as far after
//! the gap; one that comes twice is the first. A window past midnight is two: up to `24:00`, and from `00:00`.

use std::collections::BTreeSet;

use echelon_proto::Time;
use jiff::{
    Timestamp, ToSpan as _, Zoned,
    civil::{Date, Time as Clock, Weekday},
    tz::{TimeZone, TimeZoneDatabase},
};
use serde::{Deserialize, Serialize};

/// Days that are looked at for the next opening: more than a year, so that each date that is left out comes by.
const DAYS_MAX: usize = 800;
/// Of a day.
pub(crate) const MINUTES: u16 = 24 * 60;

/// When it is a good time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Any of these, at least one.
    pub open: Vec<Opening>,
    /// Dates when it stays closed all day, `2026-12-24`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub except: BTreeSet<Date>,
    /// Of the IANA database: `Europe/Berlin`.
    pub zone: String,
}

/// Hours on some days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// At least one.
    pub days: BTreeSet<Day>,
    /// Minute of the day, inside.
    pub from: u16,
    /// Minute of the day, outside; later than `from`, at most 1440.
    pub to: u16,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Day {
    pub(crate) const ALL: [(&'static str, Self); 7] = [
        ("mon", Self::Mon),
        ("tue", Self::Tue),
        ("wed", Self::Wed),
        ("thu", Self::Thu),
        ("fri", Self::Fri),
        ("sat", Self::Sat),
        ("sun", Self::Sun),
    ];

    /// `mon`
    pub(crate) fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, day)| *day == self)
            .map_or("", |(name, _)| name)
    }

    const fn of(day: Weekday) -> Self {
        match day {
            Weekday::Monday => Self::Mon,
            Weekday::Tuesday => Self::Tue,
            Weekday::Wednesday => Self::Wed,
            Weekday::Thursday => Self::Thu,
            Weekday::Friday => Self::Fri,
            Weekday::Saturday => Self::Sat,
            Weekday::Sunday => Self::Sun,
        }
    }
}

/// How a window is at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ajar {
    /// Until then.
    Open(Time),
    /// Until then; `None`: for the next two years at least, or for ever.
    Closed(Option<Time>),
}

/// The zone of this name in the database that this build has with it.
pub(crate) fn zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok()
}

/// Names of all zones of that database.
pub(crate) fn zones() -> Vec<String> {
    let names = TimeZoneDatabase::bundled();
    names.available().map(|name| name.as_str().to_owned()).collect()
}

impl Window {
    /// How it is at this time. A zone that this build does not know is closed for ever.
    #[must_use]
    pub fn at(&self, now: Time) -> Ajar {
        let Some((zone, zoned)) = self.clock(now) else {
            return Ajar::Closed(None);
        };
        let mut next = None;
        for date in zoned.date().series(1.day()).take(DAYS_MAX) {
            for (from, to) in self.hours(date, &zone) {
                if from <= now && now < to {
                    return Ajar::Open(to);
                }
                if from > now {
                    next = next.into_iter().chain([from]).min();
                }
            }
            // The hours of a later day begin later.
            if next.is_some() {
                break;
            }
        }
        Ajar::Closed(next)
    }

    /// A time on the clocks of its zone, for people: `Mon 2026-11-23 09:00 Europe/Berlin`.
    #[must_use]
    pub fn told(&self, at: Time) -> String {
        match self.clock(at) {
            Some((_, zoned)) => format!("{} {}", zoned.strftime("%a %F %H:%M"), self.zone),
            None => at.to_string(),
        }
    }

    fn clock(&self, at: Time) -> Option<(TimeZone, Zoned)> {
        let zone = zone(&self.zone)?;
        let stamp = Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()?;
        let zoned = stamp.to_zoned(zone.clone());
        Some((zone, zoned))
    }

    fn hours(&self, date: Date, zone: &TimeZone) -> impl Iterator<Item = (Time, Time)> {
        let day = Day::of(date.weekday());
        let open = !self.except.contains(&date);
        let of_day = self
            .open
            .iter()
            .filter(move |opening| open && opening.days.contains(&day));
        of_day.filter_map(move |opening| Some((moment(date, opening.from, zone)?, moment(date, opening.to, zone)?)))
    }
}

fn moment(date: Date, minute: u16, zone: &TimeZone) -> Option<Time> {
    let (date, minute) = match minute {
        MINUTES => (date.tomorrow().ok()?, 0),
        minute => (date, minute),
    };
    let clock = Clock::new(i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?, 0, 0).ok()?;
    let zoned = date.to_datetime(clock).to_zoned(zone.clone()).ok()?;
    Some(Time(u64::try_from(zoned.timestamp().as_millisecond()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Time {
        let stamp: Timestamp = text.parse().unwrap();
        Time(u64::try_from(stamp.as_millisecond()).unwrap())
    }

    fn window(zone: &str, openings: &[(&[Day], u16, u16)]) -> Window {
        Window {
            open: openings
                .iter()
                .map(|(days, from, to)| Opening {
                    days: days.iter().copied().collect(),
                    from: *from,
                    to: *to,
                })
                .collect(),
            except: ["2026-12-24".parse().unwrap()].into(),
            zone: zone.into(),
        }
    }

    const WEEK: &[Day] = &[Day::Mon, Day::Tue, Day::Wed, Day::Thu];

    #[test]
    fn it_is_open_on_its_days_between_its_times_on_the_clocks_of_its_zone() {
        let office = window(
            "Europe/Berlin",
            &[(WEEK, 9 * 60, 16 * 60), (&[Day::Fri], 9 * 60, 12 * 60)],
        );
        for (now, wanted) in [
            // Monday, winter: an hour ahead of UTC.
            (
                "2026-11-23T07:59:59.999Z",
                Ajar::Closed(Some(time("2026-11-23T08:00:00Z"))),
            ),
            ("2026-11-23T08:00:00Z", Ajar::Open(time("2026-11-23T15:00:00Z"))),
            ("2026-11-23T15:00:00Z", Ajar::Closed(Some(time("2026-11-24T08:00:00Z")))),
            // Summer: two.
            ("2026-07-06T07:00:00Z", Ajar::Open(time("2026-07-06T14:00:00Z"))),
            // Friday noon to Monday.
            ("2026-11-27T11:00:00Z", Ajar::Closed(Some(time("2026-11-30T08:00:00Z")))),
            // Christmas Eve is a Thursday.
            ("2026-12-23T15:30:00Z", Ajar::Closed(Some(time("2026-12-25T08:00:00Z")))),
        ] {
            assert_eq!(office.at(time(now)), wanted, "{now}");
        }
        assert_eq!(
            office.told(time("2026-11-23T08:00:00Z")),
            "Mon 2026-11-23 09:00 Europe/Berlin"
        );
    }

    #[test]
    fn a_change_of_clocks_moves_it_and_midnight_is_an_end() {
        // Clocks go from 02:00 to 03:00 on 2026-03-29, a Sunday, and back on 2026-10-25.
        let night = window("Europe/Berlin", &[(&[Day::Sun], 150, MINUTES)]);
        assert_eq!(
            night.at(time("2026-03-29T00:00:00Z")),
            Ajar::Closed(Some(time("2026-03-29T01:30:00Z"))),
            "02:30 is left out"
        );
        assert_eq!(
            night.at(time("2026-10-25T00:30:00Z")),
            Ajar::Open(time("2026-10-25T23:00:00Z")),
            "02:30 for the first time"
        );
    }

    #[test]
    fn one_that_never_opens_and_one_of_no_zone_are_closed_for_good() {
        let mut never = window("UTC", &[(&[Day::Mon], 0, MINUTES)]);
        never.open.clear();
        assert_eq!(never.at(time("2026-11-23T08:00:00Z")), Ajar::Closed(None));
        let nowhere = window("Europe/Atlantis", &[(&[Day::Mon], 0, MINUTES)]);
        assert_eq!(nowhere.at(time("2026-11-23T08:00:00Z")), Ajar::Closed(None));
    }

    #[test]
    fn every_zone_of_the_database_is_known() {
        let zones = zones();
        assert!(zones.len() > 300 && zones.iter().all(|name| zone(name).is_some()));
    }
}
