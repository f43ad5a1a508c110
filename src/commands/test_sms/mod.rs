//! `test-sms`: does a number really send, and does what is sent to it really arrive? A person asks, and a phone answers.
//!
//! The resource is only read. One message may be sent, after its price was told and agreed to; whatever came of that is not tried again.

mod codes;

use std::collections::HashSet;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::Answer;
use super::output::printable;
use crate::api::ClinicPhoneNumber;
use crate::clock::SharedClock;
use crate::config;
use crate::controller::secrets::{Reader, read_as};
use crate::domain::time::parse_duration;
use crate::domain::{ArrivedMessage, E164, Meaning, MessageSid, MessageState, NumberType};
use crate::plan::observed::CredentialsView;
use crate::twilio::{self, Client, Credentials};

const MORE: &str = "\
What is done:
  --to sends one SMS from the number that the resource holds and follows it until it is delivered or
  has failed. It costs what Twilio charges for one: the list price is told first, and asked for.
  --inbound tells which number to text, waits until Twilio has the message, and looks whether
  Twilio's debugger has anything against the webhook. A message that comes in may cost too.
  The resource is not changed. What people write is not read.

Rights:
  The kubeconfig's current context is used. It has to be allowed to get the resource and its Secret.

Exit code:
  0  delivered; or arrived, with nothing against the webhook
  1  not delivered, not taken by the webhook, or Twilio could not be asked
  2  wrong usage, or nobody agreed to the price
  3  nothing is known: when the time is over, or where Twilio's answer was lost and it may have been sent

Examples:
  clinic-phone-operator test-sms reception --namespace clinique-sainte-foy --to +14185550123
  clinic-phone-operator test-sms reception -n clinique-sainte-foy --to +14185550123 --yes
  clinic-phone-operator test-sms reception -n clinique-sainte-foy --inbound --timeout 10m";

/// Sends a message through a number, or waits for one to it, and follows it; asks before it costs.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = MORE)]
#[command(group = clap::ArgGroup::new("way").required(true).args(["to", "inbound"]))]
pub struct TestSmsArgs {
    /// The ClinicPhoneNumber
    pub name: String,
    /// Its namespace. Default: the kubeconfig's
    #[arg(long, short)]
    pub namespace: Option<String>,
    /// Send one SMS to this number, as E.164
    #[arg(long, value_name = "NUMBER")]
    pub to: Option<E164>,
    /// Wait for an SMS to the number
    #[arg(long)]
    pub inbound: bool,
    /// What is sent
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "Test of this number by clinic-phone-operator.",
        conflicts_with = "inbound"
    )]
    pub body: String,
    /// Agree to the price without being asked
    #[arg(long, short)]
    pub yes: bool,
    /// How long the message is followed, or waited for
    #[arg(long, default_value = "3m", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Base URL in place of Twilio's, for all its products. Plain http only on loopback
    #[arg(long, env = "CPN_TWILIO_URL")]
    pub twilio_url: Option<String>,
    /// The longest that one call to Twilio may take
    #[arg(long, env = "CPN_TWILIO_TIMEOUT", default_value = "30s", value_parser = parse_duration)]
    pub twilio_timeout: Duration,
}

/// Nobody agreed.
const DECLINED: u8 = 2;
/// Nothing is known.
const OPEN: u8 = 3;
/// How often Twilio is asked.
const PAUSE: Duration = Duration::from_secs(2);
/// What Twilio's debugger has against a webhook comes a little later than the message.
const ALERTS: Duration = Duration::from_secs(20);

/// One test.
///
/// # Errors
/// When a flag is wrong, the resource holds no number, or the cluster or Twilio cannot be asked.
pub async fn run(args: &TestSmsArgs, clock: SharedClock, stop: CancellationToken) -> anyhow::Result<Answer> {
    let (endpoints, network) = (config::endpoints(args.twilio_url.as_deref())?, config::network(args.twilio_timeout));
    let transport = twilio::network(&network).context("cannot make an HTTP client")?;
    let kube_config =
        kube::Config::infer().await.context("no cluster: neither a kubeconfig nor a service account was found")?;
    let namespace = args.namespace.clone().unwrap_or_else(|| kube_config.default_namespace.clone());
    let kube = kube::Client::try_from(kube_config).context("cannot make a Kubernetes client")?;
    let (number, inbound, credentials) = subject(&kube, &namespace, &args.name).await?;
    let test = Test {
        twilio: Client::new(endpoints, transport, network.timeout),
        credentials,
        number,
        timeout: args.timeout,
        clock,
        tell: &|text| progress(text),
        sending: AtomicBool::new(false),
    };
    let answer = async {
        match &args.to {
            Some(to) => Ok(test.send(to, &args.body, agreed(args.yes)).await),
            None => test.wait(&inbound).await,
        }
    };
    tokio::select! {
        answer = answer => answer,
        () = stop.cancelled() => {
            let sent = if test.sending.load(Ordering::Relaxed) { "what was sent is on its way" } else { "nothing was sent" };
            anyhow::bail!("stopped; {sent}")
        }
    }
}

/// The number that the resource holds, what it says of incoming messages, and the account's credentials.
async fn subject(kube: &kube::Client, namespace: &str, name: &str) -> anyhow::Result<(E164, String, Credentials)> {
    let api: kube::Api<ClinicPhoneNumber> = kube::Api::namespaced(kube.clone(), namespace);
    let found = api.get_opt(name).await.context("cannot read the ClinicPhoneNumber")?;
    let resource = found.with_context(|| format!("no ClinicPhoneNumber {name} in namespace {namespace}"))?;
    let status = resource.status.unwrap_or_default();
    let told = |kind: &str| {
        let condition = status.conditions.iter().find(|condition| condition.type_ == kind);
        condition.map(|it| format!("{kind} is {} ({}): {}", it.status, it.reason, it.message)).unwrap_or_default()
    };
    let number =
        status.phone_number.as_deref().with_context(|| format!("{name} holds no number. {}", told("Ready")))?;
    let reference = &resource.spec.credentials_secret_ref;
    // Fingerprints do not leave this process.
    let (view, credentials) =
        read_as(Reader::Person, kube, &[], namespace, reference).await.map_err(|error| anyhow::anyhow!("{error}"))?;
    let credentials = match (credentials, view) {
        (Some(credentials), _) => credentials,
        (None, CredentialsView::Missing(what) | CredentialsView::Malformed(what)) => anyhow::bail!("{what}"),
        (None, CredentialsView::Unread | CredentialsView::Present { .. }) => anyhow::bail!("no credentials"),
    };
    anyhow::ensure!(
        status.account_sid.as_deref() == Some(credentials.account().as_str()),
        "the Secret {} is of account {}, and {number} belongs to {}",
        reference.name,
        credentials.account(),
        status.account_sid.as_deref().unwrap_or("another one")
    );
    Ok((E164::parse(number)?, told("InboundSms"), credentials))
}

/// Whether whoever runs the command agrees to the price that was told.
async fn agreed(yes: bool) -> bool {
    if yes {
        return true;
    }
    if !std::io::stdin().is_terminal() {
        progress("nobody can be asked here: add --yes to agree to the price");
        return false;
    }
    progress("Send it? [y/N]");
    let (tell, told) = tokio::sync::oneshot::channel();
    // A thread that nobody waits for: whoever interrupts is not asked to press Enter too.
    std::thread::spawn(move || {
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer).is_ok();
        let yes = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes" | "o" | "oui");
        // Nobody is there any more: the command was interrupted.
        let _ = tell.send(read && yes);
    });
    told.await.unwrap_or(false)
}

fn progress(text: &str) {
    use std::io::Write as _;
    // Nothing is lost if nobody sees it.
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// One number of one account, to be tried.
struct Test<'a> {
    twilio: Client,
    credentials: Credentials,
    number: E164,
    timeout: Duration,
    clock: SharedClock,
    tell: &'a (dyn Fn(&str) + Sync),
    /// Whether something was handed to Twilio.
    sending: AtomicBool,
}

fn ended(code: u8, text: impl Into<String>) -> Answer {
    Answer { text: text.into() + "\n", code: ExitCode::from(code) }
}

impl Test<'_> {
    async fn send(&self, to: &E164, body: &str, agreed: impl Future<Output = bool>) -> Answer {
        (self.tell)(&format!("one SMS from {} to {to}: {}", self.number, self.price(to).await));
        if !agreed.await {
            return ended(DECLINED, "nothing was sent");
        }
        self.sending.store(true, Ordering::Relaxed);
        let (sid, mut state) = match self.twilio.send_message(&self.credentials, &self.number, to, body).await {
            Ok(sent) => sent,
            Err(trouble) if trouble.meaning == Meaning::Ambiguous => {
                return ended(
                    OPEN,
                    format!("it may have been sent, and may cost: look before you repeat it. {trouble}"),
                );
            }
            Err(trouble) => {
                let why = trouble.code.map(|code| format!(": {}", codes::sent(code))).unwrap_or_default();
                return ended(1, format!("not sent{why}. {trouble}"));
            }
        };
        let until = self.clock.now().boot.after(self.timeout);
        while !state.is_final() && self.clock.now().boot < until {
            (self.tell)(&format!("{sid}: {}", printable(&state.status)));
            tokio::time::sleep(PAUSE).await;
            match self.twilio.message_state(&self.credentials, &sid).await {
                Ok(now) => state = now,
                // It was sent, and is looked for as long as there is time.
                Err(trouble) => (self.tell)(&format!("{trouble}")),
            }
        }
        self.outcome(&sid, to, &state)
    }

    fn outcome(&self, sid: &MessageSid, to: &E164, state: &MessageState) -> Answer {
        let status = printable(&state.status);
        if state.is_delivered() {
            return ended(0, format!("{sid} was delivered to {to}"));
        }
        if state.is_final() {
            let why = state.error.map(|code| format!(": {} (Twilio {code})", codes::sent(code))).unwrap_or_default();
            return ended(1, format!("{sid} did not reach {to}, it is {status}{why}"));
        }
        let carrier = if state.status == "sent" { "; not every carrier tells that it delivered" } else { "" };
        ended(OPEN, format!("{sid} is {status} after {:?}{carrier}", self.timeout))
    }

    /// What one message costs by Twilio's list, in words.
    async fn price(&self, to: &E164) -> String {
        let kind = self.number.kind().unwrap_or(NumberType::Local);
        let countries = to.countries();
        let Some(country) = countries.first() else {
            return "Twilio's price list does not have that country".to_owned();
        };
        match self.twilio.message_prices(&self.credentials, country).await {
            Ok(prices) => prices.of(kind).map_or_else(
                || format!("Twilio's price list for {country} does not have it"),
                |price| format!("{} by Twilio's price list for {country}, carrier fees aside", price.outbound),
            ),
            Err(trouble) => format!("what it costs cannot be read ({trouble})"),
        }
    }

    async fn wait(&self, inbound: &str) -> anyhow::Result<Answer> {
        // Twilio's clock and this one may differ by a little.
        let since = self.clock.now().wall.saturating_sub(Duration::from_secs(3600)).unwrap_or_default();
        let before: HashSet<_> = self.arrived(since).await?.into_iter().map(|message| message.sid).collect();
        let waiting =
            format!("text anything to {} ({}); waiting {:?}", self.number, self.number.national(), self.timeout);
        (self.tell)(&waiting);
        let until = self.clock.now().boot.after(self.timeout);
        while self.clock.now().boot < until {
            tokio::time::sleep(PAUSE).await;
            let arrived = match self.arrived(since).await {
                Ok(arrived) => arrived,
                Err(trouble) => {
                    (self.tell)(&trouble.to_string());
                    continue;
                }
            };
            if let Some(message) = arrived.into_iter().find(|message| !before.contains(&message.sid)) {
                return Ok(self.taken(&message).await);
            }
        }
        Ok(ended(
            OPEN,
            format!("nothing came to {} within {:?}. {inbound}", self.number, self.timeout).trim_end().to_owned(),
        ))
    }

    async fn arrived(&self, since: k8s_openapi::jiff::Timestamp) -> anyhow::Result<Vec<ArrivedMessage>> {
        Ok(self.twilio.received_since(&self.credentials, &self.number, since).await?)
    }

    /// Twilio has it: whether the webhook took it is what the debugger would know.
    async fn taken(&self, message: &ArrivedMessage) -> Answer {
        let from = shortened(&message.from);
        let arrived = format!("{} from {from} arrived at Twilio at {}", printable(&message.sid), message.at);
        (self.tell)(&format!("{arrived}; looking whether the webhook took it"));
        let since = message.at.saturating_sub(Duration::from_secs(60)).unwrap_or_default();
        let until = self.clock.now().boot.after(ALERTS);
        loop {
            let alerts = self.twilio.alerts_since(&self.credentials, since).await;
            if let Some(alert) = alerts.iter().flatten().find(|alert| alert.resource == message.sid) {
                let code = alert.code.unwrap_or_default();
                return ended(
                    1,
                    format!("{arrived}, and the webhook did not take it: {} (Twilio {code})", codes::webhook(code)),
                );
            }
            if self.clock.now().boot >= until {
                if let Err(trouble) = alerts {
                    return ended(
                        OPEN,
                        format!("{arrived}; whether the webhook took it cannot be looked at: {trouble}"),
                    );
                }
                return ended(0, format!("{arrived}, and Twilio's debugger has nothing against the webhook"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Enough of a number to know one's own by, and not a patient's.
fn shortened(from: &str) -> String {
    let shown: String = printable(from).chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
    format!("…{shown}")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use clap::Parser as _;
    use tower::ServiceExt as _;
    use tower::util::BoxCloneSyncService;

    use super::*;
    use crate::clock::{Clock, SystemClock};
    use crate::domain::{AccountSid, Now};
    use crate::simulator::{AccountSpec, Fate, InboundMessage, Recorder, Settings, Simulator};
    use crate::twilio::{Auth, Endpoints, TransportError};

    const FROM: &str = "+14185550100";
    const TO: &str = "+14185550199";

    /// The clock that tests stop and tokio moves on.
    struct Paused(tokio::time::Instant, Now);

    impl Clock for Paused {
        fn now(&self) -> Now {
            let by = self.0.elapsed();
            Now { wall: self.1.wall.saturating_add(by).unwrap(), boot: self.1.boot.after(by) }
        }
    }

    struct Bench {
        simulator: Simulator,
        account: AccountSid,
        told: Arc<Mutex<Vec<String>>>,
    }

    impl Bench {
        fn new() -> Self {
            let settings = Settings { record: Recorder::of_tests(), ..Settings::default() };
            let simulator = Simulator::new(settings, Arc::new(SystemClock));
            let account = AccountSid::parse(&format!("AC{:032x}", 1)).unwrap();
            let mut spec = AccountSpec::new(account.clone(), "0badc0de0badc0de0badc0de0badc0de");
            // Nobody listens there.
            let hook = serde_json::json!([{"phoneNumber": FROM, "smsUrl": "http://127.0.0.1:1/sms"}]);
            spec.numbers = serde_json::from_value(hook).unwrap();
            simulator.add_accounts(vec![spec]).unwrap();
            Self { simulator, account, told: Arc::default() }
        }

        async fn run<'a, T>(&'a self, what: impl AsyncFnOnce(Test<'_>) -> T + 'a) -> T {
            let transport = self.simulator.service().map_err(|cut| TransportError::Interrupted(cut.to_string()));
            let endpoints = Endpoints::twilio().unwrap();
            let told = Arc::clone(&self.told);
            let tell = move |text: &str| told.lock().unwrap().push(text.to_owned());
            what(Test {
                twilio: Client::new(endpoints, BoxCloneSyncService::new(transport), Duration::from_secs(5)),
                credentials: Credentials::new(
                    self.account.clone(),
                    Auth::AuthToken("0badc0de0badc0de0badc0de0badc0de".into()),
                ),
                number: E164::parse(FROM).unwrap(),
                timeout: Duration::from_secs(60),
                clock: Arc::new(Paused(tokio::time::Instant::now(), SystemClock.now())),
                tell: &tell,
                sending: AtomicBool::new(false),
            })
            .await
        }

        /// Waits while a text comes in from outside to this number.
        async fn arrives(&self, number: &str, body: &str) -> Answer {
            let number = E164::parse(number).unwrap();
            let message = text(&number, body);
            self.run(async |test| {
                let test = Test { number, ..test };
                let arrives = async {
                    tokio::time::sleep(Duration::from_secs(7)).await;
                    self.simulator.deliver(message).await
                };
                tokio::join!(test.wait(""), arrives).0
            })
            .await
            .unwrap()
        }

        fn sent(&self) -> usize {
            self.simulator.calls().iter().filter(|call| call.operation == "CreateMessage").count()
        }
    }

    fn text(to: &E164, body: &str) -> InboundMessage {
        InboundMessage { from: TO.to_owned(), to: to.clone(), body: body.to_owned() }
    }

    fn fate(status: &str, error_code: Option<u32>) -> Vec<Fate> {
        vec![Fate { to: TO.to_owned(), status: status.to_owned(), error_code }]
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_followed_to_its_end_and_its_error_is_explained() {
        for (fates, code, words) in [
            (Vec::new(), 0, "was delivered to"),
            (fate("undelivered", Some(30_034)), 1, "A2P 10DLC"),
            (fate("failed", Some(30_006)), 1, "landline"),
            (fate("undelivered", Some(39_999)), 1, "(Twilio 39999)"),
            (fate("sent", None), OPEN, "not every carrier tells"),
        ] {
            let bench = Bench::new();
            bench.simulator.put_fates(fates);
            let to = E164::parse(TO).unwrap();
            let answer = bench.run(async |test| test.send(&to, "Hello", async { true }).await).await;
            assert_eq!((answer.code, bench.sent()), (ExitCode::from(code), 1), "{}", answer.text);
            assert!(answer.text.contains(words), "{words}: {}", answer.text);
            let told = bench.told.lock().unwrap().join("\n");
            assert!(told.contains("0.0075 USD by Twilio's price list for CA"), "{told}");
        }
    }

    /// A person who is told "not sent" sends again.
    #[tokio::test(start_paused = true)]
    async fn a_message_whose_answer_is_lost_may_have_been_sent_and_a_debugger_that_cannot_be_asked_proves_nothing() {
        use crate::simulator::{Fault, FaultSpec};
        let bench = Bench::new();
        bench.simulator.put_faults(vec![FaultSpec::once("CreateMessage", Fault::Http500After)]);
        let to = E164::parse(TO).unwrap();
        let answer = bench.run(async |test| test.send(&to, "Hello", async { true }).await).await;
        assert_eq!((answer.code, bench.sent()), (ExitCode::from(OPEN), 1));
        assert!(answer.text.contains("may have been sent"), "{}", answer.text);

        bench.simulator.put_faults(vec![FaultSpec::always("ListAlert", Fault::Http503)]);
        let answer = bench.arrives(FROM, "x").await;
        assert_eq!(answer.code, ExitCode::from(OPEN), "{}", answer.text);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_sent_without_a_yes_and_a_refusal_is_explained() {
        let bench = Bench::new();
        let to = E164::parse(TO).unwrap();
        let answer = bench.run(async |test| test.send(&to, "Hello", async { false }).await).await;
        assert_eq!((answer.code, bench.sent()), (ExitCode::from(DECLINED), 0));
        let trial = crate::simulator::AccountPatch {
            kind: Some(crate::simulator::AccountType::Trial),
            ..crate::simulator::AccountPatch::default()
        };
        assert!(bench.simulator.patch_account(&bench.account, trial));
        let answer = bench.run(async |test| test.send(&to, "Hello", async { true }).await).await;
        assert_eq!((answer.code, bench.sent()), (ExitCode::from(1), 1), "and not again");
        assert!(answer.text.contains("verified numbers only") && answer.text.contains("21608"), "{}", answer.text);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_comes_in_is_found_and_what_the_webhook_made_of_it() {
        let bench = Bench::new();
        // One of before does not count.
        bench.simulator.deliver(text(&E164::parse(FROM).unwrap(), "early")).await;
        let answer = bench.run(async |test| test.wait("InboundSms is False (NotWired): x").await).await.unwrap();
        assert_eq!(answer.code, ExitCode::from(OPEN));
        assert!(answer.text.contains("nothing came") && answer.text.contains("NotWired"), "{}", answer.text);

        let answer = bench.arrives(FROM, "canary").await;
        assert_eq!(answer.code, ExitCode::from(1));
        for words in ["from …0199 arrived at Twilio", "does not take connections", "(Twilio 11205)"] {
            assert!(answer.text.contains(words), "{words}: {}", answer.text);
        }
        let all = format!("{}{:?}", answer.text, bench.told.lock().unwrap());
        assert!(
            !all.contains("canary") && !all.contains(TO),
            "what people write, and their numbers, are theirs: {all}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_webhook_of_which_the_debugger_says_nothing_has_taken_the_message() {
        let bench = Bench::new();
        // Taken by an application, of which nothing is noted here.
        let taken = serde_json::json!([{"phoneNumber": "+14185550101", "smsApplicationSid": format!("AP{:032x}", 1)}]);
        let mut spec = AccountSpec::new(bench.account.clone(), "0badc0de0badc0de0badc0de0badc0de");
        spec.numbers = serde_json::from_value(taken).unwrap();
        bench.simulator.add_accounts(vec![spec]).unwrap();
        let answer = bench.arrives("+14185550101", "x").await;
        assert_eq!(answer.code, ExitCode::SUCCESS);
        assert!(answer.text.contains("has nothing against the webhook"), "{}", answer.text);
    }

    #[derive(Debug, clap::Parser)]
    struct Alone {
        #[command(flatten)]
        args: TestSmsArgs,
    }

    #[test]
    fn one_way_is_named_and_a_number_is_one() {
        let parse =
            |flags: &[&str]| Alone::try_parse_from(["test-sms", "reception"].iter().chain(flags)).map(|it| it.args);
        assert_eq!(parse(&["--to", TO]).unwrap().to.unwrap().as_str(), TO);
        assert!(parse(&["--inbound"]).unwrap().inbound);
        for (flags, named) in [
            (&[][..], "--to"),
            (&["--to", TO, "--inbound"], "--inbound"),
            (&["--to", "418"], "E.164"),
            (&["--inbound", "--body", "x"], "--body"),
        ] {
            let why = parse(flags).unwrap_err().to_string();
            assert!(why.contains(named), "{named}: {why}");
        }
    }
}
