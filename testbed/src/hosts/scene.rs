//! What stands when the hosts are up: the network, the hosts with their agents, the coordinator and the server of
//! artifacts on this machine. Deliberately no story.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;

use super::{
    machine::Machine,
    network::{Network, SERVICE_PORT},
    package, root,
    slot::{self, Slot},
    tool,
};
use crate::{
    binaries::Binaries,
    bundle::{self, Entry},
    coordinator::{Coordinator, Person},
    origin::Origin,
    place::Place,
    screen,
    visit::page,
};

/// The app of these hosts.
pub(super) const APP: &str = "storefront";
const ATTACH_WITHIN: Duration = Duration::from_secs(60);
const UNIT: &str = include_str!("../../hosts/storefront.service");
const NGINX: &str = include_str!("../../hosts/nginx.conf");

/// All that runs. In the order in which it goes: hosts, then their network, then the folder that they wrote in.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) machines: Vec<Machine>,
    pub(super) coordinator: Coordinator,
    pub(super) origin: Origin,
    pub(super) network: Network,
    /// As it was installed on all of them.
    pub(super) package: PathBuf,
    pub(super) binaries: Binaries,
    slot: Slot,
    place: Place,
}

/// How many of what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) datacenters: u8,
    pub(super) each: u8,
}

impl Scene {
    /// Boots all hosts and waits until each is up. No agent yet.
    pub(super) async fn boot(size: Size, profile: Option<&str>, flags: &[&str], keep: bool) -> anyhow::Result<Self> {
        let binaries = Binaries::build_with(&[package::MAKER]).await?;
        let place = Place::new("hosts", keep)?;
        let package = package::make(&binaries, profile, place.path()).await?;
        let root = root::get().await?;
        let slot = Slot::take(place.path())?;
        let mut coordinator = Coordinator::new(&binaries, place.path(), flags).await?;
        let core = slot.address(0, 1);
        coordinator.agents = SocketAddr::new(IpAddr::V4(core), coordinator.agents.port());
        let mut network = Network::new(&slot).await?;
        let origin = Origin::listen(core).await?;
        network.open = vec![coordinator.agents.port(), origin.port()];
        let mut machines = Vec::new();
        let folder = place.folder("machines")?;
        for datacenter in 1..=size.datacenters {
            let lines = network.add(&slot, datacenter, size.each).await?;
            for (number, line) in (1..).zip(lines) {
                let name = format!("dc{datacenter}-web-{number}");
                let place = (root.as_path(), folder.join(&name));
                machines.push(Machine::start(&slot, (&name, datacenter), &line, (place.0, &place.1))?);
            }
        }
        let scene = Self {
            machines,
            coordinator,
            origin,
            network,
            package,
            binaries,
            slot,
            place,
        };
        Ok(scene)
    }

    /// Waits for all hosts, installs the agent on each, joins it and starts it.
    pub(super) async fn populate(&mut self) -> anyhow::Result<()> {
        try_join_all(self.machines.iter_mut().map(Machine::up)).await?;
        screen::good(format_args!(
            "{} hosts are up, each under its own systemd",
            self.machines.len()
        ));
        try_join_all(
            self.machines
                .iter()
                .map(|machine| package::install(&self.package, machine)),
        )
        .await?;
        try_join_all(self.machines.iter().map(package::must_wait)).await?;
        screen::good("the package is installed on each; without a config no agent starts");
        self.coordinator.serve().await?;
        self.slot.own("coordinator", self.coordinator.pid()?)?;
        try_join_all(self.machines.iter().map(|machine| self.join(machine))).await?;
        self.coordinator.attached(self.machines.len(), ATTACH_WITHIN).await?;
        screen::good(format_args!(
            "{} agents have joined with tokens and are attached",
            self.machines.len()
        ));
        Ok(())
    }

    /// As an administrator does it: a config, the authority's certificate, a token, `join`, `systemctl start`.
    async fn join(&self, machine: &Machine) -> anyhow::Result<()> {
        let config = format!(
            "host = {name:?}\ncoordinator = \"https://{at}\"\nca = \"/etc/echelon/ca.pem\"\n\
             state_dir = \"/var/lib/echelon/agent\"\napps_dir = \"/srv/apps\"\n[labels]\nwork = {work:?}\n",
            name = machine.name,
            at = self.coordinator.agents,
            work = work(&machine.name),
        );
        let write = |path: &str, text: &[u8]| {
            let path = machine.file(path)?;
            fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
        };
        write("/etc/echelon/agent.toml", config.as_bytes())?;
        write("/etc/echelon/ca.pem", &fs::read(self.coordinator.ca())?)?;
        let (name, dc) = (machine.name.as_str(), format!("dc{}", machine.datacenter));
        let (app, port) = (format!("app={APP}"), format!("port={SERVICE_PORT}"));
        let words = [
            "host", "token", name, "--dc", &dc, "--pool", "web", "--label", &app, "--label", &port,
        ];
        let token = self.coordinator.cli(Person::Admin).must(&words).await?;
        let token = format!("ECHELON_JOIN_TOKEN={}", token.trim());
        machine
            .script(&token, "echelon-agent join; systemctl start echelon-agent")
            .await?;
        Ok(())
    }

    /// Makes a release of the web server known.
    pub(super) async fn release(&self, version: &str) -> anyhow::Result<()> {
        let entries = [
            Entry::file("storefront.service", UNIT),
            Entry::file("nginx.conf", NGINX),
            Entry::file("www/version", format!("{version}\n")),
            Entry::file("www/health", "well\n"),
        ];
        self.offer(APP, version, &entries).await
    }

    /// Packs these files, serves them, and makes a release of them known.
    pub(super) async fn offer(&self, app: &str, version: &str, entries: &[Entry]) -> anyhow::Result<()> {
        let artifact = self
            .origin
            .put(&format!("{app}-{version}.tar.gz"), bundle::pack(entries)?);
        let (digest, size) = (artifact.sha256.to_string(), artifact.size.to_string());
        let words = [
            "release",
            "create",
            app,
            version,
            "--url",
            &artifact.url,
            "--sha256",
            &digest,
            "--size",
            &size,
        ];
        self.coordinator.cli(Person::Alice).must(&words).await.map(drop)
    }

    /// Asks each host's systemd and each service over HTTP.
    pub(super) async fn must_serve(&self, version: &str) -> anyhow::Result<()> {
        for machine in &self.machines {
            let active = machine.must("systemctl is-active storefront").await?;
            let at = format!("http://{}:{SERVICE_PORT}", machine.address);
            let (_, found) = page(&format!("{at}/version"))
                .await
                .with_context(|| format!("{} does not answer", machine.name))?;
            let (health, _) = page(&format!("{at}/health")).await?;
            ensure!(
                found.trim() == version && health == 200,
                "{} serves {found:?} (health {health}) and not {version}",
                machine.name
            );
            screen::good(format_args!(
                "{}: systemctl is-active: {}; {at}/version: {}",
                machine.name,
                active.trim(),
                found.trim()
            ));
        }
        Ok(())
    }

    /// From each host all of its datacenter can be reached, and the first host of no other.
    pub(super) async fn must_be_apart(&self) -> anyhow::Result<()> {
        let pairs = self.machines.iter().flat_map(|from| {
            let others = self.machines.iter().filter(|to| to.name != from.name);
            let others = others.filter(|to| to.datacenter == from.datacenter || to.name.ends_with("-1"));
            others.map(move |to| (from, to))
        });
        try_join_all(pairs.map(|(from, to)| async move {
            let words = format!("exec 3<>/dev/tcp/{}/{SERVICE_PORT}", to.address);
            let said = from.ask_with(&["timeout", "2", "bash", "-c", &words]).await?;
            let (is_wanted, is_so) = (from.datacenter == to.datacenter, said.code == 0);
            ensure!(is_wanted == is_so, "that {} reaches {}: {is_so}", from.name, to.name);
            anyhow::Ok(())
        }))
        .await?;
        screen::good("hosts reach those of their own datacenter and no other: the firewalls hold");
        Ok(())
    }

    /// A folder of the run's own.
    pub(super) fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        self.place.folder(name)
    }

    /// The last words of those who may know why something went wrong.
    pub(super) async fn confess(&self) {
        for machine in &self.machines {
            screen::note(format_args!("{}:", machine.name));
            let journal = machine
                .ask("journalctl --no-pager --lines=20 --output=cat --unit=echelon-*")
                .await;
            for line in journal.map_or_else(|_| machine.last_words(), |said| said.out).lines() {
                screen::note(format_args!("   {line}"));
            }
        }
        let log = fs::read_to_string(self.place.path().join("coordinator.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(8)..] {
            screen::note(line);
        }
    }

    /// Commands to try while they run.
    pub(super) fn invite(&self) {
        screen::gap();
        screen::head("They stay. In another terminal:");
        screen::gap();
        for (name, value) in self.coordinator.environment(Person::Alice) {
            screen::plain(format_args!("export {name}={value}"));
        }
        screen::plain("echelon host list");
        for machine in &self.machines {
            screen::plain(format_args!("{}   # a shell on {}", machine.shell(), machine.name));
        }
        screen::gap();
        screen::note("Ctrl-C here ends everything");
    }

    /// Switches all off, and looks that nothing is left of it on this machine.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        let off = self
            .machines
            .iter()
            .map(|machine| machine.must("systemctl --no-block poweroff"));
        try_join_all(off).await?;
        self.coordinator.stop().await?;
        let (prefix, folder) = (self.slot.prefix(), self.place.path().to_owned());
        tokio::task::spawn_blocking(move || drop(self)).await?;
        let left = slot::left(&prefix);
        ensure!(left.is_empty(), "still there: {}", left.join(", "));
        let mounts = tool::must(tool::line("cat /proc/self/mounts"), "", tool::SHORT).await?;
        let mounts: Vec<_> = mounts
            .lines()
            .filter(|line| line.contains(&folder.display().to_string()))
            .collect();
        ensure!(mounts.is_empty(), "still mounted: {}", mounts.join(", "));
        screen::good("all hosts are off; no process, mount, namespace, interface or cgroup of theirs is left");
        Ok(())
    }
}

/// The second host of a datacenter is done early in the phase that takes long.
fn work(name: &str) -> &'static str {
    if name.ends_with("-2") { "early" } else { "late" }
}
