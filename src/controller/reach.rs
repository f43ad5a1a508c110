//! Reads, beside the passes, what stands between an account's numbers and their messages: Messaging Services, registrations that
//! carriers ask for, and whether the account is a trial one.
//!
//! A failure ends in `InboundSms` and `OutboundSms` and nowhere else. What is told is decided in [`crate::plan::reach`]; who is
//! read, and how, is in [`super::beside`].

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::{AccountSid, MessagingServiceSid, Moment, PhoneNumberSid};
use crate::plan::Held;
use crate::plan::reach::{Account, Needs, Reach, Reading, Services};
use crate::plan::turn::{self, Turn};
use crate::twilio::AccountType;

use super::Context;
use super::beside::{Asker, Subject, spread};

/// After a start, accounts of which status tells are read within this time, each at its own.
const FIRST: Duration = Duration::from_secs(3600);
/// A number that was acquired so recently is looked at at once.
const NEW: Duration = Duration::from_secs(15 * 60);
/// After a number was put into a service, or taken out, the account is read again this much later.
const SOON: Duration = Duration::from_secs(60);
/// Messaging Services of one account whose numbers are read: more than any clinic has.
const SERVICES: usize = 50;

/// What was read of an account.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    known: Account,
    turn: Turn<Asked>,
    /// When a number of the account was put into a service or taken out of one: what was read before is not so any more.
    moved_at: Option<Moment>,
}

/// Of which number, and at whose request.
type Asked = (PhoneNumberSid, Option<String>);

fn asked(subject: &Subject) -> Asked {
    (subject.sid.clone(), subject.requested_at.clone())
}

/// What is known of a number.
pub(super) fn of(context: &Context, held: Option<&Held>, now: Moment) -> Reach {
    if context.settings.messaging_interval.is_zero() {
        return Reach::off();
    }
    let all = context.reach.locked();
    held.and_then(|held| Some(all.get(&held.account)?.known.of(&held.sid, now))).unwrap_or_default()
}

/// A number was put into a service, taken out of one, or seen in one: what was read is brought up to that, and read again soon.
pub(super) fn moved(context: &Context, account: &AccountSid, sid: &PhoneNumberSid, to: Option<&MessagingServiceSid>) {
    let now = context.now().boot;
    let mut all = context.reach.locked();
    // An account that was not read has its turn anyway.
    let Some(kept) = all.get_mut(account) else { return };
    kept.moved_at = Some(now);
    kept.known.moved(sid, to);
    // Not at once: a list may lag.
    kept.turn.due = kept.turn.due.min(now.after(SOON));
}

/// Whether an account is to be read; `born` is when this process began.
pub(super) fn is_due(context: &Context, born: Moment, account: &AccountSid, subjects: &[Subject]) -> bool {
    let (now, interval) = (context.now(), context.settings.messaging_interval);
    if interval.is_zero() {
        return false;
    }
    if let Some(kept) = context.reach.locked().get(account) {
        let people = subjects.iter().filter(|subject| subject.requested_at.is_some()).map(asked);
        return kept.turn.is_due(now.boot, subjects.iter().map(asked)) || kept.turn.is_asked(now.boot, people);
    }
    let new = |subject: &Subject| {
        let age = subject.acquired_at.map(|at| now.wall.as_second() - at.as_second());
        age.and_then(|age| u64::try_from(age).ok()).is_none_or(|age| age < NEW.as_secs())
    };
    let first = born.after(FIRST.min(interval).mul_f64(spread(account)));
    first <= now.boot || subjects.iter().any(|subject| subject.unchecked || new(subject))
}

/// Reads one account; what cannot be read stays as it was for a while.
pub(super) async fn refresh(
    context: &Context,
    account: &AccountSid,
    subjects: &[Subject],
    asker: &mut Result<Asker<'_>, String>,
) {
    let mut kept = context.reach.get(account).unwrap_or_default();
    let now = context.now().boot;
    match asker {
        Ok(asker) => read(context, asker, subjects, &mut kept.known, now).await,
        Err(why) => {
            kept.known.services.learn(Err(why.clone()), now);
            kept.known.trial.learn(Err(why.clone()), now);
        }
    }
    // That an API key may not read the account itself is no failure of a reading, and tried at its next turn.
    let readings = [kept.known.services.setback(), kept.known.campaigns.setback(), kept.known.toll_free.setback()];
    let setback = readings.into_iter().flatten().next().map(str::to_owned);
    let failures = if setback.is_some() { kept.turn.failures.saturating_add(1) } else { 0 };
    if let Some(setback) = setback {
        context.metrics.reach_failures.inc();
        tracing::warn!(%account, failures, "Messaging Services could not be looked at: {setback}");
    }
    kept.turn = Turn {
        read_at: now,
        due: turn::next(now, context.settings.messaging_interval, spread(account), failures),
        failures,
        asked: subjects.iter().map(asked).collect(),
    };
    let mut all = context.reach.locked();
    let moved_at = all.get(account).and_then(|meanwhile| meanwhile.moved_at);
    if let Some(meanwhile) = all.get(account).filter(|_| moved_at.is_some_and(|moved| moved >= now)) {
        // It began before: what is known meanwhile stays, and is read again.
        kept.known.services = meanwhile.known.services.clone();
        kept.known.campaigns = meanwhile.known.campaigns.clone();
        kept.turn.due = now.after(SOON);
    }
    all.insert(account.clone(), Kept { moved_at, ..kept });
}

/// Everything that is to be known of these numbers.
async fn read(context: &Context, asker: &mut Asker<'_>, subjects: &[Subject], known: &mut Account, now: Moment) {
    let (twilio, credentials) = (&context.twilio, asker.credentials());
    let trial = asker.ask(twilio.account(&credentials)).await;
    known.trial.learn(trial.map(|account| account.account_type == AccountType::Trial), now);
    let services = services(context, asker).await;
    let needs = Needs::of(subjects.iter().map(|subject| &subject.number));
    if let (Ok(services), true) = (&services, needs.campaigns) {
        let mut campaigns = Ok(HashMap::new());
        for (service, numbers) in services {
            if !subjects.iter().any(|subject| numbers.contains(&subject.sid)) {
                continue;
            }
            match (asker.ask(twilio.campaign(&credentials, &service.sid)).await, &mut campaigns) {
                (Ok(state), Ok(all)) => drop(all.insert(service.sid.clone(), state)),
                (Err(why), _) => campaigns = Err(why),
                (Ok(_), Err(_)) => {}
            }
        }
        known.campaigns.learn(campaigns, now);
    }
    if !needs.campaigns {
        // Nobody is told of it any more, nor of why it could not be read.
        known.campaigns = Reading::default();
    }
    known.services.learn(services, now);
    if needs.toll_free {
        let told = asker.ask(twilio.toll_free_verifications(&credentials)).await;
        known.toll_free.learn(told.map(|all| all.into_iter().collect()), now);
    } else {
        known.toll_free = Reading::default();
    }
}

/// The account's Messaging Services with their numbers, all of them or none.
async fn services(context: &Context, asker: &mut Asker<'_>) -> Result<Services, String> {
    let (twilio, credentials) = (&context.twilio, asker.credentials());
    let all = asker.ask(twilio.messaging_services(&credentials)).await?;
    if all.len() > SERVICES {
        return Err(format!("the account has {} Messaging Services; at most {SERVICES} are looked at", all.len()));
    }
    let mut services = Vec::new();
    for service in all {
        let numbers = asker.ask(twilio.service_numbers(&credentials, &service.sid)).await?;
        services.push((service, numbers.into_iter().collect()));
    }
    Ok(services)
}
