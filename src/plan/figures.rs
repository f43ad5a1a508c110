//! Figures beside the number: what it costs a month, what a message costs, what was used this month.
//!
//! Nothing is decided with them, and no pass waits for them: they are read beside the passes (`controller::figures`) and
//! written with whatever a pass writes. What could not be read stays as it was, with its age beside it, and is told by a
//! condition of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::count::Count;
use super::price_list::PriceList;
use super::turn::{self, RETRY};
use super::{AccountList, Observed};
use crate::api::conditions::{ConditionType, Reason, Truth, Wanted};
use crate::api::v1alpha1::{ClinicPhoneNumberStatus, Usage, UsageScope};
use crate::domain::time::whole_seconds;
use crate::domain::{MessagePrice, MessageUsage, Moment, Money, Month, Now, PhoneNumberSid};

/// Where Twilio shows what an account used and what it costs
/// (<https://support.twilio.com/hc/en-us/articles/360039439773-Getting-started-with-the-Twilio-Console-Usage-page>). The
/// account is the one that is chosen in the Console.
pub const BILLING_URL: &str = "https://www.twilio.com/console/usage";
/// Readings of a new month come within this time of its beginning, each account at its own: it begins for all at once.
const NEW_MONTH: Duration = Duration::from_secs(20 * 60);

/// What is known of one account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// This month's messages of all its numbers.
    pub usage: Option<MessageUsage>,
    /// Why they could not be read last time.
    pub usage_setback: Option<String>,
    /// This month's messages of single numbers, where a resource asks for them, and why they could not be counted last time.
    pub counts: HashMap<PhoneNumberSid, (Count, Option<String>)>,
    /// The numbers that it holds.
    pub numbers: Option<Arc<AccountList>>,
    /// What all of them cost a month, by [`rent`]: added up once, and not for each resource.
    pub rent: Option<Money>,
    /// What a number costs a month.
    pub monthly: PriceList<Money>,
    /// What a message costs.
    pub messages: PriceList<MessagePrice>,
    /// What else could not be read last time, and why.
    pub setbacks: Vec<String>,
}

/// Figures of one number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    /// Whether `usage` is of the account or of the number.
    pub scope: UsageScope,
    /// Messages of this month.
    pub usage: Option<MessageUsage>,
    /// How many numbers they are of, this one included.
    pub numbers: usize,
    /// What those cost a month together; `None`: the price of one of them is not known.
    pub rent: Option<Money>,
    /// What this one costs a month.
    pub monthly: Option<Money>,
    /// What a message costs.
    pub message: Option<MessagePrice>,
    /// What could not be read last time, and why.
    pub setbacks: Vec<String>,
}

/// Figures, as far as this process knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum View {
    /// Nobody reads them: there are to be none.
    Off,
    /// Not read yet: what status says stays.
    #[default]
    Unread,
    /// Read, or tried.
    Read(Box<Figures>),
}

impl Account {
    /// The figures of one of the account's numbers, as its resource asks for them.
    pub fn of(&self, sid: &PhoneNumberSid, scope: UsageScope) -> Figures {
        let own = self.numbers.as_ref().and_then(|list| list.sid(sid));
        let monthly = own.and_then(|number| self.monthly.of(number));
        let message = own.and_then(|number| self.messages.of(number));
        let (usage, setback, numbers, rent) = match scope {
            UsageScope::Account => (
                self.usage.clone(),
                self.usage_setback.clone(),
                self.numbers.as_ref().map_or(0, |list| list.all().len()),
                self.rent.clone(),
            ),
            UsageScope::Number => {
                // Messages are billed in the currency that the account's prices are in.
                let currency = monthly.as_ref().or(message.as_ref().map(|price| &price.outbound)).map(|p| &p.currency);
                let counted = self.counts.get(sid);
                let usage = counted.and_then(|(count, _)| count.usage(currency));
                (usage, counted.and_then(|(_, setback)| setback.clone()), 1, monthly.clone())
            }
        };
        let mut setbacks: Vec<_> = setback.into_iter().chain(self.setbacks.iter().cloned()).collect();
        // One reason for several of them is told once.
        setbacks.dedup();
        Figures { scope, usage, numbers, rent, monthly, message, setbacks }
    }

    /// Everything that could not be read last time, and why.
    pub fn all_setbacks(&self) -> Vec<&str> {
        let counts = self.counts.values().filter_map(|(_, setback)| setback.as_deref());
        let rest = self.setbacks.iter().map(String::as_str);
        let mut all: Vec<_> = self.usage_setback.as_deref().into_iter().chain(counts).chain(rest).collect();
        all.dedup();
        all
    }
}

/// What all numbers of a list cost a month; `None`: the price of one of them is not known, or there is no sum. Twilio
/// charges a whole month at the purchase and at each renewal, so that each number costs this once in a month.
pub fn rent(list: &AccountList, prices: &PriceList<Money>) -> Option<Money> {
    let mut all = list.all().iter().map(|number| prices.of(number));
    let first = all.next()??;
    all.try_fold(first, |sum, price| sum.plus(&price?))
}

/// When an account is read again. `spread`, from 0 to 1, is the account's own.
///
/// A month that has begun is read soon; what could not be read, `failures` times in a row, is tried earlier than an interval.
pub fn next(now: Now, interval: Duration, spread: f64, month: Month, failures: u32) -> Moment {
    let usual = turn::next(now.boot, interval, spread, failures);
    let Some(end) = month.end().filter(|_| failures == 0) else { return usual };
    let left = u64::try_from(end.as_second() - now.wall.as_second()).unwrap_or_default();
    let turn = if left == 0 {
        // Twilio still told of the month before.
        now.boot.after(RETRY)
    } else {
        now.boot.after(Duration::from_secs(left) + NEW_MONTH.mul_f64(spread))
    };
    usual.min(turn)
}

/// When an account is read that this process has not read yet: an interval after what its resources' status says, at once
/// where that says nothing, or is of an earlier month.
pub fn first(now: Now, interval: Duration, told: Option<&Usage>) -> Moment {
    let Some(told) = told.filter(|told| told.month == Month::of(now.wall).to_string()) else { return now.boot };
    let age =
        u64::try_from(now.wall.as_second() - told.as_of.0.as_second()).map_or(Duration::ZERO, Duration::from_secs);
    now.boot.after(interval.saturating_sub(age))
}

/// Writes the figures into status.
pub(super) fn show(new: &mut ClinicPhoneNumberStatus, observed: &Observed) {
    if observed.held.is_none() || observed.figures == View::Off {
        new.usage = None;
    }
    // Before a number is held they are those of the candidates.
    if observed.held.is_some() && observed.figures == View::Off {
        new.sms_prices = None;
    }
    new.billing_url = observed.held.as_ref().map(|_| BILLING_URL.to_owned());
    let (Some(_), View::Read(figures)) = (&observed.held, &observed.figures) else { return };
    if let Some(price) = &figures.monthly {
        new.monthly_price = Some(price.into());
    }
    if let Some(price) = &figures.message {
        new.sms_prices = Some(price.into());
    }
    if let Some(usage) = &figures.usage {
        // Two operators side by side read at their own times: the newer reading stays.
        let newer = |told: &Usage| told.scope == figures.scope && told.as_of.0 > whole_seconds(usage.as_of);
        let newer = new.usage.as_ref().is_some_and(newer);
        if !newer {
            new.usage = Some(told(usage, figures));
        }
    }
}

fn told(usage: &MessageUsage, figures: &Figures) -> Usage {
    let count = |of: u64| i64::try_from(of).unwrap_or(i64::MAX);
    let estimated = figures.rent.as_ref().and_then(|rent| usage.cost.plus(rent));
    Usage {
        month: usage.month.to_string(),
        sms_sent: count(usage.sent),
        sms_received: count(usage.received),
        sms_cost: usage.cost.cents(),
        estimated_cost: estimated.as_ref().map(Money::cents),
        currency: usage.cost.currency.to_string(),
        scope: figures.scope,
        numbers: i32::try_from(figures.numbers).ok().filter(|numbers| *numbers > 0),
        as_of: Time(whole_seconds(usage.as_of)),
    }
}

/// The condition that tells whether the figures could be read; and whether the one that stands there stays.
pub(super) fn condition(observed: &Observed) -> (Option<Wanted>, bool) {
    let (Some(_), View::Read(figures)) = (&observed.held, &observed.figures) else {
        return (None, observed.held.is_some() && observed.figures == View::Unread);
    };
    let (status, reason, message) = if figures.setbacks.is_empty() {
        let of = match (figures.scope, figures.numbers) {
            (UsageScope::Number, _) => "of this number alone, counted one by one".to_owned(),
            (UsageScope::Account, 0 | 1) => "of the account, which holds this number alone".to_owned(),
            (UsageScope::Account, many) => format!(
                "of the whole account, which holds {many} numbers: Twilio does not count by number, and with \
                 spec.usage.scope: Number the operator does"
            ),
        };
        (Truth::True, Reason::Reported, format!("status.usage has the messages and their cost {of}"))
    } else {
        let message = format!(
            "figures stay as they were, status.usage as of its asOf, and are read again: {}. The number is not touched by this",
            figures.setbacks.join("; ")
        );
        (Truth::False, Reason::NotReported, message)
    };
    (Some(Wanted { kind: ConditionType::UsageReported, status, reason, message }), false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::Origin;
    use crate::domain::{AccountSid, CountryCode, Currency, E164, IncomingNumber, NumberType};
    use crate::plan::Held;
    use crate::plan::audit::tests::at_twilio;
    use k8s_openapi::jiff::Timestamp;
    use rust_decimal::Decimal;

    fn at(wall: &str) -> Now {
        Now { wall: wall.parse::<Timestamp>().unwrap(), boot: Moment::since_boot(Duration::from_secs(1000)) }
    }
    fn hours(n: u64) -> Duration {
        Duration::from_secs(n * 3600)
    }
    fn november() -> Month {
        Month::of(at("2026-11-15T12:00:00Z").wall)
    }

    #[test]
    fn an_account_is_read_once_an_interval_and_soon_after_a_month_began() {
        let now = at("2026-11-15T12:00:00Z");
        assert_eq!(next(now, hours(6), 0.0, november(), 0), now.boot.after(hours(6)));
        assert_eq!(next(now, hours(6), 1.0, november(), 0), now.boot.after(hours(6).mul_f64(1.1)));
        let late = at("2026-11-30T23:00:00Z");
        assert_eq!(next(late, hours(6), 0.0, november(), 0), late.boot.after(hours(1)));
        assert_eq!(next(late, hours(6), 0.5, november(), 0), late.boot.after(hours(1) + NEW_MONTH / 2));
        // The month has begun, and Twilio still tells of the one before.
        let over = at("2026-12-01T00:05:00Z");
        assert_eq!(next(over, hours(6), 0.5, november(), 0), over.boot.after(RETRY));
    }

    #[test]
    fn four_readings_a_day_and_one_more_when_a_month_begins() {
        for spread in [0.0, 0.3, 0.999, 1.0] {
            let mut now = at("2026-10-20T07:00:00Z");
            let mut days = std::collections::BTreeMap::<_, u32>::new();
            while now.wall < at("2026-12-20T00:00:00Z").wall {
                *days.entry(now.wall.strftime("%Y-%m-%d").to_string()).or_default() += 1;
                let wait = next(now, hours(6), spread, Month::of(now.wall), 0).since(now.boot);
                now = Now { wall: now.wall.saturating_add(wait).unwrap(), boot: now.boot.after(wait) };
            }
            for (day, readings) in &days {
                let most = if day.ends_with("-01") { 5 } else { 4 };
                assert!(*readings <= most, "{readings} on {day}, {spread}");
            }
            assert!(days.len() > 55, "{spread}");
        }
    }

    #[test]
    fn after_a_start_what_status_tells_is_as_good_as_read() {
        let now = at("2026-11-15T12:00:00Z");
        let told = |month: &str, as_of: &str| Usage {
            month: month.to_owned(),
            sms_sent: 0,
            sms_received: 0,
            sms_cost: "0.00".to_owned(),
            estimated_cost: None,
            currency: "USD".to_owned(),
            scope: UsageScope::Account,
            numbers: None,
            as_of: Time(as_of.parse().unwrap()),
        };
        let wait = |told: &Usage| first(now, hours(6), Some(told)).since(now.boot);
        assert_eq!(wait(&told("2026-11", "2026-11-15T10:00:00Z")), hours(4));
        assert_eq!(wait(&told("2026-11", "2026-11-14T10:00:00Z")), Duration::ZERO, "old");
        assert_eq!(wait(&told("2026-10", "2026-11-15T11:59:00Z")), Duration::ZERO, "of another month");
        assert_eq!(wait(&told("2026-11", "2026-11-15T13:00:00Z")), hours(6), "Twilio's clock is ahead");
        assert_eq!(first(now, hours(6), None), now.boot);
    }

    const CA: &str = "+14185550123";
    const GB: &str = "+442071234567";

    fn money(amount: &str, currency: &str) -> Money {
        Money { amount: Decimal::from_str_exact(amount).unwrap(), currency: Currency::parse(currency).unwrap() }
    }
    fn account_sid() -> AccountSid {
        AccountSid::parse(&format!("AC{}", "0".repeat(32))).unwrap()
    }
    fn sid(digits: &str) -> PhoneNumberSid {
        PhoneNumberSid::parse(&format!("PN{:0>32}", digits.trim_start_matches('+'))).unwrap()
    }
    fn incoming(digits: &str) -> IncomingNumber {
        IncomingNumber {
            sid: sid(digits),
            account: account_sid(),
            phone_number: E164::parse(digits).unwrap(),
            ..at_twilio(1, 1, "")
        }
    }
    /// An account that sent 347 messages and received 89, holds these numbers and knows these monthly prices.
    fn account(numbers: &[&str], prices: &[(&str, Money)]) -> Account {
        let list = numbers.iter().map(|digits| incoming(digits)).collect();
        let mut account = Account {
            usage: Some(MessageUsage {
                month: november(),
                sent: 347,
                received: 89,
                cost: money("3.27", "USD"),
                as_of: at("2026-11-15T12:00:00Z").wall,
            }),
            numbers: Some(Arc::new(AccountList::new(account_sid(), Moment::default(), list))),
            ..Account::default()
        };
        for (country, price) in prices {
            account.monthly.learn(CountryCode::parse(country).unwrap(), vec![(NumberType::Local, price.clone())]);
        }
        account.rent = rent(account.numbers.as_deref().unwrap(), &account.monthly);
        account
    }
    /// What a resource that holds this number is shown, when this stood in its status.
    fn shown(before: &ClinicPhoneNumberStatus, digits: &str, figures: View) -> ClinicPhoneNumberStatus {
        let held = Held {
            number: E164::parse(digits).unwrap(),
            sid: sid(digits),
            account: account_sid(),
            origin: Origin::Purchased,
            acquired_at: None,
        };
        let mut new = before.clone();
        show(&mut new, &Observed { held: Some(held), figures, ..Observed::default() });
        new
    }
    fn read(account: &Account, digits: &str) -> View {
        View::Read(Box::new(account.of(&sid(digits), UsageScope::Account)))
    }

    #[test]
    fn the_estimate_is_messages_and_the_rent_of_every_number_that_the_figures_cover() {
        let (usd, pounds) = (money("1.15", "USD"), money("1.00", "GBP"));
        for (numbers, prices, estimated, monthly) in [
            (&[CA][..], &[("CA", usd.clone())][..], Some("4.42"), Some("1.15")),
            (&[CA, GB], &[("CA", usd.clone()), ("GB", money("2.00", "USD"))], Some("6.42"), Some("1.15")),
            // Of one of them it is not known, or not in one currency: then there is no sum.
            (&[CA, GB], &[("CA", usd.clone())], None, Some("1.15")),
            (&[CA, GB], &[("CA", usd), ("GB", pounds.clone())], None, Some("1.15")),
            (&[CA], &[("CA", pounds)], None, Some("1.00")),
            (&[CA], &[], None, None),
        ] {
            let told = shown(&ClinicPhoneNumberStatus::default(), CA, read(&account(numbers, prices), CA));
            let usage = told.usage.unwrap();
            let case = format!("{numbers:?} {prices:?}");
            assert_eq!((usage.sms_sent, usage.sms_received, usage.sms_cost.as_str()), (347, 89, "3.27"), "{case}");
            assert_eq!(usage.estimated_cost.as_deref(), estimated, "{case}");
            assert_eq!(usage.numbers, i32::try_from(numbers.len()).ok(), "{case}");
            assert_eq!(told.monthly_price.map(|price| price.amount).as_deref(), monthly, "{case}");
        }
    }

    #[test]
    fn what_was_not_read_stays_and_what_is_older_does_not_replace_what_is_newer() {
        let known = account(&[CA], &[("CA", money("1.15", "USD"))]);
        let before = shown(&ClinicPhoneNumberStatus::default(), CA, read(&known, CA));
        assert_eq!(shown(&before, CA, View::Unread), before);
        assert_eq!(shown(&before, CA, read(&Account::default(), CA)), before);
        let mut stale = known.clone();
        stale.usage.as_mut().unwrap().sent = 1;
        stale.usage.as_mut().unwrap().as_of = at("2026-11-15T11:59:59Z").wall;
        assert_eq!(shown(&before, CA, read(&stale, CA)), before);

        // Finer than status can hold: it would be written again by every pass.
        let mut fine = known;
        fine.usage.as_mut().unwrap().as_of = "2026-11-15T12:00:00.25Z".parse().unwrap();
        assert_eq!(shown(&before, CA, read(&fine, CA)), before);

        let off = shown(&before, CA, View::Off);
        assert_eq!((off.usage, off.sms_prices), (None, None));
        let mut gone = before;
        show(&mut gone, &Observed::default());
        assert_eq!((gone.usage, gone.sms_prices, gone.billing_url), (None, None, None));
    }

    #[test]
    fn a_condition_tells_whether_the_figures_could_be_read() {
        let told = |figures: View, held: bool| {
            let mut observed = Observed { figures, ..Observed::default() };
            observed.held = held.then(|| Held {
                number: E164::parse(CA).unwrap(),
                sid: sid(CA),
                account: account_sid(),
                origin: Origin::Purchased,
                acquired_at: None,
            });
            condition(&observed)
        };
        let known = account(&[CA, GB], &[]);
        let (wanted, stays) = told(read(&known, CA), true);
        let wanted = wanted.unwrap();
        assert_eq!((wanted.status, wanted.reason, stays), (Truth::True, Reason::Reported, false));
        assert!(wanted.message.contains("2 numbers"), "{}", wanted.message);
        let broken = Account { setbacks: vec!["one thing".to_owned(), "another".to_owned()], ..known };
        let wanted = told(read(&broken, CA), true).0.unwrap();
        assert_eq!((wanted.status, wanted.reason), (Truth::False, Reason::NotReported));
        assert!(wanted.message.contains("one thing; another"), "{}", wanted.message);
        assert_eq!(told(View::Unread, true), (None, true));
        for (figures, held) in [(View::Off, true), (View::Unread, false), (read(&broken, CA), false)] {
            assert_eq!(told(figures, held), (None, false));
        }
    }
}
