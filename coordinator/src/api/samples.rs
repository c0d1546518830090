//! What agents measured of their hosts, as far as it is kept.

use echelon_proto::{HostId, Time, wire::control as wire};
use tonic::Status;

use super::{Control, convert, field, hosts, status};
use crate::samples::Point;

/// Hosts of one request: with all series of an agent that says as much as it may, their answer stays within a message.
const HOSTS_MAX: usize = 50;
/// Series of one request.
const SERIES_MAX: usize = 64;

pub(super) fn read(control: &Control, request: &wire::ReadSamplesRequest) -> Result<wire::ReadSamplesResponse, Status> {
    if request.names.is_empty() {
        return Err(status::invalid("names", "is empty: name 1 to 50 hosts"));
    }
    field::at_most("names", request.names.len(), HOSTS_MAX, "entries")?;
    field::at_most("series", request.series.len(), SERIES_MAX, "entries")?;
    let since = field::time("start_time", request.start_time)?.unwrap_or_default();
    let (state, _) = control.latest();
    let of = |name: &String| {
        let id = hosts::named(name)?;
        if !state.hosts.contains_key(&id) {
            return Err(hosts::unknown(&id));
        }
        Ok(of_host(control, &id, &request.series, since))
    };
    let hosts = request.names.iter().map(of).collect::<Result<_, _>>()?;
    Ok(wire::ReadSamplesResponse { hosts })
}

fn of_host(control: &Control, id: &HostId, only: &[String], since: Time) -> wire::HostSamples {
    let series = control.known.hands.samples.read(id, only, since).into_iter();
    let series = series.map(|(name, points)| wire::SampleSeries {
        name,
        points: points.into_iter().map(point).collect(),
    });
    wire::HostSamples {
        name: format!("hosts/{id}"),
        series: series.collect(),
    }
}

fn point(point: Point) -> wire::SamplePoint {
    wire::SamplePoint {
        unix_ms: i64::try_from(point.at.0).unwrap_or(i64::MAX),
        value: point.value,
    }
}

/// The newest of each.
pub(super) fn newest(control: &Control, id: &HostId, now: Time) -> Vec<wire::Sample> {
    let newest = control.known.hands.samples.newest(id, now).into_iter();
    newest
        .map(|(name, point)| wire::Sample {
            name,
            value: point.value,
            time: Some(convert::stamp(point.at)),
        })
        .collect()
}
