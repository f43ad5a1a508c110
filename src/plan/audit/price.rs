//! What an idle number costs a month, as far as Twilio's price list and the number's digits tell.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::price_list::PriceList;
use crate::domain::{Currency, Money};

/// One account's monthly prices, by country and kind.
pub type Prices = PriceList<Money>;

/// An amount of money, as text: exact in any reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// A decimal, in units of the currency.
    pub amount: String,
    /// ISO 4217 code.
    pub currency: Currency,
}

impl From<&Money> for Cost {
    fn from(money: &Money) -> Self {
        Self { amount: money.amount.to_string(), currency: money.currency.clone() }
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

/// Sums by currency.
pub(super) fn sums<'a>(amounts: impl IntoIterator<Item = &'a Money>) -> Vec<Money> {
    let amounts: Vec<_> = amounts.into_iter().collect();
    let currencies: BTreeSet<_> = amounts.iter().map(|money| &money.currency).collect();
    let mut sums: BTreeMap<_, _> = currencies.into_iter().map(|c| (c, rust_decimal::Decimal::ZERO)).collect();
    for money in amounts {
        if let Some(sum) = sums.get_mut(&money.currency) {
            *sum += money.amount;
        }
    }
    sums.into_iter().map(|(currency, amount)| Money { amount, currency: currency.clone() }).collect()
}
