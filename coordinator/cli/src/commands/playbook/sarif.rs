//! Faults as SARIF 2.1.0 (OASIS), which code scanning of forges and editors reads. Of that large format only what a linter
//! has to say: its rules, which are the catalogue of codes, and one result for each fault.

use echelon_playbooks::{
    Fault, Severity,
    fault::{self, Explained},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;

use super::lint::{Found, Looked};

/// Where the format is described.
const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// What a path in a URI keeps as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'~');

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Tool,
    invocations: [Invocation<'a>; 1],
    /// Columns count characters and not UTF-16.
    column_kind: &'static str,
    results: Vec<Finding<'a>>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: &'static str,
    short_description: Text<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    full_description: Option<Text<&'static str>>,
    help: Text<&'static str>,
    default_configuration: Configuration,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Serialize)]
struct Text<T> {
    text: T,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation<'a> {
    execution_successful: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_execution_notifications: Vec<Notification<'a>>,
}

#[derive(Serialize)]
struct Notification<'a> {
    level: &'static str,
    message: Text<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding<'a> {
    rule_id: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_index: Option<usize>,
    level: &'static str,
    message: Text<String>,
    locations: [Location<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location<'a> {
    physical_location: Physical<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Physical<'a> {
    artifact_location: Artifact,
    region: Region<'a>,
}

#[derive(Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region<'a> {
    start_line: usize,
    start_column: usize,
    /// The first that is no longer at fault.
    end_column: usize,
    snippet: Text<&'a str>,
}

/// The log of one run over these files.
pub(super) fn log(looked: &[Looked]) -> serde_json::Result<Value> {
    let results = looked
        .iter()
        .flat_map(|one| one.faults().iter().map(|fault| finding(fault, &one.name)));
    let unread = looked.iter().filter_map(|one| match &one.found {
        Found::Unread(why) => Some(Notification {
            level: "error",
            message: Text { text: why.as_str() },
        }),
        Found::Valid(..) | Found::Invalid(_) => None,
    });
    let unread: Vec<_> = unread.collect();
    let driver = Driver {
        name: "echelon",
        version: env!("CARGO_PKG_VERSION"),
        rules: fault::catalogue().iter().map(rule).collect(),
    };
    serde_json::to_value(Log {
        schema: SCHEMA,
        version: "2.1.0",
        runs: [Run {
            tool: Tool { driver },
            invocations: [Invocation {
                execution_successful: unread.is_empty(),
                tool_execution_notifications: unread,
            }],
            column_kind: "unicodeCodePoints",
            results: results.collect(),
        }],
    })
}

fn rule(explained: &Explained) -> Rule {
    Rule {
        id: explained.code,
        short_description: Text { text: explained.title },
        full_description: (!explained.why.is_empty()).then_some(Text { text: explained.why }),
        help: Text { text: explained.mend },
        default_configuration: Configuration {
            level: level(explained.severity()),
        },
    }
}

fn finding<'a>(fault: &'a Fault, file: &str) -> Finding<'a> {
    Finding {
        rule_id: fault.code,
        rule_index: fault::catalogue().iter().position(|rule| rule.code == fault.code),
        level: level(fault.severity),
        message: Text {
            text: format!("{}\n{}", fault.message, fault.help),
        },
        locations: [Location {
            physical_location: Physical {
                // One of a base is in the base's text, which has a name and no file.
                artifact_location: Artifact {
                    uri: uri(fault.source.as_deref().unwrap_or(file)),
                },
                region: Region {
                    start_line: fault.line,
                    start_column: fault.column,
                    end_column: fault.column + fault.width,
                    snippet: Text { text: &fault.line_text },
                },
            },
        }],
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// A path as a URI, relative as it was given: forges want it so.
fn uri(file: &str) -> String {
    let encoded = |path: &str| utf8_percent_encode(path, PATH).to_string();
    match file.strip_prefix("./") {
        Some(path) => encoded(path),
        None if file.starts_with('/') => format!("file://{}", encoded(file)),
        None => encoded(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_uri() {
        for (path, want) in [
            ("web.yaml", "web.yaml"),
            ("./roll out/ä.yaml", "roll%20out/%C3%A4.yaml"),
            ("../a#b.yaml", "../a%23b.yaml"),
            ("/srv/web.yaml", "file:///srv/web.yaml"),
            ("<stdin>", "%3Cstdin%3E"),
        ] {
            assert_eq!(uri(path), want);
        }
    }
}
