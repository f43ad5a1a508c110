//! One time for the whole world, and a clock for each process: its wall clock may be wrong, its machine may have booted at
//! another time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::domain::{Moment, Now};

/// The world's time: tokio's paused clock, which timers move, and jumps, which they do not see: as on a machine that slept.
#[derive(Debug)]
pub struct WorldClock {
    start: tokio::time::Instant,
    jumped: AtomicU64,
}

impl WorldClock {
    /// A clock that starts now.
    pub fn start() -> Arc<Self> {
        Arc::new(Self { start: tokio::time::Instant::now(), jumped: AtomicU64::new(0) })
    }

    /// Moves the time without moving timers.
    pub fn jump(&self, by: Duration) {
        self.jumped.fetch_add(u64::try_from(by.as_nanos()).unwrap(), Ordering::Relaxed);
    }

    fn elapsed(&self) -> Duration {
        // Each reading is a microsecond later than the one before, as on a real machine.
        self.jump(Duration::from_micros(1));
        self.start.elapsed() + Duration::from_nanos(self.jumped.load(Ordering::Relaxed))
    }
}

/// As the simulator and the API server read it: always right.
impl Clock for WorldClock {
    fn now(&self) -> Now {
        let elapsed = self.elapsed();
        Now {
            wall: Timestamp::from_second(1_800_000_000).unwrap().checked_add(elapsed).unwrap(),
            boot: Moment::since_boot(Duration::from_secs(100_000) + elapsed),
        }
    }
}

/// One process's clocks.
pub struct ProcessClock {
    /// The true time.
    pub world: Arc<WorldClock>,
    /// By how much the wall clock is wrong.
    pub wrong: SignedDuration,
    /// How much earlier the machine booted.
    pub booted: Duration,
}

impl Clock for ProcessClock {
    fn now(&self) -> Now {
        let now = self.world.now();
        Now { wall: now.wall.checked_add(self.wrong).unwrap(), boot: now.boot.after(self.booted) }
    }
}
