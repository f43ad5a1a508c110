//! Every life, with each fault at each step, singly and in pairs; and two of everything, interleaved.

use std::collections::BTreeMap;
use std::time::Instant;

use super::lives::{Life, lives, until};
use super::pass::{Pass, Turn};
use super::twilio::CallFault as C;
use super::world::{Fault, World, key, number, search};
use crate::domain::Moment;

const READ: [Fault; 3] = [Fault::RestartBefore, Fault::Second, Fault::Suspended];
const WRITE: [Fault; 7] = [
    Fault::Conflict,
    Fault::WriteLostBefore,
    Fault::WriteLostAfter,
    Fault::RestartBefore,
    Fault::RestartAfter,
    Fault::Second,
    Fault::Suspended,
];
const STAMP: [Fault; 2] = [Fault::LedgerLostBefore, Fault::LedgerLostAfter];
const LOOK: [Fault; 9] = [
    Fault::Call(C::NotSent),
    Fault::Call(C::LostBefore),
    Fault::Call(C::RefusedOtherwise),
    Fault::Call(C::Unauthorized),
    Fault::Call(C::Throttled),
    Fault::Call(C::ServerBefore),
    Fault::RestartBefore,
    Fault::RestartAfter,
    Fault::Second,
];
const SEND: [Fault; 14] = [
    Fault::Call(C::NotSent),
    Fault::Call(C::LostBefore),
    Fault::Call(C::LostAfter),
    Fault::Call(C::Late),
    Fault::Call(C::RefusedNumber),
    Fault::Call(C::RefusedOtherwise),
    Fault::Call(C::Unauthorized),
    Fault::Call(C::Throttled),
    Fault::Call(C::ServerBefore),
    Fault::Call(C::ServerAfter),
    Fault::RestartBefore,
    Fault::RestartAfter,
    Fault::Second,
    Fault::Suspended,
];

/// The faults that a step can meet.
fn faults(step: &str) -> Vec<Fault> {
    match step {
        "list" | "get" | "search" | "offer" | "prices" | "message prices" | "papers" | "service" | "member" => {
            LOOK.to_vec()
        }
        "post" | "update" | "release" | "join" | "leave" => SEND.to_vec(),
        "stamp" => WRITE.into_iter().chain(STAMP).collect(),
        "finalizer" | "announce" | "record" | "clear" | "membership" | "stamp release" | "let go" => WRITE.to_vec(),
        _ => READ.to_vec(),
    }
}

/// The steps of a run in order, by their ordinal.
fn steps(world: &World) -> BTreeMap<usize, String> {
    let mut steps = BTreeMap::new();
    for line in &world.log {
        let mut words = line.split(' ');
        let ordinal = words.nth(1).and_then(|w| w.strip_prefix('#')).and_then(|w| w.parse().ok());
        let process = words.next();
        if let (Some(ordinal), Some("p0"), Some(_)) = (ordinal, process, words.next()) {
            let what = words.collect::<Vec<_>>().join(" ");
            steps.insert(ordinal, what.split(" !!").next().unwrap().to_owned());
        }
    }
    steps
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mode {
    upsert: bool,
    lag: u64,
}

const MODES: [Mode; 4] = [
    Mode { upsert: true, lag: 0 },
    Mode { upsert: false, lag: 0 },
    Mode { upsert: true, lag: 50 },
    Mode { upsert: false, lag: 50 },
];

fn world(mode: Mode) -> World {
    let mut world = World::new();
    world.twilio.upsert = mode.upsert;
    world.twilio.lag = std::time::Duration::from_secs(mode.lag);
    world
}

fn refused_for_good(life: &Life, faults: &BTreeMap<usize, Fault>) -> bool {
    // A refusal is an answer: an exact number that was refused, or the release of one, ends otherwise.
    life.exact && faults.values().any(|f| *f == Fault::Call(C::RefusedNumber))
}

fn run(life: &Life, mode: Mode, faults: &BTreeMap<usize, Fault>) -> (World, Option<String>) {
    let mut world = world(mode);
    world.faults.clone_from(faults);
    let result = life.live(&mut world);
    let mut problem = result.err();
    if !world.violations.is_empty() {
        problem = Some(world.violations.join("; "));
    } else if problem.is_some() && refused_for_good(life, faults) && world.twilio.sales.len() <= life.sales {
        problem = None;
    } else if problem.is_none() && world.twilio.sales.len() != life.sales && !may_end_unsold(life) {
        problem = Some(format!("{} sales instead of {}", world.twilio.sales.len(), life.sales));
    }
    (world, problem)
}

fn may_end_unsold(life: &Life) -> bool {
    life.name.starts_with("deleted while")
}

struct Tally {
    schedules: usize,
    failures: Vec<String>,
    kinds: BTreeMap<String, usize>,
}

impl Tally {
    fn new() -> Self {
        Self { schedules: 0, failures: Vec::new(), kinds: BTreeMap::new() }
    }

    fn add(
        &mut self,
        life: &Life,
        mode: Mode,
        faults: &BTreeMap<usize, Fault>,
        world: &World,
        problem: Option<String>,
    ) {
        self.schedules += 1;
        let Some(problem) = problem else { return };
        *self.kinds.entry(format!("{} | {}", life.name, problem.chars().take(90).collect::<String>())).or_default() +=
            1;
        if self.failures.len() < 6 {
            let tail = world.log[world.log.len().saturating_sub(45)..].join("\n");
            self.failures.push(format!("{} {mode:?} {faults:?}: {problem}\n{tail}", life.name));
        }
    }

    fn end(self, what: &str, since: Instant) {
        println!("{what}: {} schedules in {:?}", self.schedules, since.elapsed());
        let kinds = self.kinds.iter().map(|(k, n)| format!("{n:5} {k}")).collect::<Vec<_>>().join("\n");
        assert!(self.failures.is_empty(), "{kinds}\n\n{}", self.failures.join("\n\n"));
    }
}

fn singly(tally: &mut Tally, life: &Life, mode: Mode) -> Vec<(BTreeMap<usize, Fault>, World)> {
    let (plain, problem) = run(life, mode, &BTreeMap::new());
    tally.add(life, mode, &BTreeMap::new(), &plain, problem);
    let mut worlds = Vec::new();
    for (at, step) in steps(&plain) {
        for fault in faults(&step) {
            let faults = BTreeMap::from([(at, fault)]);
            let (world, problem) = run(life, mode, &faults);
            tally.add(life, mode, &faults, &world, problem);
            worlds.push((faults, world));
        }
    }
    worlds
}

fn each(part: usize, modes: &[Mode]) {
    let (since, mut tally) = (Instant::now(), Tally::new());
    for (_, life) in lives().into_iter().enumerate().filter(|(i, _)| i % 2 == part) {
        for mode in modes {
            singly(&mut tally, &life, *mode);
        }
    }
    tally.end("single faults", since);
}

#[test]
fn every_life_survives_each_fault() {
    each(0, &[MODES[0], MODES[3]]);
}

#[test]
fn every_other_life_survives_each_fault() {
    each(1, &[MODES[0], MODES[3]]);
}

/// Pairs: each fault at each step, then each fault at each of the next steps of that life.
fn pairs(names: &[&str], modes: &[Mode], next_steps: usize) {
    let (since, mut tally) = (Instant::now(), Tally::new());
    for life in lives().iter().filter(|l| names.contains(&l.name)) {
        for mode in modes {
            for (first, world) in singly(&mut tally, life, *mode) {
                let at = *first.keys().next().unwrap();
                for (next, step) in steps(&world).range(at + 1..=at + next_steps) {
                    for fault in faults(step) {
                        let mut faults = first.clone();
                        faults.insert(*next, fault);
                        let (world, problem) = run(life, *mode, &faults);
                        tally.add(life, *mode, &faults, &world, problem);
                    }
                }
            }
        }
    }
    tally.end(&format!("pairs of faults in {names:?}"), since);
}

const DELETED: &str = "deleted while a purchase is unresolved";
const STRIPPED: &str = "stripped and applied again while a purchase is under way";
const UNTAGGED: &str = "adoption of an untagged number";
const LIMITED: &str = "an exact number within the limit";
const SOLD: &str = "chosen by hand within a limit and sold meanwhile, then another one";
const ANOTHERS: &str = "adoption from another installation";

#[test]
fn a_purchase_survives_pairs_of_faults() {
    pairs(&["purchase"], &MODES[3..], 8);
}

#[test]
fn an_exact_purchase_survives_pairs_of_faults() {
    pairs(&["exact number"], &MODES[2..3], 6);
}

#[test]
fn an_adoption_survives_pairs_of_faults() {
    pairs(&[ANOTHERS], &MODES[..1], 6);
}

#[test]
fn a_resource_deleted_or_stripped_in_between_survives_pairs_of_faults() {
    pairs(&[DELETED, STRIPPED], &MODES[3..], 4);
}

#[test]
fn a_release_survives_pairs_of_faults() {
    pairs(&["release"], &MODES[..1], 6);
}

#[test]
fn a_limited_purchase_survives_pairs_of_faults() {
    pairs(&[LIMITED], &MODES[2..3], 5);
}

#[test]
fn a_choice_by_hand_survives_pairs_of_faults() {
    pairs(&[SOLD], &MODES[3..], 3);
}

#[test]
#[ignore = "takes minutes"]
fn everything_survives_pairs_of_faults() {
    pairs(&["exact number", UNTAGGED, DELETED, STRIPPED, LIMITED, SOLD], &MODES, 14);
    // Without lag the real passes are struck at every pair of calls in these.
    pairs(&["purchase", ANOTHERS, "release"], &MODES[2..], 14);
}

/// A schedule: who takes the next turns, and how many.
type Schedule = Vec<(usize, usize)>;

/// Every way to give two parties turns with at most three changes between them: each takes up to `turns` before one.
fn schedules(turns: usize) -> Vec<Schedule> {
    let mut all = Vec::new();
    for first in [0, 1] {
        for a in 0..=turns {
            for b in 0..=turns {
                for c in 0..=turns {
                    all.push(vec![(first, a), (1 - first, b), (first, c), (1 - first, turns)]);
                }
            }
        }
    }
    all
}

/// Two parties, each a process and a resource, take turns as the schedule says; then both run on by themselves.
fn interleave(
    world: &mut World,
    parties: [(usize, &str); 2],
    schedule: &Schedule,
    goal: fn(&World) -> bool,
) -> Result<(), String> {
    let mut passes: [Option<Pass>; 2] = [None, None];
    let mut rest: [Option<Moment>; 2] = [None, None];
    for (who, turns) in schedule {
        let (process, name) = parties[*who];
        for _ in 0..*turns {
            if passes[*who].is_none() {
                if rest[*who].is_some_and(|at| at > world.now.boot) {
                    break;
                }
                passes[*who] = Pass::begin(world, process, &key(name));
            }
            let Some(pass) = passes[*who].as_mut() else { break };
            match pass.turn(world) {
                Turn::On => {}
                Turn::Ended(at) => {
                    rest[*who] = Some(at);
                    passes[*who] = None;
                }
                Turn::Gone => passes[*who] = None,
            }
        }
    }
    for pass in passes.iter_mut().flatten() {
        while pass.turn(world) == Turn::On {}
    }
    until(world, goal)
}

fn two(what: &str, parties: [(usize, &str); 2], prepare: fn(&mut World), goal: fn(&World) -> bool, sales: usize) {
    let (since, mut ran) = (Instant::now(), 0);
    let mut failures = Vec::new();
    let mode = MODES[2];
    for schedule in schedules(11) {
        let mut world = world(mode);
        prepare(&mut world);
        let result = interleave(&mut world, parties, &schedule, goal);
        ran += 1;
        let problem = match result {
            Err(why) => Some(why),
            Ok(()) if !world.violations.is_empty() => Some(world.violations.join("; ")),
            Ok(()) if world.twilio.sales.len() != sales => Some(format!("{} sales", world.twilio.sales.len())),
            Ok(()) => None,
        };
        if let Some(problem) = problem {
            let start = world.log[..world.log.len().min(70)].join("\n");
            failures.push(format!("{schedule:?}: {problem}\n{start}"));
        }
    }
    println!("{what}: {ran} schedules in {:?}", since.elapsed());
    let first = failures.iter().min_by_key(|f| f.len());
    assert!(failures.is_empty(), "{} of {ran}\n{}", failures.len(), first.unwrap());
}

fn both_search(w: &mut World) {
    w.twilio.stock.truncate(2);
    w.apply("a", search());
    w.apply("b", search());
}

fn both_have_one(w: &World) -> bool {
    w.ready("a") && w.ready("b") && w.holds("a") != w.holds("b")
}

#[test]
fn two_resources_of_one_process_search_the_same_numbers() {
    two("two searches, one process", [(0, "a"), (0, "b")], both_search, both_have_one, 2);
}

#[test]
fn two_resources_of_two_processes_search_the_same_numbers() {
    two("two searches, two processes", [(0, "a"), (1, "b")], both_search, both_have_one, 2);
}

#[test]
fn two_resources_search_the_last_number() {
    let prepare = |w: &mut World| {
        both_search(w);
        w.twilio.stock.truncate(1);
    };
    let goal = |w: &World| {
        let one = |x, y| w.ready(x) && w.reason(y) == "NoNumbersAvailable";
        one("a", "b") || one("b", "a")
    };
    two("two searches, one number", [(0, "a"), (1, "b")], prepare, goal, 1);
}

fn both_exact(w: &mut World) {
    let spec = serde_json::json!({"phoneNumber": number(1).as_str()});
    w.apply("a", spec.clone());
    w.apply("b", spec);
}

fn one_has_it(w: &World) -> bool {
    let one =
        |x, y| w.ready(x) && w.condition(y, "Stalled").is_some_and(|(_, reason)| reason == "NumberClaimedElsewhere");
    one("a", "b") || one("b", "a")
}

#[test]
fn two_resources_of_one_process_name_the_same_number() {
    two("two exact, one process", [(0, "a"), (0, "b")], both_exact, one_has_it, 1);
}

#[test]
fn two_resources_of_two_processes_name_the_same_number() {
    two("two exact, two processes", [(0, "a"), (1, "b")], both_exact, one_has_it, 1);
}

#[test]
fn two_resources_adopt_the_same_number() {
    let prepare = |w: &mut World| {
        let now = w.now;
        w.twilio.give(&super::world::account(1), &number(9), "reception", now);
        let spec = serde_json::json!({"phoneNumber": number(9).as_str(), "adoptionPolicy": "IfOwned"});
        w.apply("a", spec.clone());
        w.apply("b", spec);
    };
    two("two adoptions", [(0, "a"), (1, "b")], prepare, one_has_it, 0);
}

#[test]
fn two_processes_work_on_one_resource() {
    two("two processes, one search", [(0, "a"), (1, "a")], |w| w.apply("a", search()), |w| w.ready("a"), 1);
}

#[test]
fn two_processes_release_one_number() {
    let prepare = |w: &mut World| {
        let life = lives().into_iter().find(|l| l.name == "release").unwrap();
        (life.acts[0].0)(w);
        until(w, life.acts[0].1).unwrap();
        (life.acts[1].0)(w);
    };
    two("two processes, one release", [(0, "a"), (1, "a")], prepare, |w| w.gone("a") && w.twilio.held.is_empty(), 1);
}

/// A forgotten attempt that lands late: the new life has to see it before it buys.
#[test]
fn a_stripped_resource_waits_for_what_its_earlier_life_sent() {
    for upsert in [true, false] {
        for lag in [0, 60] {
            let mut w = world(Mode { upsert, lag });
            w.apply("a", search());
            w.faults = (0..60).map(|i| (i, Fault::Call(C::Late))).collect();
            // Only the purchase is late; looks before it are answered.
            w.faults.retain(|i, _| *i == 7);
            let mut pass = Pass::begin(&mut w, 0, &key("a")).unwrap();
            while !w.log.last().is_some_and(|l| l.contains(" post")) {
                assert_eq!(pass.turn(&mut w), Turn::On);
            }
            super::pass::restart(&mut w, 0);
            w.strip_and_apply("a");
            until(&mut w, |w| w.ready("a")).unwrap_or_else(|why| panic!("{why}\n{}", w.log.join("\n")));
            assert_eq!(w.twilio.sales.len(), 1, "upsert {upsert}, lag {lag}\n{}", w.log.join("\n"));
        }
    }
}
