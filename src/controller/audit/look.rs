//! Reads what an audit compares: resources, the Secrets that they name, and each account's list. Writes nothing anywhere.
//!
//! Credentials live for as long as the calls of their account and no longer: each Secret is read when its turn comes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::ListParams;

use crate::api::ClinicPhoneNumber;
use crate::api::v1alpha1::CredentialsSecretRef;
use crate::clock::Clock;
use crate::domain::{AccountSid, IncomingNumber, Meaning, Trouble};
use crate::plan::ObjectKey;
use crate::plan::audit::{
    self, Ids, Listing, Lookup, Obstacle, Others, Prices, Question, Report, Resources, Seen, Subject,
};
use crate::plan::observed::CredentialsView;
use crate::twilio::{self, Credentials};

use super::super::accounts::Accounts;
use super::super::error::{Error, call};
use super::super::gated::Gated;
use super::super::secrets::{self, Reader};

/// Accounts that are read side by side.
const SIDE_BY_SIDE: usize = 4;
/// Resources of one page.
const PAGE: u32 = 500;

/// Whoever looks.
pub struct Looker<'a> {
    /// The API server.
    pub kube: &'a kube::Client,
    /// Twilio.
    pub twilio: &'a twilio::Client,
    /// The clocks.
    pub clock: &'a dyn Clock,
    /// The gates that every call goes through.
    pub gates: &'a Accounts,
    /// Salt of credential fingerprints.
    pub salt: &'a [u8],
    /// Whose tags are ours.
    pub ids: &'a Ids,
    /// Namespaces that are served; empty: all.
    pub namespaces: &'a [String],
    /// As whom Secrets are read, for messages.
    pub reader: Reader,
    /// Told how many Secrets of how many were dealt with.
    pub progress: &'a (dyn Fn(usize, usize) + Send + Sync),
}

/// A Secret, and the resources that name it.
#[derive(Debug, Clone)]
struct Named {
    namespace: String,
    reference: CredentialsSecretRef,
    users: Vec<ObjectKey>,
}

/// What is known so far.
#[derive(Default)]
struct Findings {
    secrets: BTreeMap<ObjectKey, Result<AccountSid, String>>,
    seen: BTreeMap<AccountSid, Seen>,
    /// Accounts that somebody is reading or has read.
    taken: BTreeSet<AccountSid>,
    /// More Secrets of an account, should the first one's credentials be refused.
    spare: Vec<(AccountSid, Named)>,
    dealt_with: usize,
}

fn locked(findings: &Mutex<Findings>) -> MutexGuard<'_, Findings> {
    findings.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Looker<'_> {
    /// One audit.
    ///
    /// # Errors
    /// When the API server cannot be asked. Twilio's trouble ends in the report.
    pub async fn audit(&self) -> Result<Report, Error> {
        let (before, _) = self.resources(false).await?;
        let (named, first) = (secrets_of(&before), Resources::new(self.ids, &before, &before));
        let (total, findings) = (named.len(), Mutex::new(Findings::default()));
        futures::stream::iter(named)
            .map(Ok)
            .try_for_each_concurrent(SIDE_BY_SIDE, |named| {
                let (findings, first) = (&findings, &first);
                async move {
                    self.one(&named, first, findings).await?;
                    let mut findings = locked(findings);
                    findings.dealt_with += 1;
                    (self.progress)(findings.dealt_with, total);
                    Ok::<_, Error>(())
                }
            })
            .await?;
        let spare = std::mem::take(&mut locked(&findings).spare);
        for (account, named) in spare {
            let refused =
                matches!(locked(&findings).seen.get(&account), Some(Seen::Not(Obstacle::CredentialsRefused, _)));
            // It may have been replaced since: another account's list says nothing of this one.
            if refused
                && let (_, Some(credentials)) = self.secret(&named).await?
                && *credentials.account() == account
            {
                let listing = self.account(&credentials, &first, &findings).await;
                locked(&findings).seen.insert(account, listing);
            }
        }
        let (after, others) = self.resources(true).await?;
        let Findings { secrets, seen, .. } = findings.into_inner().unwrap_or_else(PoisonError::into_inner);
        let resources = &Resources::new(self.ids, &before, &after);
        let question = Question { resources, others: &others, secrets: &secrets, seen: &seen };
        Ok(audit::compare(&self.ids.installation, &question))
    }

    /// The resources that are served, read uncached; and with `beyond`, what can be known of the others.
    async fn resources(&self, beyond: bool) -> Result<(Vec<Subject>, Others), Error> {
        let served = |key: &ObjectKey| self.namespaces.is_empty() || self.namespaces.contains(&key.namespace);
        let everywhere = self.namespaces.is_empty() || beyond;
        if everywhere {
            match self.list(&kube::Api::all(self.kube.clone())).await {
                Ok(all) if self.namespaces.is_empty() => return Ok((all, Others::None)),
                Ok(all) => {
                    let (here, elsewhere): (Vec<_>, Vec<_>) = all.into_iter().partition(|s| served(&s.key));
                    return Ok((here, Others::Known(elsewhere.into_iter().flat_map(|s| s.tags).collect())));
                }
                // With one Role a namespace, what is in the others cannot be known.
                Err(Error::Api { source, .. })
                    if !self.namespaces.is_empty() && matches!(&*source, kube::Error::Api(s) if s.code == 403) => {}
                Err(error) => return Err(error),
            }
        }
        let mut all = Vec::new();
        for namespace in self.namespaces {
            all.extend(self.list(&kube::Api::namespaced(self.kube.clone(), namespace)).await?);
        }
        Ok((all, Others::Unknown))
    }

    async fn list(&self, api: &kube::Api<ClinicPhoneNumber>) -> Result<Vec<Subject>, Error> {
        let mut all = Vec::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = call("looking which resources exist", api.list(&page)).await?;
            all.extend(list.items.iter().map(|resource| Subject::read(resource, self.ids)));
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page.continue_token = Some(token),
                None => return Ok(all),
            }
        }
    }

    async fn secret(&self, named: &Named) -> Result<(CredentialsView, Option<Credentials>), Error> {
        secrets::read_as(self.reader, self.kube, self.salt, &named.namespace, &named.reference).await
    }

    /// Deals with one Secret: whose it is, and that account's list, unless somebody else reads it.
    async fn one(&self, named: &Named, resources: &Resources<'_>, findings: &Mutex<Findings>) -> Result<(), Error> {
        let (view, credentials) = self.secret(named).await?;
        let place = match (&view, &credentials) {
            (_, Some(credentials)) => Ok(credentials.account().clone()),
            (CredentialsView::Missing(why) | CredentialsView::Malformed(why), None) => Err(why.clone()),
            (CredentialsView::Unread | CredentialsView::Present { .. }, None) => Err("it was not read".to_owned()),
        };
        {
            let mut findings = locked(findings);
            for user in &named.users {
                findings.secrets.insert(user.clone(), place.clone());
            }
            let Ok(account) = &place else { return Ok(()) };
            if !findings.taken.insert(account.clone()) {
                findings.spare.push((account.clone(), named.clone()));
                return Ok(());
            }
        }
        let (Some(credentials), Ok(account)) = (credentials, place) else { return Ok(()) };
        let seen = self.account(&credentials, resources, findings).await;
        locked(findings).seen.insert(account, seen);
        Ok(())
    }

    /// Reads one account: its list, then what the list lacks, then the prices of what is idle.
    async fn account(&self, credentials: &Credentials, resources: &Resources<'_>, findings: &Mutex<Findings>) -> Seen {
        let account = credentials.account();
        let numbers = match self.called(credentials, self.twilio.numbers(credentials)).await {
            Ok(numbers) => numbers,
            Err(trouble) => return Seen::Not(obstacle(&trouble), trouble.to_string()),
        };
        let mut listing = Listing { numbers, ..Listing::default() };
        for sid in audit::to_look_up(resources, account, &listing.numbers) {
            // No answer proves nothing: then the list counts as one with a hole.
            if let Ok(found) = self.called(credentials, self.twilio.number(credentials, &sid)).await {
                listing.lookups.insert(sid, if found.is_some() { Lookup::There } else { Lookup::Gone });
            }
        }
        listing.prices = self.prices(credentials, &listing.numbers, resources, findings).await;
        Seen::Listed(listing)
    }

    async fn prices(
        &self,
        credentials: &Credentials,
        numbers: &[IncomingNumber],
        resources: &Resources<'_>,
        findings: &Mutex<Findings>,
    ) -> Prices {
        let mut prices = Prices::default();
        let countries = audit::to_price(resources, credentials.account(), numbers, &locked(findings).secrets);
        for country in countries {
            let asked = async { self.twilio.number_prices(credentials, &country).await };
            // What a key may not read is not known; the audit goes on.
            if let Ok(told) = self.called(credentials, asked).await {
                prices.learn_each(country, |kind| told.monthly(kind));
            }
        }
        prices
    }

    /// One call, when the gate lets it through.
    async fn called<T>(
        &self,
        credentials: &Credentials,
        request: impl Future<Output = Result<T, Trouble>> + Send,
    ) -> Result<T, Trouble> {
        Gated { gates: self.gates, clock: self.clock, salt: self.salt }.call(credentials, request).await
    }
}

/// Which Secrets are named, each once.
fn secrets_of(subjects: &[Subject]) -> Vec<Named> {
    let mut all: BTreeMap<(&str, &CredentialsSecretRef), Named> = BTreeMap::new();
    for subject in subjects {
        let (namespace, reference) = (&subject.key.namespace, &subject.secret);
        let named = all.entry((namespace, reference)).or_insert_with(|| Named {
            namespace: namespace.clone(),
            reference: reference.clone(),
            users: Vec::new(),
        });
        named.users.push(subject.key.clone());
    }
    all.into_values().collect()
}

fn obstacle(trouble: &Trouble) -> Obstacle {
    match trouble.meaning {
        // Asking again would not change it.
        Meaning::Credentials | Meaning::RefusedNumber | Meaning::RefusedOtherwise => Obstacle::CredentialsRefused,
        Meaning::NotSent | Meaning::Throttled | Meaning::Ambiguous => Obstacle::Unreachable,
    }
}
