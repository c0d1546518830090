//! Bounds that both sides hold each other to. Units are last in each name.

/// One gRPC message. A plan of 20,000 hosts is about 3 MiB.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// One name: an app, a host, a phase.
pub const NAME_CHARS_MAX: usize = 128;
/// A label's value.
pub const LABEL_CHARS_MAX: usize = 256;
/// Labels of one host.
pub const LABELS_MAX: usize = 64;
/// A reason or any other text a person gives.
pub const REASON_CHARS_MAX: usize = 512;
/// The last lines of a phase's output that go with its report.
pub const TAIL_BYTES_MAX: usize = 4 * 1024;
/// Processes that a phase's program left running, as its report names them.
pub const LEFTOVERS_MAX: usize = 32;
/// Each of them: its number and its first words.
pub const LEFTOVER_CHARS_MAX: usize = 128;
/// One line of explanation in a report.
pub const MESSAGE_CHARS_MAX: usize = 1024;
/// One piece of output on the wire.
pub const OUTPUT_CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Output of one attempt that is kept; beyond it the middle is left out.
pub const OUTPUT_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// A playbook's text.
pub const PLAYBOOK_BYTES_MAX: usize = 1024 * 1024;
/// Version of the link's messages that this build speaks.
pub const LINK_PROTOCOL: u32 = 1;
/// What the URL of an artifact begins with: what agents can fetch.
pub const ARTIFACT_SCHEMES: [&str; 4] = ["http://", "https://", "file://", "s3://"];
