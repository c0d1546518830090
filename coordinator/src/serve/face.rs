//! The two faces: agents and people, each a gRPC server over connections that are taken elsewhere. Here are their
//! bounds.

use std::{future::Future, time::Duration};

use echelon_proto::wire;
use tokio::sync::watch::Receiver;
use tonic::transport::{Error, Server};

use crate::{
    api::Control,
    link::Link,
    listen::{Incoming, Socket},
};

/// A connection whose peer is gone without a word is found by pings.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_WITHIN: Duration = Duration::from_secs(15);

/// Of an agent: its session, its output, a renewal, and one of each that is just ending.
const AGENT_STREAMS_MAX: u32 = 8;

/// What one agent's stream and connection may have on the way unread: a few of the biggest pieces of output. A bound on
/// hostile agents, not a saving: windows cost nothing while nothing waits in them.
const AGENT_WINDOW_BYTES: u32 = 256 * 1024;

/// Of a person or a job: watches and logs of a whole screen.
const PERSON_STREAMS_MAX: u32 = 128;

/// Headers of one request.
const HEADER_BYTES_MAX: u32 = 16 * 1024;

fn server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_WITHIN))
        .http2_max_header_list_size(HEADER_BYTES_MAX)
}

/// Serves agents until it is time to stop and all streams have ended.
pub(super) async fn agents<S: Socket>(
    link: Link,
    incoming: Incoming<S>,
    stopping: Receiver<bool>,
) -> Result<(), Error> {
    server()
        .max_concurrent_streams(AGENT_STREAMS_MAX)
        .initial_stream_window_size(AGENT_WINDOW_BYTES)
        .initial_connection_window_size(AGENT_WINDOW_BYTES)
        .add_service(link.service())
        .serve_with_incoming_shutdown(incoming, stopped(stopping))
        .await
}

/// Serves people until it is time to stop and all streams have ended.
pub(super) async fn people<S: Socket>(
    control: Control,
    incoming: Incoming<S>,
    stopping: Receiver<bool>,
) -> Result<impl Future<Output = Result<(), Error>>, tonic_reflection::server::Error> {
    let (health, health_service) = tonic_health::server::health_reporter();
    let describe = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(wire::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let (v1, v1alpha) = (describe().build_v1()?, describe().build_v1alpha()?);
    health.set_serving::<crate::api::Service>().await;
    let stop = async move {
        stopped(stopping).await;
        health.set_not_serving::<crate::api::Service>().await;
    };
    Ok(server()
        .max_concurrent_streams(PERSON_STREAMS_MAX)
        .add_service(control.service())
        .add_service(health_service)
        .add_service(v1)
        .add_service(v1alpha)
        .serve_with_incoming_shutdown(incoming, stop))
}

async fn stopped(mut stopping: Receiver<bool>) {
    // An error says that the sender is gone: then too it is time.
    let _stopped = stopping.wait_for(|stopping| *stopping).await;
}
