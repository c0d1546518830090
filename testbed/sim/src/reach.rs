//! What a set of seeds must have reached to have shown anything: every kind of record, every outcome, every way a lane,
//! a host or a gate can go. A set that misses one fails. Deliberately from records only: what is durable.

use echelon_engine::{
    Record,
    event::PhaseResult,
    gate::canary::Says,
    outcome::Outcome,
    record::Verdict,
    rollout::{Direction, HoldKind, LaneEnd, Note, Settled},
};

macro_rules! transitions {
    ($($name:ident),+ $(,)?) => {
        $(#[expect(non_upper_case_globals, reason = "it is its own name")] const $name: &str = stringify!($name);)+
        /// All of them, by name.
        pub const TRANSITIONS: &[&str] = &[$($name),+];
    };
}

transitions! {
    term_began, token_created, host_joined, host_attached, host_detached, release_created, playbook_pushed, plan_made,
    rollout_created, rollout_scheduled, rollout_queued, rollout_started, rollout_resumed, act_served, abort_began, rollback_began,
    desire_changed, rollout_forgotten,
    held_paused, held_by_gate, held_by_budget, held_by_host, held_no_return, held_by_timeout, held_stale_plan,
    ended_succeeded, ended_succeeded_with_debt, ended_failed, ended_aborted, ended_rolled_back, ended_expired,
    wave_opened, wave_rolled, wave_passed, approval_asked, gate_approved, gate_passed, gate_failed, gate_expired,
    gate_reopened, bake_cut, lane_stopping, lane_done, lane_stopped, lane_rolled_back, budget_forgiven,
    phase_forward, phase_undo, phase_return, phase_passed_over, phase_counts_as_done, phase_guarded,
    phase_done, phase_already_done, phase_failed, phase_timed_out, phase_refused, phase_lost, phase_held_back, phase_again,
    step_dropped, host_done, host_failed, host_skipped, host_debt, host_rolled_back, host_reopened, health_changed,
    notification_raised, notification_settled, monitor_failed, monitor_holds, host_asked, host_labelled,
    canary_passes, canary_fails, canary_doubts, canary_no_data, gate_inconclusive, gate_no_data,
}

/// What the record reaches. What is part of it (a result, a rule) comes first, the more telling.
pub(crate) fn of(record: &Record) -> Vec<&'static str> {
    let one = match record {
        Record::TermBegan { .. } => term_began,
        Record::TokenCreated { .. } => token_created,
        Record::HostJoined { .. } => host_joined,
        Record::HostAttached { .. } => host_attached,
        Record::HostDetached { .. } => host_detached,
        Record::ReleaseCreated { .. } => release_created,
        Record::PlaybookPushed { .. } => playbook_pushed,
        Record::PlanMade { .. } => plan_made,
        Record::RolloutCreated { at: Some(_), .. } => return vec![rollout_created, rollout_scheduled],
        Record::RolloutCreated { at: None, .. } => rollout_created,
        Record::RolloutQueued { .. } => rollout_queued,
        Record::RolloutStarted { .. } => rollout_started,
        Record::RolloutHeld { kind, .. } => held(kind),
        Record::RolloutResumed { .. } => rollout_resumed,
        Record::ActServed { .. } => act_served,
        Record::AbortBegan { .. } => abort_began,
        Record::RollbackBegan { .. } => rollback_began,
        Record::RolloutEnded { outcome, .. } => ended(*outcome),
        Record::DesireChanged { .. } => desire_changed,
        Record::RolloutForgotten { .. } => rollout_forgotten,
        Record::WaveOpened { .. } => wave_opened,
        Record::WaveRolled { .. } => wave_rolled,
        Record::ApprovalAsked { .. } => approval_asked,
        Record::GateApproved { .. } => gate_approved,
        Record::GateDecided { verdict, .. } => decided(*verdict),
        Record::GateReopened { .. } => gate_reopened,
        Record::BakeCut { .. } => bake_cut,
        Record::WavePassed { .. } => wave_passed,
        Record::LaneStopping { .. } => lane_stopping,
        Record::LaneEnded { end, .. } => match end {
            LaneEnd::Done => lane_done,
            LaneEnd::Stopped => lane_stopped,
            LaneEnd::RolledBack => lane_rolled_back,
        },
        Record::BudgetForgiven { .. } => budget_forgiven,
        Record::PhaseStarted {
            direction,
            note,
            guarded,
            ..
        } => return started(*direction, *note, *guarded),
        Record::PhaseEnded { result, again, .. } => return phase_ended(*result, again.is_some()),
        Record::StepDropped { .. } => step_dropped,
        Record::HostSettled { settled, .. } => match settled {
            Settled::Done => host_done,
            Settled::Failed => host_failed,
            Settled::Skipped => host_skipped,
            Settled::Debt => host_debt,
            Settled::RolledBack => host_rolled_back,
        },
        Record::HostReopened { .. } => host_reopened,
        Record::HealthChanged { .. } => health_changed,
        Record::MonitorChanged { healthy: true, .. } => monitor_holds,
        Record::MonitorChanged { healthy: false, .. } => monitor_failed,
        Record::HostAsked { .. } => host_asked,
        Record::HostLabelled { .. } => host_labelled,
        Record::CanaryLooked { look, .. } => looked(look.says),
        Record::NotificationRaised { .. } => notification_raised,
        Record::NotificationSettled { .. } => notification_settled,
    };
    vec![one]
}

fn decided(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => gate_passed,
        Verdict::Fail => gate_failed,
        Verdict::Expired => gate_expired,
        Verdict::Inconclusive => gate_inconclusive,
        Verdict::NoData => gate_no_data,
    }
}

fn looked(says: Says) -> &'static str {
    match says {
        Says::Pass => canary_passes,
        Says::Fail => canary_fails,
        Says::Inconclusive => canary_doubts,
        Says::NoData => canary_no_data,
    }
}

fn held(kind: &HoldKind) -> &'static str {
    match kind {
        HoldKind::Paused => held_paused,
        HoldKind::Gate => held_by_gate,
        HoldKind::Budget => held_by_budget,
        HoldKind::Host => held_by_host,
        HoldKind::StalePlan => held_stale_plan,
        HoldKind::NoReturn => held_no_return,
        HoldKind::Timeout => held_by_timeout,
    }
}

fn ended(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => ended_succeeded,
        Outcome::SucceededWithDebt => ended_succeeded_with_debt,
        Outcome::Failed => ended_failed,
        Outcome::Aborted => ended_aborted,
        Outcome::RolledBack => ended_rolled_back,
        Outcome::Expired => ended_expired,
    }
}

fn started(direction: Direction, note: Option<Note>, guarded: bool) -> Vec<&'static str> {
    let mut reached = vec![match direction {
        Direction::Forward => phase_forward,
        Direction::Undo => phase_undo,
        Direction::Return => phase_return,
    }];
    match note {
        Some(Note::PassedOver) => reached.push(phase_passed_over),
        Some(Note::CountsAsDone) => reached.push(phase_counts_as_done),
        // Only where the coordinator runs phases, at a load balancer: not in this world.
        Some(Note::Asks) | None => {}
    }
    reached.extend(guarded.then_some(phase_guarded));
    reached
}

fn phase_ended(result: PhaseResult, again: bool) -> Vec<&'static str> {
    let ended = match result {
        PhaseResult::Done => phase_done,
        PhaseResult::AlreadyDone => phase_already_done,
        PhaseResult::Failed => phase_failed,
        PhaseResult::TimedOut => phase_timed_out,
        PhaseResult::Refused => phase_refused,
        PhaseResult::Lost => phase_lost,
        PhaseResult::HeldBack => phase_held_back,
    };
    let mut reached = vec![ended];
    reached.extend(again.then_some(phase_again));
    reached
}
