//! Prices that Twilio told an account, and which of them is a number's.

use std::collections::HashMap;

use crate::domain::{CountryCode, IncomingNumber, NumberType};

/// Prices of one account by country and kind of number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceList<T>(HashMap<CountryCode, Vec<(NumberType, T)>>);

impl<T> Default for PriceList<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Clone + PartialEq> PriceList<T> {
    /// Adds what Twilio says of one country.
    pub fn learn(&mut self, country: CountryCode, prices: Vec<(NumberType, T)>) {
        self.0.insert(country, prices);
    }

    /// Adds what Twilio says of one country, asked kind by kind.
    pub fn learn_each(&mut self, country: CountryCode, of: impl Fn(NumberType) -> Option<T>) {
        self.learn(country, NumberType::ALL.into_iter().filter_map(|kind| Some((kind, of(kind)?))).collect());
    }

    /// The price of a number; `None`: it is not known, which is not the same as free.
    ///
    /// Where the country or the kind is open, there is a price only if everything that is possible costs the same.
    pub fn of(&self, number: &IncomingNumber) -> Option<T> {
        let kind = number.number_type.or_else(|| number.phone_number.kind());
        let mut price: Option<T> = None;
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
