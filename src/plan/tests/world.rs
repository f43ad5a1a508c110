//! Everything around the decision: objects with versions, Secrets, the ledger, processes with their memory, two clocks.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;

use super::twilio::{CallFault, Twilio};
use crate::api::FINALIZER;
use crate::api::v1alpha1::{ClaimOutcome, ClinicPhoneNumber, ClinicPhoneNumberSpec, ClinicPhoneNumberStatus, Origin};
use crate::domain::{AccountSid, E164, InstallationId, Moment, Now, NumberPrices, OwnerTag, Trouble};
use crate::plan::desired::Defaults;
use crate::plan::fuse::Entry;
use crate::plan::observed::CredentialsView;
use crate::plan::{AccountList, Desired, Held, Memory, ObjectKey};

pub const WINDOW: Duration = Duration::from_secs(120);
pub const SEND_WITHIN: Duration = Duration::from_secs(10);
/// Time that one call takes.
pub const LATENCY: Duration = Duration::from_millis(100);

/// What may go wrong at one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Call(CallFault),
    /// Somebody else writes the object just before.
    Conflict,
    /// A write whose answer is lost.
    WriteLostBefore,
    WriteLostAfter,
    /// The ledger's write failed, or its answer was lost.
    LedgerLostBefore,
    LedgerLostAfter,
    RestartBefore,
    RestartAfter,
    /// Another operator runs a whole pass just before this step.
    Second,
    /// The process stands still for longer than the window just before this step.
    Suspended,
}

/// What one process knows.
#[derive(Debug, Clone, Default)]
pub struct Process {
    pub memories: HashMap<ObjectKey, (String, Memory)>,
    pub sights: HashMap<(OwnerTag, E164, Timestamp), Moment>,
    pub lists: HashMap<AccountSid, Arc<AccountList>>,
    pub circuits: HashMap<[u8; 32], (Trouble, Moment, u32)>,
    pub paused: Option<(Trouble, Moment)>,
    pub prices: HashMap<[u8; 32], (NumberPrices, Moment)>,
    pub reserved: HashMap<E164, ObjectKey>,
    pub stopping: bool,
}

#[derive(Debug, Clone)]
pub struct World {
    pub now: Now,
    pub twilio: Twilio,
    pub objects: BTreeMap<ObjectKey, ClinicPhoneNumber>,
    pub secrets: BTreeMap<ObjectKey, CredentialsView>,
    pub ledger: Vec<Entry>,
    pub processes: Vec<Process>,
    pub defaults: Defaults,
    pub limit: u32,
    pub crd_stays: bool,
    /// Whether the account's Messaging Services are read beside the passes.
    pub reads_services: bool,
    /// What the API server does not tell before a release.
    pub unread: Option<&'static str>,
    /// Writes that took effect, by what they were.
    pub writes: BTreeMap<&'static str, usize>,
    /// Every written stamp: resource, number, attempts, time.
    pub stamps: HashSet<(String, E164, u32, Option<Timestamp>)>,
    pub posted: HashSet<(String, E164, u32, Option<Timestamp>)>,
    /// What must never happen, and did.
    pub violations: Vec<String>,
    /// Numbers whose release a person asked for.
    pub may_release: HashSet<E164>,
    /// Every situation that was met, and the conditions that it showed.
    pub seen: BTreeMap<crate::plan::Kind, ClinicPhoneNumber>,
    /// What was done, for people.
    pub log: Vec<String>,
    /// Faults by the ordinal of the step they meet.
    pub faults: BTreeMap<usize, Fault>,
    pub step: usize,
    pub version: u64,
    uids: u64,
}

pub fn account(n: u32) -> AccountSid {
    AccountSid::parse(&format!("AC{n:032x}")).unwrap()
}

pub fn number(n: u32) -> E164 {
    E164::parse(&format!("+1418555{n:04}")).unwrap()
}

pub fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "clinic".into(), name: name.into() }
}

pub fn credentials(n: u32) -> CredentialsView {
    CredentialsView::Present { account: account(n), fingerprint: [u8::try_from(n).unwrap(); 32] }
}

pub fn spec(json: serde_json::Value) -> ClinicPhoneNumberSpec {
    let mut all = serde_json::json!({
        "credentialsSecretRef": {"name": "twilio"},
        "sms": {"webhookURL": "https://hooks.example.com/sms"},
    });
    for (field, value) in json.as_object().unwrap() {
        all[field] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

pub fn search() -> serde_json::Value {
    serde_json::json!({"search": {"country": "CA", "areaCodes": ["418"]}})
}

/// What a resource with this spec asks for, at its third generation.
pub fn desired(spec: serde_json::Value) -> Desired {
    let mut world = World::new();
    world.apply("a", spec);
    world.edit("a", |object| object.metadata.generation = Some(3));
    Desired::read(world.object("a"), &world.defaults)
}

/// A number that a resource holds.
pub fn held(origin: Origin) -> Held {
    Held { number: number(100), sid: super::twilio::sid(1), account: account(1), origin, acquired_at: None }
}

impl World {
    pub fn new() -> Self {
        let installation = InstallationId::parse("prod").unwrap();
        Self {
            now: Now {
                wall: Timestamp::from_second(1_800_000_000).unwrap(),
                boot: Moment::since_boot(Duration::from_secs(100_000)),
            },
            twilio: Twilio {
                stock: vec![number(1), number(2), number(3)],
                upsert: true,
                price: Some((115, "USD")),
                ..Twilio::default()
            },
            objects: BTreeMap::new(),
            secrets: BTreeMap::new(),
            ledger: Vec::new(),
            processes: vec![Process::default(), Process::default()],
            defaults: Defaults {
                installation,
                previous_installation: None,
                sms_webhook_url: None,
                observe_interval: Duration::from_secs(3600),
            },
            limit: 30,
            crd_stays: true,
            reads_services: false,
            unread: None,
            writes: BTreeMap::new(),
            stamps: HashSet::new(),
            posted: HashSet::new(),
            violations: Vec::new(),
            may_release: HashSet::new(),
            seen: BTreeMap::new(),
            log: Vec::new(),
            faults: BTreeMap::new(),
            step: 0,
            version: 0,
            uids: 0,
        }
    }

    pub fn advance(&mut self, by: Duration) {
        self.now.boot = self.now.boot.after(by);
        self.now.wall = self.now.wall.saturating_add(by).unwrap();
        let now = self.now;
        self.twilio.settle(now);
    }

    fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    /// `kubectl apply`.
    pub fn apply(&mut self, name: &str, json: serde_json::Value) {
        let key = key(name);
        let spec = spec(json);
        let version = self.next_version();
        self.secrets.entry(key.clone()).or_insert_with(|| credentials(1));
        if let Some(object) = self.objects.get_mut(&key) {
            if object.spec != spec {
                object.spec = spec;
                *object.metadata.generation.as_mut().unwrap() += 1;
                object.metadata.resource_version = Some(version);
            }
            return;
        }
        self.uids += 1;
        let metadata = ObjectMeta {
            name: Some(name.into()),
            namespace: Some(key.namespace.clone()),
            uid: Some(format!("uid-{}", self.uids)),
            generation: Some(1),
            resource_version: Some(version),
            ..ObjectMeta::default()
        };
        let status = Some(ClinicPhoneNumberStatus { observed_generation: Some(-1), ..Default::default() });
        self.objects.insert(key, ClinicPhoneNumber { metadata, spec, status });
    }

    /// Changes an object as a person would, generation and all.
    pub fn edit(&mut self, name: &str, change: impl FnOnce(&mut ClinicPhoneNumber)) {
        let version = self.next_version();
        let Some(object) = self.objects.get_mut(&key(name)) else { return };
        let before = object.spec.clone();
        change(object);
        if object.spec != before {
            *object.metadata.generation.as_mut().unwrap() += 1;
        }
        object.metadata.resource_version = Some(version);
    }

    pub fn annotate(&mut self, name: &str, annotation: &str, value: &str) {
        self.edit(name, |o| {
            o.metadata.annotations.get_or_insert_default().insert(annotation.to_owned(), value.to_owned());
        });
    }

    /// `kubectl delete`.
    pub fn delete(&mut self, name: &str) {
        let at = Time(self.now.wall);
        self.edit(name, |o| {
            if o.metadata.deletion_timestamp.is_none() {
                o.metadata.deletion_timestamp = Some(at);
                *o.metadata.generation.as_mut().unwrap() += 1;
            }
        });
        self.collect(&key(name));
    }

    /// An object that is being deleted goes with its last finalizer.
    pub fn collect(&mut self, key: &ObjectKey) {
        let gone = self.objects.get(key).is_some_and(|o| {
            o.metadata.deletion_timestamp.is_some() && o.metadata.finalizers.as_ref().is_none_or(Vec::is_empty)
        });
        if gone {
            self.objects.remove(key);
        }
    }

    /// A person takes the finalizer off and applies the resource anew.
    pub fn strip_and_apply(&mut self, name: &str) {
        let Some(old) = self.objects.remove(&key(name)) else { return };
        self.apply(name, serde_json::json!({}));
        self.edit(name, |o| {
            o.spec = old.spec;
            o.metadata.generation = Some(0);
        });
    }

    pub fn object(&self, name: &str) -> &ClinicPhoneNumber {
        &self.objects[&key(name)]
    }

    pub fn status(&self, name: &str) -> ClinicPhoneNumberStatus {
        self.objects.get(&key(name)).and_then(|o| o.status.clone()).unwrap_or_default()
    }

    pub fn gone(&self, name: &str) -> bool {
        !self.objects.contains_key(&key(name))
    }

    pub fn condition(&self, name: &str, kind: &str) -> Option<(String, String)> {
        let status = self.status(name);
        status.conditions.into_iter().find(|c| c.type_ == kind).map(|c| (c.status, c.reason))
    }

    pub fn reason(&self, name: &str) -> String {
        self.condition(name, "Ready").map(|(_, reason)| reason).unwrap_or_default()
    }

    pub fn ready(&self, name: &str) -> bool {
        self.condition(name, "Ready").is_some_and(|(status, _)| status == "True")
            && self.status(name).observed_generation == self.object(name).metadata.generation
            && self.condition(name, "Reconciling").is_none()
    }

    pub fn holds(&self, name: &str) -> Option<E164> {
        self.status(name).phone_number.map(|n| E164::parse(&n).unwrap())
    }

    /// The mark that a number of this resource carries.
    pub fn label(&self, name: &str, adopted: bool) -> String {
        format!("{} reception", self.defaults.installation.mark("clinic", name, adopted))
    }

    /// A write of the status subresource, refused if the version is old, or if it breaks the claim rule.
    pub fn put_status(
        &mut self,
        key: &ObjectKey,
        version: &str,
        status: ClinicPhoneNumberStatus,
    ) -> Result<(), &'static str> {
        let next = self.next_version();
        let object = self.objects.get_mut(key).ok_or("gone")?;
        if object.metadata.resource_version.as_deref() != Some(version) {
            return Err("conflict");
        }
        let old = object.status.as_ref().and_then(|s| s.claim.as_ref());
        if let Some(old) = old.filter(|c| c.attempts > 0 && c.outcome == ClaimOutcome::Unknown) {
            let kept =
                status.claim.as_ref().is_some_and(|c| c.phone_number == old.phone_number && c.attempts >= old.attempts);
            if !kept {
                self.violations.push(format!("a write dropped the unresolved claim {old:?}"));
                return Err("invalid");
            }
        }
        if let Some(claim) = status.claim.as_ref().filter(|c| c.attempts > 0) {
            self.stamps.insert((
                object.metadata.uid.clone().unwrap(),
                E164::parse(&claim.phone_number).unwrap(),
                u32::try_from(claim.attempts).unwrap(),
                claim.last_attempt_at.as_ref().map(|t| t.0),
            ));
        }
        object.status = Some(status);
        object.metadata.resource_version = Some(next);
        *self.writes.entry("status").or_default() += 1;
        Ok(())
    }

    pub fn set_finalizer(&mut self, key: &ObjectKey, version: &str, there: bool) -> Result<(), &'static str> {
        let next = self.next_version();
        let object = self.objects.get_mut(key).ok_or("gone")?;
        if object.metadata.resource_version.as_deref() != Some(version) {
            return Err("conflict");
        }
        let finalizers = object.metadata.finalizers.get_or_insert_default();
        finalizers.retain(|f| f != FINALIZER);
        if there {
            finalizers.push(FINALIZER.to_owned());
        }
        object.metadata.resource_version = Some(next);
        *self.writes.entry("finalizer").or_default() += 1;
        self.collect(key);
        Ok(())
    }

    pub fn writes_in_all(&self) -> usize {
        self.writes.values().sum()
    }

    /// Somebody touches the object.
    pub fn touch(&mut self, key: &ObjectKey) {
        let next = self.next_version();
        if let Some(object) = self.objects.get_mut(key) {
            object.metadata.resource_version = Some(next);
        }
    }
}
