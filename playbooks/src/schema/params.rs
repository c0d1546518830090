//! Parameters: how they are declared, and that one can stand wherever a single value can.

use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

/// What may stand in the place of any single value.
const USED: &str = "Used";
/// What is read before there are values of parameters.
const BEFORE: [&str; 6] = ["OwnName", "Version", "BaseName", "Param", "Declared", "Scalar"];

/// library/systemd-rolling@1, or web-base@3
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(super) struct BaseName(
    #[schemars(regex(pattern = r"^(library/)?[A-Za-z0-9][A-Za-z0-9._+-]{0,127}@0*[1-9][0-9]*$"))] String,
);

/// One value.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Scalar {
    Text(String),
    Number(i64),
    Truth(bool),
}

/// Its default, or a mapping that says more.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Param {
    Default(Scalar),
    Declared(Declared),
}

/// What can be set when a playbook is used.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Declared {
    /// Default: as the default is written.
    r#type: Option<Type>,
    /// Its value where none is given. Without one it must be given.
    default: Option<Scalar>,
    /// For people, one line.
    about: Option<String>,
    /// Of a number: at least.
    min: Option<i64>,
    /// Of a number: at most.
    max: Option<i64>,
    /// Of a choice: its words.
    #[schemars(length(min = 1, max = 64))]
    of: Option<Vec<String>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Type {
    /// One line.
    Text,
    /// One of the words of `of`.
    Choice,
    /// A whole number.
    Number,
    /// true or false.
    Truth,
    /// A length of time.
    Span,
    /// Hosts, or a percentage of them.
    Amount,
}

/// Lets `${{ params.port }}` stand in the place of every single value.
pub(super) fn let_in(schema: &mut Schema) {
    let Some(Value::Object(definitions)) = schema.get_mut("definitions") else {
        return;
    };
    for (name, definition) in definitions.iter_mut() {
        if !BEFORE.contains(&name.as_str()) && name != "Type" {
            let_into(definition);
        }
    }
    let used = json!({
        "description": "The value of a parameter.",
        "type": "string",
        "pattern": r"\$\{\{\s*params\.",
    });
    definitions.insert(USED.to_owned(), used);
}

fn let_into(schema: &mut Value) {
    let Value::Object(keys) = schema else { return };
    if is_single(keys) {
        let description = keys.remove("description");
        let only = Value::Object(std::mem::take(keys));
        keys.extend(description.map(|text| ("description".to_owned(), text)));
        let choices = json!([only, { "$ref": format!("#/definitions/{USED}") }]);
        keys.insert("anyOf".to_owned(), choices);
        return;
    }
    for key in ["properties", "items", "additionalProperties", "anyOf"] {
        match keys.get_mut(key) {
            Some(Value::Object(of)) if key == "properties" => of.values_mut().for_each(let_into),
            Some(Value::Array(choices)) => choices.iter_mut().for_each(let_into),
            Some(one) => let_into(one),
            None => {}
        }
    }
}

/// A number, a truth, a word of a list, or text of which not every one will do.
fn is_single(keys: &Map<String, Value>) -> bool {
    let bounded = keys.contains_key("pattern") || keys.contains_key("enum") || keys.contains_key("const");
    let words = keys.get("oneOf").and_then(Value::as_array);
    match keys.get("type").and_then(Value::as_str) {
        Some("integer" | "boolean") => true,
        Some("string") => bounded,
        Some(_) => false,
        None => bounded || words.is_some_and(|words| words.iter().all(|word| word.get("const").is_some())),
    }
}
