//! Where a resource stands: one [`Kind`] for each row of the table in docs/conditions.md, and the conditions it shows.
//!
//! `kubectl get`, kstatus, Argo CD's health and the documentation all follow from [`Kind::row`].

use crate::api::conditions::{ConditionType, Reason, Truth, Wanted};
use crate::api::v1alpha1::Origin;

use super::observed::CredentialsView;
use super::{Desired, Observed, keep, setback};

/// Where a resource stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "named after the reasons, which docs/conditions.md explains")]
pub enum Kind {
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
    /// In service.
    Available,
    /// In service, being brought to what is wanted now.
    Rewiring,
    /// In service, cannot be looked at just now.
    Unobserved,
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
    InvalidSpec,
    /// Being deleted while a purchase or its window is still open.
    DeletionResolving,
    /// Being deleted, and the release is not confirmed.
    ConfirmationRequired,
    /// Being deleted, and the credentials for it are missing.
    DeletionWaitingForCredentials,
    /// Being deleted, the number on its way back to Twilio.
    Releasing,
}

/// The three summary conditions of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// `Ready`.
    pub ready: bool,
    /// `Reconciling` is there and True.
    pub reconciling: bool,
    /// `Stalled` is there and True.
    pub stalled: bool,
    /// The reason of all of them.
    pub reason: Reason,
}

impl Kind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 29] = [
        Self::WaitingForCredentials,
        Self::Searching,
        Self::Purchasing,
        Self::ResolvingPurchase,
        Self::ConfiguringNumber,
        Self::NoNumbersAvailable,
        Self::RateLimited,
        Self::TwilioUnavailable,
        Self::PurchaseLimitReached,
        Self::AwaitingApproval,
        Self::Suspended,
        Self::Available,
        Self::Rewiring,
        Self::Unobserved,
        Self::CredentialsRejected,
        Self::AccountSuspended,
        Self::AccountMismatch,
        Self::PriceAboveLimit,
        Self::NumberUnavailable,
        Self::NumberClaimedElsewhere,
        Self::HeldNumberDiffers,
        Self::RegulatoryDataRequired,
        Self::NumberLost,
        Self::DriftContested,
        Self::InvalidSpec,
        Self::DeletionResolving,
        Self::ConfirmationRequired,
        Self::DeletionWaitingForCredentials,
        Self::Releasing,
    ];

    /// The row of the table.
    pub fn row(self) -> Row {
        let working = |reason| Row { ready: false, reconciling: true, stalled: false, reason };
        let stalled = |reason| Row { ready: false, reconciling: false, stalled: true, reason };
        let waiting = |reason| Row { ready: false, reconciling: false, stalled: false, reason };
        let serving = |reconciling, reason| Row { ready: true, reconciling, stalled: false, reason };
        match self {
            Self::WaitingForCredentials | Self::DeletionWaitingForCredentials => working(Reason::WaitingForCredentials),
            Self::Searching => working(Reason::Searching),
            Self::Purchasing => working(Reason::Purchasing),
            Self::ResolvingPurchase | Self::DeletionResolving => working(Reason::ResolvingPurchase),
            Self::ConfiguringNumber => working(Reason::ConfiguringNumber),
            Self::NoNumbersAvailable => working(Reason::NoNumbersAvailable),
            Self::RateLimited => working(Reason::RateLimited),
            Self::TwilioUnavailable => working(Reason::TwilioUnavailable),
            Self::PurchaseLimitReached => working(Reason::PurchaseLimitReached),
            Self::AwaitingApproval => waiting(Reason::AwaitingApproval),
            Self::Suspended => waiting(Reason::Suspended),
            Self::Available | Self::Unobserved => serving(false, Reason::Available),
            Self::Rewiring => serving(true, Reason::ConfiguringNumber),
            Self::CredentialsRejected => stalled(Reason::CredentialsRejected),
            Self::AccountSuspended => stalled(Reason::AccountSuspended),
            Self::AccountMismatch => stalled(Reason::AccountMismatch),
            Self::PriceAboveLimit => stalled(Reason::PriceAboveLimit),
            Self::NumberUnavailable => stalled(Reason::NumberUnavailable),
            Self::NumberClaimedElsewhere => stalled(Reason::NumberClaimedElsewhere),
            Self::HeldNumberDiffers => stalled(Reason::HeldNumberDiffers),
            Self::RegulatoryDataRequired => stalled(Reason::RegulatoryDataRequired),
            Self::NumberLost => stalled(Reason::NumberLost),
            Self::DriftContested => stalled(Reason::DriftContested),
            Self::InvalidSpec => stalled(Reason::InvalidSpec),
            Self::ConfirmationRequired => working(Reason::ConfirmationRequired),
            Self::Releasing => working(Reason::Releasing),
        }
    }
}

/// Where a resource stands, and a sentence about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation {
    /// Where it stands.
    pub kind: Kind,
    /// Which field or Twilio code, what happened, and what to do.
    pub message: String,
}

impl Situation {
    /// A situation.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The conditions to show, and the types whose earlier condition still holds because this pass learnt nothing of it.
    #[allow(clippy::wildcard_enum_match_arm, reason = "most kinds say nothing about credentials")]
    pub fn conditions(&self, desired: &Desired, observed: &Observed) -> (Vec<Wanted>, Vec<ConditionType>) {
        let row = self.kind.row();
        let mut wanted = Vec::new();
        let mut keep = Vec::new();
        let mut set = |kind, status, reason, message: &str| {
            wanted.push(Wanted { kind, status, reason, message: message.to_owned() });
        };
        set(ConditionType::Ready, row.ready.into(), row.reason, &self.message);
        if row.reconciling {
            set(ConditionType::Reconciling, Truth::True, row.reason, &self.message);
        }
        if row.stalled {
            set(ConditionType::Stalled, Truth::True, row.reason, &self.message);
        }
        match self.kind {
            Kind::WaitingForCredentials | Kind::DeletionWaitingForCredentials => {
                set(ConditionType::CredentialsValid, Truth::False, Reason::WaitingForCredentials, &self.message);
            }
            Kind::CredentialsRejected | Kind::AccountSuspended | Kind::AccountMismatch => {
                set(ConditionType::CredentialsValid, Truth::False, row.reason, &self.message);
            }
            _ if observed.accepted => {
                set(ConditionType::CredentialsValid, Truth::True, Reason::Accepted, "Twilio accepts the credentials");
            }
            _ => keep.push(ConditionType::CredentialsValid),
        }
        match &observed.held {
            None => {
                set(ConditionType::NumberAcquired, Truth::False, Reason::NotAcquired, "no number is held yet");
                set(ConditionType::InboundSms, Truth::False, Reason::NotAcquired, "no number is held yet");
                set(ConditionType::OutboundSms, Truth::False, Reason::NotAcquired, "no number is held yet");
            }
            Some(held) => {
                let (reason, how) = match held.origin {
                    Origin::Purchased => (Reason::Purchased, "was bought"),
                    Origin::Adopted => (Reason::Adopted, "was adopted"),
                };
                if self.kind == Kind::NumberLost {
                    set(ConditionType::NumberAcquired, Truth::False, Reason::NumberLost, &self.message);
                } else {
                    set(ConditionType::NumberAcquired, Truth::True, reason, &format!("{} {how}", held.number));
                }
                self.service(desired, observed, &mut set, &mut keep);
            }
        }
        if desired.suspend {
            set(ConditionType::Paused, Truth::True, Reason::Suspended, "spec.suspend is true: nothing new is started");
        }
        (wanted, keep)
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "for most kinds it is what was seen of the number that counts")]
    /// The conditions about a held number: `InboundSms`, `OutboundSms` and `Observed`.
    fn service(
        &self,
        desired: &Desired,
        observed: &Observed,
        set: &mut impl FnMut(ConditionType, Truth, Reason, &str),
        keep: &mut Vec<ConditionType>,
    ) {
        let row = self.kind.row();
        match self.kind {
            Kind::NumberLost | Kind::NumberClaimedElsewhere => {
                set(ConditionType::InboundSms, Truth::False, row.reason, &self.message);
                set(ConditionType::OutboundSms, Truth::False, row.reason, &self.message);
            }
            Kind::AccountSuspended => {
                set(ConditionType::InboundSms, Truth::Unknown, row.reason, &self.message);
                set(ConditionType::OutboundSms, Truth::False, row.reason, &self.message);
            }
            _ => match &keep::wiring(desired, observed) {
                None => keep.extend([ConditionType::InboundSms, ConditionType::OutboundSms]),
                Some(wiring) => {
                    let fields = wiring.wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                    if !wiring.sms {
                        set(
                            ConditionType::InboundSms,
                            Truth::False,
                            Reason::NotCapable,
                            "the number has no SMS capability",
                        );
                        set(
                            ConditionType::OutboundSms,
                            Truth::False,
                            Reason::NotCapable,
                            "the number has no SMS capability",
                        );
                    } else {
                        if wiring.inbound {
                            set(
                                ConditionType::InboundSms,
                                Truth::True,
                                Reason::Wired,
                                "incoming messages are sent to the webhook",
                            );
                        } else {
                            set(
                                ConditionType::InboundSms,
                                Truth::False,
                                Reason::NotWired,
                                &format!("not as wanted at Twilio: {fields}"),
                            );
                        }
                        set(
                            ConditionType::OutboundSms,
                            Truth::True,
                            Reason::Capable,
                            "the number has SMS capability; what carriers ask of senders is not checked",
                        );
                    }
                }
            },
        }
        let unseen = matches!(
            self.kind,
            Kind::Unobserved
                | Kind::CredentialsRejected
                | Kind::AccountSuspended
                | Kind::AccountMismatch
                | Kind::WaitingForCredentials
                | Kind::DeletionWaitingForCredentials
        );
        let missing = matches!(observed.credentials, CredentialsView::Missing(_) | CredentialsView::Malformed(_));
        let failed = observed.trouble.is_some() && observed.number.is_none();
        match (unseen || missing || failed, keep::wiring(desired, observed).is_some()) {
            (true, _) => {
                set(ConditionType::Observed, Truth::False, blind(observed), &self.message);
            }
            (false, true) => set(ConditionType::Observed, Truth::True, Reason::Seen, "the number was looked at"),
            (false, false) => keep.push(ConditionType::Observed),
        }
    }
}

/// Why a held number cannot be looked at.
fn blind(observed: &Observed) -> Reason {
    match (&observed.trouble, &observed.credentials) {
        (Some((trouble, _)), _) => setback::situation(trouble).kind.row().reason,
        (None, CredentialsView::Missing(_)) => Reason::WaitingForCredentials,
        (None, CredentialsView::Malformed(_)) => Reason::CredentialsRejected,
        (None, CredentialsView::Present { .. } | CredentialsView::Unread) => Reason::Unknown,
    }
}
