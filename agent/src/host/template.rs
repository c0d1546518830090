//! Text with `${{ host.labels.port }}` in it, on the host: each name is replaced by what the order says it stands for.
//! Names only, as in playbooks: no functions, no nesting, no defaults, and what is put in is not looked at again.

use std::collections::BTreeMap;

const OPEN: &str = "${{";
const CLOSE: &str = "}}";
/// Of the text that comes out. Far above any configuration, far below what would hurt the host.
pub(super) const FILLED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Names told to who misspelt one.
const NAMED_MAX: usize = 12;

/// The text with every name replaced. An error says the line.
pub(super) fn fill(text: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some(open) = rest.find(OPEN) {
        let (before, inside) = (&rest[..open], &rest[open + OPEN.len()..]);
        let line = || text[..text.len() - rest.len() + open].matches('\n').count() + 1;
        let close = inside
            .find(CLOSE)
            .ok_or_else(|| format!("line {}: `{OPEN}` is not closed by `{CLOSE}`", line()))?;
        let name = inside[..close].trim();
        let value = variables.get(name).ok_or_else(|| unknown(line(), name, variables))?;
        filled.push_str(before);
        filled.push_str(value);
        bounded(filled.len())?;
        rest = &inside[close + CLOSE.len()..];
    }
    filled.push_str(rest);
    bounded(filled.len())?;
    Ok(filled)
}

fn bounded(bytes: usize) -> Result<(), String> {
    if bytes > FILLED_BYTES_MAX {
        return Err(format!(
            "it is longer than {FILLED_BYTES_MAX} bytes when its variables are put in"
        ));
    }
    Ok(())
}

fn unknown(line: usize, name: &str, variables: &BTreeMap<String, String>) -> String {
    let name: String = name.chars().take(80).collect();
    let known: Vec<&str> = variables.keys().map(String::as_str).take(NAMED_MAX).collect();
    let more = if variables.len() > NAMED_MAX { ", ..." } else { "" };
    let known = if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ") + more
    };
    format!("line {line}: `{name}` stands for nothing on this host; there are: {known}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> BTreeMap<String, String> {
        let pairs = [
            ("host.name", "web-17"),
            ("host.labels.port", "8080"),
            ("odd", "${{ host.name }}"),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn names_are_replaced_once_and_the_rest_is_left_alone() {
        let text = "a ${{ host.name }}:${{host.labels.port}} $} {{ x }} ${odd} ${{ odd }}\n";
        let wanted = "a web-17:8080 $} {{ x }} ${odd} ${{ host.name }}\n";
        assert_eq!(fill(text, &variables()).unwrap(), wanted);
    }

    #[test]
    fn what_cannot_be_filled_says_the_line() {
        let error = fill("one\n${{ host.name }}\n${{ host.labels.prot }}\n", &variables()).unwrap_err();
        assert!(
            error.starts_with("line 3: `host.labels.prot` stands for nothing"),
            "{error}"
        );
        assert!(
            error.ends_with("there are: host.labels.port, host.name, odd"),
            "{error}"
        );
        let error = fill("one\ntwo ${{ host.name\n", &variables()).unwrap_err();
        assert_eq!(error, "line 2: `${{` is not closed by `}}`");
        let large = BTreeMap::from([("x".to_owned(), "y".repeat(FILLED_BYTES_MAX / 4))]);
        let error = fill(&"${{ x }}".repeat(5), &large).unwrap_err();
        assert!(error.contains("longer than 4194304 bytes"), "{error}");
    }
}
