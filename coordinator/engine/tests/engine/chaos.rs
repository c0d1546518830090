//! Chance: operators, hosts, the network and the coordinator's death in any order, from a seed. What must always hold is
//! checked after every event (in `world.rs`); at the end the world is healed, the gates are answered, and every rollout
//! must reach an outcome. A failing seed is named: `ECHELON_SEED=17 cargo test -p echelon-engine --test engine chaos`
//! replays it and tells its story, and `ECHELON_SEEDS=100000` tries more.

use std::collections::BTreeMap;

use echelon_engine::{
    Event,
    command::{Command, IfRunning, Verb, What},
    event::{PhaseResult, Report},
    outcome::Outcome,
    plan::PoolPlan,
    rollout::Status,
};
use echelon_proto::{RolloutId, Span};

use crate::world::{World, name};

const SEEDS: u64 = 200;
const STEPS: u32 = 120;
const PLAYBOOKS: [&str; 5] = ["rolling", "retrying", "signed", "holding", "tolerant"];
/// What a playbook may say besides, drawn anew for each of a seed's playbooks; of each row one or nothing.
const CHANGES: [&[&str]; 10] = [
    &["group_by labels.shard 1 role=follower", "group_by labels.shard 2"],
    &["spread_by labels.shard", "spread_by labels.role pool"],
    &["unreachable wait", "unreachable fail"],
    &[
        "coupling lockstep",
        "coupling lead dc1 canary",
        "coupling lead dc2 rest",
    ],
    &[
        "when stop host.labels.role == 'leader'",
        "when check wave.name != 'canary'",
    ],
    &["when start host.name != 'a2' && host.name != 'b1'"],
    &[
        "on_timeout stop continue",
        "on_timeout install hold",
        "on_timeout start hold",
    ],
    &["on_timeout check continue", "on_timeout check hold"],
    &["on stop coordinator"],
    &[
        "invariant quorum pool.in_service >= 2 || rollout.failed > 0",
        "guard settled bin/is-settled",
    ],
];
const HOSTS: [(&str, &str); 9] = [
    ("dc1", "a1"),
    ("dc1", "a2"),
    ("dc1", "a3"),
    ("dc1", "a4"),
    ("dc2", "b1"),
    ("dc2", "b2"),
    ("dc2", "b3"),
    ("dc3", "c1"),
    ("dc3", "c2"),
];
const VERBS: [Verb; 9] = [
    Verb::Approve,
    Verb::Reject,
    Verb::Pause,
    Verb::Resume,
    Verb::Promote,
    Verb::Retry,
    Verb::Skip,
    Verb::Abort,
    Verb::Rollback,
];

/// xorshift64*: enough for choosing, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % bound
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        (!all.is_empty()).then(|| all[self.below(all.len())].clone())
    }
}

#[test]
fn whatever_happens_the_invariants_hold_and_every_rollout_ends() {
    let only = std::env::var("ECHELON_SEED").ok().map(|seed| seed.parse().unwrap());
    let many = std::env::var("ECHELON_SEEDS")
        .ok()
        .map_or(SEEDS, |seeds| seeds.parse().unwrap());
    let seeds = only.map_or(1..many + 1, |seed: u64| seed..seed + 1);
    let mut reached: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in seeds {
        let run = std::panic::catch_unwind(|| one(seed));
        let outcomes = run.unwrap_or_else(|_| panic!("replay with ECHELON_SEED={seed}"));
        for outcome in outcomes {
            *reached.entry(outcome.name()).or_default() += 1;
        }
    }
    if only.is_none() {
        for outcome in [
            "succeeded",
            "succeeded_with_debt",
            "failed",
            "aborted",
            "rolled_back",
            "expired",
        ] {
            assert!(
                reached.contains_key(outcome),
                "chance never reached {outcome}: {reached:?}"
            );
        }
    }
}

fn one(seed: u64) -> Vec<Outcome> {
    let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut world = World::new();
    for (at, (datacenter, host)) in HOSTS.iter().enumerate() {
        let role = if at % 2 == 0 { "follower" } else { "leader" };
        let shard = if at % 4 < 2 { "s1" } else { "s2" };
        world.host_with(datacenter, host, "front", &[("role", role), ("shard", shard)]);
    }
    for release in ["1.0", "1.1", "1.2"] {
        world.release(release);
    }
    for playbook in PLAYBOOKS {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios");
        let text = std::fs::read_to_string(format!("{folder}/{playbook}.yaml")).unwrap();
        world.playbook(&text, &changes(&mut chance));
    }
    for step in 0..STEPS {
        act(&mut world, &mut chance);
        capacity_holds(&world);
        if step % 40 == 0 {
            world.check_replay();
        }
    }
    heal(&mut world, &mut chance);
    world.check_replay();
    world
        .engine
        .state()
        .rollouts
        .values()
        .map(|rollout| match rollout.status {
            Status::Ended(outcome) => outcome,
            status => panic!(
                "{} has no outcome but is {status:?}: {:?}",
                rollout.id,
                echelon_engine::view::explain(world.engine.state(), &Default::default(), &rollout.id, world.now)
            ),
        })
        .collect()
}

/// One seed in four has playbooks that say nothing besides.
fn changes(chance: &mut Chance) -> Vec<String> {
    let mut changes = vec!["operation park stopped".to_owned(), "operation unpark serving".into()];
    if chance.below(4) != 0 {
        let drawn = CHANGES
            .iter()
            .filter_map(|row| (chance.below(3) == 0).then(|| chance.of(row))?);
        changes.extend(drawn.map(str::to_owned));
    }
    changes
}

fn act(world: &mut World, chance: &mut Chance) {
    let (_, host) = chance.of(&HOSTS).unwrap();
    match chance.below(100) {
        0..8 => start(world, chance),
        8..50 => report(world, chance),
        50..62 => {
            let healthy = chance.below(8) != 0;
            world.probe(if chance.below(2) == 0 { None } else { Some(host) }, healthy);
        }
        62..65 => world.detach(host),
        65..78 => world.attach(host),
        78..81 => restart(world, chance),
        81..90 => world.pass(Span::secs(chance.below(60) as u64 + 1)),
        90..92 => world.pass(Span::secs(3 * 3600)),
        92..95 => {
            world.obey();
            world.probe(None, true);
            world.pass(Span::secs(70));
        }
        _ => wish(world, chance, host),
    }
}

fn report(world: &mut World, chance: &mut Chance) {
    const BAD: [PhaseResult; 5] = [
        PhaseResult::Failed,
        PhaseResult::TimedOut,
        PhaseResult::Refused,
        PhaseResult::Lost,
        PhaseResult::AlreadyDone,
    ];
    let Some(order) = chance.of(&world.orders()) else {
        return;
    };
    let result = if !order.guards.is_empty() && chance.below(3) == 0 {
        PhaseResult::HeldBack
    } else if chance.below(20) == 0 {
        chance.of(&BAD).unwrap()
    } else {
        PhaseResult::Done
    };
    world.report(&order, result, Some(1));
    if chance.below(4) == 0 {
        // Word of the same attempt again, and it says something else: it must change nothing.
        let before = world.engine.state().clone();
        let again = Report {
            fence: order.fence.clone(),
            result: PhaseResult::Failed,
            exit_code: None,
            signal: None,
            message: String::new(),
            tail: String::new(),
            leftovers: Vec::new(),
            standing: None,
        };
        let decision = world.event(Event::HostReported(again)).unwrap();
        assert!(
            decision.records.is_empty() && before == *world.engine.state(),
            "a late report counted"
        );
    }
}

/// Most hosts are back at once, some take their time.
fn restart(world: &mut World, chance: &mut Chance) {
    world.restart();
    for (_, host) in HOSTS {
        if chance.below(8) != 0 {
            world.attach(host);
        }
    }
}

fn wish(world: &mut World, chance: &mut Chance, host: &str) {
    let active: Vec<RolloutId> = world
        .engine
        .state()
        .active()
        .map(|rollout| rollout.id.clone())
        .collect();
    let Some(rollout) = chance.of(&active) else { return };
    let mut act = world.act(chance.of(&VERBS).unwrap(), rollout.as_str());
    if chance.below(2) == 0 {
        act.host = Some(name(host));
    }
    if chance.below(3) == 0 {
        act.datacenter = Some(name(["dc1", "dc2", "dc3"][chance.below(3)]));
    }
    let by = ["alice", "bob"][chance.below(2)];
    if chance.below(3) == 0 {
        act.request_id = Some(name(&format!("q{}", world.journal.len())));
    }
    // A refusal is as good an answer as any: that it changes nothing is checked where it is given.
    let done = world.command(by, Command::Act(act.clone())).is_ok();
    if done && act.request_id.is_some() {
        if chance.below(4) == 0 {
            restart(world, chance);
        }
        let again = world.command(by, Command::Act(act)).unwrap();
        assert_eq!(again.records, Vec::new(), "a request was served twice");
    }
}

fn start(world: &mut World, chance: &mut Chance) {
    let release = chance.of(&["1.0", "1.1", "1.2"]).unwrap();
    let playbook = chance.of(&PLAYBOOKS).unwrap();
    let mut start = world.start(release, playbook);
    if let What::Request(request) = &mut start.what
        && chance.below(5) == 0
    {
        let (operation, datacenter) = chance
            .of(&[("park", "dc3"), ("park", "dc1"), ("unpark", "dc3")])
            .unwrap();
        request.operation = Some(name(operation));
        request.datacenters.push(name(datacenter));
    }
    start.if_running = chance
        .of(&[IfRunning::Queue, IfRunning::Refuse, IfRunning::Supersede])
        .unwrap();
    if chance.below(4) == 0 {
        start.at = Some(world.now + Span::secs(90));
    }
    drop(world.command("alice", Command::StartRollout(start)));
}

/// The hosts that we ourselves have out of service in a pool never exceed its limit. (What the world breaks may: a host
/// that vanishes, one whose phase failed. What we take out on top of that may not.)
fn capacity_holds(world: &World) {
    let state = world.engine.state();
    for rollout in state.active() {
        for lane in &rollout.plan.lanes {
            for pool in &lane.capacity {
                let ours = taken_out(world, rollout, pool);
                assert!(
                    ours <= pool.max_unavailable as usize,
                    "{} has {ours} hosts out in {}",
                    rollout.id,
                    pool.pool
                );
            }
        }
    }
}

/// Hosts that served before this rollout touched them, are reachable, have had no failure, and do not serve now.
fn taken_out(world: &World, rollout: &echelon_engine::rollout::Rollout, pool: &PoolPlan) -> usize {
    let state = world.engine.state();
    let is_out = |id: &&echelon_proto::HostId| {
        let (Some(run), Some(host)) = (rollout.runs.get(*id), state.hosts.get(*id)) else {
            return false;
        };
        let served = run
            .touched
            .as_ref()
            .is_some_and(|t| t.origin.traffic == echelon_engine::host::Serving::Full);
        served && host.is_attached() && run.failure.is_none() && run.current.is_some() && !host.in_service()
    };
    pool.hosts.iter().filter(is_out).count()
}

/// All hosts come back and do as they are told; people answer what they are asked.
fn heal(world: &mut World, chance: &mut Chance) {
    for round in 0..400 {
        let state = world.engine.state();
        if state.active().next().is_none() {
            return;
        }
        let away: Vec<_> = state
            .hosts
            .values()
            .filter(|host| !host.is_attached())
            .map(|h| h.id.to_string())
            .collect();
        away.iter().for_each(|host| world.attach(host));
        world.obey();
        world.probe(None, true);
        let held: Vec<_> = world
            .engine
            .state()
            .active()
            .filter(|rollout| rollout.hold.is_some())
            .map(|r| r.id.to_string())
            .collect();
        for rollout in held {
            let verb = if chance.below(2) == 0 {
                Verb::Resume
            } else {
                Verb::Rollback
            };
            drop(world.command("bob", Command::Act(world.act(verb, &rollout))));
        }
        let asked: Vec<_> = world
            .engine
            .state()
            .active()
            .map(|rollout| rollout.id.to_string())
            .collect();
        for rollout in asked {
            drop(world.command("bob", Command::Act(world.act(Verb::Approve, &rollout))));
            if stands_still(world, &rollout) && round % 10 == 9 {
                // Hosts that failed for good hold their places: somebody has them tried again, or gives up.
                let verb = if round < 200 { Verb::Retry } else { Verb::Abort };
                drop(world.command("bob", Command::Act(world.act(verb, &rollout))));
            }
        }
        world.pass(Span::secs(60));
    }
}

fn stands_still(world: &World, rollout: &str) -> bool {
    let rollout = world.engine.state().rollouts.get(&name::<RolloutId>(rollout)).unwrap();
    rollout.status == Status::Running && rollout.runs.values().all(|run| run.current.is_none())
}
