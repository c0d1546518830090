//! The generated gRPC modules. They stop at the edges: the coordinator's `api` and `sessions`, the agent's `link`, the
//! command line's `client`.

/// `echelon.link.v1`: agent and coordinator.
#[allow(unreachable_pub, missing_debug_implementations, clippy::all, clippy::pedantic)]
pub mod link {
    tonic::include_proto!("echelon.link.v1");
}

/// `echelon.control.v1`: people, CI and coordinator.
#[allow(unreachable_pub, missing_debug_implementations, clippy::all, clippy::pedantic)]
pub mod control {
    tonic::include_proto!("echelon.control.v1");
}

/// Every message file compiled, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
