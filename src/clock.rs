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
    fn now(&self) -> Now {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
}
