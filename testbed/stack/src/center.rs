//! The coordinator as turmoil starts it: its real house over the made-up network and a journal on a made-up disk. When it
//! ends by itself it says so, and whoever keeps it running starts it again. Deliberately no trouble of its own.

use std::{future::pending, net::SocketAddr, path::Path};

use echelon_coordinator::{
    config::Config,
    driver::Reader,
    ground::Ground,
    journal::{self, Disk, Journal, MemoryStore},
    listen,
    serve::{self, Place, serve_at},
};
use echelon_engine::Entry;
use echelon_proto::Span;
use echelon_sim::must;

use crate::{
    net::Door,
    world::{Shared, now},
};

/// As turmoil knows it.
pub(crate) const NAME: &str = "coordinator";
/// Where agents connect.
pub(crate) const AGENTS: u16 = 7443;
/// Where people do.
pub(crate) const PEOPLE: u16 = 7444;
/// Each side of a session says something in this time.
const HEARTBEAT_MS: u32 = 2000;
/// A host that was silent for so long is unreachable.
const UNREACHABLE_AFTER: Span = Span::secs(10);
/// Entries between two snapshots: few, so that snapshots and trimming happen in every seed.
const SNAPSHOT_EVERY: u64 = 100;
/// Enough that the watch, which looks at least once a tick, never misses one.
const KEEP_ENTRIES: u64 = 400;

/// A machine whose disk is memory.
struct Made {
    disk: Disk,
}

impl Place for Made {
    type Listener = Door;

    const GROUND: Ground = Ground::Tasks;

    fn journal(&self, _: &Path) -> Result<Journal<Entry>, journal::Error> {
        Ok(Journal::on(Box::new(MemoryStore::on(&self.disk))))
    }

    async fn listen(&self, address: SocketAddr) -> Result<Door, listen::Error> {
        let door = Door::open(address).await;
        door.map_err(|source| listen::Error::Bind { address, source })
    }
}

/// It has a reason: its journal could not be written.
fn is_the_disk_s(ended: &Result<(), serve::Error>) -> bool {
    use journal::Error::{Broken, Database};
    matches!(ended, Err(serve::Error::Journal(Database { .. } | Broken { .. })))
}

/// The process, from its start to where it is killed.
pub(crate) async fn live(shared: Shared) -> turmoil::Result {
    let (disk, data) = {
        let world = shared.lock();
        (world.disk.clone(), world.data.clone())
    };
    let config = Config {
        data,
        listen_agents: SocketAddr::from(([0, 0, 0, 0], AGENTS)),
        listen_people: SocketAddr::from(([0, 0, 0, 0], PEOPLE)),
        heartbeat_ms: HEARTBEAT_MS,
        unreachable_after: UNREACHABLE_AFTER,
        snapshot_every: SNAPSHOT_EVERY,
        keep_entries: KEEP_ENTRIES,
        ..Config::default()
    };
    let open = |_: &_, reader: &Reader| {
        let mut world = shared.lock();
        world.reader = Some(reader.clone());
        world.follow(now());
        world.compare(now());
        world.happens(now(), || "the coordinator runs".to_owned());
        Ok(())
    };
    let ended = serve_at(&Made { disk }, config, pending(), open, |_| {}).await;
    {
        let mut world = shared.lock();
        world.reader = None;
        world.coordinator_ended = true;
        world.happens(now(), || format!("the coordinator ended: {ended:?}"));
        let held = must(is_the_disk_s(&ended), "bug", || {
            format!("the coordinator ended by itself: {ended:?}")
        });
        world.hold(now(), held);
    }
    // A process that has ended does nothing more; its sockets close when turmoil takes it away.
    pending().await
}
