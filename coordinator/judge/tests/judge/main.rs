//! The judge as its callers have it: from a case to a verdict. What must hold whatever the numbers are: the unit does not
//! matter, nothing that is no evidence passes, and the harmless are let go.

mod alarms;
mod nothing;
mod unit;
