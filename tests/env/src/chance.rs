//! Chance that can be had again: numbers that follow from a seed.

use std::hash::{BuildHasher as _, RandomState};

/// Numbers that follow from a seed: `SplitMix64` (Steele, Lea and Flood, 2014), the same everywhere and for ever.
#[derive(Debug, Clone)]
pub struct Chance {
    /// To be printed: with it the same choices are made again.
    pub seed: u64,
    state: u64,
}

impl Chance {
    /// The choices of this seed.
    pub fn of(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// The choices of the seed that this variable holds, or of one that differs from run to run.
    ///
    /// # Errors
    /// When the variable is there and holds no number.
    pub fn from_env(variable: &str) -> Result<Self, String> {
        Ok(Self::of(number(variable)?.unwrap_or_else(|| RandomState::new().hash_one(0) % 1_000_000)))
    }

    /// Any number.
    #[allow(clippy::should_implement_trait, reason = "it never ends, and nobody iterates over it")]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where there is none.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or_default()
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these; nothing where there are none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.below(from.len())).copied()
    }
}

/// The number that a variable holds; `None`: it is not there.
///
/// # Errors
/// When it is there and holds no number.
pub fn number(variable: &str) -> Result<Option<u64>, String> {
    let Some(text) = std::env::var_os(variable).map(|text| text.to_string_lossy().into_owned()) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| format!("{variable} is {text:?}; it has to be a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_choices() {
        // The first outputs for the seed 0, as the algorithm's own reference gives them.
        let mut chance = Chance::of(0);
        assert_eq!([chance.next(), chance.next()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
        assert_eq!((chance.below(0), chance.pick::<u8>(&[])), (0, None));
    }
}
