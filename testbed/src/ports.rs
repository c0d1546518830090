//! Ports of the loopback address for what the testbed starts, each this process's alone until it ends. Two testbeds may run
//! at once, and the kernel gives ports of its own range to whoever connects: so they are taken from below that range, and
//! each is claimed by a name in Linux's abstract namespace, which goes with its process however that ends. Deliberately no
//! file: one that is left behind would hold its port for ever.

use std::{
    net::TcpListener,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process,
    sync::{Mutex, PoisonError},
};

use anyhow::Context as _;

/// Below 32,768, where Linux's own range begins (`net.ipv4.ip_local_port_range`), and above what Debian's services take.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// Held until the process ends.
static CLAIMED: Mutex<Vec<UnixDatagram>> = Mutex::new(Vec::new());

/// As many as the caller names.
///
/// # Errors
/// There are not so many.
pub fn claim<const N: usize>() -> anyhow::Result<[u16; N]> {
    let ports = claim_all(N)?;
    ports.try_into().ok().context("other than so many ports were claimed")
}

/// So many, each another one, on which nobody listens.
///
/// # Errors
/// There are not so many.
pub fn claim_all(count: usize) -> anyhow::Result<Vec<u16>> {
    // Processes that start at once begin far apart, and seldom ask for each other's.
    let offset = u16::try_from(process::id().wrapping_mul(97) % u32::from(COUNT))?;
    let from_there = (0..COUNT).map(|step| FIRST + (offset + step) % COUNT);
    let ports: Vec<_> = from_there.filter(|port| is_ours(*port)).take(count).collect();
    anyhow::ensure!(
        ports.len() == count,
        "{count} free ports were asked for, and from {FIRST} there are only {}",
        ports.len()
    );
    Ok(ports)
}

/// Whether it is now: nobody of us had it, and nobody listens on it.
fn is_ours(port: u16) -> bool {
    let name = SocketAddr::from_abstract_name(format!("echelon-testbed-port-{port}"));
    let Ok(claim) = name.and_then(|name| UnixDatagram::bind_addr(&name)) else {
        return false;
    };
    if TcpListener::bind(("127.0.0.1", port)).is_err() {
        return false;
    }
    CLAIMED.lock().unwrap_or_else(PoisonError::into_inner).push(claim);
    true
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn claimed_ports_are_all_different_and_can_be_listened_on() {
        let ports: [u16; 20] = claim().unwrap();
        let others = claim_all(20).unwrap();
        let all: BTreeSet<_> = ports.iter().chain(&others).collect();
        assert_eq!(all.len(), 40);
        assert!(TcpListener::bind(("127.0.0.1", ports[7])).is_ok());
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_claimed_by_nobody() {
        let [port] = claim().unwrap();
        assert!(!is_ours(port), "it was claimed before");
        let other = (FIRST..FIRST + COUNT).rev().find_map(|port| {
            let listener = TcpListener::bind(("127.0.0.1", port)).ok()?;
            Some((port, listener))
        });
        let (port, _listener) = other.expect("one is free");
        assert!(!is_ours(port), "somebody listens");
    }
}
