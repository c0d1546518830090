//! An artifact over http and https: ranges, and what servers say when they cannot or will not. A server is a stranger: it may
//! lead to another server but not to a file, not from https down to http, and never to a link-local address, where clouds keep
//! the machine's own secrets. What it calls the encoding of the bytes is passed over: the digest is of the bytes as they come.

use std::{
    error::Error,
    fs, io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use reqwest::{
    Certificate, Client, ClientBuilder, Response, StatusCode, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{ACCEPT_ENCODING, CONTENT_RANGE, LOCATION, RANGE, RETRY_AFTER},
    redirect::{Action, Attempt, Policy},
};

use super::source::{Answer, Body, Pieces};
use crate::host::check::cause;

const REDIRECTS_MAX: usize = 5;
/// Of a name that a server tells: names of hosts are no longer.
const HOST_CHARS_MAX: usize = 253;
/// Amazon's metadata over IPv6, which is not link-local.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The client.
#[derive(Debug)]
pub(super) struct Web {
    client: Client,
}

impl Web {
    /// Trusts the system's authorities and those in this file. An error names the file.
    pub(super) fn new(ca: Option<&Path>) -> io::Result<Self> {
        let more = ca.map(certificates).transpose()?.unwrap_or_default();
        let with_roots = builder().tls_certs_merge(more.clone()).build();
        // A host without any can still do plain http.
        let client = with_roots.or_else(|_| builder().tls_certs_only(more).build());
        let client = client.map_err(io::Error::other)?;
        Ok(Self { client })
    }

    pub(super) async fn ask(&self, url: Url, have: u64) -> Answer {
        if let Some(why) = not_to(&url) {
            return Answer::Never(why);
        }
        let mut request = self.client.get(url).header(ACCEPT_ENCODING, "identity");
        if have > 0 {
            request = request.header(RANGE, format!("bytes={have}-"));
        }
        match request.send().await {
            Ok(response) => answer(response, have),
            Err(error) if error.is_builder() || error.is_redirect() || is_untrusted(&error) => {
                Answer::Never(cause(error))
            }
            Err(error) => Answer::Again(cause(error), None),
        }
    }
}

fn builder() -> ClientBuilder {
    Client::builder()
        .redirect(Policy::custom(follow))
        .dns_resolver(Arc::new(Resolver))
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        // Hours lie between two downloads.
        .pool_max_idle_per_host(0)
}

fn certificates(path: &Path) -> io::Result<Vec<Certificate>> {
    let named = |why: String| io::Error::other(format!("{}: {why}", path.display()));
    let pem = fs::read(path).map_err(|error| named(error.to_string()))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|error| named(cause(error)))?;
    if found.is_empty() {
        return Err(named("there is no certificate in it".to_owned()));
    }
    Ok(found)
}

/// Why nothing is fetched from there. None: it may be.
fn not_to(url: &Url) -> Option<String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Some(format!("{} is neither http nor https", url.scheme()));
    }
    let host = url.host_str()?;
    let address: IpAddr = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    is_metadata(address).then(|| refused(host, address))
}

fn refused(host: &str, address: IpAddr) -> String {
    let at = if host == address.to_string() {
        String::new()
    } else {
        format!(" ({address})")
    };
    format!("{host}{at} is an address of this machine's own network, where no artifacts are")
}

fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.is_link_local(),
            None => v6.is_unicast_link_local() || v6 == METADATA_V6,
        },
    }
}

/// Without its query, which may be a key to it, and not as long as a server likes.
fn shown(url: &Url) -> String {
    let host: String = url
        .host_str()
        .unwrap_or_default()
        .chars()
        .take(HOST_CHARS_MAX)
        .collect();
    format!("{}://{host}", url.scheme())
}

fn follow(attempt: Attempt<'_>) -> Action {
    let (to, before) = (attempt.url(), attempt.previous());
    let shown = shown(to);
    let is_downgrade = to.scheme() == "http" && before.iter().any(|url| url.scheme() == "https");
    if let Some(why) = not_to(to) {
        return attempt.error(format!("it leads to {shown}: {why}"));
    }
    if is_downgrade {
        return attempt.error(format!("it leads from https to {shown}"));
    }
    if before.len() > REDIRECTS_MAX {
        return attempt.error(format!("it leads on more than {REDIRECTS_MAX} times"));
    }
    attempt.follow()
}

/// The system's own, without addresses that no artifact has.
struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let name = name.as_str();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name, 0)).await?.collect();
            if let Some(bad) = found.iter().map(SocketAddr::ip).find(|ip| is_metadata(*ip)) {
                return Err(refused(name, bad).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether it ended because of the server's certificate, which is the same at the next try.
fn is_untrusted(error: &(dyn Error + 'static)) -> bool {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return matches!(tls, rustls::Error::InvalidCertificate(_));
    }
    // An io::Error passes over what it is made of.
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => is_untrusted(wrapped),
        None => error.source().is_some_and(is_untrusted),
    }
}

fn answer(response: Response, have: u64) -> Answer {
    match response.status() {
        StatusCode::OK => body(response, 0, None),
        StatusCode::PARTIAL_CONTENT if have > 0 => match ranged(&response) {
            Some((from, total)) if from == have => body(response, have, total),
            _ => Answer::Anew("it answered with another range than was asked for".to_owned()),
        },
        StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => match ranged(&response) {
            // All of it is here already.
            Some((_, Some(total))) if total == have => Answer::Whole,
            _ => Answer::Anew("it has fewer bytes than are here".to_owned()),
        },
        status if is_passing(status) => Answer::Again(format!("it answered {status}"), asked_pause(&response)),
        status => Answer::Never(match leads_to(&response) {
            Some(elsewhere) => format!("it answered {status} and leads to {elsewhere}"),
            None => format!("it answered {status}"),
        }),
    }
}

/// What the client does not even ask `follow` about.
fn leads_to(response: &Response) -> Option<String> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let url = Url::parse(location).ok()?;
    not_to(&url).map(|why| format!("{}: {why}", shown(&url)))
}

fn body(response: Response, from: u64, total: Option<u64>) -> Answer {
    let length = response.content_length().map(|length| from.saturating_add(length));
    Answer::Body(Body {
        from,
        announced: length.max(total),
        pieces: Pieces::Web(response),
    })
}

/// Worth another try.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

/// A date instead of seconds is passed over: it would need the server's clock.
fn asked_pause(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// First byte (0 when it names none) and total of a Content-Range.
fn ranged(response: &Response) -> Option<(u64, Option<u64>)> {
    parse_range(response.headers().get(CONTENT_RANGE)?.to_str().ok()?)
}

fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let from = match range.split_once('-') {
        Some((from, _)) => from.parse().ok()?,
        None if range == "*" => 0,
        None => return None,
    };
    Some((from, total.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read_as_servers_write_it() {
        assert_eq!(parse_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(parse_range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(parse_range("bytes */10"), Some((0, Some(10))));
        for bad in ["", "5-9/10", "bytes 5/10", "bytes x-9/10"] {
            assert_eq!(parse_range(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn addresses_of_the_machines_own_network_are_refused_however_they_are_written() {
        for url in [
            "http://169.254.169.254/latest/meta-data/",
            "http://169.254.1.1/",
            // The same number, as a program would not show it.
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://[fe80::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[fd00:ec2::254]/",
        ] {
            let why = not_to(&Url::parse(url).unwrap());
            assert!(why.is_some_and(|why| why.contains("own network")), "{url}");
        }
        for url in ["http://127.0.0.1/", "https://artifacts.example/", "http://[::1]/"] {
            assert_eq!(not_to(&Url::parse(url).unwrap()), None, "{url}");
        }
    }
}
