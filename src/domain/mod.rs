//! The words of the field as types: a value of one of these is well-formed by construction.
//!
//! Parsing happens once, at the edge; everything behind it takes these types and cannot be handed nonsense.
//! No I/O, no clock, no Kubernetes and no Twilio here.

pub mod capabilities;
pub mod message;
pub mod messaging;
pub mod money;
pub mod number;
pub mod numbering;
pub mod phone_number;
pub mod regulation;
pub mod sid;
pub mod tag;
pub mod time;
pub mod trouble;
pub mod usage;
pub mod webhook;

pub use capabilities::{Capabilities, Capability};
pub use message::{Alert, ArrivedMessage, MessageState};
pub use messaging::{MessagingService, Registration};
pub use money::{Currency, MessagePrice, MessagePrices, Money, NumberPrices};
pub use number::{AvailableNumber, Field, IncomingNumber, NumberType, Purchase, Regulatory, Search, Setup};
pub use phone_number::{CountryCode, E164};
pub use regulation::{Bundle, Papers, Regulation};
pub use sid::{
    AccountSid, AddressSid, ApiKeySid, BundleSid, IdentitySid, MessageSid, MessagingServiceSid, PhoneNumberSid,
    RegulationSid,
};
pub use tag::{InstallationId, Mark, OwnerTag};
pub use time::{Moment, Now};
pub use trouble::{Class, Meaning, Trouble};
pub use usage::{ListedMessage, MessageUsage, Month};
pub use webhook::{HttpMethod, Webhook};

/// Why a piece of text is not what it should be.
///
/// Carries the *shape* of the value (its length, which character was out of place), never the value itself: the text
/// may be a credential that was put into the wrong field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {problem}")]
pub struct ParseError {
    /// The thing that was expected, in the field's words, such as `Account SID`.
    pub what: &'static str,
    /// What is wrong with the value and what it should look like.
    pub problem: String,
}

impl ParseError {
    pub(crate) fn new(what: &'static str, problem: impl Into<String>) -> Self {
        Self { what, problem: problem.into() }
    }
}

/// Implements the string side of a newtype: `Display`, `FromStr`, `AsRef<str>` and serde as a plain string.
macro_rules! string_newtype {
    ($name:ident) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
        impl std::str::FromStr for $name {
            type Err = $crate::domain::ParseError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use string_newtype;
