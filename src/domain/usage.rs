//! What an account used in one month, as Twilio counts it.

use k8s_openapi::jiff::{Timestamp, civil::Date, tz::TimeZone};
use rust_decimal::Decimal;

use super::{Currency, Money, ParseError};

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

    /// Reads `2026-11`.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let day: Option<Date> = format!("{text}-01").parse().ok();
        day.filter(|_| text.len() == 7)
            .map(Self::containing)
            .ok_or_else(|| ParseError::new("month", "write it as 2026-11"))
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

/// What one message of a country's numbers costs, before carrier fees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagePrice {
    /// One that is received.
    pub inbound: Money,
    /// One that is sent: the highest of what Twilio asks for the country's carriers.
    pub outbound: Money,
}

impl MessagePrice {
    /// What so many messages sent and received cost; `None` where the amount cannot be written down exactly.
    pub fn of(&self, sent: u64, received: u64) -> Option<Decimal> {
        let sent = self.outbound.amount.checked_mul(Decimal::from(sent))?;
        let received = self.inbound.amount.checked_mul(Decimal::from(received))?;
        sent.checked_add(received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_those_of_gmt_and_end_where_the_next_begins() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        // In Québec it is still October.
        assert_eq!(Month::of(at("2026-10-31T20:30:00-04:00")).to_string(), "2026-11");
        for (month, end) in [
            ("2026-11", "2026-12-01T00:00:00Z"),
            ("2026-12", "2027-01-01T00:00:00Z"),
            ("2028-02", "2028-03-01T00:00:00Z"),
        ] {
            assert_eq!(Month::parse(month).unwrap().end(), Some(at(end)), "{month}");
        }
        for bad in ["", "2026", "2026-13", "2026-1", "2026-11-01", "november"] {
            assert!(Month::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_cost_of_messages_is_exact() {
        let usd = |cents: i64| Money { amount: Decimal::new(cents, 4), currency: Currency::parse("USD").unwrap() };
        let price = MessagePrice { inbound: usd(75), outbound: usd(75) };
        assert_eq!(price.of(347, 89), Some(Decimal::new(32700, 4)));
        assert_eq!(price.of(500, 100).map(|cost| cost + Decimal::ONE), Some(Decimal::new(55000, 4)));
        assert!(price.of(u64::MAX, u64::MAX).is_some());
        let dear = MessagePrice { inbound: usd(i64::MAX), outbound: usd(i64::MAX) };
        assert_eq!(dear.of(u64::MAX, 0), None, "what does not fit is not rounded");
    }
}
