//! The resource is being deleted: the finalizer comes off when nothing can be lost by it.
//!
//! Retaining needs no credentials, so a namespace can always be deleted. Releasing needs everything: the policy, the
//! number repeated as confirmation, a number that was bought here, our tag on it, the account's own credentials, a stamp, and
//! a CRD that is not itself on its way out.

use std::time::Duration;

use crate::api::v1alpha1::{DeletionPolicy, Origin};
use crate::domain::{Meaning, Moment, Now, OwnerTag, Trouble};

use super::observed::CredentialsView;
use super::{
    AccountList, Claim, Desired, Held, Kind, Membership, Note, Observed, Plan, Rule, Situation, Step, holds, record,
    setback, telling,
};

/// With `Retain`, so long an account that cannot be looked at keeps a resource once everything that was sent is settled.
const PATIENCE: Duration = Duration::from_secs(3600);

pub(super) fn plan(desired: &Desired, observed: &Observed, now: Now) -> Plan {
    if !desired.finalizer {
        return Plan::Done;
    }
    if let Some(held) = &observed.held {
        return match desired.deletion {
            DeletionPolicy::Retain => retain(desired, observed, held, now),
            DeletionPolicy::Release => release(desired, observed, held, now),
        };
    }
    match observed.claim.as_ref().filter(|c| c.unsettled()) {
        Some(claim) => unresolved(desired, observed, claim, now),
        // What was settled was looked for then. Where nothing was sent yet, an earlier life may have left a number.
        None if observed.claim.as_ref().is_none_or(Claim::announced) => never_sent(desired, observed, now),
        None => let_go(None),
    }
}

/// Nothing is known of a number: the account's list tells whether one carries this resource's tag, as far as it can be read now.
fn never_sent(desired: &Desired, observed: &Observed, now: Now) -> Plan {
    let situation = || Situation::new(Kind::Releasing, "looking whether the account holds a number of this resource");
    if observed.settled_at() > now.boot && holds(Rule::LetGoAfterWindow) {
        let message = "an earlier life of this resource sent a purchase that may still take effect; waiting before the resource is let go";
        return Plan::rest(observed.settled_at(), Situation::new(Kind::DeletionResolving, message));
    }
    match setback::credentials(desired, observed, None, now) {
        Err(plan @ Plan::Act { .. }) => return plan,
        Err(_) => return let_go(None),
        Ok(_) if observed.trouble.is_some() => return let_go(None),
        Ok(_) => {}
    }
    let after = observed.settled_at().max(observed.recent(desired, now));
    match observed.list_after(after) {
        None => Plan::act(Step::List { after, periodic: false }, situation()),
        Some(list) => tagged(desired, observed, list, &desired.tags, None, now),
    }
}

/// What a list says of numbers with this resource's tag: one is recorded and goes the way of every held number.
fn tagged(
    desired: &Desired,
    observed: &Observed,
    list: &AccountList,
    tags: &[OwnerTag],
    claim: Option<&Claim>,
    now: Now,
) -> Plan {
    let mine: Vec<_> = list.tagged(tags).collect();
    match mine.as_slice() {
        [] => let_go(None),
        [number] => record::record(desired, observed, number, claim, now),
        several => {
            let names = several.iter().map(|n| n.phone_number.to_string()).collect::<Vec<_>>().join(", ");
            let text =
                format!("account {} keeps {} numbers with this resource's tag: {names}", list.account, several.len());
            let_go(Some(Note::warning("NumberRetained", "Retain", text)))
        }
    }
}

/// Status cannot be read, so nobody can say what is held: after the window, with `Retain`, the resource is let go.
pub(super) fn unreadable(desired: &Desired, observed: &Observed, problem: &str, now: Now) -> Plan {
    if !desired.finalizer {
        return Plan::Done;
    }
    if desired.deletion == DeletionPolicy::Release {
        let message = format!("{problem}. Nothing is released; to let the resource go set spec.deletionPolicy: Retain");
        return Plan::rest(now.boot.after(setback::PROBE), Situation::new(Kind::ConfirmationRequired, message));
    }
    let over = observed.memory.born.after(observed.window);
    if over > now.boot {
        return Plan::rest(over, Situation::new(Kind::DeletionResolving, problem));
    }
    let text = format!("a number may be held with tag {}: status could not be read ({problem})", desired.tag());
    let_go(Some(Note::warning("NumberRetained", "Retain", text)))
}

fn let_go(note: Option<Note>) -> Plan {
    Plan::act(Step::RemoveFinalizer { note }, Situation::new(Kind::Releasing, "letting the resource go"))
}

/// Something was sent and nobody knows yet what became of it.
fn unresolved(desired: &Desired, observed: &Observed, claim: &Claim, now: Now) -> Plan {
    let number = &claim.number;
    let situation = |detail: &str| Situation::new(Kind::DeletionResolving, format!("{number}: {detail}"));
    if observed.settled_at() > now.boot && holds(Rule::LetGoAfterWindow) {
        return Plan::rest(
            observed.settled_at(),
            situation("a purchase was sent and may still take effect; waiting before the resource is let go"),
        );
    }
    if let Some(plan) = blind(desired, observed, &claim.account, number.as_str(), now) {
        return plan;
    }
    let after = observed.settled_at().max(observed.recent(desired, now));
    let after = if holds(Rule::FreshLookUp) { after } else { Moment::default() };
    let Some(list) = observed.list_after(after) else {
        return Plan::act(Step::List { after, periodic: false }, situation("looking whether it was bought"));
    };
    if let Some(plan) = setback::incomplete(desired, observed, now) {
        return plan;
    }
    // The claim's own tag too: it may be of another installation id than today's.
    let mut tags = desired.tags.clone();
    tags.extend((!tags.contains(&claim.tag)).then(|| claim.tag.clone()));
    tagged(desired, observed, list, &tags, Some(claim), now)
}

/// The account cannot be looked at. With `Retain` the resource is let go all the same (the window is over), and told so;
/// with `Release` it waits.
fn blind(
    desired: &Desired,
    observed: &Observed,
    bound: &crate::domain::AccountSid,
    number: &str,
    now: Now,
) -> Option<Plan> {
    let rejected =
        |t: &Trouble| matches!(telling::situation(t).kind, Kind::CredentialsRejected | Kind::AccountSuspended);
    let why = match (setback::credentials(desired, observed, Some(bound), now), &observed.trouble) {
        (Ok(_), None) => return None,
        (Err(plan @ Plan::Act { .. }), _) => return Some(plan),
        (Err(_), _) => match &observed.credentials {
            CredentialsView::Missing(what) | CredentialsView::Malformed(what) => what.clone(),
            CredentialsView::Unread | CredentialsView::Present { .. } => {
                format!("the Secret now names another account than {bound}")
            }
        },
        (Ok(_), Some((trouble, _))) if rejected(trouble) => telling::sentence(trouble),
        // Out of reach for an hour since everything was settled: as good as out of reach.
        (Ok(_), Some((trouble, _)))
            if desired.deletion == DeletionPolicy::Retain && observed.settled_at().after(PATIENCE) <= now.boot =>
        {
            telling::sentence(trouble)
        }
        (Ok(_), Some(_)) => {
            let (kind, way_out) = match desired.deletion {
                DeletionPolicy::Retain => (
                    Kind::DeletionResolving,
                    "Unless it can be looked at within an hour the resource is let go all the same",
                ),
                DeletionPolicy::Release => {
                    (Kind::Releasing, "To keep the number instead set spec.deletionPolicy: Retain")
                }
            };
            let told =
                |message: &str| Situation::new(kind, format!("{number}: {}. {way_out}", message.trim_end_matches('.')));
            return setback::after_trouble(desired, observed, now).map(|plan| match plan {
                Plan::Rest { until, situation: Some(s) } => Plan::rest(until, told(&s.message)),
                Plan::Blocked { probe, situation } => Plan::rest(probe, told(&situation.message)),
                other @ (Plan::Act { .. } | Plan::Rest { .. } | Plan::Done) => other,
            });
        }
    };
    if desired.deletion == DeletionPolicy::Retain {
        let text = format!(
            "{number} may be held by account {bound} with this resource's tag; the account cannot be looked at ({why})"
        );
        return Some(let_go(Some(Note::warning("NumberRetained", "Retain", text))));
    }
    let message = format!(
        "{why}. {number} is released as soon as account {bound} can be used; to keep the number instead set spec.deletionPolicy: Retain"
    );
    let wait = setback::backoff(
        observed.memory.failures,
        Duration::from_secs(3),
        Duration::from_secs(60),
        desired.tag().spread(),
    );
    Some(Plan::rest(now.boot.after(wait), Situation::new(Kind::DeletionWaitingForCredentials, message)))
}

fn waiting_for_window(observed: &Observed, held: &Held, now: Now) -> Option<Plan> {
    // Whoever takes the number over next is not to be overwritten by what this resource sent last.
    let updated = observed.memory.update_sent.map(|sent| sent.after(observed.window));
    let until = observed.settled_at().max(updated.unwrap_or_default());
    (until > now.boot && holds(Rule::LetGoAfterWindow)).then(|| {
        let sent = match &observed.claim {
            Some(claim) if claim.releasing > 0 => "a release was sent before: it may have taken effect, or still do",
            _ => "something that was sent may still take effect",
        };
        let message = format!("{}: {sent}; waiting before the resource is let go", held.number);
        Plan::rest(until, Situation::new(Kind::DeletionResolving, message))
    })
}

fn retain(desired: &Desired, observed: &Observed, held: &Held, now: Now) -> Plan {
    if let Some(plan) = waiting_for_window(observed, held, now) {
        return plan;
    }
    // What somebody else writes is not this resource's to speak of.
    let with = if observed.reported.out_of_service.is_some() { "" } else { ", with its tag and webhook" };
    let kept = format!("{} stays in account {}{with}; it goes on costing rent there", held.number, held.account);
    if observed.reported.lost {
        let text = format!("{} was lost before: nothing is known to stay in account {}", held.number, held.account);
        return let_go(Some(Note::warning("NumberLost", "Retain", text)));
    }
    stamped_before(desired, observed, held, now)
        .unwrap_or_else(|| let_go(Some(Note::normal("NumberRetained", "Retain", kept))))
}

/// A release was stamped before a person changed their mind: the truth is at Twilio, once the release has either taken effect or
/// never will. `None`: the number is there, or no release was stamped.
fn stamped_before(desired: &Desired, observed: &Observed, held: &Held, now: Now) -> Option<Plan> {
    let released = observed.claim.as_ref().is_some_and(|c| c.releasing > 0);
    if !released || observed.release_stamped || !holds(Rule::RetainLooks) {
        return None;
    }
    let look = || Situation::new(Kind::DeletionResolving, format!("looking whether {} was released", held.number));
    if let Some(plan) = waiting_for_window(observed, held, now)
        .or_else(|| blind(desired, observed, &held.account, held.number.as_str(), now))
    {
        return Some(plan);
    }
    if observed.number_gone {
        return Some(gone(observed, held, look, now));
    }
    let seen = observed.number.as_ref().is_some_and(|n| n.sid == held.sid);
    (!seen).then(|| Plan::act(Step::GetNumber { sid: held.sid.clone(), periodic: false }, look()))
}

/// Twilio does not know the SID. That counts only with credentials that are proven, and a complete list proves them.
fn gone(observed: &Observed, held: &Held, look: impl Fn() -> Situation, now: Now) -> Plan {
    match observed.list_after(observed.pass_started) {
        None => Plan::act(Step::List { after: observed.pass_started, periodic: false }, look()),
        Some(list) if list.sid(&held.sid).is_none() && observed.list_lacks.is_none() => let_go(Some(Note::normal(
            "NumberReleased",
            "Release",
            format!("{} ({}) is no longer in the account", held.number, held.sid),
        ))),
        Some(_) => {
            let message = format!("{}: Twilio's answers about it disagree; looking again", held.number);
            Plan::rest(now.boot.after(Duration::from_secs(10)), Situation::new(look().kind, message))
        }
    }
}

fn release(desired: &Desired, observed: &Observed, held: &Held, now: Now) -> Plan {
    let number = &held.number;
    let releasing = |detail: &str| Situation::new(Kind::Releasing, format!("{number}: {detail}"));
    // Whatever stands in the way now, what was stamped before may have taken effect.
    let refuse = |message: String| {
        stamped_before(desired, observed, held, now).unwrap_or_else(|| {
            Plan::rest(now.boot.after(setback::PROBE), Situation::new(Kind::ConfirmationRequired, message))
        })
    };
    if observed.released {
        let text = format!("{number} ({}) was given back to Twilio", held.sid);
        return let_go(Some(Note::normal("NumberReleased", "Release", text)));
    }
    if desired.release_confirmation.as_deref() != Some(number.as_str()) && holds(Rule::ReleaseConfirmed) {
        return refuse(format!(
            "releasing {number} is for good: confirm it with spec.releaseConfirmation: \"{number}\", or keep it with spec.deletionPolicy: Retain"
        ));
    }
    if held.origin == Origin::Adopted && holds(Rule::ReleaseBoughtOnly) {
        return refuse(format!(
            "{number} was adopted, not bought here: it is never released. Set spec.deletionPolicy: Retain, and release it by hand if you must"
        ));
    }
    if let Some(claim) = observed.claim.as_ref().filter(|c| !desired.owns(c)) {
        return refuse(record::foreign_claim(claim).message);
    }
    if let Some(what) = observed.unread {
        let (soon, late) = (Duration::from_secs(1), Duration::from_secs(60));
        let wait = setback::backoff(observed.memory.failures, soon, late, desired.tag().spread());
        let told = format!(
            "cannot read {what}, and nothing is released before; the operator's log says why. To keep the number instead set spec.deletionPolicy: Retain"
        );
        return stamped_before(desired, observed, held, now)
            .unwrap_or_else(|| Plan::rest(now.boot.after(wait), releasing(&told)));
    }
    match observed.crd_stays {
        None => {
            return Plan::act(Step::ReadDiscovery, releasing("looking whether the resource type itself is going away"));
        }
        Some(false) if holds(Rule::CrdStays) => {
            let text =
                format!("the CustomResourceDefinition is being removed: {number} is kept in account {}", held.account);
            return stamped_before(desired, observed, held, now)
                .unwrap_or_else(|| let_go(Some(Note::warning("NumberRetained", "Retain", text))));
        }
        Some(true | false) => {}
    }
    if !observed.ledger_read {
        return Plan::act(Step::ReadLedger, releasing("looking for purchases that are still under way"));
    }
    if !observed.release_stamped
        && let Some(plan) = waiting_for_window(observed, held, now)
    {
        return plan;
    }
    if let Some(plan) = blind(desired, observed, &held.account, number.as_str(), now) {
        return refused(observed, held, now).unwrap_or(plan);
    }
    if observed.number_gone {
        return gone(observed, held, || releasing("looking whether it is gone"), now);
    }
    // Looked at before the stamp, so that nothing is stamped for nothing, and again between stamp and call.
    let Some(seen) = observed.number.as_ref().filter(|n| n.sid == held.sid) else {
        return Plan::act(
            Step::GetNumber { sid: held.sid.clone(), periodic: false },
            releasing("looking at it once more"),
        );
    };
    let mine = seen.mark().filter(|m| desired.is_mine(m) || !holds(Rule::ReleaseOwnTag));
    let bought = mine.as_ref().is_some_and(|m| !m.adopted || !holds(Rule::ReleaseBoughtOnly));
    if seen.account != held.account || seen.phone_number != *number || !bought {
        return refuse(format!(
            "{number} does not carry this resource's tag of a bought number any more: it is not released. Set spec.deletionPolicy: Retain"
        ));
    }
    if seen.origin != "twilio" {
        return refuse(format!(
            "{number} is a hosted number (Twilio origin {:?}): it is not released. Set spec.deletionPolicy: Retain",
            seen.origin
        ));
    }
    if let Some(plan) = leave(observed, held, now) {
        return plan;
    }
    let claim = match observed.claim.as_ref().filter(|c| c.number == *number) {
        Some(claim) => claim.clone(),
        None => {
            Claim::announce(number.clone(), desired.tag().clone(), held.account.clone(), desired.generation, Vec::new())
        }
    };
    if !observed.release_stamped {
        if observed.stopping {
            return Plan::rest(now.boot, releasing("nothing is sent while the operator stops"));
        }
        let claim = Claim {
            releasing: claim.releasing.saturating_add(1),
            outcome: crate::api::v1alpha1::ClaimOutcome::Held,
            ..claim
        };
        return Plan::act(Step::StampRelease { claim }, releasing("being given back to Twilio"));
    }
    Plan::act(Step::Release { sid: held.sid.clone(), number: number.clone() }, releasing("being given back to Twilio"))
}

/// Twilio refused the DELETE, for instance because of a registered emergency address: told, and tried again slowly.
fn refused(observed: &Observed, held: &Held, now: Now) -> Option<Plan> {
    let (trouble, _) = observed.trouble.as_ref()?;
    let refused = trouble.operation == "DeleteIncomingPhoneNumber"
        && matches!(trouble.meaning, Meaning::RefusedNumber | Meaning::RefusedOtherwise);
    refused.then(|| {
        let message = format!(
            "Twilio refuses to take {} back: {}; to keep it instead set spec.deletionPolicy: Retain",
            held.number,
            telling::sentence(trouble)
        );
        Plan::rest(now.boot.after(setback::PROBE), Situation::new(Kind::Releasing, message))
    })
}

/// First, because nobody tells what becomes of a membership with its number. Whatever comes of it, the number is released: `None`.
fn leave(observed: &Observed, held: &Held, now: Now) -> Option<Plan> {
    let membership = observed.membership.as_ref()?;
    let service = &membership.service;
    let situation =
        Situation::new(Kind::Releasing, format!("{}: being taken out of its Messaging Service", held.number));
    let save = |membership, note| Step::SaveMembership { membership, note, repair: false };
    let step = match &observed.messaging.left {
        Some(Err(_)) => return None,
        Some(Ok(())) => {
            let text = format!("{} is no longer in Messaging Service {service}", held.number);
            save(None, Some(Note::normal("MessagingServiceLeft", "Leave", text)))
        }
        // Status says that it is in it only while it is.
        None if membership.since.is_some() => save(Some(Membership { since: None, ..membership.clone() }), None),
        None if observed.stopping => return Some(Plan::rest(now.boot, situation)),
        None => Step::Leave { service: service.clone(), sid: held.sid.clone() },
    };
    Some(Plan::act(step, situation))
}
