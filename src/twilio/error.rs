//! From a failed call to what it means. Pure: no clock, no I/O.
//!
//! The rule that money depends on: a status that says nothing about the effect (3xx, 408, 5xx, an answer that is not
//! Twilio's) is never a refusal, whatever its body says.

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

use super::Answer;
use super::codes::{self, Verdict};
use super::scrub::Scrubber;
use super::wire::{Told, date};
use crate::domain::{Class, Meaning, Trouble};

/// How a call failed.
pub(super) enum Failure<'a> {
    /// The fence was closed before the request was handed over.
    Fenced,
    /// The request could not be put together.
    NotBuilt(&'a str),
    /// No connection came about.
    NotSent(&'a str),
    /// The exchange broke after it began.
    Interrupted(&'a str),
    /// No answer in time.
    TimedOut(Duration),
    /// An answer other than success.
    Refused(&'a Answer),
    /// An answer of success that cannot be read or is about something else.
    Unreadable(&'a Answer, &'a str),
}

/// The longest wait that is taken from an answer: longer ones are a mistake, or somebody else's.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

const WAY: &str = "Check DNS, egress policies and proxies between the operator and Twilio, and --twilio-url.";

/// What a failed call means.
pub(super) fn trouble(operation: &'static str, scrubber: &Scrubber, failure: &Failure<'_>) -> Trouble {
    let plain = |meaning, class, detail: String, remedy: &str| Trouble {
        operation,
        meaning,
        class,
        http_status: None,
        code: None,
        detail,
        remedy: remedy.to_owned(),
        retry_after: None,
        request_id: None,
    };
    match failure {
        Failure::Fenced => {
            plain(Meaning::NotSent, Class::Unavailable, "not sent: the send deadline was over".to_owned(), "")
        }
        Failure::NotBuilt(why) => plain(
            Meaning::NotSent,
            Class::InvalidRequest,
            format!("not sent: {}", scrubber.line(why)),
            "Correct the values in spec.search.",
        ),
        Failure::NotSent(why) => plain(
            Meaning::NotSent,
            Class::Unavailable,
            format!("Twilio could not be reached: {}", scrubber.line(why)),
            WAY,
        ),
        Failure::Interrupted(why) => plain(
            Meaning::Ambiguous,
            Class::Unavailable,
            format!("the connection broke before the answer was complete: {}", scrubber.line(why)),
            "",
        ),
        Failure::TimedOut(after) => {
            plain(Meaning::Ambiguous, Class::Unavailable, format!("no answer came within {after:?}"), "")
        }
        Failure::Refused(answer) => refused(operation, scrubber, answer),
        Failure::Unreadable(answer, why) => Trouble {
            http_status: Some(answer.status.as_u16()),
            request_id: request_id(&answer.headers, scrubber),
            ..plain(
                Meaning::Ambiguous,
                Class::Unavailable,
                format!("the answer could not be used: {}", scrubber.line(why)),
                "If it stays so, check what stands between the operator and Twilio, and --twilio-url.",
            )
        },
    }
}

fn refused(operation: &'static str, scrubber: &Scrubber, answer: &Answer) -> Trouble {
    let told = Told::read(&answer.body);
    let verdict = judge(operation, answer.status.as_u16(), told.as_ref());
    let code = told.as_ref().and_then(|told| told.code);
    let says =
        told.and_then(|told| told.message).map(|message| scrubber.line(&message)).filter(|line| !line.is_empty());
    let detail = match (says, answer.status.as_u16()) {
        (_, 300..=399) => "the answer is a redirect, which is never followed".to_owned(),
        (Some(says), _) => format!("Twilio says: {says}"),
        (None, 500..) => "the server failed without a reason".to_owned(),
        (None, 429) => "too many calls at once".to_owned(),
        (None, _) if code.is_some() => "refused without a reason".to_owned(),
        (None, _) => "the answer has no error of Twilio's in it and may come from a gateway in between".to_owned(),
    };
    Trouble {
        operation,
        meaning: verdict.meaning,
        class: verdict.class,
        http_status: Some(answer.status.as_u16()),
        code,
        detail,
        remedy: verdict.remedy.into_owned(),
        retry_after: retry_after(&answer.headers),
        request_id: request_id(&answer.headers, scrubber),
    }
}

/// Judges by status where the status decides, then by code, then by status again.
fn judge(operation: &str, status: u16, told: Option<&Told>) -> Verdict {
    match status {
        429 => return Verdict::throttled(),
        // A redirect is somebody else's answer: nothing says whether the call had an effect before it.
        300..=399 => return Verdict { remedy: WAY.into(), ..Verdict::unknown() },
        ..=199 | 408 | 500.. => return Verdict::unknown(),
        _ => {}
    }
    let code = told.and_then(|told| told.code);
    let refused_access = matches!(status, 401 | 403);
    if let Some(verdict) = code.and_then(|code| codes::known(code, operation))
        // Refused access never says anything about a number.
        && !(refused_access && verdict.meaning == Meaning::RefusedNumber)
    {
        return verdict;
    }
    match status {
        401 | 403 if told.is_some() => {
            Verdict::credentials("Check the Secret's credentials and what they are allowed to do.")
        }
        401 | 403 => Verdict::credentials(
            "The answer is not Twilio's own: check the proxies in between and --twilio-url, then the Secret's credentials.",
        ),
        // Only Twilio's own code proves absence: a gateway answers 404 for paths that it does not know.
        404 if code == Some(codes::NOT_FOUND) => Verdict::new(
            Meaning::RefusedOtherwise,
            Class::NotFound,
            "Check that it was not removed in the Twilio Console and that the credentials are of the right account.",
        ),
        404 if code.is_none() => Verdict { remedy: WAY.into(), ..Verdict::unknown() },
        // See the conflict codes: it may be our own earlier attempt that this one collides with.
        409 => Verdict::unknown(),
        400..=499 if told.is_some() => Verdict::new(
            Meaning::RefusedOtherwise,
            Class::InvalidRequest,
            "Look the code up at https://www.twilio.com/docs/api/errors and check the values in spec.",
        ),
        // A 4xx that is not Twilio's tells what a gateway thinks, not what Twilio did.
        _ => Verdict { remedy: WAY.into(), ..Verdict::unknown() },
    }
}

/// `Retry-After` in either form; a date counts from the answer's own `Date`, so that no clock has a say.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let until = date(text)?;
        let from = date(headers.get(DATE)?.to_str().ok()?.trim())?;
        Duration::try_from(until.duration_since(from)).unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

/// Twilio's request id, if it looks like one. A token does too, and whoever answers was sent it.
pub(super) fn request_id(headers: &HeaderMap, scrubber: &Scrubber) -> Option<String> {
    let text = headers.get("twilio-request-id")?.to_str().ok()?.trim();
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (fits && scrubber.line(text) == text).then(|| text.to_owned())
}
