//! Messages that people send for a test, and what became of them.

use k8s_openapi::jiff::Timestamp;

/// How far a message is (<https://www.twilio.com/docs/messaging/api/message-resource#message-status-values>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageState {
    /// Twilio's word: `queued`, `accepted`, `sending`, `sent`, `delivered`, `undelivered`, `failed`, …
    pub status: String,
    /// Twilio's code of what went wrong.
    pub error: Option<u32>,
}

impl MessageState {
    /// Whether nothing more will become of it.
    pub fn is_final(&self) -> bool {
        matches!(self.status.as_str(), "delivered" | "undelivered" | "failed" | "canceled" | "read")
    }

    /// Whether it arrived.
    pub fn is_delivered(&self) -> bool {
        matches!(self.status.as_str(), "delivered" | "read")
    }
}

/// A message that came in. Its text is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivedMessage {
    /// Its SID.
    pub sid: String,
    /// Who sent it.
    pub from: String,
    /// When.
    pub at: Timestamp,
}

/// Something that Twilio's debugger noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What it is about: a message, mostly.
    pub resource: String,
    /// Twilio's code.
    pub code: Option<u32>,
}
