//! One operator, its own simulated Twilio and its own namespace: what a test of a whole life runs in.
//!
//! [`life`] starts the operator inside this process, with the chart's account and rights. The windows are short, so that a
//! life takes seconds; nothing else differs from the product. [`World`] is also what the tests of the built program use.

use std::error::Error;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use clinic_phone_operator::admin::Readiness;
use clinic_phone_operator::api::v1alpha1::Origin;
use clinic_phone_operator::api::{ClinicPhoneNumber, ClinicPhoneNumberStatus, FORGET_NUMBER, REQUESTED_AT};
use clinic_phone_operator::clock::{Clock, SharedClock, SystemClock};
use clinic_phone_operator::controller::{self, Context};
use clinic_phone_operator::domain::{AccountSid, InstallationId, Now};
use clinic_phone_operator::plan::desired::Defaults;
use clinic_phone_operator::probe;
use clinic_phone_operator::simulator::{self, AccountSpec, ApiKey, KeyType, NumberRow, Simulator};
use clinic_phone_operator::telemetry::Metrics;
use clinic_phone_operator::twilio::{self, Endpoints, Transport, TransportError};
use cpn_env::audit;
use futures::FutureExt as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, Config, ResourceExt as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::{Service as _, ServiceExt as _};

use crate::harness::{OPERATOR, Outcome, Space, grants, may, merge, refusal, with_temp_ns};

/// How long anything may take here. Most of it takes well under a second on an idle machine.
pub const DEADLINE: Duration = Duration::from_secs(120);
/// How often something is looked at that cannot be watched.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The longest that a call to Twilio takes.
pub const CALL: Duration = Duration::from_secs(1);
/// How long after it was asked for a stamp may be used. Writing it takes milliseconds, but on a machine that is busy with other
/// control planes seconds: then nothing is sent, and it is stamped again, as it has to be.
pub const SEND: Duration = Duration::from_secs(5);
/// Longer than anything that was sent may take: the time to send, the call, and the kernel's patience.
pub const WINDOW: Duration = Duration::from_secs(8);

/// Where the numbers' messages go, unless a test says otherwise.
pub const WEBHOOK: &str = "https://sms.example.com/clinic";
/// A number that is on offer.
pub const EXACT: &str = "+14185550133";

/// How an operator is started.
#[derive(Clone)]
pub struct Options {
    /// `--observe-interval`.
    pub observe: Duration,
    /// `--max-purchases-per-hour`.
    pub limit: u32,
    /// `--previous-installation-id`.
    pub previous: Option<String>,
    /// `--default-sms-webhook-url`.
    pub webhook: Option<&'static str>,
    /// Namespaces to serve besides the test's own, by what is appended to its name.
    pub clinics: &'static [&'static str],
    /// `--usage-interval`.
    pub usage: Duration,
    /// `--messaging-interval`.
    pub messaging: Duration,
    /// Rights in all namespaces, as the chart gives unless it is told which ones to serve.
    pub everywhere: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            observe: Duration::from_secs(3600),
            limit: 1000,
            previous: None,
            webhook: None,
            clinics: &[],
            usage: Duration::ZERO,
            messaging: Duration::ZERO,
            everywhere: false,
        }
    }
}

impl Options {
    /// An operator that looks at its numbers every second.
    pub fn watchful() -> Self {
        Self { observe: Duration::from_secs(1), ..Self::default() }
    }
}

/// A Twilio account of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub sid: AccountSid,
    pub token: String,
}

impl Account {
    /// The nth account; each world has its own Twilio, so they never meet.
    pub fn nth(n: u32) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            sid: AccountSid::parse(&format!("AC{n:032x}"))?,
            token: format!("{:032x}", 0xfeed_0000_u64 + u64::from(n)),
        })
    }
}

/// What a key must be allowed for a number to be bought and kept, and nothing beside it.
pub const BARE: [&str; 4] = [
    "ListAvailablePhoneNumberLocal",
    "ListIncomingPhoneNumber",
    "FetchIncomingPhoneNumber",
    "CreateIncomingPhoneNumber",
];

/// What stands for the world's webhooks when the operator tries one.
#[derive(Clone, Default)]
pub struct Webhook(Arc<Mutex<WebhookState>>);

#[derive(Default)]
struct WebhookState {
    /// What it answers; `None`: 200.
    answer: Option<Result<u16, probe::TransportError>>,
    tried: Vec<http::Request<Bytes>>,
}

impl Webhook {
    fn locked(&self) -> std::sync::MutexGuard<'_, WebhookState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn transport(&self) -> probe::Transport {
        let this = self.clone();
        probe::Transport::new(tower::service_fn(move |request: http::Request<Bytes>| {
            let mut state = this.locked();
            state.tried.push(request);
            let answer = state.answer.clone().unwrap_or(Ok(200));
            async move {
                let status = answer?;
                let response = http::Response::builder().status(status).body(());
                response.map_err(|error| probe::TransportError::Interrupted(error.to_string()))
            }
        }))
    }

    /// From now on it answers this status, or not at all.
    pub fn answers(&self, answer: Result<u16, probe::TransportError>) {
        self.locked().answer = Some(answer);
    }

    /// Everything that was sent to it.
    pub fn tried(&self) -> Vec<http::Request<Bytes>> {
        self.locked().tried.clone()
    }
}

/// One request that the operator sent to Twilio.
#[derive(Clone, Debug)]
pub struct Sent {
    /// `search`, `prices`, `message prices`, `usage`, `messages`, `services`, `verifications`, `account`, `list`, `buy`, `get`, `update` or `release`.
    pub what: &'static str,
    /// The form, decoded.
    pub form: Vec<(String, String)>,
    /// The `Authorization` header.
    pub authorization: String,
}

impl Sent {
    fn read(request: &http::Request<Bytes>) -> Self {
        let path = request.uri().path();
        let all = path.ends_with("/IncomingPhoneNumbers.json");
        let what = match request.method().as_str() {
            "GET" if path.contains("/AvailablePhoneNumbers/") => "search",
            "GET" if path.starts_with("/v1/PhoneNumbers/Countries/") => "prices",
            "GET" if path.starts_with("/v1/Messaging/Countries/") => "message prices",
            "GET" if path.ends_with("/Usage/Records/ThisMonth.json") => "usage",
            "GET" if path.ends_with("/Messages.json") => "messages",
            "GET" if path.starts_with("/v1/Services") => "services",
            "GET" if path == "/v1/Tollfree/Verifications" => "verifications",
            "GET" if path.starts_with("/2010-04-01/Accounts/AC") && path.matches('/').count() == 3 => "account",
            "GET" if all => "list",
            "GET" if path.contains("/IncomingPhoneNumbers/") => "get",
            "POST" if all => "buy",
            "POST" => "update",
            "DELETE" => "release",
            _ => "something else",
        };
        let header = request.headers().get(http::header::AUTHORIZATION);
        Self {
            what,
            form: url::form_urlencoded::parse(request.body()).into_owned().collect(),
            authorization: header.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned(),
        }
    }

    /// A field of the form; `None` when it was not sent.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The machine's clocks, which a test may move forward.
#[derive(Default)]
pub struct Skewed(AtomicU64);

impl Skewed {
    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), Ordering::Relaxed);
    }
}

impl Clock for Skewed {
    fn now(&self) -> Now {
        let by = Duration::from_secs(self.0.load(Ordering::Relaxed));
        let now = SystemClock.now();
        Now { wall: now.wall.saturating_add(by).unwrap_or(now.wall), boot: now.boot.after(by) }
    }
}

/// An operator inside this process.
pub struct Operator {
    context: Arc<Context>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Operator {
    /// Passes that came to their end.
    pub fn passes(&self) -> u64 {
        self.context.metrics.passes.get()
    }
}

/// What a life happens in.
pub struct World {
    pub space: Space,
    /// The simulated Twilio.
    pub twilio: Simulator,
    /// The account that [`World::credentials`] puts into Secrets.
    pub account: Account,
    /// The operator's clock.
    pub clock: Arc<Skewed>,
    /// `--installation-id`.
    pub installation: String,
    /// A kubeconfig of the chart's account.
    pub kubeconfig: PathBuf,
    /// The namespaces that are served.
    pub namespaces: Vec<String>,
    pub options: Options,
    /// What the operator's tries of webhooks come to.
    pub webhook: Webhook,
    operators: Vec<Operator>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

/// Runs a life: everything is there, the operator runs, the Secret `twilio` is in place.
pub fn life(options: Options, test: impl AsyncFnOnce(&mut World) -> Outcome) -> Outcome {
    with_temp_ns(async |space| {
        let mut world = Box::pin(World::new(space, options)).await?;
        world.credentials(&world.account.clone()).await?;
        world.start().await?;
        Box::pin(test(&mut world)).await?;
        world.stop().await
    })
}

impl World {
    /// Everything but the operator and the Secret.
    pub async fn new(space: Space, options: Options) -> Result<Self, Box<dyn Error>> {
        let clinics = options.clinics.iter().map(|clinic| format!("{}-{clinic}", space.namespace));
        let namespaces: Vec<_> = std::iter::once(space.namespace.clone()).chain(clinics).collect();
        let kubeconfig = prepare(&space, &namespaces, &options).await?;
        let account = Account::nth(1)?;
        // Messages go nowhere: nothing listens there, and no name is asked for.
        let nowhere = url::Url::parse("http://127.0.0.1:9/")?;
        let settings = simulator::Settings {
            any_account: false,
            deliver_to: Some(nowhere),
            record: simulator::Recorder::of_tests(),
            ..simulator::Settings::default()
        };
        let twilio = Simulator::new(settings, Arc::new(SystemClock));
        twilio.add_accounts(vec![AccountSpec::new(account.sid.clone(), &account.token)])?;
        Ok(Self {
            installation: space.namespace.clone(),
            space,
            twilio,
            account,
            clock: Arc::new(Skewed::default()),
            kubeconfig,
            namespaces,
            options,
            webhook: Webhook::default(),
            operators: Vec::new(),
            sent: Arc::default(),
        })
    }

    /// Prepares a cluster that has lost everything as [`World::new`] prepares a new one; the resource type is there already.
    pub async fn prepare_again(&self) -> Outcome {
        self.space.create_namespace().await?;
        prepare(&self.space, &self.namespaces, &self.options).await?;
        self.credentials(&self.account).await
    }

    /// Starts an operator; a second one makes two that know nothing of each other.
    pub async fn start(&mut self) -> Outcome {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig)?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let kube = Client::try_from(config)?;
        let endpoints = Endpoints::single(url::Url::parse("http://127.0.0.1/")?)?;
        let twilio = twilio::Client::new(endpoints, self.transport(), CALL);
        let settings = controller::Settings {
            defaults: Defaults {
                installation: InstallationId::parse(&self.installation)?,
                previous_installation: self.options.previous.as_deref().map(InstallationId::parse).transpose()?,
                sms_webhook_url: self.options.webhook.map(str::to_owned),
                observe_interval: self.options.observe,
            },
            settle_window: WINDOW,
            send_within: SEND,
            max_purchases_per_hour: self.options.limit,
            namespaces: self.namespaces.clone(),
            operator_namespace: self.space.namespace.clone(),
            usage_interval: self.options.usage,
            messaging_interval: self.options.messaging,
            concurrency: 16,
            instance: "test".to_owned(),
        };
        let stop = CancellationToken::new();
        let clock: SharedClock = Arc::<Skewed>::clone(&self.clock);
        let clients = controller::Clients { kube, twilio, probe: self.webhook.transport() };
        let (context, ends) =
            Context::new(clients, clock, settings, Arc::new(Metrics::default()), [7; 32], stop.clone());
        let readiness = Arc::new(Readiness::waiting_for([controller::WATCH.to_owned(), controller::LEDGER.to_owned()]));
        tokio::spawn(controller::beside::run(Arc::clone(&context)));
        let task = tokio::spawn(controller::run(Arc::clone(&context), ends, Arc::clone(&readiness)));
        self.operators.push(Operator { context, stop, task });
        self.eventually("the operator is ready", async || Ok(readiness.missing().is_empty().then_some(()))).await
    }

    /// Stops all operators and waits until their last passes are over.
    pub async fn stop(&mut self) -> Outcome {
        for operator in self.operators.drain(..) {
            operator.stop.cancel();
            tokio::time::timeout(DEADLINE, operator.task).await??;
        }
        Ok(())
    }

    /// The operator that runs.
    pub fn operator(&self) -> Result<&Operator, Box<dyn Error>> {
        Ok(self.operators.first().ok_or("no operator runs")?)
    }

    /// The way to the simulated Twilio, without sockets; notes what is sent.
    fn transport(&self) -> Transport {
        let (service, sent) = (self.twilio.service(), Arc::clone(&self.sent));
        Transport::new(tower::service_fn(move |request: http::Request<Bytes>| {
            sent.lock().unwrap_or_else(PoisonError::into_inner).push(Sent::read(&request));
            let answer = service.clone().call(request);
            async move { answer.await.map_err(|cut| TransportError::Interrupted(cut.to_string())) }
        }))
    }

    /// Every request that the operators sent.
    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the operators sent, in short.
    pub fn calls(&self) -> Vec<&'static str> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|sent| sent.what).collect()
    }

    /// How often the operators sent this.
    pub fn count(&self, what: &str) -> usize {
        self.calls().iter().filter(|call| **call == what).count()
    }

    /// How many numbers were sold.
    pub fn sold(&self) -> usize {
        self.twilio.ledger().purchases.len()
    }

    /// How many numbers were given back.
    pub fn released(&self) -> usize {
        self.twilio.ledger().releases.len()
    }

    /// A held number at Twilio.
    pub fn row(&self, number: &str) -> Result<NumberRow, Box<dyn Error>> {
        let row = self.twilio.numbers().into_iter().find(|row| row.phone_number.as_str() == number);
        Ok(row.ok_or_else(|| format!("nobody holds {number}"))?)
    }

    /// Does something in the account as a person in Twilio's console would; the form `None` releases.
    pub async fn console(&self, account: &Account, number: &str, form: Option<&[(&str, &str)]>) -> Outcome {
        let path = format!("/2010-04-01/Accounts/{}/IncomingPhoneNumbers/{}.json", account.sid, self.row(number)?.sid);
        let method = if form.is_some() { http::Method::POST } else { http::Method::DELETE };
        self.as_owner(account, method, &path, form.unwrap_or_default()).await.map(drop)
    }

    /// Has the account hold numbers; those that it holds stay.
    pub fn hold(&self, account: &Account, numbers: &Value) -> Outcome {
        let mut spec = AccountSpec::new(account.sid.clone(), &account.token);
        spec.numbers = serde_json::from_value(numbers.clone())?;
        Ok(self.twilio.add_accounts(vec![spec])?)
    }

    /// Opens another account at Twilio.
    pub fn open_account(&self, n: u32) -> Result<Account, Box<dyn Error>> {
        let account = Account::nth(n)?;
        self.hold(&account, &json!([]))?;
        Ok(account)
    }

    /// Opens another account at Twilio, and puts a restricted API key of it into a Secret: one that may do this and no more.
    pub async fn narrow_key(&self, secret: &str, n: u32, permissions: &[&str]) -> Outcome {
        let account = Account::nth(n)?;
        let key = ApiKey {
            sid: format!("SK{n:032x}").parse()?,
            secret: "c".repeat(32),
            kind: KeyType::Restricted,
            permissions: permissions.iter().map(|permission| (*permission).to_owned()).collect(),
        };
        let data = json!({"accountSid": account.sid, "apiKeySid": key.sid, "apiKeySecret": key.secret});
        let spec = AccountSpec { api_keys: vec![key], ..AccountSpec::new(account.sid, &account.token) };
        self.twilio.add_accounts(vec![spec])?;
        self.secret(secret, &data).await
    }

    /// Calls Twilio as whoever owns the account would, and returns what it answered.
    pub async fn as_owner(
        &self,
        account: &Account,
        method: http::Method,
        path: &str,
        form: &[(&str, &str)],
    ) -> Result<Value, Box<dyn Error>> {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let user = data_encoding::BASE64.encode(format!("{}:{}", account.sid, account.token).as_bytes());
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::AUTHORIZATION, format!("Basic {user}"))
            .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from(form))?;
        let answer = self.twilio.service().oneshot(request).await?;
        if !answer.status().is_success() {
            return Err(format!("{path}: {answer:?}").into());
        }
        let body = answer.into_body();
        Ok(if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? })
    }

    /// The mark of a resource's number, up to its closing bracket.
    pub fn mark(&self, name: &str, adopted: bool) -> Result<String, Box<dyn Error>> {
        Ok(InstallationId::parse(&self.installation)?.mark(&self.space.namespace, name, adopted).to_string())
    }

    /// Puts an account's credentials into the Secret `twilio`.
    pub async fn credentials(&self, account: &Account) -> Outcome {
        self.secret("twilio", &json!({"accountSid": account.sid, "authToken": account.token})).await
    }

    /// Creates a Secret, or replaces what is in it.
    pub async fn secret(&self, name: &str, data: &Value) -> Outcome {
        self.secret_in(&self.space.namespace, name, data).await
    }

    /// As [`World::secret`], in another namespace.
    pub async fn secret_in(&self, namespace: &str, name: &str, data: &Value) -> Outcome {
        let path = format!("/api/v1/namespaces/{namespace}/secrets");
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        match self.space.send("POST", &path, &[], &secret).await {
            Err(error) if refusal(error.as_ref()).is_some_and(|status| status.code == 409) => {
                self.space.send("PUT", &format!("{path}/{name}"), &[], &secret).await?;
            }
            answer => drop(answer?),
        }
        Ok(())
    }

    /// Deletes a Secret.
    pub async fn no_secret(&self, name: &str) -> Outcome {
        let path = format!("/api/v1/namespaces/{}/secrets/{name}", self.space.namespace);
        self.space.send("DELETE", &path, &[], &Value::Null).await?;
        Ok(())
    }

    /// Creates a number that asks for the usual, but for this.
    pub async fn create(&self, name: &str, but: Value) -> Outcome {
        self.space.create(name, &spec(&but)).await?;
        Ok(())
    }

    /// Changes a number's spec.
    pub async fn edit(&self, name: &str, spec: Value) -> Outcome {
        self.patch(name, json!({"spec": spec})).await
    }

    /// Changes a number with a merge patch.
    pub async fn patch(&self, name: &str, patch: Value) -> Outcome {
        self.space.send("PATCH merge", &self.space.path(name, ""), &[], &patch).await?;
        Ok(())
    }

    /// Asks for a look, and does not wait.
    pub async fn ask(&self, name: &str, token: &str) -> Outcome {
        self.patch(name, json!({"metadata": {"annotations": {REQUESTED_AT: token}}})).await
    }

    /// Asks for a look, and waits until it was taken.
    pub async fn look(&self, name: &str, token: &str) -> Result<ClinicPhoneNumber, Box<dyn Error>> {
        self.ask(name, token).await?;
        self.until(name, "the look that was asked for", |n| {
            status(n).last_handled_reconcile_at.as_deref() == Some(token)
        })
        .await
    }

    /// Gives a lost number up.
    pub async fn forget(&self, name: &str, number: &str) -> Outcome {
        self.patch(name, json!({"metadata": {"annotations": {FORGET_NUMBER: number}}})).await
    }

    /// Deletes a number, and does not wait.
    pub async fn delete(&self, name: &str) -> Outcome {
        self.space.send("DELETE", &self.space.path(name, ""), &[], &Value::Null).await?;
        Ok(())
    }

    /// Takes the finalizers off a number.
    pub async fn strip(&self, name: &str) -> Outcome {
        self.patch(name, json!({"metadata": {"finalizers": null}})).await
    }

    /// Waits until something holds of a number.
    pub async fn until(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&ClinicPhoneNumber) -> bool,
    ) -> Result<ClinicPhoneNumber, Box<dyn Error>> {
        self.until_in(&self.space.namespace, name, what, holds).await
    }

    /// As [`World::until`], in another namespace.
    pub async fn until_in(
        &self,
        namespace: &str,
        name: &str,
        what: &str,
        holds: impl Fn(&ClinicPhoneNumber) -> bool,
    ) -> Result<ClinicPhoneNumber, Box<dyn Error>> {
        let api: Api<ClinicPhoneNumber> = Api::namespaced(self.space.env.admin.clone(), namespace);
        let held = |object: Option<&ClinicPhoneNumber>| object.is_some_and(&holds);
        match tokio::time::timeout(DEADLINE, Box::pin(await_condition(api.clone(), name, held))).await {
            Ok(found) => Ok(found?.ok_or("the number is gone")?),
            Err(_) => {
                let now = api.get_opt(name).await?.map(|n| (status(&n).conditions, status(&n).claim));
                Err(format!("{namespace}/{name}: {what} did not come; it is {now:#?}\n{:?}", self.calls()).into())
            }
        }
    }

    /// Waits until a number is in service as its spec says.
    pub async fn ready(&self, name: &str) -> Result<ClinicPhoneNumber, Box<dyn Error>> {
        self.until(name, "Ready", is_ready).await
    }

    /// Waits until a number has this reason.
    pub async fn reason(&self, name: &str, wanted: &str) -> Result<ClinicPhoneNumber, Box<dyn Error>> {
        self.until(name, wanted, |n| reason(n) == wanted && observed(n)).await
    }

    /// Gives the operator rights in all namespaces, whatever it had before.
    pub async fn rights_everywhere(&self) -> Outcome {
        let all = grants(&self.space.namespace, &[])?;
        let kind = |object: &Value| object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        for object in all.iter().filter(|object| kind(object).starts_with("Cluster")) {
            create(&self.space, object).await?;
        }
        Ok(())
    }

    /// Waits until there is no number of this name any more.
    pub async fn gone(&self, name: &str) -> Outcome {
        let wait = await_condition(self.space.numbers(), name, |object: Option<&ClinicPhoneNumber>| object.is_none());
        match tokio::time::timeout(DEADLINE, Box::pin(wait)).await {
            Ok(gone) => {
                gone?;
                Ok(())
            }
            Err(_) => Err(format!("{name} is still there: {:#?}", self.space.get(name).await?).into()),
        }
    }

    /// Waits until there is nothing at a path of the API server.
    pub async fn nothing_at(&self, path: &str) -> Outcome {
        // A namespace ends when Kubernetes gets to it: beside other control planes, on two cores, that takes its time.
        self.eventually_within(4 * DEADLINE, "the end of it", async || {
            let answer = self.space.send("GET", path, &[], &Value::Null).await;
            let gone =
                answer.err().is_some_and(|error| refusal(error.as_ref()).is_some_and(|status| status.code == 404));
            Ok(gone.then_some(()))
        })
        .await
    }

    /// Waits until `look` returns something.
    pub async fn eventually<T>(
        &self,
        what: &str,
        look: impl AsyncFnMut() -> Result<Option<T>, Box<dyn Error>>,
    ) -> Result<T, Box<dyn Error>> {
        self.eventually_within(DEADLINE, what, look).await
    }

    /// The same within this time.
    async fn eventually_within<T>(
        &self,
        deadline: std::time::Duration,
        what: &str,
        mut look: impl AsyncFnMut() -> Result<Option<T>, Box<dyn Error>>,
    ) -> Result<T, Box<dyn Error>> {
        let looked = async {
            loop {
                if let Some(found) = look().await? {
                    return Ok(found);
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let calls = || format!("{what} did not come; sent were {:?}", self.calls());
        tokio::time::timeout(deadline, Box::pin(looked)).await.map_err(|_| calls())?
    }

    /// Waits until this is so.
    pub async fn so(&self, what: &str, mut is_so: impl FnMut() -> bool) -> Outcome {
        self.eventually(what, async || Ok(is_so().then_some(()))).await
    }

    /// Waits until the operator has ended this many more passes.
    pub async fn passes(&self, more: u64) -> Outcome {
        let operator = self.operator()?;
        let enough = operator.passes() + more;
        self.so("more passes", || operator.passes() >= enough).await
    }

    /// The events told so far, `reason: note`.
    pub async fn events(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", self.space.namespace);
        let list = self.space.send("GET", &path, &[], &Value::Null).await?;
        let text = |event: &Value, field: &str| event.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let events = list.pointer("/items").and_then(Value::as_array).into_iter().flatten();
        Ok(events.map(|event| format!("{}: {}", text(event, "reason"), text(event, "note"))).collect())
    }

    /// Waits for an event that begins with its reason and has these words; there is no second one.
    pub async fn event(&self, reason: &str, words: &[&str]) -> Outcome {
        let found = self
            .eventually(&format!("an event {reason} {words:?}"), async || {
                let mut events = self.events().await?;
                events.retain(|event| {
                    event.starts_with(&format!("{reason}: ")) && words.iter().all(|word| event.contains(word))
                });
                Ok((!events.is_empty()).then_some(events))
            })
            .await?;
        if found.len() == 1 { Ok(()) } else { Err(format!("told more than once: {found:#?}").into()) }
    }

    /// The lines of the ledger.
    pub async fn ledger(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let path = format!("/api/v1/namespaces/{}/configmaps/clinic-phone-operator-ledger", self.space.namespace);
        let map = self.space.send("GET", &path, &[], &Value::Null).await?;
        let stamps = map.pointer("/data/stamps").and_then(Value::as_str).unwrap_or_default();
        Ok(stamps.lines().map(str::to_owned).collect())
    }

    /// What the operator wrote, by its own account in the audit log: `verb resource/subresource code`.
    pub fn writes(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let filter = audit::Filter::all().service_account(&self.space.namespace, OPERATOR);
        let writes = audit::writes(&self.space.env.control_plane.audit_log(), &filter)?;
        let text = |write: &audit::Write| {
            let kind = &write.kind;
            let slash = if kind.subresource.is_empty() { "" } else { "/" };
            format!("{} {}{slash}{} {}", kind.verb, kind.resource, kind.subresource, kind.code)
        };
        Ok(writes.iter().map(text).collect())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for operator in &self.operators {
            operator.stop.cancel();
        }
        if std::thread::panicking() {
            eprintln!("---- sent to Twilio: {:?}", self.calls());
        }
        // The namespaces besides the test's own; whoever wants to see them go deletes them in the test.
        let env = &self.space.env;
        for namespace in self.namespaces.iter().skip(1) {
            let path = format!("/api/v1/namespaces/{namespace}");
            let request = http::Request::delete(path).body(Vec::new());
            let client = env.admin.clone();
            env.spawn(async move {
                if let Ok(request) = request {
                    client.request::<Value>(request).map(drop).await;
                }
            });
        }
    }
}

/// Creates an account, a role or a binding.
async fn create(space: &Space, object: &Value) -> Outcome {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let place = match text("/metadata/namespace") {
        "" => String::new(),
        namespace => format!("/namespaces/{namespace}"),
    };
    let group = match text("/apiVersion") {
        "v1" => "/api/v1".to_owned(),
        group => format!("/apis/{group}"),
    };
    let plural = format!("{}s", text("/kind").to_lowercase());
    space.send("POST", &format!("{group}{place}/{plural}"), &[], object).await?;
    Ok(())
}

/// Makes the namespaces besides the test's own, the chart's account and its rights; returns the account's kubeconfig.
async fn prepare(space: &Space, namespaces: &[String], options: &Options) -> Result<PathBuf, Box<dyn Error>> {
    for name in namespaces.iter().skip(1) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        space.send("POST", "/api/v1/namespaces", &[], &namespace).await?;
    }
    operator_account(space, if options.everywhere { &[] } else { namespaces }).await
}

/// Creates the chart's account in the test's namespace, with rights in `watched`, or in all namespaces; returns its
/// kubeconfig.
async fn operator_account(space: &Space, watched: &[String]) -> Result<PathBuf, Box<dyn Error>> {
    let namespace = &space.namespace;
    let watched: Vec<&str> = watched.iter().map(String::as_str).collect();
    for object in grants(namespace, &watched)? {
        create(space, &object).await?;
    }
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200},
    });
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{OPERATOR}/token");
    let answer = space.send("POST", &path, &[], &request).await?;
    let token = answer.pointer("/status/token").ok_or("no token")?;
    let control_plane = &space.env.control_plane;
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(control_plane.kubeconfig())?)?;
    for (pointer, value) in [("/users/0/user/token", token), ("/contexts/0/context/namespace", &json!(namespace))] {
        config.pointer_mut(pointer).ok_or("no such place in the kubeconfig")?.clone_from(value);
    }
    let file = control_plane.folder().join(format!("kubeconfig-{namespace}"));
    std::fs::write(&file, config.to_string())?;
    // The API server learns of new rights by watching them, a moment later.
    let own = [("create", "", "configmaps", "", namespace.as_str())];
    let other = watched.iter().map(|watched| ("get", "", "secrets", "", *watched));
    let all = watched.is_empty().then_some(("get", "", "secrets", "", ""));
    for asked in own.into_iter().chain(other).chain(all) {
        tokio::time::timeout(DEADLINE, async {
            while !may(space, asked).await? {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Ok::<_, Box<dyn Error>>(())
        })
        .await??;
    }
    Ok(file)
}

/// The usual spec, changed by a merge patch.
pub fn spec(but: &Value) -> Value {
    let mut spec = json!({
        "credentialsSecretRef": {"name": "twilio"},
        "search": {"country": "CA", "areaCodes": ["418"]},
        "sms": {"webhookURL": WEBHOOK},
    });
    merge(&mut spec, but);
    spec
}

/// The status of a number; an empty one when there is none yet.
pub fn status(number: &ClinicPhoneNumber) -> ClinicPhoneNumberStatus {
    number.status.clone().unwrap_or_default()
}

/// A condition: its status, reason and message.
pub fn condition(number: &ClinicPhoneNumber, kind: &str) -> Option<(String, String, String)> {
    let found = status(number).conditions.into_iter().find(|c| c.type_ == kind)?;
    Some((found.status, found.reason, found.message))
}

/// Whether a condition is True.
pub fn is(number: &ClinicPhoneNumber, kind: &str) -> bool {
    condition(number, kind).is_some_and(|(status, ..)| status == "True")
}

/// The reason of `Ready`; empty when there is none yet.
pub fn reason(number: &ClinicPhoneNumber) -> String {
    condition(number, "Ready").map(|(_, reason, _)| reason).unwrap_or_default()
}

/// The message of `Ready`.
pub fn message(number: &ClinicPhoneNumber) -> String {
    condition(number, "Ready").map(|(.., message)| message).unwrap_or_default()
}

/// Whether status speaks of the spec as it is.
pub fn observed(number: &ClinicPhoneNumber) -> bool {
    status(number).observed_generation == number.metadata.generation
}

/// Whether a number is in service as its spec says.
pub fn is_ready(number: &ClinicPhoneNumber) -> bool {
    is(number, "Ready") && !is(number, "Reconciling") && observed(number)
}

/// The number that a resource holds; empty when it holds none.
pub fn held(number: &ClinicPhoneNumber) -> String {
    status(number).phone_number.unwrap_or_default()
}

/// How the resource came by its number.
pub fn origin(number: &ClinicPhoneNumber) -> Option<Origin> {
    status(number).origin
}

/// The version of the object: it changes with every write.
pub fn version(number: &ClinicPhoneNumber) -> String {
    number.resource_version().unwrap_or_default()
}
