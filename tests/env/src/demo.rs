//! The demonstration: everything from nothing, each statement checked, everything ended.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::Agreed;
use crate::failure::Failure;
use crate::programs::{self, Profile, checkout};
use crate::report::{Report, table};
use crate::settings::{Settings, Target};
use crate::stage::{Plan, Stage, condition, is_ready, items, key, soon, state, text};
use crate::tell;

/// How long anything may take that the operator does. Nothing takes this long.
const PATIENCE: Duration = Duration::from_secs(45);

/// The resource that most sections are about: the plain example.
const CLINIC: &str = "clinique-sainte-foy";
const NAME: &str = "reception";

/// The example that is there to be released.
const CAMPAIGN: (&str, &str) = ("clinique-temporaire", "campaign");

/// The example whose number is chosen by hand.
const CHOOSER: (&str, &str) = ("clinique-montmagny", "reception");

/// The clinic whose purchase is left without an answer.
const UNLUCKY: &str = "clinique-sans-reponse";
const UNLUCKY_ACCOUNT: &str = "AC99999999999999999999999999999999";

/// Runs the demonstration.
///
/// # Errors
/// When something cannot be started, or a statement is wrong.
pub fn run(settings: Settings) -> Result<(), Failure> {
    let agreed = if settings.target == Target::Current { Some(Agreed::ask(settings)?) } else { None };
    let binary = programs::operator(Profile::Quick)?;
    let variables = [
        ("CPN_INSTALLATION_ID", "demo"),
        ("CPN_SIM_LATENCY", "50ms"),
        // Everything that waits for Twilio to have settled waits as long: short, so that it can be watched.
        ("CPN_TWILIO_TIMEOUT", "3s"),
        ("CPN_SETTLE_WINDOW", "10s"),
        // Six hours otherwise.
        ("CPN_USAGE_INTERVAL", "2s"),
        ("CPN_MESSAGING_INTERVAL", "2s"),
    ];
    let logs = binary.with_file_name("demo-logs");
    drop(std::fs::remove_dir_all(&logs));
    let plan = Plan {
        variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        inherit: false,
        logs: logs.clone(),
        binary,
    };
    // Built before the clock starts: only the first run has anything to build.
    if agreed.is_none() {
        cpn_env::binaries::find_or_build(&tell)?;
    }
    let started = Instant::now();
    let mut demo = Demo { stage: Stage::start(&plan, agreed)?, report: Report::new(), examples: Vec::new() };
    demo.play();
    let Demo { stage, report, .. } = demo;
    let log = stage.operator_log(25);
    stage.stop()?;
    report.section("The end");
    report.say(&format!("Everything that was started has ended. That took {} seconds.", started.elapsed().as_secs()));
    if report.end() {
        return Ok(());
    }
    report.note(&format!("The end of the operator's log; all logs are in {}:\n{log}", logs.display()));
    Err(Failure::Statements)
}

struct Demo {
    stage: Stage,
    report: Report,
    /// The resources of `examples/`, as they are written there.
    examples: Vec<Value>,
}

type Section = fn(&mut Demo) -> Result<(), Failure>;

impl Demo {
    /// Plays each section; one that goes wrong does not keep the next from being played, unless it is the first.
    fn play(&mut self) {
        let sections: [(&str, Section); 13] = [
            ("The examples are applied", Self::apply),
            ("What people see", Self::look),
            ("One resource, closer", Self::closer),
            ("What was bought", Self::bought),
            ("A number is chosen by hand", Self::choose),
            ("A message comes in", Self::message),
            ("What the month costs", Self::costs),
            ("The webhook changes", Self::rewire),
            ("The operator is killed and started again", Self::restart),
            ("A purchase is left without an answer, and the operator is killed", Self::unanswered),
            ("A resource is deleted, its number stays", Self::retain),
            ("A resource is deleted, its number is given back", Self::release),
            ("All in all", Self::total),
        ];
        for (number, (title, section)) in sections.into_iter().enumerate() {
            self.report.section(&format!("{}. {title}", number + 1));
            if let Err(failure) = section(self) {
                let detail = failure.to_string();
                self.report.state("this section comes to its end", Err(detail));
                if number == 0 {
                    break;
                }
            }
        }
    }

    fn kubectl(&self, arguments: &[&str]) -> Result<String, Failure> {
        Ok(self.stage.kubectl().run(arguments)?.ok()?)
    }

    /// Runs kubectl and shows the command as a person would type it, with what it gave.
    fn show(&self, arguments: &[&str]) -> Result<String, Failure> {
        let output = self.kubectl(arguments)?;
        self.report.show(&format!("kubectl {}", typed(arguments)), &output);
        Ok(output)
    }

    /// Shows a question to the simulated Twilio as a person would type it, and these fields of the answer.
    fn show_question(&self, path: &str, which: &str, fields: &[&str], found: &[Value]) {
        let wanted = fields.iter().map(|field| format!(".{field}")).collect::<Vec<_>>().join(", ");
        let command = format!("curl -s {}{path} | jq -r '{which} | [{wanted}] | @tsv'", self.stage.simulator.url());
        let row = |value: &Value| fields.iter().map(|field| text(value, &format!("/{field}")).to_owned()).collect();
        self.report.show(&command, &table(&found.iter().map(row).collect::<Vec<_>>()));
    }

    fn show_sales(&self, which: &str, sales: &[Value]) {
        self.show_question("/_simulator/ledger", which, &["phoneNumber", "accountSid", "friendlyName"], sales);
    }

    /// Shows what the simulated Twilio knows of a number, and returns it.
    fn show_number(&self, number: &str) -> Result<Option<Value>, Failure> {
        let held = self.stage.number(number)?;
        let which = format!(".[] | select(.phoneNumber == \"{number}\")");
        let fields = ["phoneNumber", "accountSid", "smsUrl", "smsMethod", "friendlyName"];
        self.show_question("/_simulator/numbers", &which, &fields, held.as_slice());
        Ok(held)
    }

    fn ready(&self, namespace: &str, name: &str) -> Result<Value, Failure> {
        soon(&format!("{namespace}/{name} is Ready"), PATIENCE, || {
            let resource = self.stage.resource(namespace, name)?.unwrap_or_default();
            Ok(if is_ready(&resource) { Ok(resource) } else { Err(state(&resource)) })
        })
    }

    fn gone(&self, namespace: &str, name: &str) -> Result<(), Failure> {
        soon(&format!("{namespace}/{name} is gone"), PATIENCE, || {
            Ok(self.stage.resource(namespace, name)?.map_or(Ok(()), |resource| Err(state(&resource))))
        })
    }

    fn apply(&mut self) -> Result<(), Failure> {
        let folder = checkout()?.join("examples");
        let folder = folder.to_string_lossy();
        let create = ["create", "--dry-run=client", "--output", "json", "--filename", &folder];
        let written = documents(&self.kubectl(&create)?)?;
        let of_kind = |kind: &'static str| written.iter().filter(move |object| text(object, "/kind") == kind).cloned();
        self.examples = of_kind("ClinicPhoneNumber").collect();
        let namespaces: Vec<String> =
            of_kind("Namespace").map(|object| text(&object, "/metadata/name").to_owned()).collect();
        if self.stage.cluster.is_borrowed() {
            self.refuse_taken(&namespaces)?;
        }
        let accounts = accounts(&self.examples, &of_kind("Secret").collect::<Vec<_>>());
        self.stage.simulator.json("POST", "/_simulator/accounts", Some(&Value::Array(accounts)))?;

        self.report
            .say("Each file in examples/ is one case: a namespace, a Secret with Twilio credentials, and numbers.");
        self.report.note(
            "The simulated Twilio knows the accounts beforehand that an example says hold a number or an API key.",
        );
        let output = self.kubectl(&["apply", "--filename", &folder])?;
        self.stage.cluster.adopt_namespaces(&namespaces)?;
        let numbers: String = output
            .lines()
            .filter(|line| line.starts_with("clinicphonenumber"))
            .fold(String::new(), |text, line| text + line + "\n");
        self.report.show("kubectl apply --filename examples/ | grep clinicphonenumber", &numbers);

        let started = Instant::now();
        let wanted: Vec<(String, &str)> =
            self.examples.iter().map(|example| (key(example), end_state(example))).collect();
        let found = soon("every example is in its end state", PATIENCE, || {
            let resources = self.stage.resources()?;
            let late: Vec<String> = wanted
                .iter()
                .filter_map(|(name, reason)| {
                    let Some(resource) = resources.iter().find(|found| key(found) == *name) else {
                        return Some(format!("{name} is not there"));
                    };
                    (reached(resource) != *reason).then(|| state(resource))
                })
                .collect();
            Ok(if late.is_empty() { Ok(resources) } else { Err(late.join("\n             ")) })
        })?;
        self.report.check("every example reached its end state", &wanted.len(), &found.len());
        self.report
            .note(&format!("  It took {:.1} s; each call to Twilio takes 50 ms.", started.elapsed().as_secs_f64()));
        Ok(())
    }

    fn refuse_taken(&self, namespaces: &[String]) -> Result<(), Failure> {
        let there = self.kubectl(&["get", "namespace", "--output", "name"])?;
        let mut wanted = namespaces.iter().map(String::as_str).chain([UNLUCKY]);
        let taken = wanted.find(|name| there.lines().any(|line| line == format!("namespace/{name}")));
        taken.map_or(Ok(()), |name| {
            Err(Failure::Told(format!("this cluster has a namespace {name} already, which the examples would change")))
        })
    }

    fn look(&mut self) -> Result<(), Failure> {
        self.report.say("A table of all clinics: the number, whether it is in service, and why not if it is not.");
        self.show(&["get", "cpn", "-A"])?;
        self.report.say("And a wider one, with Twilio's SID and what it costs:");
        self.show(&["get", "cpn", "-A", "-o", "wide"])?;
        let resources = self.stage.resources()?;
        let numbers: BTreeSet<&str> = resources.iter().map(|resource| text(resource, "/status/phoneNumber")).collect();
        let distinct = numbers.iter().filter(|number| number.starts_with('+')).count();
        let waiting = resources.iter().filter(|resource| reached(resource) == "AwaitingApproval").count();
        self.report.check(
            "each resource in service holds a number of its own",
            &(resources.len() - waiting),
            &distinct,
        );
        for example in &self.examples {
            let wanted = text(example, "/spec/phoneNumber");
            if !wanted.is_empty() {
                let found = resources.iter().find(|resource| key(resource) == key(example));
                let found = found.map_or("", |resource| text(resource, "/status/phoneNumber"));
                self.report.check(&format!("{} holds exactly the number it names", key(example)), &wanted, &found);
            }
        }
        Ok(())
    }

    fn closer(&mut self) -> Result<(), Failure> {
        self.report.say("The conditions say how it stands, in words:");
        let template = "jsonpath={range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{\"\\n\"}{end}";
        let conditions = self.show(&["get", "cpn", NAME, "-n", CLINIC, "-o", template])?;
        for kind in ["Ready", "CredentialsValid", "NumberAcquired", "InboundSms", "OutboundSms"] {
            let there = conditions.lines().any(|line| line.starts_with(&format!("{kind}=True ")));
            self.report.check(&format!("{kind} is True"), &true, &there);
        }
        self.report.say("The events say what was done:");
        let about = format!("clinicphonenumber/{NAME}");
        let events = soon("an event NumberPurchased", PATIENCE, || {
            let events = self.kubectl(&["events", "-n", CLINIC, "--for", &about])?;
            Ok(if events.contains("NumberPurchased") { Ok(events) } else { Err(events) })
        })?;
        self.report.show(&format!("kubectl events -n {CLINIC} --for {about}"), &events);
        self.report.check("the purchase was told once", &1, &events.matches("NumberPurchased").count());
        Ok(())
    }

    fn bought(&mut self) -> Result<(), Failure> {
        self.report.say("Twilio's side: what was sold, to whom, and the operator's mark in front of the label.");
        let purchases = self.stage.purchases()?;
        self.show_sales(".purchases[]", &purchases);
        let buyers: Vec<&Value> = self.examples.iter().filter(|example| buys(example)).collect();
        self.report.check("as many purchases as resources that buy", &buyers.len(), &purchases.len());
        for buyer in buyers {
            let resource = self.stage.resource(text(buyer, "/metadata/namespace"), text(buyer, "/metadata/name"))?;
            let resource = resource.unwrap_or_default();
            let sold = purchases.iter().filter(|sale| {
                text(sale, "/phoneNumber") == text(&resource, "/status/phoneNumber")
                    && text(sale, "/accountSid") == text(&resource, "/status/accountSID")
                    && text(sale, "/sid") == text(&resource, "/status/phoneNumberSID")
            });
            self.report.check(&format!("exactly one purchase for {}", key(buyer)), &1, &sold.count());
        }
        Ok(())
    }

    fn choose(&mut self) -> Result<(), Failure> {
        let (namespace, name) = CHOOSER;
        self.report.say(
            "purchasePolicy: Manual buys nothing by itself. It lists numbers to choose from, and what each costs:",
        );
        let template = "jsonpath={.status.monthlyPrice.amount} {.status.monthlyPrice.currency}{\"\\n\"}\
                        {range .status.candidates[0:5]}{.phoneNumber} {.locality}{\"\\n\"}{end}";
        let shown = self.show(&["get", "cpn", name, "-n", namespace, "-o", template])?;
        let chosen = shown.lines().last().and_then(|line| line.split(' ').next()).unwrap_or_default().to_owned();
        self.report.say("Somebody names one of them, and it is bought:");
        let patch = json!({"spec": {"phoneNumber": chosen}}).to_string();
        self.show(&["patch", "cpn", name, "-n", namespace, "--type", "merge", "-p", &patch])?;
        let resource = self.ready(namespace, name)?;
        self.report.check(
            "it holds the number that was chosen",
            &chosen.as_str(),
            &text(&resource, "/status/phoneNumber"),
        );
        let sold = self.stage.purchases()?.iter().filter(|sale| text(sale, "/phoneNumber") == chosen).count();
        self.report.check("it was bought once", &1, &sold);
        let left = items(&resource, "/status/candidates").len();
        self.report.check("the list has gone", &0, &left);
        Ok(())
    }

    fn message(&mut self) -> Result<(), Failure> {
        let resource = self.ready(CLINIC, NAME)?;
        let number = text(&resource, "/status/phoneNumber").to_owned();
        self.report.say(&format!(
            "A patient writes to {number}. Twilio signs the message and calls the webhook; here an inbox stands for it."
        ));
        let sms = json!({"from": "+15145550199", "to": number, "body": "Bonjour, je voudrais un rendez-vous."});
        let answer = self.stage.simulator.json("POST", "/_simulator/messages", Some(&sms))?;
        self.report.show(
            &format!("curl -s -d '{sms}' {}/_simulator/messages", self.stage.simulator.url()),
            &answer.to_string(),
        );
        self.report.check("the webhook answered 200", &Some(200), &answer.pointer("/status").and_then(Value::as_u64));
        let came = items(&self.stage.inbox.get("/messages")?, "");
        let came: Vec<&Value> = came.iter().filter(|message| text(message, "/to") == number).collect();
        let shown = came.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let url = self.stage.inbox.url();
        self.report.show(&format!("curl -s {url}/messages | jq -cS '.[] | select(.to == \"{number}\")'"), &shown);
        self.report.check("one message came", &1, &came.len());
        let message = came.first().copied().cloned().unwrap_or_default();
        self.report.check(
            "its signature is valid",
            &Some(true),
            &message.pointer("/signatureValid").and_then(Value::as_bool),
        );
        self.report.check(
            "it was signed for the URL in the manifest",
            &text(&resource, "/spec/sms/webhookURL"),
            &text(&message, "/url"),
        );
        Ok(())
    }

    fn costs(&mut self) -> Result<(), Failure> {
        self.report.say(
            "Status says what Twilio counted this month, what it cost, and what the number costs. It is read every six hours; here \
             every few seconds.",
        );
        soon("the message that came in is counted", PATIENCE, || {
            let resource = self.ready(CLINIC, NAME)?;
            let received = resource.pointer("/status/usage/smsReceived").and_then(Value::as_i64);
            Ok(if received == Some(1) { Ok(()) } else { Err(format!("{received:?} messages received")) })
        })?;
        let columns = "custom-columns=NUMBER:.status.phoneNumber,PRICE:.status.monthlyPrice.amount,\
                       EACH SMS:.status.smsPrices.outbound,SENT:.status.usage.smsSent,RECEIVED:.status.usage.smsReceived,\
                       COST:.status.usage.estimatedCost,CURRENCY:.status.usage.currency,MONTH:.status.usage.month";
        let shown = self.show(&["get", "cpn", NAME, "-n", CLINIC, "-o", columns])?;
        let row = shown.lines().last().unwrap_or_default();
        let cells: Vec<&str> = row.split_whitespace().skip(1).take(5).collect();
        self.report.check(
            "one message of 0.0075 and the number's 1.15 make 1.1575",
            &vec!["1.15", "0.0075", "0", "1", "1.1575"],
            &cells,
        );
        Ok(())
    }

    fn rewire(&mut self) -> Result<(), Failure> {
        let url = "https://sms.example.com/v2/receive";
        let number = text(&self.ready(CLINIC, NAME)?, "/status/phoneNumber").to_owned();
        self.report.say("Somebody edits spec.sms.webhookURL. The number is rewired, nothing is bought.");
        let before = self.stage.purchases()?.len();
        let patch = json!({"spec": {"sms": {"webhookURL": url}}}).to_string();
        self.show(&["patch", "cpn", NAME, "-n", CLINIC, "--type", "merge", "-p", &patch])?;
        let resource = self.ready(CLINIC, NAME)?;
        let held = self.show_number(&number)?.unwrap_or_default();
        self.report.check("Twilio calls the new URL", &url, &text(&held, "/smsUrl"));
        self.report.check("status says so", &url, &text(&resource, "/status/webhook/url"));
        self.report.check("the number is the same", &number.as_str(), &text(&resource, "/status/phoneNumber"));
        self.report.check("nothing was bought", &before, &self.stage.purchases()?.len());
        Ok(())
    }

    fn restart(&mut self) -> Result<(), Failure> {
        let before = self.stage.purchases()?.len();
        let process = self.stage.operator_id().map_or_else(String::new, |id| id.to_string());
        self.report
            .say("The operator is killed without warning and started again. It keeps nothing on a disk of its own.");
        self.stage.kill_operator()?;
        self.report.show(&format!("kill -9 {process}"), "");
        self.stage.start_operator()?;
        self.report.say("Every resource is asked for a fresh look, and answers in status.lastHandledReconcileAt:");
        let annotation = "telephony.chiroflow.io/requested-at=after-the-restart";
        let output = self.kubectl(&["annotate", "cpn", "--all", "-A", annotation])?;
        let all = output.lines().count();
        self.report.show(&format!("kubectl annotate cpn --all -A {annotation} | wc -l"), &all.to_string());
        let seen = soon("every resource was looked at again", PATIENCE, || {
            let resources = self.stage.resources()?;
            let late: Vec<String> = resources
                .iter()
                .filter(|resource| text(resource, "/status/lastHandledReconcileAt") != "after-the-restart")
                .map(state)
                .collect();
            Ok(if late.is_empty() { Ok(resources.len()) } else { Err(late.join("\n             ")) })
        })?;
        self.report.check("every resource was looked at again", &all, &seen);
        self.report.check("no further purchase was made", &before, &self.stage.purchases()?.len());
        Ok(())
    }

    fn unanswered(&mut self) -> Result<(), Failure> {
        self.report
            .say("The worst moment: Twilio sells the number, the answer never arrives, and the operator dies waiting.");
        let faults = json!([{
            "operation": "CreateIncomingPhoneNumber",
            "match": {"accountSid": UNLUCKY_ACCOUNT},
            "fault": "timeout_after",
        }]);
        let put = self.stage.simulator.json("PUT", "/_simulator/faults", Some(&faults))?;
        let url = self.stage.simulator.url();
        self.report.show(&format!("curl -s -X PUT -d '{faults}' {url}/_simulator/faults"), &put.to_string());
        let manifest = unlucky();
        let output = self.stage.kubectl().run_with(["apply", "--filename", "-"], &manifest)?.ok()?;
        self.stage.cluster.adopt_namespaces(&[UNLUCKY.to_owned()])?;
        self.report.show("kubectl apply --filename - < one-more-clinic", &output);
        let sold = |stage: &Stage| -> Result<Vec<Value>, Failure> {
            let purchases = stage.purchases()?;
            Ok(purchases.into_iter().filter(|sale| text(sale, "/accountSid") == UNLUCKY_ACCOUNT).collect())
        };
        soon("Twilio sells a number", PATIENCE, || {
            let sold = sold(&self.stage)?;
            Ok(if sold.is_empty() { Err("no sale".to_owned()) } else { Ok(()) })
        })?;
        let process = self.stage.operator_id().map_or_else(String::new, |id| id.to_string());
        self.stage.kill_operator()?;
        self.report.show(&format!("kill -9 {process}"), "");
        let resource = self.stage.resource(UNLUCKY, NAME)?.unwrap_or_default();
        let sale = sold(&self.stage)?.first().cloned().unwrap_or_default();
        let number = text(&sale, "/phoneNumber").to_owned();
        self.report
            .say(&format!("Twilio has sold {number}. The resource does not know it: only that it was about to buy."));
        self.report.check("status has no number", &"", &text(&resource, "/status/phoneNumber"));
        self.report.check(
            "but it has the claim, written before the call",
            &number.as_str(),
            &text(&resource, "/status/claim/phoneNumber"),
        );
        self.report.say("The operator is started again. It looks before it does anything, and finds its mark:");
        self.stage.start_operator()?;
        let resource = self.ready(UNLUCKY, NAME)?;
        self.show(&["get", "cpn", "-n", UNLUCKY])?;
        let sales = sold(&self.stage)?;
        self.show_sales(&format!(".purchases[] | select(.accountSid == \"{UNLUCKY_ACCOUNT}\")"), &sales);
        self.report.check("it was bought once", &1, &sales.len());
        self.report.check("and is recorded", &number.as_str(), &text(&resource, "/status/phoneNumber"));
        self.stage.simulator.json("PUT", "/_simulator/faults", Some(&json!([])))?;
        Ok(())
    }

    fn retain(&mut self) -> Result<(), Failure> {
        let number = text(&self.ready(CLINIC, NAME)?, "/status/phoneNumber").to_owned();
        self.report
            .say("deletionPolicy is Retain unless somebody says otherwise: deleting a resource never costs a number.");
        self.show(&["delete", "cpn", NAME, "-n", CLINIC, "--wait=false"])?;
        self.gone(CLINIC, NAME)?;
        let held = self.show_number(&number)?;
        self.report.check("the account still holds the number", &true, &held.is_some());
        let released = self.stage.releases()?.iter().any(|sale| text(sale, "/phoneNumber") == number);
        self.report.check("nothing was released", &false, &released);
        Ok(())
    }

    fn release(&mut self) -> Result<(), Failure> {
        let (namespace, name) = CAMPAIGN;
        let number = text(&self.ready(namespace, name)?, "/status/phoneNumber").to_owned();
        self.report.say("Giving a number back takes two things: deletionPolicy: Release, and the number repeated.");
        let patch = json!({"spec": {"releaseConfirmation": number}}).to_string();
        self.show(&["patch", "cpn", name, "-n", namespace, "--type", "merge", "-p", &patch])?;
        self.show(&["delete", "cpn", name, "-n", namespace, "--wait=false"])?;
        self.gone(namespace, name)?;
        let releases = self.stage.releases()?;
        self.show_sales(".releases[]", &releases);
        let numbers: Vec<&str> = releases.iter().map(|release| text(release, "/phoneNumber")).collect();
        self.report.check("this number was released, once, and no other", &vec![number.as_str()], &numbers);
        self.report.check("the account does not hold it any more", &None, &self.stage.number(&number)?);
        Ok(())
    }

    fn total(&mut self) -> Result<(), Failure> {
        self.report.say("Through kills, a lost answer and deletions, each resource that buys has bought once:");
        // The one that was chosen by hand, and the one whose purchase had no answer.
        let buyers = self.examples.iter().filter(|example| buys(example)).count() + 2;
        let purchases = self.stage.purchases()?;
        let numbers: BTreeSet<&str> = purchases.iter().map(|sale| text(sale, "/phoneNumber")).collect();
        self.report.check(&format!("{buyers} resources, {buyers} purchases"), &buyers, &purchases.len());
        self.report.check("no number was bought twice", &buyers, &numbers.len());
        self.show(&["get", "cpn", "-A"])?;
        let resources = self.stage.resources()?;
        let waiting: Vec<String> = resources.iter().filter(|found| reached(found) == "Other").map(state).collect();
        self.report.check("everything that is left is in its end state", &Vec::<String>::new(), &waiting);
        Ok(())
    }
}

/// The objects that kubectl prints, one after the other.
fn documents(text: &str) -> Result<Vec<Value>, Failure> {
    let documents: Result<_, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    documents.map_err(|error| Failure::Told(format!("kubectl printed no JSON: {error}")))
}

/// Arguments as a person types them.
fn typed(arguments: &[&str]) -> String {
    let quoted = arguments.iter().map(|argument| {
        let plain = argument.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_=./:,+@".contains(letter));
        if plain { (*argument).to_owned() } else { format!("'{argument}'") }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// What the simulated Twilio has to know beforehand: accounts that hold the numbers that are adopted, and accounts with
/// an API key. All others come to life at first use.
fn accounts(resources: &[Value], secrets: &[Value]) -> Vec<Value> {
    let mut accounts = Vec::new();
    for resource in resources {
        let reference = |field: &str, default: &str| {
            let named = text(resource, &format!("/spec/credentialsSecretRef/{field}"));
            if named.is_empty() { default.to_owned() } else { named.to_owned() }
        };
        let secret = secrets.iter().find(|secret| {
            text(secret, "/metadata/namespace") == text(resource, "/metadata/namespace")
                && text(secret, "/metadata/name") == reference("name", "")
        });
        let value = |key: &str| {
            let data = secret.and_then(|secret| secret.get("stringData")?.get(key)?.as_str());
            data.unwrap_or_default().to_owned()
        };
        let key_sid = value(&reference("apiKeySidKey", "apiKeySid"));
        let adopts = !matches!(text(resource, "/spec/adoptionPolicy"), "" | "Never");
        if key_sid.is_empty() && !adopts {
            continue;
        }
        let token = value(&reference("authTokenKey", "authToken"));
        let keys = json!([{"sid": key_sid, "secret": value(&reference("apiKeySecretKey", "apiKeySecret"))}]);
        accounts.push(json!({
            "accountSid": value(&reference("accountSidKey", "accountSid")),
            // An account always has a token, also when only its API key is given away.
            "authToken": if token.is_empty() { "0".repeat(32) } else { token },
            "apiKeys": if key_sid.is_empty() { json!([]) } else { keys },
            "numbers": if adopts { json!([{"phoneNumber": text(resource, "/spec/phoneNumber")}]) } else { json!([]) },
        }));
    }
    accounts
}

/// Whether applying an example buys a number.
fn buys(example: &Value) -> bool {
    end_state(example) == "Available" && text(example, "/spec/purchasePolicy") != "Never"
}

/// Where an example comes to rest.
fn end_state(example: &Value) -> &'static str {
    let manual = text(example, "/spec/purchasePolicy") == "Manual" && text(example, "/spec/phoneNumber").is_empty();
    if manual { "AwaitingApproval" } else { "Available" }
}

/// Where a resource came to rest, if it did.
fn reached(resource: &Value) -> &'static str {
    let reason = condition(resource, "Ready").map_or("", |ready| text(ready, "/reason"));
    match reason {
        "Available" if is_ready(resource) => "Available",
        "AwaitingApproval" => "AwaitingApproval",
        _ => "Other",
    }
}

fn unlucky() -> String {
    let metadata = |name: &str| json!({"name": name, "namespace": UNLUCKY});
    let objects = json!([
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": UNLUCKY}},
        {
            "apiVersion": "v1", "kind": "Secret", "metadata": metadata("twilio"),
            "stringData": {"accountSid": UNLUCKY_ACCOUNT, "authToken": "99990000999900009999000099990000"},
        },
        {
            "apiVersion": "telephony.chiroflow.io/v1alpha1", "kind": "ClinicPhoneNumber", "metadata": metadata(NAME),
            "spec": {
                "credentialsSecretRef": {"name": "twilio"},
                "search": {"country": "CA", "areaCodes": ["418"]},
                "sms": {"webhookURL": "https://sms.example.com/clinics/sans-reponse"},
            },
        },
    ]);
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_they_are_typed() {
        assert_eq!(typed(&["get", "cpn", "-A"]), "get cpn -A");
        assert_eq!(typed(&["patch", "-p", "{\"a\": 1}"]), "patch -p '{\"a\": 1}'");
    }

    #[test]
    fn only_accounts_that_cannot_come_to_life_by_themselves_are_prepared() {
        let secret = |namespace: &str, name: &str, data: Value| json!({"metadata": {"namespace": namespace, "name": name}, "stringData": data});
        let resource =
            |namespace: &str, spec: Value| json!({"metadata": {"namespace": namespace, "name": "r"}, "spec": spec});
        let secrets = [
            secret("plain", "t", json!({"accountSid": "AC1", "authToken": "T1"})),
            secret("adopts", "t", json!({"accountSid": "AC2", "authToken": "T2"})),
            secret("key", "t", json!({"A": "AC3", "K": "SK3", "S": "S3"})),
        ];
        let resources = [
            resource("plain", json!({"credentialsSecretRef": {"name": "t"}})),
            resource(
                "adopts",
                json!({"credentialsSecretRef": {"name": "t"}, "phoneNumber": "+1", "adoptionPolicy": "IfOwned"}),
            ),
            resource(
                "key",
                json!({"credentialsSecretRef": {"name": "t", "accountSidKey": "A", "apiKeySidKey": "K", "apiKeySecretKey": "S"}}),
            ),
        ];
        let accounts = accounts(&resources, &secrets);
        assert_eq!(
            accounts,
            [
                json!({"accountSid": "AC2", "authToken": "T2", "apiKeys": [], "numbers": [{"phoneNumber": "+1"}]}),
                json!({"accountSid": "AC3", "authToken": "0".repeat(32), "apiKeys": [{"sid": "SK3", "secret": "S3"}], "numbers": []}),
            ]
        );
    }

    #[test]
    fn what_never_buys_is_not_counted() {
        assert!(buys(&json!({"spec": {}})));
        assert!(!buys(&json!({"spec": {"purchasePolicy": "Never", "phoneNumber": "+1"}})));
        assert!(!buys(&json!({"spec": {"purchasePolicy": "Manual"}})));
        assert!(buys(&json!({"spec": {"purchasePolicy": "Manual", "phoneNumber": "+1"}})));
    }
}
