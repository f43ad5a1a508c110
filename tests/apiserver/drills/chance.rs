//! Chance that can be had again: numbers from a seed.

use std::hash::{BuildHasher as _, RandomState};

/// The variable that sets the seed.
const SEED: &str = "DRILL_SEED";

/// Numbers that follow from a seed (splitmix64).
pub struct Chance {
    /// To be printed: with it the same choices are made again.
    pub seed: u64,
    state: u64,
}

impl Chance {
    /// The seed of the surroundings, or one of its own.
    pub fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let seed = match std::env::var_os(SEED).map(|text| text.to_string_lossy().into_owned()) {
            Some(text) => text.parse().map_err(|_| format!("{SEED} is {text:?}; it has to be a number"))?,
            None => RandomState::new().hash_one(0) % 1_000_000,
        };
        Ok(Self { seed, state: seed })
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap_or_default()
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these; nothing where there are none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.below(from.len().max(1))).copied()
    }
}
