//! What a change means for a rollout, in words. One table, by the place of the value in the playbook and by which way it
//! went. Deliberately silent where it depends on the fleet or on what the author had in mind.

use super::Turn;

/// The words for a change; `None` where there is nothing certain to say.
pub(super) fn of(path: &[String], turn: Turn, old: Option<&str>, new: Option<&str>) -> Option<&'static str> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["hosts", rest @ ..] => hosts(rest),
        ["lanes", rest @ ..] => lanes(rest),
        ["machine", "states", _, rest @ ..] => state(rest, turn, old, new),
        ["machine", "phases", rest @ ..] => phases(rest, turn, new),
        ["machine", "compensations", _, ..] => Some("a host goes back in another way"),
        ["machine", "operations", _, rest @ ..] => operation(rest, turn),
        ["extends"] => Some("it is laid over another playbook; what comes of that is told besides"),
        ["params", _] if turn == Turn::Removed => Some("plans that give it a value are refused"),
        ["params", _, "default"] if turn == Turn::Removed => Some("it must be given"),
        ["params", ..] => Some("other values can be given"),
        ["machine", "initial"] => Some("a host that never heard of the app begins somewhere else"),
        ["gates", _, rest @ ..] => gate(rest, turn),
        ["stages", _, "deploy", "waves", rest @ ..] => waves(rest, turn),
        ["stages", _, "deploy", "overrides", _, rest @ ..] if !rest.is_empty() => limits(rest, turn),
        ["stages", _, "deploy", rest @ ..] => limits(rest, turn),
        ["invariants", ..] => Some("something else holds hosts back from leaving service"),
        ["on_failure", rest @ ..] => failure(rest, turn),
        ["rollback", rest @ ..] => rollback(rest, turn, new),
        _ => None,
    }
}

fn hosts(path: &[&str]) -> Option<&'static str> {
    match path {
        ["expect", ..] => Some("plans are refused at other numbers of hosts"),
        ["unreachable"] => Some("a host that cannot be reached leads to something else"),
        ["selector" | "exclude"] => Some("other hosts may be chosen: look at `echelon plan`"),
        _ => None,
    }
}

fn lanes(path: &[&str]) -> Option<&'static str> {
    match path {
        ["datacenters"] => Some("other datacenters take part"),
        ["coupling", ..] => Some("lanes wait for one another in another way"),
        ["on_lane_failure"] => Some("the other lanes do something else when one fails"),
        _ => None,
    }
}

fn state(path: &[&str], turn: Turn, old: Option<&str>, new: Option<&str>) -> Option<&'static str> {
    match (path, turn) {
        ([], Turn::Added) => Some("a new place where a host can stand"),
        ([], Turn::Removed) => Some("a host that stands there has no way on"),
        (["traffic"], _) if new == Some("full") => Some("hosts that stand there count as in service"),
        (["traffic"], _) if old == Some("full") => Some("hosts that stand there no longer count as in service"),
        (["monitor"], Turn::Added) => Some("hosts that stand there are asked, and can count as in error"),
        (["monitor"], Turn::Removed) => Some("hosts that stand there are no longer asked"),
        (["monitor", ..], _) => Some("something else decides whether hosts that stand there are in error"),
        (["point_of_no_return"], _) if new == Some("true") => Some("nothing goes back by itself from there on"),
        (["point_of_no_return"], _) => Some("hosts go back by themselves from there too"),
        _ => None,
    }
}

fn phases(path: &[&str], turn: Turn, new: Option<&str>) -> Option<&'static str> {
    match (path, turn) {
        ([], _) => Some("of two equally short ways the one written first is taken"),
        ([_], Turn::Added) => Some("hosts may take another way: look at `echelon plan`"),
        ([_], Turn::Removed) => Some("hosts must take another way: look at `echelon plan`"),
        ([_, "from" | "to" | "sets"], _) => Some("hosts may take another way: look at `echelon plan`"),
        ([_, "timeout"], Turn::More) => Some("an attempt may take longer before it counts as failed"),
        ([_, "timeout"], Turn::Less) => Some("an attempt counts as failed sooner"),
        ([_, "retry", "max"], Turn::More) => Some("more tries before the host counts as failed"),
        ([_, "retry", "max"], Turn::Less) => Some("fewer tries before the host counts as failed"),
        ([_, "retry", "backoff"], Turn::More) => Some("a longer wait before a new try"),
        ([_, "retry", "backoff"], Turn::Less) => Some("a shorter wait before a new try"),
        ([_, "verify"], Turn::Added) => Some("it is asked before and after whether it is done"),
        ([_, "verify"], Turn::Removed) => Some("nothing asks any more whether it is done"),
        ([_, "verify", ..], _) => Some("something else decides whether it is done"),
        ([_, "undo"], Turn::Removed) => Some("nothing takes it back any more"),
        ([_, "undo"], _) => Some("it is taken back in another way"),
        ([_, "read_only"], _) if new == Some("true") => Some("there is nothing to take back"),
        ([_, "when"], _) => Some("it is passed over on other hosts"),
        ([_, "on_timeout"], _) => Some("a timeout leads to something else"),
        ([_, "leftovers"], _) => Some("something else becomes of processes that it leaves running"),
        (
            [
                _,
                "run" | "http" | "tcp" | "systemd" | "poll" | "file" | "uses" | "with",
                ..,
            ],
            _,
        ) => Some("it does something else"),
        _ => None,
    }
}

fn operation(path: &[&str], turn: Turn) -> Option<&'static str> {
    match (path, turn) {
        ([], Turn::Removed) => Some("rollouts can no longer ask for it"),
        ([], Turn::Added) => Some("rollouts can ask for it"),
        (["to"], _) => Some("hosts arrive somewhere else"),
        (["via"], _) => Some("hosts pass other states on the way"),
        (["release"], _) => Some("hosts arrive with another release"),
        _ => None,
    }
}

fn gate(path: &[&str], turn: Turn) -> Option<&'static str> {
    match (path, turn) {
        (["share"], Turn::More) => Some("more of the hosts must be healthy"),
        (["share"], Turn::Less) => Some("fewer of the hosts must be healthy"),
        (["for"], Turn::More) => Some("it must hold for longer: waves take longer"),
        (["for"], Turn::Less) => Some("it must hold for less long"),
        (["unhealthy_after"], Turn::More) => Some("a host may fail more probes before it counts as unhealthy"),
        (["unhealthy_after"], Turn::Less) => Some("a host counts as unhealthy after fewer probes"),
        (["count"], Turn::More) => Some("more people must approve"),
        (["count"], Turn::Less) => Some("fewer people need to approve"),
        (["deadline"], Turn::More) => Some("it waits longer for a verdict"),
        (["deadline"], Turn::Less) => Some("it waits less long for a verdict"),
        (["deadline"], Turn::Added) => Some("it no longer waits for ever"),
        (["deadline"], Turn::Removed) => Some("it waits for ever"),
        (["on_fail"], _) => Some("a failed verdict leads to something else"),
        (["on_expire"], _) => Some("a deadline without a verdict leads to something else"),
        (["probe", ..], _) => Some("something else decides whether a host is healthy"),
        (["kind"], _) => Some("it asks something else"),
        _ => None,
    }
}

fn waves(path: &[&str], turn: Turn) -> Option<&'static str> {
    match (path, turn) {
        ([], Turn::Reordered) => Some("the waves come in another order"),
        ([], _) => Some("the waves are laid out in another way"),
        (["ladder"], Turn::Added | Turn::Removed) => Some("the waves are laid out in another way"),
        ([_], Turn::Added) => Some("one halt more on the way"),
        ([_], Turn::Removed) => Some("one halt fewer on the way"),
        ([_, "size"], Turn::More) => Some("more hosts have moved before its gates are asked"),
        ([_, "size"], Turn::Less) => Some("fewer hosts have moved before its gates are asked"),
        ([_, "size"], _) => Some("which is more depends on the hosts of the lane: look at `echelon plan`"),
        ([_, "bake"], Turn::More) => Some("a longer wait before its gates decide"),
        ([_, "bake"], Turn::Less) => Some("a shorter wait before its gates decide"),
        ([_, "gates"], _) => Some("other gates are asked after this wave"),
        _ => None,
    }
}

fn limits(path: &[&str], turn: Turn) -> Option<&'static str> {
    match (path, turn) {
        (["operation"], _) => Some("a rollout that asks for nothing else does something else"),
        (["max_unavailable"], Turn::More) => Some("more hosts out of service at once"),
        (["max_unavailable"], Turn::Less) => Some("fewer hosts out of service at once: it may take longer"),
        (["max_unavailable"], _) => Some("which is more depends on the hosts of the pool: look at `echelon plan`"),
        (["max_parallel"], Turn::More) => Some("more hosts at once in a lane"),
        (["max_parallel"], Turn::Less) => Some("fewer hosts at once in a lane: it may take longer"),
        (["stagger"], Turn::More) => Some("hosts begin further apart: it may take longer"),
        (["stagger"], Turn::Less) => Some("hosts begin closer together"),
        (["failure_budget", "hosts" | "percent"], Turn::More) => Some("more hosts may fail before the budget is spent"),
        (["failure_budget", "hosts" | "percent"], Turn::Less) => {
            Some("fewer hosts may fail before the budget is spent")
        }
        (["failure_budget", "hosts" | "percent"], _) => Some("the budget is spent at another number of failed hosts"),
        (["overrides", ..], _) => Some("one datacenter has other limits"),
        (["spread_by"], _) => Some("hosts go in another order"),
        (["group_by" | "order_within_group"], _) => Some("hosts go in other groups, or in another order"),
        (["groups_parallel"], Turn::More) => Some("more groups at once in a lane"),
        (["groups_parallel"], Turn::Less) => Some("fewer groups at once in a lane: it may take longer"),
        (["failure_budget", "scope"], _) => Some("failed hosts are counted over something else"),
        _ => None,
    }
}

fn failure(path: &[&str], turn: Turn) -> Option<&'static str> {
    match (path, turn) {
        (["host", "retry"], Turn::More) => Some("more new tries of a host that failed"),
        (["host", "retry"], Turn::Less) => Some("fewer new tries of a host that failed"),
        (["host", "then"], _) => Some("a host that has failed for good leads to something else"),
        (["gate"], _) => Some("a failed gate without a rule of its own leads to something else"),
        (["budget"], _) => Some("a spent failure budget leads to something else"),
        _ => None,
    }
}

fn rollback(path: &[&str], turn: Turn, new: Option<&str>) -> Option<&'static str> {
    match (path, turn) {
        (["pace", "max_parallel"], Turn::More) => Some("more hosts go back at once"),
        (["pace", "max_parallel"], Turn::Less) => Some("fewer hosts go back at once"),
        (["pace"], _) => Some("another number of hosts goes back at once"),
        (["keep_max_unavailable"], _) if new == Some("true") => {
            Some("the way back keeps `max_unavailable` too: it may take longer")
        }
        (["keep_max_unavailable"], _) => Some("the way back does not keep `max_unavailable`"),
        _ => None,
    }
}
