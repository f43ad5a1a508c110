//! A number is held: keep it as wanted, and say truthfully whether it is.
//!
//! A change of the spec is brought to Twilio; somebody else's change is drift and is repaired. Another resource's tag is
//! neither: it means that somebody else believes the number is theirs, and then nothing is written at all. A number that is
//! gone is never replaced without a person's word.

use std::time::Duration;

use crate::api::v1alpha1::Origin;
use crate::domain::{Field, Meaning, Moment, Now};

use super::observed::{Checked, CredentialsView};
use super::wiring::{look_at, wiring};
use super::{
    Claim, Desired, Held, Kind, Note, Observed, Plan, Rule, Situation, Step, Wish, by_hand, holds, membership, record,
    setback, telling,
};

pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
/// So many repairs of one thing within a day mean that somebody else keeps writing it.
pub(super) const REPAIRS: usize = 3;
/// So many looks in a row without a trace mean that the number is gone.
pub const LOST_SIGHTINGS: u32 = 3;

/// Whether the spec as it is now was seen in force at Twilio.
fn fulfilled(desired: &Desired, observed: &Observed) -> bool {
    match &observed.memory.checked {
        Some(checked) => checked.generation == desired.generation,
        None => {
            observed.reported.generation == Some(desired.generation)
                && observed.reported.ready
                && !observed.reported.reconciling
        }
    }
}

/// When the number is due for a look.
fn due(desired: &Desired, observed: &Observed) -> Moment {
    let memory = &observed.memory;
    let blind = observed.reported.blind;
    let given_up = observed.given_up(desired);
    // What was learnt beside the passes is told with the number in sight: mostly in the list that is there.
    let learnt = memory.checked.as_ref().map_or_else(|| observed.reach.is_told(), |c| c.reach != observed.reach);
    // What was begun and failed is tried again when its pause is over, and not at the next look.
    let begun = observed.reported.reconciling;
    let mending = observed.reported.out_of_service.is_some() || observed.reported.service_refused.is_some();
    if observed.asked(desired)
        || !fulfilled(desired, observed)
        || [memory.suspect, given_up, blind, learnt, begun].contains(&true)
    {
        return Moment::default();
    }
    match &memory.checked {
        // What a person has to mend is looked at more often: it may be mended.
        Some(checked) if mending => checked.at.after(jittered(desired).min(setback::PROBE)),
        Some(checked) => checked.at.after(jittered(desired)),
        // After a restart: what is in service is looked at some time within one interval, not all at once.
        None => memory.born.after(desired.interval.mul_f64(fraction(desired))),
    }
}

/// The interval, shortened by up to a tenth.
fn jittered(desired: &Desired) -> Duration {
    desired.interval.mul_f64(0.1_f64.mul_add(-fraction(desired), 1.0))
}

fn fraction(desired: &Desired) -> f64 {
    f64::from(u32::try_from(desired.tag().spread() % 1000).unwrap_or(0)) / 1000.0
}

pub(super) fn plan(desired: &Desired, observed: &Observed, held: &Held, now: Now) -> Plan {
    if !desired.finalizer {
        return Plan::act(Step::AddFinalizer, Situation::new(Kind::Rewiring, "taking charge of the resource"));
    }
    let due = due(desired, observed);
    if due > now.boot && observed.number.is_none() && observed.list.is_none() && observed.trouble.is_none() {
        return Plan::Rest { until: due, situation: None };
    }
    // The number is looked at whatever else is wrong: it may be lost, and status speaks of it.
    let wish = wanted(desired, observed, held);
    match setback::credentials(desired, observed, Some(&held.account), now) {
        Ok(_) => {}
        // The number works without the Secret; only looking at it does not.
        Err(Plan::Rest { until, situation: Some(situation) })
            if matches!(observed.credentials, CredentialsView::Missing(_)) =>
        {
            return unobserved(desired, observed, wish, until, situation.message);
        }
        Err(plan) => return plan,
    }
    match setback::after_trouble(desired, observed, now) {
        Some(Plan::Rest { until, situation: Some(situation) }) => {
            return unset(desired, observed, &wish, until, &situation)
                .unwrap_or_else(|| unobserved(desired, observed, wish, until, situation.message));
        }
        Some(plan) => return update_refused(observed, now).unwrap_or(plan),
        None => {}
    }
    observe(desired, observed, held, wish, now)
}

/// What is wanted of the number, or why nothing is done to it.
fn wanted<'a>(desired: &'a Desired, observed: &Observed, held: &Held) -> Result<&'a Wish, Situation> {
    if let Some(claim) = observed.claim.as_ref().filter(|c| !desired.owns(c)) {
        return Err(record::foreign_claim(claim));
    }
    let wish = desired.wish.as_ref().map_err(|problem| Situation::new(Kind::InvalidSpec, problem.to_string()))?;
    record::contradiction(wish, held).map_or(Ok(wish), Err)
}

/// The number was looked at and is not as wanted, and to set it up has failed: what was seen is told.
fn unset(
    desired: &Desired,
    observed: &Observed,
    wish: &Result<&Wish, Situation>,
    until: Moment,
    trouble: &Situation,
) -> Option<Plan> {
    let seen = observed.number.is_some() && !desired.suspend;
    let wish = wish.as_ref().ok().filter(|_| seen)?;
    let wiring = wiring(desired, observed)?;
    let pending = membership::is_pending(wish, observed);
    let kind = match (wiring.wrong.is_empty(), pending) {
        // It was looked at and is as wanted: what failed is about its Messaging Service, and nothing new is known of that.
        (true, false) => {
            let seen = look_at(observed, observed.held.as_ref()?)?;
            let refused = observed.service_refused(desired).cloned();
            let before = observed.reported.ready.then(|| record::in_service(seen, wish));
            return refused.or(before).map(|situation| Plan::rest(until, situation));
        }
        // What was refused stays refused, whatever keeps it from being tried again.
        (true, true) => match observed.service_refused(desired) {
            Some(refused) => return Some(Plan::Blocked { probe: until, situation: refused.clone() }),
            None if observed.reported.ready => Kind::Rewiring,
            None => Kind::ConfiguringNumber,
        },
        (false, _) if wiring.inbound && in_service_before(observed) => Kind::Rewiring,
        (false, _) => Kind::ConfiguringNumber,
    };
    Some(Plan::rest(until, Situation { kind, message: trouble.message.clone() }))
}

/// The number serves and cannot be looked at. Where the spec as it is now was never seen in force, that is said too.
/// What did not serve when it was seen last is not called in service because it cannot be seen now, and what stands against
/// the spec still does.
fn unobserved(
    desired: &Desired,
    observed: &Observed,
    wish: Result<&Wish, Situation>,
    until: Moment,
    message: String,
) -> Plan {
    let refused = || observed.reported.out_of_service.clone().or_else(|| observed.service_refused(desired).cloned());
    if let Some(situation) = wish.err().or_else(refused) {
        return Plan::Blocked { probe: until, situation };
    }
    let kind = match (in_service_before(observed), fulfilled(desired, observed)) {
        (false, _) => Kind::ConfiguringNumber,
        (true, true) => Kind::Unobserved,
        (true, false) => Kind::Rewiring,
    };
    Plan::rest(until, Situation { kind, message })
}

/// Whether the number served when it was seen last.
fn in_service_before(observed: &Observed) -> bool {
    observed.reported.ready || observed.reported.inbound
}

/// Twilio refused to set the number up as the spec says.
fn update_refused(observed: &Observed, now: Now) -> Option<Plan> {
    let (trouble, _) = observed.trouble.as_ref()?;
    let refused = trouble.operation == "UpdateIncomingPhoneNumber"
        && matches!(trouble.meaning, Meaning::RefusedNumber | Meaning::RefusedOtherwise);
    refused.then(|| Plan::blocked(now, setback::PROBE, Situation::new(Kind::InvalidSpec, telling::sentence(trouble))))
}

fn observe(desired: &Desired, observed: &Observed, held: &Held, wish: Result<&Wish, Situation>, now: Now) -> Plan {
    let looking = || Situation::new(Kind::Available, format!("looking at {}", held.number));
    let edited = !fulfilled(desired, observed) || observed.asked(desired);
    let get = || Plan::act(Step::GetNumber { sid: held.sid.clone(), periodic: !edited }, looking());
    let unread = observed.number.as_ref().is_none_or(|n| n.sid != held.sid);
    let lost = observed.reported.lost && holds(Rule::FreshLookOfLost);
    // Of a lost number only a fresh look tells that it is back: a list may be of before.
    if unread && !observed.number_gone && (edited || observed.memory.suspect || lost) {
        return get();
    }
    let Some(number) = look_at(observed, held) else {
        let after = if observed.number_gone {
            observed.pass_started
        } else {
            now.boot.before(jittered(desired)).min(observed.pass_started)
        };
        if observed.list.is_none() || (observed.number_gone && observed.list_after(observed.pass_started).is_none()) {
            return Plan::act(Step::List { after, periodic: true }, looking());
        }
        if !observed.number_gone {
            return get();
        }
        return missing(desired, observed, held, wish, now);
    };
    let wish = match wish {
        Ok(wish) => wish,
        Err(situation) => return Plan::blocked(now, setback::PROBE, situation),
    };
    if let Some(mark) = number.mark().filter(|m| !desired.is_mine(m) && holds(Rule::ForeignTagUntouched)) {
        if unread && !observed.number_gone {
            // The list may be older than our own mark.
            return get();
        }
        let message = format!(
            "{} now carries the tag {mark} of another resource or installation: nothing is written to it until this resource's tag is back",
            held.number
        );
        return Plan::blocked(now, setback::PROBE, Situation::new(Kind::NumberClaimedElsewhere, message));
    }
    let differences = wish.setup(&desired.mark(held.origin == Origin::Adopted), &held.number).differences(number);
    let next = seen_at(observed, now).after(jittered(desired));
    if differences.is_empty() {
        // The number was marked anew after a change of the installation id: the claim follows.
        if let Some(claim) = observed.claim.as_ref().filter(|c| c.tag != *desired.tag()) {
            let claim = Claim { tag: desired.tag().clone(), ..claim.clone() };
            return Plan::act(
                Step::Save { claim: Some(claim), held: Some(held.clone()), note: None },
                record::in_service(number, wish),
            );
        }
        let so_far = (fulfilled(desired, observed), !unread);
        return match membership::plan(desired, observed, held, number, wish, so_far, now) {
            None => Plan::rest(next, record::in_service(number, wish)),
            // Of whatever spec that was said: nothing is done about it now.
            Some(_) if desired.suspend && observed.reported.service_refused.is_some() => {
                let refused = observed.reported.service_refused.clone();
                Plan::rest(next, refused.unwrap_or_else(|| record::in_service(number, wish)))
            }
            Some(_) if desired.suspend => {
                let mut situation = record::in_service(number, wish);
                if membership::is_due(desired, observed, wish, so_far.0) {
                    situation.message.push_str("; its Messaging Service is not changed while spec.suspend is true");
                }
                Plan::rest(next, situation)
            }
            Some(plan) => plan,
        };
    }
    let names = differences.iter().map(|(f, _)| f.to_string()).collect::<Vec<_>>().join(", ");
    let inbound = wiring(desired, observed).is_some_and(|wiring| wiring.inbound);
    if desired.suspend {
        let message = format!(
            "{} is not as wanted at Twilio ({names}); nothing is changed while spec.suspend is true",
            held.number
        );
        let marked = number.mark().is_some_and(|mark| desired.is_mine(&mark));
        let kind = if inbound && marked { Kind::Available } else { Kind::Suspended };
        return Plan::rest(next, Situation::new(kind, message));
    }
    let drift = drifted(desired, observed, wish);
    let contested = |field: &Field| {
        observed.memory.repairs.iter().filter(|(f, at)| f == field && now.boot.since(*at) < DAY).count() >= REPAIRS
    };
    if let Some((field, _)) = differences.iter().find(|(f, _)| drift && contested(f) && holds(Rule::ContestEnds)) {
        let message = format!(
            "{field} of {} was changed back three times within a day: somebody else manages this number too. Stop the other writer, or change spec; \
             then set the annotation telephony.chiroflow.io/requested-at",
            held.number
        );
        return Plan::blocked(now, setback::PROBE, Situation::new(Kind::DriftContested, message));
    }
    // In a moment it serves again; unless that moment does not come.
    let soon = inbound || !(observed.updated || observed.stopping);
    let kind = if in_service_before(observed) && soon { Kind::Rewiring } else { Kind::ConfiguringNumber };
    let situation = Situation::new(kind, format!("setting {names} of {}", held.number));
    if observed.updated {
        // Twilio took the update and shows something else: trying again at once would be a hot loop.
        let wait = setback::backoff(
            observed.memory.failures,
            Duration::from_secs(5),
            Duration::from_secs(300),
            desired.tag().spread(),
        );
        return Plan::rest(now.boot.after(wait), situation);
    }
    if unread {
        // The list may be as old as an interval: what is about to be written is decided on a fresh look.
        return get();
    }
    if observed.stopping {
        return Plan::rest(now.boot, situation);
    }
    Plan::act(Step::Update { sid: held.sid.clone(), fields: differences, drift }, situation)
}

/// Whether a difference is somebody else's doing: status says that the number was as the spec still wants it.
fn drifted(desired: &Desired, observed: &Observed, wish: &Wish) -> bool {
    let set = observed.reported.webhook.as_ref();
    fulfilled(desired, observed) && set.is_some_and(|(url, method)| *url == wish.sms.url && *method == wish.sms.method)
}

/// Neither the SID nor the number is there.
fn missing(desired: &Desired, observed: &Observed, held: &Held, wish: Result<&Wish, Situation>, now: Now) -> Plan {
    if let Some(Plan::Rest { until, situation: Some(situation) }) = setback::incomplete(desired, observed, now) {
        return unobserved(desired, observed, wish, until, situation.message);
    }
    if let Some(list) = observed.list.as_deref() {
        // Released and bought back by hand, tag and all: the same number under another SID.
        if let Some(plan) = record::found(desired, observed, list, now) {
            return plan;
        }
    }
    // The look that is being taken now counts too.
    let sightings = observed.memory.lost_sightings + 1;
    // A number that was recorded a moment ago may be missing from answers that lag; by whom is not known after a restart.
    let recorded = observed.memory.recorded_at.unwrap_or_default().max(observed.memory.born);
    let fresh = recorded.after(observed.window) > now.boot;
    if (sightings < LOST_SIGHTINGS || fresh) && !observed.reported.lost {
        let message = format!(
            "Twilio does not know {} ({}) just now; looking again before it is called lost",
            held.number, held.sid
        );
        let wait = setback::backoff(
            observed.memory.lost_sightings,
            Duration::from_secs(5),
            Duration::from_secs(60),
            desired.tag().spread(),
        );
        return unobserved(desired, observed, wish, now.boot.after(wait), message);
    }
    if observed.given_up(desired) || !holds(Rule::LostIsNotReplaced) {
        let note = Note::warning(
            "NumberForgotten",
            "Forget",
            format!("{} is lost and was given up by annotation; the resource starts over", held.number),
        );
        let situation = Situation::new(Kind::Searching, format!("{} was given up", held.number));
        return Plan::act(Step::Save { claim: None, held: None, note: Some(note) }, situation);
    }
    let start_over = if desired.forgets(held) {
        "the annotation telephony.chiroflow.io/forget-number was there before that and does not count: to start over with what spec asks for take it \
         away, and set it again once status.ignoredForgetNumber is gone"
            .to_owned()
    } else {
        format!(
            "to start over with what spec asks for set the annotation telephony.chiroflow.io/forget-number: \"{}\"",
            held.number
        )
    };
    let message = format!(
        "the account no longer holds {} ({}): it was released, moved or reclaimed. Nothing is bought in its place. If it can be had back, buy it by \
         hand and begin its FriendlyName with \"{}\": it is then recorded again; {start_over}",
        held.number,
        held.sid,
        desired.mark(held.origin == Origin::Adopted)
    );
    Plan::blocked(now, setback::PROBE, Situation::new(Kind::NumberLost, message))
}

/// When the number was seen: a list that another resource fetched may be almost an interval old.
fn seen_at(observed: &Observed, now: Now) -> Moment {
    match &observed.list {
        Some(list) if observed.number.is_none() => list.started,
        _ => now.boot,
    }
}

/// What to remember after a pass came to rest.
pub fn remember(desired: &Desired, observed: &mut Observed, kind: Kind, now: Now) {
    if observed.number_gone && observed.list_lacks.is_none() && observed.list.is_some() && observed.trouble.is_none() {
        observed.memory.lost_sightings = observed.memory.lost_sightings.saturating_add(1);
    }
    let gone = observed.number_gone && observed.list.is_some();
    let looked = gone || observed.held.as_ref().is_some_and(|held| look_at(observed, held).is_some());
    if looked && observed.trouble.is_none() && !matches!(kind, Kind::Rewiring | Kind::ConfiguringNumber) {
        observed.memory.suspect = false;
        observed.memory.checked = Some(Checked {
            generation: desired.generation,
            requested_at: desired.requested_at.clone(),
            reach: observed.reach.clone(),
            at: seen_at(observed, now),
        });
    }
    observed.memory.repairs.retain(|(_, at)| now.boot.since(*at) < DAY);
    observed.memory.rejoined.retain(|at| now.boot.since(*at) < DAY);
    by_hand::remember(desired, observed, now);
}
