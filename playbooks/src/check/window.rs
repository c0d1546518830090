//! The hours of a window gate.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::{
    Lint,
    fields::{Shape, nearest},
    value::cut,
};
use crate::{
    fault::code,
    model::window,
    model::{Day, Opening, Window},
    text::tree::Node,
};

const OPENINGS_MAX: usize = 32;
const DATES_MAX: usize = 400;

pub(super) const WINDOW: Shape = Shape {
    what: "a window gate",
    required: &[
        ("kind", "kind: window"),
        (
            "open",
            "open: [{ days: [mon, tue, wed, thu], from: \"09:00\", to: \"16:00\" }]",
        ),
    ],
    optional: &["except", "zone"],
    later: &[],
    elsewhere: &[
        ("deadline", "a window gate waits until it opens"),
        ("on_fail", "a window gate cannot fail: it only waits"),
        ("on_expire", "a window gate cannot expire: it only waits"),
    ],
};

const OPENING: Shape = Shape {
    what: "hours of a window",
    required: &[("from", "from: \"09:00\""), ("to", "to: \"16:00\"")],
    optional: &["days"],
    later: &[],
    elsewhere: &[("zone", "the whole gate has one `zone`")],
};

pub(super) fn window(lint: &mut Lint<'_>, node: &Node) -> Option<Window> {
    let fields = lint.fields(node, &WINDOW)?;
    let open = fields.get("open").and_then(|node| {
        let items = lint.list(node, "`open` of a window", OPENINGS_MAX)?;
        if items.is_empty() {
            lint.fault(
                code::EMPTY,
                node.at,
                "a window that is never open",
                "give it hours, or take the gate away",
            );
            return None;
        }
        lint.each(items, opening)
    });
    let except = fields.or("except", BTreeSet::new(), |node| {
        let items = lint.list(node, "`except`", DATES_MAX)?;
        lint.twice(items, "`except`");
        Some(lint.each(items, date)?.into_iter().collect())
    });
    let zone = fields.or("zone", "UTC".to_owned(), |node| zone(lint, node));
    Some(Window {
        open: open?,
        except: except?,
        zone: zone?,
    })
}

fn opening(lint: &mut Lint<'_>, node: &Node) -> Option<Opening> {
    let fields = lint.fields(node, &OPENING)?;
    let all = || Day::ALL.map(|(_, day)| day).into();
    let days = fields.or("days", all(), |node| {
        let items = lint.list(node, "`days` of a window", Day::ALL.len())?;
        lint.twice(items, "`days`");
        if items.is_empty() {
            lint.fault(
                code::EMPTY,
                node.at,
                "no day",
                "name one, or leave `days` out for all of them",
            );
            return None;
        }
        let days = lint.each(items, |lint, item| lint.choice(item, "a day", &Day::ALL, &[]))?;
        Some(days.into_iter().collect())
    });
    let from = fields.get("from").and_then(|node| minute(lint, node, "from"));
    let to = fields.get("to").and_then(|node| minute(lint, node, "to"));
    let (days, from, to) = (days?, from?, to?);
    if from >= to {
        let message = format!("hours from {} to {} end before they begin", clock(from), clock(to));
        let help = "a window past midnight is two: one up to \"24:00\", one from \"00:00\" on the days after";
        lint.fault(code::CLOCK, node.at, message, help);
        return None;
    }
    Some(Opening { days, from, to })
}

/// `09:00` to `24:00`.
fn minute(lint: &mut Lint<'_>, node: &Node, what: &str) -> Option<u16> {
    let text = lint.text(node, what)?;
    let read = |text: &str| {
        let (hours, minutes) = text.split_once(':')?;
        let number = |digits: &str| {
            let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<u16>().ok().filter(|_| plain)
        };
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        let minute = hours * 60 + minutes;
        (minutes < 60 && minute <= window::MINUTES).then_some(minute)
    };
    let minute = read(text);
    if minute.is_none() {
        let message = format!("{what} is no time of day: {:?}", cut(text));
        lint.fault(
            code::CLOCK,
            node.at,
            message,
            "write it as \"09:00\", at most \"24:00\"",
        );
    }
    minute
}

fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn date(lint: &mut Lint<'_>, node: &Node) -> Option<Date> {
    let text = lint.text(node, "a date")?;
    let date = text.parse().ok().filter(|date: &Date| date.to_string() == text);
    if date.is_none() {
        let message = format!("no date: {:?}", cut(text));
        lint.fault(code::CLOCK, node.at, message, "write it as \"2026-12-24\"");
    }
    date
}

fn zone(lint: &mut Lint<'_>, node: &Node) -> Option<String> {
    let text = lint.text(node, "`zone`")?;
    if window::zone(text).is_some() {
        return Some(text.to_owned());
    }
    let zones = window::zones();
    let help = match nearest(text, zones.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "write a name of the IANA database: Europe/Berlin, UTC".to_owned(),
    };
    lint.fault(code::CLOCK, node.at, format!("no time zone: {:?}", cut(text)), help);
    None
}
