//! Where a resource stands: one [`Kind`] for each row of the table in docs/conditions.md, and the conditions it shows.
//!
//! `kubectl get`, kstatus, Argo CD's health and the documentation all follow from [`Kind::row`].

use crate::api::conditions::Reason;

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
    MessagingServiceRefused,
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
    pub const ALL: [Self; 30] = [
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
        Self::MessagingServiceRefused,
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
            Self::MessagingServiceRefused => stalled(Reason::MessagingServiceRefused),
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
}
