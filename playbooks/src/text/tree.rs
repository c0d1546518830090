//! YAML text -> a tree of values, each with its place. Only the plain part of YAML is let through: no anchors, aliases,
//! tags, merge keys or directives, no key twice, no tab, one document. Deliberately not serde: a deserializer stops at
//! the first thing it does not like, and people want to hear of all of them. The events come from `granit-parser`, the
//! parser inside serde-saphyr.

use std::{borrow::Cow, collections::BTreeSet};

use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput, StructureStyle};

use super::{Mark, Source, scalar};
use crate::fault::{FAULTS_MAX, Fault, code};

/// Collections within collections. The deepest place of the language is 9 deep.
const DEPTH_MAX: usize = 32;
/// Values of one text: a hundred times those of a large playbook.
const NODES_MAX: usize = 50_000;

/// A value and where it is.
#[derive(Debug)]
pub(crate) struct Node {
    /// Of a mapping in block style its first key, of any other collection its first character.
    pub(crate) at: Mark,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    /// In the order written. No key is there twice.
    Map(Vec<(Key, Node)>),
    /// What has been found wrong already; nothing more is said of it.
    Broken,
}

#[derive(Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Without quotes, so it may be other than text.
    pub(crate) plain: bool,
    /// All of it is the value of a parameter: it may be other than text, and stands for text all the same.
    pub(crate) given: bool,
}

/// A key: a scalar that is text.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) at: Mark,
    pub(crate) text: String,
    pub(crate) plain: bool,
}

impl Node {
    /// Every place of the tree, so many bytes later.
    pub(crate) fn shift(&mut self, bytes: usize) {
        self.at = self.at.later(bytes);
        match &mut self.value {
            Value::Scalar(_) | Value::Broken => {}
            Value::List(items) => items.iter_mut().for_each(|item| item.shift(bytes)),
            Value::Map(entries) => {
                for (key, node) in entries {
                    key.at = key.at.later(bytes);
                    node.shift(bytes);
                }
            }
        }
    }

    /// The value of a key, where this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(at, _)| at.text == key).map(|(_, node)| node)
    }

    /// The text of a scalar, whatever else it may be.
    pub(crate) fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            Value::List(_) | Value::Map(_) | Value::Broken => None,
        }
    }
}

/// The tree of a text, if there is one, and everything that is wrong with the YAML.
pub(crate) fn parse(source: &Source<'_>) -> (Option<Node>, Vec<Fault>) {
    let mut faults = tabs(source);
    // A tab is replaced by one space, so that the parser goes on and every place stays the same.
    let text: Cow<'_, str> = match source.text() {
        text if text.contains('\t') => text.replace('\t', " ").into(),
        text => text.into(),
    };
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.disallow_directives = true;
    options.emit_unresolved_aliases = true;
    options.emit_anchor_events = true;
    options.flow_nesting_limit = DEPTH_MAX;
    options.block_nesting_limit = DEPTH_MAX;
    let mut builder = Builder {
        source,
        events: Parser::new_from_str_with_options(&text, options),
        faults: Vec::new(),
        nodes: 0,
    };
    let root = builder.document();
    faults.append(&mut builder.faults);
    match root {
        Ok(root) => (root, faults),
        Err(Stop(fault)) => {
            // A tab that stands for some other number of spaces is often the only thing that is wrong.
            if !faults.iter().any(|tab| tab.code == code::TAB && tab.line == fault.line) {
                faults.push(*fault);
            }
            (None, faults)
        }
    }
}

/// One fault for each line that has a tab.
fn tabs(source: &Source<'_>) -> Vec<Fault> {
    let mut before = 0;
    let starts = source.text().split_inclusive('\n').filter_map(|line| {
        let start = before + line.find('\t').unwrap_or(line.len());
        before += line.len();
        (start < before).then_some(start)
    });
    let help = "use spaces; inside a text write \"\\t\" in double quotes";
    let fault = |start| source.fault(code::TAB, Mark { start, end: start + 1 }, "a tab", help);
    starts.take(FAULTS_MAX).map(fault).collect()
}

/// What ends the reading: the text beyond it cannot be understood.
struct Stop(Box<Fault>);

struct Builder<'s, 'i> {
    source: &'s Source<'s>,
    events: Parser<'i, StrInput<'i>>,
    faults: Vec<Fault>,
    nodes: usize,
}

impl<'i> Builder<'_, 'i> {
    /// The one document of the text; `None` and a fault where it holds nothing.
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        while let Some((event, at)) = self.next()? {
            match event {
                Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_none() => {}
                Event::DocumentStart(..) => {
                    let help = "one playbook a file: put the rest into a file of its own";
                    return Err(self.stop(code::ONE_DOCUMENT, at, "a second document", help));
                }
                event => root = Some(self.node(event, at)?),
            }
        }
        if root.is_none() {
            let at = Mark { start: 0, end: 0 };
            self.fault(
                code::ONE_DOCUMENT,
                at,
                "there is no playbook in this text",
                "begin with `name: ...`",
            );
        }
        Ok(root)
    }

    fn next(&mut self) -> Result<Option<(Event<'i>, Mark)>, Stop> {
        loop {
            let (event, span) = match self.events.next() {
                None => return Ok(None),
                Some(Err(error)) => return Err(self.scan_error(&error)),
                Some(Ok(next)) => next,
            };
            if let Some(tag) = span.tag_span() {
                let help = "take `!...` away; a text that begins with `!` goes in quotes";
                self.fault(code::NOT_PLAIN, mark(&tag), "a tag", help);
            }
            match event {
                Event::Anchor(..) => {
                    let help = "take `&...` away: values are written out where they are used";
                    self.fault(code::NOT_PLAIN, mark(&span), "an anchor", help);
                }
                event => return Ok(Some((event, mark(&span)))),
            }
        }
    }

    /// The next event inside a collection, which the parser always closes or fails.
    fn inside(&mut self) -> Result<(Event<'i>, Mark), Stop> {
        match self.next()? {
            Some(next) => Ok(next),
            None => {
                let end = self.source.text().len();
                let at = Mark { start: end, end };
                Err(self.stop(code::SYNTAX, at, "the text ends too early", "close what is open"))
            }
        }
    }

    fn node(&mut self, event: Event<'i>, at: Mark) -> Result<Node, Stop> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let message = format!("more than {NODES_MAX} values");
            return Err(self.stop(
                code::TOO_LARGE,
                at,
                &message,
                "a playbook is never that large: is it the right file?",
            ));
        }
        let mut node = Node {
            at,
            value: Value::Broken,
        };
        match event {
            Event::Scalar(text, style, ..) => {
                node.value = Value::Scalar(Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain,
                    given: false,
                });
            }
            Event::SequenceStart(..) => {
                node.value = Value::List(self.list()?);
                node.at = first(at);
            }
            Event::MappingStart(style, ..) => {
                let entries = self.map()?;
                let key = entries.first().filter(|_| style == StructureStyle::Block);
                node.at = key.map_or(first(at), |(key, _)| key.at);
                node.value = Value::Map(entries);
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.fault(code::NOT_PLAIN, at, "an alias", "write the value out where it is used");
            }
            other => {
                let message = format!("the parser gave {other:?} where a value belongs");
                return Err(self.stop(code::SYNTAX, at, &message, "write this part in a simpler way"));
            }
        }
        Ok(node)
    }

    fn list(&mut self) -> Result<Vec<Node>, Stop> {
        let mut nodes = Vec::new();
        loop {
            match self.inside()? {
                (Event::SequenceEnd, _) => return Ok(nodes),
                (event, at) => nodes.push(self.node(event, at)?),
            }
        }
    }

    fn map(&mut self) -> Result<Vec<(Key, Node)>, Stop> {
        let mut entries = Vec::new();
        let mut keys = BTreeSet::new();
        loop {
            let (event, at) = self.inside()?;
            if event == Event::MappingEnd {
                return Ok(entries);
            }
            let key = self.node(event, at)?;
            let (event, at) = self.inside()?;
            let value = self.node(event, at)?;
            let Some(key) = self.key(key) else { continue };
            if keys.insert(key.text.clone()) {
                entries.push((key, value));
            } else {
                let message = format!("the key `{}` is here twice", key.text);
                self.fault(code::DUPLICATE_KEY, key.at, &message, "keep one of them");
            }
        }
    }

    fn key(&mut self, node: Node) -> Option<Key> {
        let Value::Scalar(Scalar { text, plain, .. }) = node.value else {
            self.fault(
                code::WRONG_TYPE,
                node.at,
                "a key that is not text",
                "a key is one word, then a colon",
            );
            return None;
        };
        if plain && text == "<<" {
            self.fault(
                code::NOT_PLAIN,
                node.at,
                "a merge key",
                "write the keys out where they are used",
            );
            return None;
        }
        if plain && scalar::resolve(&text) != scalar::Plain::Text {
            let message = format!("the key `{text}` is not text");
            let help = format!("put it in quotes: \"{text}\"");
            self.fault(code::QUOTES, node.at, &message, &help);
            return None;
        }
        Some(Key {
            at: node.at,
            text,
            plain,
        })
    }

    fn fault(&mut self, code: &'static str, at: Mark, message: &str, help: &str) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(self.source.fault(code, at, message, help));
        }
    }

    fn stop(&self, code: &'static str, at: Mark, message: &str, help: &str) -> Stop {
        Stop(Box::new(self.source.fault(code, at, message, help)))
    }

    fn scan_error(&self, error: &ScanError) -> Stop {
        let start = error.marker().byte_offset().unwrap_or(self.source.text().len());
        let (code, help) = match error.kind() {
            ErrorKind::RecursionLimitExceeded => (
                code::TOO_LARGE,
                "a playbook is never that deep: is a bracket left open?",
            ),
            ErrorKind::DirectiveDisallowed => (code::NOT_PLAIN, "take the line away"),
            ErrorKind::UnclosedQuotedScalar => (code::SYNTAX, "close the quotes"),
            ErrorKind::UnclosedFlowCollection { .. } | ErrorKind::MismatchedFlowCollectionEnd { .. } => (
                code::SYNTAX,
                "close the bracket; a text with { } [ ] or ${{ }} in it goes in quotes",
            ),
            _ => (
                code::SYNTAX,
                "look at the indentation here and in the line before; a text with : { } [ ] # , or ${{ }} in it goes in quotes",
            ),
        };
        self.stop(code, Mark { start, end: start + 1 }, &error.info(), help)
    }
}

fn mark(span: &Span) -> Mark {
    let start = span.start.byte_offset().unwrap_or(0);
    let end = span.end.byte_offset().unwrap_or(start);
    Mark { start, end }
}

fn first(at: Mark) -> Mark {
    Mark {
        start: at.start,
        end: at.start + 1,
    }
}
