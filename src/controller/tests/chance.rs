//! Several faults in one life, at calls that chance chooses: beyond what every fault alone can show.
//!
//! A seed is one run: which life, in which world, how many faults, where and which. `CPN_SEED=… cargo test --lib several_faults` runs
//! one again, and a failure shows its calls; `CPN_RUNS=…` says how many are drawn. Seeds that once failed stand in `corpus.txt` and are
//! always run.

use std::collections::BTreeMap;
use std::time::Instant;

use cpn_env::chance::{Chance, number};

use super::exhaustive::{Case, Drawn, Ran, run};
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
    let at = (0..faults).map(|_| chance.below(length + length / 2)).collect();
    let case = Case { drawn: Some(Drawn { chance, at }), ..Case::default() };
    (format!("{} {mode} {}", it.seed, lives[life].name), run(&lives[life], MODES[mode], &case))
}

/// Lives them all and shows the first few that fail.
fn survive(lives: &[Life], runs: impl Iterator<Item = Run>) {
    let (since, mut lengths) = (Instant::now(), Lengths(BTreeMap::new()));
    let (mut count, mut failed) = (0, Vec::new());
    for it in runs {
        count += 1;
        let (line, ran) = lived(&it, lives, &mut lengths);
        failed.extend(ran.problem.map(|problem| format!("{line}: {problem}\n{}", ran.log)));
    }
    println!("several faults by chance: {count} schedules in {:?}", since.elapsed());
    let first = failed.iter().take(3).cloned().collect::<Vec<_>>().join("\n\n");
    let all = failed.iter().filter_map(|f| f.lines().next()).collect::<Vec<_>>().join("\n");
    assert!(failed.is_empty(), "{} failed:\n{all}\n\n{first}", failed.len());
}

/// Seeds from one that differs from run to run, or the one that is asked for.
fn seeds(runs: u64) -> Vec<u64> {
    if let Some(seed) = number("CPN_SEED").unwrap() {
        return vec![seed];
    }
    let first = Chance::from_env("CPN_SEED").unwrap().next();
    println!("seeds from {first}");
    (0..number("CPN_RUNS").unwrap().unwrap_or(runs)).map(|n| first.wrapping_add(n)).collect()
}

fn by_chance(runs: u64) {
    survive(&lives(), seeds(runs).into_iter().map(|seed| Run { seed, pinned: None }));
}

#[test]
fn what_once_failed_by_chance_is_survived() {
    let lives = lives();
    let runs: Vec<_> = include_str!("corpus.txt").lines().filter_map(|line| Run::of_corpus(line, &lives)).collect();
    assert!(!runs.is_empty(), "corpus.txt was not read");
    survive(&lives, runs.into_iter());
}

#[test]
fn several_faults_by_chance_are_survived() {
    by_chance(300);
}

#[test]
#[ignore = "takes minutes"]
fn many_faults_by_chance_are_survived() {
    by_chance(20_000);
}
