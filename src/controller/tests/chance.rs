//! Several faults in one life, at calls that chance chooses: beyond what every fault alone can show.
//!
//! A seed is one run: which life, in which world, how many faults, where and which. `CPN_SEED=… cargo test --lib several_faults` runs
//! one again, and a failure shows its calls. The seeds are the same in each run, so that a change is not held up by what it did not do;
//! `make soak` begins elsewhere each time (`CPN_FROM=…`, and `CPN_RUNS=…` of them). Seeds that once failed stand in `corpus.txt` and
//! are always run.

use std::collections::BTreeMap;
use std::time::Instant;

use cpn_env::chance::{Chance, number};

use super::exhaustive::{At, Case, Drawn, Ran, run};
use super::lives::{Life, lives};
use super::world::MODES;

/// How many calls each life makes without faults, in each world.
struct Lengths(BTreeMap<(usize, usize), usize>);

impl Lengths {
    fn of(&mut self, lives: &[Life], life: usize, mode: usize) -> usize {
        *self.0.entry((life, mode)).or_insert_with(|| run(&lives[life], MODES[mode], &Case::default()).calls.len())
    }
}

/// A run: a seed, and the life and the world where they are not the seed's to choose.
struct Run {
    seed: u64,
    pinned: Option<(usize, usize)>,
}

impl Run {
    /// A line of `corpus.txt`: seed, number of the world, name of the life. The names keep a line what it is when lives come.
    fn of_corpus(line: &str, lives: &[Life]) -> Option<Self> {
        let line = line.split('#').next().unwrap_or_default().trim();
        let (seed, rest) = line.split_once(' ')?;
        let (mode, name) = rest.split_once(' ').unwrap_or_else(|| panic!("corpus.txt: {line}"));
        let life = lives.iter().position(|l| l.name == name).unwrap_or_else(|| panic!("corpus.txt: no life {name:?}"));
        Some(Self { seed: seed.parse().unwrap(), pinned: Some((life, mode.parse().unwrap())) })
    }
}

/// Lives it; the line of `corpus.txt` that says which it was, and what became of it.
fn lived(it: &Run, lives: &[Life], lengths: &mut Lengths) -> (String, Ran) {
    let mut chance = Chance::of(it.seed);
    let chosen = (chance.below(lives.len()), chance.below(MODES.len()));
    let (life, mode) = it.pinned.unwrap_or(chosen);
    let length = lengths.of(lives, life, mode);
    let faults = 2 + chance.below(3);
    // Faults make a life longer: some strike what would not have been called without the others.
    let at = At::Calls((0..faults).map(|_| chance.below(length + length / 2)).collect());
    let case = Case { drawn: Some(Drawn { chance, at }), ..Case::default() };
    (format!("{} {mode} {}", it.seed, lives[life].name), run(&lives[life], MODES[mode], &case))
}

/// Lives them all and shows the first few that fail.
fn survive(what: &str, runs: impl Iterator<Item = (String, Ran)>) {
    let since = Instant::now();
    let (mut count, mut failed) = (0, Vec::new());
    for (line, ran) in runs {
        count += 1;
        failed.extend(ran.problem.map(|problem| format!("{line}: {problem}\n{}", ran.log)));
    }
    println!("{what}: {count} schedules in {:?}", since.elapsed());
    let first = failed.iter().take(3).cloned().collect::<Vec<_>>().join("\n\n");
    let all = failed.iter().filter_map(|f| f.lines().next()).collect::<Vec<_>>().join("\n");
    assert!(failed.is_empty(), "{} failed:\n{all}\n\n{first}", failed.len());
}

/// Lives what follows from each of so many seeds, or from the one that is asked for.
pub fn survive_all(what: &str, runs: u64, mut lived: impl FnMut(u64) -> (String, Ran)) {
    let (first, runs) = match number("CPN_SEED").unwrap() {
        Some(seed) => (seed, 1),
        None => (number("CPN_FROM").unwrap().unwrap_or_default(), number("CPN_RUNS").unwrap().unwrap_or(runs)),
    };
    println!("{what}: seeds from {first}");
    survive(what, (0..runs).map(|n| lived(first.wrapping_add(n))));
}

const WHAT: &str = "several faults by chance";

fn by_chance(runs: u64) {
    let (lives, mut lengths) = (lives(), Lengths(BTreeMap::new()));
    survive_all(WHAT, runs, |seed| lived(&Run { seed, pinned: None }, &lives, &mut lengths));
}

#[test]
fn what_once_failed_by_chance_is_survived() {
    let lives = lives();
    let runs: Vec<_> = include_str!("corpus.txt").lines().filter_map(|line| Run::of_corpus(line, &lives)).collect();
    assert!(!runs.is_empty(), "corpus.txt was not read");
    let mut lengths = Lengths(BTreeMap::new());
    survive(WHAT, runs.iter().map(|it| lived(it, &lives, &mut lengths)));
}

#[test]
fn several_faults_by_chance_are_survived() {
    by_chance(300);
}

#[test]
#[ignore = "takes minutes"]
fn many_faults_by_chance_are_survived() {
    by_chance(10_000);
}
