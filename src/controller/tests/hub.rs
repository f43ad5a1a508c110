//! Where every call of every process goes through: counted, struck by faults, and watched for what must never happen.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use cpn_env::double::ApiServer;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use kube::ResourceExt as _;
use serde::Deserialize as _;
use serde_json::{Value, json};
use tower::{BoxError, Service as _};

use super::clock::WorldClock;
use super::fault::{self, Fault, Kind};
use super::watch::{self, Watched};
use crate::api::GROUP;
use crate::api::v1alpha1::ClinicPhoneNumber;
use crate::clock::Clock as _;
use crate::controller::Context;
use crate::controller::reconcile::{Next, pass_over};
use crate::domain::tag::Mark;
use crate::domain::{AccountSid, E164, Moment, OwnerTag};
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

/// What is shared by all processes and both transports.
pub struct Hub {
    pub clock: Arc<WorldClock>,
    pub simulator: Simulator,
    /// Woken when process 0 dies, and when the other one does.
    pub died: tokio::sync::Notify,
    neighbour_died: tokio::sync::Notify,
    inner: Mutex<Inner>,
}

/// Resources by their versions: each is looked at many times.
type Read = HashMap<String, Arc<ClinicPhoneNumber>>;

#[derive(Default)]
pub struct Inner {
    pub api: ApiServer,
    read: Read,
    /// Faults by the ordinal of the call of process 0 that they strike.
    pub faults: BTreeMap<usize, Fault>,
    /// The calls of process 0, in order.
    pub calls: Vec<Kind>,
    /// How many of them there were before each act.
    pub acts: Vec<usize>,
    /// Every call, for people.
    pub log: Vec<String>,
    /// What must never happen, and did.
    pub violations: Vec<String>,
    /// Numbers whose release a person asked for.
    pub may_release: HashSet<String>,
    /// Numbers that a person released in the console, perhaps without that anybody looked since.
    pub released_by_hand: HashSet<String>,
    /// Numbers that may be taken over from another installation.
    pub may_take_over: HashSet<String>,
    /// Tags that are ours in this world, of everything that was ever created, and whose they are.
    pub tags: HashMap<OwnerTag, String>,
    /// Purchases that are under way although nobody waits for them.
    late: Vec<(Moment, Request<Bytes>)>,
    /// What the watch remembers.
    pub watched: Watched,
    /// The other operator, and what process 0 works on.
    pub other: Option<Arc<Context>>,
    pub at_work: Option<ObjectKey>,
    /// Process 0 dies as soon as a purchase, or a release, is stamped.
    pub dies_after: Option<&'static str>,
    /// The other operator dies as soon as it has announced a claim.
    neighbour_dies: bool,
    /// A transport that sends again by itself what was interrupted: what the real one must not do.
    pub retries: bool,
    /// A transport that follows redirects: what the real one must not do.
    pub redirects: bool,
    /// Every call gives way to the other passes that are under way.
    pub lockstep: bool,
    /// Faults that chance chooses.
    pub drawn: Option<super::exhaustive::Drawn>,
    /// What a person does in the middle of a call.
    pub meanwhile: Option<fn(&Hub)>,
    /// Faults by the name of a call of process 0 and how many of that name came before.
    pub script: Vec<Strike>,
}

/// A resource as the operator's types have it.
fn typed(read: &mut Read, object: &Value) -> Arc<ClinicPhoneNumber> {
    let version = object["metadata"]["resourceVersion"].as_str().unwrap();
    if let Some(known) = read.get(version) {
        return Arc::clone(known);
    }
    let fresh = Arc::new(ClinicPhoneNumber::deserialize(object).unwrap());
    read.insert(version.to_owned(), Arc::clone(&fresh));
    fresh
}

impl Inner {
    /// Every resource.
    pub fn resources(&mut self) -> Vec<Arc<ClinicPhoneNumber>> {
        let Self { api, read, .. } = self;
        api.all("clinicphonenumbers").map(|object| typed(read, object)).collect()
    }
}

/// The n-th call of this name (from 1), and what strikes it.
pub type Strike = (&'static str, usize, Fault);

impl Hub {
    pub fn new(clock: Arc<WorldClock>, simulator: Simulator, api: ApiServer) -> Arc<Self> {
        let inner = Mutex::new(Inner { api, ..Inner::default() });
        Arc::new(Self {
            clock,
            simulator,
            died: tokio::sync::Notify::new(),
            neighbour_died: tokio::sync::Notify::new(),
            inner,
        })
    }

    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub fn object(&self, key: &ObjectKey) -> Option<Arc<ClinicPhoneNumber>> {
        let mut inner = self.inner();
        let Inner { api, read, .. } = &mut *inner;
        api.get("clinicphonenumbers", &key.namespace, &key.name).map(|object| typed(read, object))
    }

    pub fn objects(&self) -> Vec<Arc<ClinicPhoneNumber>> {
        self.inner().resources()
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
                let (retries, redirects) = {
                    let inner = hub.inner();
                    (inner.retries, inner.redirects)
                };
                let mut again = request.clone();
                match hub.twilio_call(process, request).await {
                    Err(TransportError::Interrupted(_)) if retries => hub.twilio_call(process, again).await,
                    Ok(answer) if redirects && answer.status() == 307 => {
                        *again.uri_mut() = answer.headers()["location"].to_str().unwrap().parse().unwrap();
                        hub.twilio_call(process, again).await
                    }
                    answer => answer,
                }
            }
        }))
    }

    /// Whether there are other resources than the one at work.
    fn crowd(&self) -> bool {
        self.inner().api.all("clinicphonenumbers").count() > 1
    }

    /// Counts a call and returns the fault that strikes it.
    fn enter(&self, process: usize, kind: &Kind) -> Option<Fault> {
        let mut inner = self.inner();
        let ordinal = inner.calls.len();
        let fault = if process == 0 {
            inner.calls.push(kind.clone());
            let nth = inner.calls.iter().filter(|k| k.name == kind.name).count();
            let scripted = inner.script.iter().find(|(name, n, _)| *name == kind.name && *n == nth).map(|(.., f)| *f);
            let chosen = inner.drawn.as_mut().and_then(|drawn| drawn.fault(ordinal, kind));
            inner.faults.get(&ordinal).copied().or(scripted).or(chosen)
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
            Some(Fault::Meanwhile) => self.meanwhile(),
            Some(Fault::Neighbour) => self.neighbours(false).await,
            Some(Fault::NeighbourDies) => self.neighbours(true).await,
            _ => {}
        }
    }

    /// Another operator passes once over every other resource; it may die as soon as it has announced a claim.
    pub fn neighbours(&self, dies: bool) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let (other, at_work) = {
                let inner = self.inner();
                (inner.other.clone(), inner.at_work.clone())
            };
            let Some(other) = other else { return };
            for object in self.objects() {
                let key = ObjectKey { namespace: object.namespace().unwrap(), name: object.name_any() };
                if Some(&key) != at_work.as_ref() {
                    self.inner().neighbour_dies = dies;
                    tokio::select! {
                        biased;
                        ended = pass_over(object, &other) => drop(ended),
                        () = self.neighbour_died.notified() => {}
                    }
                    self.inner().neighbour_dies = false;
                }
            }
        })
    }

    /// What happens after the call was answered, before the process goes on.
    async fn after(&self, fault: Option<Fault>) {
        match fault {
            Some(Fault::CrashAfter) => self.die().await,
            Some(Fault::Suspended) => {
                self.go_by(STANDSTILL);
            }
            Some(Fault::Overtaken) => self.other_passes(8).await,
            Some(Fault::OvertakenMeanwhile) => {
                self.meanwhile();
                self.other_passes(8).await;
            }
            Some(Fault::DiesMeanwhile) => {
                self.meanwhile();
                self.die().await;
            }
            _ => {}
        }
    }

    /// No answer, ever; what is under way meanwhile takes effect in its time.
    async fn hang(&self) -> ! {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.settle();
        }
    }

    /// Time goes by; what is under way takes effect in its time.
    pub fn go_by(&self, span: Duration) {
        let end = self.clock.now().boot.after(span);
        loop {
            let next = self.inner().late.iter().map(|(at, _)| *at).min().filter(|at| *at < end);
            let now = self.clock.now().boot;
            self.clock.jump(next.unwrap_or(end).until(now));
            self.settle();
            if next.is_none() {
                break;
            }
        }
    }

    fn meanwhile(&self) {
        let act = self.inner().meanwhile;
        if let Some(act) = act {
            act(self);
        }
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
                let wait = match pass_over(object, &other).await {
                    Ok(Next::After(wait)) => wait,
                    Ok(Next::OnChange) => return,
                    Err(_) => Duration::from_secs(1),
                };
                if pass + 1 < passes {
                    self.go_by(wait.min(Duration::from_secs(1800)));
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
        let kind = Kind { crowd: self.crowd(), ..fault::api_kind(&parts.method, &path, &body) };
        let fault = self.enter(process, &kind);
        if self.inner().lockstep {
            tokio::task::yield_now().await;
        }
        self.clock.jump(API_LATENCY);
        self.before(fault).await;
        match fault {
            Some(Fault::ApiLostBefore) => return Err("connection reset".into()),
            Some(Fault::ApiTimeoutBefore) => self.hang().await,
            Some(Fault::ApiError) => return Ok(failed(500, "InternalError", "etcdserver: request timed out")),
            Some(Fault::ApiForbidden) => return Ok(failed(403, "Forbidden", "not allowed")),
            Some(Fault::Conflict) => self.touch(&path),
            _ => {}
        }
        let (status, answer) = self.api(&parts.method, &path, &body);
        match fault {
            Some(Fault::ApiLostAfter) => return Err("connection reset".into()),
            Some(Fault::ApiTimeoutAfter) => self.hang().await,
            _ => {}
        }
        let written = status < 300;
        if process == 0 && written && self.inner().dies_after == Some(kind.name.as_str()) {
            self.inner().dies_after = None;
            self.die().await;
        }
        if process == 1 && written && self.inner().neighbour_dies && kind.name == fault::ANNOUNCED {
            self.neighbour_died.notify_one();
            std::future::pending::<()>().await;
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
        let before = (*method != Method::GET).then(|| watch::claims(&inner.resources()));
        let (status, answer) = inner.api.answer(method.as_str(), path, body, &now);
        if let Some(before) = before {
            inner.check_writing(&before, self.clock.now().boot);
        }
        if status >= 400 && status != 404 {
            inner.log.push(format!("       answered {status} {}", answer["message"].as_str().unwrap_or_default()));
        }
        (status, answer.to_string().into_bytes())
    }

    // What a person does.

    /// A call of Twilio by whoever has the account's token.
    pub fn console(&self, sid: &AccountSid, method: Method, path: &str, form: &[(&str, &str)]) -> Response<Bytes> {
        self.person(sid, method, &format!("2010-04-01/Accounts/{sid}/{path}"), form)
    }

    /// The same, of the messaging product; what it is answered.
    pub fn messaging(&self, sid: &AccountSid, method: Method, path: &str, form: &[(&str, &str)]) -> Value {
        let answer = self.person(sid, method, &format!("v1/{path}"), form);
        assert!(answer.status().is_success(), "{path}");
        serde_json::from_slice(answer.body()).unwrap()
    }

    fn person(&self, sid: &AccountSid, method: Method, path: &str, form: &[(&str, &str)]) -> Response<Bytes> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let token = self.simulator.token(sid).unwrap();
        let basic = data_encoding::BASE64.encode(format!("{sid}:{token}").as_bytes());
        let request = Request::builder()
            .method(method)
            .uri(format!("https://api.example.com/{path}"))
            .header("authorization", format!("Basic {basic}"))
            .header("content-type", "application/x-www-form-urlencoded");
        self.twilio(request.body(Bytes::from(body)).unwrap())
    }

    /// A call about a number, by whoever has the token of the account that holds it; the status of its answer.
    pub fn about(&self, number: &E164, method: Method, fields: &[(&str, &str)]) -> u16 {
        let row = self.simulator.numbers().into_iter().find(|row| row.phone_number == *number).unwrap();
        let path = format!("IncomingPhoneNumbers/{}.json", row.sid);
        self.console(&row.account_sid, method, &path, fields).status().as_u16()
    }

    fn path(name: &str) -> String {
        format!("/apis/{GROUP}/v1alpha1/namespaces/clinic/clinicphonenumbers/{name}")
    }

    /// A call of the API server by a person.
    pub fn call(&self, method: &Method, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let (status, answer) = self.api(method, path, &body);
        (status, serde_json::from_slice(&answer).unwrap())
    }

    /// Writes the spec, as `kubectl apply` does.
    pub fn apply_spec(&self, name: &str, spec: &Value) {
        let (status, _) = self.call(&Method::PATCH, &Self::path(name), &json!({"spec": spec}));
        if status == 404 {
            let body = json!({"apiVersion": format!("{GROUP}/v1alpha1"), "kind": "ClinicPhoneNumber", "metadata": {"name": name}, "spec": spec});
            let folder = Self::path(name).rsplit_once('/').unwrap().0.to_owned();
            let (status, answer) = self.call(&Method::POST, &folder, &body);
            assert_eq!(status, 201, "{answer}");
            // What was asked of a resource of this name before is not asked of this one.
            let watched = &mut self.inner().watched;
            watched.retained.remove(name);
            if spec["suspend"] != true {
                watched.suspended.remove(name);
            }
        }
    }

    /// Changes metadata.
    pub fn annotate(&self, name: &str, annotation: &str, value: &Value) {
        let body = json!({"metadata": {"annotations": {annotation: value}}});
        self.call(&Method::PATCH, &Self::path(name), &body);
    }

    /// Changes fields of the spec; null takes a field away.
    pub fn edit(&self, name: &str, patch: &Value) {
        if let Some(suspend) = patch["suspend"].as_bool() {
            let now = self.clock.now().boot;
            let suspended = &mut self.inner().watched.suspended;
            if suspend {
                suspended.insert(name.to_owned(), now)
            } else {
                suspended.remove(name)
            };
        }
        let now = self.clock.now().boot;
        match patch["deletionPolicy"].as_str() {
            Some("Retain") => drop(self.inner().watched.retained.insert(name.to_owned(), now)),
            Some(_) => drop(self.inner().watched.retained.remove(name)),
            None => {}
        }
        self.call(&Method::PATCH, &Self::path(name), &json!({"spec": patch}));
    }

    /// `kubectl delete`.
    pub fn delete(&self, name: &str) {
        self.call(&Method::DELETE, &Self::path(name), &Value::Null);
    }

    /// A person takes the finalizers off and deletes the resource.
    pub fn strip(&self, name: &str) {
        self.inner().watched.by_hand = true;
        self.call(&Method::PATCH, &Self::path(name), &json!({"metadata": {"finalizers": null}}));
        self.delete(name);
        self.inner().watched.by_hand = false;
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
        let anchored = kind.name == "list" && self.anchored();
        let kind = Kind { crowd: self.crowd(), anchored, ..kind };
        let fault = self.enter(process, &kind);
        if self.inner().lockstep {
            tokio::task::yield_now().await;
        }
        self.check_host(&request);
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
            Some(Fault::TimeoutBefore) => self.hang().await,
            Some(Fault::ResetBefore) => return Err(TransportError::Interrupted("connection reset".to_owned())),
            Some(Fault::Late | Fault::LateMeanwhile | Fault::LateOvertaken) => {
                if fault != Some(Fault::Late) {
                    self.meanwhile();
                }
                let at = self.clock.now().boot.after(LATE);
                self.inner().late.push((at, request));
                if fault == Some(Fault::LateOvertaken) {
                    self.other_passes(8).await;
                }
                self.hang().await;
            }
            Some(Fault::Unauthorized) => return Ok(refused(401, 20003, "Authenticate")),
            Some(Fault::RefuseOther) => return Ok(refused(400, 21631, "an address is required")),
            Some(Fault::Redirect) => return Ok(redirected(request.uri())),
            Some(fault) => {
                if let Some(scripted) = fault.scripted() {
                    self.simulator.put_faults(vec![FaultSpec::once("*", scripted)]);
                }
            }
            None => {}
        }
        let answer = self.twilio(request);
        match fault {
            Some(Fault::TimeoutAfter) => self.hang().await,
            Some(Fault::ResetAfter) => return Err(TransportError::Interrupted("connection reset".to_owned())),
            Some(Fault::Hole) => return Ok(without_numbers(&answer)),
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

fn redirected(uri: &http::Uri) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = http::StatusCode::TEMPORARY_REDIRECT;
    let location = format!("https://elsewhere.example.net{}", uri.path());
    response.headers_mut().insert("location", location.parse().unwrap());
    response
}

/// A list that tells of no number.
fn without_numbers(answer: &Response<Bytes>) -> Response<Bytes> {
    let mut body: Value = serde_json::from_slice(answer.body()).unwrap();
    body["incoming_phone_numbers"] = json!([]);
    let mut response = Response::new(Bytes::from(body.to_string()));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

fn failed(code: u16, reason: &str, message: &str) -> Response<Full<Bytes>> {
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code});
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap();
    response
}

fn refused(status: u16, code: u32, message: &str) -> Response<Bytes> {
    let body = json!({"code": code, "message": message, "more_info": "", "status": status});
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}
