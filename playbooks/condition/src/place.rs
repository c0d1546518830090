//! Where a condition stands, and so which variables it may name. Deliberately no values: they are in `facts`.

/// Where a condition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `when` of a phase: the host, its lane and wave, the release, the operation.
    When,
    /// `expr` of an invariant: the same, and how the host's pool and the rollout stand.
    Invariant,
    /// `until` of a poll: the answer.
    Until,
}

/// What an expression is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Truth,
    Int,
    Float,
    Text,
    /// Text by text: labels.
    Texts,
    List,
    Null,
    /// Not known before it is there: JSON.
    Any,
    Record(Fields),
}

/// A record's fields, or a place's variables.
pub(crate) type Fields = &'static [(&'static str, Type)];

const HOST: Fields = &[
    ("name", Type::Text),
    ("datacenter", Type::Text),
    ("pool", Type::Text),
    ("labels", Type::Texts),
];
const LANE: Fields = &[("datacenter", Type::Text)];
const WAVE: Fields = &[("name", Type::Text)];
const RELEASE: Fields = &[("app", Type::Text), ("name", Type::Text)];
const POOL: Fields = &[
    ("name", Type::Text),
    ("hosts", Type::Int),
    ("in_service", Type::Int),
    ("out_of_service", Type::Int),
    ("max_unavailable", Type::Int),
];
const ROLLOUT: Fields = &[
    ("hosts", Type::Int),
    ("done", Type::Int),
    ("failed", Type::Int),
    ("in_progress", Type::Int),
];

const WHEN: Fields = &[
    ("host", Type::Record(HOST)),
    ("lane", Type::Record(LANE)),
    ("wave", Type::Record(WAVE)),
    ("release", Type::Record(RELEASE)),
    ("operation", Type::Text),
];
const INVARIANT: Fields = &[
    ("host", Type::Record(HOST)),
    ("lane", Type::Record(LANE)),
    ("wave", Type::Record(WAVE)),
    ("release", Type::Record(RELEASE)),
    ("operation", Type::Text),
    ("pool", Type::Record(POOL)),
    ("rollout", Type::Record(ROLLOUT)),
];
const UNTIL: Fields = &[
    ("status", Type::Int),
    ("body", Type::Text),
    ("json", Type::Any),
    ("exit_code", Type::Int),
    ("output", Type::Text),
    ("error", Type::Text),
];

impl Place {
    pub(crate) fn variables(self) -> Fields {
        match self {
            Self::When => WHEN,
            Self::Invariant => INVARIANT,
            Self::Until => UNTIL,
        }
    }
}

impl Type {
    /// `a number`
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Truth => "true or false",
            Self::Int => "a whole number",
            Self::Float => "a fraction",
            Self::Text => "text",
            Self::Texts => "a map of texts",
            Self::List => "a list",
            Self::Null => "null",
            Self::Any => "anything",
            Self::Record(_) => "a group of values",
        }
    }
}
