//! Two kinds of time, which must not be mixed.
//!
//! *Wall* time is what people read in status; it may jump. A [`Moment`] counts from the machine's boot, sleep included,
//! and only goes forward: every window, deadline and interval is measured with it.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

/// A point on this machine's boot clock (`CLOCK_BOOTTIME`). Means nothing on another machine or after a reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(Duration);

impl Moment {
    /// The moment this long after the machine booted.
    pub const fn since_boot(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// Nanoseconds since boot: different for each reading of the clock.
    pub const fn nanoseconds(self) -> u128 {
        self.0.as_nanos()
    }

    /// How long ago `earlier` was; zero when it is still to come.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// How long until this moment; zero when it is over.
    pub fn until(self, now: Self) -> Duration {
        self.0.saturating_sub(now.0)
    }

    /// This moment, later by `delay`.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(delay))
    }

    /// This moment, earlier by `span`; not before boot.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span))
    }
}

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For people: goes into status and the ledger.
    pub wall: Timestamp,
    /// For decisions.
    pub boot: Moment,
}

impl Now {
    /// The same reading with the wall time in whole seconds. Kubernetes keeps no more of a time: a finer one would differ from
    /// what is read back, and a status that did not change would be written again.
    #[must_use]
    pub fn whole_seconds(self) -> Self {
        Self { wall: Timestamp::from_second(self.wall.as_second()).unwrap_or(self.wall), ..self }
    }
}
