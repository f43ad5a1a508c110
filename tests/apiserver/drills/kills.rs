//! Two operators side by side, one of them killed again and again in the middle of what it does, while resources come,
//! change and go.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::{Duration, Instant};

use clinic_phone_operator::api::{ClinicPhoneNumber, REQUESTED_AT};
use clinic_phone_operator::domain::{AccountSid, InstallationId};
use clinic_phone_operator::simulator::{Behaviour, Fault, FaultSpec};
use cpn_env::chance::Chance;
use kube::Api;
use serde_json::{Value, json};

use super::door::{Door, When};
use crate::harness::{Outcome, number, refusal, with_ns_for};
use crate::program::{Installed, Running};
use crate::world::{Account, DEADLINE, Options, held, is_ready, spec};

const BUY: &str = "CreateIncomingPhoneNumber";
/// So long is waited for a killer's moment before something is asked of the operators again.
const STIR: Duration = Duration::from_millis(20);
/// So often, or so long, it is stirred up before any call will do.
const PATIENT: u32 = 100;
const PATIENCE: Duration = Duration::from_secs(5);
/// Each kill costs a window.
const WINDOWS: [&str; 4] = ["--twilio-timeout", "2s", "--settle-window", "7s"];
/// Milliseconds. How long what a killed operator sent may still be on its way: well within the window, and longer than it
/// takes the next one to look.
const ON_ITS_WAY: usize = 2_500;

#[test]
fn killed_at_any_call_two_operators_buy_once() -> Outcome {
    storm(12, 14, Duration::from_secs(900))
}

#[test]
#[ignore = "hundreds of kills take minutes: `make test-exhaustive` runs it"]
fn killed_hundreds_of_times_two_operators_buy_once() -> Outcome {
    storm(50, 200, Duration::from_secs(3000))
}

/// One thing that is done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Create,
    /// A change of the spec.
    Edit,
    /// Once it is in service.
    Delete,
    /// Whatever has become of it so far.
    DeleteEarly,
    /// The same resource again, once the first is gone.
    CreateAgain,
    /// Asks for the release of the number that it holds by then, and deletes it.
    Release,
}

/// One resource and what is still to be done to it, the next last.
struct Line {
    namespace: String,
    name: String,
    account: usize,
    area: &'static str,
    mark: String,
    acts: Vec<Act>,
    /// What was done last.
    last: Option<Act>,
    /// Whether it was deleted before it was seen in service: then nobody knows whether it was to have a number.
    early: bool,
}

impl Line {
    fn lives(&self) -> bool {
        matches!(self.last, Some(Act::Create | Act::Edit | Act::CreateAgain))
    }
}

/// An operator and its door.
struct Operator {
    door: Door,
    running: Running,
}

impl Operator {
    async fn open(op: &Installed) -> Result<Self, Box<dyn Error>> {
        let door = Door::open(op).await?;
        let running = op.launch(&door.kubeconfig, &door.twilio_url)?;
        Ok(Self { door, running })
    }
}

/// Everything that happens but the kills.
struct Drill<'a> {
    op: &'a Installed,
    chance: Chance,
    accounts: Vec<Account>,
    lines: Vec<Line>,
    /// Numbers whose release was asked for.
    given_up: BTreeSet<String>,
    looks: u64,
}

fn storm(objects: usize, kills: usize, patience: Duration) -> Outcome {
    with_ns_for(patience, async |space| {
        let options = Options { clinics: &["north", "south", "west"], everywhere: true, ..Options::default() };
        let flags = [&WINDOWS[..], &["--max-purchases-per-hour", "100000"]].concat();
        let op = Box::pin(Installed::new(space, options, &flags)).await?;
        let mut drill = Drill::new(&op, objects).await?;
        let seed = drill.chance.seed;
        eprintln!("DRILL_SEED={seed}: {objects} resources, {kills} kills");
        let begun = Instant::now();
        Box::pin(drill.run(kills)).await.map_err(|error| format!("DRILL_SEED={seed}: {error}"))?;
        eprintln!(
            "DRILL_SEED={seed}: {kills} kills, {objects} resources, {} purchases, {} releases, {} calls of Twilio, {} s",
            op.world.sold(),
            op.world.released(),
            op.world.twilio.calls().len(),
            begun.elapsed().as_secs()
        );
        Ok(())
    })
}

impl<'a> Drill<'a> {
    async fn new(op: &'a Installed, objects: usize) -> Result<Self, Box<dyn Error>> {
        let world = &op.world;
        let accounts = vec![world.account.clone(), world.open_account(2)?, world.open_account(3)?];
        for namespace in &world.namespaces {
            for (n, account) in accounts.iter().enumerate() {
                let data = json!({"accountSid": account.sid, "authToken": account.token});
                world.secret_in(namespace, &format!("account-{n}"), &data).await?;
            }
        }
        let mut chance = Chance::from_env("DRILL_SEED")?;
        let installation = InstallationId::parse(&world.installation)?;
        let line = |(n, namespace): (usize, &String)| {
            let (namespace, name) = (namespace.clone(), format!("line-{n}"));
            // Each kind of life, also where there are few.
            let mut acts = match n % 10 {
                0..=3 => vec![Act::Create],
                4..=5 => vec![Act::Create, Act::Edit, Act::Edit],
                6 => vec![Act::Create, Act::Delete],
                7 => vec![Act::Create, Act::Delete, Act::CreateAgain, Act::Edit],
                8 => vec![Act::Create, Act::Release],
                _ => vec![Act::Create, Act::DeleteEarly],
            };
            acts.reverse();
            let mark = installation.mark(&namespace, &name, false).to_string();
            let area = if n.is_multiple_of(2) { "418" } else { "514" };
            Line { namespace, name, account: chance.below(accounts.len()), area, mark, acts, last: None, early: false }
        };
        let lines = (0..objects).zip(world.namespaces.iter().cycle()).map(line).collect();
        Ok(Self { op, chance, accounts: accounts.clone(), lines, given_up: BTreeSet::new(), looks: 0 })
    }

    async fn run(&mut self, kills: usize) -> Outcome {
        let op = self.op;
        let (twilio, calm) = (&op.world.twilio, Behaviour { latency_ms: 20, ..Behaviour::default() });
        twilio.set_settings(calm);
        // Every third purchase meets one of these besides, as long as there are any left.
        let faults = [Fault::Late(1_500), Fault::TimeoutAfter, Fault::Http503, Fault::Http500After, Fault::Garbage];
        let fault = |(n, fault): (u64, Fault)| FaultSpec::once(BUY, fault).nth(2 + 3 * n);
        twilio.put_faults((0..).zip(faults).map(fault).collect());

        let begun = Instant::now();
        let mut operators = [Operator::open(op).await?, Operator::open(op).await?];
        let acts = self.lines.iter().map(|line| line.acts.len()).sum::<usize>().div_ceil(kills);
        for kill in 0..kills {
            // How far it came, should it not come to its end.
            if kill > 0 && kill % 50 == 0 {
                eprintln!("{kill} kills, {} purchases, {} s", op.world.sold(), begun.elapsed().as_secs());
            }
            for _ in 0..acts {
                self.act().await?;
            }
            let victim = self.chance.below(operators.len());
            let victim = operators.get_mut(victim).ok_or("no such operator")?;
            self.kill(victim).await?;
            victim.running = op.launch(&victim.door.kubeconfig, &victim.door.twilio_url)?;
        }
        twilio.put_faults(Vec::new());
        Box::pin(self.finish()).await?;
        operators.iter_mut().try_for_each(|operator| operator.running.child.check())?;
        self.count().await
    }

    /// Kills an operator at a call that chance chooses, before it takes effect, after it did, or while it is on its way.
    async fn kill(&mut self, Operator { door, running }: &mut Operator) -> Outcome {
        let when = if self.chance.one_in(2) { When::Before } else { When::After };
        let on_its_way = when == When::Before && self.chance.one_in(2);
        let most = if self.chance.one_in(6) { 120 } else { 30 };
        let any = 1 + self.chance.below(most);
        // Half of the time at those calls that cost something.
        let mut armed = match self.chance.below(4) {
            0 => door.trap(when, |call| call.buys("")),
            1 => door.trap(when, |call| call.attempts().is_some()),
            _ => door.trap_nth(when, any),
        };
        let mut begun = Instant::now();
        let (mut stirred, mut choosy) = (0, true);
        let stopped = loop {
            match tokio::time::timeout(STIR, armed.stands()).await {
                Ok(stopped) => break stopped?,
                Err(_) => self.look().await?,
            }
            running.child.check()?;
            stirred += 1;
            if choosy && (stirred >= PATIENT || begun.elapsed() > PATIENCE) {
                // Nothing is being bought: then it is any call after all.
                armed = door.trap_nth(when, 1);
                (choosy, stirred, begun) = (false, 0, Instant::now());
            }
            // On a busy machine a look may take a second: time alone says nothing of an operator.
            if !choosy && stirred >= PATIENT && begun.elapsed() > DEADLINE {
                return Err(format!("an operator made no call in {stirred} looks").into());
            }
        };
        running.child.check()?;
        running.child.signal("KILL")?;
        self.op.world.eventually("the end", async || Ok(running.child.ended()?.map(drop))).await?;
        if on_its_way {
            let delay = Duration::from_millis(u64::try_from(self.chance.below(ON_ITS_WAY))?);
            self.op.world.space.env.spawn(async move {
                tokio::time::sleep(delay).await;
                stopped.go_on();
            });
        }
        Ok(())
    }

    fn numbers(&self, line: &Line) -> Api<ClinicPhoneNumber> {
        Api::namespaced(self.op.world.space.env.admin.clone(), &line.namespace)
    }

    fn account(&self, line: &Line) -> Option<&AccountSid> {
        self.accounts.get(line.account).map(|account| &account.sid)
    }

    fn path(line: &Line) -> String {
        format!("/apis/telephony.chiroflow.io/v1alpha1/namespaces/{}/clinicphonenumbers", line.namespace)
    }

    async fn change(&self, line: &Line, change: &Value) -> Outcome {
        let path = format!("{}/{}", Self::path(line), line.name);
        self.op.world.space.send("PATCH merge", &path, &[], change).await?;
        Ok(())
    }

    async fn delete(&self, line: &Line) -> Outcome {
        let path = format!("{}/{}", Self::path(line), line.name);
        self.op.world.space.send("DELETE", &path, &[], &Value::Null).await?;
        Ok(())
    }

    /// The index of one of the resources of which this is so.
    fn choose(&mut self, which: impl Fn(&Line) -> bool) -> Option<usize> {
        let lines = self.lines.iter().enumerate();
        let fit: Vec<_> = lines.filter(|(_, line)| which(line)).map(|(n, _)| n).collect();
        self.chance.pick(&fit)
    }

    /// Does the next thing to a resource that chance chooses, if its time has come.
    async fn act(&mut self) -> Outcome {
        let Some(n) = self.choose(|line| !line.acts.is_empty()) else { return Ok(()) };
        let label = format!("Accueil {}", self.chance.below(1000));
        let Some(line) = self.lines.get(n) else { return Ok(()) };
        let Some(act) = line.acts.last().copied() else { return Ok(()) };
        let object = self.numbers(line).get_opt(&line.name).await?;
        let mut early = false;
        match (act, &object) {
            (Act::Create | Act::CreateAgain, None) => {
                let reference = json!({"name": format!("account-{}", line.account)});
                let but = json!({"credentialsSecretRef": reference, "search": {"areaCodes": [line.area]}});
                let manifest = number(&line.name, &spec(&but));
                self.op.world.space.send("POST", &Self::path(line), &[], &manifest).await?;
            }
            (Act::Edit, Some(_)) => self.change(line, &json!({"spec": {"friendlyName": label}})).await?,
            (Act::Delete, Some(object)) if is_ready(object) => self.delete(line).await?,
            (Act::DeleteEarly, Some(object)) => {
                early = !is_ready(object);
                self.delete(line).await?;
            }
            (Act::Release, Some(object)) if is_ready(object) => {
                let number = held(object);
                let release = json!({"deletionPolicy": "Release", "releaseConfirmation": number});
                self.change(line, &json!({"spec": release})).await?;
                self.delete(line).await?;
                self.given_up.insert(number);
            }
            // Not yet.
            _ => return Ok(()),
        }
        if let Some(line) = self.lines.get_mut(n) {
            line.acts.pop();
            line.last = Some(act);
            line.early = early;
        }
        Ok(())
    }

    /// Asks for a look at a resource that chance chooses, so that the operators have something to do.
    async fn look(&mut self) -> Outcome {
        let Some(n) = self.choose(Line::lives) else { return self.act().await };
        let Some(line) = self.lines.get(n) else { return Ok(()) };
        self.looks += 1;
        self.change(line, &json!({"metadata": {"annotations": {REQUESTED_AT: self.looks.to_string()}}})).await
    }

    /// Nobody is killed any more: what is left to do is done, and everything comes to rest.
    async fn finish(&mut self) -> Outcome {
        let begun = Instant::now();
        while self.lines.iter().any(|line| !line.acts.is_empty()) {
            if begun.elapsed() > DEADLINE {
                let left: Vec<_> =
                    self.lines.iter().filter(|line| !line.acts.is_empty()).map(|line| &line.name).collect();
                return Err(format!("not everything could be done: {left:?}").into());
            }
            self.act().await?;
            tokio::time::sleep(STIR).await;
        }
        for line in &self.lines {
            if line.lives() {
                self.op.world.until_in(&line.namespace, &line.name, "Ready", is_ready).await?;
                continue;
            }
            let what = format!("the end of {}", line.name);
            let gone = async || Ok(self.numbers(line).get_opt(&line.name).await?.is_none().then_some(()));
            self.op.world.eventually(&what, gone).await?;
        }
        Ok(())
    }

    /// One purchase for each, none for nobody, nothing given back that was not to be, and every number is somebody's.
    async fn count(&self) -> Outcome {
        let ledger = self.op.world.twilio.ledger();
        let mut bought: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for sale in &ledger.purchases {
            let line = self.lines.iter().find(|line| sale.friendly_name.starts_with(&line.mark));
            let line = line.ok_or_else(|| format!("bought for nobody: {sale:?}"))?;
            assert_eq!(Some(&sale.account_sid), self.account(line), "{sale:?}");
            bought.entry(&line.name).or_default().push(sale.phone_number.as_str());
        }
        for line in &self.lines {
            let count = bought.get(line.name.as_str()).map_or(0, Vec::len);
            assert!(count == 1 || (line.early && count == 0), "{}: {:?}", line.name, bought.get(line.name.as_str()));
        }
        let released: Vec<_> = ledger.releases.iter().map(|sale| sale.phone_number.to_string()).collect();
        assert_eq!(released.len(), self.given_up.len(), "{released:?}");
        assert_eq!(released.into_iter().collect::<BTreeSet<_>>(), self.given_up);

        let rows = self.op.world.twilio.numbers();
        assert_eq!(rows.len(), ledger.purchases.len() - self.given_up.len());
        for line in self.lines.iter().filter(|line| line.lives()) {
            let object = self.numbers(line).get(&line.name).await?;
            let row = self.op.world.row(&held(&object))?;
            assert!(row.friendly_name.starts_with(&line.mark), "{}: {row:?}", line.name);
            assert_eq!(Some(&row.account_sid), self.account(line), "{}", line.name);
        }
        // No resource is known to the API server that is not counted here.
        for line in self.lines.iter().filter(|line| !line.lives()) {
            let gone = self
                .op
                .world
                .space
                .send("GET", &format!("{}/{}", Self::path(line), line.name), &[], &Value::Null)
                .await;
            assert!(gone.err().is_some_and(|error| refusal(error.as_ref()).is_some_and(|status| status.code == 404)));
        }
        Ok(())
    }
}
