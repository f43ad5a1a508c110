//! The clocks: the only place that reads them.
//!
//! Decisions take time as a value ([`Now`]), so tests set it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::domain::{Moment, Now};

/// Reads both clocks.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Now;
}

/// A clock that is handed around.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one reader of the wall clock")]
    fn now(&self) -> Now {
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let elapsed = Duration::try_from(boot).unwrap_or_default();
        Now { wall: Timestamp::now(), boot: Moment::since_boot(elapsed) }
    }
}

/// A clock that stands still until it is told to go on.
#[derive(Debug)]
pub struct ManualClock(Mutex<Now>);

impl ManualClock {
    /// A clock that shows this time.
    pub fn at(now: Now) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.boot = now.boot.after(by);
        now.wall = now.wall.saturating_add(by).unwrap_or(now.wall);
    }

    /// Sets the wall clock alone, as a wrong time server would.
    pub fn set_wall(&self, wall: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).wall = wall;
    }
}

impl Clock for ManualClock {
    /// Each reading is a microsecond later than the one before, as on a real machine: what began after something else is
    /// then seen to have begun after it.
    fn now(&self) -> Now {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.boot = now.boot.after(Duration::from_micros(1));
        *now
    }
}

/// The moment after which a call that costs money or loses a number must no longer be sent.
///
/// Measured on the boot clock, which also counts the time that a machine slept: a process that was suspended between
/// its decision and the call finds the fence closed.
#[derive(Clone)]
pub struct Fence {
    clock: SharedClock,
    deadline: Moment,
}

impl Fence {
    /// A fence that closes at `deadline`.
    pub fn new(clock: SharedClock, deadline: Moment) -> Self {
        Self { clock, deadline }
    }

    /// Whether sending is still allowed; not at the deadline itself.
    pub fn is_open(&self) -> bool {
        self.clock.now().boot < self.deadline
    }

    /// When it closes.
    pub fn deadline(&self) -> Moment {
        self.deadline
    }
}

impl std::fmt::Debug for Fence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fence").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_only_goes_forward() {
        let first = SystemClock.now();
        assert!(SystemClock.now().boot >= first.boot);
    }

    #[test]
    fn a_fence_closes_at_its_deadline_and_stays_closed() {
        let start = Now { wall: Timestamp::UNIX_EPOCH, boot: Moment::since_boot(Duration::from_secs(100)) };
        let clock = Arc::new(ManualClock::at(start));
        let fence = Fence::new(clock.clone(), start.boot.after(Duration::from_secs(10)));
        assert!(fence.is_open());
        clock.advance(Duration::from_secs(9));
        assert!(fence.is_open());
        clock.advance(Duration::from_secs(1));
        assert!(!fence.is_open());
        clock.set_wall(Timestamp::UNIX_EPOCH);
        assert!(!fence.is_open(), "the wall clock has no say");
    }
}
