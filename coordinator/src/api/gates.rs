//! What a canary gate was decided by, read from where it is kept. Nothing is judged here: who reads it can do that again.

use echelon_proto::{Datacenter, GateName, RolloutId, WaveName, limits::OUTPUT_CHUNK_BYTES_MAX, wire::control as wire};
use tonic::Status;

use super::{Control, Messages, field, status};

pub(super) async fn explain(
    control: &Control,
    request: &wire::ExplainGateRequest,
) -> Result<Messages<wire::GateChunk>, Status> {
    let (_, rollout) = field::rollout(&request.name)?;
    let gate: GateName = field::parsed("gate", request.gate.parse())?;
    let datacenter: Option<Datacenter> = field::optional("datacenter", &request.datacenter)?;
    let wave: Option<WaveName> = field::optional("wave", &request.wave)?;
    let wave = wave.map(|wave| index(control, &rollout, &wave)).transpose()?;
    let (decisions, of) = (control.known.decisions.clone(), (rollout.clone(), gate.clone()));
    let read = tokio::task::spawn_blocking(move || decisions.newest(&of.0, &of.1, datacenter.as_ref(), wave)).await;
    let kept = read
        .map_err(|error| Status::internal(format!("reading a decision ended early: {error}")))?
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let Some(kept) = kept else {
        return Err(status::not_found(&format!(
            "nothing is kept of a canary gate {gate} of {rollout} there: it has not looked yet, or its samples had to make room"
        )));
    };
    Ok(chunks(&kept))
}

/// A text too long for one message.
pub(super) fn chunks(text: &[u8]) -> Messages<wire::GateChunk> {
    let chunks: Vec<_> = text
        .chunks(OUTPUT_CHUNK_BYTES_MAX)
        .map(|data| Ok(wire::GateChunk { data: data.to_vec() }))
        .collect();
    Box::pin(futures::stream::iter(chunks))
}

/// The wave's place, which is the same in every lane that has it.
fn index(control: &Control, rollout: &RolloutId, wave: &WaveName) -> Result<usize, Status> {
    let latest = control.reader.latest();
    let known = latest.state.rollouts.get(rollout);
    let mut lanes = known.into_iter().flat_map(|rollout| &rollout.plan.lanes);
    let place = lanes.find_map(|lane| lane.waves.iter().position(|planned| planned.name == *wave));
    place.ok_or_else(|| status::not_found(&format!("{rollout} has no wave {wave}, or is no longer kept")))
}
