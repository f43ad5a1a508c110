//! Kinds of calls, and what can go wrong with each.

use std::fmt;

use http::Method;

use crate::simulator;

/// One call: to whom, what, and whether it changes anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    pub twilio: bool,
    pub write: bool,
    pub name: String,
    /// Whether there are other resources than the one at work.
    pub crowd: bool,
    /// A list that has to have another resource's number.
    pub anchored: bool,
}

/// A status that announces a claim, and ones that stamp a purchase and a release.
pub const ANNOUNCED: &str = "put status, announced";
pub const STAMPED: &str = "put status, sent";
pub const RELEASING: &str = "put status, releasing";

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.twilio { "twilio" } else { "api" }, self.name)
    }
}

/// The kind of a call of the API server.
pub fn api_kind(method: &Method, path: &str, body: &[u8]) -> Kind {
    let path = path.split('?').next().unwrap_or_default();
    let mut parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let status = parts.last() == Some(&"status");
    if status {
        parts.pop();
    }
    let what = ["clinicphonenumbers", "secrets", "configmaps", "events"].into_iter().find(|w| parts.contains(w));
    let name = match what {
        Some("clinicphonenumbers") if status => {
            let text = String::from_utf8_lossy(body);
            let is = |what: &str| text.contains(what);
            let (held, open) = (is("\"outcome\":\"Held\""), is("\"outcome\":\"Unknown\""));
            let what = match (is("\"releasing\":"), held, open, is("\"attempts\":0")) {
                (true, ..) => RELEASING,
                (_, true, ..) => "put status, held",
                (_, _, true, true) => ANNOUNCED,
                (_, _, true, false) => STAMPED,
                (_, _, false, _) => "put status",
            };
            what.to_owned()
        }
        Some(what) => format!("{} {what}", method.as_str().to_lowercase()),
        None => "discovery".to_owned(),
    };
    Kind { twilio: false, write: method != Method::GET, name, crowd: false, anchored: false }
}

/// The kind of a call of Twilio.
pub fn twilio_kind(method: &Method, path: &str) -> Kind {
    let name = match (method.as_str(), path) {
        ("GET", p) if p.starts_with("/v1/Services/") => "service",
        ("POST", p) if p.starts_with("/v1/Services/") => "join",
        ("DELETE", p) if p.starts_with("/v1/Services/") => "leave",
        ("GET", p) if p.contains("/AvailablePhoneNumbers") => "search",
        ("GET", p) if p.ends_with("/IncomingPhoneNumbers.json") => "list",
        ("GET", p) if p.contains("/IncomingPhoneNumbers/") => "get",
        ("POST", p) if p.ends_with("/IncomingPhoneNumbers.json") => "buy",
        ("POST", p) if p.contains("/IncomingPhoneNumbers/") => "update",
        ("DELETE", _) => "release",
        _ => "other",
    };
    Kind { twilio: true, write: method != Method::GET, name: name.to_owned(), crowd: false, anchored: false }
}

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Twilio refuses: this number, or anything else that is asked.
    Refuse,
    /// Twilio refuses for a reason that has nothing to do with the number.
    RefuseOther,
    /// Credentials are refused, this once.
    Unauthorized,
    /// No connection came about.
    NotSent,
    TimeoutBefore,
    TimeoutAfter,
    ResetBefore,
    ResetAfter,
    /// Nobody is told, and it takes effect later.
    Late,
    Http429,
    Http503,
    /// Answered 500 although it took effect.
    Http500After,
    /// Took effect, and the answer cannot be read.
    Garbage,
    NotFound,
    /// Sent elsewhere.
    Redirect,
    /// A list without a single number.
    Hole,
    /// Somebody else writes the object just before.
    Conflict,
    ApiError,
    ApiForbidden,
    ApiLostBefore,
    ApiLostAfter,
    ApiTimeoutBefore,
    ApiTimeoutAfter,
    /// The process is killed and started again.
    CrashBefore,
    CrashAfter,
    /// Another operator runs a whole pass over the same resource just before.
    Second,
    /// Another operator runs a pass over each other resource just before.
    Neighbour,
    /// The same, and dies as soon as it has announced a claim.
    NeighbourDies,
    /// A person acts just before.
    Meanwhile,
    /// A person acts and the process dies, just after.
    DiesMeanwhile,
    /// A person acts while the request is under way; nobody is told, and it takes effect later.
    LateMeanwhile,
    /// A person acts while the request is under way, another operator works on the resource until it rests, nobody is told, and
    /// it takes effect later.
    LateOvertaken,
    /// A person acts, and another operator works on the resource until it rests.
    OvertakenMeanwhile,
    /// The process stands still for longer than the window, just after.
    Suspended,
    /// The same, while another operator works on the resource until it rests.
    Overtaken,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

const PROCESS: [Fault; 5] = [Fault::CrashBefore, Fault::CrashAfter, Fault::Second, Fault::Suspended, Fault::Overtaken];
const TWILIO_READ: [Fault; 10] = [
    Fault::Redirect,
    Fault::Refuse,
    Fault::Unauthorized,
    Fault::NotSent,
    Fault::TimeoutBefore,
    Fault::ResetBefore,
    Fault::Http429,
    Fault::Http503,
    Fault::Garbage,
    Fault::NotFound,
];
const TWILIO_WRITE: [Fault; 15] = [
    Fault::Redirect,
    Fault::Refuse,
    Fault::RefuseOther,
    Fault::Unauthorized,
    Fault::NotSent,
    Fault::TimeoutBefore,
    Fault::TimeoutAfter,
    Fault::ResetBefore,
    Fault::ResetAfter,
    Fault::Late,
    Fault::Http429,
    Fault::Http503,
    Fault::Http500After,
    Fault::Garbage,
    Fault::NotFound,
];
const API_READ: [Fault; 3] = [Fault::ApiError, Fault::ApiLostBefore, Fault::ApiTimeoutBefore];
const API_WRITE: [Fault; 6] = [
    Fault::Conflict,
    Fault::ApiError,
    Fault::ApiLostBefore,
    Fault::ApiLostAfter,
    Fault::ApiTimeoutBefore,
    Fault::ApiTimeoutAfter,
];

/// Everything that can go wrong with a call of this kind.
pub fn faults(kind: &Kind) -> Vec<Fault> {
    let own: &[Fault] = match (kind.twilio, kind.write) {
        (true, false) => &TWILIO_READ,
        (true, true) => &TWILIO_WRITE,
        (false, false) => &API_READ,
        // An event is told or not; nothing follows from it.
        (false, true) if kind.name == "post events" => return vec![Fault::ApiForbidden, Fault::CrashAfter],
        (false, true) => &API_WRITE,
    };
    let crowd: &[Fault] = if kind.crowd { &[Fault::Neighbour, Fault::NeighbourDies] } else { &[] };
    let hole: &[Fault] = if kind.anchored { &[Fault::Hole] } else { &[] };
    own.iter().chain(&PROCESS).chain(crowd).chain(hole).copied().collect()
}

impl Fault {
    /// What the simulator is told to do.
    pub fn scripted(self) -> Option<simulator::Fault> {
        Some(match self {
            Self::Refuse => simulator::Fault::Refuse,
            Self::Http429 => simulator::Fault::Http429,
            Self::Http503 => simulator::Fault::Http503,
            Self::Http500After => simulator::Fault::Http500After,
            Self::Garbage => simulator::Fault::Garbage,
            Self::NotFound => simulator::Fault::NotFound,
            _ => return None,
        })
    }
}
