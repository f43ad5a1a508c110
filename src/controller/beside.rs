//! What is read of accounts beside the passes: whose turn it is, with which credentials, and how a call is made.
//!
//! It writes nothing: what was found is kept in stores ([`super::figures`], [`super::reach`]), each resource of the account is asked
//! to look, and its pass writes it with whatever else there is to write. No pass waits for it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

use crate::api::v1alpha1::{CredentialsSecretRef, SmsVerification, Usage, UsageScope};
use crate::api::{ClinicPhoneNumber, REQUESTED_AT};
use crate::domain::{AccountSid, E164, Meaning, Moment, PhoneNumberSid, Trouble};
use crate::plan::observed::CredentialsView;
use crate::plan::verify::{self, Target};
use crate::plan::{Desired, ObjectKey, telling};
use crate::twilio::Credentials;

use super::gated::Gated;
use super::{Context, figures, reach, secrets, verify as webhooks};

/// Accounts that are read side by side.
const SIDE_BY_SIDE: usize = 4;
/// Webhooks that are tried side by side.
const AT_ONCE: usize = 32;
/// Whether something is due is looked at this often; nothing is called for that.
const TICK: Duration = Duration::from_secs(5);

/// A resource that holds a number.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) key: ObjectKey,
    pub(super) sid: PhoneNumberSid,
    pub(super) number: E164,
    pub(super) secret: CredentialsSecretRef,
    /// The annotation that asks for a look.
    pub(super) requested_at: Option<String>,
    pub(super) acquired_at: Option<Timestamp>,
    /// Whether the month's usage is to be of this number alone, and what status says of it.
    pub(super) scope: UsageScope,
    pub(super) usage: Option<Usage>,
    /// Whether status says that something about messages was not looked at.
    pub(super) unchecked: bool,
    /// The webhook to try, and whether status says that this one took a message.
    pub(super) webhook: Option<Target>,
    pub(super) verified: bool,
}

/// Reads, and tries webhooks, until the context's stop.
pub async fn run(context: Arc<Context>) {
    let intervals = [context.settings.usage_interval, context.settings.messaging_interval];
    let shortest = intervals.into_iter().filter(|interval| !interval.is_zero()).min().unwrap_or(TICK);
    let born = context.now().boot;
    let reading = async {
        loop {
            tokio::time::sleep(TICK.min(shortest)).await;
            read_due(&context, born).await;
        }
    };
    // Apart: whoever has slow webhooks keeps nobody's readings waiting.
    let trying = async {
        loop {
            tokio::time::sleep(TICK.min(shortest)).await;
            try_due(&context, born).await;
        }
    };
    // Neither writes: they may be cut off anywhere.
    tokio::select! {
        () = context.stop.cancelled() => {}
        () = reading => {}
        () = trying => {}
    }
}

/// Reads every account that is due.
async fn read_due(context: &Context, born: Moment) {
    let mut accounts: BTreeMap<AccountSid, Vec<Subject>> = BTreeMap::new();
    for (account, subject) in context.known().filter_map(|object| subject(context, &object)) {
        accounts.entry(account).or_default().push(subject);
    }
    context.figures.retain(|account| accounts.contains_key(account));
    context.reach.retain(|account| accounts.contains_key(account));
    let due = accounts.into_iter().filter_map(|(account, subjects)| {
        let figures = figures::is_due(context, &account, &subjects);
        let reach = reach::is_due(context, born, &account, &subjects);
        (figures || reach).then_some(Due { account, subjects, figures, reach })
    });
    read_all(context, due.collect()).await;
}

/// Tries every webhook that is due.
async fn try_due(context: &Context, born: Moment) {
    // Few ask for it: the others are not even read.
    let asking = context.known().filter(|object| asks(object)).filter_map(|object| subject(context, &object));
    let asking: Vec<_> = asking.filter(|(_, subject)| subject.webhook.is_some()).collect();
    let keys: HashSet<_> = asking.iter().map(|(_, subject)| &subject.key).collect();
    context.verified.retain(|key| keys.contains(key));
    let due = asking.iter().filter(|(_, subject)| webhooks::is_due(context, born, subject));
    // The rest has its turn at the next look, with what it asks for then.
    try_all(context, due.take(AT_ONCE).cloned().collect()).await;
}

/// An account to read.
struct Due {
    account: AccountSid,
    subjects: Vec<Subject>,
    figures: bool,
    reach: bool,
}

async fn try_all(context: &Context, due: Vec<(AccountSid, Subject)>) {
    let each = futures::stream::iter(due).for_each_concurrent(AT_ONCE, |(account, subject)| async move {
        if webhooks::refresh(context, &account, &subject).await {
            context.poke(&subject.key);
        }
    });
    each.await;
}

async fn read_all(context: &Context, due: Vec<Due>) {
    let each = futures::stream::iter(due).for_each_concurrent(SIDE_BY_SIDE, |due| async move {
        let mut asker = Asker::new(context, &due.account, &due.subjects).await;
        // What people wait for comes first.
        if due.reach {
            reach::refresh(context, &due.account, &due.subjects, &mut asker).await;
        }
        if due.figures {
            figures::refresh(context, &due.account, &due.subjects, &mut asker).await;
        }
        for subject in &due.subjects {
            context.poke(&subject.key);
        }
    });
    each.await;
}

/// Whether a resource wants its webhook tried.
fn asks(object: &ClinicPhoneNumber) -> bool {
    object.spec.sms.as_ref().is_some_and(|sms| sms.verification == SmsVerification::SignedRequest)
}

fn subject(context: &Context, object: &ClinicPhoneNumber) -> Option<(AccountSid, Subject)> {
    let status = object.status.as_ref()?;
    let webhook = asks(object).then(|| verify::target(&Desired::read(object, &context.settings.defaults))).flatten();
    let subject = Subject {
        key: ObjectKey { namespace: object.namespace().unwrap_or_default(), name: object.name_any() },
        sid: PhoneNumberSid::parse(status.phone_number_sid.as_deref()?).ok()?,
        number: E164::parse(status.phone_number.as_deref()?).ok()?,
        secret: object.spec.credentials_secret_ref.clone(),
        requested_at: object.annotations().get(REQUESTED_AT).cloned(),
        acquired_at: status.acquired_at.as_ref().map(|at| at.0),
        scope: object.spec.usage.as_ref().map(|usage| usage.scope).unwrap_or_default(),
        usage: status.usage.clone(),
        unchecked: crate::plan::reach::is_unchecked(&status.conditions),
        verified: webhook.as_ref().is_some_and(|target| target.is_of(status)),
        webhook,
    };
    Some((AccountSid::parse(status.account_sid.as_deref()?).ok()?, subject))
}

/// The last digits of a SID: SIDs are random.
pub(super) fn digits(sid: &str) -> u32 {
    sid.get(26..).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

/// From 0 to 1, the account's own.
pub(super) fn spread(account: &AccountSid) -> f64 {
    f64::from(digits(account.as_str())) / f64::from(u32::MAX)
}

/// Asks Twilio, with an account's own credentials.
pub(super) struct Asker<'a> {
    credentials: Credentials,
    gated: Gated<'a>,
    /// Twilio does not answer, and why: then the rest is not asked for, and other accounts have their turn.
    away: Option<String>,
}

impl<'a> Asker<'a> {
    /// With credentials out of the Secrets that the account's resources name; otherwise why there are none.
    async fn new(context: &'a Context, account: &AccountSid, subjects: &[Subject]) -> Result<Self, String> {
        let mut why = format!("no Secret has credentials of account {account}");
        let named: BTreeSet<_> = subjects.iter().map(|subject| (&subject.key.namespace, &subject.secret)).collect();
        for (namespace, reference) in named {
            match secrets::read(context, namespace, reference).await {
                Ok((_, Some(credentials))) if credentials.account() == account => {
                    let gated = Gated { gates: &context.accounts, clock: context.clock.as_ref(), salt: &context.salt };
                    return Ok(Self { credentials, gated, away: None });
                }
                Ok((CredentialsView::Missing(what) | CredentialsView::Malformed(what), None)) => why = what,
                Ok(_) => {}
                Err(error) => why = error.to_string(),
            }
        }
        Err(why)
    }

    pub(super) fn credentials(&self) -> Credentials {
        self.credentials.clone()
    }

    /// One call; what comes back instead of an answer is fit to be shown.
    pub(super) async fn ask<T>(
        &mut self,
        request: impl Future<Output = Result<T, Trouble>> + Send,
    ) -> Result<T, String> {
        if let Some(why) = &self.away {
            return Err(why.clone());
        }
        self.gated.call(&self.credentials, request).await.map_err(|trouble| {
            let told = telling::sentence(&trouble);
            if trouble.http_status.is_none() || trouble.meaning == Meaning::Throttled {
                self.away = Some(told.clone());
            }
            told
        })
    }
}
