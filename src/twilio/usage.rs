//! What an account used this month (<https://www.twilio.com/docs/usage/api/usage-record>).

use std::collections::HashMap;

use http::Method;
use k8s_openapi::jiff::Timestamp;
use rust_decimal::Decimal;

use super::page::{PAGE_SIZE, Page};
use super::wire::{self, Text, UsagePage, WireUsage};
use super::{Call, Client, Credentials};
use crate::domain::{AccountSid, Currency, MessageUsage, Money, Month, Trouble};

/// Categories that count messages sent. Each stands beside the others, none contains another: `sms` contains the SMS ones,
/// and `sms-outbound` contains those of each kind of number.
const SENT: [&str; 2] = ["sms-outbound", "mms-outbound"];
/// Categories that count messages received.
const RECEIVED: [&str; 2] = ["sms-inbound", "mms-inbound"];
/// What carriers ask for messages, which Twilio bills beside its own price.
const FEES: [&str; 2] = ["sms-messages-carrierfees", "mms-messages-carrierfees"];

impl Client {
    /// Messages of this month and their cost, of this account alone: without its subaccounts, which Twilio would add.
    ///
    /// One call, without a category: Twilio then tells all of them, and those that are left out were not used. An answer
    /// without any record says nothing, and is told as unreadable.
    ///
    /// # Errors
    /// When a page failed or cannot be used.
    pub async fn usage_this_month(&self, credentials: &Credentials) -> Result<MessageUsage, Trouble> {
        let account = credentials.account();
        let mut url = self.endpoints().account_url(account, "Usage/Records/ThisMonth.json");
        url.query_pairs_mut()
            .append_pair("IncludeSubaccounts", "false")
            .append_pair("PageSize", &PAGE_SIZE.to_string());
        let mut records = Records::default();
        let call = Call::new("ListUsageRecordThisMonth", Method::GET, url, credentials).beside_the_point();
        self.pages(call, |answer| {
            let page: UsagePage = wire::decode(&answer.body)?;
            let items = page.usage_records.len();
            page.usage_records.into_iter().try_for_each(|record| records.take(record, account))?;
            Ok(Page { value: records.sum()?, items, next: page.next_page_uri })
        })
        .await
    }
}

/// Records by category, and what all of them have in common.
#[derive(Default)]
struct Records {
    used: HashMap<String, (Decimal, Decimal)>,
    common: Option<(Month, Currency)>,
    as_of: Option<Timestamp>,
}

impl Records {
    fn take(&mut self, record: WireUsage, account: &AccountSid) -> Result<(), String> {
        if record.account_sid != *account {
            return Err("a record is of another account".to_owned());
        }
        let category = record.category.0;
        let counted = [&SENT, &RECEIVED, &FEES].into_iter().flatten().any(|of| *of == category);
        let belongs = self.belongs(&category, &record.start_date, &record.price_unit, &record.as_of);
        if !counted {
            // How it is does not matter then.
            return Ok(());
        }
        belongs?;
        let amount = |amount: wire::Amount, what: &str| match amount.0 {
            // Also where it is written -0.
            Some(amount) if amount.is_zero() => Ok(Decimal::ZERO),
            Some(amount) if !amount.is_sign_negative() => Ok(amount),
            Some(_) => Err(format!("the {what} of {category} is below zero")),
            None => Err(format!("{category} has no {what}")),
        };
        let (count, price) = (amount(record.count, "count")?, amount(record.price, "price")?);
        if self.used.insert(category.clone(), (count, price)).is_some() {
            return Err(format!("{category} is there twice"));
        }
        Ok(())
    }

    /// All records are of one month and in one currency.
    fn belongs(&mut self, category: &str, start: &Text, unit: &Text, as_of: &Text) -> Result<(), String> {
        let start = start.0.parse().map_err(|_| format!("the start_date of {category} is no date"))?;
        let currency = Currency::parse(&unit.0).map_err(|error| format!("{category}: {error}"))?;
        let as_of = wire::date(&as_of.0).ok_or_else(|| format!("the as_of of {category} is no time"))?;
        let common = (Month::containing(start), currency);
        if self.common.get_or_insert_with(|| common.clone()) != &common {
            return Err(format!("{category} is of another month or in another currency than the records before it"));
        }
        self.as_of = Some(self.as_of.map_or(as_of, |before| before.min(as_of)));
        Ok(())
    }

    fn sum(&self) -> Result<MessageUsage, String> {
        let (Some((month, currency)), Some(as_of)) = (&self.common, self.as_of) else {
            return Err("there is no record in it".to_owned());
        };
        let count = |of: [&str; 2]| {
            let counts = of.iter().filter_map(|category| self.used.get(*category)).map(|(count, _)| *count);
            let sum = counts.into_iter().try_fold(Decimal::ZERO, Decimal::checked_add).unwrap_or(Decimal::MAX);
            u64::try_from(sum.trunc()).map_err(|_| "a count is no number of messages".to_owned())
        };
        let prices = self.used.values().map(|(_, price)| *price);
        let cost = prices.into_iter().try_fold(Decimal::ZERO, Decimal::checked_add).ok_or("the prices have no sum")?;
        Ok(MessageUsage {
            month: *month,
            sent: count(SENT)?,
            received: count(RECEIVED)?,
            cost: Money { amount: cost.normalize(), currency: currency.clone() },
            as_of,
        })
    }
}
