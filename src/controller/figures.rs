//! Reads, beside the passes, what an account used this month and what its numbers and messages cost.
//!
//! It writes nothing: what it found is kept here, each resource of the account is asked to look, and its pass writes it with
//! whatever else there is to write. A failure ends in the condition `UsageReported` and nowhere else. What is shown and when
//! the next reading is due is decided in [`crate::plan::figures`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::ClinicPhoneNumber;
use crate::api::v1alpha1::{CredentialsSecretRef, Usage, UsageScope};
use crate::domain::{AccountSid, CountryCode, E164, Meaning, Moment, Month, NumberPrices, PhoneNumberSid, Trouble};
use crate::plan::count::Count;
use crate::plan::figures::{self, Account, View};
use crate::plan::observed::CredentialsView;
use crate::plan::{AccountList, ObjectKey, telling};
use crate::twilio::{Credentials, Way};

use super::gated::Gated;
use super::{Context, secrets};

/// Accounts that are read side by side.
const SIDE_BY_SIDE: usize = 4;
/// Whether something is due is looked at this often; nothing is called for that.
const TICK: Duration = Duration::from_secs(5);
/// How old a price may be.
const PRICES: Duration = Duration::from_secs(24 * 3600);
/// How old a list may be that somebody else read.
const LIST: Duration = Duration::from_secs(2 * 3600);
/// Countries of one account whose prices are read: an account with numbers in more has a rent that is not known.
const COUNTRIES: usize = 8;

/// What was read, by account.
#[derive(Debug, Default)]
pub struct Store {
    accounts: Mutex<HashMap<AccountSid, Kept>>,
}

#[derive(Debug, Clone, Default)]
struct Kept {
    known: Account,
    /// When each country's prices were read.
    priced: HashMap<CountryCode, Moment>,
    turn: figures::Turn,
}

/// A resource that holds a number.
#[derive(Debug, Clone)]
struct Subject {
    key: ObjectKey,
    sid: PhoneNumberSid,
    number: E164,
    scope: UsageScope,
    secret: CredentialsSecretRef,
    told: Option<Usage>,
}

impl Subject {
    fn asked(&self) -> (PhoneNumberSid, UsageScope) {
        (self.sid.clone(), self.scope)
    }
}

impl Store {
    fn locked(&self) -> MutexGuard<'_, HashMap<AccountSid, Kept>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The figures of a number, as far as they were read.
    pub(super) fn of(&self, account: &AccountSid, sid: &PhoneNumberSid, scope: UsageScope) -> View {
        let all = self.locked();
        all.get(account).map_or(View::Unread, |kept| View::Read(Box::new(kept.known.of(sid, scope))))
    }
}

/// Reads figures until the context's stop; never, when the interval is zero.
pub async fn run(context: Arc<Context>) {
    let interval = context.settings.usage_interval;
    if interval.is_zero() {
        return;
    }
    loop {
        let turn = async {
            tokio::time::sleep(TICK.min(interval)).await;
            turn(&context, interval).await;
        };
        // It only reads: it may be cut off anywhere.
        tokio::select! {
            () = context.stop.cancelled() => return,
            () = turn => {}
        }
    }
}

/// Reads every account that is due.
async fn turn(context: &Context, interval: Duration) {
    let mut accounts: BTreeMap<AccountSid, Vec<Subject>> = BTreeMap::new();
    for (account, subject) in context.known().filter_map(|object| subject(&object)) {
        accounts.entry(account).or_default().push(subject);
    }
    context.figures.locked().retain(|account, _| accounts.contains_key(account));
    let due = accounts.into_iter().filter(|(account, subjects)| is_due(context, interval, account, subjects));
    let due: Vec<_> = due.collect();
    futures::stream::iter(due)
        .for_each_concurrent(SIDE_BY_SIDE, |(account, subjects)| async move {
            refresh(context, interval, &account, &subjects).await;
            for subject in &subjects {
                context.poke(&subject.key);
            }
        })
        .await;
}

fn subject(object: &ClinicPhoneNumber) -> Option<(AccountSid, Subject)> {
    let status = object.status.as_ref()?;
    let subject = Subject {
        key: ObjectKey { namespace: object.namespace().unwrap_or_default(), name: object.name_any() },
        sid: PhoneNumberSid::parse(status.phone_number_sid.as_deref()?).ok()?,
        number: E164::parse(status.phone_number.as_deref()?).ok()?,
        scope: object.spec.usage.as_ref().map(|usage| usage.scope).unwrap_or_default(),
        secret: object.spec.credentials_secret_ref.clone(),
        told: status.usage.clone(),
    };
    Some((AccountSid::parse(status.account_sid.as_deref()?).ok()?, subject))
}

fn is_due(context: &Context, interval: Duration, account: &AccountSid, subjects: &[Subject]) -> bool {
    let now = context.now();
    let kept = context.figures.locked();
    let Some(kept) = kept.get(account) else {
        // The first of them: a resource without figures is new.
        return subjects.iter().any(|subject| figures::first(now, interval, subject.told.as_ref()) <= now.boot);
    };
    kept.turn.is_due(now.boot, subjects.iter().map(Subject::asked))
}

/// Reads one account; what cannot be read stays as it was.
async fn refresh(context: &Context, interval: Duration, account: &AccountSid, subjects: &[Subject]) {
    let mut kept = context.figures.locked().get(account).cloned().unwrap_or_default();
    kept.known.setbacks = match credentials(context, account, subjects).await {
        Ok(credentials) => read(context, &credentials, subjects, &mut kept).await,
        Err(why) => {
            kept.known.usage_setback = None;
            vec![why]
        }
    };
    let now = context.now();
    let setbacks = kept.known.all_setbacks().join("; ");
    let failures = if setbacks.is_empty() { 0 } else { kept.turn.failures.saturating_add(1) };
    // A count of its own is always of the month that is.
    let month = kept.known.usage.as_ref().map_or_else(|| Month::of(now.wall), |usage| usage.month);
    kept.turn = figures::Turn {
        read_at: now.boot,
        due: figures::next(now, interval, spread(account), month, failures),
        failures,
        asked: subjects.iter().map(Subject::asked).collect(),
    };
    if failures > 0 {
        context.metrics.figures_failures.inc();
        tracing::warn!(%account, failures, "figures could not be read: {setbacks}");
    }
    context.figures.locked().insert(account.clone(), kept);
}

/// From 0 to 1, the account's own: SIDs are random.
fn spread(account: &AccountSid) -> f64 {
    let last = account.as_ref().get(26..).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or_default();
    f64::from(last) / f64::from(u32::MAX)
}

/// Credentials of this account out of the Secrets that its resources name; otherwise why there are none.
async fn credentials(context: &Context, account: &AccountSid, subjects: &[Subject]) -> Result<Credentials, String> {
    let mut why = format!("no Secret has credentials of account {account}");
    let named: BTreeSet<_> = subjects.iter().map(|subject| (&subject.key.namespace, &subject.secret)).collect();
    for (namespace, reference) in named {
        match secrets::read(context, namespace, reference).await {
            Ok((_, Some(credentials))) if credentials.account() == account => return Ok(credentials),
            Ok((CredentialsView::Missing(what) | CredentialsView::Malformed(what), None)) => why = what,
            Ok(_) => {}
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}

/// One reading of an account.
struct Reading<'a> {
    context: &'a Context,
    credentials: &'a Credentials,
    gated: Gated<'a>,
    /// Twilio does not answer, and why: then the rest is not asked for, and other accounts have their turn.
    away: Option<String>,
}

impl Reading<'_> {
    /// One call; what comes back instead of an answer is fit to be shown.
    async fn ask<T>(&mut self, request: impl Future<Output = Result<T, Trouble>> + Send) -> Result<T, String> {
        if let Some(why) = &self.away {
            return Err(why.clone());
        }
        self.gated.call(self.credentials, request).await.map_err(|trouble| {
            let told = telling::sentence(&trouble);
            if trouble.http_status.is_none() || trouble.meaning == Meaning::Throttled {
                self.away = Some(told.clone());
            }
            told
        })
    }

    /// The month's messages of the account, and of the numbers that are to be counted alone.
    async fn usage(&mut self, subjects: &[Subject], known: &mut Account) {
        let (twilio, credentials) = (&self.context.twilio, self.credentials);
        let (single, whole): (Vec<_>, Vec<_>) =
            subjects.iter().partition(|subject| subject.scope == UsageScope::Number);
        let asked = if whole.is_empty() { None } else { Some(self.ask(twilio.usage_this_month(credentials)).await) };
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
        let (twilio, credentials, since) = (&self.context.twilio, self.credentials, count.since(now));
        let sent = self.ask(twilio.messages(credentials, number, Way::Sent, since)).await?;
        let received = self.ask(twilio.messages(credentials, number, Way::Received, since)).await?;
        count.take(now, &sent, &received).map_err(|error| error.to_string())
    }

    /// The account's numbers: somebody else's list, if it has ours.
    async fn numbers(&mut self, subjects: &[Subject]) -> Result<Arc<AccountList>, String> {
        let (context, account) = (self.context, self.credentials.account());
        let started = context.now().boot;
        let shared = context.accounts.latest(account, started.before(LIST));
        let complete = |list: &Arc<AccountList>| subjects.iter().all(|subject| list.sid(&subject.sid).is_some());
        if let Some(list) = shared.filter(complete) {
            return Ok(list);
        }
        let numbers = self.ask(context.twilio.numbers(self.credentials)).await?;
        Ok(Arc::new(AccountList::new(account.clone(), started, numbers)))
    }

    /// What numbers of a country cost, and their messages.
    async fn prices(&mut self, country: &CountryCode, known: &mut Account) -> Result<(), String> {
        let (twilio, credentials) = (&self.context.twilio, self.credentials);
        let monthly = self.monthly(country).await?;
        known.monthly.learn_each(country.clone(), |kind| monthly.monthly(kind));
        let messages = self.ask(twilio.message_prices(credentials, country)).await?;
        known.messages.learn_each(country.clone(), |kind| messages.of(kind));
        Ok(())
    }

    /// What numbers of a country cost: as a pass read it for a limit or a choice, or read for the next one too.
    async fn monthly(&mut self, country: &CountryCode) -> Result<NumberPrices, String> {
        let (context, account) = (self.context, self.credentials.account());
        let fingerprint = self.credentials.fingerprint(&context.salt);
        let started = context.now().boot;
        if let Some((prices, _)) = context.accounts.prices(account, &fingerprint, country, started.before(PRICES)) {
            return Ok(prices);
        }
        let prices = self.ask(context.twilio.number_prices(self.credentials, country)).await?;
        context.accounts.priced(account, &fingerprint, country, (prices.clone(), started));
        Ok(prices)
    }
}

/// Reads everything that is due of one account; returns what could not be read, but for usage.
async fn read(context: &Context, credentials: &Credentials, subjects: &[Subject], kept: &mut Kept) -> Vec<String> {
    let gated = Gated { gates: &context.accounts, clock: context.clock.as_ref(), salt: &context.salt };
    let mut reading = Reading { context, credentials, gated, away: None };
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
