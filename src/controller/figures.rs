//! Reads, beside the passes, what an account used this month and what its numbers and messages cost.
//!
//! It writes nothing: what it found is kept here, each resource of the account is asked to look, and its pass writes it with
//! whatever else there is to write. A failure ends in the condition `UsageReported` and nowhere else. What is shown and when
//! the next reading is due is decided in [`crate::plan::figures`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::ClinicPhoneNumber;
use crate::api::v1alpha1::{CredentialsSecretRef, Usage, UsageScope};
use crate::domain::{AccountSid, CountryCode, E164, Moment, Month, NumberType, PhoneNumberSid, Trouble};
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
    /// When each country's prices were read, or refused.
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
        // The one that waits longest: a resource without figures is new.
        let first = subjects.iter().map(|subject| figures::first(now, interval, subject.told.as_ref())).min();
        return first.is_none_or(|first| first <= now.boot);
    };
    kept.turn.is_due(now.boot, subjects.iter().map(Subject::asked))
}

/// Reads one account; what cannot be read stays as it was.
async fn refresh(context: &Context, interval: Duration, account: &AccountSid, subjects: &[Subject]) {
    let mut kept = context.figures.locked().get(account).cloned().unwrap_or_default();
    kept.known.setbacks = match credentials(context, account, subjects).await {
        Ok(credentials) => read(context, &credentials, subjects, &mut kept).await,
        Err(why) => vec![why],
    };
    let now = context.now();
    let setbacks = kept.known.all_setbacks().join("; ");
    let failures = if setbacks.is_empty() { 0 } else { kept.turn.failures.saturating_add(1) };
    // A count of its own is always of the month that is.
    let month = kept.known.usage.as_ref().map_or_else(|| Month::of(now.wall), |usage| usage.month);
    kept.turn = figures::Turn {
        read_at: now.boot,
        due: figures::next(now, interval, spread(account), Some(month), failures),
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
    let mut read = HashSet::new();
    for subject in subjects {
        let reference = &subject.secret;
        if !read.insert((&subject.key.namespace, &reference.name, &reference.account_sid_key)) {
            continue;
        }
        match secrets::read(context, &subject.key.namespace, reference).await {
            Ok((_, Some(credentials))) if credentials.account() == account => return Ok(credentials),
            Ok((CredentialsView::Missing(what) | CredentialsView::Malformed(what), None)) => why = what,
            Ok(_) => {}
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}

/// Reads everything that is due of one account; returns what could not be read.
async fn read(context: &Context, credentials: &Credentials, subjects: &[Subject], kept: &mut Kept) -> Vec<String> {
    let gated = Gated { gates: &context.accounts, clock: context.clock.as_ref(), salt: &context.salt };
    let twilio = &context.twilio;
    let mut setbacks = Vec::new();
    let told = telling::sentence;
    let whole = subjects.iter().any(|subject| subject.scope == UsageScope::Account);
    kept.known.usage_setback = None;
    if whole {
        match gated.call(credentials, twilio.usage_this_month(credentials)).await {
            Ok(usage) => kept.known.usage = Some(usage),
            Err(trouble) => kept.known.usage_setback = Some(told(&trouble)),
        }
    } else {
        kept.known.usage = None;
    }
    let single: Vec<_> = subjects.iter().filter(|subject| subject.scope == UsageScope::Number).collect();
    kept.known.counts.retain(|sid, _| single.iter().any(|subject| subject.sid == *sid));
    for subject in single {
        let now = context.now().wall;
        let known = kept.known.counts.remove(&subject.sid);
        let mut count = known.map_or_else(|| Count::new(now), |(count, _)| count.of(now));
        let setback = count_one(&gated, context, credentials, subject, &mut count, now).await.err();
        kept.known.counts.insert(subject.sid.clone(), (count, setback));
    }
    let started = context.now().boot;
    let shared = context.accounts.latest(credentials.account(), started.before(LIST));
    let complete = |list: &AccountList| subjects.iter().all(|subject| list.sid(&subject.sid).is_some());
    match shared.filter(|list| complete(list)) {
        Some(list) => kept.known.numbers = Some(list),
        None => match gated.call(credentials, twilio.numbers(credentials)).await {
            Ok(numbers) => {
                let list = AccountList::new(credentials.account().clone(), started, numbers);
                kept.known.numbers = Some(Arc::new(list));
            }
            Err(trouble) => setbacks.push(told(&trouble)),
        },
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
        match prices(&gated, context, credentials, &country, &mut kept.known).await {
            Ok(()) => drop(kept.priced.insert(country, now)),
            Err(trouble) => setbacks.push(told(&trouble)),
        }
    }
    setbacks
}

/// Counts the messages of one number since it was counted last.
async fn count_one(
    gated: &Gated<'_>,
    context: &Context,
    credentials: &Credentials,
    subject: &Subject,
    count: &mut Count,
    now: Timestamp,
) -> Result<(), String> {
    let (twilio, since) = (&context.twilio, count.since(now));
    let list = async |way| {
        let asked = twilio.messages(credentials, &subject.number, way, since);
        gated.call(credentials, asked).await.map_err(|trouble| telling::sentence(&trouble))
    };
    let (sent, received) = (list(Way::Sent).await?, list(Way::Received).await?);
    count.take(now, &sent, &received).map_err(|error| error.to_string())
}

async fn prices(
    gated: &Gated<'_>,
    context: &Context,
    credentials: &Credentials,
    country: &CountryCode,
    known: &mut Account,
) -> Result<(), Trouble> {
    const KINDS: [NumberType; 3] = [NumberType::Local, NumberType::Mobile, NumberType::TollFree];
    let monthly = gated.call(credentials, context.twilio.number_prices(credentials, country)).await?;
    known
        .monthly
        .learn(country.clone(), KINDS.into_iter().filter_map(|kind| Some((kind, monthly.monthly(kind)?))).collect());
    let messages = gated.call(credentials, context.twilio.message_prices(credentials, country)).await?;
    known
        .messages
        .learn(country.clone(), KINDS.into_iter().filter_map(|kind| Some((kind, messages.of(kind)?))).collect());
    Ok(())
}
