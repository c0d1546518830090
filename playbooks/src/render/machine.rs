//! States, phases and operations, written out.

use super::{action, item::Item};
use crate::model::{
    Action, Leftovers, Machine, Monitor, OnTimeout, Operation, Phase, Place, ReleaseGoal, Retry, State, Traffic,
};

pub(super) fn machine(machine: &Machine) -> Item {
    let Machine {
        initial,
        states,
        phases,
        compensations,
        operations,
    } = machine;
    let states = states
        .iter()
        .fold(Item::map(), |map, (name, of)| map.with(name.as_str(), state(of)));
    let operations = operations
        .iter()
        .fold(Item::map(), |map, (name, of)| map.with(name.as_str(), operation(of)));
    Item::map()
        .with("initial", Item::text(initial))
        .with("states", states)
        .with("phases", Item::List(phases.iter().map(phase).collect()))
        .with_some(
            "compensations",
            Item::List(compensations.iter().map(phase).collect()).filled(),
        )
        .with("operations", operations)
}

fn state(state: &State) -> Item {
    let State {
        traffic,
        point_of_no_return,
        monitor,
    } = state;
    let traffic = match traffic {
        Traffic::None => "none",
        Traffic::Leaving => "leaving",
        Traffic::Full => "full",
    };
    Item::map()
        .with("traffic", Item::bare(traffic))
        .with("point_of_no_return", Item::bare(point_of_no_return))
        .with_some("monitor", monitor.as_ref().map(monitored))
}

fn monitored(monitor: &Monitor) -> Item {
    let Monitor {
        probe,
        every,
        unhealthy_after,
    } = monitor;
    action::action(probe)
        .with("every", Item::span(*every))
        .with("unhealthy_after", Item::bare(unhealthy_after))
}

/// A phase, or a compensation, which has no `from` and no `to` and nothing that takes it back.
fn phase(phase: &Phase) -> Item {
    let Phase {
        name,
        from,
        to,
        sets_release,
        on,
        action,
        when,
        timeout,
        on_timeout,
        retry,
        verify,
        undo,
        read_only,
        leftovers,
    } = phase;
    let from = Item::List(from.iter().map(Item::text).collect()).filled();
    let mut map = Item::map()
        .with("name", Item::text(name))
        .with_some("from", from)
        .with_some("to", to.as_ref().map(Item::text))
        .with_some("sets", sets_release.then(|| Item::bare("release")));
    for (key, value) in action::entries(action) {
        map = map.with(key, value);
    }
    let on = match on {
        Place::Host => "host",
        Place::Coordinator => "coordinator",
    };
    let on_timeout = match on_timeout {
        OnTimeout::Fail => "fail",
        OnTimeout::Continue => "continue",
        OnTimeout::Hold => "hold",
    };
    let leftovers = match leftovers {
        Leftovers::Leave => "leave",
        Leftovers::End => "end",
        Leftovers::Fail => "fail",
    };
    let leaves_any = matches!(action, Action::Run(_));
    map = map
        .with("on", Item::bare(on))
        .with_some("when", when.as_ref().map(Item::text))
        .with("timeout", Item::span(*timeout))
        .with("on_timeout", Item::bare(on_timeout))
        .with_some("leftovers", leaves_any.then(|| Item::bare(leftovers)))
        .with("retry", retry_of(*retry))
        .with_some("verify", verify.as_ref().map(action::action))
        .with_some("undo", undo.as_ref().map(Item::text));
    let alone = undo.is_none() && to.is_some();
    map.with_some("read_only", alone.then(|| Item::bare(read_only)))
}

fn retry_of(retry: Retry) -> Item {
    let Retry { max, backoff } = retry;
    Item::map()
        .with("max", Item::bare(max))
        .with("backoff", Item::span(backoff))
}

fn operation(operation: &Operation) -> Item {
    let Operation { to, release, via } = operation;
    let release = match release {
        ReleaseGoal::Target => "target",
        ReleaseGoal::Same => "same",
    };
    Item::map()
        .with_some("via", Item::List(via.iter().map(Item::text).collect()).filled())
        .with("to", Item::text(to))
        .with("release", Item::bare(release))
}
