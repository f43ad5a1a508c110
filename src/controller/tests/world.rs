//! A cluster, an account at Twilio and operators that run in them: what a life happens in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use cpn_env::double::{ApiServer, kinds};
use http::Method;
use k8s_openapi::jiff::SignedDuration;
use kube::ResourceExt as _;
use kube::runtime::watcher;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::clock::{ProcessClock, WorldClock};
use super::hub::Hub;
use crate::api::v1alpha1::{ClinicPhoneNumber, ClinicPhoneNumberStatus};
use crate::clock::Clock as _;
use crate::controller::reconcile::{Next, pass_over, pause_after};
use crate::controller::{Clients, Context, Ends, Settings};
use crate::domain::{AccountSid, E164, InstallationId, Moment};
use crate::plan::ObjectKey;
use crate::plan::desired::Defaults;
use crate::simulator::{AccountSpec, Behaviour, BuyOwned, HeldSpec, Kind, NumberRow, Simulator, StockLimit};
use crate::telemetry::Metrics;
use crate::twilio;

pub const WINDOW: Duration = Duration::from_secs(120);
pub const SEND_WITHIN: Duration = Duration::from_secs(10);
pub const WEBHOOK: &str = "https://hooks.example.com/sms?key=canary";
/// More passes than this after one act mean that a life does not end.
const PASSES: usize = 400;
/// More calls of Twilio than this after one act mean that something goes round in circles.
const CALLS: usize = 400;

/// How the world behaves, beside faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// What a purchase of a number that the account holds is answered: 201, as an update, or a refusal.
    pub upsert: bool,
    /// How long a bought number is missing from lists, in seconds.
    pub lag: u64,
    /// The cache shows each resource as it was when the pass before began.
    pub stale: bool,
    /// Wall clocks are wrong: hours behind, or minutes ahead after a restart.
    pub wrong_clock: bool,
}

/// The best of worlds, and the worst.
pub const PLAIN: Mode = Mode { upsert: true, lag: 0, stale: false, wrong_clock: false };
pub const BAD: Mode = Mode { upsert: false, lag: 50, stale: true, wrong_clock: true };
pub const STALE: Mode = Mode { stale: true, ..PLAIN };
pub const LAGGING: Mode = Mode { lag: 50, ..PLAIN };
pub const MODES: [Mode; 4] = [PLAIN, BAD, STALE, LAGGING];

struct Process {
    context: Arc<Context>,
    ends: Vec<Ends>,
}

pub struct World {
    pub hub: Arc<Hub>,
    pub mode: Mode,
    pub defaults: Defaults,
    pub limit: u32,
    processes: Vec<Process>,
    /// What the watch of process 0 has shown.
    cache: BTreeMap<ObjectKey, Arc<ClinicPhoneNumber>>,
    /// What was worked on last: generation, finalizers, annotations.
    seen: HashMap<ObjectKey, Seen>,
    due: BTreeMap<ObjectKey, Moment>,
    /// What the stores of all processes were fed with last.
    fed: Option<Vec<Option<String>>>,
    /// Numbers that belong to nobody here, as they were at the beginning.
    bystanders: Vec<NumberRow>,
    tokens: BTreeMap<AccountSid, String>,
    pub restarts: usize,
    backup: Option<Vec<(String, String, String, Option<Value>)>>,
}

type Seen = (Option<String>, Option<i64>, Vec<String>, BTreeMap<String, String>);

pub fn account(n: u32) -> AccountSid {
    AccountSid::parse(&format!("AC{n:032x}")).unwrap()
}

/// A token that is none, and is found again wherever it leaks.
pub fn token(n: u32) -> String {
    format!("c0ffee0badc0ffee0badc0ffee{n:06x}")
}

/// Numbers that are there from the beginning, outside the stock.
pub fn number(n: u32) -> E164 {
    E164::parse(&format!("+1418559{n:04}")).unwrap()
}

pub fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "clinic".into(), name: name.into() }
}

pub fn other_mark() -> String {
    InstallationId::parse("other").unwrap().mark("x", "y", false).to_string()
}

fn seen(object: &ClinicPhoneNumber) -> Seen {
    let annotations = object.annotations().iter().filter(|(k, _)| *k != "touched").map(|(k, v)| (k.clone(), v.clone()));
    (object.uid(), object.metadata.generation, object.finalizers().to_vec(), annotations.collect())
}

impl World {
    /// A cluster with the Secret `twilio`, an account with bystanders, and two operators.
    pub async fn new(mode: Mode) -> Self {
        let clock = WorldClock::start();
        let behaviour = Behaviour {
            buy_owned: if mode.upsert { BuyOwned::Upsert } else { BuyOwned::Refuse },
            list_lag_ms: mode.lag * 1000,
            ..Behaviour::default()
        };
        let settings = crate::simulator::Settings {
            behaviour,
            any_account: false,
            deliver_to: None,
            record: crate::simulator::Recorder::of_tests(),
        };
        let simulator = Simulator::new(settings, clock.clone());
        let tokens: BTreeMap<_, _> = [1, 2].map(|n| (account(n), token(n))).into();
        let held = |n: u32, name: &str| HeldSpec {
            phone_number: number(n),
            sid: None,
            friendly_name: Some(name.to_owned()),
            sms_url: Some("https://elsewhere.example.com".to_owned()),
            sms_method: None,
            sms_application_sid: None,
            voice_url: None,
            emergency_address_sid: None,
            origin: None,
        };
        let accounts = tokens.iter().zip([10, 20]).map(|((sid, token), n)| AccountSpec {
            numbers: vec![held(n, "front desk"), held(n + 1, &format!("{} desk", other_mark()))],
            ..AccountSpec::new(sid.clone(), token)
        });
        simulator.add_accounts(accounts.collect()).unwrap();
        let stock = StockLimit { country: "CA".into(), kind: Kind::Local, area_code: Some("418".into()), count: 4 };
        simulator.put_stock(vec![stock]).unwrap();
        let api = ApiServer::new(kinds::operator());
        let bystanders = simulator.numbers();
        let mut world = Self {
            hub: Hub::new(clock, simulator, api),
            mode,
            defaults: Defaults {
                installation: InstallationId::parse("prod").unwrap(),
                previous_installation: None,
                sms_webhook_url: None,
                observe_interval: Duration::from_secs(3600),
            },
            limit: 30,
            processes: Vec::new(),
            cache: BTreeMap::new(),
            seen: HashMap::new(),
            due: BTreeMap::new(),
            fed: None,
            bystanders,
            tokens,
            restarts: 0,
            backup: None,
        };
        world.secret(Some(1));
        for process in 0..2 {
            world.start(process).await;
        }
        world
    }

    fn clock(&self, process: usize) -> ProcessClock {
        // Ahead by no more than the protocol allows for: beyond that a bought number counts as adopted, and is never released.
        let minutes = match (self.mode.wrong_clock, process, self.restarts % 2) {
            (false, ..) => 0,
            (true, 0, 0) => -7 * 60,
            (true, 0, _) => 10,
            (true, ..) => -3 * 60,
        };
        let booted = Duration::from_secs(3600) * u32::try_from(process).unwrap();
        ProcessClock { world: Arc::clone(&self.hub.clock), wrong: SignedDuration::from_mins(minutes), booted }
    }

    /// Starts a process: nothing is remembered.
    pub async fn start(&mut self, process: usize) {
        self.hub.inner().watched.limit = (!self.mode.wrong_clock).then_some(self.limit);
        let settings = Settings {
            defaults: self.defaults.clone(),
            settle_window: WINDOW,
            send_within: SEND_WITHIN,
            max_purchases_per_hour: self.limit,
            namespaces: Vec::new(),
            operator_namespace: "operator".to_owned(),
            usage_interval: Duration::ZERO,
            messaging_interval: Duration::ZERO,
            concurrency: 1,
            instance: format!("operator-{process}"),
        };
        let endpoints = twilio::Endpoints::single("https://api.example.com/".parse().unwrap()).unwrap();
        let client = twilio::Client::new(endpoints, self.hub.transport(process), Duration::from_secs(30));
        let metrics = Arc::new(Metrics::default());
        let observer = Arc::clone(&metrics);
        let client = client.with_observer(Arc::new(move |record| observer.called(record)));
        let (context, ends) = Context::new(
            Clients { kube: self.hub.kube(process), twilio: client, probe: crate::probe::nobody() },
            Arc::new(self.clock(process)),
            settings,
            metrics,
            [u8::try_from(process).unwrap(); 32],
            CancellationToken::new(),
        );
        // A process that cannot read the ledger ends and is started again.
        for _ in 0..8 {
            let primed = tokio::select! {
                biased;
                primed = context.ledger.prime() => primed.is_ok(),
                () = self.hub.died.notified() => false,
            };
            if primed {
                break;
            }
        }
        let it = Process { context, ends };
        self.fed = None;
        if process == 1 {
            self.hub.inner().other = Some(Arc::clone(&it.context));
        }
        if process < self.processes.len() {
            self.processes[process] = it;
        } else {
            self.processes.push(it);
        }
    }

    /// Kills process 0 and starts it again: everything is looked at anew.
    pub async fn restart(&mut self) {
        self.restarts += 1;
        self.hub.inner().log.push("       p0 is started again".to_owned());
        self.start(0).await;
        self.seen.clear();
        self.due.clear();
    }

    pub fn note(&self, what: &str) {
        self.hub.inner().log.push(format!("--- {what}"));
    }

    // What happens in the cluster.

    /// `kubectl apply`.
    pub fn apply(&mut self, name: &str, spec: &Value) {
        let mut whole = json!({"credentialsSecretRef": {"name": "twilio"}, "sms": {"webhookURL": WEBHOOK}});
        for (field, value) in spec.as_object().unwrap() {
            whole[field] = value.clone();
        }
        let spec: crate::api::ClinicPhoneNumberSpec = serde_json::from_value(whole).unwrap();
        self.apply_spec(name, &serde_json::to_value(spec).unwrap());
    }

    fn apply_spec(&mut self, name: &str, spec: &Value) {
        for id in std::iter::once(&self.defaults.installation).chain(&self.defaults.previous_installation) {
            self.hub.inner().tags.insert(id.tag("clinic", name), name.to_owned());
        }
        self.hub.apply_spec(name, spec);
    }

    /// Changes fields of the spec; null takes a field away.
    pub fn edit(&mut self, name: &str, patch: Value) {
        self.hub.edit(name, &patch);
    }

    pub fn annotate(&mut self, name: &str, annotation: &str, value: &str) {
        self.hub.annotate(name, annotation, &value.into());
    }

    pub fn unannotate(&mut self, name: &str, annotation: &str) {
        self.hub.annotate(name, annotation, &Value::Null);
    }

    /// Asks for a look now.
    pub fn ask(&mut self, name: &str) {
        let value = self.hub.inner().log.len().to_string();
        self.annotate(name, crate::api::REQUESTED_AT, &value);
    }

    /// `kubectl delete`.
    pub fn delete(&mut self, name: &str) {
        self.hub.delete(name);
    }

    /// A person takes the finalizers off, deletes the resource and applies its manifest anew.
    pub fn strip_and_apply(&mut self, name: &str) {
        let Some(old) = self.object(name) else { return };
        self.hub.strip(name);
        self.apply_spec(name, &serde_json::to_value(old.spec).unwrap());
    }

    /// Writes the Secret `twilio` with an account's credentials, or takes it away.
    pub fn secret(&mut self, account_number: Option<u32>) {
        self.secret_of("twilio", account_number);
    }

    /// The same with any Secret.
    pub fn secret_of(&mut self, name: &str, account_number: Option<u32>) {
        let secrets = "/api/v1/namespaces/clinic/secrets";
        self.hub.call(&Method::DELETE, &format!("{secrets}/{name}"), &Value::Null);
        let Some(n) = account_number else { return };
        let encoded = |text: &str| data_encoding::BASE64.encode(text.as_bytes());
        let data = json!({"accountSid": encoded(account(n).as_str()), "authToken": encoded(&self.tokens[&account(n)])});
        let written = self.hub.call(&Method::POST, secrets, &json!({"metadata": {"name": name}, "data": data}));
        assert_eq!(written.0, 201);
    }

    /// The cluster's state is kept, as a backup of etcd.
    pub fn take_backup(&mut self) {
        let inner = self.hub.inner();
        let all = ["clinicphonenumbers", "configmaps"].into_iter().flat_map(|plural| {
            inner.api.all(plural).map(move |o| {
                let text = |field: &str| o["metadata"][field].as_str().unwrap().to_owned();
                (plural.to_owned(), text("namespace"), text("name"), Some(o.clone()))
            })
        });
        let all = all.collect();
        drop(inner);
        self.backup = Some(all);
    }

    /// The cluster is put back to what was kept; what came later is gone, the ledger too.
    pub fn restore_backup(&mut self) {
        let kept = self.backup.take().unwrap_or_default();
        self.wipe();
        {
            // What was asked since is asked no more.
            let watched = &mut self.hub.inner().watched;
            watched.retained.clear();
            watched.suspended.clear();
        }
        for (plural, namespace, name, object) in kept {
            self.hub.inner().api.restore(&plural, &namespace, &name, object);
        }
    }

    /// Everything but the Secret is lost.
    pub fn wipe(&mut self) {
        let mut inner = self.hub.inner();
        for plural in ["clinicphonenumbers", "configmaps"] {
            let all: Vec<_> = inner.api.all(plural).cloned().collect();
            for object in all {
                let text = |field: &str| object["metadata"][field].as_str().unwrap().to_owned();
                inner.api.restore(plural, &text("namespace"), &text("name"), None);
            }
        }
    }

    // What happens at Twilio.

    pub fn rows(&self) -> Vec<NumberRow> {
        self.hub.simulator.numbers()
    }

    pub fn row(&self, number: &E164) -> Option<NumberRow> {
        self.rows().into_iter().find(|n| n.phone_number == *number)
    }

    /// Somebody gives the account a number, with this label.
    pub fn give(&mut self, number: &E164, label: &str) {
        let sid = account(1);
        let numbers = vec![HeldSpec {
            phone_number: number.clone(),
            sid: None,
            friendly_name: Some(label.to_owned()),
            sms_url: None,
            sms_method: None,
            sms_application_sid: None,
            voice_url: None,
            emergency_address_sid: None,
            origin: None,
        }];
        let spec = AccountSpec { numbers, ..AccountSpec::new(sid.clone(), &self.tokens[&sid]) };
        self.hub.simulator.add_accounts(vec![spec]).unwrap();
    }

    /// Somebody changes a number in Twilio's console.
    pub fn at_twilio(&mut self, number: &E164, fields: &[(&str, &str)]) {
        assert_eq!(self.hub.about(number, Method::POST, fields), 200);
    }

    /// Somebody releases a number in Twilio's console.
    pub fn release_by_hand(&mut self, number: &E164) {
        assert_eq!(self.hub.about(number, Method::DELETE, &[]), 204);
    }

    /// The account gets a new token; the Secret still has the old one.
    pub fn rotate_token(&mut self, n: u32) {
        let fresh = format!("feedc0de0badc0ffee0badc0ff{n:02x}{:04x}", self.hub.inner().log.len() % 0xffff);
        let patch = crate::simulator::AccountPatch { auth_token: Some(fresh.clone()), ..Default::default() };
        assert!(self.hub.simulator.patch_account(&account(n), patch));
        self.tokens.insert(account(n), fresh);
    }

    pub fn account_status(&mut self, n: u32, status: crate::simulator::AccountStatus) {
        let patch = crate::simulator::AccountPatch { status: Some(status), ..Default::default() };
        assert!(self.hub.simulator.patch_account(&account(n), patch));
    }

    pub fn stock(&mut self, count: u64) {
        let stock = StockLimit { country: "CA".into(), kind: Kind::Local, area_code: Some("418".into()), count };
        self.hub.simulator.put_stock(vec![stock]).unwrap();
    }

    /// A number that is on offer, if there are so many: the n-th of the search that lives make.
    pub fn offered(&self, n: usize) -> Option<E164> {
        let path = "AvailablePhoneNumbers/CA/Local.json?AreaCode=418";
        let answer = self.hub.console(&account(1), Method::GET, path, &[]);
        let body: Value = serde_json::from_slice(answer.body()).unwrap();
        Some(E164::parse(body["available_phone_numbers"][n]["phone_number"].as_str()?).unwrap())
    }

    /// The same where there are.
    pub fn on_offer(&self, n: usize) -> E164 {
        self.offered(n).unwrap()
    }

    // What can be seen.

    pub fn object(&self, name: &str) -> Option<ClinicPhoneNumber> {
        self.hub.object(&key(name)).map(Arc::unwrap_or_clone)
    }

    pub fn status(&self, name: &str) -> ClinicPhoneNumberStatus {
        self.object(name).and_then(|o| o.status).unwrap_or_default()
    }

    pub fn gone(&self, name: &str) -> bool {
        self.object(name).is_none()
    }

    pub fn holds(&self, name: &str) -> Option<E164> {
        self.status(name).phone_number.map(|n| E164::parse(&n).unwrap())
    }

    pub fn condition(&self, name: &str, kind: &str) -> Option<(String, String)> {
        let status = self.status(name);
        status.conditions.into_iter().find(|c| c.type_ == kind).map(|c| (c.status, c.reason))
    }

    pub fn reason(&self, name: &str) -> String {
        self.condition(name, "Ready").map(|(_, reason)| reason).unwrap_or_default()
    }

    /// Whether the last wish for a look was answered.
    pub fn answered(&self, name: &str) -> bool {
        let asked = self.object(name).and_then(|o| o.metadata.annotations?.remove(crate::api::REQUESTED_AT));
        self.status(name).last_handled_reconcile_at == asked
    }

    /// In service, the spec as it is now.
    pub fn ready(&self, name: &str) -> bool {
        let Some(object) = self.object(name) else { return false };
        let status = object.status.unwrap_or_default();
        let is = |kind: &str| status.conditions.iter().find(|c| c.type_ == kind).map(|c| c.status.as_str());
        is("Ready") == Some("True")
            && is("Reconciling").is_none()
            && status.observed_generation == object.metadata.generation
    }

    pub fn stalled(&self, name: &str, reason: &str) -> bool {
        let Some(object) = self.object(name) else { return false };
        let status = object.status.unwrap_or_default();
        status.observed_generation == object.metadata.generation
            && status.conditions.iter().any(|c| c.type_ == "Stalled" && c.reason == reason)
    }

    /// The label that a number of this resource carries.
    pub fn label(&self, name: &str, adopted: bool) -> String {
        format!("{} reception", self.defaults.installation.mark("clinic", name, adopted))
    }

    pub fn purchases(&self) -> usize {
        self.hub.simulator.ledger().purchases.len()
    }

    pub fn releases(&self) -> usize {
        self.hub.simulator.ledger().releases.len()
    }

    pub fn events(&self) -> Vec<Value> {
        self.hub.inner().api.all("events").cloned().collect()
    }

    // How it goes on.

    /// What process 0's watch shows of a resource.
    fn cached(&mut self, key: &ObjectKey) -> Option<Arc<ClinicPhoneNumber>> {
        let now = self.hub.object(key);
        let shown = if self.mode.stale { self.cache.get(key).cloned().or_else(|| now.clone()) } else { now.clone() };
        match now {
            Some(now) => drop(self.cache.insert(key.clone(), now)),
            None => drop(self.cache.remove(key)),
        }
        shown
    }

    /// Feeds the store of every process with what is there.
    fn feed(&mut self) {
        let objects = self.hub.objects();
        let versions: Vec<_> = objects.iter().map(|o| o.resource_version()).collect();
        if self.fed.as_ref() == Some(&versions) {
            return;
        }
        self.fed = Some(versions);
        for process in &mut self.processes {
            for ends in &mut process.ends {
                ends.writer.apply_watcher_event(&watcher::Event::Init);
                for object in &objects {
                    ends.writer.apply_watcher_event(&watcher::Event::InitApply(ClinicPhoneNumber::clone(object)));
                }
                ends.writer.apply_watcher_event(&watcher::Event::InitDone);
            }
        }
    }

    /// Whoever changed, or was asked for, is due.
    fn notice(&mut self) {
        let now = self.hub.clock.now().boot;
        let mut there = BTreeSet::new();
        for object in self.hub.objects() {
            let key = ObjectKey { namespace: object.namespace().unwrap(), name: object.name_any() };
            if self.seen.get(&key) != Some(&seen(&object)) {
                let due = self.due.entry(key.clone()).or_insert(now);
                *due = (*due).min(now);
            }
            there.insert(key);
        }
        for ends in &mut self.processes[0].ends {
            while let Ok(poke) = ends.pokes.try_recv() {
                let key = ObjectKey { namespace: poke.namespace.unwrap(), name: poke.name };
                if there.contains(&key) {
                    let due = self.due.entry(key).or_insert(now);
                    *due = (*due).min(now);
                }
            }
        }
        self.due.retain(|key, _| there.contains(key));
    }

    /// One pass of process 0 over one resource.
    pub async fn pass(&mut self, key: &ObjectKey) {
        let Some(object) = self.cached(key) else {
            self.due.remove(key);
            return;
        };
        self.feed();
        self.seen.insert(key.clone(), seen(&object));
        self.hub.inner().at_work = Some(key.clone());
        let context = Arc::clone(&self.processes[0].context);
        let ended = tokio::select! {
            biased;
            ended = pass_over(Arc::clone(&object), &context) => Some(ended),
            () = self.hub.died.notified() => None,
        };
        let now = self.hub.clock.now().boot;
        match ended {
            None => self.restart().await,
            Some(Ok(Next::After(wait))) => drop(self.due.insert(key.clone(), now.after(wait))),
            Some(Ok(Next::OnChange)) => drop(self.due.remove(key)),
            Some(Err(error)) => {
                if matches!(error, crate::controller::Error::Bug(_)) {
                    self.hub.violation(format!("{error}"));
                }
                let wait = pause_after(&object, &error, &context);
                self.due.insert(key.clone(), now.after(wait));
            }
        }
    }

    /// One pass of each process over one resource, call for call; then both wait as long as the one that wants to wait less.
    pub async fn lockstep(&mut self, names: [&str; 2]) {
        self.feed();
        self.hub.inner().lockstep = true;
        let objects = names.map(|name| self.hub.object(&key(name)));
        let pass = |n: usize| {
            let (context, object) = (Arc::clone(&self.processes[n].context), objects[n].clone());
            async move {
                match pass_over(object?, &context).await {
                    Ok(Next::After(wait)) => Some(wait),
                    Ok(Next::OnChange) => None,
                    Err(_) => Some(Duration::from_millis(250)),
                }
            }
        };
        let waits = futures::future::join(pass(0), pass(1)).await;
        self.hub.inner().lockstep = false;
        let wait = [waits.0, waits.1].into_iter().flatten().min().unwrap_or(Duration::from_secs(1));
        self.hub.go_by(wait + Duration::from_millis(1));
    }

    /// Lets process 0 work until the goal is reached.
    ///
    /// # Errors
    /// When something happened that must not, or the goal is not reached within bounds.
    pub async fn until(&mut self, goal: fn(&Self) -> bool) -> Result<(), String> {
        self.go(&goal, PASSES).await
    }

    /// The same within so many passes.
    pub async fn go(&mut self, goal: &dyn Fn(&Self) -> bool, passes: usize) -> Result<(), String> {
        let mut quick = 0;
        let calls = self.hub.simulator.call_count();
        for pass in 0..passes {
            let next = self.next()?;
            let now = self.hub.clock.now().boot;
            // What changed is looked at before anything is called reached.
            let changed = next.as_ref().is_some_and(|(_, at)| *at <= now);
            if (pass > 0 || next.is_none()) && !changed && self.hub.quiet() && goal(self) {
                return self.truthful();
            }
            if self.hub.simulator.call_count() - calls > CALLS {
                return Err(format!("more than {CALLS} calls of Twilio and no end"));
            }
            let Some((next, at)) = next else {
                if self.hub.quiet() {
                    return Err("nothing is left to do and the goal is not reached".into());
                }
                self.hub.go_by(Duration::from_secs(10));
                continue;
            };
            let wait = at.until(now);
            quick = if wait < Duration::from_millis(200) { quick + 1 } else { 0 };
            if quick > 40 {
                return Err("a hot loop".into());
            }
            self.pass_at(&next, at).await;
        }
        Err(format!("no end after {passes} passes"))
    }

    /// Which resource is worked on next, and when.
    ///
    /// # Errors
    /// When something happened that must not.
    pub fn next(&mut self) -> Result<Option<(ObjectKey, Moment)>, String> {
        self.hub.settle();
        self.notice();
        self.sound()?;
        Ok(self.due.iter().min_by_key(|(k, at)| (**at, (*k).clone())).map(|(k, at)| (k.clone(), *at)))
    }

    /// One pass of process 0 over one resource, once it is time for it.
    pub async fn pass_at(&mut self, key: &ObjectKey, at: Moment) {
        let now = self.hub.clock.now().boot;
        self.hub.go_by(at.until(now) + Duration::from_millis(1));
        self.pass(key).await;
    }

    /// What must never have happened.
    pub fn sound(&self) -> Result<(), String> {
        let violations = self.hub.inner().violations.clone();
        if violations.is_empty() { Ok(()) } else { Err(violations.join("; ")) }
    }

    /// Whether bystanders are as they were, and status says what is so.
    pub fn truthful(&self) -> Result<(), String> {
        self.sound()?;
        let rows = self.rows();
        for bystander in &self.bystanders {
            let taken = self.hub.inner().may_take_over.contains(bystander.phone_number.as_str());
            if !taken && !rows.contains(bystander) {
                return Err(format!("{} belongs to nobody here and was touched", bystander.phone_number));
            }
        }
        for object in self.hub.objects() {
            super::truth::of(&object, &rows, &self.defaults).map_err(|why| format!("{}: {why}", object.name_any()))?;
        }
        let events = self.events();
        // In the order in which they were told: some within one second.
        let at = |event: &Value| event["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
        for event in events.iter().filter(|e| e["reason"] == "NumberRetained") {
            let note = event["note"].as_str().unwrap_or_default();
            let kept = rows.iter().any(|r| note.starts_with(r.phone_number.as_str()));
            // What a person released in the console, and nobody has looked at since, was believed to be there.
            let by_hand = self.hub.inner().released_by_hand.iter().any(|number| note.starts_with(number.as_str()));
            // Told before a person asked for its release after all, of which they were told too.
            let number = note.split(' ').next().unwrap_or_default();
            let released = events.iter().any(|e| {
                let told = e["note"].as_str().is_some_and(|n| n.starts_with(number));
                told && e["reason"] == "NumberReleased" && at(e) > at(event)
            });
            if note.contains(" stays in account ") && !kept && !by_hand && !released {
                return Err(format!("told that {note}, and nobody has it"));
            }
        }
        for text in self.events().iter().map(|e| e["note"].as_str().unwrap_or_default().to_owned()).chain(self.texts())
        {
            self.keeps_secrets(&text)?;
        }
        Ok(())
    }

    /// Whether a text has no token, no form of one that is sent, and no query of a webhook.
    pub fn keeps_secrets(&self, text: &str) -> Result<(), String> {
        for (sid, token) in &self.tokens {
            let basic = data_encoding::BASE64.encode(format!("{sid}:{token}").as_bytes());
            let encoded = data_encoding::BASE64.encode(token.as_bytes());
            if [token, &basic, &encoded].iter().any(|secret| text.contains(secret.as_str())) {
                return Err(format!("a token is in {text}"));
            }
        }
        if text.contains("key=canary") { Err(format!("a webhook's query is in {text}")) } else { Ok(()) }
    }

    /// Whether every number with a tag of ours is a resource's, or somebody was told that it stays.
    pub fn told(&self) -> Result<(), String> {
        let (objects, events) = (self.hub.objects(), self.events());
        for row in self.rows() {
            let mark = crate::domain::tag::Mark::read(&row.friendly_name);
            if mark.is_none_or(|m| !self.hub.inner().tags.contains_key(&m.tag)) {
                continue;
            }
            let number = row.phone_number.as_str();
            let recorded =
                objects.iter().any(|o| o.status.as_ref().is_some_and(|s| s.phone_number.as_deref() == Some(number)));
            let named =
                |e: &Value| e["reason"] == "NumberRetained" && e["note"].as_str().is_some_and(|n| n.contains(number));
            if !recorded && !events.iter().any(named) {
                return Err(format!("{number} is in the account and nobody was told"));
            }
        }
        Ok(())
    }

    /// What else leaves a process: condition messages and metrics.
    fn texts(&self) -> Vec<String> {
        let mut texts: Vec<String> = self
            .hub
            .objects()
            .into_iter()
            .flat_map(|o| o.status.clone().unwrap_or_default().conditions)
            .map(|c| c.message)
            .collect();
        texts.extend(self.processes.iter().map(|p| p.context.metrics.render().unwrap()));
        texts
    }

    pub fn log(&self) -> String {
        let inner = self.hub.inner();
        let mut lines = inner.log[inner.log.len().saturating_sub(80)..].to_vec();
        drop(inner);
        for object in self.hub.objects() {
            let ready = object.status.clone().unwrap_or_default().conditions.into_iter().find(|c| c.type_ == "Ready");
            lines.extend(ready.map(|c| format!("{:?}: {} {}", object.metadata.name, c.reason, c.message)));
        }
        lines.push(format!("due {:?} at {:?}", self.due, self.hub.clock.now().boot));
        lines.join("\n")
    }
}
