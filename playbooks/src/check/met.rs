//! The kinds of mappings that this thread has read, for the tests of the schema, which must know the same keys. Deliberately
//! no list of them: one that is new is met by itself as soon as a playbook of the tests has it.

use std::{cell::RefCell, collections::BTreeMap};

use super::fields::Shape;

/// Required keys and all keys, by what the mapping is.
pub(crate) type Shapes = BTreeMap<&'static str, (Vec<&'static str>, Vec<&'static str>)>;

thread_local! {
    static MET: RefCell<Shapes> = RefCell::default();
}

pub(super) fn note(shape: &Shape) {
    let required = shape.required.iter().map(|(key, _)| *key).collect();
    let keys = (required, shape.keys().collect());
    MET.with_borrow_mut(|met| met.insert(shape.what, keys));
}

/// What was read since this was asked the last time.
pub(crate) fn shapes() -> Shapes {
    MET.take()
}
