//! What a program may use: `limits: { cpu: 150%, memory: 512MiB, open_files: 4096 }`.

use super::super::{Lint, fields::Shape};
use crate::{fault::code, model::Limits, text::tree::Node};

/// A thousand cores.
const CPU_PERCENT_MAX: u32 = 100_000;
/// With less no program starts.
const MEMORY_BYTES_MIN: u64 = 1 << 20;
const MEMORY_BYTES_MAX: u64 = 64 << 40;
/// The loader alone has some open.
const OPEN_FILES_MIN: u32 = 16;
/// The kernel's own bound for a process, unless it is built otherwise.
const OPEN_FILES_MAX: u32 = 1 << 20;

const LIMITS: Shape = Shape {
    what: "`limits`",
    required: &[],
    optional: &["cpu", "memory", "open_files"],
    later: &[],
    elsewhere: &[
        ("timeout", "how long it may take stands beside `run`"),
        ("nofile", "files open at once are `open_files`"),
    ],
};

pub(super) fn limits(lint: &mut Lint<'_>, node: &Node) -> Option<Limits> {
    let fields = lint.fields(node, &LIMITS)?;
    let cpu = fields.or("cpu", None, |node| {
        lint.cores(node, "cpu", 1..=CPU_PERCENT_MAX).map(Some)
    });
    let memory = fields.or("memory", None, |node| {
        lint.bytes(node, "memory", MEMORY_BYTES_MIN..=MEMORY_BYTES_MAX)
            .map(Some)
    });
    let files = fields.or("open_files", None, |node| {
        let files = lint.number(node, "open_files", OPEN_FILES_MIN..=OPEN_FILES_MAX)?;
        Some(Some(u64::from(files)))
    });
    if LIMITS.optional.iter().all(|key| fields.get(key).is_none()) {
        let help = "name a limit: cpu, memory or open_files; or take the key away";
        lint.fault(code::EMPTY, fields.at, "`limits` limits nothing", help);
        return None;
    }
    Some(Limits {
        cpu_percent: cpu?,
        memory_bytes: memory?,
        open_files: files?,
    })
}
