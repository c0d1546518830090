//! How many and how much: hosts, percentages, cores, bytes.

use std::ops::RangeInclusive;

use super::{
    Lint,
    value::{cut, resolved},
};
use crate::{
    fault::code,
    model::Amount,
    text::{
        scalar::Plain,
        tree::{Node, Value},
    },
};

/// With none, nothing could ever move.
const AMOUNT_HELP: &str = "write a whole number of hosts from 1, or a whole percentage from 1% to 100%";
/// Units of sizes, in bytes.
const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

impl Lint<'_> {
    /// So many hosts, or a percentage; never none.
    pub(super) fn amount(&mut self, node: &Node, what: &str) -> Option<Amount> {
        let scalar = match &node.value {
            Value::Scalar(scalar) => scalar,
            _ => {
                self.wrong_type(node, what, "a number of hosts or a percentage", AMOUNT_HELP);
                return None;
            }
        };
        let amount = match resolved(scalar) {
            Plain::Number => scalar.text.parse().ok().filter(|hosts| *hosts > 0).map(Amount::Hosts),
            Plain::Text => as_percent(&scalar.text).map(Amount::Percent),
            Plain::Fraction => None,
            Plain::Nothing | Plain::Truth(_) => {
                self.wrong_type(node, what, "a number of hosts or a percentage", AMOUNT_HELP);
                return None;
            }
        };
        if amount.is_none() {
            let message = format!(
                "{what}: {} is neither a number of hosts nor a percentage",
                cut(&scalar.text)
            );
            self.fault(code::AMOUNT, node.at, message, AMOUNT_HELP);
        }
        amount
    }

    /// 1 to 100.
    pub(super) fn percent(&mut self, node: &Node, what: &str) -> Option<u8> {
        let help = "write a whole percentage from 1% to 100%";
        let text = match &node.value {
            Value::Scalar(scalar) if resolved(scalar) == Plain::Text => scalar.text.as_str(),
            _ => {
                self.wrong_type(node, what, "a percentage", help);
                return None;
            }
        };
        let percent = as_percent(text);
        if percent.is_none() {
            let message = format!("{what}: {:?} is not a percentage from 1% to 100%", cut(text));
            self.fault(code::AMOUNT, node.at, message, help);
        }
        percent
    }

    /// A share of one core: `50%`, or `150%` for one and a half.
    pub(super) fn cores(&mut self, node: &Node, what: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let (min, max) = (*range.start(), *range.end());
        let help = format!("write it in percent of one core, from {min}% to {max}%: 150% is one and a half");
        let Value::Scalar(scalar) = &node.value else {
            self.wrong_type(node, what, "a percentage of one core", &help);
            return None;
        };
        let digits = scalar.text.strip_suffix('%').filter(|digits| is_whole(digits));
        let percent = digits.and_then(|digits| digits.parse().ok());
        let percent = percent.filter(|percent| range.contains(percent));
        if percent.is_none() {
            let message = format!("{what}: {:?} is no share of a core", cut(&scalar.text));
            self.fault(code::SIZE, node.at, message, help);
        }
        percent
    }

    /// A size with its unit: `512MiB`.
    pub(super) fn bytes(&mut self, node: &Node, what: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let (min, max) = (in_units(*range.start()), in_units(*range.end()));
        let help = format!("write a whole number with its unit, from {min} to {max}: 512MiB, 2GiB");
        let Value::Scalar(scalar) = &node.value else {
            self.wrong_type(node, what, "a size", &help);
            return None;
        };
        let bytes = as_bytes(&scalar.text).filter(|bytes| range.contains(bytes));
        if bytes.is_none() {
            let message = format!("{what}: {:?} is no size that it can have", cut(&scalar.text));
            self.fault(code::SIZE, node.at, message, help);
        }
        bytes
    }
}

/// `1%` to `100%`.
pub(super) fn as_percent(text: &str) -> Option<u8> {
    let digits = text.strip_suffix('%')?;
    let percent = is_whole(digits).then(|| digits.parse().ok()).flatten()?;
    (1..=100).contains(&percent).then_some(percent)
}

fn is_whole(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn as_bytes(text: &str) -> Option<u64> {
    let sized = |(unit, bytes): &(&str, u64)| Some((text.strip_suffix(unit)?, *bytes));
    let (digits, unit) = UNITS.iter().find_map(sized)?;
    let digits = digits.trim_end();
    let count: u64 = is_whole(digits).then(|| digits.parse().ok()).flatten()?;
    count.checked_mul(unit)
}

/// A size as it would be written.
fn in_units(bytes: u64) -> String {
    let fits = |(_, unit): &&(&str, u64)| bytes.is_multiple_of(*unit);
    match UNITS.iter().rev().find(fits) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_and_no_fraction() {
        assert_eq!(as_bytes("512MiB"), Some(512 << 20));
        assert_eq!(as_bytes("2 GiB"), Some(2 << 30));
        for bad in ["", "MiB", "512", "512MB", "1.5GiB", "-1MiB", "99999999999TiB", "512mib"] {
            assert_eq!(as_bytes(bad), None, "{bad}");
        }
        assert_eq!(in_units(1 << 20), "1MiB");
        assert_eq!(in_units(3 << 40), "3TiB");
    }
}
