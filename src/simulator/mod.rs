//! A simulated Twilio: the real one charges for every number and cannot be run.
//!
//! `state` is the account model, `routes` and what it calls are the API over it: pure functions of world, request and
//! time. Around them: `faults` (scripted failures), `control` (`/_simulator/`, never a path of Twilio's), `inbound`
//! (messages to webhooks), `store` (a file that survives restarts) and `serve` (a socket that can be cut). [`inbox`] is
//! a sample endpoint for those messages. What is assumed about Twilio stands in `docs/simulator.md`.
//!
//! Not simulated: registration with carriers, voice, XML.

mod control;
mod faults;
mod inbound;
pub mod inbox;
mod numbers;
mod plan;
mod record;
mod records;
mod regulatory;
mod routes;
mod search;
mod serve;
mod services;
mod state;
mod stock;
mod store;
#[cfg(test)]
mod tests;
mod wire;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use k8s_openapi::jiff::Timestamp;
use url::Url;

use crate::clock::SharedClock;
use crate::domain::AccountSid;
pub use faults::{Fault, FaultMatch, FaultSpec};
use faults::{Faults, Subject};
pub use inbound::{Delivery, InboundMessage};
pub use record::Recorder;
pub use regulatory::BundleSpec;
use routes::{Operation, Route};
pub use services::Compliance;
pub use state::{
    AccountPatch, AccountSpec, AccountStatus, AccountType, ApiKey, Behaviour, BuyOwned, Call, Direction, Fate,
    HeldSpec, KeyType, Ledger, LedgerEntry, Message, NumberRow,
};
use state::{Change, World};
pub use stock::{Kind, StockLimit};
use store::Store;
use wire::{Answer, ApiError, Request};

/// How a simulator is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How it behaves; can be changed later.
    pub behaviour: Behaviour,
    /// Whether an unknown account comes to life when it is used. Off where accounts are given.
    pub any_account: bool,
    /// Where inbound messages really go, whatever host the webhook names.
    pub deliver_to: Option<Url>,
    /// Writes down what is asked and answered.
    pub record: Option<Recorder>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { behaviour: Behaviour::default(), any_account: true, deliver_to: None, record: None }
    }
}

/// The connection was cut before an answer came: what `reset_before` and `reset_after` do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("connection reset")]
pub struct Severed;

/// An answer, read into memory.
pub type Response = http::Response<Bytes>;

/// A simulated Twilio. Clones share one state.
#[derive(Clone)]
pub struct Simulator {
    shared: Arc<Shared>,
}

struct Shared {
    clock: SharedClock,
    deliver_to: Option<Url>,
    record: Option<Recorder>,
    clients: inbound::Clients,
    in_flight: AtomicU64,
    inner: Mutex<Inner>,
}

struct Inner {
    world: World,
    store: Option<Store>,
}

/// Counts a request for as long as it lives.
struct InFlight<'a>(&'a AtomicU64);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Simulator {
    /// A simulator that forgets everything when it is dropped.
    pub fn new(settings: Settings, clock: SharedClock) -> Self {
        let world = World::new(settings.behaviour, settings.any_account);
        Self::with(settings, clock, None, world)
    }

    /// A simulator whose state is kept in a file. What `PUT settings` set is part of that state and wins over
    /// `settings`.
    ///
    /// # Errors
    /// When the file cannot be read or written, or holds something else.
    pub fn open(settings: Settings, clock: SharedClock, path: &Path) -> std::io::Result<Self> {
        let mut world = World::new(settings.behaviour, settings.any_account);
        let store = Store::open(path, &mut world)?;
        Ok(Self::with(settings, clock, Some(store), world))
    }

    fn with(settings: Settings, clock: SharedClock, store: Option<Store>, world: World) -> Self {
        Self {
            shared: Arc::new(Shared {
                clock,
                deliver_to: settings.deliver_to,
                record: settings.record,
                clients: inbound::Clients::default(),
                in_flight: AtomicU64::new(0),
                inner: Mutex::new(Inner { world, store }),
            }),
        }
    }

    /// The simulator as a service in process: no sockets, so that tests run it under a paused clock.
    pub fn service(&self) -> Service {
        Service { simulator: self.clone() }
    }

    /// Answers one request, of Twilio's API or of the control API.
    async fn answer(self, request: http::Request<Bytes>) -> Result<Response, Severed> {
        let (parts, body) = request.into_parts();
        if let Some(path) = parts.uri.path().strip_prefix("/_simulator/") {
            return Ok(control::answer(&self, &parts.method, path, &body).await);
        }
        self.shared.in_flight.fetch_add(1, Ordering::Relaxed);
        let _guard = InFlight(&self.shared.in_flight);
        self.twilio(Request::read(parts.method, &parts.uri, &parts.headers, &body)).await
    }

    async fn twilio(&self, request: Request) -> Result<Response, Severed> {
        let route = routes::find(&request);
        // A fault is dealt out when the call arrives, so that "the nth call" means the order of arrival.
        let (latency, fault) = self.change(|world, _| (world.behaviour.latency_ms, strike(world, &request, &route)));
        pause(latency).await;
        match fault {
            None => Ok(self.told(&request, &route, None)),
            Some(Fault::Refuse) => Ok(self.told(&request, &route, Some(refusal(&request, &route)))),
            Some(Fault::NotFound) => Ok(self.told(&request, &route, Some(ApiError::not_found(&request.path)))),
            Some(Fault::Http429) => {
                let error = ApiError::new(429, 20429, "Too Many Requests");
                Ok(self.told(&request, &route, Some(error)))
            }
            Some(Fault::Http503) => {
                let error = ApiError::new(503, 20503, "Service Unavailable");
                Ok(self.told(&request, &route, Some(error)))
            }
            Some(Fault::Http500After) => {
                self.effect(&request, &route, Some(500));
                Ok(self.reply(ApiError::new(500, 20500, "Internal Server Error").into()))
            }
            Some(Fault::Garbage) => {
                let answer = self.effect(&request, &route, None);
                Ok(self.garbage(answer))
            }
            Some(Fault::Slow(ms)) => {
                let answer = self.effect(&request, &route, None);
                pause(ms).await;
                Ok(self.reply(answer))
            }
            Some(Fault::ResetBefore) => {
                self.note(&request, &route, 0);
                Err(Severed)
            }
            Some(Fault::ResetAfter) => {
                self.effect(&request, &route, Some(0));
                Err(Severed)
            }
            Some(Fault::TimeoutBefore) => {
                self.note(&request, &route, 0);
                std::future::pending().await
            }
            Some(Fault::TimeoutAfter) => {
                self.effect(&request, &route, Some(0));
                std::future::pending().await
            }
            Some(Fault::Late(ms)) => {
                self.note(&request, &route, 0);
                let simulator = self.clone();
                // On its own: the effect comes even if the client, and with it this call, has gone.
                tokio::spawn(async move {
                    pause(ms).await;
                    simulator.change(|world, now| drop(routes::handle(world, &request, &route, now)));
                });
                std::future::pending().await
            }
        }
    }

    /// Lets a call take effect and notes it, with the status that the client is told if that is another one.
    fn effect(&self, request: &Request, route: &Route, told: Option<u16>) -> Answer {
        let (answer, written) = self.change_and_write(|world, now| {
            let answer = routes::handle(world, request, route, now);
            world.apply(Change::Call(call(request, route, told.unwrap_or(answer.status), now)));
            answer
        });
        // What is not on disk is not answered as done.
        match written {
            Ok(()) => answer,
            Err(error) => ApiError::new(500, 20500, format!("state file: {error}")).into(),
        }
    }

    /// Answers a call: as it deserves, or with an error and without effect.
    fn told(&self, request: &Request, route: &Route, instead: Option<ApiError>) -> Response {
        let answer = match instead {
            None => self.effect(request, route, None),
            Some(error) => {
                self.note(request, route, error.status);
                error.into()
            }
        };
        if let Some(recorder) = &self.shared.record {
            recorder.note(request, &route.operation.id(), &answer);
        }
        self.reply(answer)
    }

    /// Notes a call that had no effect.
    fn note(&self, request: &Request, route: &Route, status: u16) {
        self.change(|world, now| world.apply(Change::Call(call(request, route, status, now))));
    }

    fn reply(&self, answer: Answer) -> Response {
        let body = answer.body.map(|body| Bytes::from(body.to_string()));
        let mut response = http::Response::new(body.clone().unwrap_or_default());
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json;charset=utf-8"));
        }
        if answer.status == 401 {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Twilio API\""));
        }
        headers.insert("twilio-concurrent-requests", HeaderValue::from(self.shared.in_flight.load(Ordering::Relaxed)));
        headers.insert("twilio-request-duration", HeaderValue::from_static("0.010"));
        if let Ok(id) = HeaderValue::from_str(&self.change(|world, now| world.new_sid("RQ", now))) {
            headers.insert("twilio-request-id", id);
        }
        response
    }

    fn garbage(&self, answer: Answer) -> Response {
        // 204 cannot have a body.
        let status = if answer.status == 204 { 200 } else { answer.status };
        let mut response = self.reply(Answer { status, ..answer });
        *response.body_mut() = Bytes::from_static(b"{\"sid\": \"");
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json;charset=utf-8"));
        response
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere left a whole world: changes are applied one by one.
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, with: impl FnOnce(&World) -> T) -> T {
        with(&self.inner().world)
    }

    /// Changes the world and writes the changes down before anybody is told; says whether that could be done.
    fn change_and_write<T>(&self, with: impl FnOnce(&mut World, Timestamp) -> T) -> (T, std::io::Result<()>) {
        let now = self.shared.clock.now().wall;
        let mut inner = self.inner();
        let Inner { world, store } = &mut *inner;
        let result = with(world, now);
        let lines = world.take_journal();
        let written = store.as_mut().map_or(Ok(()), |store| store.append(&lines));
        (result, written)
    }

    /// The same where nobody is told: the call log, faults, settings.
    fn change<T>(&self, with: impl FnOnce(&mut World, Timestamp) -> T) -> T {
        let (result, written) = self.change_and_write(with);
        if let Err(error) = written {
            tracing::error!(%error, "the state file cannot be written");
        }
        result
    }

    /// Replaces the faults.
    pub fn put_faults(&self, faults: Vec<FaultSpec>) {
        self.change(|world, _| world.put_faults(faults));
    }

    /// Replaces what becomes of messages; without a word they are delivered.
    pub fn put_fates(&self, fates: Vec<Fate>) {
        self.change(|world, _| world.fates = fates);
    }

    /// The faults as they were put.
    pub fn faults(&self) -> Vec<FaultSpec> {
        self.read(|world| world.faults.specs())
    }

    /// Replaces the limits of the stock.
    ///
    /// # Errors
    /// When a country, type or area code is not on offer.
    pub fn put_stock(&self, limits: Vec<StockLimit>) -> Result<(), String> {
        self.change(|world, _| world.put_stock(limits))
    }

    /// The limits of the stock.
    pub fn stock(&self) -> Vec<StockLimit> {
        self.read(|world| world.stock.limits().to_vec())
    }

    /// How it behaves now.
    pub fn behaviour(&self) -> Behaviour {
        self.read(|world| world.behaviour)
    }

    /// Changes how it behaves.
    pub fn set_settings(&self, behaviour: Behaviour) {
        self.change(|world, _| world.apply(Change::Behaviour(behaviour)));
    }

    /// Adds or replaces accounts.
    ///
    /// # Errors
    /// When a number or an API key is another account's; accounts before that one are added.
    pub fn add_accounts(&self, accounts: Vec<AccountSpec>) -> Result<(), String> {
        self.change(|world, now| accounts.into_iter().try_for_each(|account| world.add_account(account, now)))
    }

    /// Adds those accounts that are not there yet: a restart must not undo what happened since.
    ///
    /// # Errors
    /// As [`Simulator::add_accounts`].
    pub fn add_new_accounts(&self, accounts: Vec<AccountSpec>) -> Result<(), String> {
        let new = |account: &AccountSpec| self.read(|world| world.account(&account.account_sid).is_none());
        self.add_accounts(accounts.into_iter().filter(new).collect())
    }

    /// Changes an account; false when there is none.
    pub fn patch_account(&self, sid: &AccountSid, patch: AccountPatch) -> bool {
        self.change(|world, now| world.patch_account(sid, patch, now))
    }

    /// Sets what carriers have decided about campaigns and toll-free numbers.
    ///
    /// # Errors
    /// When there is no such service or number; nothing is set then.
    pub fn put_compliance(&self, states: Compliance) -> Result<(), String> {
        self.change(|world, _| states.set(world))
    }

    /// The auth token of an account: what its webhooks are signed with.
    pub fn token(&self, sid: &AccountSid) -> Option<String> {
        self.read(|world| world.account(sid).map(|account| account.auth_token.clone()))
    }

    /// All sales and releases.
    pub fn ledger(&self) -> Ledger {
        self.read(|world| world.ledger.clone())
    }

    /// All held numbers.
    pub fn numbers(&self) -> Vec<NumberRow> {
        self.read(World::rows)
    }

    /// All calls of Twilio's API.
    pub fn calls(&self) -> Vec<Call> {
        self.read(|world| world.calls.clone())
    }

    /// How many calls there were.
    pub fn call_count(&self) -> usize {
        self.read(|world| world.calls.len())
    }

    /// All messages, sent and received.
    pub fn messages(&self) -> Vec<Message> {
        self.read(|world| world.messages.clone())
    }
}

async fn pause(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// Counts the call for the faults and returns the one that strikes.
fn strike(world: &mut World, request: &Request, route: &Route) -> Option<Fault> {
    if world.faults.is_empty() {
        return None;
    }
    let number = routes::subject(world, request, &route.operation);
    let account = account_of(request, route);
    let operation = route.operation.id();
    let subject = Subject { operation: &operation, account: account.as_ref(), number: number.as_ref() };
    let mut faults: Faults = world.faults.clone();
    let fault = faults.strike(&subject);
    world.apply(Change::Faults(faults));
    fault
}

/// The account in the path; where there is none (prices), the one that asks.
fn account_of(request: &Request, route: &Route) -> Option<AccountSid> {
    let asking = || request.credentials.as_ref().and_then(|(user, _)| AccountSid::parse(user).ok());
    route.account.clone().or_else(asking)
}

fn call(request: &Request, route: &Route, status: u16, at: Timestamp) -> Call {
    Call {
        at,
        method: request.method.to_string(),
        path: request.path.clone(),
        operation: route.operation.id(),
        account_sid: account_of(request, route),
        status,
    }
}

/// What `refuse` answers: a purchase, that the number is not available; anything else, that it is not valid.
fn refusal(request: &Request, route: &Route) -> ApiError {
    if matches!(route.operation, Operation::Buy(_)) {
        let number = request.form_value("PhoneNumber").or(request.form_value("AreaCode")).unwrap_or_default();
        ApiError::bad(21422, format!("{number} is not available"))
    } else {
        ApiError::bad(20422, format!("{} was refused by a simulated fault", route.operation.id()))
    }
}

/// A simulator as a service in process.
#[derive(Clone)]
pub struct Service {
    simulator: Simulator,
}

impl tower::Service<http::Request<Bytes>> for Service {
    type Response = Response;
    type Error = Severed;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Severed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Severed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Bytes>) -> Self::Future {
        Box::pin(self.simulator.clone().answer(request))
    }
}
