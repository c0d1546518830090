//! `judge try` by a source: the coordinator has the sources and their passwords, so it asks and judges, as in a rollout; here
//! the gate is put together, and what comes back is shown and judged again as `rollout explain --gate` does.

use echelon_proto::{HostId, Span, wire::control::TryGateRequest};

use super::super::{Outcome, connect, playbook, rollout::gate::show};
use crate::{
    args::{Arms, Global, Live, Own, Try},
    client::ask,
    console::Console,
    error::Error,
    samples::instant,
};

/// Of the only gate of a playbook that is made here.
const GATE: &str = "try";
const EVERY: Span = Span::secs(60);
const BEFORE: Span = Span::secs(30 * 60);
/// Nothing is judged earlier, and a gate with a shorter window is no gate.
const INTERVALS_MIN: u64 = 5;

pub(super) async fn run(args: &Try, global: &Global, console: &mut Console) -> Outcome {
    let now = jiff::Timestamp::now().as_millisecond();
    let deployed = time("--deployed", args.deployed.as_deref())?.unwrap_or(now);
    let until = time("--until", args.live.arms.until.as_deref())?;
    let window = Span(u64::try_from(until.unwrap_or(now).saturating_sub(deployed)).unwrap_or(0));
    let (gate, text) = text(&args.live, window, global, console).await?;
    let request = request(&args.live.arms, &gate, text, deployed, until);
    let mut session = connect(global, console).await?;
    let chunks = session.client.try_gate(ask(request)).await?;
    show(&gate, chunks.into_inner(), args.output, session.console).await
}

fn request(arms: &Arms, gate: &str, text: String, deployed: i64, until: Option<i64>) -> TryGateRequest {
    let stamp = |millis: i64| prost_types::Timestamp {
        seconds: millis.div_euclid(1000),
        nanos: i32::try_from(millis.rem_euclid(1000)).unwrap_or(0) * 1_000_000,
    };
    let names = |hosts: &[HostId]| hosts.iter().map(|host| format!("hosts/{host}")).collect();
    TryGateRequest {
        text,
        gate: gate.to_owned(),
        canary: names(&arms.canary),
        control: names(&arms.control),
        deploy_time: Some(stamp(deployed)),
        end_time: until.map(stamp),
    }
}

fn time(option: &str, text: Option<&str>) -> Result<Option<i64>, Error> {
    let instant = text.map(instant).transpose();
    instant.map_err(|why| Error::usage(format!("{option}: {why}")))
}

/// The gate, and a playbook that has it and needs nothing else.
async fn text(live: &Live, window: Span, global: &Global, console: &mut Console) -> Result<(String, String), Error> {
    if let (Some(named), Some(gate)) = (&live.playbook, &live.gate) {
        let flat = playbook::flat(named, &live.reading, global, console).await?;
        return Ok((gate.to_string(), echelon_playbooks::render(&flat)));
    }
    let Some(text) = own(&live.own, window) else {
        let what = "which gate? name one of a playbook, or say what is asked of which source";
        return Err(Error::usage(what).next("echelon judge try --help"));
    };
    match echelon_playbooks::read(&text) {
        Ok(_) => Ok((GATE.to_owned(), text)),
        Err(faults) => Err(playbook::told("the gate", &faults, console)?),
    }
}

/// A playbook around the gate: whoever reads playbooks can read it then.
fn own(own: &Own, window: Span) -> Option<String> {
    let every = own.every.unwrap_or(EVERY);
    let window = Span(window.0.max(every.0.saturating_mul(INTERVALS_MIN)));
    // JSON's text is a text of YAML.
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let metrics: String = own.ask.iter().map(|metric| format!("      {metric}\n")).collect();
    let gate = format!(
        "gates:\n  {GATE}:\n    kind: canary\n    source: {}\n    label: {}\n    host: {}\n    every: {}ms\n    before: \
         {}ms\n    for: {}ms\n    extend: 0\n    metrics:\n{metrics}",
        text(own.source.as_ref()?.as_str()),
        text(own.label.as_ref()?.as_str()),
        text(own.host.as_deref()?),
        every.0,
        own.before.unwrap_or(BEFORE).0,
        window.0,
    );
    Some(format!("{HEAD}{gate}{STAGES}"))
}

/// What a playbook must have before its gates, whatever it is for.
const HEAD: &str = "\
name: try
version: 1
hosts: { selector: app }
machine:
  initial: absent
  states: { absent: { traffic: none }, serving: { traffic: full } }
  phases:
    - { name: leave, from: serving, to: absent, run: { argv: [leave] }, timeout: 1m, undo: gone }
    - { name: install, from: absent, to: serving, sets: release, run: { argv: [install] }, timeout: 1m, undo: gone }
  compensations: [{ name: gone, run: { argv: [gone] }, timeout: 1m }]
  operations: { deploy: { to: serving, release: target } }
";
/// And after them.
const STAGES: &str = "\
stages:
  - name: roll
    deploy:
      operation: deploy
      waves: [{ name: first, size: 1, gates: [try] }, { name: rest, size: 100% }]
      max_unavailable: 1
      max_parallel: 1
";

#[cfg(test)]
mod tests {
    use echelon_playbooks::model::GateKind;

    use super::*;

    #[test]
    fn a_gate_that_is_said_on_the_command_line_is_one_of_a_playbook() {
        let said = Own {
            source: Some("graphite".parse().unwrap()),
            label: Some("target".parse().unwrap()),
            host: Some("${{ host.name }}".to_owned()),
            ask: vec![
                "cpu: { kind: gauge, query: 'aliasByNode(app.*.cpu, 1)', tolerance: 5% }".to_owned(),
                "slo: { kind: guard, query: \"p99\", above: 0.5 }".to_owned(),
            ],
            every: Some(Span::secs(10)),
            before: None,
        };
        let read = echelon_playbooks::read(&own(&said, Span(12_345)).unwrap());
        let playbook = read.unwrap_or_else(|faults| panic!("{faults}")).playbook;
        let GateKind::Canary(canary) = &playbook.gates.values().next().unwrap().kind else {
            panic!("{:?}", playbook.gates)
        };
        assert_eq!(canary.metrics.len(), 2);
        assert_eq!((canary.every, canary.before), (Span::secs(10), BEFORE));
        assert_eq!(canary.longest(), Span::secs(50), "a shorter window is no gate");
        assert_eq!(own(&Own { source: None, ..said }, EVERY), None);
    }
}
