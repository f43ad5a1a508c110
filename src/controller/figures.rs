//! Reads, beside the passes, what an account used this month and what its numbers and messages cost.
//!
//! A failure ends in the condition `UsageReported` and nowhere else. What is shown and when the next reading is due is decided in
//! [`crate::plan::figures`]; who is read, and how, is in [`super::beside`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::api::v1alpha1::UsageScope;
use crate::domain::{AccountSid, CountryCode, E164, Moment, Month, NumberPrices, PhoneNumberSid};
use crate::plan::count::Count;
use crate::plan::figures::{self, Account, View};
use crate::plan::turn::Turn;
use crate::plan::{AccountList, Held};
use crate::twilio::Way;

use super::Context;
use super::beside::{Asker, Subject, spread};

/// How old a price may be.
const PRICES: Duration = Duration::from_secs(24 * 3600);
/// How old a list may be that somebody else read.
const LIST: Duration = Duration::from_secs(2 * 3600);
/// Countries of one account whose prices are read: an account with numbers in more has a rent that is not known.
const COUNTRIES: usize = 8;

/// What was read of an account.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    known: Account,
    /// When each country's prices were read.
    priced: HashMap<CountryCode, Moment>,
    turn: Turn<Asked>,
}

/// Of which number, and whether of it alone.
type Asked = (PhoneNumberSid, UsageScope);

fn asked(subject: &Subject) -> Asked {
    (subject.sid.clone(), subject.scope)
}

/// The figures of a number, as far as they were read.
pub(super) fn of(context: &Context, held: Option<&Held>, scope: UsageScope) -> View {
    if context.settings.usage_interval.is_zero() {
        return View::Off;
    }
    let all = context.figures.locked();
    let read = held.and_then(|held| Some(all.get(&held.account)?.known.of(&held.sid, scope)));
    read.map_or(View::Unread, |figures| View::Read(Box::new(figures)))
}

/// Whether an account is to be read.
pub(super) fn is_due(context: &Context, account: &AccountSid, subjects: &[Subject]) -> bool {
    let (now, interval) = (context.now(), context.settings.usage_interval);
    if interval.is_zero() {
        return false;
    }
    let kept = context.figures.locked();
    let Some(kept) = kept.get(account) else {
        // The first of them: a resource without figures is new.
        return subjects.iter().any(|subject| figures::first(now, interval, subject.usage.as_ref()) <= now.boot);
    };
    kept.turn.is_due(now.boot, subjects.iter().map(asked))
}

/// Reads one account; what cannot be read stays as it was.
pub(super) async fn refresh(
    context: &Context,
    account: &AccountSid,
    subjects: &[Subject],
    asker: &mut Result<Asker<'_>, String>,
) {
    let mut kept = context.figures.get(account).unwrap_or_default();
    kept.known.setbacks = match asker {
        Ok(asker) => read(context, asker, subjects, &mut kept).await,
        Err(why) => {
            kept.known.usage_setback = None;
            vec![why.clone()]
        }
    };
    let now = context.now();
    let setbacks = kept.known.all_setbacks().join("; ");
    let failures = if setbacks.is_empty() { 0 } else { kept.turn.failures.saturating_add(1) };
    // A count of its own is always of the month that is.
    let month = kept.known.usage.as_ref().map_or_else(|| Month::of(now.wall), |usage| usage.month);
    kept.turn = Turn {
        read_at: now.boot,
        due: figures::next(now, context.settings.usage_interval, spread(account), month, failures),
        failures,
        asked: subjects.iter().map(asked).collect(),
    };
    if failures > 0 {
        context.metrics.figures_failures.inc();
        tracing::warn!(%account, failures, "figures could not be read: {setbacks}");
    }
    context.figures.set(account.clone(), kept);
}

/// One reading of an account.
struct Reading<'a, 'b, 'c> {
    context: &'a Context,
    asker: &'b mut Asker<'c>,
}

impl Reading<'_, '_, '_> {
    /// The month's messages of the account, and of the numbers that are to be counted alone.
    async fn usage(&mut self, subjects: &[Subject], known: &mut Account) {
        let (twilio, credentials) = (&self.context.twilio, self.asker.credentials());
        let (single, whole): (Vec<_>, Vec<_>) =
            subjects.iter().partition(|subject| subject.scope == UsageScope::Number);
        let asked =
            if whole.is_empty() { None } else { Some(self.asker.ask(twilio.usage_this_month(&credentials)).await) };
        known.usage_setback = None;
        match asked {
            None => known.usage = None,
            Some(Ok(usage)) => known.usage = Some(usage),
            Some(Err(why)) => known.usage_setback = Some(why),
        }
        let alone: HashSet<_> = single.iter().map(|subject| &subject.sid).collect();
        known.counts.retain(|sid, _| alone.contains(sid));
        for subject in single {
            let now = self.context.now().wall;
            let before = known.counts.remove(&subject.sid);
            let mut count = before.map_or_else(|| Count::new(now), |(count, _)| count.of(now));
            let setback = self.count(&subject.number, &mut count, now).await.err();
            known.counts.insert(subject.sid.clone(), (count, setback));
        }
    }

    /// Counts the messages of one number since it was counted last.
    async fn count(&mut self, number: &E164, count: &mut Count, now: Timestamp) -> Result<(), String> {
        let (twilio, credentials, since) = (&self.context.twilio, self.asker.credentials(), count.since(now));
        let sent = self.asker.ask(twilio.messages(&credentials, number, Way::Sent, since)).await?;
        let received = self.asker.ask(twilio.messages(&credentials, number, Way::Received, since)).await?;
        count.take(now, &sent, &received).map_err(|error| error.to_string())
    }

    /// The account's numbers: somebody else's list, if it has ours.
    async fn numbers(&mut self, subjects: &[Subject]) -> Result<Arc<AccountList>, String> {
        let (context, credentials) = (self.context, self.asker.credentials());
        let account = credentials.account();
        let started = context.now().boot;
        let shared = context.accounts.latest(account, started.before(LIST));
        let complete = |list: &Arc<AccountList>| subjects.iter().all(|subject| list.sid(&subject.sid).is_some());
        if let Some(list) = shared.filter(complete) {
            return Ok(list);
        }
        let numbers = self.asker.ask(context.twilio.numbers(&credentials)).await?;
        Ok(Arc::new(AccountList::new(account.clone(), started, numbers)))
    }

    /// What numbers of a country cost, and their messages.
    async fn prices(&mut self, country: &CountryCode, known: &mut Account) -> Result<(), String> {
        let (twilio, credentials) = (&self.context.twilio, self.asker.credentials());
        let monthly = self.monthly(country).await?;
        known.monthly.learn_each(country.clone(), |kind| monthly.monthly(kind));
        let messages = self.asker.ask(twilio.message_prices(&credentials, country)).await?;
        known.messages.learn_each(country.clone(), |kind| messages.of(kind));
        Ok(())
    }

    /// What numbers of a country cost: as a pass read it for a limit or a choice, or read for the next one too.
    async fn monthly(&mut self, country: &CountryCode) -> Result<NumberPrices, String> {
        let (context, credentials) = (self.context, self.asker.credentials());
        let account = credentials.account();
        let fingerprint = credentials.fingerprint(&context.salt);
        let started = context.now().boot;
        if let Some((prices, _)) = context.accounts.prices(account, &fingerprint, country, started.before(PRICES)) {
            return Ok(prices);
        }
        let prices = self.asker.ask(context.twilio.number_prices(&credentials, country)).await?;
        context.accounts.priced(account, &fingerprint, country, (prices.clone(), started));
        Ok(prices)
    }
}

/// Reads everything that is due of one account; returns what could not be read, but for usage.
async fn read(context: &Context, asker: &mut Asker<'_>, subjects: &[Subject], kept: &mut Kept) -> Vec<String> {
    let mut reading = Reading { context, asker };
    let mut setbacks = Vec::new();
    reading.usage(subjects, &mut kept.known).await;
    match reading.numbers(subjects).await {
        Ok(list) => kept.known.numbers = Some(list),
        Err(why) => setbacks.push(why),
    }
    let Some(list) = kept.known.numbers.clone() else { return setbacks };
    let mut countries: Vec<CountryCode> = Vec::new();
    // Those of our own numbers first, should there be too many.
    let own = subjects.iter().filter_map(|subject| list.sid(&subject.sid));
    for country in own.chain(list.all()).flat_map(|number| number.phone_number.countries()) {
        if !countries.contains(&country) {
            countries.push(country);
        }
    }
    for country in countries.into_iter().take(COUNTRIES) {
        let now = context.now().boot;
        if kept.priced.get(&country).is_some_and(|at| now.since(*at) < PRICES) {
            continue;
        }
        match reading.prices(&country, &mut kept.known).await {
            Ok(()) => drop(kept.priced.insert(country, now)),
            Err(why) => setbacks.push(why),
        }
    }
    kept.known.rent = figures::rent(&list, &kept.known.monthly);
    setbacks
}
