//! One of the system's own tools, run to its end: `ip`, `nft`, `debootstrap`, something on a host. Bounded in time, and
//! what it said goes with the error. Deliberately no shell.

use std::{ffi::OsStr, process::Stdio, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{io::AsyncWriteExt as _, process::Command, time};

/// Of a tool that only changes the kernel's mind.
pub(super) const SHORT: Duration = Duration::from_secs(30);

/// What a tool came to.
#[derive(Debug, Clone)]
pub(super) struct Said {
    /// Exit code; -1 after a signal.
    pub(super) code: i32,
    /// Standard output.
    pub(super) out: String,
    /// Standard error.
    pub(super) err: String,
}

/// Runs it to its end, however it ends.
pub(super) async fn ask(mut command: Command, input: &str, within: Duration) -> anyhow::Result<Said> {
    let typed = typed(&command);
    command
        .stdin(if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .with_context(|| format!("`{typed}` cannot be started"))?;
    let run = async {
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = time::timeout(within, run).await;
    let output = output.with_context(|| format!("`{typed}` takes more than {} s", within.as_secs()))??;
    Ok(Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// The same, but it must succeed; gives its standard output.
pub(super) async fn must(command: Command, input: &str, within: Duration) -> anyhow::Result<String> {
    let typed = typed(&command);
    let said = ask(command, input, within).await?;
    if said.code != 0 {
        bail!("`{typed}` ended with {}: {}{}", said.code, said.out, said.err);
    }
    Ok(said.out)
}

/// Of a line as it is typed: no word may have blanks in it.
pub(super) fn line(words: &str) -> Command {
    let mut words = words.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

fn typed(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tool_that_fails_is_told_with_its_words_and_one_that_hangs_with_its_time() {
        assert_eq!(must(line("cat"), "heard", SHORT).await.unwrap(), "heard");
        let error = must(line("ls /no/such/folder"), "", SHORT)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`ls /no/such/folder`") && error.contains("No such file"),
            "{error}"
        );
        let error = ask(line("sleep 60"), "", Duration::from_millis(50))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("`sleep 60` takes more than"), "{error}");
    }
}
