//! What a failed call is called: its situation, and a sentence for a person.

use crate::domain::{Class, Trouble};

use super::{Kind, Situation};

/// Where a failed call leaves a resource that holds no number.
pub fn situation(trouble: &Trouble) -> Situation {
    let kind = match trouble.class {
        Class::CredentialsRejected => Kind::CredentialsRejected,
        Class::AccountSuspended => Kind::AccountSuspended,
        Class::RegulatoryDataRequired => Kind::RegulatoryDataRequired,
        Class::NumberUnavailable | Class::AccountLimited => Kind::NumberUnavailable,
        // A search of a kind of number that the country has not; anything else that is "not found" is Twilio's doing.
        Class::NotFound if !trouble.operation.starts_with("ListAvailablePhoneNumber") => Kind::TwilioUnavailable,
        Class::InvalidRequest | Class::NotFound => Kind::InvalidSpec,
        Class::RateLimited => Kind::RateLimited,
        Class::Unavailable => Kind::TwilioUnavailable,
    };
    Situation::new(kind, sentence(trouble))
}

/// The trouble and its remedy, for a person.
pub fn sentence(trouble: &Trouble) -> String {
    if trouble.remedy.is_empty() { trouble.to_string() } else { format!("{trouble}; {}", trouble.remedy) }
}
