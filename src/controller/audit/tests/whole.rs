//! Whole audits over an API server and a Twilio in memory: what is read, what stands in the way, and what is told. What is
//! found in it is tested in `plan::audit`.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cpn_env::double::{ApiServer, kinds};
use futures::FutureExt as _;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use kube::runtime::watcher;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Service as _};

use super::*;
use crate::api::{ClinicPhoneNumber, GROUP};
use crate::clock::Clock as _;
use crate::controller::accounts::{Accounts, Closed, Lane};
use crate::controller::tests::clock::WorldClock;
use crate::controller::{Ends, Settings};
use crate::domain::{Class, Meaning, Trouble};
use crate::plan::desired::Defaults;
use crate::simulator::{AccountSpec, Fault, FaultSpec, HeldSpec, Simulator};
use crate::telemetry::Metrics;
use crate::twilio::{self, Transport, TransportError};

const LIST: &str = "ListIncomingPhoneNumber";
const FETCH: &str = "FetchIncomingPhoneNumber";
const PRICES: &str = "FetchPhoneNumberCountry";
/// Every namespace.
const ALL: &[&str] = &[];

fn token(n: u32) -> String {
    format!("c0ffee0badc0ffee0badc0ffee{n:06x}")
}

fn e164(n: u32) -> E164 {
    number(n).phone_number
}

fn sid(n: u32) -> PhoneNumberSid {
    number(n).phone_number_sid
}

fn id(text: &str) -> InstallationId {
    InstallationId::parse(text).unwrap()
}

/// The label of a number of this installation.
fn ours(namespace: &str, name: &str) -> String {
    id("prod").mark(namespace, name, false).to_string()
}

/// The status of a resource that has this number.
fn recording(n: u32, account_n: u32) -> Value {
    json!({"phoneNumber": e164(n), "phoneNumberSID": sid(n), "accountSID": account(account_n)})
}

fn held(n: u32, label: &str) -> HeldSpec {
    serde_json::from_value(json!({"phoneNumber": e164(n), "sid": sid(n), "friendlyName": label})).unwrap()
}

/// What goes wrong on the way.
#[derive(Default)]
struct Obstacles {
    /// Calls of the API server whose path ends so are answered with this status.
    api: Option<(&'static str, u16)>,
    /// Twilio's lists leave this number out.
    hidden: Option<E164>,
    /// Prices are refused to these credentials.
    prices: bool,
    /// Twilio cannot be reached.
    unreachable: bool,
    /// What happens when an account's list is asked for the next time.
    meanwhile: Option<fn(&World)>,
}

struct World {
    clock: Arc<WorldClock>,
    simulator: Simulator,
    api: Mutex<ApiServer>,
    obstacles: Mutex<Obstacles>,
    gates: Accounts,
    ids: Ids,
    /// What was said of the progress.
    progress: Mutex<Vec<(usize, usize)>>,
}

impl World {
    /// Accounts 1 and 2 with these numbers; nothing in the cluster.
    fn new(first: Vec<HeldSpec>, second: Vec<HeldSpec>) -> Arc<Self> {
        let clock = WorldClock::start();
        let settings = crate::simulator::Settings {
            any_account: false,
            record: crate::simulator::Recorder::of_tests(),
            ..crate::simulator::Settings::default()
        };
        let simulator = Simulator::new(settings, clock.clone());
        let accounts = [(1, first), (2, second)];
        let accounts = accounts.map(|(n, numbers)| AccountSpec { numbers, ..AccountSpec::new(account(n), &token(n)) });
        simulator.add_accounts(accounts.to_vec()).unwrap();
        Arc::new(Self {
            clock,
            simulator,
            api: Mutex::new(ApiServer::new(kinds::operator())),
            obstacles: Mutex::default(),
            gates: Accounts::default(),
            ids: Ids { installation: id("prod"), previous: None },
            progress: Mutex::default(),
        })
    }

    fn write(&self, method: &str, path: &str, body: &Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = self.api.lock().unwrap().answer(method, path, body.as_bytes(), "2026-11-02T10:00:00Z");
        assert!(status < 300, "{path}: {answer}");
    }

    /// Data under these keys, for this account with this token.
    fn secret_of(&self, namespace: &str, name: &str, keys: [&str; 2], n: u32, token: &str) {
        let encoded = |text: &str| data_encoding::BASE64.encode(text.as_bytes());
        let path = format!("/api/v1/namespaces/{namespace}/secrets");
        let data = json!({keys[0]: encoded(account(n).as_str()), keys[1]: encoded(token)});
        self.write("POST", &path, &json!({"metadata": {"name": name}, "data": data}));
    }

    fn secret(&self, namespace: &str, name: &str, n: u32) {
        self.secret_of(namespace, name, ["accountSid", "authToken"], n, &token(n));
    }

    fn resource(&self, namespace: &str, name: &str, secret: &Value, status: &Value) {
        let path = format!("/apis/{GROUP}/v1alpha1/namespaces/{namespace}/clinicphonenumbers");
        let spec = json!({"credentialsSecretRef": secret, "phoneNumber": "+14185550001"});
        let body = json!({
            "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "ClinicPhoneNumber", "metadata": {"name": name}, "spec": spec,
        });
        self.write("POST", &path, &body);
        self.write("PATCH", &format!("{path}/{name}/status"), &json!({"status": status}));
    }

    /// Gives a Secret in `clinic` another account's credentials.
    fn replace(&self, name: &str, n: u32) {
        self.write("DELETE", &format!("/api/v1/namespaces/clinic/secrets/{name}"), &Value::Null);
        self.secret("clinic", name, n);
    }

    fn delete(&self, name: &str) {
        let path = format!("/apis/{GROUP}/v1alpha1/namespaces/clinic/clinicphonenumbers/{name}");
        self.write("DELETE", &path, &Value::Null);
    }

    /// A resource in `clinic` that names the Secret `twilio`.
    fn plain(&self, name: &str, status: &Value) {
        self.resource("clinic", name, &json!({"name": "twilio"}), status);
    }

    fn set(&self, change: impl FnOnce(&mut Obstacles)) {
        change(&mut self.obstacles.lock().unwrap());
    }

    fn answer(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let (resource, query) = path.split_once('?').unwrap_or((path, ""));
        if let Some((_, code)) = self.obstacles.lock().unwrap().api.filter(|(end, _)| resource.ends_with(end)) {
            return (
                code,
                json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "no", "reason": "no"}),
            );
        }
        let (status, mut answer) = self.api.lock().unwrap().answer(method, path, body, "2026-11-02T10:00:00Z");
        // The shortest pages that there are.
        if let Some(items) = answer.get_mut("items").and_then(Value::as_array_mut) {
            let token = query.split('&').find_map(|pair| pair.strip_prefix("continue="));
            let (at, all) = (token.map_or(0, |token| token.parse().unwrap()), items.len());
            *items = items.drain(..).skip(at).take(1).collect();
            if at + 1 < all {
                answer["metadata"]["continue"] = json!((at + 1).to_string());
            }
        }
        (status, answer)
    }

    fn kube(self: &Arc<Self>) -> kube::Client {
        let world = Arc::clone(self);
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let world = Arc::clone(&world);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
                let (status, answer) = world.answer(parts.method.as_str(), path, &body);
                let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
                *response.status_mut() = StatusCode::from_u16(status)?;
                Ok::<_, BoxError>(response)
            }
        });
        kube::Client::new(service, "clinic")
    }

    fn at_twilio(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (hidden, prices) = {
            let obstacles = self.obstacles.lock().unwrap();
            (obstacles.hidden.clone(), obstacles.prices)
        };
        if request.uri().path().contains("/IncomingPhoneNumbers.json") {
            let act = self.obstacles.lock().unwrap().meanwhile.take();
            if let Some(act) = act {
                act(self);
            }
        }
        let refused = prices && request.uri().path().contains("/Countries/");
        let mut answer = self.simulator.service().call(request).now_or_never().unwrap().unwrap();
        if refused {
            *answer.status_mut() = StatusCode::UNAUTHORIZED;
            let body = json!({"code": 20003, "message": "Authenticate", "more_info": "", "status": 401});
            *answer.body_mut() = Bytes::from(body.to_string());
        }
        if let Some(hidden) = hidden {
            let mut body: Value = serde_json::from_slice(answer.body()).unwrap();
            if let Some(all) = body.get_mut("incoming_phone_numbers").and_then(Value::as_array_mut) {
                all.retain(|number| number["phone_number"] != hidden.as_str());
                *answer.body_mut() = Bytes::from(body.to_string());
            }
        }
        answer
    }

    fn twilio(self: &Arc<Self>) -> twilio::Client {
        let world = Arc::clone(self);
        let transport = Transport::new(tower::service_fn(move |request: Request<Bytes>| {
            let world = Arc::clone(&world);
            async move {
                let unreachable = world.obstacles.lock().unwrap().unreachable;
                let refused = || TransportError::NotSent("connection refused".to_owned());
                (!unreachable).then(|| world.at_twilio(request)).ok_or_else(refused)
            }
        }));
        let endpoints = twilio::Endpoints::single("https://api.example.com/".parse().unwrap()).unwrap();
        twilio::Client::new(endpoints, transport, Duration::from_secs(30))
    }

    async fn audit(self: &Arc<Self>, namespaces: &[&str]) -> Result<Report, Error> {
        let namespaces: Vec<_> = namespaces.iter().map(|namespace| (*namespace).to_owned()).collect();
        let looker = Looker {
            kube: &self.kube(),
            twilio: &self.twilio(),
            clock: self.clock.as_ref(),
            gates: &self.gates,
            salt: &[0; 32],
            ids: &self.ids,
            namespaces: &namespaces,
            reader: Reader::Person,
            progress: &|done, of| self.progress.lock().unwrap().push((done, of)),
        };
        Box::pin(looker.audit()).await
    }

    /// Audits every namespace.
    async fn report(self: &Arc<Self>) -> Report {
        self.audit(ALL).await.unwrap()
    }

    /// The operator that audits by itself, and what its watches are written with.
    fn operator(self: &Arc<Self>, previous: Option<&str>, namespaces: &[&str]) -> (Arc<Context>, Vec<Ends>) {
        let settings = Settings {
            defaults: Defaults {
                installation: id("prod"),
                previous_installation: previous.map(id),
                sms_webhook_url: None,
                observe_interval: Duration::from_secs(3600),
            },
            settle_window: Duration::from_secs(120),
            send_within: Duration::from_secs(10),
            max_purchases_per_hour: 30,
            namespaces: namespaces.iter().map(|namespace| (*namespace).to_owned()).collect(),
            operator_namespace: "operator".to_owned(),
            usage_interval: Duration::ZERO,
            messaging_interval: Duration::ZERO,
            concurrency: 1,
            instance: "operator-0".to_owned(),
        };
        let (metrics, stop) = (Arc::new(Metrics::default()), CancellationToken::new());
        let clients =
            crate::controller::Clients { kube: self.kube(), twilio: self.twilio(), probe: crate::probe::nobody() };
        Context::new(clients, self.clock.clone(), settings, metrics, [0; 32], stop)
    }

    /// How often an operation was called.
    fn calls(&self, operation: &str) -> usize {
        self.simulator.calls().iter().filter(|call| call.operation == operation).count()
    }

    /// Reason, namespace and name of what each event is about.
    fn events(&self) -> Vec<String> {
        let api = self.api.lock().unwrap();
        let about = |event: &Value| {
            let text = |at: &str| event.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
            format!("{} {}/{}", text("/reason"), text("/regarding/namespace"), text("/regarding/name"))
        };
        let mut all: Vec<_> = api.all("events").map(about).collect();
        all.sort();
        all
    }
}

/// Kind, resource and numbers of what is found in an account.
fn found(report: &AccountReport) -> Vec<(FindingKind, String, Vec<E164>)> {
    let name = |f: &Finding| f.resource.as_ref().map(ToString::to_string).unwrap_or_default();
    let numbers = |f: &Finding| f.numbers.iter().map(|n| n.phone_number.clone()).collect();
    report.findings.iter().map(|f| (f.kind, name(f), numbers(f))).collect()
}

fn obstacle(report: &Report) -> Option<Obstacle> {
    report.accounts.first()?.findings.first()?.obstacle
}

fn throttled(retry_after: u64) -> Trouble {
    Trouble {
        operation: LIST,
        meaning: Meaning::Throttled,
        class: Class::RateLimited,
        http_status: Some(429),
        code: None,
        detail: "too many requests".to_owned(),
        remedy: String::new(),
        retry_after: Some(Duration::from_secs(retry_after)),
        request_id: None,
    }
}

#[tokio::test(start_paused = true)]
async fn every_page_of_resources_is_read_and_each_secret_once() {
    let world = World::new((1..=4).map(|n| held(n, &ours("clinic", &format!("r{n}")))).collect(), vec![]);
    world.secret("clinic", "twilio", 1);
    for n in 1..=3 {
        world.plain(&format!("r{n}"), &recording(n, 1));
    }
    let report = world.report().await;
    let one = &report.accounts[0];
    assert_eq!(found(one), [(FindingKind::Orphan, String::new(), vec![e164(4)])]);
    assert_eq!((one.numbers.in_use, report.accounts.len()), (3, 1));
    assert_eq!(one.findings[0].numbers[0].monthly_cost.as_ref().map(ToString::to_string).as_deref(), Some("1.15 USD"));
    assert_eq!((world.calls(LIST), world.calls(PRICES), world.calls(FETCH)), (1, 1, 0));
    assert_eq!(*world.progress.lock().unwrap(), [(1, 1)]);
    assert_eq!(world.events(), [""; 0], "whoever looks tells nothing");
}

/// What it says is said of all of them, be it an account or that there is none.
#[tokio::test(start_paused = true)]
async fn a_secret_speaks_for_every_resource_that_names_it() {
    let world = World::new(vec![held(1, &ours("clinic", "a")), held(2, &ours("clinic", "b"))], vec![]);
    world.secret("clinic", "here", 1);
    world.secret("clinic", "elsewhere", 2);
    world.resource("clinic", "user", &json!({"name": "here"}), &json!({}));
    for name in ["a", "b"] {
        world.resource("clinic", name, &json!({"name": "elsewhere"}), &json!({}));
    }
    for name in ["c", "d"] {
        world.resource("clinic", name, &json!({"name": "missing"}), &json!({}));
    }
    let report = world.report().await;
    let orphan = |name: &str, n| (FindingKind::Orphan, format!("clinic/{name}"), vec![e164(n)]);
    assert_eq!(found(&report.accounts[0]), [orphan("a", 1), orphan("b", 2)]);
    let unplaced: Vec<_> = report.unplaced.iter().map(|u| u.resource.to_string()).collect();
    assert_eq!(unplaced, ["clinic/c", "clinic/d"]);
    assert!(report.unplaced[0].problem.contains("Secret missing does not exist"), "{:?}", report.unplaced[0]);
    assert_eq!(*world.progress.lock().unwrap(), [(1, 3), (2, 3), (3, 3)]);
}

/// Of the same name in two namespaces, under other keys, or under the same keys with another name.
#[tokio::test(start_paused = true)]
async fn secrets_that_differ_in_one_thing_are_read_one_by_one() {
    let (usual, other) = (["accountSid", "authToken"], ["sid", "token"]);
    for (namespace, name, keys) in [("annex", "twilio", usual), ("clinic", "other", usual), ("clinic", "twilio", other)]
    {
        let world = World::new(vec![held(1, &ours("clinic", "a"))], vec![held(2, &ours(namespace, "b"))]);
        world.secret("clinic", "twilio", 1);
        let reference = json!({"name": name, "accountSidKey": keys[0], "authTokenKey": keys[1]});
        if (namespace, name) == ("clinic", "twilio") {
            let encoded = |text: &str| data_encoding::BASE64.encode(text.as_bytes());
            let data = json!({keys[0]: encoded(account(2).as_str()), keys[1]: encoded(&token(2))});
            world.write("PATCH", "/api/v1/namespaces/clinic/secrets/twilio", &json!({"data": data}));
        } else {
            world.secret_of(namespace, name, keys, 2, &token(2));
        }
        world.plain("a", &json!({}));
        world.resource(namespace, "b", &reference, &json!({}));
        let report = world.report().await;
        let accounts: Vec<_> = report.accounts.iter().map(|a| (a.audited, a.numbers.resolving)).collect();
        assert_eq!(accounts, [(true, 1), (true, 1)], "{namespace}/{name} {keys:?}");
        assert_eq!(report.summary.findings, 0, "{namespace}/{name} {keys:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_of_several_secrets_is_read_once_and_by_whichever_is_good() {
    for (good, lists) in [([true, true, true], 1), ([false, true, true], 2), ([false, false, true], 3)] {
        let world = World::new(vec![held(1, &ours("clinic", "gone"))], vec![]);
        for (name, good) in ["a", "b", "c"].into_iter().zip(good) {
            // Each is wrong in its own way: the gate keeps out the same one without a call.
            let token = if good { token(1) } else { name.repeat(32) };
            world.secret_of("clinic", name, ["accountSid", "authToken"], 1, &token);
            world.resource("clinic", name, &json!({"name": name}), &json!({}));
        }
        let report = world.report().await;
        assert!(report.accounts[0].audited && report.accounts.len() == 1, "{good:?}");
        assert_eq!(world.calls(LIST), lists, "{good:?}");
    }
}

/// The Secret that was to stand in for a refused one names another account by now: what that account holds is not the first
/// one's, and would look as if it served nobody.
#[tokio::test(start_paused = true)]
async fn a_secret_that_changed_meanwhile_reads_no_other_account_in_its_place() {
    let world = World::new(vec![], vec![held(1, &ours("clinic", "c"))]);
    world.secret_of("clinic", "a", ["accountSid", "authToken"], 1, &"0".repeat(32));
    world.secret("clinic", "b", 1);
    world.secret("clinic", "c", 2);
    for name in ["a", "b"] {
        world.resource("clinic", name, &json!({"name": name}), &json!({}));
    }
    world.resource("clinic", "c", &json!({"name": "c"}), &recording(1, 2));
    // When the list of `c` is asked for, `a` was refused and `b` is known.
    world.set(|obstacles| {
        obstacles.meanwhile = Some(|world| {
            world.set(|obstacles| obstacles.meanwhile = Some(|world| world.replace("b", 2)));
        });
    });
    let report = world.report().await;
    let (first, second) = (&report.accounts[0], &report.accounts[1]);
    assert_eq!((first.audited, first.numbers.total, found(first).len()), (false, 0, 1));
    assert_eq!(first.findings[0].obstacle, Some(Obstacle::CredentialsRefused));
    assert_eq!((found(second), second.numbers.in_use), (vec![], 1));
}

#[tokio::test(start_paused = true)]
async fn the_prices_of_every_country_that_is_needed_are_read() {
    let abroad = json!({"phoneNumber": "+12125550100", "friendlyName": ours("clinic", "gone too")});
    let world = World::new(vec![held(1, &ours("clinic", "gone")), serde_json::from_value(abroad).unwrap()], vec![]);
    world.secret("clinic", "twilio", 1);
    world.plain("a", &json!({}));
    let one = &world.report().await.accounts[0];
    assert_eq!((one.idle.numbers, one.idle.unpriced, world.calls(PRICES)), (2, 0, 2));
}

/// Whose number it is says a Secret whose turn comes late; its price is known all the same.
#[tokio::test(start_paused = true)]
async fn a_number_that_turns_out_to_be_idle_has_its_price() {
    let world = World::new(vec![held(1, &ours("clinic", "z"))], vec![]);
    world.secret("clinic", "a", 1);
    world.secret("clinic", "z", 2);
    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "z"] {
        world.resource("clinic", name, &json!({"name": name}), &json!({}));
    }
    let one = &world.report().await.accounts[0];
    assert_eq!(found(one), [(FindingKind::Orphan, "clinic/z".to_owned(), vec![e164(1)])]);
    assert_eq!(one.idle.to_string(), "1.15 USD");
}

/// One reading that has it is enough, the one before the lists or the one after them.
#[tokio::test(start_paused = true)]
async fn a_resource_that_comes_or_goes_while_lists_are_read_has_its_number() {
    let acts: [fn(&World); 2] = [|world| world.delete("a"), |world| world.plain("b", &json!({}))];
    for (act, name) in acts.into_iter().zip(["a", "b"]) {
        let world = World::new(vec![held(1, &ours("clinic", name))], vec![]);
        world.secret("clinic", "twilio", 1);
        world.plain("a", &json!({}));
        world.set(|obstacles| obstacles.meanwhile = Some(act));
        let report = world.report().await;
        assert_eq!((found(&report.accounts[0]), report.accounts[0].numbers.resolving), (vec![], 1), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_no_use_is_told_with_its_reason() {
    let world = World::new(vec![], vec![]);
    world.secret_of("clinic", "twilio", ["accountSid", "authToken"], 1, "no token at all");
    world.plain("a", &json!({}));
    let problem = |report: &Report| report.unplaced[0].problem.clone();
    let malformed = problem(&world.report().await);
    assert!(malformed.contains("Secret twilio") && !malformed.contains("no token"), "{malformed}");
    world.set(|obstacles| obstacles.api = Some(("/secrets/twilio", 403)));
    let forbidden = problem(&world.report().await);
    assert!(forbidden.contains("this user may not read Secret twilio"), "{forbidden}");
    let (context, _ends) = world.operator(None, ALL);
    let forbidden = problem(&super::look(&context).await.unwrap());
    assert!(forbidden.contains("the operator may not read Secret twilio"), "{forbidden}");
    // When the API server says nothing of it, nothing is said of the Secret.
    world.set(|obstacles| obstacles.api = Some(("/secrets/twilio", 500)));
    assert!(world.audit(ALL).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn resources_elsewhere_are_looked_up_where_they_may_be_and_not_known_otherwise() {
    let world = World::new(vec![held(1, &ours("annex", "b")), held(2, &ours("annex", "nobody"))], vec![]);
    world.secret("clinic", "twilio", 1);
    world.plain("a", &json!({}));
    world.resource("annex", "b", &json!({"name": "none"}), &json!({}));
    let sorts = |report: &Report| {
        let counts = report.accounts[0].numbers;
        (counts.not_served, counts.unknown_owner, counts.orphaned, report.unplaced.len())
    };
    assert_eq!(sorts(&world.audit(&["clinic"]).await.unwrap()), (1, 0, 1, 0));
    // Served, it is one of ours; its Secret is missing.
    assert_eq!(sorts(&world.report().await), (0, 0, 1, 1));
    assert_eq!(sorts(&world.audit(&["annex", "clinic"]).await.unwrap()), (0, 0, 1, 1));
    // With one Role a namespace the list of all is forbidden.
    let everywhere = "/v1alpha1/clinicphonenumbers";
    world.set(|obstacles| obstacles.api = Some((everywhere, 403)));
    assert_eq!(sorts(&world.audit(&["clinic"]).await.unwrap()), (0, 2, 0, 0));
    assert!(world.audit(ALL).await.is_err(), "who serves all has to see all");
    // Any other failure says nothing about rights.
    world.set(|obstacles| obstacles.api = Some((everywhere, 500)));
    assert!(world.audit(&["clinic"]).await.is_err());
    world.set(|obstacles| obstacles.api = Some(("/namespaces/clinic/clinicphonenumbers", 403)));
    assert!(world.audit(&["clinic"]).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_a_list_lacks_is_gone_only_if_twilio_says_so() {
    let world = World::new(vec![held(1, &ours("clinic", "a"))], vec![]);
    world.secret("clinic", "twilio", 1);
    world.plain("a", &recording(1, 1));
    world.plain("b", &recording(2, 1));
    let gone = || (FindingKind::NumberGone, "clinic/b".to_owned(), vec![e164(2)]);
    assert_eq!(found(&world.report().await.accounts[0]), [gone()]);
    // One that is there although the list lacks it: then nothing of the list is certain.
    world.set(|obstacles| obstacles.hidden = Some(e164(1)));
    let hole = (FindingKind::IncompleteList, String::new(), vec![e164(1)]);
    let report = world.report().await;
    assert_eq!(found(&report.accounts[0]), [gone(), hole]);
    assert!(!report.accounts[0].list_complete && !report.accounts[0].findings[0].certain);
    // No answer is none.
    world.set(|obstacles| obstacles.hidden = None);
    for fault in [Fault::Http503, Fault::Http429, Fault::Garbage] {
        world.simulator.put_faults(vec![FaultSpec::once(FETCH, fault)]);
        let hole = (FindingKind::IncompleteList, String::new(), vec![e164(2)]);
        assert_eq!(found(&world.report().await.accounts[0]), [hole], "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn whether_asking_again_may_help_is_told() {
    for (fault, expected) in [
        (Fault::Refuse, Obstacle::CredentialsRefused),
        (Fault::Http503, Obstacle::Unreachable),
        (Fault::Garbage, Obstacle::Unreachable),
        (Fault::Http429, Obstacle::Unreachable),
    ] {
        let world = World::new(vec![], vec![]);
        world.secret("clinic", "twilio", 1);
        world.plain("a", &json!({}));
        world.simulator.put_faults(vec![FaultSpec::always(LIST, fault)]);
        assert_eq!(obstacle(&world.report().await), Some(expected), "{fault}");
    }
    let world = World::new(vec![], vec![]);
    world.secret_of("clinic", "twilio", ["accountSid", "authToken"], 1, &"0".repeat(32));
    world.plain("a", &json!({}));
    assert_eq!(obstacle(&world.report().await), Some(Obstacle::CredentialsRefused));
    // They stay refused for as long as the gate is closed to them, and nobody waits for it, however soon it opens.
    for minutes in [0, 14] {
        world.clock.jump(Duration::from_secs(60 * minutes));
        let (before, calls) = (world.clock.now().boot, world.calls(LIST));
        assert_eq!(obstacle(&world.report().await), Some(Obstacle::CredentialsRefused));
        assert_eq!(world.calls(LIST), calls);
        assert!(world.clock.now().boot.since(before) < Duration::from_secs(1));
    }
    let world = World::new(vec![], vec![]);
    world.secret("clinic", "twilio", 1);
    world.plain("a", &json!({}));
    world.set(|obstacles| obstacles.unreachable = true);
    assert_eq!(obstacle(&world.report().await), Some(Obstacle::Unreachable));
}

/// Prices may be kept from a key that reads everything else: the operator goes on using it.
#[tokio::test(start_paused = true)]
async fn prices_that_are_refused_close_no_gate_and_are_not_known() {
    let world = World::new(vec![held(1, &ours("clinic", "gone"))], vec![]);
    world.secret("clinic", "twilio", 1);
    world.plain("a", &json!({}));
    world.set(|obstacles| obstacles.prices = true);
    for _ in 0..2 {
        let report = world.report().await;
        assert!(report.accounts[0].audited);
        assert_eq!((report.accounts[0].idle.unpriced, report.summary.idle_numbers), (1, 1));
    }
    assert_eq!(world.calls(LIST), 2);
    // Too many calls are too many, whatever they ask for.
    world.set(|obstacles| obstacles.prices = false);
    world.simulator.put_faults(vec![FaultSpec::once(PRICES, Fault::Http429)]);
    world.report().await;
    let turn = world.gates.admit(&account(1), &[0; 32], Lane::Change, world.clock.now().boot);
    assert!(matches!(turn, Err(Closed::Troubled(..))), "{turn:?}");
}

/// A person's change goes first: the audit waits for its turn, and gives up before it becomes a burden.
#[tokio::test(start_paused = true)]
async fn an_audit_waits_for_its_turn_and_not_for_ever() {
    let world = World::new(vec![], vec![]);
    world.secret("clinic", "twilio", 1);
    world.plain("a", &json!({}));
    let other = [9; 32];
    let busy = || {
        let now = world.clock.now().boot;
        (0..4).map(|_| world.gates.admit(&account(1), &other, Lane::Change, now).unwrap()).collect::<Vec<_>>()
    };
    let permits = busy();
    let later = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(permits);
    };
    let (report, ()) = tokio::join!(world.report(), later);
    assert!(report.accounts[0].audited);
    let permits = busy();
    let before = world.clock.now().boot;
    let report = world.report().await;
    assert_eq!(obstacle(&report), Some(Obstacle::Unreachable));
    assert!(report.accounts[0].findings[0].message.contains("busy"), "{:?}", report.accounts[0].findings);
    let waited = world.clock.now().boot.since(before);
    assert!(waited > Duration::from_secs(100) && waited < Duration::from_secs(140), "{waited:?}");
    drop(permits);

    // Twilio asks for a pause: a short one is waited for, a long one is told.
    world.gates.note(&account(1), &other, Err(&throttled(60)), world.clock.now().boot);
    assert!(world.report().await.accounts[0].audited);
    let before = world.clock.now().boot;
    world.gates.note(&account(1), &other, Err(&throttled(600)), before);
    assert_eq!(obstacle(&world.report().await), Some(Obstacle::Unreachable));
    assert!(world.clock.now().boot.since(before) < Duration::from_secs(1), "nobody waits for that");
}

#[tokio::test(start_paused = true)]
async fn the_operator_tells_by_events_and_figures_and_a_failure_by_its_count() {
    let world = World::new(vec![held(1, &ours("clinic", "a")), held(3, &ours("clinic", "gone"))], vec![]);
    world.secret("clinic", "twilio", 1);
    for (n, name) in (1..).zip(["a", "b"]) {
        world.plain(name, &recording(n, 1));
    }
    let (context, mut ends) = world.operator(None, ALL);
    let objects: Vec<ClinicPhoneNumber> = {
        let api = world.api.lock().unwrap();
        api.all("clinicphonenumbers").map(|object| serde_json::from_value(object.clone()).unwrap()).collect()
    };
    for object in objects {
        ends[0].writer.apply_watcher_event(&watcher::Event::Apply(object));
    }
    let (mut told, mut failures) = (Told::default(), 0);
    let figure = |name: &str| {
        let text = context.metrics.render().unwrap();
        let prefix = format!("clinic_phone_operator_audit_{name} ");
        let line = text.lines().find_map(|line| line.strip_prefix(prefix.as_str()));
        line.map(|value| value.parse::<f64>().unwrap())
    };
    let completed = "last_completed_timestamp_seconds";
    assert_eq!((figure(completed), figure("failures_total")), (Some(0.0), Some(0.0)));
    let expected = ["AuditNumberGone clinic/b", "AuditOrphanNumbers operator/clinic-phone-operator-ledger"];
    for _ in 0..2 {
        assert!(once(&context, &mut told).await);
        assert_eq!(world.events(), expected, "each is told once");
    }
    let at = figure(completed);
    assert!(at.is_some_and(|at| at > 0.0));
    for (name, value) in [
        ("findings{kind=\"orphan\"}", 1.0),
        ("findings{kind=\"number_gone\"}", 1.0),
        ("findings{kind=\"not_audited\"}", 0.0),
        ("idle_numbers", 1.0),
        ("idle_unpriced_numbers", 0.0),
        ("idle_monthly_cost{currency=\"USD\"}", 1.15),
        ("failures_total", 0.0),
    ] {
        assert_eq!(figure(name), Some(value), "{name}");
    }

    // Neither Twilio nor the API server: it is counted, what was found stands, and the time stays as it was.
    world.clock.jump(Duration::from_secs(7200));
    let trouble: [fn(&mut Obstacles); 2] =
        [|obstacles| obstacles.unreachable = true, |obstacles| obstacles.api = Some(("clinicphonenumbers", 500))];
    for trouble in trouble {
        world.set(trouble);
        assert!(!once(&context, &mut told).await, "not completed");
        failures += 1;
        assert_eq!((figure("failures_total"), figure(completed)), (Some(f64::from(failures)), at));
        assert_eq!(figure("findings{kind=\"orphan\"}"), Some(1.0));
        assert_eq!(figure("findings{kind=\"not_audited\"}"), Some(1.0));
    }
    world.set(|obstacles| *obstacles = Obstacles::default());
    assert!(once(&context, &mut told).await);
    assert!(figure(completed) > at);
    assert_eq!(world.events(), expected, "nothing is news after that");
}

#[tokio::test(start_paused = true)]
async fn the_operator_looks_with_its_own_ids_and_in_its_own_namespaces() {
    let old = id("old").mark("clinic", "gone", false).to_string();
    let numbers = vec![held(1, &old), held(2, &ours("annex", "b"))];
    for (previous, namespaces, orphaned, not_served) in
        [(None, ALL, 0, 0), (Some("old"), ALL, 1, 0), (Some("old"), &["clinic"], 1, 1)]
    {
        let world = World::new(numbers.clone(), vec![]);
        world.secret("clinic", "twilio", 1);
        world.plain("a", &json!({}));
        world.resource("annex", "b", &json!({"name": "none"}), &json!({}));
        let (context, _ends) = world.operator(previous, namespaces);
        let report = super::look(&context).await.unwrap();
        let counts = report.accounts[0].numbers;
        assert_eq!((counts.orphaned, counts.not_served), (orphaned, not_served), "{previous:?} {namespaces:?}");
    }
}

/// Once a day; and while Twilio is down, within the hour.
#[tokio::test(start_paused = true)]
async fn audits_come_at_their_interval_and_sooner_after_one_that_failed() {
    let day = Duration::from_secs(24 * 3600);
    for (down, least, most) in [(false, 2, 3), (true, 40, 49)] {
        let world = World::new(vec![held(1, &ours("clinic", "gone"))], vec![]);
        world.secret("clinic", "twilio", 1);
        world.plain("a", &json!({}));
        if down {
            world.simulator.put_faults(vec![FaultSpec::always(LIST, Fault::Http503)]);
        }
        let (context, _ends) = world.operator(None, ALL);
        // With an interval of zero it is over at once.
        assert_eq!(run(Arc::clone(&context), Duration::ZERO).now_or_never(), Some(()));
        let ended = tokio::time::timeout(2 * day + SOON, run(Arc::clone(&context), day)).await;
        let audits = world.calls(LIST);
        assert!(ended.is_err() && (least..=most).contains(&audits), "{audits} in two days");
        assert_eq!(world.events().len(), usize::from(!down), "an orphan is told once, whichever audit finds it again");
        // And it ends with the process.
        context.stop.cancel();
        run(context, day).await;
        assert_eq!(world.calls(LIST), audits);
    }
}
