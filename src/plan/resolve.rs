//! Something was sent for an exact number and the resource does not hold one yet: find out what became of it.
//!
//! Only two things end this stage: the number with our tag is seen, or it is certain that nothing that was sent can still
//! take effect. A 401, a 429, a 5xx, a time-out or an answer that cannot be read is never a refusal. Suspending or editing
//! the resource stops new stamps, not the resolving.

use std::time::Duration;

use crate::api::v1alpha1::{AdoptionPolicy, ClaimOutcome};
use crate::domain::{IncomingNumber, Meaning, Moment, Now, PhoneNumberSid};

use super::acquire::Permission;
use super::observed::StampView;
use super::{
    Claim, Desired, Kind, Note, Observed, Plan, Post, Rule, Situation, Step, Wish, acquire, broken, holds, price,
    record, setback,
};

/// After so many attempts on one number no more are made.
pub const ATTEMPTS: u32 = 5;

pub(super) fn plan(desired: &Desired, observed: &Observed, claim: &Claim, now: Now) -> Plan {
    let number = &claim.number;
    let resolving = |detail: &str| Situation::new(Kind::ResolvingPurchase, format!("{number}: {detail}"));
    match &observed.stamp {
        Some(StampView::Ready(Post::Adopt { sid, .. })) if holds(Rule::AdoptionLooks) => {
            return take_over(desired, observed, claim, sid, now);
        }
        Some(StampView::Ready(post)) => {
            return Plan::act(Step::Post(post.clone()), Situation::new(Kind::Purchasing, format!("buying {number}")));
        }
        Some(StampView::Withheld(_) | StampView::NoLedger(_)) | None => {}
    }
    let ours = |n: &&IncomingNumber| {
        let ours = n.mark().is_none_or(|mark| desired.is_mine(&mark));
        n.phone_number == *number && n.account == claim.account && ours
    };
    if let Some(bought) = observed.number.as_ref().filter(ours) {
        return record::record(desired, observed, bought, Some(claim), now);
    }
    if !desired.finalizer {
        return Plan::act(Step::AddFinalizer, resolving("taking charge of the resource again"));
    }
    if !desired.owns(claim) {
        return Plan::blocked(now, setback::PROBE, record::foreign_claim(claim));
    }
    if let Err(plan) = setback::credentials(desired, observed, Some(&claim.account), now) {
        return plan;
    }
    if let Some(plan) = setback::after_trouble(desired, observed, now) {
        return plan;
    }
    if !holds(Rule::SentNeverYields)
        && let Some(plan) = broken::yield_after_sending(desired, observed, claim)
    {
        return plan;
    }
    // Whatever is decided from now on needs a list that began after the last thing that was sent.
    let sent = observed.memory.sight.as_ref().map(|(.., first)| *first).unwrap_or_default();
    let mut after = sent.max(observed.memory.answered_at.unwrap_or_default()).max(observed.recent(desired, now));
    if !holds(Rule::FreshLookUp) {
        after = Moment::default();
    }
    let over = observed.settled_at() <= now.boot;
    if over && holds(Rule::FreshLookUp) {
        after = after.max(observed.settled_at());
    }
    let Some(list) = observed.list_after(after) else {
        // The second look has to be another one than the first.
        let before = observed.memory.absent_at.filter(|_| holds(Rule::FreshLookUp));
        let after = after.max(before.unwrap_or_default());
        return Plan::act(Step::List { after, periodic: false }, resolving("looking whether it was bought"));
    };
    if let Some(plan) = setback::incomplete(desired, observed, now) {
        return plan;
    }
    // Another number with our tag: status is older than it. What was sent for this one may still take effect, and then
    // there are two.
    if !over && list.tagged(&desired.tags).any(|n| n.phone_number != *number) {
        let plan = resolving("the account holds another number with this resource's tag; waiting for what was sent");
        return Plan::rest(observed.settled_at(), plan);
    }
    if let Some(plan) = record::found(desired, observed, list, now) {
        return plan;
    }
    match list.number(number) {
        Some(held) => elsewhere(desired, observed, claim, held, over, now),
        None => absent(desired, observed, claim, over, now),
    }
}

/// The taking over is stamped. Its number is looked at once more before it is written to: the list may be a minute old, and an
/// update replaces whatever stands there.
fn take_over(desired: &Desired, observed: &Observed, claim: &Claim, sid: &PhoneNumberSid, now: Now) -> Plan {
    let number = &claim.number;
    let situation = |kind, what: &str| Situation::new(kind, format!("{what} {number}"));
    if let Some(plan) = setback::after_trouble(desired, observed, now) {
        return plan;
    }
    let Some(seen) = observed.number.as_ref().filter(|n| n.sid == *sid) else {
        if observed.number_gone {
            return Plan::rest(now.boot, situation(Kind::ResolvingPurchase, "looking again what became of"));
        }
        let step = Step::GetNumber { sid: sid.clone(), periodic: false };
        return Plan::act(step, situation(Kind::Purchasing, "looking once more at"));
    };
    let same = seen.account == claim.account && seen.phone_number == *number;
    if same && seen.mark().is_some_and(|mark| desired.is_mine(&mark)) {
        return record::record(desired, observed, seen, Some(claim), now);
    }
    let wish = desired.wish.as_ref().ok().filter(|w| same && w.exact.as_ref() == Some(number));
    match wish.map(|wish| (wish, acquire::permission(desired, observed, wish, number, Some(seen)))) {
        Some((wish, Permission::Adopt(sid))) => {
            let fields = wish.setup(&desired.mark(true), number).differences(seen);
            Plan::act(Step::Post(Post::Adopt { sid, fields }), situation(Kind::Purchasing, "taking over"))
        }
        Some((_, Permission::Ask)) => Plan::act(Step::LookAtOwners, situation(Kind::Purchasing, "looking who has")),
        // It changed hands: nothing is sent, and the claim is resolved like every one that was not answered.
        Some((_, Permission::No(_) | Permission::Buy)) | None => {
            Plan::rest(now.boot, situation(Kind::ResolvingPurchase, "somebody else changed"))
        }
    }
}

/// The account holds the number, but not with our tag.
fn elsewhere(
    desired: &Desired,
    observed: &Observed,
    claim: &Claim,
    held: &IncomingNumber,
    over: bool,
    now: Now,
) -> Plan {
    let refusal = setback::refusal(desired, observed, now).map(|(_, situation)| situation);
    let exact = desired.wish.as_ref().ok().filter(|w| w.exact.as_ref() == Some(&claim.number));
    let mut why = refusal.clone();
    let mut outcome = ClaimOutcome::Refused;
    if let Some(wish) = exact {
        match acquire::permission(desired, observed, wish, &claim.number, Some(held)) {
            Permission::Ask => {
                let situation = Situation::new(Kind::ResolvingPurchase, format!("looking whose {} is", claim.number));
                return Plan::act(Step::LookAtOwners, situation);
            }
            // An adoption that has not taken effect yet looks like this.
            Permission::Adopt(sid) if refusal.is_none() && !desired.suspend => {
                if claim.attempts < ATTEMPTS {
                    let setup = wish.setup(&desired.mark(true), &claim.number);
                    return again(desired, observed, claim, Post::Adopt { sid, fields: setup.differences(held) }, now);
                }
                outcome = ClaimOutcome::Abandoned;
            }
            Permission::No(situation) => why = why.or(Some(situation)),
            Permission::Adopt(_) | Permission::Buy => {}
        }
    }
    if !over {
        if let Some(situation) = refusal {
            return Plan::Blocked { probe: observed.settled_at(), situation };
        }
        let message = format!(
            "{}: the account holds it without this resource's tag; waiting until nothing that was sent can still take effect",
            claim.number
        );
        return Plan::rest(observed.settled_at(), Situation::new(Kind::ResolvingPurchase, message));
    }
    match (exact, why) {
        // Whether it may be had is asked anew in every pass: what stands in the way may go.
        (Some(_), Some(situation)) => {
            Plan::act(Step::Save { claim: Some(claim.settled(outcome, false)), held: None, note: None }, situation)
        }
        (Some(_), None) => settle(desired, claim, outcome, false),
        (None, _) => settle(desired, claim, outcome, true),
    }
}

/// The account does not hold the number.
fn absent(desired: &Desired, observed: &Observed, claim: &Claim, over: bool, now: Now) -> Plan {
    let number = &claim.number;
    if let Some(refused) = &observed.refused
        && (claim.unanswered == 0 || !holds(Rule::RefusalOfEveryAttempt))
        && refused.meaning == Meaning::RefusedNumber
    {
        return settle(desired, claim, ClaimOutcome::Refused, true);
    }
    if !holds(Rule::SameNumberAgain) {
        return settle(desired, claim, ClaimOutcome::Abandoned, true);
    }
    // A refusal that another number would meet too: nothing is sent until a person acts; the claim goes after its window.
    let refusal = setback::refusal(desired, observed, now).map(|(_, situation)| situation);
    if let Some(situation) = refusal.clone().filter(|_| !over) {
        return Plan::Blocked { probe: observed.settled_at(), situation };
    }
    let answered = claim.unanswered == 0 || !holds(Rule::RefusalOfEveryAttempt);
    if let Some(situation) = refusal.clone().filter(|_| answered) {
        let claim = claim.settled(ClaimOutcome::Refused, false);
        return Plan::act(Step::Save { claim: Some(claim), held: None, note: None }, situation);
    }
    if let Some(wish) = wanted(desired, claim).filter(|_| refusal.is_none() && claim.attempts < ATTEMPTS) {
        match price::gate(desired, observed, wish, number, now) {
            None => return again(desired, observed, claim, Post::Buy(acquire::purchase(desired, wish, number)), now),
            Some(plan @ (Plan::Act { .. } | Plan::Rest { .. } | Plan::Done)) => return plan,
            // A further attempt would cost too much. What was sent is resolved all the same.
            Some(Plan::Blocked { .. }) => {}
        }
    }
    // No more attempts: the window, then two lists that do not have it.
    if !over {
        let message = format!(
            "{number}: {} of {} attempts without an answer; waiting until none can still take effect",
            claim.unanswered, claim.attempts
        );
        return Plan::rest(observed.settled_at(), Situation::new(Kind::ResolvingPurchase, message));
    }
    if observed.memory.absences < 2 {
        let message = format!("{number}: not in the account; looking once more before it is given up");
        return Plan::rest(now.boot.after(Duration::from_secs(3)), Situation::new(Kind::ResolvingPurchase, message));
    }
    settle(desired, claim, ClaimOutcome::Abandoned, true)
}

/// The wish, if it still wants this number and may be acted on.
fn wanted<'a>(desired: &'a Desired, claim: &Claim) -> Option<&'a Wish> {
    let stops = holds(Rule::WishStopsAttempts);
    let wish = desired.wish.as_ref().ok().filter(|_| !desired.suspend || !stops)?;
    let fits = match &wish.exact {
        // What was sent may have been an update of a number that the account held. It does not any more: to buy it is another
        // thing, with looks of its own.
        Some(exact) => *exact == claim.number && wish.adoption == AdoptionPolicy::Never,
        None => (claim.generation == Some(desired.generation) || !stops) && !wish.manual,
    };
    (wish.may_buy && fits).then_some(wish)
}

/// The same number again, with growing pauses.
fn again(desired: &Desired, observed: &Observed, claim: &Claim, post: Post, now: Now) -> Plan {
    let last = observed.memory.answered_at.max(observed.memory.sight.as_ref().map(|(.., at)| *at)).unwrap_or_default();
    let pause = setback::backoff(
        claim.attempts.saturating_sub(1),
        Duration::from_secs(2),
        Duration::from_secs(120),
        desired.tag().spread(),
    );
    let due = last.after(pause);
    if due > now.boot {
        let why = observed.ambiguous.as_ref().map_or_else(|| "no answer yet".to_owned(), ToString::to_string);
        let message = format!(
            "{}: attempt {} is not settled ({why}); the account does not hold it, trying the same number again",
            claim.number, claim.attempts
        );
        return Plan::rest(due, Situation::new(Kind::ResolvingPurchase, message));
    }
    // What is sent carries today's tag, also where the claim was made under the installation id before.
    acquire::stamp(observed, &Claim { tag: desired.tag().clone(), ..claim.clone() }, post, now)
}

/// Ends the claim. An exact number is never followed by another one.
pub(super) fn settle(desired: &Desired, claim: &Claim, outcome: ClaimOutcome, never_again: bool) -> Plan {
    let number = &claim.number;
    let exact = desired.wish.as_ref().is_ok_and(|w| w.exact.as_ref() == Some(number));
    let (situation, text) = match outcome {
        ClaimOutcome::Abandoned => (
            Situation::new(
                Kind::ResolvingPurchase,
                format!("{number} was given up after {} attempts: the account does not hold it", claim.attempts),
            ),
            format!(
                "{number} was given up after {} attempts without an answer; the account does not hold it",
                claim.attempts
            ),
        ),
        ClaimOutcome::Unknown | ClaimOutcome::Refused | ClaimOutcome::Held if exact => {
            (acquire::unavailable(number), format!("Twilio did not sell {number}"))
        }
        ClaimOutcome::Unknown | ClaimOutcome::Refused | ClaimOutcome::Held => (
            Situation::new(Kind::Searching, format!("{number} was sold to somebody else, choosing another one")),
            format!("Twilio did not sell {number}; choosing another one"),
        ),
    };
    let note = Note::warning("PurchaseRefused", "Buy", text);
    Plan::act(Step::Save { claim: Some(claim.settled(outcome, never_again)), held: None, note: Some(note) }, situation)
}
