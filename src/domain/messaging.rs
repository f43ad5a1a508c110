//! What stands between a number and its messages: Messaging Services, and what carriers ask of senders.

use super::{HttpMethod, MessagingServiceSid};

/// A Messaging Service, as far as it concerns the numbers in it
/// (<https://www.twilio.com/docs/messaging/api/service-resource>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagingService {
    /// Its SID.
    pub sid: MessagingServiceSid,
    /// Its name in the Twilio Console.
    pub name: String,
    /// Where it sends messages that come in; empty: it throws them away.
    pub inbound_url: String,
    /// How that is called.
    pub inbound_method: HttpMethod,
    /// Whether messages go to the number's own webhook instead.
    pub on_number: bool,
}

/// How far a registration that carriers ask for is: of a US campaign (A2P 10DLC), or of a toll-free number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registration {
    /// There is none.
    None,
    /// Handed in, not decided.
    Pending,
    /// Granted.
    Approved,
    /// Refused, with the reason where Twilio gives one.
    Rejected(String),
    /// A word that this release does not know.
    Other(String),
}
