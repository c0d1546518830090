//! Checks over the network: an HTTP request and what must come back, a TCP connection that must open.

use echelon_proto::Span;

use super::{
    super::{
        Lint,
        fields::{Fields, Shape},
        value::cut,
    },
    Place,
};
use crate::{
    fault::code,
    model::{HttpCheck, Repeat, TcpCheck},
    template::Template,
    text::tree::Node,
};

const CONSECUTIVE_MAX: u32 = 1000;
/// Between two checks, and of one request.
const INTERVAL_MAX: Span = Span::secs(3600);
const INTERVAL: Span = Span::secs(1);
const REQUEST_TIMEOUT: Span = Span::secs(5);

const HTTP: Shape = Shape {
    what: "`http`",
    required: &[("url", "url: \"http://127.0.0.1:8080/health\"")],
    optional: &["status", "contains", "consecutive", "interval", "request_timeout"],
    later: &["method", "headers", "body"],
    elsewhere: &[
        (
            "timeout",
            "for one request write `request_timeout`; the phase's own stands beside `http`",
        ),
        ("until", "it belongs into `poll`: { poll: { http: ..., until: ... } }"),
        (
            "every",
            "it belongs beside `http`; between two requests of one check is `interval`",
        ),
    ],
};

/// Of a poll: its `until` judges the answer, so nothing else may seem to.
const HTTP_OF_POLL: Shape = Shape {
    what: "`http` of a poll",
    required: HTTP.required,
    optional: &["request_timeout"],
    later: HTTP.later,
    elsewhere: &[
        ("status", "write it into `until`: status == 200"),
        ("contains", "write it into `until`: body.contains(\"ready\")"),
        ("consecutive", "a poll ends when its `until` holds once"),
        ("interval", "between two questions is `every` of `poll`"),
        ("until", "it belongs beside `http`"),
        ("every", "it belongs beside `http`"),
        (
            "timeout",
            "for one request write `request_timeout`; the phase's own stands beside `poll`",
        ),
    ],
};

pub(super) fn http(lint: &mut Lint<'_>, node: &Node, place: Place) -> Option<HttpCheck> {
    let shape = if place == Place::Poll { &HTTP_OF_POLL } else { &HTTP };
    let fields = lint.fields(node, shape)?;
    let url = fields.get("url").and_then(|node| url(lint, node));
    let status = fields.or("status", 200, |node| {
        let status = lint.number(node, "status", 100..=599)?;
        u16::try_from(status).ok()
    });
    let contains = fields.or("contains", None, |node| {
        lint.words(node, "contains")?;
        lint.template(node, "contains").map(Some)
    });
    let repeat = repeat(lint, &fields);
    let request_timeout = fields.or("request_timeout", REQUEST_TIMEOUT, |node| {
        lint.span(node, "request_timeout", Span(1)..=INTERVAL_MAX)
    });
    Some(HttpCheck {
        url: url?,
        status: status?,
        contains: contains?,
        repeat: repeat?,
        request_timeout: request_timeout?,
    })
}

/// A URL must begin with its scheme, as far as its beginning is not a variable.
fn url(lint: &mut Lint<'_>, node: &Node) -> Option<Template> {
    let text = lint.words(node, "url")?;
    let template = lint.template(node, "url");
    let (literal, variable) = match text.split_once("${{") {
        Some((literal, _)) => (literal, true),
        None => (text, false),
    };
    let fits = ["http://", "https://"]
        .iter()
        .any(|scheme| match literal.strip_prefix(scheme) {
            Some(rest) => variable || !rest.is_empty(),
            None => variable && scheme.starts_with(literal),
        });
    if !fits || literal.contains(char::is_whitespace) {
        let message = format!("url: {:?} is no http address", cut(text));
        lint.fault(
            code::TEXT,
            node.at,
            message,
            "write it as http://127.0.0.1:8080/health or https://...",
        );
        return None;
    }
    template
}

const TCP: Shape = Shape {
    what: "`tcp`",
    required: &[("address", "address: \"127.0.0.1:8080\"")],
    optional: &["consecutive", "interval"],
    later: &[],
    elsewhere: &[
        ("port", "it belongs into `address`: \"127.0.0.1:8080\""),
        ("host", "it belongs into `address`: \"127.0.0.1:8080\""),
        ("timeout", "it belongs beside `tcp`"),
    ],
};

/// As of HTTP.
const TCP_OF_POLL: Shape = Shape {
    what: "`tcp` of a poll",
    optional: &[],
    elsewhere: &[
        ("consecutive", "a poll ends when its `until` holds once"),
        ("interval", "between two questions is `every` of `poll`"),
        ("until", "it belongs beside `tcp`"),
        ("every", "it belongs beside `tcp`"),
    ],
    ..TCP
};

pub(super) fn tcp(lint: &mut Lint<'_>, node: &Node, place: Place) -> Option<TcpCheck> {
    let shape = if place == Place::Poll { &TCP_OF_POLL } else { &TCP };
    let fields = lint.fields(node, shape)?;
    let address = fields.get("address").and_then(|node| address(lint, node));
    let repeat = repeat(lint, &fields);
    Some(TcpCheck {
        address: address?,
        repeat: repeat?,
    })
}

fn address(lint: &mut Lint<'_>, node: &Node) -> Option<Template> {
    let text = lint.words(node, "address")?;
    let template = lint.template(node, "address")?;
    let fits = text.contains("${{")
        || text.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
    if !fits {
        let message = format!("address: {:?} is no address with a port", cut(text));
        lint.fault(
            code::TEXT,
            node.at,
            message,
            "write it as \"127.0.0.1:8080\", the port from 1 to 65535",
        );
        return None;
    }
    Some(template)
}

fn repeat(lint: &mut Lint<'_>, fields: &Fields<'_>) -> Option<Repeat> {
    let consecutive = fields.or("consecutive", 1, |node| {
        lint.number(node, "consecutive", 1..=CONSECUTIVE_MAX)
    });
    let interval = fields.or("interval", INTERVAL, |node| {
        lint.span(node, "interval", Span(1)..=INTERVAL_MAX)
    });
    Some(Repeat {
        consecutive: consecutive?,
        interval: interval?,
    })
}
