//! What must be there: of a playbook that extends another less than of one that stands alone.

use schemars::Schema;
use serde_json::json;

/// What has no default of a whole playbook, and of the parts that are laid over a base's key by key.
pub(super) const OF_WHOLE: [&str; 3] = ["hosts", "machine", "stages"];
pub(super) const OF_HOSTS: [&str; 1] = ["selector"];
pub(super) const OF_DEPLOY: [&str; 4] = ["operation", "waves", "max_unavailable", "max_parallel"];

/// With `extends` there is no machine and nothing else need be said; without, everything that has no default.
pub(super) fn whole_or_extending(schema: &mut Schema) {
    let deploy = json!({ "properties": { "deploy": { "required": OF_DEPLOY } } });
    let whole = json!({
        "required": OF_WHOLE,
        "not": { "required": ["with"] },
        "properties": { "hosts": { "required": OF_HOSTS }, "stages": { "items": deploy } },
    });
    schema.insert("if".to_owned(), json!({ "required": ["extends"] }));
    schema.insert("then".to_owned(), json!({ "not": { "required": ["machine"] } }));
    schema.insert("else".to_owned(), whole);
}
