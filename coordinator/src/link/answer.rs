//! What a host answers to a person, bounded and in the words of the people's face.

use echelon_proto::{
    limits::{MESSAGE_CHARS_MAX, OUTPUT_CHUNK_BYTES_MAX},
    wire::{
        control::{self, ask_host_response::Answer as Out},
        link::{self as wire, answer::What},
    },
};
use tonic::Status;

use super::bound;
use crate::asks;

/// In the words of the people's face.
type Piece = asks::Piece<control::AskHostResponse>;

/// Things of one answer: as many as an agent gives.
const THINGS_MAX: usize = 1000;
/// Of a check, a user, a unit or a release.
const WORD_MAX: usize = 256;

/// The piece; `None` where it only says that it was the last.
pub(super) fn answer(what: Option<What>) -> Result<Option<Piece>, Status> {
    let Some(what) = what else { return Ok(None) };
    let answer = match what {
        What::Refused(why) => {
            bound::chars("answer.refused", &why, MESSAGE_CHARS_MAX * 5)?;
            return Ok(Some(Err(why)));
        }
        What::Findings(all) => Out::Findings(control::HostFindings {
            findings: every("answer.findings", all.findings, finding)?,
        }),
        What::Processes(all) => Out::Processes(control::HostProcesses {
            processes: every("answer.processes", all.processes, process)?,
        }),
        What::Releases(all) => Out::Releases(control::HostReleases {
            releases: every("answer.releases", all.releases, release)?,
        }),
        What::Data(data) => {
            bound::bytes("answer.data", &data, OUTPUT_CHUNK_BYTES_MAX)?;
            Out::Data(data)
        }
    };
    Ok(Some(Ok(control::AskHostResponse { answer: Some(answer) })))
}

fn every<T, U>(field: &str, all: Vec<T>, one: impl Fn(T) -> Result<U, Status>) -> Result<Vec<U>, Status> {
    bound::count(field, all.len(), THINGS_MAX, "entries")?;
    all.into_iter().map(one).collect()
}

fn finding(said: wire::Finding) -> Result<control::HostFinding, Status> {
    bound::chars("finding.check", &said.check, WORD_MAX)?;
    bound::chars("finding.seen", &said.seen, MESSAGE_CHARS_MAX * 5)?;
    bound::chars("finding.mend", &said.mend, MESSAGE_CHARS_MAX * 5)?;
    let health = match said.health() {
        wire::FindingHealth::Well => "well",
        wire::FindingHealth::Warning => "warning",
        wire::FindingHealth::Fault | wire::FindingHealth::Unspecified => "fault",
    };
    Ok(control::HostFinding {
        check: said.check,
        health: health.to_owned(),
        seen: said.seen,
        mend: said.mend,
    })
}

fn process(said: wire::Process) -> Result<control::HostProcess, Status> {
    bound::chars("process.user", &said.user, WORD_MAX)?;
    bound::chars("process.state", &said.state, 1)?;
    bound::chars("process.unit", &said.unit, WORD_MAX)?;
    bound::chars("process.command", &said.command, MESSAGE_CHARS_MAX)?;
    Ok(control::HostProcess {
        pid: said.pid,
        parent: said.parent,
        user: said.user,
        state: said.state,
        start_time: Some(stamp(said.started_ms)),
        cpu_ms: said.cpu_ms,
        memory_bytes: said.memory_bytes,
        unit: said.unit,
        command: said.command,
    })
}

fn release(said: wire::ReleaseOnDisk) -> Result<control::HostRelease, Status> {
    bound::chars("release.app", &said.app, WORD_MAX)?;
    bound::chars("release.release", &said.release, WORD_MAX)?;
    Ok(control::HostRelease {
        app: said.app,
        release: said.release,
        current: said.current,
        install_time: (said.installed_ms > 0).then(|| stamp(said.installed_ms)),
    })
}

fn stamp(unix_ms: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: unix_ms.div_euclid(1000),
        nanos: i32::try_from(unix_ms.rem_euclid(1000) * 1_000_000).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_beyond_its_bound_is_named() {
        let finding = wire::Finding {
            check: "clock".into(),
            seen: "x".repeat(MESSAGE_CHARS_MAX * 5 + 1),
            ..wire::Finding::default()
        };
        let findings = |findings| What::Findings(wire::Findings { findings });
        let release = wire::ReleaseOnDisk::default();
        let many = wire::ReleasesOnDisk {
            releases: vec![release; THINGS_MAX + 1],
        };
        for (said, named) in [
            (findings(vec![finding]), "finding.seen"),
            (What::Releases(many), "answer.releases has 1001"),
            (What::Data(vec![0; OUTPUT_CHUNK_BYTES_MAX + 1]), "answer.data"),
        ] {
            let status = answer(Some(said)).unwrap_err();
            assert!(status.message().contains(named), "{status}");
        }
        let fault = wire::Finding::default();
        let Ok(Some(Ok(piece))) = answer(Some(findings(vec![fault]))) else {
            panic!("it is taken")
        };
        let Some(Out::Findings(all)) = piece.answer else {
            panic!("{piece:?}")
        };
        assert_eq!(all.findings[0].health, "fault", "what is not said is not well");
        assert_eq!(answer(None).unwrap(), None);
    }
}
