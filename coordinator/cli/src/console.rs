//! Where output goes: the two streams, whether a person looks at the first, and in what shape; and what is piped in. All
//! of it passes through here, so a test gives it buffers.

use std::io::{self, BufRead as _, BufReader, Read, Write};

use clap::ValueEnum;

use crate::{
    context::Environment,
    json::{self, Shown},
    line::Line,
};

/// Columns and rows of the terminal, asked for anew each time: it may have been resized.
pub type Size = fn() -> (u16, u16);

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set or TERM is `dumb`.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How a list or a thing is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For the eye.
    #[default]
    Table,
    /// With more columns.
    Wide,
    /// One value: an object, or an array of them.
    Json,
    /// One object a line.
    Ndjson,
}

/// The streams of this process, or of a test.
#[expect(missing_debug_implementations, reason = "writers have none")]
pub struct Console {
    input: BufReader<Box<dyn Read + Send>>,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    size: Option<Size>,
    err_terminal: bool,
    environment: Environment,
    colour: bool,
    err_colour: bool,
}

impl Console {
    /// `size` when `out` is a terminal; `err_terminal` when `err` is one.
    #[must_use]
    pub fn new(
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
        size: Option<Size>,
        err_terminal: bool,
        environment: Environment,
    ) -> Self {
        let mut console = Self {
            input: BufReader::new(Box::new(io::stdin())),
            out,
            err,
            size,
            err_terminal,
            environment,
            colour: false,
            err_colour: false,
        };
        console.set_colour(Colour::Auto);
        console
    }

    /// With something else piped in than this process has.
    #[must_use]
    pub fn with_input(mut self, input: Box<dyn Read + Send>) -> Self {
        self.input = BufReader::new(input);
        self
    }

    /// What is piped in, of it at most `limit` bytes.
    pub(crate) fn read_input(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.input.by_ref().take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The next line of it, without its end; `None` at the end. A line that is longer than this, or no UTF-8, is read to
    /// its end and said to be so.
    pub(crate) fn read_line(&mut self, bytes_max: usize) -> io::Result<Option<Result<String, String>>> {
        let mut line = Vec::new();
        // One more, to see that there is more; and the end of the line.
        let within = bytes_max as u64 + 2;
        let read = self.input.by_ref().take(within).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        if line.pop_if(|byte| *byte == b'\n').is_none() && line.len() > bytes_max {
            self.input.skip_until(b'\n')?;
        }
        if line.len() > bytes_max {
            return Ok(Some(Err(format!("more than {bytes_max} bytes"))));
        }
        let text = String::from_utf8(line).map_err(|error| format!("no UTF-8: {error}"));
        Ok(Some(text))
    }

    /// As the flag says.
    pub fn set_colour(&mut self, colour: Colour) {
        let set = |name: &str| self.environment.get(name).is_some_and(|value| !value.is_empty());
        let dumb = self.environment.get("TERM").is_some_and(|term| term == "dumb");
        let wanted = |terminal: bool| match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && !set("NO_COLOR") && !dumb,
        };
        (self.colour, self.err_colour) = (wanted(self.size.is_some()), wanted(self.err_terminal));
    }

    /// Whether the output has colours.
    #[must_use]
    pub fn colour(&self) -> bool {
        self.colour
    }

    /// Whether one of the streams has colours.
    pub(crate) fn colours(&self, err: bool) -> bool {
        if err { self.err_colour } else { self.colour }
    }

    /// The environment of the process.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Columns and rows when a person looks; `None` for a pipe or a terminal that cannot move its cursor.
    #[must_use]
    pub fn screen(&self) -> Option<(usize, usize)> {
        if self.environment.get("TERM").is_some_and(|term| term == "dumb") {
            return None;
        }
        let (columns, rows) = self.size?();
        Some((usize::from(columns).max(20), usize::from(rows).max(4)))
    }

    /// Columns that a line may take.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.screen().map_or(120, |(columns, _)| columns)
    }

    /// Writes raw bytes at once: a frame, or a program's output.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }

    /// Lines for the eye.
    pub fn lines(&mut self, lines: &[Line]) -> io::Result<()> {
        let colour = self.colour;
        let text: String = lines.iter().map(|line| line.paint(colour) + "\n").collect();
        self.bytes(text.as_bytes())
    }

    /// One of them.
    pub fn line(&mut self, line: &Line) -> io::Result<()> {
        self.lines(std::slice::from_ref(line))
    }

    /// Text of our own that has line breaks already.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.bytes(text.as_bytes())
    }

    /// Lines beside the output: notes and errors.
    pub fn notes(&mut self, lines: &[Line]) -> io::Result<()> {
        for line in lines {
            writeln!(self.err, "{}", line.paint(self.err_colour))?;
        }
        self.err.flush()
    }

    /// One of them.
    pub fn note(&mut self, line: &Line) -> io::Result<()> {
        self.notes(std::slice::from_ref(line))
    }

    /// Text of our own beside the output, with its line breaks.
    pub fn complaint(&mut self, text: &str) -> io::Result<()> {
        self.err.write_all(text.as_bytes())?;
        self.err.flush()
    }

    /// One message as JSON: many lines, or one with `Ndjson`.
    pub fn json<M: Shown>(&mut self, message: &M, format: Format) -> io::Result<()> {
        let value = json::value(message)?;
        self.json_value(&value, format)
    }

    /// Messages as one array, or one a line with `Ndjson`.
    pub fn json_list<M: Shown>(&mut self, messages: &[M], format: Format) -> io::Result<()> {
        let values = messages.iter().map(json::value).collect::<io::Result<Vec<_>>>()?;
        if format == Format::Ndjson {
            return values.iter().try_for_each(|value| self.json_value(value, format));
        }
        self.json_value(&values.into(), format)
    }

    /// A value of our own.
    pub(crate) fn json_value(&mut self, value: &serde_json::Value, format: Format) -> io::Result<()> {
        let text = if format == Format::Ndjson {
            serde_json::to_string(value)
        } else {
            serde_json::to_string_pretty(value)
        };
        self.text(&(text.map_err(io::Error::other)? + "\n"))
    }
}

impl Format {
    /// Whether a program reads it.
    #[must_use]
    pub fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Ndjson)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colour(terminal: bool, environment: &[(&str, &str)], colour: Colour) -> bool {
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let size: Option<Size> = if terminal { Some(|| (80, 24)) } else { None };
        let mut console = Console::new(
            Box::new(io::sink()),
            Box::new(io::sink()),
            size,
            false,
            environment.collect(),
        );
        console.set_colour(colour);
        console.colour()
    }

    #[test]
    fn colour_is_for_terminals_and_for_those_who_insist() {
        assert!(colour(true, &[], Colour::Auto));
        assert!(!colour(false, &[], Colour::Auto));
        assert!(!colour(true, &[("NO_COLOR", "1")], Colour::Auto));
        assert!(!colour(true, &[("TERM", "dumb")], Colour::Auto));
        assert!(!colour(true, &[], Colour::Never));
        assert!(colour(false, &[("NO_COLOR", "1")], Colour::Always));
    }
}
