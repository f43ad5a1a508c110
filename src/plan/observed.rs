//! What is known of one resource: from its status, from this process's memory, and from what this pass found out.
//!
//! The results of steps are folded in by the `learn_…` methods, which are as pure as the decision itself.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::api::conditions::{ConditionType, Reason, is_true};
use crate::api::v1alpha1::{ClinicPhoneNumberStatus, HttpMethod, Origin};
use crate::domain::{
    AccountSid, AvailableNumber, CountryCode, E164, Field, IncomingNumber, Meaning, MessagePrices, MessagingService,
    MessagingServiceSid, Moment, Now, NumberPrices, PhoneNumberSid, Trouble,
};

use super::fuse::Admission;
use super::membership::{Learnt, Membership};
use super::reach::{self, Known, Reach};
use super::refusal::{self, Refusal};
use super::regulatory::{self, PapersView};
use super::verify::Verification;
use super::{AccountList, Claim, Desired, Kind, ObjectKey, Post, Rule, Situation, broken, claim, figures, holds};

/// How old a list may be on which something is decided: long enough for the list of a large account to be shared.
const RECENT: Duration = Duration::from_secs(60);

/// A number that is recorded in status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The number.
    pub number: E164,
    /// Its SID.
    pub sid: PhoneNumberSid,
    /// The account that holds it.
    pub account: AccountSid,
    /// How it came to the resource.
    pub origin: Origin,
    /// When.
    pub acquired_at: Option<Timestamp>,
}

/// What status already says, as far as decisions look at it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Reported {
    /// The generation that status speaks of.
    pub generation: Option<i64>,
    /// The annotation value that was acted on.
    pub requested_at: Option<String>,
    /// The webhook that was set last.
    pub webhook: Option<(String, HttpMethod)>,
    /// Whether `Ready` is True.
    pub ready: bool,
    /// Whether `Reconciling` is there.
    pub reconciling: bool,
    /// Whether `NumberAcquired` says that the number is lost.
    pub lost: bool,
    /// The number whose giving up does not count, because the word came before the loss.
    pub ignored_forget: Option<String>,
    /// What `Stalled` says, where that is that the number is lost, another's or fought over: it does not serve, whether it can
    /// be looked at or not.
    pub out_of_service: Option<Situation>,
    /// What `Stalled` says, where that is that the number is not in the Messaging Service of the spec: it serves all the same.
    pub service_refused: Option<Situation>,
    /// Whether `InboundSms` is True.
    pub inbound: bool,
    /// The reasons of `InboundSms` and `OutboundSms`, where they rest on what is read beside the passes.
    pub inbound_reason: Option<Reason>,
    /// As above.
    pub outbound_reason: Option<Reason>,
    /// Whether status says of a held number where its messages go.
    pub inbound_known: bool,
    /// Whether status says something of a try of the webhook.
    pub verified: bool,
    /// Whether `Observed` is False.
    pub blind: bool,
    /// Whether status says that a person is to choose.
    pub awaits_choice: bool,
    /// Whether status has prices of messages.
    pub messages_priced: bool,
}

/// The last complete look at a held number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The generation that it was compared with.
    pub generation: i64,
    /// The annotation that it answered.
    pub requested_at: Option<String>,
    /// What was known to stand between the number and its messages.
    pub reach: Reach,
    /// When.
    pub at: Moment,
}

/// What this process remembers of a resource between passes. Lost on restart, and nothing that money depends on is lost
/// with it: a window whose beginning is not remembered begins anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    /// When this process first saw the resource.
    pub born: Moment,
    /// The claim's present state, and when this process saw it first.
    pub sight: Option<(claim::Identity, Moment)>,
    /// When the last answer (or its absence) to something sent came.
    pub answered_at: Option<Moment>,
    /// When an update of the number was sent that has had no answer of which it is known what became.
    pub update_sent: Option<Moment>,
    /// Until when a stamp of an earlier life of this resource may still take effect.
    pub ledger_until: Option<Moment>,
    /// Lists after the window that did not have the claimed number, and when the last of them began.
    pub absences: u32,
    /// When the last of those lists began.
    pub absent_at: Option<Moment>,
    /// A refusal to respect.
    pub refusal: Option<Refusal>,
    /// Passes in a row that ended in trouble.
    pub failures: u32,
    /// The last complete look.
    pub checked: Option<Checked>,
    /// The last look at the number by its SID found none: a list that lacks it is no less complete for that.
    pub sid_missing: bool,
    /// Looks in a row that found neither the SID nor the number.
    pub lost_sightings: u32,
    /// Somebody else's list lacked this number: look at it, whatever the interval says.
    pub suspect: bool,
    /// Which fields were repaired against somebody else's change, and when.
    pub repairs: Vec<(Field, Moment)>,
    /// When it could not be read what is asked for before a number is sold.
    pub papers_failed: Option<Moment>,
    /// When the number was put back into its Messaging Service, after somebody had taken it out.
    pub rejoined: Vec<Moment>,
    /// The Messaging Service that this process itself recorded, before it sent anything to it.
    pub joining: Option<MessagingServiceSid>,
    /// When the number was recorded by this process.
    pub recorded_at: Option<Moment>,
    /// When candidates were last found for a person to choose from.
    pub offered: Option<Offered>,
}

/// The last finding of candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// For which generation of the spec.
    pub generation: i64,
    /// When.
    pub at: Moment,
    /// How often they had been found before, since a person acted last.
    pub rounds: u32,
}

/// What a reading of a country's prices gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PricesView {
    /// The prices, and when their reading began.
    Read(NumberPrices, Moment),
    /// They could not be read; until when the account is not called.
    Unread(Trouble, Option<Moment>),
}

/// The credentials, as far as this pass knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CredentialsView {
    /// Not read yet.
    #[default]
    Unread,
    /// The Secret or one of its keys is not there.
    Missing(String),
    /// Something is there that cannot be right.
    Malformed(String),
    /// They look right.
    Present {
        /// The account.
        account: AccountSid,
        /// Tells one pair of credentials from another without being one.
        fingerprint: [u8; 32],
    },
}

/// Another resource that claims the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rival {
    /// Which resource.
    pub key: ObjectKey,
    /// Whether something was sent for it, or the number is recorded there.
    pub sent: bool,
}

/// What became of a stamp in this pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StampView {
    /// Written: this may be sent, once.
    Ready(Post),
    /// Not given, and why.
    Withheld(Admission),
    /// The ledger cannot be read or written.
    NoLedger(String),
}

/// How a number that was looked at compares with what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wiring {
    /// Fields that are not as wanted.
    pub wrong: Vec<Field>,
    /// Whether messages would reach the webhook.
    pub inbound: bool,
    /// Whether the number has SMS at all.
    pub sms: bool,
}

/// Everything that is known.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Observed {
    /// Status holds something that the operator cannot have written.
    pub corrupt: Option<String>,
    /// The recorded number.
    pub held: Option<Held>,
    /// The claim, with what this pass learnt.
    pub claim: Option<Claim>,
    /// What status says.
    pub reported: Reported,
    /// This process's memory.
    pub memory: Memory,
    /// How long something that was sent may still take effect.
    pub window: Duration,
    /// When this pass began.
    pub pass_started: Moment,
    /// Whether the process is stopping: nothing new is stamped.
    pub stopping: bool,

    /// The credentials.
    pub credentials: CredentialsView,
    /// Whether Twilio accepted them in this pass.
    pub accepted: bool,
    /// The account's list.
    pub list: Option<Arc<AccountList>>,
    /// A number that the list should have and has not: the list proves nothing.
    pub list_lacks: Option<E164>,
    /// The number, read by its SID.
    pub number: Option<IncomingNumber>,
    /// Twilio says that there is no such SID.
    pub number_gone: bool,
    /// What each search found.
    pub offers: Vec<Option<Vec<AvailableNumber>>>,
    /// Numbers that other resources are known to claim; a hint that saves a conflict, never a proof.
    pub claimed: HashSet<E164>,
    /// Whether [`Self::claimed`] has what the watch knows of other resources' claims.
    pub claims_noted: bool,
    /// Whether an exact number is on offer as the search describes it, and which number that was.
    pub on_offer: Option<(E164, Option<AvailableNumber>)>,
    /// What numbers of a country cost.
    pub prices: Option<(CountryCode, PricesView)>,
    /// What messages of a country's numbers cost, as far as that could be read.
    pub message_prices: Option<(CountryCode, Option<MessagePrices>)>,
    /// What is asked for before such numbers are sold, and of which numbers that was read.
    pub papers: Option<(regulatory::Asked, PapersView)>,
    /// Other resources that claim the number, read uncached, and which number that was.
    pub rivals: Option<(E164, Vec<Rival>)>,
    /// Tags of all resources that exist, read uncached.
    pub owners: Option<HashSet<crate::domain::OwnerTag>>,
    /// The stamp.
    pub stamp: Option<StampView>,
    /// The refusal that answered what was sent in this pass.
    pub refused: Option<Trouble>,
    /// What was sent in this pass had no answer that settles it.
    pub ambiguous: Option<Trouble>,
    /// A call of this pass that failed, and until when its account is not called.
    pub trouble: Option<(Trouble, Option<Moment>)>,
    /// Fields that this pass set.
    pub updated: bool,
    /// The update before the one that is sent, if that had no answer.
    pub update_before: Option<Moment>,
    /// Whether the CRD is there to stay.
    pub crd_stays: Option<bool>,
    /// The ledger was read.
    pub ledger_read: bool,
    /// What has to be read before a release, and could not be in this pass.
    pub unread: Option<&'static str>,
    /// A release was stamped in this pass.
    pub release_stamped: bool,
    /// The number was given back in this pass.
    pub released: bool,
    /// Place of the number that was chosen, for status.
    pub place: Option<AvailableNumber>,
    /// Prices and usage, read beside the passes.
    pub figures: figures::View,
    /// What stands between the number and its messages, read beside the passes.
    pub reach: Reach,
    /// What became of the last try of the webhook.
    pub verification: Verification,
    /// The Messaging Service that this resource put its number into, or is about to.
    pub membership: Option<Membership>,
    /// What this pass learnt of Messaging Services.
    pub messaging: Learnt,
}

impl Observed {
    /// Starts a pass from what status says and what this process remembers.
    pub fn begin(status: Option<&ClinicPhoneNumberStatus>, memory: Memory, now: Moment, window: Duration) -> Self {
        let mut observed = Self { memory, window, pass_started: now, ..Self::default() };
        let Some(status) = status else { return observed };
        let stalled = |kind: Kind| {
            let reason = kind.row().reason.as_str();
            let told = status.conditions.iter().find(|c| c.type_ == "Stalled" && c.reason == reason)?;
            Some(Situation::new(kind, told.message.clone()))
        };
        observed.reported = Reported {
            generation: status.observed_generation,
            requested_at: status.last_handled_reconcile_at.clone(),
            webhook: status.webhook.as_ref().map(|w| (w.url.clone(), w.method)),
            ready: is_true(&status.conditions, ConditionType::Ready),
            reconciling: is_true(&status.conditions, ConditionType::Reconciling),
            blind: status.conditions.iter().any(|c| c.type_ == "Observed" && c.status == "False"),
            awaits_choice: status
                .conditions
                .iter()
                .any(|c| c.type_ == "Ready" && c.reason == Reason::AwaitingApproval.as_str()),
            lost: status.is_lost(),
            ignored_forget: status.ignored_forget_number.clone(),
            out_of_service: [Kind::NumberLost, Kind::NumberClaimedElsewhere, Kind::DriftContested]
                .into_iter()
                .find_map(stalled),
            service_refused: stalled(Kind::MessagingServiceRefused),
            inbound: is_true(&status.conditions, ConditionType::InboundSms),
            inbound_reason: reach::reason(&status.conditions, ConditionType::InboundSms),
            outbound_reason: reach::reason(&status.conditions, ConditionType::OutboundSms),
            inbound_known: status
                .conditions
                .iter()
                .any(|c| c.type_ == ConditionType::InboundSms.as_str() && c.reason != Reason::NotAcquired.as_str()),
            verified: status.conditions.iter().any(|c| c.type_ == ConditionType::WebhookVerified.as_str()),
            messages_priced: status.sms_prices.is_some(),
        };
        if let Err(problem) = observed.read_status(status) {
            observed.corrupt = Some(format!(
                "status was edited by hand and cannot be trusted: {problem}; restore it from a backup, or delete the resource with deletionPolicy: Retain and apply it again"
            ));
        }
        observed.sight(now);
        observed
    }

    fn read_status(&mut self, status: &ClinicPhoneNumberStatus) -> Result<(), crate::domain::ParseError> {
        self.claim = status.claim.as_ref().map(Claim::read).transpose()?;
        if let (Some(number), Some(sid), Some(account)) =
            (&status.phone_number, &status.phone_number_sid, &status.account_sid)
        {
            self.held = Some(Held {
                number: E164::parse(number)?,
                sid: PhoneNumberSid::parse(sid)?,
                account: AccountSid::parse(account)?,
                // Without a word on its origin a number is treated as adopted: it can then never be released.
                origin: status.origin.unwrap_or(Origin::Adopted),
                acquired_at: status.acquired_at.as_ref().map(|t| t.0),
            });
        }
        let membership = status.messaging_service.as_ref().map(|service| {
            let since = service.joined_at.as_ref().map(|at| at.0);
            MessagingServiceSid::parse(&service.sid).map(|service| Membership { service, since })
        });
        self.membership = membership.transpose()?.filter(|_| self.held.is_some());
        Ok(())
    }

    /// Notes the first sight of the claim's present state: from here its window runs.
    pub fn sight(&mut self, now: Moment) {
        let Some(claim) = &self.claim else {
            self.memory.sight = None;
            return;
        };
        let state = claim.identity();
        if self.memory.sight.as_ref().is_none_or(|(seen, _)| *seen != state) {
            self.memory.sight = Some((state, now));
            self.memory.absences = 0;
            self.memory.absent_at = None;
        }
    }

    /// When everything that was sent for the present claim has either taken effect or never will.
    ///
    /// The window runs from this process's own first sight on its own clock, never from a time in status: another
    /// machine's clock may be wrong, and status may come from a backup.
    pub fn settled_at(&self) -> Moment {
        if !holds(Rule::SettleWindow) {
            return Moment::default();
        }
        let sent = self.claim.as_ref().is_some_and(|c| c.attempts > 0 || c.releasing > 0);
        let own = match &self.memory.sight {
            Some((_, first)) if sent => first.after(self.window),
            _ => Moment::default(),
        };
        own.max(self.memory.ledger_until.unwrap_or_default())
    }

    /// The account, once credentials were read and look right.
    pub fn account(&self) -> Option<&AccountSid> {
        match &self.credentials {
            CredentialsView::Present { account, .. } => Some(account),
            CredentialsView::Unread | CredentialsView::Missing(_) | CredentialsView::Malformed(_) => None,
        }
    }

    /// The fingerprint of the credentials in use.
    pub fn fingerprint(&self) -> Option<[u8; 32]> {
        match &self.credentials {
            CredentialsView::Present { fingerprint, .. } => Some(*fingerprint),
            CredentialsView::Unread | CredentialsView::Missing(_) | CredentialsView::Malformed(_) => None,
        }
    }

    /// The account's list, if it began after this moment and lacks nothing that it must have.
    pub fn list_after(&self, after: Moment) -> Option<&AccountList> {
        self.list.as_deref().filter(|l| l.started > after)
    }

    /// Whether a person asks, by annotation, for a look that was not taken yet.
    pub fn asked(&self, desired: &Desired) -> bool {
        desired.requested_at.is_some() && desired.requested_at != self.reported.requested_at
    }

    /// Whether a person's word that the lost number may be replaced counts: it was given when status said that it is lost.
    pub fn given_up(&self, desired: &Desired) -> bool {
        let Some(held) = &self.held else { return false };
        let ignored = self.reported.ignored_forget.as_deref() == Some(held.number.as_str());
        self.reported.lost && !(ignored && holds(Rule::WordAfterLoss)) && desired.forgets(held)
    }

    /// A person acted: what failed or was refused before may not be now. Forgotten for good and not for this pass alone, which
    /// may have to wait for something and be over before anything is tried again.
    pub fn heed(&mut self, desired: &Desired) {
        let edited = self.reported.generation != Some(desired.generation);
        if edited {
            self.memory.failures = 0;
        }
        if edited || self.asked(desired) {
            self.memory.repairs.clear();
            self.memory.rejoined.clear();
            self.memory.papers_failed = None;
            self.memory.refusal = None;
        }
    }

    /// Lists that began after this moment tell how the account is now: others' lists will do, so that many resources of one
    /// account need few, but none that has been lying about for long, none from before a person asked for a look, and none that
    /// has grown old in this pass, which may have stood still.
    pub fn recent(&self, desired: &Desired, now: Now) -> Moment {
        let recent = now.boot.before(RECENT);
        if self.asked(desired) { recent.max(self.pass_started) } else { recent }
    }

    /// Until when what is stamped now may be sent: soon, and on a list that is not much older than a recent one.
    pub fn deadline(&self, now: Now, send_within: Duration) -> Moment {
        let soon = now.boot.after(send_within);
        let list = self.list.as_ref().map(|list| list.started.after(RECENT).after(send_within));
        list.map_or(soon, |old| old.min(soon))
    }

    /// Folds in the account's list.
    pub fn learn_list(&mut self, list: Arc<AccountList>, lacks: Option<E164>) {
        self.accepted = true;
        self.list_lacks = lacks;
        if let Some(claim) = self.claim.as_ref().filter(|c| c.unsettled()) {
            let absent = self.list_lacks.is_none() && list.number(&claim.number).is_none();
            let fresh = list.started > self.settled_at() && self.memory.absent_at.is_none_or(|at| list.started > at);
            let fresh = fresh || !holds(Rule::FreshLookUp);
            if absent && fresh {
                self.memory.absences += 1;
                self.memory.absent_at = Some(list.started);
            } else if !absent {
                self.memory.absences = 0;
            }
        }
        self.list = Some(list);
    }

    /// Folds in whether an exact number is on offer: `found` is what a search for it gave.
    pub fn learn_offer(&mut self, number: E164, found: Vec<AvailableNumber>) {
        self.accepted = true;
        let offer = found.into_iter().find(|offer| offer.phone_number == number);
        self.on_offer = Some((number, offer));
    }

    /// Folds in what numbers of a country cost, or why that cannot be read.
    pub fn learn_prices(&mut self, country: CountryCode, view: PricesView) {
        self.accepted |= matches!(view, PricesView::Read(..));
        self.prices = Some((country, view));
    }

    /// Folds in what messages of a country's numbers cost, if it could be read: it is only shown.
    pub fn learn_message_prices(&mut self, country: CountryCode, prices: Option<MessagePrices>) {
        self.accepted |= prices.is_some();
        self.message_prices = Some((country, prices));
    }

    /// Folds in what is asked for before such numbers are sold, or why that cannot be read.
    pub fn learn_papers(&mut self, asked: regulatory::Asked, view: PapersView, now: Moment) {
        self.memory.papers_failed = matches!(view, PapersView::Unread(_)).then_some(now);
        self.accepted |= matches!(view, PapersView::Read(..));
        self.papers = Some((asked, view));
    }

    /// Folds in which numbers other resources claim, as far as the watch knows. What this resource withdrew in this pass is
    /// free again, unless another one has it.
    pub fn learn_claims(&mut self, claimed: impl IntoIterator<Item = E164>) {
        self.claimed = claimed.into_iter().collect();
        self.claims_noted = true;
    }

    /// Folds in a number that was read by its SID.
    pub fn learn_number(&mut self, number: Option<IncomingNumber>) {
        self.accepted = true;
        self.number_gone = number.is_none();
        self.memory.sid_missing = number.is_none();
        if number.is_some() {
            self.memory.lost_sightings = 0;
        }
        self.number = number;
    }

    /// Folds in a written stamp.
    pub fn learn_stamp(&mut self, claim: Claim, post: Post, now: Moment) {
        self.claim = Some(claim);
        self.sight(now);
        // Who was there before it may have been seen long ago: this pass may have stood still.
        self.owners = None;
        self.stamp = Some(StampView::Ready(post));
    }

    /// Folds in a written release stamp: what was seen before it is not enough any more.
    pub fn learn_release_stamp(&mut self) {
        self.release_stamped = true;
        self.number = None;
        // A CRD that was about to go may not have said so yet: discovery follows a moment behind.
        self.crd_stays = None;
    }

    /// Folds in the answer to what was sent.
    pub fn learn_answer(&mut self, answer: Result<IncomingNumber, Trouble>, desired: &Desired, now: Moment) {
        self.stamp = None;
        // What was seen before it was sent is not what there is now.
        self.number = None;
        if !holds(Rule::SentNeverYields) {
            self.rivals = None;
        }
        self.memory.answered_at = Some(now);
        let answer = if holds(Rule::AmbiguousIsNoRefusal) { answer } else { answer.map_err(broken::doubt_as_refusal) };
        match answer {
            Ok(number) => {
                self.accepted = true;
                self.number_gone = false;
                self.number = Some(number);
            }
            Err(trouble) => match trouble.meaning {
                Meaning::RefusedNumber | Meaning::RefusedOtherwise => {
                    self.claim = self.claim.as_ref().map(Claim::answered);
                    if let Some(refusal) = refusal::refusal_to_remember(desired, self.fingerprint(), &trouble, now) {
                        self.memory.refusal = Some(refusal);
                    }
                    self.refused = Some(trouble);
                }
                // Known not to have left: as good as answered. The stamp stays counted.
                Meaning::NotSent => {
                    self.claim = self.claim.as_ref().map(Claim::answered);
                    self.ambiguous = Some(trouble);
                }
                Meaning::Throttled | Meaning::Ambiguous | Meaning::Credentials => self.ambiguous = Some(trouble),
            },
        }
    }

    /// Folds in a call that failed; `until`: the account is not to be called before.
    pub fn learn_trouble(&mut self, trouble: Trouble, until: Option<Moment>) {
        self.trouble = Some((trouble, until));
    }

    /// Folds in a written status.
    pub fn learn_saved(&mut self, claim: Option<Claim>, held: Option<Held>, desired: &Desired, now: Moment) {
        if held != self.held {
            self.memory.recorded_at = held.as_ref().map(|_| now);
            self.memory.lost_sightings = 0;
            self.membership = None;
        }
        if claim != self.claim {
            // Whatever was yielded or withdrawn in this pass is not chosen again in it.
            if let Some(old) = self.claim.as_ref().filter(|c| c.announced()) {
                let stays = claim.as_ref().is_some_and(|c| c.stands() && c.number == old.number);
                self.claimed.extend((!stays).then(|| old.number.clone()));
            }
            // Every announcement is looked at anew, also one of a number that was announced before.
            if claim.as_ref().is_some_and(Claim::announced) && holds(Rule::AnnounceThenLook) {
                self.rivals = None;
                self.owners = None;
                self.memory.sight = None;
            }
            // Once, when it is given up: status is written again in later passes.
            if let Some(pause) = claim.as_ref().and_then(|c| refusal::pause_after_abandoning(desired, c, now)) {
                self.memory.refusal = Some(pause);
            }
        }
        self.claim = claim;
        self.held = held;
        if self.reported.generation != Some(desired.generation) {
            // What was said of an earlier spec is not said of this one.
            self.reported.service_refused = None;
        }
        self.reported.generation = Some(desired.generation);
        self.sight(now);
    }

    /// Folds in that an update of the number is about to be sent.
    pub fn learn_updating(&mut self, now: Moment) {
        // One that had no answer may still take effect, whatever becomes of this one.
        self.update_before = self.memory.update_sent;
        self.memory.update_sent = Some(now);
    }

    /// When everything that was sent to put the number into a Messaging Service has either taken effect or never will. Of what
    /// another process sent is known only that it may have.
    pub fn joins_settled_at(&self) -> Moment {
        let unseen = self.membership.as_ref().is_some_and(|membership| {
            membership.since.is_none() && self.memory.joining.as_ref() != Some(&membership.service)
        });
        let sent = self.memory.update_sent.into_iter().chain(unseen.then_some(self.memory.born));
        sent.map(|sent| sent.after(self.window)).max().unwrap_or_default()
    }

    /// Folds in a Messaging Service that was read, or why it cannot be had.
    pub fn learn_service(&mut self, sid: MessagingServiceSid, read: Result<MessagingService, Trouble>) {
        self.messaging.service = Some((sid, read));
    }

    /// What stands in status of this generation against the Messaging Service that it names.
    pub fn service_refused(&self, desired: &Desired) -> Option<&Situation> {
        let current = self.reported.generation == Some(desired.generation);
        self.reported.service_refused.as_ref().filter(|_| current)
    }

    /// What is known once this claim and this number are written.
    #[must_use]
    pub fn with(&self, claim: Option<Claim>, held: Option<Held>) -> Self {
        let mut after = self.clone();
        // Another number is in whatever service it is in.
        after.membership = after.membership.filter(|_| held == self.held);
        (after.claim, after.held) = (claim, held);
        after
    }

    /// Folds in which service was recorded; `repair`: the number is put back after somebody took it out.
    pub fn learn_membership(&mut self, membership: Option<Membership>, repair: bool, now: Moment) {
        self.memory.joining = membership.as_ref().map(|membership| membership.service.clone());
        self.membership = membership;
        if repair {
            self.memory.rejoined.push(now);
        }
    }

    /// Folds in whether the number is in the recorded service, of which somebody asked.
    pub fn learn_member(&mut self, member: bool) {
        self.messaging.member = Some(member);
    }

    /// Folds in that an update that was about to be sent is settled: not sent, not processed, or answered.
    pub fn learn_unsent(&mut self) {
        self.memory.update_sent = self.update_before;
    }

    /// Folds in what Twilio said to putting the number into a Messaging Service.
    pub fn learn_joined(&mut self, answer: Result<(), Trouble>) {
        self.learn_unsent();
        if answer.is_ok() {
            self.messaging.member = Some(true);
        }
        if answer.is_ok() && self.reach.service != Known::Off {
            // Whatever was read before; how far its registration is was not.
            if let Some((_, Ok(service))) = &self.messaging.service {
                self.reach.service = Known::Read(Some(service.clone()));
                self.reach.campaign = Known::Unread;
            }
        }
        self.messaging.joined = Some(answer);
    }

    /// Folds in what Twilio said to taking the number out of a Messaging Service.
    pub fn learn_left(&mut self, answer: Result<(), Trouble>) {
        self.learn_unsent();
        if answer.is_ok() && self.reach.service != Known::Off {
            self.reach.service = Known::Read(None);
        }
        self.messaging.left = Some(answer);
    }

    /// Folds in a completed update of the number.
    pub fn learn_update(&mut self, number: IncomingNumber, fields: &[(Field, String)], drift: bool, now: Moment) {
        self.accepted = true;
        self.updated = true;
        self.learn_unsent();
        self.number = Some(number);
        if drift {
            self.memory.repairs.extend(fields.iter().map(|(field, _)| (*field, now)));
        }
    }
}
