//! A person's shell: runs the command in this process against a fake coordinator and keeps what it wrote.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use echelon_cli::console::{Console, Size};

use crate::fake::Fake;

/// No test takes longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

#[derive(Clone, Default)]
pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Waits until it holds this.
    pub(crate) async fn wait_for(&self, text: &str) {
        let found = async {
            while !self.text().contains(text) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(LIMIT, found).await;
        assert!(in_time.is_ok(), "{text:?} did not come: {}", self.text());
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Where a command writes.
#[derive(Clone, Default)]
pub(crate) struct Shell {
    pub(crate) out: Buffer,
    pub(crate) err: Buffer,
    pub(crate) size: Option<Size>,
    /// What is piped in.
    pub(crate) input: Vec<u8>,
}

impl Shell {
    pub(crate) async fn run(&self, args: &[&str]) -> Ran {
        let mut console = Console::new(
            Box::new(self.out.clone()),
            Box::new(self.err.clone()),
            self.size,
            false,
            [("HOME".to_owned(), "/nonexistent".to_owned())].into(),
        )
        .with_input(Box::new(io::Cursor::new(self.input.clone())));
        let args = ["echelon"].iter().chain(args).copied();
        let exit = tokio::time::timeout(LIMIT, echelon_cli::run(args, &mut console))
            .await
            .expect("it ends in time");
        Ran {
            exit,
            out: self.out.text(),
            err: self.err.text(),
        }
    }
}

/// Flags that lead to the fake coordinator.
pub(crate) fn flags(fake: &Fake) -> Vec<String> {
    let file = |name: &str| fake.pki.path(name).display().to_string();
    let [ca, cert, key] = ["ca.pem", "ann.pem", "ann.key"].map(file);
    let flags = [
        "--coordinator",
        &fake.address(),
        "--ca",
        &ca,
        "--cert",
        &cert,
        "--key",
        &key,
    ];
    flags.map(str::to_owned).into()
}

/// Runs a command line against the fake, in a pipe.
pub(crate) async fn run(fake: &Fake, line: &str) -> Ran {
    run_in(&Shell::default(), fake, line).await
}

pub(crate) async fn run_in(shell: &Shell, fake: &Fake, line: &str) -> Ran {
    let flags = flags(fake);
    let args: Vec<_> = line.split(' ').chain(flags.iter().map(String::as_str)).collect();
    shell.run(&args).await
}
