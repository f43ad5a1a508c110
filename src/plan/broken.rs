//! What is done where a rule is not kept, as far as that is more than a condition left out.
//!
//! Nothing here happens in the product: every call stands behind `!holds(Rule::…)`, which is the constant `false` there. It is
//! kept out of the rooms that decide, so that what they do can be read without it.

use std::time::Duration;

use crate::api::v1alpha1::ClaimOutcome;
use crate::domain::{E164, Meaning, Now, Trouble};

use super::{Claim, Desired, Kind, Observed, Plan, Situation, Step, Wish, resolve};

/// Instead of [`Rule::WindowByOwnSight`](super::Rule): the window as the time in status and the wall clock tell it.
pub(crate) fn sight_by_wall(observed: &mut Observed, now: Now) {
    let stamped = observed.claim.as_ref().and_then(|c| c.last_attempt_at);
    if let (Some(stamped), Some((.., first))) = (stamped, &mut observed.memory.sight) {
        *first = now.boot.before(Duration::try_from(now.wall.duration_since(stamped)).unwrap_or_default());
    }
}

/// Instead of [`Rule::AmbiguousIsNoRefusal`](super::Rule).
pub(super) fn doubt_as_refusal(trouble: Trouble) -> Trouble {
    match trouble.meaning {
        Meaning::Ambiguous => Trouble { meaning: Meaning::RefusedNumber, ..trouble },
        Meaning::NotSent
        | Meaning::Throttled
        | Meaning::Credentials
        | Meaning::RefusedNumber
        | Meaning::RefusedOtherwise => trouble,
    }
}

/// Instead of [`Rule::ExactIsExact`](super::Rule): once the exact number was tried, any other one will do.
pub(super) fn any_other_number(observed: &Observed, wish: &Wish) -> Option<Wish> {
    let (claim, exact) = (observed.claim.as_ref()?, wish.exact.as_ref()?);
    claim.tried.contains(exact).then(|| Wish { exact: None, ..wish.clone() })
}

/// Instead of [`Rule::AnnounceThenLook`](super::Rule): others' claims are looked at before, and not again.
pub(super) fn look_first(observed: &Observed, number: &E164) -> Option<Plan> {
    let looked = observed.rivals.as_ref().is_some_and(|(looked_at, _)| looked_at == number);
    (!looked).then(|| look(number))
}

/// Instead of [`Rule::SentNeverYields`](super::Rule).
pub(super) fn yield_after_sending(desired: &Desired, observed: &Observed, claim: &Claim) -> Option<Plan> {
    match &observed.rivals {
        Some((looked_at, rivals)) if *looked_at == claim.number => {
            (!rivals.is_empty()).then(|| resolve::settle(desired, claim, ClaimOutcome::Abandoned, true))
        }
        _ => Some(look(&claim.number)),
    }
}

fn look(number: &E164) -> Plan {
    Plan::act(
        Step::LookAtRivals { number: number.clone() },
        Situation::new(Kind::Purchasing, "looking at others' claims"),
    )
}
