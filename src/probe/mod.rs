//! One signed, clearly marked message to a webhook, to see that it answers: what `sms.verification: SignedRequest` asks for.
//!
//! The URL is somebody else's word, and the request leaves from inside a cluster: only public addresses are called, checked after
//! the name was resolved and on the connection that is used; redirects are not followed; of the answer the status counts and nothing
//! is kept. When it is sent, and what is told of it, is decided elsewhere ([`crate::plan::verify`]).

mod address;
mod message;
mod network;
#[cfg(test)]
mod tests;
mod verdict;

pub use address::is_public;
pub use message::{MARK, Message};
#[cfg(test)]
pub(crate) use network::nobody;
pub use network::{Options, Transport, TransportError, network};
pub use verdict::{Failure, Verdict, verdict};

use std::time::Duration;

/// As long as Twilio waits for a webhook (<https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides>).
pub const PATIENCE: Duration = Duration::from_secs(15);
