//! What 100 resources cost in calls, writes and purchases. Counts are checked; times are only told, as they are the
//! machine's.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use cpn_env::audit::{self, Filter};
use cpn_env::{Error, binaries};
use serde_json::{Value, json};

use crate::cluster::OPERATOR;
use crate::failure::Failure;
use crate::programs::{self, Profile};
use crate::report::{Report, table};
use crate::stage::{Plan, Stage, is_ready, items, key, soon, state, text};
use crate::tell;

/// Accounts, each with a namespace of its own, and resources in each.
const ACCOUNTS: usize = 10;
const EACH: usize = 10;
const RESOURCES: usize = ACCOUNTS * EACH;

/// The area code that many want and few can have.
const SCARCE: &str = "867";

/// Twilio's operation that looks at all numbers of an account.
const LIST: &str = "ListIncomingPhoneNumber";

/// How many passes over everything are watched at rest.
const PASSES: usize = 10;

/// API-server writes of a resource on its way to its number: the finalizer, the claim, the stamp, the number.
const WRITES_EACH: usize = 5;

/// Bounds every wait; nothing takes this long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the benchmark.
///
/// # Errors
/// When something cannot be started, or a count is wrong.
pub fn run() -> Result<(), Failure> {
    let binary = programs::operator(Profile::Release)?;
    let size = std::fs::metadata(&binary).map_err(Failure::doing("look at the operator"))?.len();
    binaries::find_or_build(&tell)?;
    let variables = [
        ("CPN_INSTALLATION_ID", "bench"),
        ("CPN_SIM_LATENCY", "50ms"),
        ("CPN_MAX_PURCHASES_PER_HOUR", "100000"),
        // Not yet at rest: checks would be counted among the calls of the purchases.
        ("CPN_OBSERVE_INTERVAL", "1h"),
        // Calls are counted by account and number; figures are read beside them.
        ("CPN_USAGE_INTERVAL", "0"),
        ("CPN_MESSAGING_INTERVAL", "0"),
    ];
    let logs = binary.with_file_name("bench-logs");
    drop(std::fs::remove_dir_all(&logs));
    let plan = Plan {
        variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        inherit: false,
        logs,
        binary,
    };
    let mut bench = Bench { stage: Stage::start(&plan, None)?, report: Report::new() };
    bench.report.section("The release binary");
    bench.report.say(&format!("  {} MiB", size / (1024 * 1024)));
    let played = bench.play();
    let Bench { stage, mut report } = bench;
    let log = stage.operator_log(15);
    stage.stop()?;
    if let Err(failure) = played {
        report.state("the benchmark comes to its end", Err(failure.to_string()));
    }
    report.section("The end");
    if report.end() {
        return Ok(());
    }
    report.note(&format!("The end of the operator's log; all logs are in {}:\n{log}", plan.logs.display()));
    Err(Failure::Statements)
}

/// How often something happened.
type Counts = BTreeMap<String, usize>;

struct Bench {
    stage: Stage,
    report: Report,
}

impl Bench {
    fn play(&mut self) -> Result<(), Failure> {
        self.many()?;
        self.rest()?;
        self.scarce()
    }

    /// Applies everything at once and returns once all of it is in service.
    ///
    /// One kubectl a manifest, all side by side: a single one sends one object after the other.
    fn apply(&self, manifests: &[Value], count: usize) -> Result<(), Failure> {
        let started = Instant::now();
        let kubectl = self.stage.kubectl();
        let create =
            |manifest: &Value| kubectl.run_with(["create", "--filename", "-"], &manifest.to_string())?.ok().map(drop);
        thread::scope(|scope| {
            let running: Vec<_> = manifests.iter().map(|manifest| scope.spawn(|| create(manifest))).collect();
            let ended = running.into_iter().map(thread::ScopedJoinHandle::join);
            let lost = || Error::Io { doing: "run kubectl".to_owned(), source: io::Error::other("its thread is gone") };
            ended.map(|ended| ended.unwrap_or_else(|_| Err(lost()))).collect::<Result<Vec<()>, Error>>()
        })?;
        let applied = started.elapsed();
        soon(&format!("{count} resources are Ready"), PATIENCE, || {
            let resources = self.stage.resources()?;
            let late: Vec<String> = resources.iter().filter(|resource| !is_ready(resource)).map(state).collect();
            let some = late.iter().take(5).cloned().collect::<Vec<_>>().join("\n             ");
            Ok(if late.is_empty() && resources.len() == count {
                Ok(())
            } else {
                Err(format!("{} are not, such as {some}", late.len()))
            })
        })?;
        self.report.say(&format!(
            "  {count} resources are in service {:.1} s after kubectl began to create the new ones, and {:.1} s after it was done",
            started.elapsed().as_secs_f64(),
            (started.elapsed().saturating_sub(applied)).as_secs_f64()
        ));
        Ok(())
    }

    fn many(&mut self) -> Result<(), Failure> {
        self.report
            .section(&format!("{RESOURCES} resources in {ACCOUNTS} namespaces and {ACCOUNTS} accounts, at once"));
        self.report.say("  Each call to Twilio takes 50 ms.");
        self.stage.kubectl().run_with(["create", "--filename", "-"], &clinics().to_string())?.ok()?;
        let of_account = |account| list((0..EACH).map(|nth| resource(account, &format!("number-{nth}"), "514")));
        self.apply(&(0..ACCOUNTS).map(of_account).collect::<Vec<_>>(), RESOURCES)?;

        let purchases = self.stage.purchases()?;
        let numbers: BTreeSet<&str> = purchases.iter().map(|sale| text(sale, "/phoneNumber")).collect();
        self.report.check("one purchase each", &RESOURCES, &purchases.len());
        self.report.check("no number was bought twice", &RESOURCES, &numbers.len());
        let resources = self.stage.resources()?;
        let unmatched: Vec<String> =
            resources.iter().filter(|found| !is_recorded(found, &purchases)).map(key).collect();
        self.report.check("each resource records its own purchase", &Vec::<String>::new(), &unmatched);

        let calls = self.operations()?;
        let mut rows = vec![vec!["calls to Twilio".to_owned(), "all".to_owned(), "per number".to_owned()]];
        rows.extend(calls.iter().map(|(name, count)| vec![name.clone(), count.to_string(), ratio(*count)]));
        self.report.show("by operation", &table(&rows));
        let of = |name: &str| calls.get(name).copied().unwrap_or_default();
        self.report.check("one POST each", &RESOURCES, &of("CreateIncomingPhoneNumber"));
        self.report.at_most("no more than one search each", RESOURCES, of("ListAvailablePhoneNumberLocal"));
        self.report.at_most("no more than one list each", RESOURCES, of(LIST));
        self.report.at_most("no more than three calls each, all in all", 3 * RESOURCES, calls.values().sum());

        let (objects, others) = self.writes("")?;
        self.report.show("writes through the API server", &table(&writes_table(&objects, &others)));
        let most = objects.values().max().copied().unwrap_or_default();
        self.report.check("every resource was written", &RESOURCES, &objects.len());
        self.report.at_most("no resource was written more often than it has to be", WRITES_EACH, most);
        self.report.say(&format!("  the operator's memory at {RESOURCES} resources: {}", self.memory()));
        Ok(())
    }

    fn rest(&mut self) -> Result<(), Failure> {
        self.report.section(&format!("{PASSES} passes at rest, one each second"));
        self.report.say("  The operator is killed and started again with --observe-interval 1s.");
        self.stage.kill_operator()?;
        self.stage.set_operator_variable("CPN_OBSERVE_INTERVAL", "1s");
        self.stage.start_operator()?;
        // After a start, first looks are spread over an interval: counted from when every account had one.
        self.list_until(&Counts::new(), 1)?;
        let (since, before, passes) = (self.now()?, self.operations_by_account()?, self.passes()?);
        let lists_before = lists(&before);
        let started = Instant::now();
        self.list_until(&lists_before, PASSES)?;
        let (after, elapsed) = (self.operations_by_account()?, started.elapsed());
        self.report.say(&format!(
            "  {} looks at single resources in {:.1} s",
            self.passes()? - passes,
            elapsed.as_secs_f64()
        ));

        let new: Vec<usize> = difference(&lists(&after), &lists_before).into_values().collect();
        let others: Counts = after
            .iter()
            .filter(|(place, count)| place.1 != LIST && before.get(*place) != Some(*count))
            .map(|((account, operation), count)| (format!("{operation} of {account}"), *count))
            .collect();
        self.report.say(&format!("  lists per account: {new:?}"));
        // An interval is shortened by up to a tenth, and one may end and one begin within what was watched.
        let intervals = usize::try_from(elapsed.as_millis() / 900).unwrap_or(usize::MAX).saturating_add(2);
        self.report.at_most(
            &format!("one list serves all {EACH} resources of an account: there was time for {intervals}"),
            intervals,
            new.iter().max().copied().unwrap_or_default(),
        );
        self.report.check("no other calls", &Counts::new(), &others);
        let (objects, told) = self.writes(&since)?;
        self.report.check("no resource was written", &Counts::new(), &objects);
        self.report.check("nothing else was written", &Counts::new(), &told);
        self.report.check("nothing was bought", &RESOURCES, &self.stage.purchases()?.len());
        self.report.say(&format!("  the operator's memory: {}", self.memory()));
        Ok(())
    }

    fn scarce(&mut self) -> Result<(), Failure> {
        self.report.section(&format!("{EACH} resources of one account want the last {EACH} numbers of one area code"));
        let stock = json!([{"country": "CA", "type": "Local", "areaCode": SCARCE, "count": EACH}]);
        self.stage.simulator.json("PUT", "/_simulator/stock", Some(&stock))?;
        let before = self.operations()?;
        let posts = |calls: &Counts| calls.get("CreateIncomingPhoneNumber").copied().unwrap_or_default();
        let manifests: Vec<Value> =
            (0..EACH).map(|nth| list([resource(0, &format!("scarce-{nth}"), SCARCE)])).collect();
        self.apply(&manifests, RESOURCES + EACH)?;
        let purchases = self.stage.purchases()?;
        let prefix = format!("+1{SCARCE}");
        let numbers: Vec<&str> = purchases.iter().map(|sale| text(sale, "/phoneNumber")).collect();
        let scarce: Vec<&&str> = numbers.iter().filter(|number| number.starts_with(&prefix)).collect();
        let distinct: BTreeSet<&&&str> = scarce.iter().collect();
        self.report.check("ten purchases", &EACH, &(purchases.len() - RESOURCES));
        self.report.check("ten different numbers of this area code", &EACH, &distinct.len());
        self.report.say(&format!("  POSTs sent for them: {}", posts(&self.operations()?) - posts(&before)));
        Ok(())
    }

    /// Calls to Twilio by operation.
    fn operations(&self) -> Result<Counts, Error> {
        let mut counts = BTreeMap::new();
        for ((_, operation), count) in self.operations_by_account()? {
            *counts.entry(operation).or_default() += count;
        }
        Ok(counts)
    }

    fn operations_by_account(&self) -> Result<BTreeMap<(String, String), usize>, Error> {
        let mut counts = BTreeMap::new();
        for call in items(&self.stage.simulator.get("/_simulator/calls")?, "") {
            let place = (text(&call, "/accountSid").to_owned(), text(&call, "/operation").to_owned());
            *counts.entry(place).or_default() += 1;
        }
        Ok(counts)
    }

    /// The operator's writes that ended after this time: of resources by resource, and of everything else by kind.
    fn writes(&self, after: &str) -> Result<(Counts, Counts), Failure> {
        let log = self.stage.cluster.audit_log().ok_or_else(|| Failure::Told("there is no audit log".to_owned()))?;
        let (mut objects, mut others) = (BTreeMap::new(), BTreeMap::new());
        for write in &audit::writes(&log, &Filter::all().service_account(OPERATOR, OPERATOR))? {
            if write.at.as_str() <= after {
                continue;
            }
            if write.kind.resource == "clinicphonenumbers" {
                *objects.entry(format!("{}/{}", write.namespace, write.name)).or_default() += 1;
            } else {
                let place = format!("{} {} {}", write.kind.verb, write.kind.resource, write.kind.code);
                *others.entry(place).or_default() += 1;
            }
        }
        Ok((objects, others))
    }

    /// The API server's clock, as its audit log writes it: the end of a write that it was asked for just now.
    fn now(&self) -> Result<String, Failure> {
        let name = "cpn-env-bench-clock";
        let log = self.stage.cluster.audit_log().ok_or_else(|| Failure::Told("there is no audit log".to_owned()))?;
        self.stage.kubectl().run(["create", "configmap", name, "--namespace", "default"])?.ok()?;
        soon("the audit log tells of a write", PATIENCE, || {
            let found = audit::writes(&log, &Filter::all().resource("configmaps").name(name))?;
            Ok(found.iter().next().map(|write| write.at.clone()).ok_or_else(|| "nothing".to_owned()))
        })
    }

    /// Passes over single resources since the operator started.
    fn passes(&self) -> Result<usize, Error> {
        let figures = self.stage.admin.send("GET", "/metrics", None)?.body;
        Ok(figure(&figures, "clinic_phone_operator_reconcile_passes_total"))
    }

    /// Waits until each account had so many lists more.
    fn list_until(&self, before: &Counts, more: usize) -> Result<(), Failure> {
        soon(&format!("{more} more lists of each account"), PATIENCE, || {
            let new = difference(&lists(&self.operations_by_account()?), before);
            let enough = new.len() == ACCOUNTS && new.values().all(|count| *count >= more);
            Ok(if enough { Ok(()) } else { Err(format!("{new:?}")) })
        })
    }

    fn memory(&self) -> String {
        let process = self.stage.operator_id().unwrap_or_default();
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let size = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
            kib.map_or_else(|| "unknown here".to_owned(), |kib| format!("{} MiB", kib / 1024))
        };
        format!("{} now, {} at most", size("VmRSS"), size("VmHWM"))
    }
}

/// How often each account was listed.
fn lists(calls: &BTreeMap<(String, String), usize>) -> Counts {
    let lists = calls.iter().filter(|((_, operation), _)| operation == LIST);
    lists.map(|((account, _), count)| (account.clone(), *count)).collect()
}

/// What has come since.
fn difference(after: &Counts, before: &Counts) -> Counts {
    let since = |name: &String| before.get(name).copied().unwrap_or_default();
    after.iter().map(|(name, count)| (name.clone(), count.saturating_sub(since(name)))).collect()
}

/// The value of a figure without labels; 0 when it is not there.
fn figure(figures: &str, name: &str) -> usize {
    let value = figures.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
}

fn is_recorded(resource: &Value, purchases: &[Value]) -> bool {
    purchases.iter().any(|sale| {
        text(sale, "/sid") == text(resource, "/status/phoneNumberSID")
            && text(sale, "/phoneNumber") == text(resource, "/status/phoneNumber")
            && text(sale, "/accountSid") == text(resource, "/status/accountSID")
    })
}

fn ratio(count: usize) -> String {
    format!("{}.{:02}", count / RESOURCES, count % RESOURCES * 100 / RESOURCES)
}

/// How many resources were written how often, and everything else.
fn writes_table(objects: &Counts, others: &Counts) -> Vec<Vec<String>> {
    let mut by_count: BTreeMap<usize, usize> = BTreeMap::new();
    for count in objects.values() {
        *by_count.entry(*count).or_default() += 1;
    }
    let mut rows: Vec<Vec<String>> = by_count
        .iter()
        .map(|(count, resources)| {
            vec![format!("{resources} resources"), format!("{count} times each, status included")]
        })
        .collect();
    rows.extend(others.iter().map(|(what, count)| vec![what.clone(), count.to_string()]));
    rows
}

fn namespace(account: usize) -> String {
    format!("clinic-{account}")
}

fn list(objects: impl IntoIterator<Item = Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": objects.into_iter().collect::<Vec<_>>()})
}

/// The namespaces and their Secrets.
fn clinics() -> Value {
    list((0..ACCOUNTS).flat_map(|account| {
        [
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(account)}}),
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "twilio", "namespace": namespace(account)},
                "stringData": {"accountSid": format!("AC{account:032}"), "authToken": format!("{:032}", account + 1)},
            }),
        ]
    }))
}

fn resource(account: usize, name: &str, area_code: &str) -> Value {
    json!({
        "apiVersion": "telephony.chiroflow.io/v1alpha1",
        "kind": "ClinicPhoneNumber",
        "metadata": {"name": name, "namespace": namespace(account)},
        "spec": {
            "credentialsSecretRef": {"name": "twilio"},
            "search": {"country": "CA", "areaCodes": [area_code]},
            "sms": {"webhookURL": "https://sms.example.com/receive"},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_by_their_whole_name() {
        let text = "# TYPE a counter\na_total_other 7\na_total 42\na_total{x=\"y\"} 1\n";
        assert_eq!(figure(text, "a_total"), 42);
        assert_eq!(figure(text, "b_total"), 0);
    }

    #[test]
    fn what_is_applied_is_as_many_as_is_said() {
        assert_eq!(items(&clinics(), "/items").len(), 2 * ACCOUNTS);
        assert_eq!(ratio(205), "2.05");
    }
}
