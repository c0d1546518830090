//! What people do to a rollout: nine rpcs of one shape.

use echelon_engine::command::{Act, Command, Verb};
use echelon_proto::wire::control as wire;
use tonic::{Request, Response, Status};

use super::{find, shown};
use crate::api::{Control, field, person};

pub(in crate::api) async fn act(
    control: &Control,
    verb: Verb,
    request: Request<wire::ActRequest>,
) -> Result<Response<wire::Rollout>, Status> {
    let by = person(&request)?;
    let request = request.into_inner();
    let (_, _, rollout) = super::named(control, &request.name)?;
    let act = Act {
        verb,
        rollout: rollout.clone(),
        datacenter: field::optional("datacenter", &request.datacenter)?,
        host: field::optional("host", &request.host)?,
        reason: field::reason(request.reason)?,
        etag: field::optional("etag", &request.etag)?,
        request_id: field::request_id(&request.request_id)?,
    };
    let (_, state) = control.wish(by, Command::Act(act), request.validate_only).await?;
    let now = control.latest().1;
    shown(
        &control.known.hands.prefetch,
        &state,
        find(&state, None, &rollout)?,
        now,
    )
    .map(Response::new)
}
