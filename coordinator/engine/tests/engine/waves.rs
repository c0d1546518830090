//! What holds of every plan: no host is lost and none goes twice, waves are as large as the language says, and the same
//! inputs give the same bytes. Fleets and waves are made by chance; what is right is counted here by whole numbers, and
//! not by asking the language again.

use std::collections::{BTreeMap, BTreeSet};

use echelon_engine::plan::{self, LanePlan, Plan};
use echelon_playbooks::{
    Playbook,
    model::{Amount, Wave, Waves},
};
use echelon_proto::{HostId, Span, Time};
use proptest::prelude::*;

use crate::world::{World, name};

const PLAYBOOK: &str = include_str!("../scenarios/rolling.yaml");
const DATACENTERS: [&str; 4] = ["dc1", "dc2", "dc3", "dc4"];
const POOLS: [&str; 3] = ["front", "back", "edge"];
const HOSTS_MAX: usize = 300;

/// Name, datacenter, pool.
type Member = (String, &'static str, &'static str);

fn amount() -> impl Strategy<Value = Amount> {
    prop_oneof![
        (1..40_u32).prop_map(Amount::Hosts),
        (1..=100_u8).prop_map(Amount::Percent)
    ]
}

/// Any sizes in any order, also such that a wave has no host left; the last is all, as the linter wants it. None: the
/// ladder.
fn sizes() -> impl Strategy<Value = Option<Vec<Amount>>> {
    let listed = prop::collection::vec(amount(), 0..8).prop_map(|mut sizes| {
        sizes.push(Amount::Percent(100));
        Some(sizes)
    });
    prop_oneof![4 => listed, 1 => Just(None)]
}

/// Mostly few hosts, sometimes many.
fn fleet() -> impl Strategy<Value = Vec<Member>> {
    let count = prop_oneof![1..=12_usize, 1..=60_usize, 1..=HOSTS_MAX];
    let member = (0..DATACENTERS.len(), 0..POOLS.len());
    count.prop_flat_map(move |count| {
        prop::collection::vec(member.clone(), count).prop_map(|members| {
            let named = members.into_iter().enumerate();
            let member = |(at, (dc, pool))| (format!("h{at}"), DATACENTERS[dc], POOLS[pool]);
            named.map(member).collect()
        })
    })
}

fn playbook(sizes: Option<&[Amount]>, max_unavailable: Amount) -> Playbook {
    let mut playbook = echelon_playbooks::read(PLAYBOOK).unwrap().playbook;
    let deploy = &mut playbook.stages[0].deploy;
    let Waves::Listed(written) = &deploy.waves else {
        panic!("rolling.yaml lists its waves")
    };
    let like = written[0].clone();
    let wave = |(at, size): (usize, &Amount)| Wave {
        name: name(&format!("w{}", at + 1)),
        size: *size,
        ..like.clone()
    };
    deploy.waves = match sizes {
        Some(sizes) => Waves::Listed(sizes.iter().enumerate().map(wave).collect()),
        None => Waves::Ladder {
            bake: Span::secs(0),
            gates: Vec::new(),
        },
    };
    deploy.max_unavailable = max_unavailable;
    playbook
}

/// The plan for hosts that joined in this order. Those of `there` attached too.
fn plan(fleet: &[Member], there: impl Fn(&str) -> bool, playbook: &Playbook) -> Plan {
    let mut world = World::new();
    for (host, datacenter, pool) in fleet {
        world.join(datacenter, pool, host, &[]);
        if there(host) {
            world.attach(host);
        }
    }
    world.release("1.0");
    world.push(playbook.clone(), PLAYBOOK);
    let request = world.request("1.0", "rolling");
    plan::make(world.engine.state(), &request, &name("root"), Time(5_000_000)).unwrap()
}

/// So many of so many, as the language says it: whole percents rounded down, but at least one host.
fn share(amount: Amount, of: usize) -> usize {
    match amount {
        Amount::Hosts(hosts) => (hosts as usize).min(of),
        Amount::Percent(0) => 0,
        Amount::Percent(percent) => (of * usize::from(percent) / 100).max(1).min(of),
    }
}

/// Name and size of each wave that has a host.
fn right(sizes: Option<&[Amount]>, hosts: usize) -> Vec<(String, usize)> {
    let ladder = match hosts {
        0..=1 => &[100][..],
        2..=3 => &[50, 100],
        4..=7 => &[25, 50, 100],
        _ => &[10, 25, 50, 100],
    };
    let sizes = sizes.map_or_else(|| ladder.iter().map(|p| Amount::Percent(*p)).collect(), <[_]>::to_vec);
    let (mut waves, mut before) = (Vec::new(), 0);
    for (at, size) in sizes.into_iter().enumerate() {
        let upto = share(size, hosts).max(before);
        if upto > before {
            waves.push((format!("w{}", at + 1), upto - before));
        }
        before = upto;
    }
    waves
}

fn hosts_of(lane: &LanePlan) -> Vec<&HostId> {
    let hosts = lane.waves.iter().flat_map(|wave| &wave.hosts);
    hosts.map(|planned| &planned.host).collect()
}

/// None lost, none twice, each in its own lane and pool.
fn partitions(plan: &Plan, fleet: &[Member]) -> Result<(), TestCaseError> {
    let lanes: BTreeSet<_> = plan.lanes.iter().map(|lane| &lane.datacenter).collect();
    prop_assert_eq!(lanes.len(), plan.lanes.len(), "two lanes of one datacenter");
    let mut left: BTreeMap<HostId, (&str, &str)> = fleet
        .iter()
        .map(|(host, datacenter, pool)| (name(host), (*datacenter, *pool)))
        .collect();
    for lane in &plan.lanes {
        let mut pooled: BTreeMap<&HostId, &str> = BTreeMap::new();
        for pool in &lane.capacity {
            for host in &pool.hosts {
                let twice = pooled.insert(host, pool.pool.as_str());
                prop_assert!(twice.is_none(), "{} is in two pools", host);
            }
        }
        prop_assert!(
            lane.waves.iter().all(|wave| !wave.hosts.is_empty()),
            "a wave without a host"
        );
        prop_assert_eq!(pooled.len(), hosts_of(lane).len());
        for host in hosts_of(lane) {
            let member = left.remove(host);
            let Some((datacenter, pool)) = member else {
                return Err(TestCaseError::fail(format!(
                    "{host} goes twice, or was never asked for"
                )));
            };
            prop_assert_eq!(lane.datacenter.as_str(), datacenter);
            prop_assert_eq!(pooled.get(host).copied(), Some(pool));
        }
    }
    prop_assert!(left.is_empty() && plan.body.skipped.is_empty(), "never go: {:?}", left);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn waves_are_as_large_as_written_and_hold_each_host_once(
        fleet in fleet(),
        sizes in sizes(),
        max_unavailable in amount(),
    ) {
        let plan = plan(&fleet, |_| true, &playbook(sizes.as_deref(), max_unavailable));
        partitions(&plan, &fleet)?;
        for lane in &plan.lanes {
            let hosts = fleet.iter().filter(|(_, datacenter, _)| *datacenter == lane.datacenter.as_str()).count();
            let waves: Vec<_> = lane.waves.iter().map(|wave| (wave.name.to_string(), wave.hosts.len())).collect();
            prop_assert_eq!(waves, right(sizes.as_deref(), hosts), "{} hosts", hosts);
            for pool in &lane.capacity {
                prop_assert_eq!(pool.max_unavailable as usize, share(max_unavailable, pool.hosts.len()));
            }
        }
    }

    #[test]
    fn the_same_fleet_gives_the_same_bytes_in_whatever_order_it_came(
        (fleet, shuffled) in fleet().prop_flat_map(|fleet| (Just(fleet.clone()), Just(fleet).prop_shuffle())),
        sizes in sizes(),
        away in prop::collection::btree_set(0..HOSTS_MAX, 0..20),
    ) {
        let playbook = playbook(sizes.as_deref(), Amount::Percent(10));
        let away: BTreeSet<String> = away.into_iter().map(|at| format!("h{at}")).collect();
        let there = |host: &str| !away.contains(host);
        let (one, other) = (plan(&fleet, there, &playbook), plan(&shuffled, there, &playbook));
        partitions(&one, &fleet)?;
        prop_assert_eq!(serde_json::to_string(&one).unwrap(), serde_json::to_string(&other).unwrap());
        let again: Plan = serde_json::from_str(&serde_json::to_string(&one).unwrap()).unwrap();
        prop_assert_eq!(again, one);
    }
}
