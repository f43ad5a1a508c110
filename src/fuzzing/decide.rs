//! Passes of a resource on findings that are chosen freely: the decision never fails, and what costs money stays behind a stamp.
//!
//! The findings are those that the client can give: all of one account, each number once. Beyond that nothing holds them
//! together, and the account is another one at every look. That nothing is bought twice in a world that makes sense is shown
//! in `plan::tests` and `controller::tests`.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use rust_decimal::Decimal;

use super::input::Choices;
use crate::api::FINALIZER;
use crate::api::v1alpha1::{ClaimOutcome, ClinicPhoneNumber, DeletionPolicy, Origin};
use crate::domain::{
    AccountSid, AvailableNumber, Bundle, BundleSid, Capabilities, Class, Currency, E164, HttpMethod, IncomingNumber,
    InstallationId, Meaning, MessagePrices, MessagingService, Moment, Now, NumberPrices, NumberType, Papers,
    PhoneNumberSid, Regulation, RegulationSid, Trouble,
};
use crate::plan::desired::Defaults;
use crate::plan::fuse::Admission;
use crate::plan::observed::{CredentialsView, PricesView, Rival, StampView};
use crate::plan::regulatory::PapersView;
use crate::plan::{
    AccountList, Claim, Desired, Held, Memory, ObjectKey, Observed, Plan, Post, Situation, Step, plan, remember, status,
};

const WINDOW: Duration = Duration::from_secs(120);
const PASSES: u8 = 4;
/// As many steps as the controller takes in one pass before it calls that a fault.
const TURNS: usize = 24;

struct Life<'a, 'c> {
    choices: &'a mut Choices<'c>,
    defaults: Defaults,
    object: ClinicPhoneNumber,
    desired: Desired,
    observed: Observed,
    now: Now,
    /// A number whose purchase was answered with success.
    bought: Option<E164>,
}

/// Lives with a resource for some passes.
pub(super) fn live(object: ClinicPhoneNumber, choices: &mut Choices<'_>) {
    let id = |text| InstallationId::parse(text).unwrap();
    let template = "https://hooks.example.com/{namespace}/{name}?key=canary";
    let defaults = Defaults {
        installation: id("prod"),
        previous_installation: choices.yes().then(|| id("before")),
        sms_webhook_url: choices.yes().then(|| template.to_owned()),
        observe_interval: Duration::from_secs(3600),
    };
    let wall = choices.one(&[Timestamp::from_second(1_800_000_000).unwrap(), Timestamp::MIN, Timestamp::MAX]);
    let now = Now { wall, boot: Moment::since_boot(Duration::from_secs(100_000)) };
    let desired = Desired::read(&object, &defaults);
    assert_eq!(desired, Desired::read(&object, &defaults));
    let memory = Memory { born: now.boot, ..Memory::default() };
    let mut life = Life { choices, defaults, object, desired, observed: Observed::default(), now, bought: None };
    let mut memory = Some(memory);
    for _ in 0..PASSES {
        let Some(kept) = memory else { return };
        memory = life.pass(kept);
        let pause = life.choices.one(&[1, 30, 130, 7200, 100_000]);
        life.wait(Duration::from_secs(pause));
    }
}

impl Life<'_, '_> {
    fn wait(&mut self, by: Duration) {
        self.now.boot = self.now.boot.after(by);
        self.now.wall = self.now.wall.saturating_add(by).unwrap_or(self.now.wall);
    }

    /// One pass, until it rests or the resource is let go; what the process remembers of it.
    fn pass(&mut self, memory: Memory) -> Option<Memory> {
        // A process that began anew remembers nothing.
        let memory = if self.choices.rarely() { Memory { born: self.now.boot, ..Memory::default() } } else { memory };
        self.desired = Desired::read(&self.object, &self.defaults);
        super::resource::fill_in(&self.desired);
        self.observed = Observed::begin(self.object.status.as_ref(), memory, self.now.boot, WINDOW);
        self.observed.heed(&self.desired);
        self.observed.stopping = self.choices.rarely();
        let mut turns = 0;
        while turns < TURNS {
            let decided = plan(&self.desired, &self.observed, self.now);
            assert_eq!(decided, plan(&self.desired, &self.observed, self.now), "one answer");
            self.wait(Duration::from_millis(100));
            let situation = match decided {
                Plan::Act { step, situation } => {
                    turns += usize::from(!matches!(step, Step::Search { .. }));
                    self.may(&step);
                    if !self.act(step, &situation) {
                        return None;
                    }
                    continue;
                }
                Plan::Rest { situation, .. } => situation,
                Plan::Blocked { situation, .. } => Some(situation),
                Plan::Done => return None,
            };
            let (claim, held) = (self.observed.claim.clone(), self.observed.held.clone());
            self.save(claim, held, situation.as_ref());
            if let Some(situation) = situation {
                remember(&self.desired, &mut self.observed, situation.kind, self.now);
            }
            return Some(self.observed.memory.clone());
        }
        panic!("{TURNS} steps in one pass and no end")
    }

    /// What has to hold before a step, whatever was found.
    fn may(&self, step: &Step) {
        let (desired, observed) = (&self.desired, &self.observed);
        let acts = || !desired.suspend && !desired.deleting && !observed.stopping && observed.corrupt.is_none();
        match step {
            Step::Post(post) => assert_eq!(observed.stamp, Some(StampView::Ready(post.clone()))),
            Step::Stamp { claim, post } => {
                let before = observed.claim.as_ref().expect("a stamp without an announcement");
                assert!(acts() && desired.finalizer && observed.held.is_none());
                assert_eq!(Some(&claim.account), observed.account());
                assert_eq!((&claim.number, claim.attempts), (&before.number, before.attempts.saturating_add(1)));
                assert!(desired.tags.contains(&claim.tag));
                if let Post::Buy(purchase) = post {
                    assert_eq!(purchase.phone_number, claim.number);
                    let list = observed.list.as_ref().expect("a purchase without a look");
                    assert!(list.number(&claim.number).is_none(), "nothing that is held is bought");
                    let given_up = self.bought.as_ref().is_none_or(|n| desired.forget.as_deref() == Some(n.as_str()));
                    assert!(given_up, "{:?} was bought before", self.bought);
                }
            }
            Step::Update { sid, .. } => {
                let seen = observed.number.as_ref().filter(|n| n.sid == *sid).expect("an update unseen");
                assert!(acts() && seen.mark().is_none_or(|mark| desired.is_mine(&mark)));
            }
            Step::StampRelease { .. } => {
                assert!(desired.deleting && desired.deletion == DeletionPolicy::Release && !observed.stopping);
                assert!(observed.settled_at() <= self.now.boot, "inside the window");
            }
            Step::Release { sid, number } => {
                let held = observed.held.as_ref().expect("a release of nothing");
                let seen = observed.number.as_ref().expect("a release unseen");
                assert!(desired.deleting && desired.deletion == DeletionPolicy::Release && observed.release_stamped);
                assert_eq!(desired.release_confirmation.as_deref(), Some(number.as_str()));
                assert_eq!((sid, held.origin, observed.crd_stays), (&held.sid, Origin::Purchased, Some(true)));
                assert_eq!((&seen.sid, &seen.phone_number, seen.origin.as_str()), (sid, number, "twilio"));
                assert!(seen.mark().is_some_and(|mark| desired.is_mine(&mark) && !mark.adopted));
            }
            Step::Join { service, .. } => {
                assert!(acts() && observed.membership.as_ref().is_some_and(|m| m.service == *service));
            }
            Step::Leave { service, .. } => {
                assert!(observed.membership.as_ref().is_some_and(|m| m.service == *service));
            }
            Step::ReadService { .. } | Step::ReadMembership { .. } | Step::SaveMembership { .. } => {}
            Step::RemoveFinalizer { .. } => assert!(desired.deleting),
            Step::AddFinalizer
            | Step::ReadSecret
            | Step::List { .. }
            | Step::GetNumber { .. }
            | Step::Search { .. }
            | Step::FindOffer { .. }
            | Step::ReadPrices { .. }
            | Step::ReadMessagePrices { .. }
            | Step::ReadPapers { .. }
            | Step::NoteClaims
            | Step::LookAtRivals { .. }
            | Step::LookAtOwners
            | Step::Save { .. }
            | Step::ReadDiscovery
            | Step::ReadLedger => {}
        }
    }

    /// Takes a step with a finding of choice; whether the resource is still there.
    fn act(&mut self, step: Step, situation: &Situation) -> bool {
        match step {
            Step::AddFinalizer => {
                self.object.metadata.finalizers.get_or_insert_default().push(FINALIZER.to_owned());
                self.desired = Desired::read(&self.object, &self.defaults);
            }
            Step::ReadSecret => {
                self.observed.credentials = match self.choices.of(8) {
                    1 => CredentialsView::Missing("no Secret".to_owned()),
                    2 => CredentialsView::Malformed("odd".to_owned()),
                    _ => CredentialsView::Present { account: self.account(), fingerprint: [self.choices.of(2); 32] },
                };
            }
            Step::List { after, .. } => match self.answer("ListIncomingPhoneNumber") {
                Err(trouble) => self.trouble(trouble),
                Ok(()) => {
                    let account = self.own();
                    let mut numbers: Vec<IncomingNumber> = Vec::new();
                    for _ in 0..self.choices.of(4) {
                        let number = self.incoming();
                        if !numbers.iter().any(|n| n.sid == number.sid || n.phone_number == number.phone_number) {
                            numbers.push(number);
                        }
                    }
                    let lacks = self.choices.rarely().then(|| self.number());
                    let list = AccountList::new(account, self.later(after), numbers);
                    self.observed.learn_list(Arc::new(list), lacks);
                }
            },
            Step::GetNumber { sid, .. } => match self.answer("FetchIncomingPhoneNumber") {
                Err(trouble) => self.trouble(trouble),
                Ok(()) => {
                    let number = self.choices.of(4) != 1;
                    let number = number.then(|| IncomingNumber { sid, ..self.incoming() });
                    self.observed.learn_number(number);
                }
            },
            Step::Search { index, .. } => match self.answer("ListAvailablePhoneNumberLocal") {
                Err(trouble) => self.trouble(trouble),
                Ok(()) => {
                    let offers = self.offers();
                    let known = self.observed.offers.len().max(index + 1);
                    self.observed.offers.resize(known, None);
                    self.observed.offers[index] = Some(offers);
                }
            },
            Step::FindOffer { number, .. } => match self.answer("ListAvailablePhoneNumberLocal") {
                Err(trouble) => self.trouble(trouble),
                Ok(()) => {
                    let mut offers = self.offers();
                    offers.extend(self.choices.yes().then(|| offer(number.clone())));
                    self.observed.learn_offer(number, offers);
                }
            },
            Step::ReadPrices { country, after } => {
                let view = match self.answer("FetchPhoneNumberCountry") {
                    Err(trouble) => PricesView::Unread(trouble, None),
                    Ok(()) => PricesView::Read(self.prices(), self.later(after)),
                };
                self.observed.learn_prices(country, view);
            }
            Step::ReadMessagePrices { country } => match self.answer("FetchMessagingCountry") {
                Err(_) => self.observed.learn_message_prices(country, None),
                Ok(()) => {
                    let usd = Currency::parse("USD").unwrap();
                    let none = MessagePrices::new(usd, Vec::new(), Vec::new());
                    self.observed.learn_message_prices(country, Some(none));
                }
            },
            Step::ReadPapers { country, kind, bundle } => {
                let view = match self.answer("ListRegulation") {
                    Err(trouble) => PapersView::Unread(trouble),
                    Ok(()) => PapersView::Read(self.papers(bundle.as_ref())),
                };
                self.observed.learn_papers((country, kind, bundle), view, self.now.boot);
            }
            Step::NoteClaims => {
                let claimed = self.choices.rarely().then(|| self.number());
                self.observed.learn_claims(claimed);
            }
            Step::LookAtRivals { number } => {
                let name = self.choices.one(&["", "0", "zz"]).to_owned();
                let key = ObjectKey { namespace: self.desired.key.namespace.clone(), name };
                let rival = self.choices.of(4) == 1 && key != self.desired.key;
                let rivals = rival.then(|| Rival { key, sent: self.choices.yes() });
                self.observed.rivals = Some((number, rivals.into_iter().collect()));
            }
            Step::LookAtOwners => {
                let other = self.defaults.installation.tag("clinic", "other");
                self.observed.owners = Some(self.choices.yes().then_some(other).into_iter().collect());
            }
            Step::Save { claim, held, .. } => self.save(claim, held, Some(situation)),
            Step::Stamp { claim, post } => self.stamp(claim, post, situation),
            Step::Post(post) => self.post(&post),
            Step::Update { sid, fields, drift } => {
                self.observed.learn_updating(self.now.boot);
                match self.answer("UpdateIncomingPhoneNumber") {
                    Err(trouble) => self.trouble(trouble),
                    Ok(()) => {
                        let number = IncomingNumber { sid, ..self.incoming() };
                        self.observed.learn_update(number, &fields, drift, self.now.boot);
                    }
                }
            }
            Step::ReadService { service } => {
                if let Some(read) = self.told("FetchService") {
                    let read = read.map(|()| MessagingService {
                        sid: service.clone(),
                        name: "reminders".to_owned(),
                        inbound_url: self.choices.one(&["", "https://hooks.example.com/sms", "odd"]).to_owned(),
                        inbound_method: HttpMethod::POST,
                        on_number: self.choices.yes(),
                    });
                    self.observed.learn_service(service, read);
                }
            }
            Step::SaveMembership { membership, repair, .. } => {
                self.observed.membership.clone_from(&membership);
                let (claim, held) = (self.observed.claim.clone(), self.observed.held.clone());
                self.save(claim, held, Some(situation));
                self.observed.learn_membership(membership, repair, self.now.boot);
            }
            Step::ReadMembership { .. } => match self.answer("FetchPhoneNumber") {
                Err(trouble) => self.trouble(trouble),
                Ok(()) => self.observed.learn_member(self.choices.yes()),
            },
            Step::Join { .. } => {
                self.observed.learn_updating(self.now.boot);
                if let Some(joined) = self.told("CreatePhoneNumber") {
                    self.observed.learn_joined(joined);
                }
            }
            Step::Leave { .. } => {
                self.observed.learn_updating(self.now.boot);
                if let Some(left) = self.told("DeletePhoneNumber") {
                    self.observed.learn_left(left);
                }
            }
            Step::ReadDiscovery | Step::ReadLedger if self.choices.rarely() => self.observed.unread = Some("something"),
            Step::ReadDiscovery => self.observed.crd_stays = Some(self.choices.of(4) != 1),
            Step::ReadLedger => {
                self.observed.memory.ledger_until = self.choices.rarely().then(|| self.now.boot.after(WINDOW));
                self.observed.ledger_read = true;
            }
            Step::StampRelease { claim } => {
                let held = self.observed.held.clone();
                self.save(Some(claim), held, Some(situation));
                self.observed.learn_release_stamp();
            }
            Step::Release { .. } => match self.answer("DeleteIncomingPhoneNumber") {
                Err(trouble) => self.trouble(trouble),
                Ok(()) if self.choices.of(4) == 1 => self.observed.learn_number(None),
                Ok(()) => self.observed.released = true,
            },
            Step::RemoveFinalizer { .. } => return false,
        }
        true
    }

    /// Writes status: an open claim is not dropped, and what is written reads back.
    fn save(&mut self, claim: Option<Claim>, held: Option<Held>, situation: Option<&Situation>) {
        let after = self.observed.with(claim.clone(), held.clone());
        let old = self.object.status.clone().unwrap_or_default();
        let new = status::render(&old, &self.desired, &after, situation, self.now);
        assert_eq!(new, status::render(&new, &self.desired, &after, situation, self.now), "the same again is the same");
        // The rule that the API server holds every write to.
        if let Some(open) = old.claim.as_ref().filter(|c| c.attempts > 0 && c.outcome == ClaimOutcome::Unknown) {
            let kept = new.claim.as_ref().is_some_and(|c| {
                E164::parse(&c.phone_number) == E164::parse(&open.phone_number) && c.attempts >= open.attempts
            });
            assert!(kept, "an open claim was dropped: {:?}", new.claim);
        }
        if after.corrupt.is_some() {
            assert_eq!((&new.claim, &new.phone_number), (&old.claim, &old.phone_number), "what cannot be read stays");
        } else {
            let back = Observed::begin(Some(&new), Memory::default(), self.now.boot, WINDOW);
            let most = |claim: &Claim| Claim { attempts: claim.attempts.min(i32::MAX.unsigned_abs()), ..claim.clone() };
            assert_eq!((back.corrupt, back.claim, back.held), (None, claim.as_ref().map(most), held.clone()));
        }
        self.object.status = Some(new);
        let desired = self.desired.clone();
        self.observed.learn_saved(claim, held, &desired, self.now.boot);
    }

    fn stamp(&mut self, claim: Claim, post: Post, situation: &Situation) {
        let later = self.now.boot.after(WINDOW);
        match self.choices.of(8) {
            1 => self.observed.stamp = Some(StampView::Withheld(Admission::FuseBlown(later))),
            2 => {
                self.observed.memory.ledger_until = Some(later);
                self.observed.stamp = Some(StampView::Withheld(Admission::Unsettled(later)));
            }
            _ => {
                self.save(Some(claim.clone()), None, Some(situation));
                self.observed.learn_stamp(claim, post, self.now.boot);
            }
        }
    }

    fn post(&mut self, post: &Post) {
        let (operation, sid) = match post {
            Post::Buy(_) => ("CreateIncomingPhoneNumber", None),
            Post::Adopt { sid, .. } => ("UpdateIncomingPhoneNumber", Some(sid.clone())),
        };
        let answer = self.answer(operation).map(|()| {
            let mut got = self.incoming();
            got.sid = sid.unwrap_or(got.sid);
            if let Post::Buy(purchase) = post {
                got.phone_number = purchase.phone_number.clone();
                got.friendly_name.clone_from(&purchase.setup.friendly_name);
            }
            got
        });
        if let (Post::Buy(purchase), Ok(_)) = (post, &answer) {
            self.bought = Some(purchase.phone_number.clone());
        }
        let desired = self.desired.clone();
        self.observed.learn_answer(answer, &desired, self.now.boot);
    }

    /// A call whose refusal is an answer.
    fn told(&mut self, operation: &'static str) -> Option<Result<(), Trouble>> {
        match self.answer(operation) {
            Err(trouble) if !matches!(trouble.meaning, Meaning::RefusedNumber | Meaning::RefusedOtherwise) => {
                self.trouble(trouble);
                None
            }
            answer => Some(answer),
        }
    }

    fn trouble(&mut self, trouble: Trouble) {
        let until = self.choices.yes().then(|| self.now.boot.after(Duration::from_secs(60)));
        self.observed.learn_trouble(trouble, until);
    }

    /// How a call ends: mostly well.
    fn answer(&mut self, operation: &'static str) -> Result<(), Trouble> {
        const MEANINGS: [(Meaning, Class); 10] = [
            (Meaning::NotSent, Class::Unavailable),
            (Meaning::Throttled, Class::RateLimited),
            (Meaning::Ambiguous, Class::Unavailable),
            (Meaning::RefusedNumber, Class::NumberUnavailable),
            (Meaning::RefusedOtherwise, Class::RegulatoryDataRequired),
            (Meaning::RefusedOtherwise, Class::AccountLimited),
            (Meaning::RefusedOtherwise, Class::InvalidRequest),
            (Meaning::RefusedOtherwise, Class::NotFound),
            (Meaning::Credentials, Class::CredentialsRejected),
            (Meaning::Credentials, Class::AccountSuspended),
        ];
        if self.choices.of(4) != 1 {
            return Ok(());
        }
        let (meaning, class) = self.choices.one(&MEANINGS);
        let retry_after = (meaning == Meaning::Throttled).then_some(Duration::from_secs(2));
        let (detail, remedy) = (format!("{class:?}"), String::new());
        Err(Trouble {
            operation,
            meaning,
            class,
            http_status: None,
            code: None,
            detail,
            remedy,
            retry_after,
            request_id: None,
        })
    }

    /// A moment that is later than `after`, as a look that was asked for has.
    fn later(&self, after: Moment) -> Moment {
        self.now.boot.max(after.after(Duration::from_nanos(1)))
    }

    /// The account of the credentials.
    fn own(&self) -> AccountSid {
        self.observed.account().cloned().expect("a call of Twilio without credentials")
    }

    /// Any account: mostly the one that the resource speaks of.
    fn account(&mut self) -> AccountSid {
        let other = |n: u8| AccountSid::parse(&format!("AC{n:032x}")).unwrap();
        let (claim, held) = (&self.observed.claim, &self.observed.held);
        let known = claim.as_ref().map(|c| &c.account).or(held.as_ref().map(|h| &h.account)).cloned();
        match (self.choices.of(8), known) {
            (1, _) => other(2),
            (_, Some(known)) => known,
            (_, None) => other(1),
        }
    }

    /// Any number: one that the resource speaks of, or another.
    fn number(&mut self) -> E164 {
        let exact = self.desired.wish.as_ref().ok().and_then(|wish| wish.exact.clone());
        let known = [
            self.observed.claim.as_ref().map(|c| c.number.clone()),
            self.observed.held.as_ref().map(|h| h.number.clone()),
            exact,
        ];
        let choice = self.choices.of(6);
        let known = known.into_iter().nth(usize::from(choice)).flatten();
        known.unwrap_or_else(|| E164::parse(&format!("+1418555000{choice}")).unwrap())
    }

    fn sid(&mut self) -> PhoneNumberSid {
        let choice = self.choices.of(4);
        match &self.observed.held {
            Some(held) if choice == 0 => held.sid.clone(),
            _ => PhoneNumberSid::parse(&format!("PN{choice:032x}")).unwrap(),
        }
    }

    fn offers(&mut self) -> Vec<AvailableNumber> {
        (0..self.choices.of(4)).map(|_| offer(self.number())).collect()
    }

    fn papers(&mut self, named: Option<&BundleSid>) -> Papers {
        let regulation = |n: u8| RegulationSid::parse(&format!("RN{n:032x}")).unwrap();
        let asks = self.choices.yes();
        let regulations: Vec<_> =
            asks.then(|| Regulation { sid: regulation(1), name: "odd".to_owned(), asks }).into_iter().collect();
        let bundle = named.filter(|_| asks && self.choices.yes()).map(|sid| Bundle {
            sid: sid.clone(),
            name: "ours".to_owned(),
            regulation: regulation(self.choices.of(3)).to_string(),
            status: self.choices.one(&["twilio-approved", "draft", ""]).to_owned(),
            valid_until: self.choices.yes().then_some(self.now.wall),
        });
        Papers { regulations, bundle, approved: Vec::new() }
    }

    fn prices(&mut self) -> NumberPrices {
        let cents = self.choices.one(&[0, 100, 115, 1_000_000]);
        let kinds = NumberType::ALL;
        let monthly = kinds.into_iter().filter(|_| self.choices.of(8) != 1).map(|kind| (kind, Decimal::new(cents, 2)));
        let monthly = monthly.collect();
        NumberPrices::new(Currency::parse(self.choices.one(&["USD", "USD", "CAD"])).unwrap(), monthly)
    }

    /// A number that the account holds.
    fn incoming(&mut self) -> IncomingNumber {
        let tag = self.defaults.installation.mark("clinic", "other", false);
        let label = match self.choices.of(6) {
            0 | 1 => format!("{} x", self.desired.mark(false)),
            2 => format!("{} x", self.desired.mark(true)),
            3 => format!("{tag} x"),
            4 => "[cpn:abcde.abcdefghijk] x".to_owned(),
            _ => String::new(),
        };
        let wish = self.desired.wish.as_ref().ok();
        let url = wish.map(|wish| wish.sms.url.clone()).filter(|_| self.choices.yes()).unwrap_or_default();
        IncomingNumber {
            sid: self.sid(),
            account: self.own(),
            phone_number: self.number(),
            friendly_name: label,
            capabilities: Capabilities { sms: !self.choices.rarely(), voice: true, mms: false, fax: false },
            number_type: None,
            origin: self.choices.one(&["twilio", "twilio", "hosted", ""]).to_owned(),
            date_created: self.choices.one(&[None, Some(self.now.wall), Some(Timestamp::MIN), Some(Timestamp::MAX)]),
            sms_url: url,
            sms_method: HttpMethod::POST,
            sms_fallback_url: String::new(),
            sms_fallback_method: HttpMethod::POST,
            sms_application_sid: self.choices.one(&["", "", "AP"]).to_owned(),
            voice_url: String::new(),
            voice_method: HttpMethod::POST,
            voice_fallback_url: String::new(),
            voice_fallback_method: HttpMethod::POST,
            voice_application_sid: String::new(),
            trunk_sid: String::new(),
            emergency_address_sid: self.choices.one(&["", "", "AD"]).to_owned(),
        }
    }
}

fn offer(number: E164) -> AvailableNumber {
    AvailableNumber {
        friendly_name: number.national(),
        phone_number: number,
        locality: Some("Québec".to_owned()),
        region: Some("QC".to_owned()),
        country: None,
        capabilities: Capabilities { sms: true, ..Capabilities::default() },
        address_requirements: "none".to_owned(),
    }
}
