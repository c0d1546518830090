//! What servers do instead of sending a file.

use std::{sync::Arc, time::Duration};

use echelon_proto::Span;

use super::{Ask, Case, Step, Wanted};

/// What a server does with a request.
pub(super) type Script = Arc<dyn Fn(Ask) -> Vec<Step> + Send + Sync>;

/// Long enough for six tries and their pauses.
const PATIENT: Span = Span::secs(45);
const HASTY: Span = Span(1500);

/// An answer with its length and these lines.
pub(super) fn answer(status: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{lines}connection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn part(body: &[u8], from: usize) -> Vec<u8> {
    let range = format!("content-range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len());
    answer("206 Partial Content", &range, &body[from..])
}

/// As it should be done.
pub(super) fn good(body: &[u8], ask: Ask) -> Vec<Step> {
    let is_part = ask.from > 0 && ask.from < body.len();
    vec![Step::Send(if is_part {
        part(body, ask.from)
    } else {
        answer("200 OK", "", body)
    })]
}

fn case(what: &'static str, wanted: Wanted, script: impl Fn(Ask) -> Vec<Step> + Send + Sync + 'static) -> Case {
    Case {
        what,
        script: Arc::new(script),
        wanted,
        asked: None,
        within: PATIENT,
        part: Vec::new(),
    }
}

/// Whatever is asked.
fn always(what: &'static str, wanted: Wanted, bytes: impl Into<Vec<u8>>) -> Case {
    let bytes = bytes.into();
    case(what, wanted, move |_| vec![Step::Send(bytes.clone())])
}

impl Case {
    fn asked(self, times: usize) -> Self {
        let asked = Some(times);
        Self { asked, ..self }
    }

    fn hasty(self) -> Self {
        Self { within: HASTY, ..self }
    }

    fn with_part(self, part: &[u8]) -> Self {
        let part = part.to_vec();
        Self { part, ..self }
    }
}

pub(super) fn cases(body: &[u8]) -> Vec<Case> {
    [
        contents(body),
        lengths(body),
        ranges(body),
        redirects(body),
        statuses(body),
        slow(body),
        heads(body),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Other bytes than the release's.
fn contents(body: &[u8]) -> Vec<Case> {
    let wrong = Wanted::Failed("its sha256 is");
    let (mut flipped, old) = (body.to_vec(), crate::artifacts::archive("old"));
    flipped[50_000] ^= 1;
    let bomb = crate::archives::gzipped_zeros(100 << 20);
    let encoded = "content-encoding: gzip\r\n";
    let whole = body.to_vec();
    vec![
        always("one byte is another", wrong, answer("200 OK", "", &flipped)).asked(1),
        always("an old release", wrong, answer("200 OK", "", &old)).asked(1),
        always(
            "a page that says who it is",
            wrong,
            answer("200 OK", "content-type: text/html\r\n", b"<html>Log in"),
        )
        .asked(7)
        .wanting(Wanted::Failed("it ended after 12 of")),
        always(
            "a bomb that unpacks itself",
            Wanted::Failed("the release allows"),
            answer("200 OK", encoded, &[bomb, vec![0; body.len()]].concat()),
        )
        .asked(1),
        always(
            "the right bytes under a wrong word",
            Wanted::Done,
            answer("200 OK", encoded, body),
        )
        .asked(1),
        case("the begin of an old release is here", Wanted::Done, move |ask| {
            good(&whole, ask)
        })
        .with_part(&old[..60_000])
        .asked(2),
    ]
}

fn lengths(body: &[u8]) -> Vec<Case> {
    let length = body.len();
    let long = [body, b"and more"].concat();
    let without = |body: &[u8]| [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".as_slice(), body].concat();
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let says = |length: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    let allows = Wanted::Failed("the release allows");
    let whole = body.to_vec();
    let mut cases = vec![
        always("longer than the release", allows, answer("200 OK", "", &long)).asked(1),
        always("longer, and does not say so", allows, without(&long)).asked(1),
        always("says it is endless", allows, says("9223372036854775808")).asked(1),
        always(
            "says more than there are numbers",
            Wanted::Failed(""),
            says("99999999999999999999999"),
        ),
        always("says less than nothing", Wanted::Failed(""), says("-1")),
        always(
            "says two lengths",
            Wanted::Failed(""),
            format!("{}content-length: 5\r\n\r\n", says("4").trim_end()),
        ),
        always(
            "a chunk without an end",
            Wanted::Failed(""),
            format!("{chunked}{}\r\n", "f".repeat(40)),
        ),
        case("is cut at every try, and goes on", Wanted::Done, move |ask| {
            let mut bytes = part_or_all(&whole, ask);
            bytes.truncate(40_000);
            vec![Step::Send(bytes)]
        })
        .asked(3),
        always("is cut at every try, and does not go on", Wanted::Failed("are kept"), {
            let mut bytes = answer("200 OK", "", body);
            bytes.truncate(40_000);
            bytes
        }),
        always(
            "sends nothing at all",
            Wanted::Failed("it ended after 0 of"),
            without(b""),
        )
        .asked(6),
    ];
    let flood = without(&[]);
    cases.push(
        case("sends without an end", allows, move |_| {
            vec![Step::Send(flood.clone()), Step::Flood(vec![b'x'; length])]
        })
        .asked(1),
    );
    cases
}

fn part_or_all(body: &[u8], ask: Ask) -> Vec<u8> {
    if ask.from > 0 {
        part(body, ask.from)
    } else {
        answer("200 OK", "", body)
    }
}

fn ranges(body: &[u8]) -> Vec<Case> {
    let here = &body[..1000];
    let (one, two, three) = (body.to_vec(), body.to_vec(), body.to_vec());
    let unasked = part(body, 0);
    vec![
        always("knows no ranges", Wanted::Done, answer("200 OK", "", body))
            .with_part(here)
            .asked(1),
        case("another range than was asked for", Wanted::Done, move |ask| {
            vec![Step::Send(if ask.from > 0 {
                part(&one, 5)
            } else {
                answer("200 OK", "", &one)
            })]
        })
        .with_part(here)
        .asked(2),
        case("the right range with other bytes", Wanted::Done, move |ask| {
            let mut bytes = part_or_all(&two, ask);
            if ask.from > 0 {
                bytes[500] ^= 1;
            }
            vec![Step::Send(bytes)]
        })
        .with_part(here)
        .asked(2),
        case("says that there is less", Wanted::Done, move |ask| {
            let range = "content-range: bytes */7\r\n";
            vec![Step::Send(if ask.from > 0 {
                answer("416 Range Not Satisfiable", range, b"")
            } else {
                answer("200 OK", "", &three)
            })]
        })
        .with_part(here)
        .asked(2),
        always(
            "a part where all was asked for",
            Wanted::Failed("it answered 206"),
            unasked,
        )
        .asked(1),
    ]
}

fn redirects(body: &[u8]) -> Vec<Case> {
    let to = |url: &str| answer("302 Found", &format!("location: {url}\r\n"), b"");
    let whole = body.to_vec();
    vec![
        always(
            "leads to a file",
            Wanted::Failed("neither http nor https"),
            to("file:///etc/passwd"),
        )
        .asked(1),
        always(
            "leads to another kind of server",
            Wanted::Failed("neither http nor https"),
            to("ftp://127.0.0.1/x"),
        )
        .asked(1),
        always(
            "leads to the machine's own secrets",
            Wanted::Failed("an address of this machine's own network"),
            to("http://169.254.169.254/latest/meta-data/iam/security-credentials/"),
        )
        .asked(1),
        always(
            "leads there in other words",
            Wanted::Failed("an address of this machine's own network"),
            to("http://[::ffff:a9fe:a9fe]/"),
        )
        .asked(1),
        always(
            "leads to itself",
            Wanted::Failed("leads on more than 5 times"),
            to("/web.tar.gz"),
        )
        .asked(6),
        always(
            "leads nowhere",
            Wanted::Failed("it answered 302"),
            answer("302 Found", "", b""),
        )
        .asked(1),
        case("leads to where it is", Wanted::Done, move |ask| {
            if ask.number == 1 {
                return vec![Step::Send(to("/elsewhere"))];
            }
            good(&whole, ask)
        })
        .asked(2),
    ]
}

fn statuses(body: &[u8]) -> Vec<Case> {
    let (one, two) = (body.to_vec(), body.to_vec());
    let later = |seconds: &str| answer("503 Service Unavailable", &format!("retry-after: {seconds}\r\n"), b"");
    vec![
        always(
            "is not there",
            Wanted::Failed("it answered 404"),
            answer("404 Not Found", "", b""),
        )
        .asked(1),
        always(
            "may not be read",
            Wanted::Failed("it answered 403"),
            answer("403 Forbidden", "", b""),
        )
        .asked(1),
        always(
            "fails for ever",
            Wanted::Failed("it answered 500"),
            answer("500 Broken", "", b""),
        )
        .asked(6),
        always("asks for a week", Wanted::TimedOut, later("604800"))
            .asked(1)
            .hasty(),
        case("asks for a second", Wanted::Done, move |ask| {
            if ask.number == 1 {
                return vec![Step::Send(later("1"))];
            }
            good(&one, ask)
        })
        .asked(2),
        case("asks for a date and fails once", Wanted::Done, move |ask| {
            if ask.number == 1 {
                return vec![Step::Send(answer(
                    "502 Bad Gateway",
                    "retry-after: Fri, 31 Dec 2100 23:59:59 GMT\r\n",
                    b"",
                ))];
            }
            good(&two, ask)
        })
        .asked(2),
    ]
}

fn slow(body: &[u8]) -> Vec<Case> {
    let head = answer("200 OK", "", body)[..80.min(body.len())].to_vec();
    let (whole, rest) = (answer("200 OK", "", body), body.to_vec());
    vec![
        case("drips", Wanted::TimedOut, move |_| {
            vec![
                Step::Send(head.clone()),
                Step::Drip(vec![b'x'; 1000], Duration::from_millis(50)),
            ]
        })
        .asked(1)
        .hasty(),
        case("drips its head", Wanted::TimedOut, move |_| {
            vec![Step::Drip(whole.clone(), Duration::from_millis(50))]
        })
        .asked(1)
        .hasty(),
        case("says nothing", Wanted::TimedOut, |_| vec![Step::Hang])
            .asked(1)
            .hasty(),
        case("stops in the middle", Wanted::TimedOut, move |_| {
            vec![Step::Send(answer("200 OK", "", &rest)[..30_000].to_vec()), Step::Hang]
        })
        .asked(1)
        .hasty(),
    ]
}

fn heads(body: &[u8]) -> Vec<Case> {
    let status = b"HTTP/1.1 200 OK\r\n".to_vec();
    let (one, two) = (status.clone(), status);
    let whole = body.to_vec();
    vec![
        case("headers without an end", Wanted::Failed(""), move |_| {
            vec![
                Step::Send(one.clone()),
                Step::Flood(b"x-more: and more\r\n".repeat(500)),
            ]
        }),
        case("one header without an end", Wanted::Failed(""), move |_| {
            vec![
                Step::Send(two.clone()),
                Step::Send(b"x-more: ".to_vec()),
                Step::Flood(vec![b'y'; 8000]),
            ]
        }),
        case("goes on asking to go on", Wanted::TimedOut, |_| {
            vec![Step::Flood(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec())]
        })
        .hasty(),
        always("closes at once", Wanted::Failed(""), Vec::new()).asked(6),
        always("speaks another language", Wanted::Failed(""), "SSH-2.0-OpenSSH_9.2\r\n"),
        case("closes once", Wanted::Done, move |ask| {
            if ask.number == 1 {
                return Vec::new();
            }
            good(&whole, ask)
        })
        .asked(2),
    ]
}

impl Case {
    fn wanting(self, wanted: Wanted) -> Self {
        Self { wanted, ..self }
    }
}
