//! Does one step and folds its result in. One arm a step; nothing is chosen here.

use std::sync::Arc;

use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};

use crate::api::v1alpha1::{ClaimOutcome, ClinicPhoneNumber};
use crate::api::{FINALIZER, GROUP};
use crate::clock::Fence;
use crate::domain::{AccountSid, E164, Field, Moment, PhoneNumberSid, Search, Trouble};
use crate::plan::fuse::{Admission, Entry, Purpose, Request};
use crate::plan::observed::{Rival, StampView};
use crate::plan::{AccountList, Claim, Note, ObjectKey, Post, Rule, Situation, Step, holds};
use crate::twilio::{Credentials, Released};

use super::accounts::{Closed, Lane, ListTurn, Listed};
use super::error::{Error, call};
use super::pass::Pass;
use super::{events, secrets};

/// How a step ended.
pub(super) enum Flow {
    /// Decide again.
    On,
    /// The account's gate is full or another resource fetches the list: come back then, nothing to tell.
    Later(Moment),
    /// The resource is let go.
    Gone,
}

/// So many numbers that are missing from a list are asked after one by one.
const EXCUSES: usize = 5;
/// How long to wait for a list that another resource fetches, should its call for us get lost.
const LIST_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

impl Pass<'_> {
    pub(super) async fn execute(&mut self, step: Step, situation: &Situation) -> Result<Flow, Error> {
        match step {
            Step::AddFinalizer => self.finalizer(true).await?,
            Step::ReadSecret => {
                let reference = self.object.spec.credentials_secret_ref.clone();
                let (view, credentials) = secrets::read(self.context, &self.desired.key.namespace, &reference).await?;
                self.observed.credentials = view;
                self.credentials = credentials;
            }
            Step::List { after, periodic } => return self.list(after, lane(periodic)).await,
            Step::GetNumber { sid, periodic } => return self.get(&sid, lane(periodic)).await,
            Step::Search { index, search } => return self.search(index, &search).await,
            Step::FindOffer { number, search } => return self.find_offer(number, &search).await,
            Step::ReadPrices { country, after } => return self.read_prices(country, after).await,
            Step::ReadMessagePrices { country } => return self.read_message_prices(country).await,
            Step::ReadPapers { country, kind, bundle } => return self.read_papers(country, kind, bundle).await,
            Step::NoteClaims => self.note_claims(),
            Step::LookAtRivals { number } => self.rivals(number).await?,
            Step::LookAtOwners => self.owners().await?,
            Step::Save { claim, held, note } => return self.announce_or_save(claim, held, note, situation).await,
            Step::Stamp { claim, post } => return self.stamp(claim, post, situation).await,
            Step::Post(post) => self.post(post).await?,
            Step::Update { sid, fields, drift } => return self.update(&sid, &fields, drift).await,
            Step::ReadService { service } => return self.read_service(service).await,
            Step::SaveMembership { membership, note, repair } => {
                let (claim, held) = (self.observed.claim.clone(), self.observed.held.clone());
                self.observed.membership.clone_from(&membership);
                let flow = self.announce_or_save(claim, held, note, situation).await?;
                self.observed.learn_membership(membership, repair, self.context.now().boot);
                return Ok(flow);
            }
            Step::ReadMembership { service, sid } => return self.read_membership(&service, &sid).await,
            Step::Join { service, sid } => return self.join(&service, &sid).await,
            Step::Leave { service, sid } => return self.leave(&service, &sid).await,
            Step::ReadDiscovery => {
                let read = self.discovery().await;
                self.read_before_release(
                    "discovery, which tells whether the CustomResourceDefinition is going away",
                    read,
                )?;
            }
            Step::ReadLedger => {
                let read = self.ledger().await;
                self.read_before_release("the ledger of purchases", read)?;
            }
            Step::StampRelease { claim } => {
                // Taken before the write: the window of whoever sees the stamp covers everything that it allows.
                let deadline = self.context.now().boot.after(self.context.settings.send_within);
                let held = self.observed.held.clone();
                let number = claim.number.clone();
                if holds(Rule::StampBeforeRelease) {
                    self.save(Some(claim), held, Some(situation)).await?;
                }
                self.observed.learn_release_stamp();
                self.release = Some(self.permission(deadline, number));
            }
            Step::Release { sid, number } => return self.release(&sid, &number).await,
            Step::RemoveFinalizer { note } => {
                // Told first: once the finalizer is off nobody comes back to it. Told again where taking it off fails.
                if let Some(note) = note {
                    events::tell(self.context, &self.object, &note).await;
                }
                self.finalizer(false).await?;
                return Ok(Flow::Gone);
            }
        }
        Ok(Flow::On)
    }

    /// A merge patch that carries the version read: a conflict if anybody wrote in between.
    async fn finalizer(&mut self, there: bool) -> Result<(), Error> {
        let mut finalizers: Vec<_> = self.object.finalizers().iter().filter(|f| *f != FINALIZER).cloned().collect();
        if there {
            finalizers.push(FINALIZER.to_owned());
        }
        let patch = serde_json::json!({"metadata": {"resourceVersion": self.object.resource_version(), "finalizers": finalizers}});
        let doing = if there { "adding the finalizer" } else { "removing the finalizer" };
        let written =
            call(doing, self.api().patch(self.name(), &PatchParams::default(), &Patch::Merge(&patch))).await?;
        self.took(written);
        Ok(())
    }

    pub(super) fn credentials(&self) -> Result<(Credentials, AccountSid, [u8; 32]), Error> {
        match (&self.credentials, self.observed.fingerprint()) {
            (Some(credentials), Some(fingerprint)) => {
                Ok((credentials.clone(), credentials.account().clone(), fingerprint))
            }
            _ => Err(Error::Bug("a call to Twilio without credentials".to_owned())),
        }
    }

    /// Folds a closed gate in: trouble is told, a full gate is only waited for.
    pub(super) fn closed(&mut self, closed: Closed) -> Flow {
        match closed {
            Closed::Full(until) => Flow::Later(until),
            Closed::Troubled(trouble, until) => {
                self.observed.learn_trouble(trouble, Some(until));
                Flow::On
            }
        }
    }

    /// Tells the gate how a call ended, and folds trouble in.
    pub(super) fn ended<T>(
        &mut self,
        account: &AccountSid,
        fingerprint: &[u8; 32],
        result: Result<T, Trouble>,
    ) -> Option<T> {
        let until =
            self.context.accounts.note(account, fingerprint, result.as_ref().map(|_| ()), self.context.now().boot);
        match result {
            Ok(answer) => Some(answer),
            Err(trouble) => {
                self.observed.learn_trouble(trouble, until);
                None
            }
        }
    }

    async fn list(&mut self, after: Moment, lane: Lane) -> Result<Flow, Error> {
        let (credentials, account, fingerprint) = self.credentials()?;
        let context = self.context;
        let now = context.now().boot;
        let permit = match context.accounts.list_turn(&account, &fingerprint, after, lane, &self.desired.key, now) {
            Ok(ListTurn::Ready(listed)) => {
                self.learn_listed(&listed);
                return Ok(Flow::On);
            }
            Ok(ListTurn::Wait) => return Ok(Flow::Later(now.after(LIST_WAIT))),
            Ok(ListTurn::Fetch(permit)) => permit,
            Err(closed) => return Ok(self.closed(closed)),
        };
        let mut fetch = Fetch { context, account: account.clone(), listed: None };
        let started = context.now().boot;
        let result = context.twilio.numbers(&credentials).await;
        if let Some(numbers) = self.ended(&account, &fingerprint, result) {
            let list = AccountList::new(account.clone(), started, numbers);
            let lacks = self.still_there(&credentials, &account, lacking(context, &list)).await;
            let listed = Listed { list: Arc::new(list), lacks: lacks.into() };
            self.learn_listed(&listed);
            fetch.listed = Some(listed);
        }
        drop(permit);
        drop(fetch);
        Ok(Flow::On)
    }

    /// Of numbers that the list lacks, those that Twilio does not say are gone. A number that was released by hand would
    /// otherwise keep its account from buying for as long as its own resource cannot look.
    async fn still_there(
        &self,
        credentials: &Credentials,
        account: &AccountSid,
        lacks: Vec<(PhoneNumberSid, E164)>,
    ) -> Vec<(PhoneNumberSid, E164)> {
        let accounts = &self.context.accounts;
        let (mut there, mut asked) = (Vec::new(), 0);
        for (sid, number) in lacks {
            if accounts.is_gone(account, &sid, self.context.now().boot) {
                continue;
            }
            asked += 1;
            // Many at once are no accident of one person: such a list is not believed, whatever else is said. Every list asks after
            // some more of them.
            if asked <= EXCUSES && matches!(self.context.twilio.number(credentials, &sid).await, Ok(None)) {
                accounts.gone(account, &sid, self.context.now().boot);
            } else {
                there.push((sid, number));
            }
        }
        there
    }

    fn learn_listed(&mut self, listed: &Listed) {
        let own = self.observed.held.as_ref().map(|h| &h.sid);
        let lacks = listed.lacks.iter().find(|(sid, _)| Some(sid) != own).map(|(_, number)| number.clone());
        self.observed.learn_list(Arc::clone(&listed.list), lacks);
    }

    async fn get(&mut self, sid: &PhoneNumberSid, lane: Lane) -> Result<Flow, Error> {
        let (credentials, account, fingerprint) = self.credentials()?;
        let context = self.context;
        self.looked_at = context.now().boot;
        let permit = match context.accounts.admit(&account, &fingerprint, lane, context.now().boot) {
            Ok(permit) => permit,
            Err(closed) => return Ok(self.closed(closed)),
        };
        let result = context.twilio.number(&credentials, sid).await;
        drop(permit);
        if let Some(number) = self.ended(&account, &fingerprint, result) {
            self.observed.learn_number(number);
        }
        Ok(Flow::On)
    }

    async fn search(&mut self, index: usize, search: &Search) -> Result<Flow, Error> {
        let (credentials, account, fingerprint) = self.credentials()?;
        let context = self.context;
        let permit = match context.accounts.admit(&account, &fingerprint, Lane::Change, context.now().boot) {
            Ok(permit) => permit,
            Err(closed) => return Ok(self.closed(closed)),
        };
        let result = context.twilio.search(&credentials, search).await;
        drop(permit);
        if let Some(offers) = self.ended(&account, &fingerprint, result) {
            let taken = |n: &&E164| context.memories.reserved_by_other(n, &self.desired.key);
            self.observed.claimed.extend(offers.iter().map(|o| &o.phone_number).filter(taken).cloned());
            self.observed.offers.resize(self.observed.offers.len().max(index + 1), None);
            if let Some(slot) = self.observed.offers.get_mut(index) {
                *slot = Some(offers);
            }
        }
        Ok(Flow::On)
    }

    /// Reads others' claims on this number, uncached: a LIST without a resourceVersion is answered from the latest state.
    async fn rivals(&mut self, number: E164) -> Result<(), Error> {
        let mut rivals: Vec<Rival> = Vec::new();
        // A number may be recorded where another one is claimed: what was sent for that one was not settled when it was found.
        for field in ["status.claim.phoneNumber", "status.phoneNumber"] {
            let selector = ListParams::default().fields(&format!("{field}={number}"));
            for api in self.context.all_resources() {
                for other in call("looking at others' claims", api.list(&selector)).await?.items {
                    let rival = rival(&other, &number).filter(|rival| rival.key != self.desired.key);
                    rivals.extend(rival.filter(|rival| rivals.iter().all(|known| known.key != rival.key)));
                }
            }
        }
        rivals.sort_by(|a, b| a.key.cmp(&b.key));
        self.observed.rivals = Some((number, rivals));
        Ok(())
    }

    /// Reads which resources exist, uncached, as the tags they own.
    async fn owners(&mut self) -> Result<(), Error> {
        let defaults = &self.context.settings.defaults;
        let mut owners = std::collections::HashSet::new();
        for api in self.context.all_resources() {
            for other in call("looking which resources exist", api.list(&ListParams::default())).await?.items {
                let key = key(&other);
                if key == self.desired.key {
                    continue;
                }
                for id in std::iter::once(&defaults.installation).chain(&defaults.previous_installation) {
                    owners.insert(id.tag(&key.namespace, &key.name));
                }
            }
        }
        self.observed.owners = Some(owners);
        Ok(())
    }

    async fn announce_or_save(
        &mut self,
        claim: Option<Claim>,
        held: Option<crate::plan::Held>,
        note: Option<Note>,
        situation: &Situation,
    ) -> Result<Flow, Error> {
        if let Some(claim) = claim.as_ref().filter(|c| c.announced()) {
            if !self.context.memories.reserve(&claim.number, &self.desired.key) {
                // Another resource of this process was a moment quicker: saves both a conflict.
                self.observed.claimed.insert(claim.number.clone());
                return Ok(Flow::On);
            }
            let exact = self.observed.on_offer.iter().filter_map(|(_, offer)| offer.as_ref());
            let offers = self.observed.offers.iter().flatten().flatten().chain(exact);
            self.observed.place = offers.into_iter().find(|o| o.phone_number == claim.number).cloned();
        }
        self.save(claim, held, Some(situation)).await?;
        if let Some(note) = note {
            events::tell(self.context, &self.object, &note).await;
        }
        Ok(Flow::On)
    }

    /// Ledger first, then the claim: a stamp that is in the claim is always in the ledger too.
    async fn stamp(&mut self, claim: Claim, post: Post, situation: &Situation) -> Result<Flow, Error> {
        let context = self.context;
        let (_, account, fingerprint) = self.credentials()?;
        // A gate that is closed now would waste the stamp.
        match context.accounts.admit(&account, &fingerprint, Lane::Change, context.now().boot) {
            Ok(permit) => drop(permit),
            Err(closed) => return Ok(self.closed(closed)),
        }
        // Taken before the stamp is written: whoever sees the stamp waits at least as long as this allows sending.
        let now = context.now();
        let deadline = self.observed.deadline(now, context.settings.send_within);
        let purpose = match post {
            Post::Buy(_) if claim.attempts > 1 => Purpose::Again,
            Post::Buy(_) => Purpose::Buy,
            Post::Adopt { .. } => Purpose::Adopt,
        };
        let entry = Entry { at: now.wall, tag: claim.tag.clone(), number: claim.number.clone(), account, purpose };
        let looked = self.observed.list.as_ref().map(|l| l.started).unwrap_or_default();
        let tags = self.desired.tags.clone();
        let request = Request { entry, tags, known: claim.accounts_for(), looked };
        let admission = if holds(Rule::Ledger) { context.ledger.stamp(request).await } else { Ok(Admission::Granted) };
        let admission = match admission {
            Ok(admission) => admission,
            Err(Error::Ledger(why)) => {
                self.observed.stamp = Some(StampView::NoLedger(why));
                return Ok(Flow::On);
            }
            Err(error) => return Err(error),
        };
        if admission != Admission::Granted {
            if let Admission::Unsettled(until) = admission {
                self.observed.memory.ledger_until = Some(until);
            }
            self.observed.stamp = Some(StampView::Withheld(admission));
            return Ok(Flow::On);
        }
        let number = claim.number.clone();
        if holds(Rule::StampBeforeSend) {
            self.save(Some(claim.clone()), None, Some(situation)).await?;
        }
        self.observed.learn_stamp(claim, post, context.now().boot);
        self.stamped = Some(self.permission(deadline, number));
        Ok(Flow::On)
    }

    /// Sends what was stamped. There is no other way to send it: the permission is taken here and is gone.
    async fn post(&mut self, post: Post) -> Result<(), Error> {
        let context = self.context;
        let stamped = self.stamped.take().ok_or_else(|| Error::Bug("about to send without a stamp".to_owned()))?;
        let (credentials, account, fingerprint) = self.credentials()?;
        let claim =
            self.observed.claim.clone().ok_or_else(|| Error::Bug("about to send without a claim".to_owned()))?;
        if claim.account != account && holds(Rule::AccountLock) {
            return Err(Error::Bug("about to send for another account".to_owned()));
        }
        self.looked_at = context.now().boot;
        let result = match &post {
            Post::Buy(purchase) => {
                context.twilio.buy(&credentials, purchase, &stamped.open_for(&purchase.phone_number)?).await
            }
            Post::Adopt { sid, fields } => {
                context.twilio.update(&credentials, sid, fields, &stamped.open_for(&claim.number)?).await
            }
        };
        let now = context.now().boot;
        context.accounts.note(&account, &fingerprint, result.as_ref().map(|_| ()), now);
        if let Err(trouble) = &result {
            let (reason, action, what) = match &post {
                Post::Buy(_) => ("PurchaseNotConfirmed", "Buy", "was not answered with a sale"),
                Post::Adopt { .. } => ("AdoptionNotConfirmed", "Adopt", "to take it over was not confirmed"),
            };
            let text = format!("{}: attempt {} {what}: {trouble}", claim.number, claim.attempts);
            events::tell(context, &self.object, &Note { warning: true, reason, action, text }).await;
        }
        let desired = self.desired.clone();
        self.observed.learn_answer(result, &desired, now);
        Ok(())
    }

    async fn update(&mut self, sid: &PhoneNumberSid, fields: &[(Field, String)], drift: bool) -> Result<Flow, Error> {
        let (credentials, account, fingerprint) = self.credentials()?;
        let context = self.context;
        let permit = match context.accounts.admit(&account, &fingerprint, Lane::Change, context.now().boot) {
            Ok(permit) => permit,
            Err(closed) => return Ok(self.closed(closed)),
        };
        // What is written rests on a look of a moment ago: a process that stood still since does not write over what somebody
        // else has made of the number.
        let since = if holds(Rule::SendFence) { self.looked_at } else { context.now().boot };
        let fence = Fence::new(context.clock.clone(), since.after(context.settings.send_within));
        self.observed.learn_updating(context.now().boot);
        let result = context.twilio.update(&credentials, sid, fields, &fence).await;
        drop(permit);
        if result.as_ref().is_err_and(Trouble::is_not_processed) {
            self.observed.learn_unsent();
        }
        if let Some(number) = self.ended(&account, &fingerprint, result) {
            let names = fields.iter().map(|(f, _)| f.to_string()).collect::<Vec<_>>().join(", ");
            let (warning, reason, text) = if drift {
                (
                    true,
                    "DriftRepaired",
                    format!("{names} of {} had been changed at Twilio and was set back", number.phone_number),
                )
            } else {
                (false, "NumberConfigured", format!("{names} of {} was set", number.phone_number))
            };
            events::tell(context, &self.object, &Note { warning, reason, action: "Update", text }).await;
            self.observed.learn_update(number, fields, drift, context.now().boot);
        }
        Ok(Flow::On)
    }

    /// What cannot be read before a release is told: the resource waits for it, perhaps until somebody gives a right.
    fn read_before_release(&mut self, what: &'static str, read: Result<(), Error>) -> Result<(), Error> {
        match read {
            Ok(()) | Err(Error::Bug(_)) => read,
            Err(
                error @ (Error::Conflict(_) | Error::Gone | Error::Api { .. } | Error::TimedOut(_) | Error::Ledger(_)),
            ) => {
                self.context.metrics.failed(error.category());
                tracing::warn!(key = %self.desired.key, %error, "nothing is released before this can be read");
                self.observed.unread = Some(what);
                Ok(())
            }
        }
    }

    /// What the ledger knows of purchases of this resource that may still take effect.
    async fn ledger(&mut self) -> Result<(), Error> {
        let until = self.context.ledger.unsettled(&self.desired.tags).await?;
        self.observed.memory.ledger_until = until.max(self.observed.memory.ledger_until);
        self.observed.ledger_read = true;
        Ok(())
    }

    /// Whether the CRD stays: one that is being removed loses its create, update and patch verbs in discovery.
    async fn discovery(&mut self) -> Result<(), Error> {
        let resources =
            call("reading discovery", self.context.kube.list_api_group_resources(&format!("{GROUP}/v1alpha1"))).await?;
        let ours = resources.resources.iter().find(|r| r.name == "clinicphonenumbers");
        let ours = ours.ok_or_else(|| Error::Bug("discovery does not know clinicphonenumbers".to_owned()))?;
        self.observed.crd_stays =
            Some(["create", "update", "patch"].iter().all(|verb| ours.verbs.iter().any(|v| v == verb)));
        Ok(())
    }

    async fn release(&mut self, sid: &PhoneNumberSid, number: &E164) -> Result<Flow, Error> {
        let stamped = self.release.take().ok_or_else(|| Error::Bug("about to release without a stamp".to_owned()))?;
        let (credentials, account, fingerprint) = self.credentials()?;
        let result = self.context.twilio.release(&credentials, sid, &stamped.open_for(number)?).await;
        match self.ended(&account, &fingerprint, result) {
            Some(Released::Done) => {
                // A list of before still has the number, and the resource may be applied again within a moment.
                self.context.accounts.unlist(&account);
                self.observed.released = true;
            }
            Some(Released::NotFound) => self.observed.learn_number(None),
            None => {}
        }
        Ok(Flow::On)
    }
}

/// Ends a fetch however it ends, also when the pass is dropped in the middle: others wait for it.
struct Fetch<'a> {
    context: &'a super::Context,
    account: AccountSid,
    listed: Option<Listed>,
}

impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        for waiting in self.context.accounts.listed(&self.account, self.listed.take()) {
            self.context.poke(&waiting);
        }
    }
}

/// Recorded numbers of this account that the list ought to have and has not. Their resources are asked for a look.
///
/// Left out: what was recorded so lately that the list may lag, what is being deleted, and what is known to be lost.
fn lacking(context: &super::Context, list: &AccountList) -> Vec<(PhoneNumberSid, E164)> {
    let mut lacking = Vec::new();
    for other in context.known() {
        let Some(status) = other.status.as_ref().filter(|s| s.account_sid.as_deref() == Some(list.account.as_str()))
        else {
            continue;
        };
        let (Some(sid), Some(number)) = (
            status.phone_number_sid.as_deref().and_then(|s| PhoneNumberSid::parse(s).ok()),
            status.phone_number.as_deref().and_then(|n| E164::parse(n).ok()),
        ) else {
            continue;
        };
        if list.sid(&sid).is_some() || other.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let known_lost = status.is_lost();
        let key = key(&other);
        let lag = context.settings.settle_window;
        let excused = context
            .memories
            .peek(&key, |m| m.sid_missing || m.recorded_at.is_some_and(|at| at.after(lag) > list.started))
            .unwrap_or(false);
        if !known_lost && !excused {
            context.memories.suspect(&key);
            context.poke(&key);
            lacking.push((sid, number));
        }
    }
    lacking
}

/// What another resource has to do with a number, if anything.
fn rival(other: &ClinicPhoneNumber, number: &E164) -> Option<Rival> {
    let status = other.status.as_ref()?;
    let recorded = status.phone_number.as_deref() == Some(number.as_str());
    let claim = status.claim.as_ref().filter(|c| c.phone_number == number.as_str());
    let claim = claim.filter(|c| matches!(c.outcome, ClaimOutcome::Unknown | ClaimOutcome::Held));
    let sent = recorded || claim.is_some_and(|c| c.attempts > 0 || c.outcome == ClaimOutcome::Held);
    (recorded || claim.is_some()).then(|| Rival { key: key(other), sent })
}

fn key(object: &ClinicPhoneNumber) -> ObjectKey {
    ObjectKey { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}

fn lane(periodic: bool) -> Lane {
    if periodic { Lane::Periodic } else { Lane::Change }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_holds_a_number_is_a_rival_whatever_its_claim_names() {
        let (here, there) = ("+14185550001", "+14185550002");
        let rival = |status: serde_json::Value| {
            let spec = serde_json::json!({"credentialsSecretRef": {"name": "twilio"}, "phoneNumber": here});
            let object = serde_json::json!({
                "apiVersion": "telephony.chiroflow.io/v1alpha1", "kind": "ClinicPhoneNumber",
                "metadata": {"name": "a", "namespace": "clinic"}, "spec": spec, "status": status,
            });
            super::rival(&serde_json::from_value(object).unwrap(), &E164::parse(here).unwrap()).map(|rival| rival.sent)
        };
        let claim = |number: &str, attempts: u32, outcome: &str| serde_json::json!({"claim": {"phoneNumber": number, "attempts": attempts, "outcome": outcome}});
        assert_eq!(rival(claim(here, 0, "Unknown")), Some(false));
        assert_eq!(rival(claim(here, 1, "Unknown")), Some(true));
        assert_eq!(rival(claim(here, 0, "Held")), Some(true));
        assert_eq!(rival(claim(here, 1, "Refused")), None);
        assert_eq!(rival(claim(there, 1, "Unknown")), None);
        let mut recorded = claim(there, 1, "Abandoned");
        recorded["phoneNumber"] = here.into();
        assert_eq!(rival(recorded), Some(true));
    }
}
