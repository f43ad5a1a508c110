//! Refusals that are respected for a while: nothing is sent again until a person acts or the time is over.

use std::time::Duration;

use crate::api::v1alpha1::ClaimOutcome;
use crate::domain::{Meaning, Moment, Trouble};

use super::{Claim, Desired, Kind, Situation, telling};

/// How long a refusal that needs a person is respected before one more try.
pub const REFUSAL: Duration = Duration::from_secs(30 * 60);
/// How long an exact number rests after it was given up.
const PAUSE: Duration = Duration::from_secs(15 * 60);

/// A refusal that another number would meet too: nothing is sent again until a person acts or the time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The generation that was refused.
    pub generation: i64,
    /// The credentials that were refused.
    pub fingerprint: Option<[u8; 32]>,
    /// What to say.
    pub situation: Situation,
    /// When to try again all the same.
    pub until: Moment,
}

/// The refusal to remember after an answer that another number would meet too.
pub(super) fn refusal_to_remember(
    desired: &Desired,
    fingerprint: Option<[u8; 32]>,
    refused: &Trouble,
    now: Moment,
) -> Option<Refusal> {
    (refused.meaning == Meaning::RefusedOtherwise).then(|| Refusal {
        generation: desired.generation,
        fingerprint,
        situation: telling::situation(refused),
        until: now.after(REFUSAL),
    })
}

/// The pause after an exact number was given up without an answer: the same number again, but not at once.
pub(super) fn pause_after_abandoning(desired: &Desired, claim: &Claim, now: Moment) -> Option<Refusal> {
    let exact = desired.wish.as_ref().is_ok_and(|w| w.exact.as_ref() == Some(&claim.number));
    (exact && claim.outcome == ClaimOutcome::Abandoned && claim.attempts > 0).then(|| Refusal {
        generation: desired.generation,
        fingerprint: None,
        situation: Situation::new(
            Kind::TwilioUnavailable,
            format!(
                "Twilio left {} purchases of {} without an answer; trying again later by itself",
                claim.attempts, claim.number
            ),
        ),
        until: now.after(PAUSE),
    })
}
