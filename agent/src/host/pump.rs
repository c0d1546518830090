//! Carries the output of a program that was given secrets from a pipe to its file, without them. What is written to the
//! disk has none, so nothing that reads it can let one out. Only such programs have a pipe: any other writes to its file
//! by itself, and so also when its supervisor is gone.

use std::{
    fs::File,
    io::{self, PipeReader, PipeWriter, Read as _, Write as _},
    os::fd::AsFd as _,
    thread::{self, JoinHandle},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::redact::Redactor;

/// What a pipe holds: at the program's end so much of its output may still be in it. What comes after that is of
/// processes that it left running, and not its own.
const PIPE_BYTES: usize = 64 * 1024;

/// A thread that carries.
pub(super) struct Pump {
    /// Dropped at the program's end.
    until: PipeWriter,
    carrier: JoinHandle<()>,
}

impl Pump {
    /// Begins to carry into this file; the writer is the program's.
    pub(super) fn start(into: File, redactor: Redactor) -> io::Result<(Self, PipeWriter)> {
        let (output, program) = io::pipe()?;
        let (end, until) = io::pipe()?;
        let flags = OFlag::from_bits_truncate(fcntl(&output, FcntlArg::F_GETFL)?);
        fcntl(&output, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        let carrier = thread::spawn(move || carry(output, &end, into, redactor));
        Ok((Self { until, carrier }, program))
    }

    /// The program has ended: what it wrote is in the file when this comes back.
    pub(super) fn finish(self) {
        drop(self.until);
        let _ = self.carrier.join();
    }
}

fn carry(mut output: PipeReader, end: &PipeReader, mut into: File, mut redactor: Redactor) {
    let mut buffer = vec![0; PIPE_BYTES];
    // None: the program runs. Else how much may still be read of what it left in the pipe.
    let mut left: Option<usize> = None;
    loop {
        // Asked before each read: what the program left running may keep the pipe full for ever.
        if left.is_none() && is_ready(&mut [waiting(end)], PollTimeout::ZERO) {
            left = Some(PIPE_BYTES);
        }
        match output.read(&mut buffer[..left.unwrap_or(PIPE_BYTES)]) {
            Ok(0) => break,
            Ok(bytes) => {
                // On a full disk output is lost, as it is for a program that writes by itself; it must not stand still.
                let _ = into.write_all(&redactor.feed(&buffer[..bytes]));
                left = left.map(|left| left - bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && left.is_none() => {
                is_ready(&mut [waiting(&output), waiting(end)], PollTimeout::NONE);
            }
            Err(_) => break,
        }
    }
    let _ = into.write_all(&redactor.finish());
}

fn waiting(pipe: &PipeReader) -> PollFd<'_> {
    PollFd::new(pipe.as_fd(), PollFlags::POLLIN)
}

/// Whether one of them has something or is closed.
fn is_ready(pipes: &mut [PollFd<'_>], within: PollTimeout) -> bool {
    poll(pipes, within).is_ok_and(|ready| ready > 0)
}
