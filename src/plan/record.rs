//! Recording a number as a resource's, and what stands against it.
//!
//! Every stage may come upon the number: in the answer to a purchase, by its tag in a list, or while a resource is deleted.

use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;

use crate::api::v1alpha1::{ClaimOutcome, Origin};
use crate::domain::webhook::printable;
use crate::domain::{E164, IncomingNumber, Now};

use super::{
    AccountList, Claim, Desired, Held, Kind, Note, Observed, Plan, Rule, Situation, Step, Wish, holds, setback,
};

/// How much earlier than our first stamp a number must have been created to count as somebody else's: well above what
/// two machines' clocks may differ.
const UPSERT: Duration = Duration::from_secs(15 * 60);

/// Records a number as this resource's: bought, adopted or found by its tag.
///
/// `claim` is the one that led here; a number that was found without one gets a claim that says so.
pub(super) fn record(
    desired: &Desired,
    observed: &Observed,
    number: &IncomingNumber,
    claim: Option<&Claim>,
    now: Now,
) -> Plan {
    let mark_says_adopted = number.mark().is_some_and(|m| m.adopted) && holds(Rule::AdoptedStaysAdopted);
    let same =
        claim.or(observed.claim.as_ref()).filter(|c| c.number == number.phone_number && c.account == number.account);
    // Also when the answer was lost: a number that is older than its purchase was not bought by it.
    let upserted = same.is_some_and(|c| c.unsettled() && upserted(number, c)) && !mark_says_adopted;
    let adopted = mark_says_adopted || upserted;
    // An unresolved claim of another number is settled, not replaced: the API server lets nobody drop it.
    let open = observed.claim.as_ref().filter(|c| c.unsettled() && c.number != number.phone_number);
    let claim = Claim {
        outcome: ClaimOutcome::Held,
        unanswered: 0,
        ..same.cloned().unwrap_or_else(|| {
            let tried = observed.claim.as_ref().map(|c| c.tried.clone()).unwrap_or_default();
            Claim::announce(
                number.phone_number.clone(),
                desired.tag().clone(),
                number.account.clone(),
                desired.generation,
                tried,
            )
        })
    };
    // One that was lost and is there again under another SID was not bought now.
    let back = same.is_some_and(|c| c.outcome == ClaimOutcome::Held);
    let held = Held {
        number: number.phone_number.clone(),
        sid: number.sid.clone(),
        account: number.account.clone(),
        origin: if adopted { Origin::Adopted } else { Origin::Purchased },
        acquired_at: number.date_created.filter(|_| back || claim.attempts == 0).or(Some(now.wall)),
    };
    let note = match (claim.attempts, upserted, adopted) {
        (_, true, _) => Note::warning(
            "PurchaseWasUpdate",
            "Buy",
            format!(
                "the purchase of {} acted as an update: the account held it already. It is treated as adopted and never released",
                held.number
            ),
        ),
        (0, ..) => found_note(&held.number),
        _ if back => found_note(&held.number),
        (_, _, true) => Note::normal("NumberAdopted", "Adopt", format!("{} was taken over", held.number)),
        _ => Note::normal("NumberPurchased", "Buy", format!("{} was bought ({})", held.number, held.sid)),
    };
    let situation = match &desired.wish {
        Ok(wish) if !desired.deleting => match contradiction(wish, &held) {
            Some(situation) => situation,
            None if wish.messaging_service.is_none()
                && wish.setup(&desired.mark(adopted), &held.number).differences(number).is_empty() =>
            {
                in_service(number, wish)
            }
            None => Situation::new(Kind::ConfiguringNumber, format!("setting up {}", held.number)),
        },
        Err(problem) if !desired.deleting => Situation::new(Kind::InvalidSpec, problem.to_string()),
        _ => Situation::new(
            Kind::DeletionResolving,
            format!("{} was bought before the resource was deleted", held.number),
        ),
    };
    let claim = open.map_or(claim, |open| open.settled(ClaimOutcome::Abandoned, true));
    Plan::act(Step::Save { claim: Some(claim), held: Some(held), note: Some(note) }, situation)
}

pub(super) fn in_service(number: &IncomingNumber, wish: &Wish) -> Situation {
    let (it, url) = (&number.phone_number, printable(&wish.sms.url));
    let by_hand = !wish.sms_managed() && number.sms_url != wish.sms.url;
    let message = if number.capabilities.sms && by_hand {
        format!("{it} is held; its webhook is set by hand (spec.sms.management: Observed) and is not {url} yet")
    } else if number.capabilities.sms {
        format!("{it} receives SMS at {url}")
    } else {
        format!("{it} is held and has no SMS capability: no message reaches {url}")
    };
    Situation::new(Kind::Available, message)
}

pub(super) fn contradiction(wish: &Wish, held: &Held) -> Option<Situation> {
    let exact = wish.exact.as_ref().filter(|exact| **exact != held.number)?;
    Some(Situation::new(
        Kind::HeldNumberDiffers,
        format!(
            "spec.phoneNumber names {exact} and this resource holds {}: a held number is never replaced. Put {} back, or make another resource for {exact}",
            held.number, held.number
        ),
    ))
}

/// A number with our tag, whatever the claim names: it is recorded, and nothing is bought.
pub(super) fn found(desired: &Desired, observed: &Observed, list: &AccountList, now: Now) -> Option<Plan> {
    let sent = observed.claim.as_ref().is_some_and(Claim::unsettled);
    let mine: Vec<_> = list.tagged(&desired.tags).filter(|_| sent || holds(Rule::OwnTagFirst)).collect();
    match mine.as_slice() {
        [] => None,
        [number] => Some(record(desired, observed, number, None, now)),
        several => {
            let names = several.iter().map(|n| n.phone_number.to_string()).collect::<Vec<_>>().join(", ");
            let message = format!(
                "account {} holds {} numbers with this resource's tag: {names}; remove the tag from the label of all but one in Twilio's console",
                list.account,
                several.len()
            );
            Some(Plan::blocked(now, setback::PROBE, Situation::new(Kind::HeldNumberDiffers, message)))
        }
    }
}

/// A claim that was made under another installation id.
pub(super) fn foreign_claim(claim: &Claim) -> Situation {
    Situation::new(
        Kind::NumberClaimedElsewhere,
        format!(
            "status.claim of {} carries the tag of another --installation-id: start the operator with --previous-installation-id set to the \
             old id; until then nothing is bought or marked",
            claim.number
        ),
    )
}

/// The event of a number found again by its tag.
fn found_note(number: &E164) -> Note {
    Note::normal("NumberFound", "Record", format!("{number} carries this resource's tag: recorded, nothing bought"))
}

/// Whether a bought number is older than our first stamp: then the purchase acted as an update of a number that the
/// account held already.
fn upserted(number: &IncomingNumber, claim: &Claim) -> bool {
    let (Some(created), Some(first)) = (number.date_created, claim.first_attempt_at) else { return false };
    first.duration_since(created) > SignedDuration::try_from(UPSERT).unwrap_or_default()
}
