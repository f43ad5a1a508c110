//! Conditions: their types, their reasons (a closed list) and how a list of them is brought up to date.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// The types of condition that the operator writes, in the order in which they stand in status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConditionType {
    /// The number is in service.
    Ready,
    /// Work is under way. Present only while True.
    Reconciling,
    /// Nothing will change until a person acts. Present only while True, never beside `Reconciling`.
    Stalled,
    /// The account accepts the credentials.
    CredentialsValid,
    /// A number is held.
    NumberAcquired,
    /// Incoming messages reach the webhook.
    InboundSms,
    /// The number can send messages.
    OutboundSms,
    /// The webhook answered a signed message. Present where that is asked for.
    WebhookVerified,
    /// False while an existing number cannot be looked at.
    Observed,
    /// The month's usage and the prices could be read.
    UsageReported,
    /// The resource is suspended.
    Paused,
}

impl ConditionType {
    /// All types, in the order of status.
    pub const ALL: [Self; 11] = [
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
        Self::CredentialsValid,
        Self::NumberAcquired,
        Self::InboundSms,
        Self::OutboundSms,
        Self::WebhookVerified,
        Self::Observed,
        Self::UsageReported,
        Self::Paused,
    ];

    /// The type as it stands in status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::CredentialsValid => "CredentialsValid",
            Self::NumberAcquired => "NumberAcquired",
            Self::InboundSms => "InboundSms",
            Self::OutboundSms => "OutboundSms",
            Self::WebhookVerified => "WebhookVerified",
            Self::Observed => "Observed",
            Self::UsageReported => "UsageReported",
            Self::Paused => "Paused",
        }
    }
}

/// Why a condition is what it is. A closed list: tools may match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(
    missing_docs,
    reason = "docs/conditions.md says what each means and what to do, and a test holds the two together"
)]
pub enum Reason {
    WaitingForCredentials,
    Searching,
    Purchasing,
    ResolvingPurchase,
    ConfiguringNumber,
    NoNumbersAvailable,
    RateLimited,
    TwilioUnavailable,
    PurchaseLimitReached,
    AwaitingApproval,
    Suspended,
    Available,
    CredentialsRejected,
    AccountSuspended,
    AccountMismatch,
    PriceAboveLimit,
    NumberUnavailable,
    NumberClaimedElsewhere,
    HeldNumberDiffers,
    RegulatoryDataRequired,
    NumberLost,
    DriftContested,
    MessagingServiceRefused,
    InvalidSpec,
    ConfirmationRequired,
    Releasing,
    // Reasons of the domain conditions.
    Accepted,
    Unknown,
    Purchased,
    Adopted,
    NotAcquired,
    Wired,
    NotWired,
    ShadowedByService,
    NotChecked,
    Capable,
    NotCapable,
    Registered,
    NotRegistered,
    TrialAccount,
    Verified,
    NotPublic,
    Unreachable,
    TlsFailed,
    TimedOut,
    Redirected,
    SignatureRefused,
    WebhookFailed,
    Seen,
    Reported,
    NotReported,
}

impl Reason {
    /// The reason as it stands in status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WaitingForCredentials => "WaitingForCredentials",
            Self::Searching => "Searching",
            Self::Purchasing => "Purchasing",
            Self::ResolvingPurchase => "ResolvingPurchase",
            Self::ConfiguringNumber => "ConfiguringNumber",
            Self::NoNumbersAvailable => "NoNumbersAvailable",
            Self::RateLimited => "RateLimited",
            Self::TwilioUnavailable => "TwilioUnavailable",
            Self::PurchaseLimitReached => "PurchaseLimitReached",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::Suspended => "Suspended",
            Self::Available => "Available",
            Self::CredentialsRejected => "CredentialsRejected",
            Self::AccountSuspended => "AccountSuspended",
            Self::AccountMismatch => "AccountMismatch",
            Self::PriceAboveLimit => "PriceAboveLimit",
            Self::NumberUnavailable => "NumberUnavailable",
            Self::NumberClaimedElsewhere => "NumberClaimedElsewhere",
            Self::HeldNumberDiffers => "HeldNumberDiffers",
            Self::RegulatoryDataRequired => "RegulatoryDataRequired",
            Self::NumberLost => "NumberLost",
            Self::DriftContested => "DriftContested",
            Self::MessagingServiceRefused => "MessagingServiceRefused",
            Self::InvalidSpec => "InvalidSpec",
            Self::ConfirmationRequired => "ConfirmationRequired",
            Self::Releasing => "Releasing",
            Self::Accepted => "Accepted",
            Self::Unknown => "Unknown",
            Self::Purchased => "Purchased",
            Self::Adopted => "Adopted",
            Self::NotAcquired => "NotAcquired",
            Self::Wired => "Wired",
            Self::NotWired => "NotWired",
            Self::ShadowedByService => "ShadowedByService",
            Self::NotChecked => "NotChecked",
            Self::Capable => "Capable",
            Self::NotCapable => "NotCapable",
            Self::Registered => "Registered",
            Self::NotRegistered => "NotRegistered",
            Self::TrialAccount => "TrialAccount",
            Self::Verified => "Verified",
            Self::NotPublic => "NotPublic",
            Self::Unreachable => "Unreachable",
            Self::TlsFailed => "TlsFailed",
            Self::TimedOut => "TimedOut",
            Self::Redirected => "Redirected",
            Self::SignatureRefused => "SignatureRefused",
            Self::WebhookFailed => "WebhookFailed",
            Self::Seen => "Seen",
            Self::Reported => "Reported",
            Self::NotReported => "NotReported",
        }
    }
}

/// The status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It cannot be said.
    Unknown,
}

impl Truth {
    fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// One condition that is wanted, without a clock in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub kind: ConditionType,
    /// Whether it holds.
    pub status: Truth,
    /// Why, for tools.
    pub reason: Reason,
    /// Why and what to do, for people; never a credential, never a webhook's query.
    pub message: String,
}

/// The most bytes of a message; Kubernetes allows 32768, people read far less.
const MESSAGE_BYTES: usize = 1024;

/// Brings a list up to date: exactly the wanted conditions, in their fixed order, each with `observedGeneration`;
/// `lastTransitionTime` moves only where `status` did. Of the types in `keep` nothing new was learnt: they stay as they
/// are. Types of other writers are kept behind ours.
pub fn update(
    old: &[Condition],
    wanted: &[Wanted],
    keep: &[ConditionType],
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let mut new: Vec<Condition> = Vec::with_capacity(wanted.len());
    for kind in ConditionType::ALL {
        let Some(want) = wanted.iter().find(|w| w.kind == kind) else {
            new.extend(find(old, kind).filter(|_| keep.contains(&kind)).cloned());
            continue;
        };
        let before = old.iter().find(|c| c.type_ == kind.as_str() && c.status == want.status.as_str());
        new.push(Condition {
            type_: kind.as_str().to_owned(),
            status: want.status.as_str().to_owned(),
            reason: want.reason.as_str().to_owned(),
            message: cut(&want.message),
            observed_generation: Some(generation),
            last_transition_time: before.map_or_else(|| Time(now), |c| c.last_transition_time.clone()),
        });
    }
    let ours = |c: &&Condition| ConditionType::ALL.iter().any(|k| k.as_str() == c.type_);
    new.extend(old.iter().filter(|c| !ours(c)).cloned());
    new
}

fn cut(message: &str) -> String {
    let mut end = message.len().min(MESSAGE_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.get(..end).unwrap_or_default().to_owned()
}

/// The condition of this type, if there.
pub fn find(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == kind.as_str())
}

/// Whether the condition of this type is there and True.
pub fn is_true(conditions: &[Condition], kind: ConditionType) -> bool {
    find(conditions, kind).is_some_and(|c| c.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(kind: ConditionType, status: Truth, message: &str) -> Wanted {
        Wanted { kind, status, reason: Reason::Available, message: message.to_owned() }
    }

    #[test]
    fn transition_time_moves_only_with_status() {
        let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(60).unwrap());
        let first = update(&[], &[want(ConditionType::Ready, Truth::True, "a")], &[], 1, early);
        let same = update(&first, &[want(ConditionType::Ready, Truth::True, "b")], &[], 2, late);
        assert_eq!(same[0].last_transition_time.0, early);
        assert_eq!((same[0].message.as_str(), same[0].observed_generation), ("b", Some(2)));
        let moved = update(&same, &[want(ConditionType::Ready, Truth::False, "b")], &[], 2, late);
        assert_eq!(moved[0].last_transition_time.0, late);
    }

    #[test]
    fn what_is_not_wanted_goes_and_other_writers_stay() {
        let mut old = update(
            &[],
            &[want(ConditionType::Reconciling, Truth::True, ""), want(ConditionType::Ready, Truth::False, "")],
            &[],
            1,
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(old[0].type_, "Ready");
        old.push(Condition { type_: "example.org/Checked".into(), ..old[0].clone() });
        let new = update(&old, &[want(ConditionType::Ready, Truth::True, "")], &[], 1, Timestamp::UNIX_EPOCH);
        assert_eq!(new.iter().map(|c| c.type_.as_str()).collect::<Vec<_>>(), ["Ready", "example.org/Checked"]);
    }

    #[test]
    fn nothing_changed_means_equal() {
        let wanted = [
            want(ConditionType::Ready, Truth::True, "in service"),
            want(ConditionType::InboundSms, Truth::Unknown, ""),
        ];
        let first = update(&[], &wanted, &[], 3, Timestamp::UNIX_EPOCH);
        assert_eq!(update(&first, &wanted, &[], 3, Timestamp::MAX), first);
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let new =
            update(&[], &[want(ConditionType::Ready, Truth::True, &"é".repeat(2000))], &[], 1, Timestamp::UNIX_EPOCH);
        assert!(new[0].message.len() <= MESSAGE_BYTES);
    }
}
