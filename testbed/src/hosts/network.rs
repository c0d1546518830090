//! The network: each datacenter is a namespace with a bridge for its hosts and one line out, which ends at this machine,
//! where the coordinator is. The datacenter's firewall lets its hosts reach the coordinator and the server of artifacts,
//! and lets this machine ask the hosts' services; nothing else passes, and nothing from one datacenter to another.
//!
//! ```text
//! host0 (10.N.D.H) -- lan [datacenter D: 10.N.D.1, firewall] wan -- echN-upD [this machine: 10.N.0.1]
//! ```
//!
//! Deliberately no address translation: who talks to whom can be seen.

use std::{fmt::Write as _, net::Ipv4Addr};

use super::{
    slot::Slot,
    tool::{self, SHORT},
};

/// Where the hosts' services answer.
pub(super) const SERVICE_PORT: u16 = 8080;
/// The hosts begin here in their datacenter; before it is the router.
const FIRST_HOST: u8 = 11;

/// All of it; taken away with the slot.
#[derive(Debug)]
pub(super) struct Network {
    prefix: String,
    /// Of this machine, as the hosts see it.
    pub(super) core: Ipv4Addr,
    /// Of this machine's, what hosts may reach; of datacenters that are added later.
    pub(super) open: Vec<u16>,
}

/// One host's place in it.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Its namespace.
    pub(super) namespace: String,
    /// Its address.
    pub(super) address: Ipv4Addr,
}

impl Network {
    /// This machine's side; no datacenter yet.
    pub(super) async fn new(slot: &Slot) -> anyhow::Result<Self> {
        let network = Self {
            prefix: slot.prefix(),
            core: slot.address(0, 1),
            open: Vec::new(),
        };
        let core = format!("{}core", network.prefix);
        // A bridge without ports: it is there only to have the address.
        run(&[
            &format!("ip link add {core} type bridge"),
            &format!("ip address add {}/32 dev {core}", network.core),
            &format!("ip link set {core} up"),
        ])
        .await?;
        Ok(network)
    }

    fn datacenter(&self, number: u8) -> String {
        format!("{}dc{number}", self.prefix)
    }

    /// A datacenter, from 1, with its hosts' lines.
    pub(super) async fn add(&self, slot: &Slot, number: u8, hosts: u8) -> anyhow::Result<Vec<Line>> {
        let (name, up, core) = (self.datacenter(number), format!("{}up{number}", self.prefix), self.core);
        let (router, all) = (slot.address(number, 1), slot.address(number, 0));
        run(&[
            &format!("ip netns add {name}"),
            &format!("ip -n {name} link set lo up"),
            &format!("ip -n {name} link add lan type bridge"),
            &format!("ip -n {name} address add {router}/24 dev lan"),
            &format!("ip -n {name} link set lan up"),
            &format!("ip link add {up} type veth peer name wan netns {name}"),
            &format!("ip link set {up} up"),
            &format!("ip -n {name} link set wan up"),
            &format!("ip -n {name} route add {core}/32 dev wan"),
            &format!("ip route add {all}/24 via {router} dev {up} onlink src {core}"),
            &format!("ip netns exec {name} sysctl --quiet --write net.ipv4.ip_forward=1"),
        ])
        .await?;
        self.heal(number).await?;
        let mut lines = Vec::new();
        for host in 0..hosts {
            let (namespace, address) = (format!("{name}-{}", host + 1), slot.address(number, FIRST_HOST + host));
            run(&[
                &format!("ip netns add {namespace}"),
                &format!("ip -n {name} link add port{host} type veth peer name host0 netns {namespace}"),
                &format!("ip -n {name} link set port{host} master lan up"),
                &format!("ip -n {namespace} link set lo up"),
                &format!("ip -n {namespace} address add {address}/24 dev host0"),
                &format!("ip -n {namespace} link set host0 up"),
                &format!("ip -n {namespace} route add default via {router}"),
            ])
            .await?;
            lines.push(Line { namespace, address });
        }
        Ok(lines)
    }

    /// From now on nothing passes between this datacenter and the coordinator, either way; no connection is closed.
    pub(super) async fn cut(&self, datacenter: u8) -> anyhow::Result<()> {
        self.wall(datacenter, "iifname lan oifname lan accept\n").await
    }

    /// All is as at the begin.
    pub(super) async fn heal(&self, datacenter: u8) -> anyhow::Result<()> {
        let ports: Vec<_> = self.open.iter().map(u16::to_string).collect();
        let mut rules = String::from("ct state established,related accept\n");
        let (core, ports) = (self.core, ports.join(", "));
        // Where the kernel shows bridged packets to firewalls, neighbours are seen here too.
        rules.push_str("iifname lan oifname lan accept\n");
        let _ = writeln!(rules, "iifname lan ip daddr {core} tcp dport {{ {ports} }} accept");
        let _ = writeln!(rules, "iifname wan ip saddr {core} tcp dport {SERVICE_PORT} accept");
        self.wall(datacenter, &rules).await
    }

    async fn wall(&self, datacenter: u8, rules: &str) -> anyhow::Result<()> {
        let text = format!(
            "flush ruleset\ntable inet echelon {{\nchain forward {{\ntype filter hook forward priority 0\npolicy drop\n{rules}}}\n}}\n"
        );
        let nft = tool::line(&format!("ip netns exec {} nft --file -", self.datacenter(datacenter)));
        tool::must(nft, &text, SHORT).await.map(drop)
    }
}

async fn run(lines: &[&str]) -> anyhow::Result<()> {
    for line in lines {
        tool::must(tool::line(line), "", SHORT).await?;
    }
    Ok(())
}
