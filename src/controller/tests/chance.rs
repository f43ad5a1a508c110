//! Several faults in one life, at calls that chance chooses: beyond what every fault alone can show.
//!
//! A seed is one run: which life, in which world, how many faults, where and which. `CPN_SEED=… cargo test --lib chance` runs
//! one again and shows its calls; `CPN_RUNS=…` says how many are drawn. Seeds that once failed stand in `corpus.txt` and are
//! always run.

use std::collections::BTreeMap;
use std::time::Instant;

use super::exhaustive::{Case, Chance, Ran, run};
use super::lives::{Life, lives};
use super::world::{MODES, Mode};

/// `SplitMix64` (Steele, Lea, Flood 2014): a few lines, and the same everywhere.
#[derive(Clone, Copy)]
pub struct Draw(pub u64);

impl Draw {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn of(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }
}

/// How many calls each life makes without faults, in each world.
struct Lengths(BTreeMap<(usize, usize), usize>);

impl Lengths {
    fn of(&mut self, lives: &[Life], life: usize, mode: usize) -> usize {
        *self.0.entry((life, mode)).or_insert_with(|| run(&lives[life], MODES[mode], &Case::default()).calls.len())
    }
}

fn drawn(seed: u64, lives: &[Life], lengths: &mut Lengths) -> (usize, Mode, Ran) {
    let mut draw = Draw(seed);
    let (life, mode) = (draw.of(lives.len()), draw.of(MODES.len()));
    let length = lengths.of(lives, life, mode);
    let faults = 2 + draw.of(3);
    // Faults make a life longer: some strike what would not have been called without the others.
    let at = (0..faults).map(|_| draw.of(length + length / 2)).collect();
    let case = Case { chance: Some(Chance { draw, at }), told: true, ..Case::default() };
    (life, MODES[mode], run(&lives[life], MODES[mode], &case))
}

/// Runs these seeds and shows the first few that fail.
fn try_all(seeds: impl Iterator<Item = u64>) -> usize {
    let (since, lives, mut lengths) = (Instant::now(), lives(), Lengths(BTreeMap::new()));
    let (mut count, mut failed) = (0, Vec::new());
    for seed in seeds {
        count += 1;
        let (life, mode, ran) = drawn(seed, &lives, &mut lengths);
        if let Some(problem) = ran.problem {
            failed.push(format!("CPN_SEED={seed} {} {mode:?}: {problem}\n{}", lives[life].name, ran.log));
        }
    }
    println!("several faults by chance: {count} schedules in {:?}", since.elapsed());
    let first = failed.iter().take(3).cloned().collect::<Vec<_>>().join("\n\n");
    let all = failed.iter().filter_map(|f| f.lines().next()).collect::<Vec<_>>().join("\n");
    assert!(failed.is_empty(), "{} failed:\n{all}\n\n{first}", failed.len());
    count
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// Seeds from one that differs from run to run, or the one that is asked for.
fn seeds(runs: u64) -> Vec<u64> {
    if let Some(seed) = number("CPN_SEED") {
        return vec![seed];
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let first = u64::try_from(now.as_nanos() & u128::from(u64::MAX >> 16)).unwrap();
    println!("seeds from {first}");
    (0..number("CPN_RUNS").unwrap_or(runs)).map(|n| first.wrapping_add(n)).collect()
}

#[test]
fn what_once_failed_by_chance_is_survived() {
    let corpus = include_str!("corpus.txt").lines().map(|l| l.split('#').next().unwrap_or_default().trim());
    try_all(corpus.filter(|l| !l.is_empty()).map(|l| l.parse().unwrap()));
}

#[test]
fn several_faults_by_chance_are_survived() {
    try_all(seeds(300).into_iter());
}

#[test]
#[ignore = "takes minutes"]
fn many_faults_by_chance_are_survived() {
    try_all(seeds(20_000).into_iter());
}
