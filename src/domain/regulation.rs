//! What a country asks for before a number is sold there
//! (<https://www.twilio.com/docs/phone-numbers/regulatory/api>).

use k8s_openapi::jiff::Timestamp;

use super::{BundleSid, RegulationSid};

/// A rule for numbers of one country, kind and sort of customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regulation {
    /// Its SID.
    pub sid: RegulationSid,
    /// Its name, such as `France: Local - Business`.
    pub name: String,
    /// Whether anything has to be handed in for it: then in a bundle.
    pub asks: bool,
}

/// Papers that were handed in for one regulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Its SID.
    pub sid: BundleSid,
    /// Its name in the Twilio Console.
    pub name: String,
    /// The regulation that it is for; empty where Twilio does not say.
    pub regulation: String,
    /// How far it is, in Twilio's word: `draft`, `pending-review`, `in-review`, `twilio-rejected`, `twilio-approved`,
    /// `provisionally-approved`.
    pub status: String,
    /// When it expires, if it does.
    pub valid_until: Option<Timestamp>,
}

/// What is known of the papers for one country and kind of number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Papers {
    /// All regulations there are, also those that ask for nothing; none: nothing is asked for.
    pub regulations: Vec<Regulation>,
    /// The bundle that was asked for; `None`: there is none such, or none was asked for.
    pub bundle: Option<Bundle>,
    /// Approved bundles of the account, where none was asked for.
    pub approved: Vec<Bundle>,
}
