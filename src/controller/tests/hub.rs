//! Where every call of every process goes through: counted, struck by faults, and watched for what must never happen.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use cpn_env::double::ApiServer;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tower::{BoxError, Service as _};

use super::clock::WorldClock;
use super::fault::{self, Fault, Kind};
use crate::api::v1alpha1::{ClaimOutcome, ClinicPhoneNumber};
use crate::clock::Clock as _;
use crate::controller::Context;
use crate::controller::reconcile::{Next, pass_over};
use crate::domain::tag::Mark;
use crate::domain::{E164, Moment, OwnerTag};
use crate::plan::ObjectKey;
use crate::simulator::{FaultSpec, Simulator};
use crate::twilio::{Transport, TransportError};

/// Time that one call takes.
const TWILIO_LATENCY: Duration = Duration::from_millis(40);
const API_LATENCY: Duration = Duration::from_millis(4);
/// When a late purchase takes effect: after the client gave up, before the window is over.
const LATE: Duration = Duration::from_secs(50);
/// How long a process stands still: longer than the window.
pub const STANDSTILL: Duration = Duration::from_secs(150);

/// What makes a stamp: resource, number, attempts, releases, and when the last attempt was stamped.
type Stamp = (String, String, i32, i32, Option<Time>);

/// What is shared by all processes and both transports.
pub struct Hub {
    pub clock: Arc<WorldClock>,
    pub simulator: Simulator,
    /// Woken when a process dies.
    pub died: tokio::sync::Notify,
    inner: Mutex<Inner>,
}

#[derive(Default)]
pub struct Inner {
    pub api: ApiServer,
    /// Faults by the ordinal of the call of process 0 that they strike.
    pub faults: BTreeMap<usize, Fault>,
    /// The calls of process 0, in order.
    pub calls: Vec<Kind>,
    /// Every call, for people.
    pub log: Vec<String>,
    /// What must never happen, and did.
    pub violations: Vec<String>,
    /// Numbers whose release a person asked for.
    pub may_release: HashSet<String>,
    /// Numbers that may be taken over from another installation.
    pub may_take_over: HashSet<String>,
    /// Tags that are ours in this world, with everything that was ever created.
    pub tags: HashSet<OwnerTag>,
    /// Purchases that are under way although nobody waits for them.
    late: Vec<(Moment, Request<Bytes>)>,
    /// Stamps that were used: at most one call for each.
    used: Vec<Stamp>,
    /// The other operator, and what process 0 works on.
    pub other: Option<Arc<Context>>,
    pub at_work: Option<ObjectKey>,
    /// Process 0 dies as soon as a stamp is written.
    pub dies_after_stamp: bool,
    /// A transport that sends again by itself what was interrupted, as a mutation.
    pub retries: bool,
    /// Whether every name and text that leaves is searched for secrets.
    pub secrets: BTreeSet<String>,
}

impl Hub {
    pub fn new(clock: Arc<WorldClock>, simulator: Simulator, api: ApiServer) -> Arc<Self> {
        let inner = Mutex::new(Inner { api, ..Inner::default() });
        Arc::new(Self { clock, simulator, died: tokio::sync::Notify::new(), inner })
    }

    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub fn object(&self, key: &ObjectKey) -> Option<ClinicPhoneNumber> {
        let object = self.inner().api.get("clinicphonenumbers", &key.namespace, &key.name).cloned();
        object.map(|o| serde_json::from_value(o).unwrap())
    }

    pub fn objects(&self) -> Vec<ClinicPhoneNumber> {
        self.inner().api.all("clinicphonenumbers").map(|o| serde_json::from_value(o.clone()).unwrap()).collect()
    }

    pub fn violation(&self, what: String) {
        self.inner().violations.push(what);
    }

    /// The client that a process talks to the API server with.
    pub fn kube(self: &Arc<Self>, process: usize) -> kube::Client {
        let hub = Arc::clone(self);
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let hub = Arc::clone(&hub);
            async move { hub.api_call(process, request).await }
        });
        kube::Client::new(service, "clinic")
    }

    /// The transport that a process talks to Twilio with.
    pub fn transport(self: &Arc<Self>, process: usize) -> Transport {
        let hub = Arc::clone(self);
        Transport::new(tower::service_fn(move |request: Request<Bytes>| {
            let hub = Arc::clone(&hub);
            async move {
                let again = hub.inner().retries.then(|| request.clone());
                let answer = hub.twilio_call(process, request).await;
                match (answer, again) {
                    (Err(TransportError::Interrupted(_)), Some(request)) => hub.twilio_call(process, request).await,
                    (answer, _) => answer,
                }
            }
        }))
    }

    /// Counts a call and returns the fault that strikes it.
    fn enter(&self, process: usize, kind: &Kind) -> Option<Fault> {
        let mut inner = self.inner();
        let ordinal = inner.calls.len();
        let fault = if process == 0 {
            inner.calls.push(kind.clone());
            inner.faults.get(&ordinal).copied()
        } else {
            None
        };
        let struck = fault.map(|f| format!(" !! {f}")).unwrap_or_default();
        let number = if process == 0 { format!("#{ordinal}") } else { "  ".to_owned() };
        let line = format!("{number} p{process} {kind}{struck}");
        inner.log.push(line);
        fault
    }

    /// What happens before the call itself; an error: the call does not happen.
    async fn before(&self, fault: Option<Fault>) {
        match fault {
            Some(Fault::CrashBefore) => self.die().await,
            Some(Fault::Second) => drop(self.other_passes(1).await),
            _ => {}
        }
    }

    /// What happens after the call was answered, before the process goes on.
    async fn after(&self, fault: Option<Fault>) {
        match fault {
            Some(Fault::CrashAfter) => self.die().await,
            Some(Fault::Suspended) => {
                self.clock.jump(STANDSTILL);
                self.settle();
            }
            Some(Fault::Overtaken) => self.other_passes(8).await,
            _ => {}
        }
    }

    /// Whether a stamp was just written after which process 0 is to die.
    fn stamped(&self) -> bool {
        let (key, dies) = {
            let inner = self.inner();
            (inner.at_work.clone(), inner.dies_after_stamp)
        };
        let Some(key) = key.filter(|_| dies) else { return false };
        let stamped = self.object(&key).and_then(|o| o.status?.claim).is_some_and(|c| c.attempts > 0);
        if stamped {
            self.inner().dies_after_stamp = false;
        }
        stamped
    }

    async fn die(&self) {
        self.died.notify_one();
        std::future::pending::<()>().await;
    }

    /// Another operator looks at the same resource, for so many passes; between them it waits as long as it wants to.
    fn other_passes(&self, passes: usize) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            for pass in 0..passes {
                let (other, key) = {
                    let inner = self.inner();
                    (inner.other.clone(), inner.at_work.clone())
                };
                let (Some(other), Some(key)) = (other, key) else { return };
                let Some(object) = self.object(&key) else { return };
                let wait = match pass_over(Arc::new(object), &other).await {
                    Ok(Next::After(wait)) => wait,
                    Ok(Next::OnChange) => return,
                    Err(_) => Duration::from_secs(1),
                };
                if pass + 1 < passes {
                    self.clock.jump(wait.min(Duration::from_secs(1800)));
                    self.settle();
                }
            }
        })
    }

    async fn api_call(
        &self,
        process: usize,
        request: Request<kube::client::Body>,
    ) -> Result<Response<Full<Bytes>>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let path = parts.uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
        let kind = fault::api_kind(&parts.method, &path, &body);
        let fault = self.enter(process, &kind);
        self.clock.jump(API_LATENCY);
        self.before(fault).await;
        match fault {
            Some(Fault::ApiLostBefore) => return Err("connection reset".into()),
            Some(Fault::ApiTimeoutBefore) => std::future::pending().await,
            Some(Fault::ApiError) => return Ok(failed(500, "InternalError", "etcdserver: request timed out")),
            Some(Fault::ApiForbidden) => return Ok(failed(403, "Forbidden", "not allowed")),
            Some(Fault::Conflict) => self.touch(&path),
            _ => {}
        }
        let (status, answer) = self.api(&parts.method, &path, &body);
        match fault {
            Some(Fault::ApiLostAfter) => return Err("connection reset".into()),
            Some(Fault::ApiTimeoutAfter) => std::future::pending().await,
            _ => {}
        }
        if process == 0 && kind.name == "put status" && self.stamped() {
            self.die().await;
        }
        self.after(fault).await;
        let mut response = Response::new(Full::new(Bytes::from(answer)));
        *response.status_mut() = http::StatusCode::from_u16(status)?;
        Ok(response)
    }

    /// A call of the API server, its effect and its answer.
    pub fn api(&self, method: &Method, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let now = self.clock.now().whole_seconds().wall.to_string();
        let mut inner = self.inner();
        let text = String::from_utf8_lossy(body);
        if let Some(secret) = inner.secrets.iter().find(|s| text.contains(s.as_str())).cloned() {
            inner.violations.push(format!("{secret} was written to the API server: {method} {path}"));
        }
        let (status, answer) = inner.api.answer(method.as_str(), path, body, &now);
        if status >= 400 && status != 404 {
            inner.log.push(format!("       answered {status} {}", answer["message"].as_str().unwrap_or_default()));
        }
        (status, answer.to_string().into_bytes())
    }

    /// Somebody else writes the object just before.
    fn touch(&self, path: &str) {
        let object = path.split('?').next().unwrap().trim_end_matches("/status");
        let patch = format!(r#"{{"metadata":{{"annotations":{{"touched":"{}"}}}}}}"#, self.inner().log.len());
        let (status, _) = self.api(&Method::PATCH, object, patch.as_bytes());
        if status == 404 {
            // The ledger is created by two at once.
            if let Some((folder, name)) = object.rsplit_once('/') {
                let body = format!(r#"{{"metadata":{{"name":"{name}"}}}}"#);
                self.api(&Method::POST, folder, body.as_bytes());
            }
        }
    }

    async fn twilio_call(&self, process: usize, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let kind = fault::twilio_kind(request.method(), request.uri().path());
        let fault = self.enter(process, &kind);
        self.clock.jump(TWILIO_LATENCY);
        self.settle();
        self.before(fault).await;
        if fault == Some(Fault::NotSent) {
            return Err(TransportError::NotSent("connection refused".to_owned()));
        }
        if kind.write {
            self.check_sending(&request, &kind);
        }
        match fault {
            Some(Fault::TimeoutBefore) => return std::future::pending().await,
            Some(Fault::ResetBefore) => return Err(TransportError::Interrupted("connection reset".to_owned())),
            Some(Fault::Late) => {
                let at = self.clock.now().boot.after(LATE);
                self.inner().late.push((at, request));
                return std::future::pending().await;
            }
            Some(Fault::Unauthorized) => return Ok(refused(401, 20003, "Authenticate")),
            Some(Fault::RefuseOther) => return Ok(refused(400, 21631, "an address is required")),
            Some(fault) => {
                if let Some(scripted) = fault.scripted() {
                    self.simulator.put_faults(vec![FaultSpec::once("*", scripted)]);
                }
            }
            None => {}
        }
        let answer = self.twilio(request);
        match fault {
            Some(Fault::TimeoutAfter) => return std::future::pending().await,
            Some(Fault::ResetAfter) => return Err(TransportError::Interrupted("connection reset".to_owned())),
            _ => {}
        }
        self.after(fault).await;
        Ok(answer)
    }

    /// A call of Twilio, its effect and its answer.
    pub fn twilio(&self, request: Request<Bytes>) -> Response<Bytes> {
        // Nothing is awaited in there: no latency, and no fault that holds a call.
        self.simulator.service().call(request).now_or_never().unwrap().unwrap()
    }

    /// Lets what is under way take effect, as far as its time has come.
    pub fn settle(&self) {
        let now = self.clock.now().boot;
        let due: Vec<_> = self.inner().late.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, request) in due {
            self.inner().log.push("       a late request takes effect".to_owned());
            self.twilio(request);
        }
    }

    /// Whether nothing is under way.
    pub fn quiet(&self) -> bool {
        self.inner().late.is_empty()
    }

    /// What is about to be sent must have been stamped, must be ours, and must have been asked for.
    fn check_sending(&self, request: &Request<Bytes>, kind: &Kind) {
        let form: BTreeMap<String, String> =
            url::form_urlencoded::parse(request.body()).into_owned().collect::<BTreeMap<_, _>>();
        let sid = request.uri().path().rsplit('/').next().unwrap_or_default().trim_end_matches(".json").to_owned();
        let held = self.simulator.numbers().into_iter().find(|n| n.sid.as_str() == sid);
        match kind.name.as_str() {
            "buy" => {
                let number = form.get("PhoneNumber").cloned().unwrap_or_default();
                let tag = form.get("FriendlyName").and_then(|name| Mark::read(name)).map(|m| m.tag);
                self.check_stamp(&number, tag.as_ref(), "bought");
                if let Some(held) = self.simulator.numbers().into_iter().find(|n| n.phone_number.as_str() == number) {
                    let theirs = Mark::read(&held.friendly_name).is_none_or(|m| !self.inner().tags.contains(&m.tag));
                    if theirs {
                        self.violation(format!(
                            "a purchase of {number} was sent although the account holds it as another's"
                        ));
                    }
                }
            }
            "update" => {
                let Some(held) = held else { return };
                let foreign = Mark::read(&held.friendly_name).is_some_and(|m| !self.inner().tags.contains(&m.tag));
                let allowed = self.inner().may_take_over.contains(held.phone_number.as_str());
                if foreign && !allowed {
                    self.violation(format!(
                        "{} carries another installation's tag and was written to",
                        held.phone_number
                    ));
                }
            }
            "release" => {
                let Some(held) = held else { return };
                let number = held.phone_number.to_string();
                let asked = self.inner().may_release.contains(&number);
                if !asked {
                    self.violation(format!("{number} is being released and nobody asked for it"));
                }
                let stamp = self.objects().into_iter().find_map(|o| {
                    let claim =
                        o.status.as_ref()?.claim.clone().filter(|c| c.phone_number == number && c.releasing > 0)?;
                    Some((o.metadata.uid?, number.clone(), claim.attempts, claim.releasing, claim.last_attempt_at))
                });
                self.use_up(stamp, &format!("a release of {number}"));
            }
            _ => {}
        }
    }

    fn check_stamp(&self, number: &str, tag: Option<&OwnerTag>, what: &str) {
        let stamp = self.objects().into_iter().find_map(|o| {
            let claim = o.status.as_ref()?.claim.clone().filter(|c| {
                c.phone_number == number && c.attempts > 0 && c.tag.as_deref() == tag.map(OwnerTag::as_str)
            })?;
            let stamp = (o.metadata.uid?, number.to_owned(), claim.attempts, -1, claim.last_attempt_at);
            (claim.outcome == ClaimOutcome::Unknown).then_some(stamp)
        });
        let ledger = self.inner().api.get("configmaps", "operator", crate::controller::ledger::NAME).cloned();
        let stamps = ledger.map(|l| l["data"]["stamps"].as_str().unwrap_or_default().to_owned()).unwrap_or_default();
        let line = format!(" {} {number} ", tag.map(OwnerTag::as_str).unwrap_or_default());
        if !stamps.contains(&line) {
            self.violation(format!("{number} is being {what} and the ledger does not know"));
        }
        self.use_up(stamp, &format!("a purchase of {number}"));
    }

    /// One stamp allows one call.
    fn use_up(&self, stamp: Option<Stamp>, what: &str) {
        let Some(stamp) = stamp else { return self.violation(format!("{what} is sent without a stamp")) };
        let again = self.inner().used.contains(&stamp);
        if again {
            self.violation(format!("{what} is sent twice for one stamp"));
        }
        self.inner().used.push(stamp);
    }

    /// How many numbers were sold with each tag, over the whole life.
    pub fn sales(&self) -> BTreeMap<String, Vec<E164>> {
        let mut sales: BTreeMap<String, Vec<E164>> = BTreeMap::new();
        for sale in self.simulator.ledger().purchases {
            let tag = Mark::read(&sale.friendly_name).map(|m| m.tag.to_string()).unwrap_or_default();
            sales.entry(tag).or_default().push(sale.phone_number);
        }
        sales
    }
}

fn failed(code: u16, reason: &str, message: &str) -> Response<Full<Bytes>> {
    let body = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code});
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap();
    response
}

fn refused(status: u16, code: u32, message: &str) -> Response<Bytes> {
    let body = serde_json::json!({"code": code, "message": message, "more_info": "", "status": status});
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}
