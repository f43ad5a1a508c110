//! What an idle number costs a month, as far as Twilio's price list and the number's digits tell.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use crate::domain::{CountryCode, Currency, IncomingNumber, Money, NumberType};

/// One account's monthly prices, by country and kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prices(HashMap<CountryCode, Vec<(NumberType, Money)>>);

impl Prices {
    /// Adds what Twilio says of one country.
    pub fn learn(&mut self, country: CountryCode, prices: Vec<(NumberType, Money)>) {
        self.0.insert(country, prices);
    }

    /// The monthly price of a number; `None`: it is not known, which is not the same as free.
    ///
    /// Where the country or the kind is open, there is a price only if everything that is possible costs the same.
    pub fn of(&self, number: &IncomingNumber) -> Option<Money> {
        let kind = number.number_type.or_else(|| number.phone_number.kind());
        let mut price: Option<Money> = None;
        for country in number.phone_number.countries() {
            let all = self.0.get(&country)?;
            let mut fitting = all.iter().filter(|(of, _)| kind.is_none_or(|kind| kind == *of)).map(|(_, price)| price);
            let first = fitting.next()?;
            if fitting.any(|other| other != first) || price.as_ref().is_some_and(|price| price != first) {
                return None;
            }
            price = Some(first.clone());
        }
        price
    }
}

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
