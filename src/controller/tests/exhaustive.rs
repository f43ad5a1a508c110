//! Every life, with each fault at each call.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use cpn_env::chance::Chance;

use super::fault::{Fault, Kind, faults};
use super::hub::{Hub, Strike};
use super::lives::{Life, lives};
use super::world::{BAD, MODES, Mode, PLAIN, World};

/// Which faults strike which calls of process 0.
pub type Schedule = BTreeMap<usize, Fault>;

/// Calls that are struck, and what chooses by what.
#[derive(Clone)]
pub struct Drawn {
    pub chance: Chance,
    pub at: At,
}

/// Which calls chance strikes.
#[derive(Clone)]
pub enum At {
    /// These.
    Calls(BTreeSet<usize>),
    /// Any call, once in so many.
    OneIn(usize),
}

impl Drawn {
    /// What strikes this call.
    pub fn fault(&mut self, ordinal: usize, kind: &Kind) -> Option<Fault> {
        let strikes = match &self.at {
            At::Calls(calls) => calls.contains(&ordinal),
            At::OneIn(times) => self.chance.one_in(*times),
        };
        strikes.then(|| self.chance.pick(&faults(kind))).flatten()
    }
}

/// What one run is lived under.
#[derive(Default, Clone)]
pub struct Case {
    /// Faults by the ordinal of the call.
    pub schedule: Schedule,
    /// Faults by the name of the call.
    pub script: Vec<Strike>,
    /// Faults that chance chooses.
    pub drawn: Option<Drawn>,
    /// What a person does in the middle of a call.
    pub meanwhile: Option<fn(&Hub)>,
    /// A transport that does what the real one must not.
    pub retries: bool,
    pub redirects: bool,
}

impl From<Schedule> for Case {
    fn from(schedule: Schedule) -> Self {
        Self { schedule, ..Self::default() }
    }
}

/// What became of one run.
pub struct Ran {
    pub calls: Vec<Kind>,
    /// How many calls there were before each act.
    acts: Vec<usize>,
    pub problem: Option<String>,
    pub log: String,
}

fn refused_for_good(life: &Life, case: &Case) -> bool {
    let faults = case.schedule.values().chain(case.script.iter().map(|(.., fault)| fault));
    life.exact && (case.drawn.is_some() || faults.into_iter().any(|f| *f == Fault::Refuse))
}

/// Where log lines go.
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A new world in which something is lived; what comes back is what went wrong.
pub fn within(mode: Mode, case: &Case, live: impl AsyncFnOnce(&mut World) -> Result<(), String>) -> Ran {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        // Everything that a process logs, and the spans that it logs it in.
        let logged = Arc::<Mutex<Vec<u8>>>::default();
        let into = Arc::clone(&logged);
        let subscriber = tracing_subscriber::fmt().json().with_max_level(tracing::Level::DEBUG);
        let _logging =
            tracing::subscriber::set_default(subscriber.with_writer(move || Log(Arc::clone(&into))).finish());
        let mut world = World::new(mode).await;
        {
            let mut inner = world.hub.inner();
            inner.faults.clone_from(&case.schedule);
            inner.script.clone_from(&case.script);
            inner.drawn.clone_from(&case.drawn);
            inner.meanwhile = case.meanwhile;
            (inner.retries, inner.redirects) = (case.retries, case.redirects);
        }
        // The start of the processes is part of the life: it reads the ledger.
        world.restart().await;
        let lived = live(&mut world).await;
        let violations = world.hub.inner().violations.join("; ");
        let logged = String::from_utf8_lossy(&logged.lock().unwrap()).into_owned();
        let worked = world.hub.inner().calls.iter().any(|call| call.twilio);
        assert!(!worked || logged.contains("step"), "nothing is logged, so nothing is searched");
        let kept = world.keeps_secrets(&logged);
        let problem = if violations.is_empty() { lived.and(kept).err() } else { Some(violations) };
        let log = if problem.is_some() { world.log() } else { String::new() };
        let calls = std::mem::take(&mut world.hub.inner().calls);
        let acts = std::mem::take(&mut world.hub.inner().acts);
        // It knows the hub that knows it: neither would ever go, and there are a hundred thousand worlds.
        let other = world.hub.inner().other.take();
        drop(other);
        Ran { calls, acts, problem, log }
    })
}

/// Lives a life under a schedule.
pub fn run(life: &Life, mode: Mode, case: &Case) -> Ran {
    within(mode, case, async |world| {
        let lived = life.live(world).await;
        let sold = world.hub.sales();
        let most = sold.values().map(Vec::len).max().unwrap_or(0);
        let total: usize = sold.values().map(Vec::len).sum();
        if total > life.sales * life.resources {
            return Err(format!("{total} sales in all"));
        }
        if most > life.sales {
            return Err(format!("{most} sales instead of {}", life.sales));
        }
        if lived.is_err() && refused_for_good(life, case) {
            return Ok(());
        }
        if lived.is_ok() && most < life.sales && !life.unsold {
            return Err(format!("{most} sales instead of {}", life.sales));
        }
        lived?;
        if case.schedule.is_empty() && case.drawn.is_none() { world.told() } else { Ok(()) }
    })
}

/// Counts schedules and keeps what failed.
#[derive(Default)]
struct Tally {
    schedules: AtomicUsize,
    kinds: Mutex<BTreeMap<String, (usize, String)>>,
}

impl Tally {
    fn add(&self, life: &Life, mode: Mode, schedule: &Schedule, ran: &Ran) {
        self.schedules.fetch_add(1, Ordering::Relaxed);
        let Some(problem) = &ran.problem else { return };
        let kind = format!("{} | {}", life.name, problem.chars().take(100).collect::<String>());
        let mut kinds = self.kinds.lock().unwrap();
        let entry = kinds
            .entry(kind)
            .or_insert_with(|| (0, format!("{} {mode:?} {schedule:?}: {problem}\n{}", life.name, ran.log)));
        entry.0 += 1;
    }

    fn end(self, what: &str, since: Instant) {
        println!("{what}: {} schedules in {:?}", self.schedules.into_inner(), since.elapsed());
        let kinds = self.kinds.into_inner().unwrap();
        let table = kinds.iter().map(|(kind, (n, _))| format!("{n:5} {kind}")).collect::<Vec<_>>().join("\n");
        let first = kinds.values().take(4).map(|(_, text)| text.clone()).collect::<Vec<_>>().join("\n\n");
        assert!(kinds.is_empty(), "{table}\n\n{first}");
    }
}

/// Every fault at every call, one at a time.
fn singly(tally: &Tally, life: &Life, mode: Mode, calls: &[Kind]) {
    for (at, kind) in calls.iter().enumerate() {
        for fault in faults(kind) {
            let schedule = Schedule::from([(at, fault)]);
            tally.add(life, mode, &schedule, &run(life, mode, &schedule.clone().into()));
        }
    }
}

fn each(part: usize, parts: usize, modes: &[Mode]) {
    let (since, tally) = (Instant::now(), Tally::default());
    for (_, life) in lives().iter().enumerate().filter(|(i, _)| i % parts == part) {
        for mode in modes {
            let plain = run(life, *mode, &Case::default());
            tally.add(life, *mode, &Schedule::new(), &plain);
            if plain.problem.is_none() {
                singly(&tally, life, *mode, &plain.calls);
            }
        }
    }
    tally.end("single faults", since);
}

#[test]
fn every_life_ends_well_in_every_world() {
    let (since, tally) = (Instant::now(), Tally::default());
    for life in lives() {
        for mode in MODES {
            tally.add(&life, mode, &Schedule::new(), &run(&life, mode, &Case::default()));
        }
    }
    tally.end("no faults", since);
}

#[test]
fn every_life_survives_each_fault() {
    each(0, 2, &[PLAIN]);
}

#[test]
fn every_other_life_survives_each_fault() {
    each(1, 2, &[PLAIN]);
}

#[test]
#[ignore = "takes minutes"]
fn every_life_survives_each_fault_in_a_bad_world() {
    each(0, 2, &[BAD]);
}

#[test]
#[ignore = "takes minutes"]
fn every_other_life_survives_each_fault_in_a_bad_world() {
    each(1, 2, &[BAD]);
}

/// Each fault at each call of the run without faults, and after it each fault at each call of what that fault led to, from
/// the beginning of an act.
fn pairs(life: &Life, act: usize) {
    let (since, tally) = (Instant::now(), Tally::default());
    let plain = run(life, PLAIN, &Case::default());
    let firsts: Vec<_> =
        plain.calls.iter().enumerate().flat_map(|(at, k)| faults(k).into_iter().map(move |f| (at, f))).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((at, fault)) = firsts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let first = Schedule::from([(*at, *fault)]);
                    let led_to = run(life, PLAIN, &first.clone().into());
                    tally.add(life, PLAIN, &first, &led_to);
                    // A life that did not come so far has failed, and is told of above.
                    let from = led_to.acts.get(act).map_or(usize::MAX, |begun| (at + 1).max(*begun));
                    for (later, kind) in led_to.calls.iter().enumerate().skip(from) {
                        for second in faults(kind) {
                            let both = Schedule::from([(*at, *fault), (later, second)]);
                            tally.add(life, PLAIN, &both, &run(life, PLAIN, &both.clone().into()));
                        }
                    }
                }
            });
        }
    });
    tally.end(&format!("pairs of faults in \"{}\"", life.name), since);
}

/// The lives that everything else is made of, and the act that the second fault strikes in or after: those that begin with
/// a purchase begin with the first of them, whose pairs need no second run.
const FIRST: [(&str, usize); 5] = [
    ("purchase", 0),
    ("adoption from another installation", 0),
    ("create, release or retain", 1),
    ("create, drift, rewire, retain", 1),
    ("the token is rotated", 1),
];

#[test]
#[ignore = "takes minutes"]
fn buying_adopting_rewiring_rotating_and_releasing_survive_each_pair_of_faults() {
    let lives = lives();
    for (name, act) in FIRST {
        pairs(lives.iter().find(|life| life.name == name).unwrap(), act);
    }
}

/// The short ones first: how far it came can be seen.
#[test]
#[ignore = "takes hours"]
fn each_pair_of_faults_is_survived_by_every_other_life() {
    let mut lives: Vec<_> =
        lives().into_iter().filter(|life| FIRST.iter().all(|(name, _)| *name != life.name)).collect();
    lives.sort_by_cached_key(|life| run(life, PLAIN, &Case::default()).calls.len());
    for life in lives {
        pairs(&life, 0);
    }
}
