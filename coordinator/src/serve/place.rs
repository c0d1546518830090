//! What a coordinator has under it: where its journal is kept and where its connections come from. Two forms: this machine,
//! and the made-up one of the real-stack simulation. Deliberately no more than what cannot be the same in both.

use std::{future::Future, net::SocketAddr, path::Path};

use echelon_engine::Entry;
use tokio::net::TcpListener;

use crate::{
    ground::Ground,
    journal::{self, Journal},
    listen::{self, Listener},
};

/// Where a coordinator lives.
pub trait Place: Sync {
    /// What it listens with.
    type Listener: Listener;

    /// Where what takes long runs.
    const GROUND: Ground;

    /// Its journal; the folder is the one of its config.
    ///
    /// # Errors
    /// As [`Journal::open`].
    fn journal(&self, folder: &Path) -> Result<Journal<Entry>, journal::Error>;

    /// Listens. To be called within the runtime.
    fn listen(&self, address: SocketAddr) -> impl Future<Output = Result<Self::Listener, listen::Error>> + Send;
}

/// This machine.
#[derive(Debug, Clone, Copy)]
pub struct Machine;

impl Place for Machine {
    type Listener = TcpListener;

    const GROUND: Ground = Ground::Threads;

    fn journal(&self, folder: &Path) -> Result<Journal<Entry>, journal::Error> {
        Journal::open(folder)
    }

    async fn listen(&self, address: SocketAddr) -> Result<TcpListener, listen::Error> {
        listen::bind(address)
    }
}
