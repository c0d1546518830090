//! Which of the rollouts at work at once is to blame for what hosts show, in words and figures. What is seen is the engine's
//! to say, and what follows from it the judge's; nothing is decided here, and nothing acts on it but people.

use echelon_engine::{State, rollout::Rollout, view};
use echelon_judge::blame::{Blame, HITS_MIN, Seen, Suspect, blame};
use echelon_proto::{RolloutId, Time, wire::control as wire};

/// One answer about this rollout; none while its hosts show nothing, or as long as it has not touched one.
pub(super) fn explain(state: &State, id: &RolloutId, now: Time) -> Option<wire::Explanation> {
    let suspects = blame(&seen(&view::symptoms(state, now)));
    let of_it = suspects.iter().find(|suspect| suspect.rollout == id.as_str())?;
    let is_told = suspects
        .iter()
        .any(|suspect| suspect.blame == Blame::Blamed || suspect.blame == Blame::Tied);
    if of_it.touched_hit + of_it.before < HITS_MIN || (!is_told && of_it.touched_hit < HITS_MIN) {
        return None;
    }
    let is_its = of_it.blame == Blame::Blamed;
    let can_go_back = state.rollouts.get(id).is_some_and(|rollout| rollout.status.has_begun());
    let (who, command) = match is_its && can_go_back {
        true => ("a deployer".to_owned(), format!("echelon rollback {id} --reason TEXT")),
        false => (String::new(), String::new()),
    };
    Some(wire::Explanation {
        subject: String::new(),
        text: text(of_it, &suspects),
        who,
        command,
        suspects: suspects.iter().map(|suspect| figures(state, suspect)).collect(),
    })
}

fn seen(symptoms: &view::Symptoms) -> Seen {
    let touched = symptoms.touched.iter().map(|(rollout, hosts)| {
        let hosts = hosts.iter().map(|(host, at)| (host.to_string(), at.0));
        (rollout.to_string(), hosts.collect())
    });
    Seen {
        hosts: symptoms.hosts.iter().map(ToString::to_string).collect(),
        touched: touched.collect(),
        faults: symptoms
            .faults
            .iter()
            .map(|(host, at)| (host.to_string(), at.0))
            .collect(),
    }
}

fn text(of_it: &Suspect, suspects: &[Suspect]) -> String {
    let id = &of_it.rollout;
    let named = |wanted: Blame| {
        let named = suspects
            .iter()
            .filter(|suspect| suspect.blame == wanted && suspect.rollout != *id);
        named
            .map(|suspect| suspect.rollout.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (blamed, tied) = (named(Blame::Blamed), named(Blame::Tied));
    let said = match of_it.blame {
        Blame::Blamed if blamed.is_empty() => format!("{id} is to blame for what hosts show"),
        Blame::Blamed => format!("{id} is to blame for what hosts show, and so is {blamed}"),
        Blame::Tied => format!("{id} or {tied} is to blame for what hosts show: place and time do not tell them apart"),
        Blame::Cleared | Blame::Untold if !blamed.is_empty() => {
            format!("what hosts show points to {blamed}, not to {id}")
        }
        Blame::Cleared | Blame::Untold if !tied.is_empty() => {
            format!("what hosts show points to one of {tied}, not to {id}")
        }
        Blame::Cleared => format!("what hosts show points to no rollout: other hosts than those of {id} show it too"),
        Blame::Untold => format!("nothing tells whether {id} is to blame for what hosts show"),
    };
    format!(
        "{said}; {} of {} hosts that it touched show a fault since, of {} others {}, {} did before it came, and it has {:.1} votes",
        of_it.touched_hit, of_it.touched, of_it.others, of_it.others_hit, of_it.before, of_it.votes
    )
}

fn figures(state: &State, suspect: &Suspect) -> wire::Suspect {
    let count = |hosts: usize| u32::try_from(hosts).unwrap_or(u32::MAX);
    let id = RolloutId::new(&suspect.rollout).ok();
    let rollout: Option<&Rollout> = id.and_then(|id| state.rollouts.get(&id));
    let blame = match suspect.blame {
        Blame::Blamed => wire::Blame::Blamed,
        Blame::Tied => wire::Blame::Tied,
        Blame::Cleared => wire::Blame::Cleared,
        Blame::Untold => wire::Blame::Untold,
    };
    wire::Suspect {
        rollout: rollout.map_or_else(
            || suspect.rollout.clone(),
            |of| format!("apps/{}/rollouts/{}", of.app, of.id),
        ),
        blame: blame.into(),
        votes: suspect.votes,
        hosts_before: count(suspect.before),
        hosts_touched: count(suspect.touched),
        hosts_touched_hit: count(suspect.touched_hit),
        hosts_others: count(suspect.others),
        hosts_others_hit: count(suspect.others_hit),
        chance: suspect.chance,
    }
}
