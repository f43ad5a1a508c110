//! One pass, turn by turn, as `controller::reconcile` and `controller::execute` run it.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Unit;
use rust_decimal::Decimal;

use super::twilio::{CallFault, Effect};
use super::world::{Fault, LATENCY, SEND_WITHIN, WINDOW, World};
use crate::api::v1alpha1::{ClaimOutcome, ClinicPhoneNumber};
use crate::domain::{
    AccountSid, Class, CountryCode, Currency, E164, Field, IncomingNumber, Mark, Meaning, MessagePrices, Moment,
    NumberType, Trouble,
};
use crate::plan::fuse::{self, Admission, Entry, Purpose};
use crate::plan::observed::{CredentialsView, PricesView, Rival, StampView};
use crate::plan::reach::{Known, Reach};
use crate::plan::regulatory::PapersView;
use crate::plan::status;
use crate::plan::{
    self, AccountList, Claim, Desired, Held, Kind, Memory, ObjectKey, Observed, Plan, Post, Situation, Step, plan,
};

const TURNS: usize = 24;

/// How a turn ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    On,
    Ended(Moment),
    Gone,
}

/// Why a turn could not be finished.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    Conflict,
    Gone,
    Error,
    Crash,
}

impl From<&'static str> for Stop {
    fn from(why: &'static str) -> Self {
        match why {
            "conflict" => Self::Conflict,
            "gone" => Self::Gone,
            _ => Self::Error,
        }
    }
}

pub struct Pass {
    pub process: usize,
    pub key: ObjectKey,
    pub object: ClinicPhoneNumber,
    pub desired: Desired,
    pub observed: Observed,
    stamped: Option<(Moment, E164)>,
    release: Option<(Moment, E164)>,
    turns: usize,
    conflicts: usize,
    was_suspect: bool,
    pub last: Option<Kind>,
}

/// A short name for traces and for tests of the order of steps.
pub fn name(step: &Step) -> &'static str {
    match step {
        Step::AddFinalizer => "finalizer",
        Step::ReadSecret => "secret",
        Step::List { .. } => "list",
        Step::GetNumber { .. } => "get",
        Step::Search { .. } => "search",
        Step::FindOffer { .. } => "offer",
        Step::ReadPrices { .. } => "prices",
        Step::ReadMessagePrices { .. } => "message prices",
        Step::ReadPapers { .. } => "papers",
        Step::NoteClaims => "claims",
        Step::LookAtRivals { .. } => "rivals",
        Step::LookAtOwners => "owners",
        Step::Save { claim, held, .. } => match (claim, held) {
            (Some(claim), None) if claim.announced() => "announce",
            (_, Some(_)) => "record",
            _ => "clear",
        },
        Step::Stamp { .. } => "stamp",
        Step::Post(_) => "post",
        Step::Update { .. } => "update",
        Step::ReadService { .. } => "service",
        Step::SaveMembership { .. } => "membership",
        Step::ReadMembership { .. } => "member",
        Step::Join { .. } => "join",
        Step::Leave { .. } => "leave",
        Step::ReadDiscovery => "discovery",
        Step::ReadLedger => "ledger",
        Step::StampRelease { .. } => "stamp release",
        Step::Release { .. } => "release",
        Step::RemoveFinalizer { .. } => "let go",
    }
}

impl Pass {
    pub fn begin(world: &mut World, process: usize, key: &ObjectKey) -> Option<Self> {
        let object = world.objects.get(key)?.clone();
        let uid = object.metadata.uid.clone().unwrap();
        let born = world.now.boot;
        let known = world.processes[process].memories.entry(key.clone()).or_default();
        if known.0 != uid {
            *known = (uid, Memory { born, ..Memory::default() });
        }
        let memory = known.1.clone();
        Some(Self::with(world, process, key, object, memory))
    }

    fn with(world: &mut World, process: usize, key: &ObjectKey, object: ClinicPhoneNumber, memory: Memory) -> Self {
        let desired = Desired::read(&object, &world.defaults);
        let was_suspect = memory.suspect;
        let mut observed = Observed::begin(object.status.as_ref(), memory, world.now.boot, WINDOW);
        observed.stopping = world.processes[process].stopping;
        observed.reach = Reach::off();
        if let Some(held) = observed.held.as_ref().filter(|_| world.reads_services) {
            let twilio = &world.twilio;
            let service = twilio.members.get(&held.sid).and_then(|sid| twilio.services.get(sid).cloned());
            observed.reach.service = Known::Read(service);
        }
        observed.heed(&desired);
        let reserved = &mut world.processes[process].reserved;
        match observed.claim.as_ref().filter(|c| c.stands()) {
            Some(claim) => drop(reserve(reserved, &claim.number, key)),
            None => reserved.retain(|_, holder| holder != key),
        }
        Self {
            process,
            key: key.clone(),
            object,
            desired,
            observed,
            stamped: None,
            release: None,
            turns: 0,
            conflicts: 0,
            was_suspect,
            last: None,
        }
    }

    fn again(&mut self, world: &mut World, object: ClinicPhoneNumber) {
        let old = std::mem::take(&mut self.observed);
        let mut next = Self::with(world, self.process, &self.key, object, old.memory.clone());
        let same = |a: &Claim, b: &Claim| (&a.number, a.attempts, &a.account) == (&b.number, b.attempts, &b.account);
        if let (Some(sent), Some(claim)) = (old.claim, &next.observed.claim)
            && same(&sent, claim)
        {
            next.observed.claim = Some(Claim { unanswered: sent.unanswered.min(claim.unanswered), ..claim.clone() });
            next.observed.refused = old.refused;
            next.observed.ambiguous = old.ambiguous;
            next.observed.number = old.number;
        }
        next.conflicts = self.conflicts + 1;
        *self = next;
    }

    fn keep_memory(&self, world: &mut World) {
        let uid = self.object.metadata.uid.clone().unwrap();
        let known = world.processes[self.process].memories.get(&self.key);
        let suspect = known.is_some_and(|k| k.1.suspect) && !self.was_suspect;
        let mut memory = self.observed.memory.clone();
        memory.suspect |= suspect;
        world.processes[self.process].memories.insert(self.key.clone(), (uid, memory));
    }

    /// Decides once and does what was decided.
    pub fn turn(&mut self, world: &mut World) -> Turn {
        self.observed.stopping |= world.processes[self.process].stopping;
        self.turns += 1;
        if self.turns > TURNS {
            world.violations.push(format!("{}: more than {TURNS} turns in one pass", self.key));
            self.keep_memory(world);
            return Turn::Ended(world.now.boot.after(Duration::from_secs(1)));
        }
        let plan = plan(&self.desired, &self.observed, world.now);
        self.show(world, &plan);
        let result = match plan {
            Plan::Act { step, situation } => self.act(world, step, &situation),
            Plan::Rest { until, situation } => self.finish(world, until, situation.as_ref()).map(Turn::Ended),
            Plan::Blocked { probe, situation } => self.finish(world, probe, Some(&situation)).map(Turn::Ended),
            Plan::Done => Ok(Turn::Gone),
        };
        match result {
            Ok(Turn::On) => Turn::On,
            Ok(Turn::Ended(until)) => {
                self.keep_memory(world);
                Turn::Ended(until)
            }
            Ok(Turn::Gone) | Err(Stop::Gone) => {
                world.processes[self.process].memories.remove(&self.key);
                world.processes[self.process].reserved.retain(|_, holder| *holder != self.key);
                Turn::Gone
            }
            Err(Stop::Conflict) if self.conflicts < 6 => match world.objects.get(&self.key).cloned() {
                Some(object) => {
                    self.again(world, object);
                    Turn::On
                }
                None => Turn::Gone,
            },
            Err(Stop::Conflict | Stop::Error) => {
                let failures = self.observed.memory.failures;
                self.observed.memory.failures += 1;
                self.keep_memory(world);
                let delay = plan::backoff(failures, Duration::from_millis(250), Duration::from_secs(30), 0);
                Turn::Ended(world.now.boot.after(delay))
            }
            Err(Stop::Crash) => {
                restart(world, self.process);
                Turn::Ended(world.now.boot)
            }
        }
    }

    /// What the object would show in this situation.
    fn show(&self, world: &mut World, plan: &Plan) {
        let situation = match plan {
            Plan::Act { situation, .. } | Plan::Blocked { situation, .. } => situation,
            Plan::Rest { situation: Some(situation), .. } => situation,
            Plan::Rest { situation: None, .. } | Plan::Done => return,
        };
        let old = self.object.status.clone().unwrap_or_default();
        let mut shown = self.object.clone();
        shown.status = Some(status::render(&old, &self.desired, &self.observed, Some(situation), world.now));
        world.seen.entry(situation.kind).or_insert(shown);
    }

    fn finish(&mut self, world: &mut World, until: Moment, situation: Option<&Situation>) -> Result<Moment, Stop> {
        let (claim, held) = (self.observed.claim.clone(), self.observed.held.clone());
        self.save(world, claim, held, situation, None)?;
        if let Some(situation) = situation {
            plan::remember(&self.desired, &mut self.observed, situation.kind, world.now);
            let calm = matches!(situation.kind, Kind::Available | Kind::Suspended | Kind::AwaitingApproval);
            self.observed.memory.failures = if calm { 0 } else { self.observed.memory.failures.saturating_add(1) };
            self.last = Some(situation.kind);
        }
        Ok(until)
    }

    fn act(&mut self, world: &mut World, step: Step, situation: &Situation) -> Result<Turn, Stop> {
        let fault = world.faults.get(&world.step).copied();
        world.log.push(format!(
            "{} #{} p{} {} {}{}",
            world.now.boot.since(Moment::since_boot(Duration::from_secs(100_000))).as_secs_f32(),
            world.step,
            self.process,
            self.key.name,
            name(&step),
            fault.map(|f| format!(" !! {f:?}")).unwrap_or_default()
        ));
        world.step += 1;
        world.advance(LATENCY);
        match fault {
            Some(Fault::RestartBefore) => return Err(Stop::Crash),
            Some(Fault::Conflict) => world.touch(&self.key),
            Some(Fault::Second) => {
                // Its own steps are not counted: they meet no faults.
                let faults = std::mem::take(&mut world.faults);
                let step = world.step;
                run(world, 1, &self.key.clone());
                world.step = step;
                world.faults = faults;
            }
            Some(Fault::Suspended) => world.advance(WINDOW + Duration::from_secs(60)),
            _ => {}
        }
        let flow = self.execute(world, step, situation, fault);
        world.advance(LATENCY);
        if fault == Some(Fault::RestartAfter) {
            return Err(Stop::Crash);
        }
        flow
    }

    fn execute(
        &mut self,
        world: &mut World,
        step: Step,
        situation: &Situation,
        fault: Option<Fault>,
    ) -> Result<Turn, Stop> {
        let call = match fault {
            Some(Fault::Call(fault)) => Some(fault),
            _ => None,
        };
        match step {
            Step::AddFinalizer => self.finalizer(world, true, fault)?,
            Step::ReadSecret => {
                self.observed.credentials = world
                    .secrets
                    .get(&self.key)
                    .cloned()
                    .unwrap_or(CredentialsView::Missing("Secret twilio does not exist".into()));
            }
            Step::List { after, .. } => self.list(world, after, call),
            Step::GetNumber { sid, .. } => {
                let answer = self.gated(world, "FetchIncomingPhoneNumber", call, |world, _| {
                    let now = world.now.boot;
                    let known = world.twilio.held.get(&sid).filter(|s| s.listed <= now && !world.twilio.unknown_sids);
                    Ok(known.map(|s| s.number.clone()))
                });
                if let Some(number) = answer {
                    self.observed.learn_number(number);
                }
            }
            Step::Search { index, .. } => {
                let offers =
                    self.gated(world, "ListAvailablePhoneNumberLocal", call, |world, _| Ok(world.twilio.search()));
                if let Some(offers) = offers {
                    let reserved = &world.processes[self.process].reserved;
                    let taken = |n: &&E164| reserved.get(*n).is_some_and(|holder| *holder != self.key);
                    self.observed.claimed.extend(offers.iter().map(|o| &o.phone_number).filter(taken).cloned());
                    self.observed.offers.resize(self.observed.offers.len().max(index + 1), None);
                    self.observed.offers[index] = Some(offers);
                }
            }
            Step::FindOffer { number, .. } => {
                let offers =
                    self.gated(world, "ListAvailablePhoneNumberLocal", call, |world, _| Ok(world.twilio.search()));
                if let Some(offers) = offers {
                    self.observed.learn_offer(number, offers);
                }
            }
            Step::ReadPrices { country, after } => self.prices(world, country, after, call),
            Step::NoteClaims => {
                let others = world.objects.iter().filter(|(key, _)| **key != self.key);
                let claims = others.filter_map(|(_, other)| other.status.as_ref()?.claim.as_ref());
                let stands =
                    |c: &&crate::api::v1alpha1::Claim| matches!(c.outcome, ClaimOutcome::Unknown | ClaimOutcome::Held);
                self.observed.learn_claims(claims.filter(stands).map(|c| E164::parse(&c.phone_number).unwrap()));
            }
            Step::LookAtRivals { number } => self.rivals(world, number),
            Step::LookAtOwners => {
                let ids = || std::iter::once(&world.defaults.installation).chain(&world.defaults.previous_installation);
                let others = world.objects.keys().filter(|k| **k != self.key);
                let owners = others.flat_map(|k| ids().map(|id| id.tag(&k.namespace, &k.name)));
                self.observed.owners = Some(owners.collect());
            }
            Step::Save { claim, held, .. } => {
                if let Some(claim) = claim.as_ref().filter(|c| c.announced()) {
                    let reserved = &mut world.processes[self.process].reserved;
                    if !reserve(reserved, &claim.number, &self.key) {
                        self.observed.claimed.insert(claim.number.clone());
                        return Ok(Turn::On);
                    }
                    let exact = self.observed.on_offer.iter().filter_map(|(_, offer)| offer.as_ref());
                    let offers = self.observed.offers.iter().flatten().flatten().chain(exact);
                    self.observed.place = offers.into_iter().find(|o| o.phone_number == claim.number).cloned();
                }
                self.save(world, claim, held, Some(situation), fault)?;
            }
            Step::Stamp { claim, post } => self.stamp(world, claim, post, situation, fault)?,
            Step::Post(post) => self.post(world, &post, call),
            Step::Update { sid, fields, drift } => {
                self.guard(world, &sid, &fields);
                self.observed.learn_updating(world.now.boot);
                let answer = self.gated(world, "UpdateIncomingPhoneNumber", call, |world, fault| {
                    effect(world, &Effect::Update(sid.clone(), fields.clone()), "UpdateIncomingPhoneNumber", fault)
                });
                if let Some(number) = answer {
                    self.observed.learn_update(number, &fields, drift, world.now.boot);
                }
            }
            Step::ReadMessagePrices { country } => {
                let told = match self.closed(world) {
                    Some(_) => None,
                    None => {
                        let result = send(world, "FetchMessagingCountry", call, |_, _| {
                            let each = || vec![(NumberType::Local, Decimal::new(75, 4))];
                            Ok(MessagePrices::new(Currency::parse("USD").unwrap(), each(), each()))
                        });
                        result.ok()
                    }
                };
                self.observed.learn_message_prices(country, told);
            }
            Step::ReadPapers { country, kind, bundle } => {
                if let Some((trouble, until)) = self.closed(world) {
                    self.observed.learn_trouble(trouble, Some(until));
                    return Ok(Turn::On);
                }
                let result = send(world, "ListRegulation", call, |world, _| Ok(world.twilio.papers.clone()));
                let view = result.map_or_else(PapersView::Unread, PapersView::Read);
                self.observed.learn_papers((country, kind, bundle), view, world.now.boot);
            }
            Step::ReadService { service } => {
                let read = self.told(world, "FetchService", call, |world| {
                    let none = || super::twilio::trouble("FetchService", Meaning::RefusedOtherwise, Class::NotFound);
                    world.twilio.services.get(&service).cloned().ok_or_else(none)
                });
                if let Some(read) = read {
                    self.observed.learn_service(service, read);
                }
            }
            Step::SaveMembership { membership, repair, .. } => {
                self.observed.membership.clone_from(&membership);
                let (claim, held) = (self.observed.claim.clone(), self.observed.held.clone());
                self.save(world, claim, held, Some(situation), fault)?;
                self.observed.learn_membership(membership, repair, world.now.boot);
            }
            Step::ReadMembership { service, sid } => {
                let read = self.gated(world, "FetchPhoneNumber", call, |world, _| {
                    Ok(world.twilio.members.get(&sid) == Some(&service))
                });
                if let Some(member) = read {
                    self.observed.learn_member(member);
                }
            }
            Step::Join { service, sid } => {
                self.guard(world, &sid, &[]);
                self.observed.learn_updating(world.now.boot);
                let joined = self.told(world, "CreatePhoneNumber", call, |world| world.twilio.join(&service, &sid));
                if let Some(joined) = joined {
                    self.observed.learn_joined(joined);
                }
            }
            Step::Leave { service, sid } => {
                self.observed.learn_updating(world.now.boot);
                let leave = |world: &mut World| world.twilio.leave(&service, &sid);
                let left = if self.desired.deleting && self.closed(world).is_none() {
                    Some(send(world, "DeletePhoneNumber", call, |world, _| leave(world)))
                } else {
                    self.told(world, "DeletePhoneNumber", call, leave)
                };
                if let Some(left) = left {
                    self.observed.learn_left(left);
                }
            }
            Step::ReadDiscovery | Step::ReadLedger if world.unread.is_some() => self.observed.unread = world.unread,
            Step::ReadDiscovery => self.observed.crd_stays = Some(world.crd_stays),
            Step::ReadLedger => {
                see(world, self.process);
                let sights = &world.processes[self.process].sights;
                let until = world
                    .ledger
                    .iter()
                    .filter(|e| self.desired.tags.contains(&e.tag))
                    .map(|e| sights[&(e.tag.clone(), e.number.clone(), e.at)].after(WINDOW))
                    .max();
                self.observed.memory.ledger_until = until.max(self.observed.memory.ledger_until);
                self.observed.ledger_read = true;
            }
            Step::StampRelease { claim } => {
                let deadline = world.now.boot.after(SEND_WITHIN);
                let (held, number) = (self.observed.held.clone(), claim.number.clone());
                self.save(world, Some(claim), held, Some(situation), fault)?;
                self.observed.learn_release_stamp();
                self.release = Some((deadline, number));
            }
            Step::Release { sid, number } => {
                let (deadline, stamped) = self.release.take().expect("a release without a stamp");
                assert_eq!(stamped, number, "stamped for another number");
                if !world.may_release.contains(&number) {
                    world.violations.push(format!("{number} is being released, and nobody asked for it"));
                }
                let operation = "DeleteIncomingPhoneNumber";
                let call = if world.now.boot >= deadline { Some(CallFault::NotSent) } else { call };
                let answer = self.gated(world, operation, call, |world, fault| {
                    match effect(world, &Effect::Release(sid.clone()), operation, fault) {
                        Ok(_) => Ok(true),
                        Err(trouble) if trouble.class == Class::NotFound => Ok(false),
                        Err(trouble) => Err(trouble),
                    }
                });
                match answer {
                    Some(true) => self.observed.released = true,
                    Some(false) => self.observed.learn_number(None),
                    None => {}
                }
            }
            Step::RemoveFinalizer { note } => {
                self.finalizer(world, false, fault)?;
                world.log.push(format!("  let go: {}", note.map(|n| n.text).unwrap_or_default()));
                return Ok(Turn::Gone);
            }
        }
        Ok(Turn::On)
    }

    fn version(&self) -> String {
        self.object.metadata.resource_version.clone().unwrap()
    }

    fn took(&mut self, world: &World) {
        let Some(object) = world.objects.get(&self.key) else { return };
        self.object = object.clone();
        self.desired = Desired::read(object, &world.defaults);
    }

    fn finalizer(&mut self, world: &mut World, there: bool, fault: Option<Fault>) -> Result<(), Stop> {
        if fault == Some(Fault::WriteLostBefore) {
            return Err(Stop::Error);
        }
        world.set_finalizer(&self.key, &self.version(), there)?;
        if fault == Some(Fault::WriteLostAfter) {
            return Err(Stop::Error);
        }
        self.took(world);
        Ok(())
    }

    fn save(
        &mut self,
        world: &mut World,
        claim: Option<Claim>,
        held: Option<Held>,
        situation: Option<&Situation>,
        fault: Option<Fault>,
    ) -> Result<(), Stop> {
        let after = self.observed.with(claim.clone(), held.clone());
        let old = self.object.status.clone().unwrap_or_default();
        let mut new = status::render(&old, &self.desired, &after, situation, world.now);
        let done = situation.is_some_and(|s| {
            !s.kind.row().reconciling || self.observed.trouble.is_some() || self.observed.list.is_some()
        });
        if done {
            new.last_handled_reconcile_at.clone_from(&self.desired.requested_at);
        }
        if new != old {
            if fault == Some(Fault::WriteLostBefore) {
                return Err(Stop::Error);
            }
            world.put_status(&self.key, &self.version(), new)?;
            if fault == Some(Fault::WriteLostAfter) {
                return Err(Stop::Error);
            }
            self.took(world);
        }
        let desired = self.desired.clone();
        self.observed.learn_saved(claim, held, &desired, world.now.boot);
        Ok(())
    }

    fn credentials(&self) -> (AccountSid, [u8; 32]) {
        match &self.observed.credentials {
            CredentialsView::Present { account, fingerprint } => (account.clone(), *fingerprint),
            other => panic!("a call to Twilio with {other:?}"),
        }
    }

    /// Whether the account's gate lets a call through.
    fn closed(&self, world: &World) -> Option<(Trouble, Moment)> {
        let process = &world.processes[self.process];
        let (_, fingerprint) = self.credentials();
        let circuit = process.circuits.get(&fingerprint).map(|(t, until, _)| (t.clone(), *until));
        circuit.or_else(|| process.paused.clone()).filter(|(_, until)| *until > world.now.boot)
    }

    fn note(&self, world: &mut World, result: Result<(), &Trouble>) -> Option<Moment> {
        let now = world.now.boot;
        let (_, fingerprint) = self.credentials();
        let process = &mut world.processes[self.process];
        match result {
            Ok(()) => {
                process.circuits.remove(&fingerprint);
                None
            }
            Err(t) if t.meaning == Meaning::Credentials => {
                let failures = process.circuits.get(&fingerprint).map_or(0, |c| c.2 + 1);
                let until = now.after(Duration::from_secs(900).saturating_mul(1 << failures.min(2)));
                process.circuits.insert(fingerprint, (t.clone(), until, failures));
                Some(until)
            }
            Err(t) if t.meaning == Meaning::Throttled => {
                let until = now.after(t.retry_after.unwrap());
                process.paused = Some((t.clone(), until));
                Some(until)
            }
            Err(_) => None,
        }
    }

    /// One call of Twilio behind the gate, its failure folded in.
    fn gated<T>(
        &mut self,
        world: &mut World,
        operation: &'static str,
        fault: Option<CallFault>,
        call: impl FnOnce(&mut World, Option<CallFault>) -> Result<T, Trouble>,
    ) -> Option<T> {
        if let Some((trouble, until)) = self.closed(world) {
            self.observed.learn_trouble(trouble, Some(until));
            return None;
        }
        let result = send(world, operation, fault, call);
        let until = self.note(world, result.as_ref().map(|_| ()));
        match result {
            Ok(answer) => Some(answer),
            Err(trouble) => {
                self.observed.learn_trouble(trouble, until);
                None
            }
        }
    }

    /// One call whose refusal is an answer.
    fn told<T>(
        &mut self,
        world: &mut World,
        operation: &'static str,
        fault: Option<CallFault>,
        call: impl FnOnce(&mut World) -> Result<T, Trouble>,
    ) -> Option<Result<T, Trouble>> {
        let refused = |trouble: &Trouble| matches!(trouble.meaning, Meaning::RefusedNumber | Meaning::RefusedOtherwise);
        let told = self.gated(world, operation, fault, |world, _| Ok(call(world)));
        let failed = self.observed.trouble.as_ref().map(|(trouble, _)| trouble).filter(|t| refused(t)).cloned();
        match (told, failed) {
            (Some(told), _) => Some(told),
            (None, Some(trouble)) => {
                self.observed.trouble = None;
                Some(Err(trouble))
            }
            (None, None) => None,
        }
    }

    fn prices(&mut self, world: &mut World, country: CountryCode, after: Moment, fault: Option<CallFault>) {
        let (_, fingerprint) = self.credentials();
        let known = world.processes[self.process].prices.get(&fingerprint).filter(|(_, at)| *at > after).cloned();
        let view = match (known, self.closed(world)) {
            (Some((prices, at)), _) => PricesView::Read(prices, at),
            (None, Some((trouble, until))) => PricesView::Unread(trouble, Some(until)),
            (None, None) => {
                let started = world.now.boot;
                let result = send(world, "FetchPhoneNumberCountry", fault, |world, _| world.twilio.prices());
                let until = self.note(world, result.as_ref().map(|_| ()));
                match result {
                    Ok(prices) => {
                        let kept = (prices.clone(), started);
                        world.processes[self.process].prices.insert(fingerprint, kept);
                        PricesView::Read(prices, started)
                    }
                    Err(trouble) => PricesView::Unread(trouble, until),
                }
            }
        };
        self.observed.learn_prices(country, view);
    }

    fn list(&mut self, world: &mut World, after: Moment, fault: Option<CallFault>) {
        let (account, _) = self.credentials();
        let shared = world.processes[self.process].lists.get(&account).filter(|l| l.started > after).cloned();
        let list = match shared {
            Some(list) => Some(list),
            None => {
                let started = world.now.boot;
                let numbers = self.gated(world, "ListIncomingPhoneNumber", fault, |world, _| {
                    Ok(world.twilio.list(&account, world.now))
                });
                numbers.map(|numbers| Arc::new(AccountList::new(account.clone(), started, numbers)))
            }
        };
        let Some(list) = list else { return };
        world.processes[self.process].lists.insert(account, Arc::clone(&list));
        let lacks = self.lacking(world, &list);
        self.observed.learn_list(list, lacks);
    }

    fn lacking(&self, world: &mut World, list: &AccountList) -> Option<E164> {
        let mut lacks = None;
        for (key, other) in world.objects.clone() {
            let status = other.status.unwrap_or_default();
            let Some((sid, number)) = status
                .phone_number_sid
                .as_deref()
                .zip(status.phone_number.as_deref())
                .filter(|_| status.account_sid.as_deref() == Some(list.account.as_str()))
            else {
                continue;
            };
            let sid = crate::domain::PhoneNumberSid::parse(sid).unwrap();
            if list.sid(&sid).is_some() || other.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let lost = status.conditions.iter().any(|c| c.type_ == "Stalled" && c.reason == "NumberLost");
            let memories = &mut world.processes[self.process].memories;
            let excused = memories
                .get(&key)
                .is_some_and(|(_, m)| m.sid_missing || m.recorded_at.is_some_and(|at| at.after(WINDOW) > list.started));
            if !lost && !excused {
                if let Some((_, memory)) = memories.get_mut(&key) {
                    memory.suspect = true;
                }
                if self.observed.held.as_ref().is_none_or(|h| h.sid != sid) {
                    lacks = Some(E164::parse(number).unwrap());
                }
            }
        }
        lacks
    }

    fn rivals(&mut self, world: &World, number: E164) {
        let mut rivals = Vec::new();
        for (key, other) in world.objects.iter().filter(|(k, _)| **k != self.key) {
            let claim = other.status.as_ref().and_then(|s| s.claim.as_ref());
            let Some(claim) = claim.filter(|c| c.phone_number == number.as_str()) else { continue };
            if matches!(claim.outcome, ClaimOutcome::Unknown | ClaimOutcome::Held) {
                let sent = claim.attempts > 0 || claim.outcome == ClaimOutcome::Held;
                rivals.push(Rival { key: key.clone(), sent });
            }
        }
        self.observed.rivals = Some((number, rivals));
    }

    fn stamp(
        &mut self,
        world: &mut World,
        claim: Claim,
        post: Post,
        situation: &Situation,
        fault: Option<Fault>,
    ) -> Result<(), Stop> {
        if let Some((trouble, until)) = self.closed(world) {
            self.observed.learn_trouble(trouble, Some(until));
            return Ok(());
        }
        let deadline = self.observed.deadline(world.now, SEND_WITHIN);
        let purpose = match post {
            Post::Buy(_) if claim.attempts > 1 => Purpose::Again,
            Post::Buy(_) => Purpose::Buy,
            Post::Adopt { .. } => Purpose::Adopt,
        };
        let at = world.now.wall.round(Unit::Second).unwrap();
        let (account, _) = self.credentials();
        let entry = Entry { at, tag: claim.tag.clone(), number: claim.number.clone(), account, purpose };
        if fault == Some(Fault::LedgerLostBefore) {
            return Err(Stop::Error);
        }
        see(world, self.process);
        let sights = &world.processes[self.process].sights;
        let sight = |e: &Entry| sights[&(e.tag.clone(), e.number.clone(), e.at)];
        let now = (world.now.wall, world.now.boot);
        let looked = self.observed.list.as_ref().map(|l| l.started).unwrap_or_default();
        let tags = self.desired.tags.clone();
        let request = fuse::Request { entry: entry.clone(), tags, known: claim.accounts_for(), looked };
        let admission = fuse::admit(&world.ledger, &request, world.limit, WINDOW, sight, now);
        if admission != Admission::Granted {
            if let Admission::Unsettled(until) = admission {
                self.observed.memory.ledger_until = Some(until);
            }
            self.observed.stamp = Some(StampView::Withheld(admission));
            return Ok(());
        }
        world.ledger.push(entry);
        *world.writes.entry("ledger").or_default() += 1;
        see(world, self.process);
        world.advance(LATENCY);
        if fault == Some(Fault::LedgerLostAfter) {
            return Err(Stop::Error);
        }
        let number = claim.number.clone();
        self.save(world, Some(claim.clone()), None, Some(situation), fault)?;
        self.observed.learn_stamp(claim, post, world.now.boot);
        self.stamped = Some((deadline, number));
        Ok(())
    }

    /// What must hold whenever something is about to be sent for a stamped claim.
    fn check_stamp(&self, world: &mut World, number: &E164) {
        let claim = self.observed.claim.as_ref().expect("about to send without a claim");
        let stamp = (self.object.metadata.uid.clone().unwrap(), number.clone(), claim.attempts, claim.last_attempt_at);
        if !world.stamps.contains(&stamp) {
            world.violations.push(format!("{stamp:?} is sent without a stamp"));
        }
        if !world.posted.insert(stamp.clone()) {
            world.violations.push(format!("{stamp:?} is sent twice"));
        }
        if claim.account != self.credentials().0 {
            world.violations.push(format!("{stamp:?} is sent for another account"));
        }
    }

    /// A purchase that the spec in force at its stamp does not allow: nobody chose the number, or it costs too much.
    fn check_wish(&self, world: &mut World, number: &E164) {
        let Ok(wish) = &self.desired.wish else { return };
        if wish.manual && wish.exact.as_ref() != Some(number) {
            world.violations.push(format!("{number} is bought, and nobody chose it"));
        }
        if let Some(limit) = &wish.limit {
            let price = world.twilio.price.map(|(cents, currency)| (rust_decimal::Decimal::new(cents, 2), currency));
            let within = price.is_some_and(|(amount, currency)| {
                currency == limit.most.currency.as_ref() && amount <= limit.most.amount
            });
            if !within || world.twilio.elsewhere.contains(number) {
                world.violations.push(format!("{number} is bought at {price:?}, and {:?} is the limit", limit.most));
            }
        }
    }

    /// Nothing is written to a number that carries somebody else's tag, unless a person allowed it.
    fn guard(&self, world: &mut World, sid: &crate::domain::PhoneNumberSid, fields: &[(Field, String)]) {
        let Some(held) = world.twilio.held.get(sid) else { return };
        let mark = Mark::read(&held.number.friendly_name);
        let adopts =
            self.desired.wish.as_ref().is_ok_and(|w| w.adoption != crate::api::v1alpha1::AdoptionPolicy::Never)
                && self.observed.held.is_none();
        if mark.as_ref().is_some_and(|m| !self.desired.is_mine(m)) && !adopts {
            world.violations.push(format!("{fields:?} is written to {}", held.number.friendly_name));
        }
    }

    fn post(&mut self, world: &mut World, post: &Post, fault: Option<CallFault>) {
        let (deadline, stamped) = self.stamped.take().expect("about to send without a stamp");
        let (account, _) = self.credentials();
        let (operation, what) = match post {
            Post::Buy(purchase) => {
                assert_eq!(stamped, purchase.phone_number, "stamped for another number");
                self.check_wish(world, &stamped);
                if let Some(held) = world.twilio.holding(&account, &stamped).cloned() {
                    let lagging = world.twilio.held[&held.sid].listed > world.now.boot;
                    let foreign = held.mark().is_none_or(|m| !self.desired.is_mine(&m));
                    if foreign && !lagging {
                        world.violations.push(format!("a purchase overwrites {}", held.friendly_name));
                    }
                }
                ("CreateIncomingPhoneNumber", Effect::Buy(account, purchase.clone()))
            }
            Post::Adopt { sid, fields } => {
                self.guard(world, sid, fields);
                ("UpdateIncomingPhoneNumber", Effect::Update(sid.clone(), fields.clone()))
            }
        };
        self.check_stamp(world, &stamped);
        let fault = if world.now.boot >= deadline { Some(CallFault::NotSent) } else { fault };
        let result = send(world, operation, fault, |world, fault| effect(world, &what, operation, fault));
        self.note(world, result.as_ref().map(|_| ()));
        let desired = self.desired.clone();
        self.observed.learn_answer(result, &desired, world.now.boot);
    }
}

fn reserve(reserved: &mut std::collections::HashMap<E164, ObjectKey>, number: &E164, key: &ObjectKey) -> bool {
    if reserved.get(number).is_some_and(|holder| holder != key) {
        return false;
    }
    reserved.retain(|_, holder| holder != key);
    reserved.insert(number.clone(), key.clone());
    true
}

/// One call of Twilio, with what the fault makes of it.
fn send<T>(
    world: &mut World,
    operation: &'static str,
    fault: Option<CallFault>,
    call: impl FnOnce(&mut World, Option<CallFault>) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let fault = fault.or(world.twilio.outage);
    if world.twilio.suspended {
        world.advance(LATENCY);
        return Err(super::twilio::trouble(operation, Meaning::Credentials, Class::AccountSuspended));
    }
    if world.twilio.denied.contains(&operation) {
        world.advance(LATENCY);
        return Err(super::twilio::trouble(operation, Meaning::Credentials, Class::CredentialsRejected));
    }
    if fault != Some(CallFault::NotSent) {
        *world.twilio.calls.entry(operation).or_default() += 1;
    }
    let reaches = matches!(fault, None | Some(CallFault::LostAfter | CallFault::ServerAfter | CallFault::Late));
    let result = if reaches { Some(call(world, fault)) } else { None };
    world.advance(fault.map_or(LATENCY, CallFault::patience));
    match fault {
        Some(fault) => Err(fault.trouble(operation)),
        None => result.unwrap_or_else(|| Err(CallFault::NotSent.trouble(operation))),
    }
}

fn effect(
    world: &mut World,
    what: &Effect,
    operation: &'static str,
    fault: Option<CallFault>,
) -> Result<IncomingNumber, Trouble> {
    let now = world.now;
    if fault == Some(CallFault::Late) {
        world.twilio.late.push((now.boot.after(Duration::from_secs(40)), what.clone()));
        return Err(CallFault::Late.trouble(operation));
    }
    world.twilio.take_effect(what, now)
}

/// First sight of every stamp in the ledger.
fn see(world: &mut World, process: usize) {
    let now = world.now.boot;
    let sights = &mut world.processes[process].sights;
    for e in &world.ledger {
        sights.entry((e.tag.clone(), e.number.clone(), e.at)).or_insert(now);
    }
}

/// A new process in the place of an old one: it primes the ledger and knows nothing else.
pub fn restart(world: &mut World, process: usize) {
    world.processes[process] = super::world::Process::default();
    see(world, process);
}

/// One whole pass.
pub fn run(world: &mut World, process: usize, key: &ObjectKey) -> Turn {
    let Some(mut pass) = Pass::begin(world, process, key) else { return Turn::Gone };
    loop {
        match pass.turn(world) {
            Turn::On => {}
            ended => return ended,
        }
    }
}
