//! What is wrong with a playbook's text, where, and how to mend it. Shown as a compiler would, in plain text: colour is
//! the command line's. Deliberately no judgement here: the codes are listed in [`code`], the checks are in `check`.

mod catalogue;
pub(crate) mod code;

use std::fmt;

use serde::Serialize;

pub use catalogue::{Explained, catalogue, explain};

/// Faults that are reported of one text; what comes after them is counted and left out.
pub const FAULTS_MAX: usize = 200;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The text is no playbook.
    Error,
    /// It is one, but probably not the one that was meant.
    Warning,
}

impl Severity {
    /// The first letter of a code says how bad it is.
    pub(crate) fn of(code: &str) -> Self {
        if code.starts_with('W') {
            Self::Warning
        } else {
            Self::Error
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// `E...` for errors, `W...` for warnings; a code never changes its meaning.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The playbook in whose text it is, where that is not the one being read but the one that it extends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong, in one line.
    pub message: String,
    /// How to mend it, in one line. Never empty.
    pub help: String,
    /// The line; of a very long one the piece around the fault. Without control characters.
    pub line_text: String,
    /// Where in `line_text` the fault begins, in characters from 0.
    pub caret: usize,
    /// How many characters of `line_text` are at fault, at least 1.
    pub width: usize,
}

/// Everything that is wrong with a text, in the order of its lines: at least one error, and the warnings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct Faults(pub Vec<Fault>);

/// A fault or faults with the name of their file.
struct InFile<'a, T>(&'a T, &'a str);

impl Fault {
    /// Shown with the file's name, `file:line:column`, which editors and terminals make a link of.
    #[must_use]
    pub fn in_file<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        InFile(self, file)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, file: Option<&str>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let (line, column) = (self.line, self.column);
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        writeln!(f, "{severity}[{}]: {}", self.code, self.message)?;
        match self.source.as_deref().or(file) {
            Some(file) => writeln!(f, "{gutter}--> {file}:{line}:{column}")?,
            None => writeln!(f, "{gutter}--> line {line}, column {column}")?,
        }
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{}", format!("{number} | {}", self.line_text).trim_end())?;
        writeln!(f, "{gutter} | {}{}", " ".repeat(self.caret), "^".repeat(self.width))?;
        write!(f, "{gutter} = help: {}", self.help)
    }
}

impl Faults {
    /// Shown with the file's name.
    #[must_use]
    pub fn in_file<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        InFile(self, file)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, file: Option<&str>) -> fmt::Result {
        for fault in &self.0 {
            fault.write(f, file)?;
            f.write_str("\n\n")?;
        }
        let errors = self.0.iter().filter(|fault| fault.severity == Severity::Error).count();
        let warnings = self.0.len() - errors;
        write!(f, "{}, {}", counted(errors, "error"), counted(warnings, "warning"))
    }
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, None)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, None)
    }
}

impl fmt::Display for InFile<'_, Fault> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, Some(self.1))
    }
}

impl fmt::Display for InFile<'_, Faults> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, Some(self.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_shows_the_line_and_points_at_it() {
        let fault = Fault {
            code: code::UNKNOWN_KEY,
            severity: Severity::Error,
            source: None,
            line: 12,
            column: 7,
            message: "a phase has no key `timout`".into(),
            help: "did you mean `timeout`?".into(),
            line_text: "    - timout: 30s".into(),
            caret: 6,
            width: 6,
        };
        let want = "error[E010]: a phase has no key `timout`\n  --> roll.yaml:12:7\n   |\n12 |     - timout: 30s\n   \
                    |       ^^^^^^\n   = help: did you mean `timeout`?";
        assert_eq!(fault.in_file("roll.yaml").to_string(), want);
        let mut of_base = fault.clone();
        of_base.source = Some("web-base@3".into());
        assert_eq!(
            of_base.in_file("roll.yaml").to_string(),
            want.replace("roll.yaml", "web-base@3")
        );
        let faults = Faults(vec![fault]);
        assert!(faults.to_string().ends_with("\n\n1 error, 0 warnings"));
        assert!(faults.to_string().contains("\n  --> line 12, column 7\n"));
    }
}
