//! The client of whoever asks or tells another system by HTTP: sources of metrics, webhooks. What is asked, and how often it
//! is tried, is theirs.

use std::{error::Error, time::Duration};

use reqwest::{Client, ClientBuilder, redirect};

/// One that follows no redirect, which could lead anywhere. `timeout` is for one try, up to the end of the answer.
///
/// A machine that trusts no certificate authority, as a fresh one does, can still do plain http; https then fails at each
/// try, and says why.
///
/// # Errors
/// The client cannot be made: a fault of ours, in words.
pub(crate) fn client(timeout: Duration) -> Result<Client, String> {
    let with_roots = builder(timeout).build();
    let client = with_roots.or_else(|error| {
        tracing::warn!(
            why = chain(&error),
            "no https to webhooks and sources of metrics; install `ca-certificates`, then restart"
        );
        builder(timeout).tls_certs_only([]).build()
    });
    client.map_err(|error| chain(&error))
}

fn builder(timeout: Duration) -> ClientBuilder {
    Client::builder()
        .redirect(redirect::Policy::none())
        .timeout(timeout)
        .user_agent(concat!("echelon-coordinator/", env!("CARGO_PKG_VERSION")))
}

/// An error and what it came from. An error of reqwest has the URL in it, which may hold a secret: take it out first.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
