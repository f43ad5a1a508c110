//! A number's own messages of one month, counted day by day: Twilio counts by account only.
//!
//! Days that are over for long are counted once. The last ones are counted anew each time: a message is billed, and listed,
//! some time after it was sent.

use std::collections::BTreeMap;

use k8s_openapi::jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use rust_decimal::Decimal;

use crate::domain::{Currency, ListedMessage, MessageUsage, Money, Month};

/// So many days before today are counted anew.
const UNSETTLED: i64 = 2;

/// What was counted of one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    month: Month,
    days: BTreeMap<Date, Day>,
    /// Days before this one were counted to their end; `None`: nothing was counted yet.
    counted_to: Option<Date>,
    as_of: Timestamp,
    currency: Option<Currency>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Day {
    sent: u64,
    received: u64,
    cost: Decimal,
}

/// Why messages do not add up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CountError {
    /// More than one currency.
    #[error("messages of this month are billed in {0} and in {1}, which are not added up")]
    Currencies(Currency, Currency),
    /// The amounts cannot be added up exactly.
    #[error("the prices of this month's messages have no sum")]
    TooMuch,
}

fn day_of(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

impl Count {
    /// Nothing of the month of this time was counted yet.
    pub fn new(now: Timestamp) -> Self {
        Self { month: Month::of(now), days: BTreeMap::new(), counted_to: None, as_of: now, currency: None }
    }

    /// The same count if it is of the month of this time; otherwise a new one.
    #[must_use]
    pub fn of(self, now: Timestamp) -> Self {
        if self.month == Month::of(now) { self } else { Self::new(now) }
    }

    /// The first day whose messages are to be read now.
    pub fn since(&self, now: Timestamp) -> Date {
        let first = day_of(now).first_of_month();
        self.counted_to.map_or(first, |day| day.max(first))
    }

    /// Takes in every message since [`Self::since`] of a reading that began at `now`.
    ///
    /// # Errors
    /// When they do not add up; then the count is as it was.
    pub fn take(
        &mut self,
        now: Timestamp,
        sent: &[ListedMessage],
        received: &[ListedMessage],
    ) -> Result<(), CountError> {
        let since = self.since(now);
        let mut new = Self { as_of: now, ..self.clone() };
        new.days.retain(|day, _| *day < since);
        for (message, outgoing) in sent.iter().map(|m| (m, true)).chain(received.iter().map(|m| (m, false))) {
            let day = day_of(message.at);
            if day < since || Month::containing(day) != new.month {
                continue;
            }
            if let Some(currency) = &message.currency {
                let common = new.currency.get_or_insert_with(|| currency.clone());
                if common != currency {
                    return Err(CountError::Currencies(common.clone(), currency.clone()));
                }
            }
            let day = new.days.entry(day).or_default();
            *(if outgoing { &mut day.sent } else { &mut day.received }) += 1;
            let cost = message.cost.unwrap_or_default();
            day.cost = day.cost.checked_add(cost).ok_or(CountError::TooMuch)?;
        }
        new.counted_to = day_of(now).checked_sub(UNSETTLED.days()).ok();
        *self = new;
        Ok(())
    }

    /// The month's sum; `otherwise`: the currency where no message was billed yet. `None` where none is known, or nothing was
    /// counted yet: that is not the same as no messages.
    pub fn usage(&self, otherwise: Option<&Currency>) -> Option<MessageUsage> {
        self.counted_to?;
        let sum = |part: fn(&Day) -> u64| self.days.values().map(part).sum();
        let amount = self.days.values().try_fold(Decimal::ZERO, |sum, day| sum.checked_add(day.cost))?;
        Some(MessageUsage {
            month: self.month,
            sent: sum(|day| day.sent),
            received: sum(|day| day.received),
            cost: Money { amount, currency: self.currency.as_ref().or(otherwise)?.clone() },
            as_of: self.as_of,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }
    fn usd() -> Currency {
        Currency::parse("USD").unwrap()
    }
    fn message(day: &str, cost: Option<i64>) -> ListedMessage {
        ListedMessage {
            at: at(&format!("{day}T12:00:00Z")),
            cost: cost.map(|cost| Decimal::new(cost, 4)),
            currency: cost.map(|_| usd()),
        }
    }
    fn sums(count: &Count) -> (u64, u64, String) {
        let usage = count.usage(Some(&usd())).unwrap();
        (usage.sent, usage.received, usage.cost.to_string())
    }

    #[test]
    fn a_day_is_counted_once_when_it_is_over_for_long_and_anew_before_that() {
        let noon = |day: &str| at(&format!("{day}T12:00:00Z"));
        let mut count = Count::new(noon("2026-11-20"));
        assert_eq!(count.since(noon("2026-11-20")).to_string(), "2026-11-01", "the whole month at first");
        let sent = [message("2026-11-03", Some(75)), message("2026-11-19", None), message("2026-10-31", Some(75))];
        count.take(noon("2026-11-20"), &sent, &[message("2026-11-20", Some(75))]).unwrap();
        assert_eq!(sums(&count), (2, 1, "0.0150 USD".to_owned()), "not that of October");

        // The next time from the eighteenth on; what was billed since is.
        assert_eq!(count.since(noon("2026-11-20")).to_string(), "2026-11-18");
        let later = [message("2026-11-03", Some(75)), message("2026-11-19", Some(75)), message("2026-11-20", Some(75))];
        count.take(noon("2026-11-20"), &later, &[message("2026-11-20", Some(75))]).unwrap();
        assert_eq!(sums(&count), (3, 1, "0.0300 USD".to_owned()), "that of the third not twice");

        // A day on, and with the month everything begins anew.
        count.take(noon("2026-11-21"), &[message("2026-11-19", Some(75))], &[]).unwrap();
        assert_eq!(sums(&count), (2, 0, "0.0150 USD".to_owned()));
        let count = count.of(noon("2026-12-01"));
        assert_eq!(count.usage(Some(&usd())), None, "nothing of it was counted yet");
        assert_eq!(count.since(noon("2026-12-01")).to_string(), "2026-12-01");
    }

    #[test]
    fn after_a_pause_nothing_is_left_out() {
        let noon = |day: &str| at(&format!("{day}T12:00:00Z"));
        let mut count = Count::new(noon("2026-11-05"));
        count.take(noon("2026-11-05"), &[message("2026-11-04", Some(75))], &[]).unwrap();
        // Nothing was read for two weeks.
        assert_eq!(count.since(noon("2026-11-20")).to_string(), "2026-11-03");
        let all = [message("2026-11-04", Some(75)), message("2026-11-11", Some(75))];
        count.take(noon("2026-11-20"), &all, &[]).unwrap();
        assert_eq!(sums(&count).0, 2);
    }

    #[test]
    fn two_currencies_are_not_added_up_and_nothing_of_it_is_kept() {
        let now = at("2026-11-20T12:00:00Z");
        let mut count = Count::new(now);
        count.take(now, &[message("2026-11-20", Some(75))], &[]).unwrap();
        let before = count.clone();
        let euro = ListedMessage { currency: Some(Currency::parse("EUR").unwrap()), ..message("2026-11-20", Some(75)) };
        assert!(count.take(now, &[euro], &[]).is_err());
        assert_eq!(count, before);
    }

    #[test]
    fn without_a_bill_the_currency_is_that_of_the_price_list_or_not_known() {
        let now = at("2026-11-20T12:00:00Z");
        let mut count = Count::new(now);
        count.take(now, &[], &[]).unwrap();
        assert_eq!(count.usage(Some(&usd())).unwrap().cost.to_string(), "0 USD");
        assert_eq!(count.usage(None), None);
    }
}
