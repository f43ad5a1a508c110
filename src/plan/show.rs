//! A situation as conditions: what people and tools read.

use crate::api::conditions::{ConditionType, Reason, Truth, Wanted};
use crate::api::v1alpha1::Origin;
use crate::domain::Meaning;

use super::observed::CredentialsView;
use super::reach::{self, Verdict};
use super::wiring::{look_at, wiring};
use super::{Desired, Kind, Observed, Situation, telling};

impl Situation {
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
            _ if observed.accepted && !refused(observed) => {
                set(ConditionType::CredentialsValid, Truth::True, Reason::Accepted, "Twilio accepts the credentials");
            }
            // What stands against the number is told first, and what stands against the credentials here.
            _ => match &observed.credentials {
                CredentialsView::Missing(what) => {
                    set(ConditionType::CredentialsValid, Truth::False, Reason::WaitingForCredentials, what);
                }
                CredentialsView::Malformed(what) => {
                    set(ConditionType::CredentialsValid, Truth::False, Reason::CredentialsRejected, what);
                }
                CredentialsView::Present { .. } | CredentialsView::Unread => keep.push(ConditionType::CredentialsValid),
            },
        }
        match &observed.held {
            None => {
                set(ConditionType::NumberAcquired, Truth::False, Reason::NotAcquired, "no number is held yet");
                set(ConditionType::InboundSms, Truth::False, Reason::NotAcquired, "no number is held yet");
                set(ConditionType::OutboundSms, Truth::False, Reason::NotAcquired, "no number is held yet");
            }
            Some(held) => {
                // Said, because an edit of it has no effect any more: a held number is never replaced.
                let searched = desired.wish.as_ref().is_ok_and(|wish| !wish.searches.is_empty());
                let inert = if searched { "; spec.search is kept and no longer used" } else { "" };
                let (reason, how) = match held.origin {
                    Origin::Purchased => (Reason::Purchased, "was bought"),
                    Origin::Adopted => (Reason::Adopted, "was adopted"),
                };
                if self.kind == Kind::NumberLost {
                    set(ConditionType::NumberAcquired, Truth::False, Reason::NumberLost, &self.message);
                } else if observed.reported.lost && look_at(observed, held).is_none() {
                    // Whatever keeps it from being looked at just now does not bring it back.
                    keep.push(ConditionType::NumberAcquired);
                } else {
                    set(ConditionType::NumberAcquired, Truth::True, reason, &format!("{} {how}{inert}", held.number));
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
        // A claim of another installation id: the number is still this resource's, and serves.
        let renamed = observed.claim.as_ref().is_some_and(|claim| !desired.owns(claim));
        match self.kind {
            Kind::NumberLost | Kind::NumberClaimedElsewhere if self.kind == Kind::NumberLost || !renamed => {
                set(ConditionType::InboundSms, Truth::False, row.reason, &self.message);
                set(ConditionType::OutboundSms, Truth::False, row.reason, &self.message);
            }
            Kind::AccountSuspended => {
                set(ConditionType::InboundSms, Truth::Unknown, row.reason, &self.message);
                set(ConditionType::OutboundSms, Truth::False, row.reason, &self.message);
            }
            _ => match &wiring(desired, observed) {
                None => {
                    keep.push(ConditionType::OutboundSms);
                    match as_before(observed) {
                        Some(false) => set(
                            ConditionType::InboundSms,
                            Truth::False,
                            Reason::NotWired,
                            "the webhook at Twilio is not the one that was set up last",
                        ),
                        Some(true) | None => keep.push(ConditionType::InboundSms),
                    }
                }
                Some(wiring) => {
                    let mut tell = |kind, verdict| match verdict {
                        Verdict::AsBefore => keep.push(kind),
                        Verdict::Told(truth, reason, message) => set(kind, truth, reason, &message),
                    };
                    tell(ConditionType::InboundSms, reach::inbound(desired, observed, wiring));
                    let seen = observed.held.as_ref().and_then(|held| look_at(observed, held));
                    tell(
                        ConditionType::OutboundSms,
                        seen.map_or(Verdict::AsBefore, |number| reach::outbound(desired, observed, number, wiring)),
                    );
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
        let looked = observed.held.as_ref().is_some_and(|held| look_at(observed, held).is_some());
        if self.kind == Kind::NumberLost && !failed && !missing {
            set(
                ConditionType::Observed,
                Truth::True,
                Reason::Seen,
                "the account was looked at, and the number is not there",
            );
            return;
        }
        match (unseen || missing || failed, looked) {
            (true, _) => {
                let (reason, why) = blind(observed);
                set(ConditionType::Observed, Truth::False, reason, why.as_deref().unwrap_or(&self.message));
            }
            (false, true) => set(ConditionType::Observed, Truth::True, Reason::Seen, "the number was looked at"),
            (false, false) => keep.push(ConditionType::Observed),
        }
    }
}

/// Whether Twilio has refused the credentials in this pass, for whatever.
fn refused(observed: &Observed) -> bool {
    observed.trouble.as_ref().is_some_and(|(trouble, _)| trouble.meaning == Meaning::Credentials)
}

/// Whether messages go where they went when the number was set up last; `None`: it was not seen, or not set up.
fn as_before(observed: &Observed) -> Option<bool> {
    let number = look_at(observed, observed.held.as_ref()?)?;
    let (url, _) = observed.reported.webhook.as_ref()?;
    Some(number.sms_url == *url && number.sms_application_sid.is_empty())
}

/// Why a held number cannot be looked at: the reason, and the words where they are not the situation's own.
fn blind(observed: &Observed) -> (Reason, Option<String>) {
    match (&observed.trouble, &observed.credentials) {
        (Some((trouble, _)), _) => (telling::situation(trouble).kind.row().reason, Some(telling::sentence(trouble))),
        (None, CredentialsView::Missing(what)) => (Reason::WaitingForCredentials, Some(what.clone())),
        (None, CredentialsView::Malformed(what)) => (Reason::CredentialsRejected, Some(what.clone())),
        (None, CredentialsView::Present { .. } | CredentialsView::Unread) => (Reason::Unknown, None),
    }
}
