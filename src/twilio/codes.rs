//! Twilio's error codes and what each means for this operator.
//!
//! The dictionary is at <https://www.twilio.com/docs/api/errors>. Codes are branched on rather than HTTP statuses,
//! which Twilio documents for few of them. New codes keep appearing, so that an unknown one is judged by its status.

use std::borrow::Cow;

use crate::domain::{Class, Meaning};

/// What a refusal means and what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) meaning: Meaning,
    pub(super) class: Class,
    pub(super) remedy: Cow<'static, str>,
}

impl Verdict {
    pub(super) fn new(meaning: Meaning, class: Class, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self { meaning, class, remedy: remedy.into() }
    }

    /// The outcome is unknown, and waiting is all that can be done.
    pub(super) fn unknown() -> Self {
        Self::new(Meaning::Ambiguous, Class::Unavailable, "")
    }

    /// Not processed: too many calls at once (<https://www.twilio.com/docs/api/errors/20429>).
    pub(super) fn throttled() -> Self {
        Self::new(Meaning::Throttled, Class::RateLimited, "")
    }

    pub(super) fn credentials(remedy: &'static str) -> Self {
        Self::new(Meaning::Credentials, Class::CredentialsRejected, remedy)
    }
}

/// The Twilio code of a thing that does not exist.
pub(super) const NOT_FOUND: u32 = 20_404;

fn suspended(remedy: &'static str) -> Verdict {
    Verdict::new(Meaning::Credentials, Class::AccountSuspended, remedy)
}

fn limited(remedy: &'static str) -> Verdict {
    Verdict::new(Meaning::RefusedOtherwise, Class::AccountLimited, remedy)
}

fn regulatory(remedy: &'static str) -> Verdict {
    Verdict::new(Meaning::RefusedOtherwise, Class::RegulatoryDataRequired, remedy)
}

fn invalid(remedy: &'static str) -> Verdict {
    Verdict::new(Meaning::RefusedOtherwise, Class::InvalidRequest, remedy)
}

fn number(remedy: &'static str) -> Verdict {
    Verdict::new(Meaning::RefusedNumber, Class::NumberUnavailable, remedy)
}

const BUG: &str = "This is a fault of the operator: please report it with the request id.";
const NO_PART: &str =
    "The operator makes no call of this kind: another program works on the same account, or the URL is not Twilio's.";

/// What a code of the dictionary means; `None`: unknown here, judge by HTTP status.
///
/// [`NOT_FOUND`] is not among them: it depends on the status too.
#[allow(clippy::too_many_lines, reason = "one table, one line a code")]
pub(super) fn known(code: u32, operation: &str) -> Option<Verdict> {
    Some(match code {
        // The account and its credentials.
        10_001 | 20_403 => suspended(
            "The account is suspended or closed: pay or reactivate it in the Twilio Console; the operator looks again by itself.",
        ),
        20_005 => suspended("The account is not active: add funds or activate it in the Twilio Console."),
        20_003 => Verdict::credentials(
            "Check the Secret: were the credentials rotated or deleted, are they of this account and of region US1? A suspended account is refused in the same words.",
        ),
        20_006 => Verdict::credentials("The rights were withdrawn: ask the account's administrator for access."),
        20_008 => Verdict::credentials("These are test credentials, which can do next to nothing: use the live ones."),
        70_051 => Verdict::new(
            Meaning::Credentials,
            Class::CredentialsRejected,
            format!(
                "The restricted API key lacks the permission for {operation}: add it to the key in the Twilio Console."
            ),
        ),
        10_002 | 21_404 => limited(
            "A trial account may hold one number only and lacks some features: upgrade the account in the Twilio Console.",
        ),
        20_010 => limited("Twilio has disabled this action for the account: ask Twilio's support."),
        21_470..=21_474 => limited(
            "Moving numbers between accounts is for the parent account's own credentials and for related, active accounts.",
        ),

        // Outcome unknown, or not processed.
        // 20162 and 20409: a conflicting change is under way, and with a purchase that may be our own earlier attempt
        // taking effect. A conflict therefore never counts as a refusal.
        20_500 | 20_503 | 20_504 | 20_162 | 20_409 => Verdict::unknown(),
        20_429 => Verdict::throttled(),

        // This very number.
        21_422 => number("The number is taken or reserved: choose another one."),
        20_023 | 21_401 | 21_421 => {
            number("Twilio does not take this for a phone number it could sell: choose another one.")
        }
        21_407 => number("Numbers of this kind cannot receive messages: choose another one."),
        21_452 => Verdict::new(
            Meaning::RefusedOtherwise,
            Class::NumberUnavailable,
            "Twilio has no numbers in this area just now: add other area codes to spec.search.areaCodes.",
        ),

        // Regulation (https://www.twilio.com/docs/phone-numbers/regulatory).
        21_613 | 21_628 | 21_629 | 21_631 => {
            regulatory("Give the SID of a validated address of the right place in spec.regulatory.addressSID (AD…).")
        }
        21_615 => {
            regulatory("Give the SID of an address in the number's own area in spec.regulatory.addressSID (AD…).")
        }
        21_630 => {
            regulatory("The address is locked by a document: make a new one and give it in spec.regulatory.addressSID.")
        }
        21_649 => regulatory(
            "Give the SID of an approved bundle for this country and type in spec.regulatory.bundleSID (BU…).",
        ),
        21_648 => regulatory("The bundle is assigned to a number: give another one in spec.regulatory.bundleSID."),
        21_650 => regulatory(
            "Give the SID of a verified identity document in spec.regulatory.identitySID (RI…); verification takes Twilio up to two business days.",
        ),
        21_651 => regulatory(
            "The document or bundle does not satisfy the country's rules: correct spec.regulatory.identitySID or spec.regulatory.bundleSID.",
        ),
        22_200..=22_229 => regulatory("Complete the bundle of spec.regulatory.bundleSID in the Twilio Console."),

        // Values that come from the resource.
        21_402 => invalid(
            "Correct spec.sms.webhookURL or spec.sms.fallbackURL (or those of spec.voice): Twilio wants an absolute URL with a public host.",
        ),
        21_403 => invalid("Correct spec.sms.method or spec.sms.fallbackMethod (or those of spec.voice): GET or POST."),
        21_405 => invalid("spec.voice.fallbackURL needs spec.voice.webhookURL."),
        21_406 => invalid("spec.sms.fallbackURL needs spec.sms.webhookURL."),
        21_502 => invalid("Correct spec.sms.webhookURL and spec.voice.webhookURL: Twilio calls neither."),
        21_451 => invalid("Correct spec.search.areaCodes: it is no North American area code."),
        21_457 | 21_458 => {
            invalid("Correct spec.search.type: numbers of this country and type are searched in another way.")
        }
        20_002 => invalid("Correct spec.friendlyName: Twilio takes up to 64 characters."),
        20_422 | 20_423 => {
            invalid("Check spec.search, spec.regulatory and spec.sms: Twilio does not accept one of their values.")
        }
        21_420 => invalid("An application on the number belongs to another account: remove it in the Twilio Console."),
        21_409 => invalid("Caller-ID look-up was switched on by another program and does not exist for this number."),
        22_400 => invalid("The number is part of an active route configuration: ask Twilio's support to remove it."),

        // Messaging Services (https://www.twilio.com/docs/messaging/services).
        21_701 | 21_705 => {
            invalid("Correct spec.sms.messagingServiceSID (MG…): the account has no such Messaging Service.")
        }
        21_710 => invalid(
            "The number is in the Messaging Service of spec.sms.messagingServiceSID already: nothing is to be done.",
        ),
        21_711 => invalid(
            "The number is not in the Messaging Service of spec.sms.messagingServiceSID: nothing is to be done.",
        ),
        21_712 => invalid(
            "The number is in another Messaging Service: take it out there, or change spec.sms.messagingServiceSID.",
        ),
        21_714 => invalid(
            "The Messaging Service of spec.sms.messagingServiceSID is full (400 senders unless Twilio allows more).",
        ),
        21_715 => invalid("The number can send neither SMS nor MMS: remove spec.sms.messagingServiceSID."),
        21_669 => {
            invalid("The number and the Messaging Service of spec.sms.messagingServiceSID are in different regions.")
        }

        // Calls that the operator never makes, and its own mistakes.
        20_001 | 20_007 => invalid(BUG),
        20_004 => invalid("The URL does not allow this call: check the operator's --twilio-url."),
        21_450 | 21_453 | 21_616 | 21_617 | 21_703 | 21_704 | 22_100..=22_133 => invalid(NO_PART),
        _ => return None,
    })
}
