//! What agent, coordinator and command line must agree on: ids, fences, digests, limits, units of time, and (feature
//! `wire`) the generated gRPC modules. Deliberately no policy and no IO.

pub mod digest;
pub mod fence;
pub mod id;
pub mod limits;
pub mod planted;
pub mod time;
#[cfg(feature = "wire")]
pub mod wire;

pub use digest::Digest;
pub use fence::Fence;
pub use id::{
    App, Datacenter, GateName, GroupName, HostId, Invalid, Label, MetricName, OperationName, ParamName, Person,
    PhaseName, PlanId, PlaybookName, Pool, ReleaseName, RequestId, RolloutId, SourceName, StateName, WaveName,
};
pub use time::{Span, Time};
