//! What a plain scalar is in YAML 1.2's core schema: text, unless it looks like something else. The schema is small enough
//! to be here; nothing of YAML 1.1 (`yes`, `0777`, `1_000`, `12:30`) is read as anything but text.

/// What a plain scalar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    Nothing,
    Truth(bool),
    /// Whole numbers, however large.
    Number,
    /// `1.10`, `1e3`, `.inf`
    Fraction,
    Text,
}

/// What a plain scalar is.
pub(crate) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Plain::Nothing,
        "true" | "True" | "TRUE" => Plain::Truth(true),
        "false" | "False" | "FALSE" => Plain::Truth(false),
        _ if is_number(text) => Plain::Number,
        _ if is_fraction(text) => Plain::Fraction,
        _ => Plain::Text,
    }
}

fn is_number(text: &str) -> bool {
    let all = |digits: &str, is: fn(&char) -> bool| !digits.is_empty() && digits.chars().all(|c| is(&c));
    match (text.strip_prefix("0o"), text.strip_prefix("0x")) {
        (Some(octal), _) => all(octal, |c| matches!(c, '0'..='7')),
        (_, Some(hex)) => all(hex, char::is_ascii_hexdigit),
        _ => all(unsigned(text), char::is_ascii_digit),
    }
}

fn is_fraction(text: &str) -> bool {
    let unsigned = unsigned(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    // Rust reads `inf` and `nan` too, which YAML does not.
    unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && unsigned.parse::<f64>().is_ok()
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

/// Keys that YAML 1.1 reads as true or false, so that other tools see another document than we do.
pub(crate) fn is_ambiguous(key: &str) -> bool {
    matches!(
        key.to_ascii_lowercase().as_str(),
        "on" | "off" | "yes" | "no" | "y" | "n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_schema_is_kept_and_nothing_of_yaml_1_1_is_read() {
        for (plain, texts) in [
            (Plain::Nothing, &["", "~", "null"][..]),
            (Plain::Truth(true), &["true", "True"]),
            (Plain::Truth(false), &["false"]),
            (
                Plain::Number,
                &["0", "12", "-3", "+4", "007", "0x1F", "0o17", "99999999999999999999"],
            ),
            (
                Plain::Fraction,
                &["1.10", "1.", ".5", "-1e3", "1.5E+3", ".inf", "-.Inf", ".nan"],
            ),
            (
                Plain::Text,
                &[
                    "yes", "off", "1.10.0", "10%", "30s", "1_000", "12:30", "0b1", "0xZZ", "inf", "nan", "-", ".",
                    "e3", "1e",
                ],
            ),
        ] {
            for text in texts {
                assert_eq!(resolve(text), plain, "{text:?}");
            }
        }
    }
}
