//! What went wrong at Twilio, and what that means for whoever called.
//!
//! The one distinction that money depends on: did the call *not happen*, was it *refused*, or is it *unknown*?

use std::time::Duration;

/// What a failed call means for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// Nothing left this process: the call certainly had no effect.
    NotSent,
    /// Twilio did not process it (HTTP 429); it may be repeated after the delay.
    Throttled,
    /// It may or may not have taken effect: a time-out, a reset, a 5xx, an answer that cannot be read.
    Ambiguous,
    /// Refused because of this very number: another number may be bought.
    RefusedNumber,
    /// Refused for a reason that another number would meet too.
    RefusedOtherwise,
    /// The credentials or the account were not accepted. Never a statement about a number.
    Credentials,
}

/// Which of the operator's states a failed call leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Wrong, rotated or too narrow credentials.
    CredentialsRejected,
    /// Suspended, closed or out of funds.
    AccountSuspended,
    /// The account may not do this: a trial account's second number, a disabled feature.
    AccountLimited,
    /// An address, bundle or identity is missing or does not fit.
    RegulatoryDataRequired,
    /// This number is not to be had.
    NumberUnavailable,
    /// Twilio refuses a value that came from the resource.
    InvalidRequest,
    /// The thing asked for does not exist.
    NotFound,
    /// Too many calls at once.
    RateLimited,
    /// Twilio, or the way to it, is down.
    Unavailable,
}

/// One failed call, without any credential, header, body or query in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {detail}{}{}", .code.map(|c| format!(" (Twilio {c})")).unwrap_or_default(), .http_status.map(|s| format!(" (HTTP {s})")).unwrap_or_default())]
pub struct Trouble {
    /// Twilio's operation id, such as `CreateIncomingPhoneNumber`.
    pub operation: &'static str,
    /// What it means for the caller.
    pub meaning: Meaning,
    /// Which state it leads to.
    pub class: Class,
    /// The HTTP status, when there was an answer.
    pub http_status: Option<u16>,
    /// Twilio's error code, when there was one.
    pub code: Option<u32>,
    /// What happened, in one sentence that is fit for a condition message.
    pub detail: String,
    /// What a person can do about it, in one sentence; empty when waiting is all.
    pub remedy: String,
    /// How long Twilio asks to wait.
    pub retry_after: Option<Duration>,
    /// Twilio's request id, for its support.
    pub request_id: Option<String>,
}

impl Trouble {
    /// Whether the call certainly had no effect.
    pub fn is_not_processed(&self) -> bool {
        matches!(self.meaning, Meaning::NotSent | Meaning::Throttled | Meaning::Credentials)
    }

    /// Whether the credentials are good and lack a right: what else they may do goes on. Whoever may not even look at the
    /// account's numbers can do nothing at all.
    pub fn lacks_a_right(&self) -> bool {
        let looks = matches!(self.operation, "ListIncomingPhoneNumber" | "FetchIncomingPhoneNumber");
        self.class == Class::CredentialsRejected && self.http_status == Some(403) && !looks
    }
}
