//! Scripts in `tests/scenarios/*.script`, each with its golden answer in `*.golden`. `BLESS=1 cargo test` writes the answers
//! anew; read the difference before you commit it. The language is in `tests/scenarios/README.md`.

mod drift;

use std::{fmt::Write as _, fs, path::Path};

use echelon_engine::{
    Decision, Refusal, Reply,
    command::{Command, IfRunning, PlanRequest, Start, Verb, What},
    effect::Effect,
    event::PhaseResult,
    view,
};
use echelon_playbooks::model::{Action, Place};
use echelon_proto::{ParamName, PlanId, Span};

use crate::world::{World, name, person};

#[test]
fn every_script_has_its_golden_answer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut scripts: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "script"));
    scripts.sort();
    assert!(
        scripts.len() >= 10,
        "only {} scripts in {}",
        scripts.len(),
        folder.display()
    );
    let mut differ = Vec::new();
    for script in scripts {
        let run = || Script::run(&folder, &fs::read_to_string(&script).unwrap());
        let answer = std::panic::catch_unwind(run).unwrap_or_else(|_| panic!("{}", script.display()));
        let golden = script.with_extension("golden");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&golden, &answer).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if expected != answer {
            differ.push(format!(
                "{}:\n--- expected\n{expected}\n--- is\n{answer}",
                script.display()
            ));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n\n"));
}

struct Script {
    world: World,
    out: String,
    playbook: String,
    /// Changes of the next playbook.
    with: Vec<String>,
    plan: Option<PlanId>,
    told: usize,
}

impl Script {
    fn run(folder: &Path, text: &str) -> String {
        let mut script = Self {
            world: World::new(),
            out: String::new(),
            playbook: String::new(),
            with: Vec::new(),
            plan: None,
            told: 0,
        };
        script.told = script.world.journal.len();
        for line in text
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        {
            writeln!(script.out, "> {line}").unwrap();
            let words: Vec<_> = line.split_whitespace().collect();
            script.line(folder, &words);
        }
        script.world.check_replay();
        script.out
    }

    fn line(&mut self, folder: &Path, words: &[&str]) {
        match words {
            ["hosts", datacenter, hosts @ ..] => {
                for host in hosts {
                    self.world.host(datacenter, host);
                }
                self.told = self.world.journal.len();
            }
            ["host", datacenter, host, pool, labels @ ..] => self.host(datacenter, host, pool, labels),
            ["with", change @ ..] => self.with.push(change.join(" ")),
            ["releases", releases @ ..] => releases.iter().for_each(|release| self.world.release(release)),
            ["playbook", playbook, edits @ ..] => self.push(folder, playbook, edits),
            ["installed", release] => {
                let start = self.world.start(release, &self.playbook);
                self.world.command("root", Command::StartRollout(start)).unwrap();
                for _ in 0..20 {
                    self.world.obey();
                    self.world.probe(None, true);
                    self.world.pass(Span::secs(60));
                }
                self.told = self.world.journal.len();
            }
            ["start", rest @ ..] => self.start(rest),
            ["plan", words @ ..] => self.plan(words),
            ["report", host, result, rest @ ..] => self.report(host, result, rest.first().map(|code| name(code))),
            ["obey"] => self.world.obey(),
            ["healthy", only @ ..] => self.world.probe(only.first().copied(), true),
            ["unhealthy", only @ ..] => self.world.probe(only.first().copied(), false),
            ["attach", host] => self.world.attach(host),
            ["attach", host, labels @ ..] => {
                let labels = labels.iter().map(|label| label.split_once('=').unwrap());
                let labels = labels.map(|(key, value)| (name(key), value.to_owned()));
                self.world.attach_with(host, labels.collect());
            }
            ["tamper", host, "gone"] => self.world.tamper(host, None),
            ["tamper", host, state, release] => self.world.tamper(host, Some((state, release))),
            ["detach", host] => self.world.detach(host),
            ["restart"] => self.world.restart(),
            ["reattach"] => {
                let hosts: Vec<_> = self
                    .world
                    .engine
                    .state()
                    .hosts
                    .keys()
                    .map(ToString::to_string)
                    .collect();
                hosts.iter().for_each(|host| self.world.attach(host));
            }
            ["drift", words @ ..] => return self.drift(words),
            ["converge", words @ ..] => self.converge(words),
            ["show", rollout] => return self.show(rollout),
            ["explain", rollout] => return self.explain(rollout),
            ["account", rollout] => return self.account(rollout),
            ["owed"] => return self.owed(),
            ["does", host] => return self.does(host),
            [span] if span.starts_with('+') => self.world.pass(name(&span[1..])),
            [verb, rollout, rest @ ..] => self.act(verb, rollout, rest),
            _ => panic!("no such line: {words:?}"),
        }
        self.tell();
    }

    fn push(&mut self, folder: &Path, playbook: &str, edits: &[&str]) {
        let mut text = fs::read_to_string(folder.join(format!("{playbook}.yaml"))).unwrap();
        for edit in edits {
            let (old, new) = edit.split_once("=>").unwrap();
            assert!(text.contains(old), "{playbook}.yaml has no {old:?}");
            text = text.replace(old, new);
        }
        self.world.playbook(&text, &std::mem::take(&mut self.with));
        self.playbook = playbook.into();
    }

    fn host(&mut self, datacenter: &str, host: &str, pool: &str, labels: &[&str]) {
        let labels: Vec<_> = labels.iter().map(|label| label.split_once('=').unwrap()).collect();
        self.world.host_with(datacenter, host, pool, &labels);
        self.told = self.world.journal.len();
    }

    /// What happened since the last line.
    fn tell(&mut self) {
        let state = self.world.engine.state();
        for (at, record) in &self.world.journal[self.told..] {
            if let Some(event) = view::event(state, *at, record) {
                let place = [
                    event.datacenter.map(|dc| dc.to_string()),
                    event.wave.map(|wave| wave.to_string()),
                    event.host.map(|host| host.to_string()),
                    event.phase.map(|phase| phase.to_string()),
                ];
                let place = place.into_iter().flatten().collect::<Vec<_>>().join("/");
                let actor = event.actor.map(|actor| format!(" [{actor}]")).unwrap_or_default();
                let space = if place.is_empty() { "" } else { " " };
                writeln!(
                    self.out,
                    "  {} {}{space}{place}: {}{actor}",
                    event.rollout, event.kind, event.text
                )
                .unwrap();
            }
        }
        self.told = self.world.journal.len();
    }

    fn answer(&mut self, decision: Result<Decision, Refusal>) {
        match decision {
            Ok(Decision {
                reply: Reply::Rollout(rollout),
                ..
            }) => writeln!(self.out, "  = {rollout}").unwrap(),
            Ok(Decision {
                reply: Reply::Plan(plan),
                ..
            }) => self.plan = Some(plan),
            Ok(Decision { reply: Reply::Done, .. }) => {}
            Err(refusal) => writeln!(self.out, "  ! {}: {refusal}", refusal.reason.name()).unwrap(),
        }
    }

    fn start(&mut self, words: &[&str]) {
        let mut start = self.world.start(words[0], &self.playbook);
        let mut by = "alice";
        for word in &words[1..] {
            match word.split_once('=').unwrap() {
                ("by", who) => by = who,
                ("at", span) => start.at = Some(self.world.now + name(&span[1..])),
                ("id", id) => start.request_id = Some(name(id)),
                ("operation", operation) => self.request(&mut start).operation = Some(name(operation)),
                ("dc", datacenter) => self.request(&mut start).datacenters.push(name(datacenter)),
                ("host", host) => self.request(&mut start).hosts.push(name(host)),
                ("playbook", playbook) => self.request(&mut start).playbook = name(playbook),
                ("plan", _) => start.what = What::Plan(self.plan.clone().unwrap()),
                ("if", "refuse") => start.if_running = IfRunning::Refuse,
                ("if", "attach") => start.if_running = IfRunning::Attach,
                ("if", "supersede") => start.if_running = IfRunning::Supersede,
                (name, value) if name.starts_with("--") => {
                    let setting = setting(&format!("{name}={value}"));
                    self.request(&mut start).params.extend([setting]);
                }
                other => panic!("{other:?}"),
            }
        }
        let by = person(by).to_string();
        let answer = self.world.command(&by, Command::StartRollout(start));
        self.answer(answer);
    }

    /// What the start is to plan.
    fn request<'a>(&self, start: &'a mut Start) -> &'a mut PlanRequest {
        match &mut start.what {
            What::Request(request) => request,
            What::Plan(_) => panic!("a plan that was made names all that already"),
        }
    }

    fn plan(&mut self, words: &[&str]) {
        let mut request = self.world.request(words[0], &self.playbook);
        for word in &words[1..] {
            match word.strip_prefix("host=") {
                Some(host) => request.hosts.push(name(host)),
                None => request.params.extend([setting(word)]),
            }
        }
        self.plan_of(request);
    }

    fn plan_of(&mut self, request: PlanRequest) {
        let answer = self.world.command("alice", Command::CreatePlan(request));
        let refused = answer.is_err();
        self.answer(answer);
        if refused {
            return;
        }
        let Some(plan) = self
            .plan
            .as_ref()
            .and_then(|id| self.world.engine.state().plans.get(id))
        else {
            return;
        };
        for lane in &plan.lanes {
            for wave in &lane.waves {
                for host in &wave.hosts {
                    let phases: Vec<_> = host.phases.iter().map(ToString::to_string).collect();
                    let phases = phases.join(" ");
                    writeln!(
                        self.out,
                        "  {}/{}/{} {}: {phases}",
                        lane.datacenter, wave.name, host.host, host.state
                    )
                    .unwrap();
                }
            }
        }
        let params = plan.body.params.iter();
        let params: Vec<_> = params.map(|(name, value)| format!(" {name}={value}")).collect();
        if !params.is_empty() {
            writeln!(self.out, "  with{}", params.concat()).unwrap();
        }
        for (what, hosts) in [("at the goal", &plan.body.skipped), ("left out", &plan.body.left_out)] {
            let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
            if !hosts.is_empty() {
                writeln!(self.out, "  {what}: {}", hosts.join(" ")).unwrap();
            }
        }
    }

    fn report(&mut self, host: &str, result: &str, exit_code: Option<i32>) {
        let orders = self.world.orders();
        let order = orders.iter().find(|order| order.fence.host.as_str() == host);
        let order = order.unwrap_or_else(|| panic!("nothing is owed to {host}"));
        let result = match result {
            "done" => PhaseResult::Done,
            "failed" => PhaseResult::Failed,
            "timed_out" => PhaseResult::TimedOut,
            "refused" => PhaseResult::Refused,
            "lost" => PhaseResult::Lost,
            "held_back" => PhaseResult::HeldBack,
            other => panic!("{other}"),
        };
        self.world.report(order, result, exit_code);
    }

    fn act(&mut self, verb: &str, rollout: &str, words: &[&str]) {
        let verb = match verb {
            "approve" => Verb::Approve,
            "reject" => Verb::Reject,
            "pause" => Verb::Pause,
            "resume" => Verb::Resume,
            "promote" => Verb::Promote,
            "retry" => Verb::Retry,
            "skip" => Verb::Skip,
            "abort" => Verb::Abort,
            "rollback" => Verb::Rollback,
            other => panic!("no such line: {other}"),
        };
        let mut act = self.world.act(verb, rollout);
        let mut by = "alice";
        for word in words {
            match word.split_once('=').unwrap() {
                ("by", who) => by = who,
                ("dc", datacenter) => act.datacenter = Some(name(datacenter)),
                ("host", host) => act.host = Some(name(host)),
                ("etag", etag) => act.etag = Some(name(etag)),
                ("id", id) => act.request_id = Some(name(id)),
                ("reason", "none") => act.reason = String::new(),
                other => panic!("{other:?}"),
            }
        }
        if let Err(refusal) = self.world.command(by, Command::Act(act)) {
            writeln!(self.out, "  ! {}: {refusal}", refusal.reason.name()).unwrap();
        }
    }

    fn show(&mut self, rollout: &str) {
        let view = view::rollout(self.world.engine.state(), &name(rollout), self.world.now).unwrap();
        writeln!(self.out, "  {:?}: {}", view.state, view.reason).unwrap();
        for lane in &view.lanes {
            writeln!(self.out, "  {} {}", lane.datacenter, lane.state).unwrap();
            for wave in &lane.waves {
                let counts = [
                    ("done", wave.done),
                    ("running", wave.running),
                    ("failed", wave.failed),
                    ("skipped", wave.skipped),
                    ("back", wave.rolled_back),
                    ("debt", wave.debt),
                ];
                let counts = counts
                    .iter()
                    .filter(|(_, n)| *n > 0)
                    .map(|(what, n)| format!(" {n} {what}"));
                let gates = wave
                    .gates
                    .iter()
                    .map(|gate| format!("; {} {} {}", gate.gate, gate.state, gate.detail));
                let counts: String = counts.collect();
                let gates: String = gates.collect();
                writeln!(
                    self.out,
                    "    {} {} of {}:{counts}{gates}",
                    wave.wave, wave.state, wave.hosts
                )
                .unwrap();
            }
        }
        for line in &view.waiting {
            writeln!(self.out, "  waits: {line}").unwrap();
        }
    }

    fn explain(&mut self, rollout: &str) {
        let config = echelon_engine::Config::default();
        let now = self.world.now;
        for line in view::explain(self.world.engine.state(), &config, &name(rollout), now) {
            writeln!(
                self.out,
                "  [{}] {} | {} | {}",
                line.subject, line.text, line.who, line.command
            )
            .unwrap();
        }
    }

    fn account(&mut self, rollout: &str) {
        let account = view::report(self.world.engine.state(), &name(rollout), self.world.now).unwrap();
        for row in account.hosts {
            let [from, left] = [row.from_release, row.release].map(|it| it.map_or("-".into(), |it| it.to_string()));
            let (host, outcome, state) = (row.host, row.outcome, row.state);
            writeln!(self.out, "  {host} {outcome}: {from} -> {left} {state}").unwrap();
        }
    }

    fn does(&mut self, host: &str) {
        let orders = self.world.orders();
        let order = orders.iter().find(|order| order.fence.host.as_str() == host);
        let order = order.unwrap_or_else(|| panic!("nothing is owed to {host}"));
        let what = match &order.action {
            Some(Action::Run(run)) => run.argv.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            other => serde_json::to_string(other).unwrap(),
        };
        writeln!(self.out, "  {}: {what}", order.fence.phase).unwrap();
    }

    fn owed(&mut self) {
        for effect in self.world.engine.owed().values() {
            match effect.as_ref() {
                Effect::Order(order) => {
                    let release = order
                        .release
                        .as_ref()
                        .map_or("-".into(), |artifact| artifact.release.to_string());
                    let mut more = String::new();
                    more.push_str(if order.action.is_none() { ", a note" } else { "" });
                    more.push_str(if order.on == Place::Coordinator {
                        ", run by the coordinator"
                    } else {
                        ""
                    });
                    let guards: Vec<_> = order.guards.iter().map(|(guard, _)| guard.as_str()).collect();
                    if !guards.is_empty() {
                        write!(more, ", guarded by {}", guards.join(" ")).unwrap();
                    }
                    for (variable, value) in &order.variables {
                        write!(more, "\n    {variable} = {value}").unwrap();
                    }
                    writeln!(self.out, "  order {} with {release}{more}", order.fence).unwrap();
                }
                Effect::Watch(watch) => writeln!(self.out, "  watch {} on {}", watch.id, watch.host).unwrap(),
                Effect::Canary(owed) => writeln!(self.out, "  compare {} in {}", owed.gate, owed.datacenter).unwrap(),
                Effect::Notify(word) => writeln!(self.out, "  notify {}", word.kind).unwrap(),
            }
        }
    }
}

/// `--port=80`
fn setting(word: &str) -> (ParamName, String) {
    let (param, value) = word.trim_start_matches("--").split_once('=').unwrap();
    (name(param), value.to_owned())
}
