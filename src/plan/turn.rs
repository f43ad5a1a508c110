//! When an account is read again, of what is read beside the passes.

use std::collections::HashSet;
use std::hash::Hash;
use std::time::Duration;

use crate::domain::Moment;

/// What was not read is tried again after this time, then more and more rarely.
pub(super) const RETRY: Duration = Duration::from_secs(15 * 60);
/// Who was not asked for last time waits this long at most; so do several that come one after another.
const NEWCOMER: Duration = Duration::from_secs(60);

/// When an account was read last, for whom, and when it is read again.
#[derive(Debug, Clone)]
pub struct Turn<A> {
    /// When it was read last.
    pub read_at: Moment,
    /// When it is read again.
    pub due: Moment,
    /// Readings in a row that failed.
    pub failures: u32,
    /// What it was read for.
    pub asked: HashSet<A>,
}

impl<A> Default for Turn<A> {
    fn default() -> Self {
        Self { read_at: Moment::default(), due: Moment::default(), failures: 0, asked: HashSet::new() }
    }
}

impl<A: Eq + Hash> Turn<A> {
    /// Whether it is time. What nobody asked for last time is read soon, and not an interval later; what could not be found then
    /// does not come sooner for that.
    pub fn is_due(&self, now: Moment, asked: impl Iterator<Item = A>) -> bool {
        let newcomer = self.failures == 0 && self.is_asked(now, asked);
        self.due <= now || newcomer
    }

    /// Whether somebody asks who did not ask last time. What a person asks for is read even where the last reading failed: it may be
    /// mended.
    pub fn is_asked(&self, now: Moment, mut asked: impl Iterator<Item = A>) -> bool {
        now.since(self.read_at) >= NEWCOMER && asked.any(|one| !self.asked.contains(&one))
    }
}

/// When an account is read again. `spread`, from 0 to 1, is the account's own; `failures` readings in a row failed.
pub fn next(now: Moment, interval: Duration, spread: f64, failures: u32) -> Moment {
    if failures > 0 {
        let wait = RETRY.saturating_mul(1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX));
        return now.after(wait.min(interval));
    }
    // Longer by up to a tenth, so that accounts that are read together come apart.
    now.after(interval.mul_f64(0.1_f64.mul_add(spread, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Moment {
        Moment::since_boot(Duration::from_secs(n))
    }

    #[test]
    fn what_failed_is_tried_earlier_and_then_more_rarely_never_later_than_an_interval() {
        let hours = |n: u64| Duration::from_secs(n * 3600);
        let now = second(1000);
        let waits = [1, 2, 3, 9, 40, u32::MAX].map(|failures| next(now, hours(6), 0.3, failures).since(now));
        assert_eq!(waits, [RETRY, RETRY * 2, RETRY * 4, hours(6), hours(6), hours(6)]);
        assert_eq!(next(now, Duration::from_secs(60), 0.3, 1).since(now), Duration::from_secs(60));
        assert_eq!(next(now, hours(6), 0.5, 0).since(now), hours(6).mul_f64(1.05));
    }

    #[test]
    fn a_newcomer_is_read_soon_and_a_number_that_is_not_there_no_sooner() {
        let turn = Turn { read_at: second(1000), due: second(9000), failures: 0, asked: HashSet::from(["one"]) };
        let due = |turn: &Turn<_>, at: u64, asked: &[&'static str]| turn.is_due(second(at), asked.iter().copied());
        // It was asked for, whether it was found or not.
        assert!(!due(&turn, 8999, &["one"]) && due(&turn, 9000, &["one"]));
        assert!(!due(&turn, 1059, &["one", "two"]) && due(&turn, 1060, &["one", "two"]));
        let failed = Turn { failures: 1, ..turn };
        assert!(
            failed.is_asked(second(1060), ["two"].into_iter()) && !failed.is_asked(second(1059), ["two"].into_iter())
        );
        assert!(!due(&failed, 8999, &["one", "two"]), "an account that cannot be read is not asked more often");
    }
}
