//! Two kinds of time, which must not be mixed.
//!
//! *Wall* time is what people read in status; it may jump. A [`Moment`] counts from the machine's boot, sleep included,
//! and only goes forward: every window, deadline and interval is measured with it.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::ParseError;

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
    /// The same reading with the wall time in [`whole_seconds`].
    #[must_use]
    pub fn whole_seconds(self) -> Self {
        Self { wall: whole_seconds(self.wall), ..self }
    }
}

/// A time as status can hold it. Kubernetes keeps no more of a time: a finer one would differ from what is read back, and a
/// status that did not change would be written again.
pub fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Reads a span of time as flags and resources write it: `500ms`, `30s`, `5m`, `1h`, `1h30m`.
///
/// # Errors
/// When it is anything else.
pub fn parse_duration(text: &str) -> Result<Duration, ParseError> {
    let wrong = || ParseError::new("duration", "write it as 500ms, 30s, 5m, 1h or 1h30m");
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
        let (unit, tail) = tail.split_at(tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len()));
        let milliseconds: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let part = Duration::from_millis(number.checked_mul(milliseconds).ok_or_else(wrong)?);
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = tail;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("0ms"), Ok(Duration::ZERO));
        for bad in ["", "5", "m", "5x", "-1s", "1 h", "1.5s", "99999999999999999999s", "9999999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
