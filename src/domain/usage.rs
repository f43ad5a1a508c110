//! What an account used in one month, as Twilio counts it.

use k8s_openapi::jiff::{Timestamp, civil::Date, tz::TimeZone};
use rust_decimal::Decimal;

use super::{Currency, Money};

/// A month in GMT, the only time in which Twilio counts (<https://www.twilio.com/docs/usage/api/usage-record>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i16,
    month: i8,
}

impl Month {
    /// The month of this time.
    pub fn of(at: Timestamp) -> Self {
        Self::containing(at.to_zoned(TimeZone::UTC).date())
    }

    /// The month of this day.
    pub fn containing(day: Date) -> Self {
        Self { year: day.year(), month: day.month() }
    }

    /// When the month after it begins.
    pub fn end(self) -> Option<Timestamp> {
        let first = Date::new(self.year, self.month, 1).ok()?;
        let next = first.last_of_month().tomorrow().ok()?;
        Some(next.to_zoned(TimeZone::UTC).ok()?.timestamp())
    }
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// Messages of one month and what they cost: SMS and MMS, of a whole account or of one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageUsage {
    /// The month.
    pub month: Month,
    /// Messages sent.
    pub sent: u64,
    /// Messages received.
    pub received: u64,
    /// What they cost so far, carrier fees included.
    pub cost: Money,
    /// When Twilio counted.
    pub as_of: Timestamp,
}

/// One message, as far as it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedMessage {
    /// When it was sent, or received.
    pub at: Timestamp,
    /// What it cost; `None`: not billed yet.
    pub cost: Option<Decimal>,
    /// In which currency; there with a cost.
    pub currency: Option<Currency>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_those_of_gmt_and_end_where_the_next_begins() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        // In Québec it is still October.
        assert_eq!(Month::of(at("2026-10-31T20:30:00-04:00")).to_string(), "2026-11");
        for (day, end) in [
            ("2026-11-26T12:00:00Z", "2026-12-01T00:00:00Z"),
            ("2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"),
            ("2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"),
        ] {
            assert_eq!(Month::of(at(day)).end(), Some(at(end)), "{day}");
        }
    }
}
