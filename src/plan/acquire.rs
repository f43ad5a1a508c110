//! From nothing to permission to send: search, announce, look, stamp.
//!
//! Nothing was sent yet in this stage, so every doubt is answered by waiting or by starting over. The order of the
//! steps is the protocol (docs/purchase-protocol.md): the announcement comes *before* the looks, or two resources that
//! look at the same time see nobody and both send.

use std::time::Duration;

use crate::api::v1alpha1::{AdoptionPolicy, ClaimOutcome};
use crate::domain::{AccountSid, AvailableNumber, E164, IncomingNumber, Moment, Now, Purchase};

use super::fuse::Admission;
use super::observed::StampView;
use super::{
    Claim, Desired, Kind, Observed, Plan, Post, Rule, Situation, Step, Wish, broken, by_hand, holds, price, record,
    regulatory, setback,
};

/// So many numbers may be refused one after another before the next one waits.
const AT_ONCE: usize = 4;

pub(super) fn plan(desired: &Desired, observed: &Observed, now: Now) -> Plan {
    if let Some(claim) = observed.claim.as_ref().filter(|c| !desired.owns(c)) {
        return Plan::blocked(now, setback::PROBE, record::foreign_claim(claim));
    }
    let wish = match &desired.wish {
        Ok(wish) => wish,
        Err(problem) => {
            let situation = Situation::new(Kind::InvalidSpec, problem.to_string());
            return withdraw(observed, &situation).unwrap_or_else(|| Plan::blocked(now, setback::PROBE, situation));
        }
    };
    let other = if holds(Rule::ExactIsExact) { None } else { broken::any_other_number(observed, wish) };
    let wish = other.as_ref().unwrap_or(wish);
    if desired.suspend {
        let situation =
            Situation::new(Kind::Suspended, "spec.suspend is true: nothing is searched or bought until it is false");
        return withdraw(observed, &situation)
            .unwrap_or_else(|| Plan::rest(now.boot.after(desired.interval), situation));
    }
    if !desired.finalizer {
        return Plan::act(Step::AddFinalizer, Situation::new(Kind::Searching, "taking charge of the resource"));
    }
    let account = match setback::credentials(desired, observed, None, now) {
        Ok(account) => account,
        Err(plan) => return step_back(observed, plan),
    };
    if let Some((until, situation)) =
        setback::refusal(desired, observed, now).or_else(|| settled_refusal(desired, observed, wish, now))
    {
        return withdraw(observed, &situation).unwrap_or(Plan::Blocked { probe: until, situation });
    }
    if let Some(plan) = setback::after_trouble(desired, observed, now) {
        return if matches!(plan, Plan::Blocked { .. }) { step_back(observed, plan) } else { plan };
    }
    if wish.by_hand() {
        // What was announced before the policy was changed is not wanted any more.
        let situation = Situation::new(Kind::Searching, "searching numbers to choose from");
        return withdraw(observed, &situation).unwrap_or_else(|| by_hand::plan(desired, observed, wish, now));
    }
    if let Some(plan) = refused_again(desired, observed, wish, now) {
        return plan;
    }
    match announced(desired, observed, wish, &account) {
        Some((claim, at)) => look(desired, observed, wish, claim, at, now),
        None if wish.exact.is_some() => exact(desired, observed, wish, &account, now),
        None => choose(desired, observed, wish, &account, None, now),
    }
}

/// An announcement of nobody's any more must not keep others from the number.
fn withdraw(observed: &Observed, situation: &Situation) -> Option<Plan> {
    let claim = observed.claim.as_ref().filter(|c| c.announced())?;
    let tried = Claim { outcome: ClaimOutcome::Abandoned, ..claim.clone() };
    let claim = (!claim.tried.is_empty()).then_some(tried);
    Some(Plan::act(Step::Save { claim, held: None, note: None }, situation.clone()))
}

/// What a price or missing papers stand in the way of is not announced any longer; what is only being looked at stays so.
fn priced_out(observed: &Observed, plan: Plan) -> Plan {
    if matches!(plan, Plan::Blocked { .. }) { step_back(observed, plan) } else { plan }
}

/// Whoever has to wait for a person withdraws the announcement first.
fn step_back(observed: &Observed, plan: Plan) -> Plan {
    match &plan {
        Plan::Rest { situation: Some(situation), .. } | Plan::Blocked { situation, .. } => {
            withdraw(observed, situation).unwrap_or(plan)
        }
        Plan::Rest { situation: None, .. } | Plan::Act { .. } | Plan::Done => plan,
    }
}

/// An exact number that was refused stays refused until a person acts; unlike [`setback::refusal`] this survives a restart.
fn settled_refusal(desired: &Desired, observed: &Observed, wish: &Wish, now: Now) -> Option<(Moment, Situation)> {
    let exact = wish.exact.as_ref()?;
    let claim = observed
        .claim
        .as_ref()
        .filter(|c| c.outcome == ClaimOutcome::Refused && c.number == *exact && c.tried.contains(exact))?;
    let acted = claim.generation != Some(desired.generation) || observed.asked(desired);
    (!acted).then(|| (now.boot.after(setback::PROBE), unavailable(&claim.number)))
}

/// Numbers were sold meanwhile, one or two; where Twilio refuses each, the next one waits, longer each time.
fn refused_again(desired: &Desired, observed: &Observed, wish: &Wish, now: Now) -> Option<Plan> {
    let claim = observed.claim.as_ref().filter(|c| c.outcome == ClaimOutcome::Refused && wish.exact.is_none())?;
    let acted = claim.generation != Some(desired.generation) || observed.asked(desired);
    let surplus = u32::try_from(claim.tried.len().saturating_sub(AT_ONCE)).unwrap_or(u32::MAX);
    let wait = setback::backoff(surplus, Duration::from_secs(1), Duration::from_secs(15 * 60), desired.tag().spread());
    let until = observed.memory.answered_at?.after(wait);
    (!acted && surplus > 0 && until > now.boot).then(|| {
        let count = claim.tried.len();
        let message = format!(
            "Twilio sold none of {count} numbers that it offered, {} last: another one is tried, but not at once",
            claim.number
        );
        Plan::rest(until, Situation::new(Kind::NoNumbersAvailable, message))
    })
}

pub(super) fn unavailable(number: &E164) -> Situation {
    Situation::new(
        Kind::NumberUnavailable,
        format!(
            "{number} (spec.phoneNumber) is not for sale: Twilio refused it; name another number, or use search. To try again, change the \
             annotation telephony.chiroflow.io/requested-at"
        ),
    )
}

/// The announcement that stands for the spec as it is now, and when this process made or first saw it.
fn announced<'a>(
    desired: &Desired,
    observed: &'a Observed,
    wish: &Wish,
    account: &AccountSid,
) -> Option<(&'a Claim, Moment)> {
    let claim =
        observed.claim.as_ref().filter(|c| c.announced() && c.account == *account && c.tag == *desired.tag())?;
    let (.., at) = observed.memory.sight.as_ref()?;
    let fits = wish.exact.as_ref().is_none_or(|exact| *exact == claim.number);
    (claim.generation == Some(desired.generation) && fits).then_some((claim, *at))
}

/// After this moment a list tells what there is of this life of the resource: an older one may still have the number that an
/// earlier life gave back.
pub(super) fn of_this_life(desired: &Desired, observed: &Observed, now: Now) -> Moment {
    observed.recent(desired, now).max(observed.memory.born)
}

/// Before an exact number is announced: is there any sense in it? Saves writing a claim only to take it back, again and
/// again. Nothing is decided for good here; everything is looked at once more after the announcement.
fn exact(desired: &Desired, observed: &Observed, wish: &Wish, account: &AccountSid, now: Now) -> Plan {
    let Some(number) = &wish.exact else {
        return choose(desired, observed, wish, account, None, now);
    };
    let searching = || Situation::new(Kind::Searching, format!("looking whether the account holds {number}"));
    let after = of_this_life(desired, observed, now);
    let Some(list) = observed.list_after(after) else {
        return Plan::act(Step::List { after, periodic: false }, searching());
    };
    if let Some(plan) =
        setback::incomplete(desired, observed, now).or_else(|| record::found(desired, observed, list, now))
    {
        return plan;
    }
    match permission(desired, observed, wish, number, list.number(number)) {
        Permission::Ask => return Plan::act(Step::LookAtOwners, searching()),
        Permission::No(situation) => return Plan::blocked(now, setback::PROBE, situation),
        Permission::Buy => {
            let gate = regulatory::gate(desired, observed, wish, now);
            if let Some(plan) = gate.or_else(|| price::gate(desired, observed, wish, number, now)) {
                return priced_out(observed, plan);
            }
        }
        Permission::Adopt(_) => {}
    }
    match &observed.rivals {
        Some((looked_at, rivals)) if looked_at == number => {
            if let Some(rival) = rivals.iter().find(|r| r.sent) {
                return Plan::blocked(now, setback::PROBE, claimed_by(number, &rival.key.to_string()));
            }
            if let Some(rival) = rivals.iter().find(|r| r.key < desired.key) {
                let situation = Situation::new(
                    Kind::Searching,
                    format!("{} is about to claim {number}: waiting for it", rival.key),
                );
                return Plan::rest(now.boot.after(Duration::from_secs(2)), situation);
            }
        }
        _ => return Plan::act(Step::LookAtRivals { number: number.clone() }, searching()),
    }
    if observed.claimed.contains(number) {
        let message = format!("another resource is about to claim {number}: waiting for it");
        return Plan::rest(now.boot.after(Duration::from_secs(2)), Situation::new(Kind::Searching, message));
    }
    announce(desired, observed, number.clone(), account, tried(observed, Some(number)))
}

/// Searches, and announces the first candidate that nobody is known to claim.
fn choose(
    desired: &Desired,
    observed: &Observed,
    wish: &Wish,
    account: &AccountSid,
    not: Option<&E164>,
    now: Now,
) -> Plan {
    if !wish.may_buy {
        let situation =
            Situation::new(Kind::InvalidSpec, "spec.purchasePolicy: Never only adopts: name spec.phoneNumber");
        return Plan::blocked(now, setback::PROBE, situation);
    }
    if let Some(plan) = regulatory::gate(desired, observed, wish, now) {
        return priced_out(observed, plan);
    }
    let tried = tried(observed, None);
    let free = |n: &&AvailableNumber| {
        not != Some(&n.phone_number) && !tried.contains(&n.phone_number) && !observed.claimed.contains(&n.phone_number)
    };
    let mut unsold = None;
    for (index, search) in wish.searches.iter().enumerate() {
        match observed.offers.get(index) {
            Some(Some(offers)) => {
                let (candidates, others): (Vec<_>, Vec<_>) =
                    offers.iter().filter(free).partition(|offer| regulatory::sells(wish, offer));
                unsold = unsold.or(others.first().copied());
                let spread = usize::try_from(desired.tag().spread() % candidates.len().max(1) as u64).unwrap_or(0);
                if let Some(chosen) = candidates.get(spread) {
                    if let Some(plan) = price::gate(desired, observed, wish, &chosen.phone_number, now) {
                        return priced_out(observed, plan);
                    }
                    return announce(desired, observed, chosen.phone_number.clone(), account, tried);
                }
            }
            _ => {
                let place = search
                    .area_code
                    .as_deref()
                    .map_or_else(|| search.country.to_string(), |code| format!("{} {code}", search.country));
                let situation = Situation::new(Kind::Searching, format!("searching a number in {place}"));
                return Plan::act(Step::Search { index, search: search.clone() }, situation);
            }
        }
    }
    match unsold {
        Some(number) => priced_out(observed, regulatory::no_address(desired, observed, number, now)),
        None => none_on_offer(desired, observed, now),
    }
}

/// Nothing on offer, but the number of an earlier life of this resource may be there.
pub(super) fn none_on_offer(desired: &Desired, observed: &Observed, now: Now) -> Plan {
    let none = Situation::new(
        Kind::NoNumbersAvailable,
        "Twilio offers no number that spec.search describes and nobody else claims: widen areaCodes, contains or locality; looking again by itself",
    );
    // A number that is yielded to somebody else is not claimed any longer: whoever goes first waits for this.
    if let Some(plan) = withdraw(observed, &none) {
        return plan;
    }
    let after = of_this_life(desired, observed, now);
    let Some(list) = observed.list_after(after) else {
        return Plan::act(Step::List { after, periodic: false }, none);
    };
    if let Some(plan) = record::found(desired, observed, list, now) {
        return plan;
    }
    let wait = setback::backoff(
        observed.memory.failures,
        Duration::from_secs(15),
        Duration::from_secs(900),
        desired.tag().spread(),
    );
    Plan::rest(now.boot.after(wait), none)
}

fn tried(observed: &Observed, but: Option<&E164>) -> Vec<E164> {
    let tried = observed.claim.as_ref().map(|c| c.tried.clone()).unwrap_or_default();
    tried.into_iter().filter(|n| but != Some(n)).collect()
}

fn announce(desired: &Desired, observed: &Observed, number: E164, account: &AccountSid, tried: Vec<E164>) -> Plan {
    let situation = Situation::new(Kind::Purchasing, format!("{number} is claimed, nothing is bought yet"));
    if observed.stopping {
        return Plan::rest(Moment::default(), situation);
    }
    if !holds(Rule::AnnounceThenLook)
        && let Some(plan) = broken::look_first(observed, &number)
    {
        return plan;
    }
    let claim = Claim::announce(number, desired.tag().clone(), account.clone(), desired.generation, tried);
    Plan::act(Step::Save { claim: Some(claim), held: None, note: None }, situation)
}

/// What may be done about an exact number, given what the account holds.
pub(super) enum Permission {
    /// It is not held: buy it.
    Buy,
    /// It is held and may be taken over.
    Adopt(crate::domain::PhoneNumberSid),
    /// It has to be known first whether the resource of its tag is gone.
    Ask,
    /// Neither.
    No(Situation),
}

pub(super) fn permission(
    desired: &Desired,
    observed: &Observed,
    wish: &Wish,
    number: &E164,
    held: Option<&IncomingNumber>,
) -> Permission {
    let Some(held) = held.filter(|_| holds(Rule::HeldIsNotOurs)) else {
        if wish.may_buy {
            return Permission::Buy;
        }
        let message = format!(
            "spec.purchasePolicy is Never and the account does not hold {number}: buy it by hand, or set Automatic"
        );
        return Permission::No(Situation::new(Kind::NumberUnavailable, message));
    };
    let adopt = || Permission::Adopt(held.sid.clone());
    let refuse = |message: String| Permission::No(Situation::new(Kind::NumberClaimedElsewhere, message));
    let policy = if holds(Rule::AdoptAsAsked) { wish.adoption } else { AdoptionPolicy::TakeOver };
    match (policy, held.mark()) {
        (AdoptionPolicy::Never, None) => {
            refuse(format!("the account holds {number} already: to take it over set spec.adoptionPolicy: IfOwned"))
        }
        (AdoptionPolicy::Never, Some(mark)) => refuse(format!(
            "the account holds {number} already, with the tag {mark} of another resource: to take it over set spec.adoptionPolicy"
        )),
        (AdoptionPolicy::IfOwned | AdoptionPolicy::TakeOver, None) => adopt(),
        (AdoptionPolicy::IfOwned | AdoptionPolicy::TakeOver, Some(mark))
            if desired.installations.contains(&mark.installation) =>
        {
            match &observed.owners {
                None => Permission::Ask,
                Some(owners) if owners.contains(&mark.tag) => refuse(format!(
                    "{number} carries the tag of another resource of this installation, which still exists: delete that one first"
                )),
                Some(_) => adopt(),
            }
        }
        (AdoptionPolicy::TakeOver, Some(_)) => adopt(),
        (AdoptionPolicy::IfOwned, Some(mark)) => refuse(format!(
            "{number} carries the tag {mark} of another installation: to take it over set spec.adoptionPolicy: TakeOver"
        )),
    }
}

fn claimed_by(number: &E164, who: &str) -> Situation {
    Situation::new(
        Kind::NumberClaimedElsewhere,
        format!("{number} (spec.phoneNumber) is claimed by {who}: one number serves one resource"),
    )
}

/// The claim is announced: now, and only now, the looks that decide.
fn look(desired: &Desired, observed: &Observed, wish: &Wish, claim: &Claim, announced_at: Moment, now: Now) -> Plan {
    let number = &claim.number;
    let purchasing = || Situation::new(Kind::Purchasing, format!("{number} is claimed, nothing is bought yet"));
    if let Some(until) = observed.memory.ledger_until.filter(|until| *until > now.boot) {
        return unsettled(until);
    }
    let after = observed.memory.ledger_until.unwrap_or_default().max(observed.recent(desired, now));
    let after = if holds(Rule::AnnounceThenLook) { after.max(announced_at) } else { after };
    let Some(list) = observed.list_after(after) else {
        return Plan::act(Step::List { after, periodic: false }, purchasing());
    };
    if let Some(plan) =
        setback::incomplete(desired, observed, now).or_else(|| record::found(desired, observed, list, now))
    {
        return plan;
    }
    let exact = wish.exact.is_some();
    let held = list.number(number);
    if !exact && held.is_some() {
        return choose(desired, observed, wish, &claim.account, Some(number), now);
    }
    let post = match permission(desired, observed, wish, number, held) {
        Permission::Ask => return Plan::act(Step::LookAtOwners, purchasing()),
        Permission::No(situation) => {
            return withdraw(observed, &situation).unwrap_or_else(|| Plan::blocked(now, setback::PROBE, situation));
        }
        Permission::Buy => {
            if let Some(plan) = price::gate(desired, observed, wish, number, now) {
                return priced_out(observed, plan);
            }
            Post::Buy(purchase(desired, wish, number))
        }
        Permission::Adopt(sid) => {
            let setup = wish.setup(&desired.mark(true), number);
            Post::Adopt { sid, fields: held.map(|h| setup.differences(h)).unwrap_or_default() }
        }
    };
    match &observed.rivals {
        Some((looked_at, rivals)) if looked_at == number => {
            if let Some(first) = rivals.iter().find(|r| r.sent || r.key < desired.key || !holds(Rule::OneYields)) {
                return if exact {
                    let situation = claimed_by(number, &first.key.to_string());
                    withdraw(observed, &situation).unwrap_or_else(|| Plan::blocked(now, setback::PROBE, situation))
                } else {
                    choose(desired, observed, wish, &claim.account, Some(number), now)
                };
            }
            if let Some(rival) = rivals.first() {
                let situation = Situation::new(
                    Kind::Purchasing,
                    format!("{} claims {number} too and will withdraw: waiting for it", rival.key),
                );
                return Plan::rest(now.boot.after(Duration::from_secs(1)), situation);
            }
        }
        _ => return Plan::act(Step::LookAtRivals { number: number.clone() }, purchasing()),
    }
    stamp(observed, claim, post, now)
}

/// Something was sent in a life that this resource has forgotten.
fn unsettled(until: Moment) -> Plan {
    let message =
        "an earlier life of this resource sent a purchase that may still take effect: waiting, then looking again";
    Plan::rest(until, Situation::new(Kind::ResolvingPurchase, message))
}

/// Asks for permission to send, or says why it was withheld.
pub(super) fn stamp(observed: &Observed, claim: &Claim, post: Post, now: Now) -> Plan {
    let number = &claim.number;
    match &observed.stamp {
        Some(StampView::Withheld(Admission::FuseBlown(until))) => {
            let wait = until.until(now.boot);
            let next = now.wall.saturating_add(wait).unwrap_or(now.wall);
            let message = format!(
                "this installation has bought as many numbers as --max-purchases-per-hour allows; the next may be bought at {}",
                next.strftime("%Y-%m-%dT%H:%M:%SZ")
            );
            Plan::rest(*until, Situation::new(Kind::PurchaseLimitReached, message))
        }
        Some(StampView::Withheld(Admission::Unsettled(until))) => unsettled(*until),
        Some(StampView::NoLedger(why)) => {
            let wait = setback::backoff(
                observed.memory.failures,
                Duration::from_millis(500),
                Duration::from_secs(30),
                claim.tag.spread(),
            );
            let kind = if claim.announced() { Kind::Purchasing } else { Kind::ResolvingPurchase };
            let message = format!("{number}: nothing is sent, because the ledger cannot be used: {why}");
            Plan::rest(now.boot.after(wait), Situation::new(kind, message))
        }
        // One POST a pass: what was learnt from the first one is written down before there is another.
        _ if observed.refused.is_some() || observed.ambiguous.is_some() => Plan::rest(
            now.boot.after(Duration::from_millis(250)),
            Situation::new(Kind::Purchasing, format!("{number} is claimed, nothing is bought yet")),
        ),
        _ if observed.stopping => Plan::rest(
            now.boot,
            Situation::new(Kind::Purchasing, format!("{number} is claimed, nothing is sent while the operator stops")),
        ),
        _ => {
            let verb = if matches!(post, Post::Buy(_)) { "buying" } else { "taking over" };
            Plan::act(
                Step::Stamp { claim: claim.stamped(now.wall), post },
                Situation::new(Kind::Purchasing, format!("{verb} {number}")),
            )
        }
    }
}

pub(super) fn purchase(desired: &Desired, wish: &Wish, number: &E164) -> Purchase {
    Purchase {
        phone_number: number.clone(),
        setup: wish.setup(&desired.mark(false), number),
        regulatory: wish.regulatory.clone(),
    }
}
