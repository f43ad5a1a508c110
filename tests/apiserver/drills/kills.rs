//! Two operators side by side, one of them killed again and again in the middle of what it does, while resources come,
//! change and go.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::{Duration, Instant};

use clinic_phone_operator::api::ClinicPhoneNumber;
use clinic_phone_operator::domain::InstallationId;
use clinic_phone_operator::simulator::{Behaviour, Fault, FaultSpec};
use kube::Api;
use serde_json::{Value, json};

use super::chance::Chance;
use super::door::{Door, When};
use crate::harness::{Outcome, PATIENCE, number, refusal, with_ns_for};
use crate::program::{Installed, Running, SHORT};
use crate::world::{Account, DEADLINE, Options, held, is_ready, spec};

const BUY: &str = "CreateIncomingPhoneNumber";
/// So long is waited for a killer's moment before something is asked of the operators again.
const STIR: Duration = Duration::from_millis(20);
/// How long the longest of what was sent by a killed operator is still on its way: well within the window.
const ON_ITS_WAY: usize = 800;

#[test]
fn killed_at_any_call_two_operators_buy_once() -> Outcome {
    storm(12, 14, PATIENCE)
}

#[test]
#[ignore = "hundreds of kills take minutes: `make test-exhaustive` runs it"]
fn killed_hundreds_of_times_two_operators_buy_once() -> Outcome {
    storm(50, 300, Duration::from_secs(300))
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
        let flags = [&SHORT[..], &["--max-purchases-per-hour", "100000"]].concat();
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
        let mut chance = Chance::new()?;
        let installation = InstallationId::parse(&world.installation)?;
        let line = |n: usize| {
            let (namespace, name) = (world.namespaces[n % world.namespaces.len()].clone(), format!("line-{n}"));
            let mut acts = match chance.below(10) {
                0..=3 => vec![Act::Create],
                4..=5 => vec![Act::Create, Act::Edit, Act::Edit],
                6 => vec![Act::Create, Act::Delete],
                7 => vec![Act::Create, Act::Delete, Act::CreateAgain, Act::Edit],
                8 => vec![Act::Create, Act::Release],
                _ => vec![Act::Create, Act::DeleteEarly],
            };
            acts.reverse();
            let mark = installation.mark(&namespace, &name, false).to_string();
            Line { namespace, name, account: chance.below(accounts.len()), mark, acts, last: None, early: false }
        };
        let lines = (0..objects).map(line).collect();
        Ok(Self { op, chance, accounts: accounts.clone(), lines, given_up: BTreeSet::new(), looks: 0 })
    }

    async fn run(&mut self, kills: usize) -> Outcome {
        let op = self.op;
        let (twilio, calm) = (&op.world.twilio, Behaviour { latency_ms: 20, ..Behaviour::default() });
        twilio.set_settings(calm);
        // Every tenth purchase or so meets one of these besides.
        let faults = [Fault::TimeoutAfter, Fault::Http500After, Fault::Garbage, Fault::Late(1_500), Fault::Http503];
        let fault = |(n, fault): (u64, Fault)| FaultSpec::once(BUY, fault).nth(2 + 7 * n);
        twilio.put_faults((0..).zip(faults).map(fault).collect());

        let doors = [Door::open(op).await?, Door::open(op).await?];
        let launch = |door: &Door| op.launch(&door.kubeconfig, &door.twilio_url);
        let mut running = [launch(&doors[0])?, launch(&doors[1])?];
        let acts = self.lines.iter().map(|line| line.acts.len()).sum::<usize>().div_ceil(kills);
        for _ in 0..kills {
            for _ in 0..acts {
                self.act().await?;
            }
            let victim = self.chance.below(doors.len());
            self.kill(&doors[victim], &mut running[victim]).await?;
            running[victim] = launch(&doors[victim])?;
        }
        twilio.put_faults(Vec::new());
        Box::pin(self.finish()).await?;
        running.iter_mut().try_for_each(|running| running.child.check())?;
        self.count().await
    }

    /// Kills an operator at a call that chance chooses, before it takes effect, after it did, or while it is on its way.
    async fn kill(&mut self, door: &Door, running: &mut Running) -> Outcome {
        let most = if self.chance.one_in(6) { 120 } else { 30 };
        let nth = 1 + self.chance.below(most);
        let when = self.chance.pick(&[When::Before, When::After]);
        let on_its_way = when == When::Before && self.chance.one_in(2);
        let mut armed = door.trap_nth(when, nth);
        let begun = Instant::now();
        let stopped = loop {
            match tokio::time::timeout(STIR, armed.stands()).await {
                Ok(stopped) => break stopped?,
                Err(_) if begun.elapsed() < DEADLINE => self.look().await?,
                Err(_) => return Err("an operator does nothing any more".into()),
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

    fn path(line: &Line) -> String {
        format!("/apis/telephony.chiroflow.io/v1alpha1/namespaces/{}/clinicphonenumbers", line.namespace)
    }

    async fn patch(&self, line: &Line, patch: &Value) -> Outcome {
        let path = format!("{}/{}", Self::path(line), line.name);
        self.op.world.space.send("PATCH merge", &path, &[], patch).await?;
        Ok(())
    }

    /// Does the next thing to a resource that chance chooses, if its time has come.
    async fn act(&mut self) -> Outcome {
        let waiting: Vec<_> = (0..self.lines.len()).filter(|n| !self.lines[*n].acts.is_empty()).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let n = self.chance.pick(&waiting);
        let line = &self.lines[n];
        let Some(act) = line.acts.last().copied() else { return Ok(()) };
        let object = self.numbers(line).get_opt(&line.name).await?;
        let space = &self.op.world.space;
        let delete = async || {
            let path = format!("{}/{}", Self::path(line), line.name);
            space.send("DELETE", &path, &[], &Value::Null).await.map(drop)
        };
        match (act, &object) {
            (Act::Create | Act::CreateAgain, None) => {
                let area = if n % 2 == 0 { "418" } else { "514" };
                let reference = json!({"name": format!("account-{}", line.account)});
                let but = json!({"credentialsSecretRef": reference, "search": {"areaCodes": [area]}});
                space.send("POST", &Self::path(line), &[], &number(&line.name, &spec(&but))).await?;
            }
            (Act::Edit, Some(_)) => {
                let label = format!("Accueil {}", self.chance.below(1000));
                self.patch(&self.lines[n], &json!({"spec": {"friendlyName": label}})).await?;
            }
            (Act::Delete, Some(object)) if is_ready(object) => delete().await?,
            (Act::DeleteEarly, Some(object)) => {
                let early = !is_ready(object);
                delete().await?;
                self.lines[n].early = early;
            }
            (Act::Release, Some(object)) if is_ready(object) => {
                let number = held(object);
                self.patch(line, &json!({"spec": {"deletionPolicy": "Release", "releaseConfirmation": number}}))
                    .await?;
                delete().await?;
                self.given_up.insert(number);
            }
            // Not yet.
            _ => return Ok(()),
        }
        let line = &mut self.lines[n];
        line.acts.pop();
        line.last = Some(act);
        Ok(())
    }

    /// Asks for a look at a resource that chance chooses, so that the operators have something to do.
    async fn look(&mut self) -> Outcome {
        let there: Vec<_> = (0..self.lines.len()).filter(|n| self.lines[*n].lives()).collect();
        if there.is_empty() {
            return self.act().await;
        }
        self.looks += 1;
        let line = &self.lines[self.chance.pick(&there)];
        let asked =
            json!({"metadata": {"annotations": {clinic_phone_operator::api::REQUESTED_AT: self.looks.to_string()}}});
        self.patch(line, &asked).await
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
            assert_eq!(sale.account_sid, self.accounts[line.account].sid, "{sale:?}");
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
            assert_eq!(row.account_sid, self.accounts[line.account].sid, "{}", line.name);
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
