//! Amounts of money: decimals with a currency, never floats.

use rust_decimal::Decimal;

use super::{NumberType, ParseError, string_newtype};

/// An ISO 4217 currency code in capitals, such as `USD`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency(String);
string_newtype!(Currency);

impl Currency {
    /// Reads a code; lower case is taken too, since Twilio's usage records spell `usd`.
    ///
    /// # Errors
    /// When the text is not three letters.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.len() == 3 && text.bytes().all(|b| b.is_ascii_alphabetic()) {
            Ok(Self(text.to_ascii_uppercase()))
        } else {
            Err(ParseError::new("currency", "it is not an ISO 4217 code such as USD"))
        }
    }
}

/// An amount in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Money {
    /// The amount, in units of the currency (not cents).
    pub amount: Decimal,
    /// The currency.
    pub currency: Currency,
}

impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

/// What a number of one country costs a month, before carrier and registration fees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberPrices {
    currency: Currency,
    monthly: Vec<(NumberType, Decimal)>,
}

impl NumberPrices {
    /// Prices from their parts.
    pub fn new(currency: Currency, monthly: Vec<(NumberType, Decimal)>) -> Self {
        Self { currency, monthly }
    }

    /// The monthly price of one kind of number; `None`: Twilio does not tell, which is not the same as free.
    ///
    /// Should a kind be listed more than once, the dearest counts; an amount below zero is no price.
    pub fn monthly(&self, number_type: NumberType) -> Option<Money> {
        Some(Money { amount: dearest(&self.monthly, number_type)?, currency: self.currency.clone() })
    }
}

/// What one message of a country's numbers costs, before carrier fees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagePrice {
    /// One that is received.
    pub inbound: Money,
    /// One that is sent: the highest of what Twilio asks for the country's carriers.
    pub outbound: Money,
}

/// What messages of one country's numbers cost, before carrier fees. There is no price of MMS in Twilio's price lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagePrices {
    currency: Currency,
    inbound: Vec<(NumberType, Decimal)>,
    outbound: Vec<(NumberType, Decimal)>,
}

impl MessagePrices {
    /// Prices from their parts; those of all carriers in one list.
    pub fn new(currency: Currency, inbound: Vec<(NumberType, Decimal)>, outbound: Vec<(NumberType, Decimal)>) -> Self {
        Self { currency, inbound, outbound }
    }

    /// The price of one message of one kind of number; `None`: Twilio does not tell, which is not the same as free.
    pub fn of(&self, number_type: NumberType) -> Option<MessagePrice> {
        let money = |list| Some(Money { amount: dearest(list, number_type)?, currency: self.currency.clone() });
        Some(MessagePrice { inbound: money(&self.inbound)?, outbound: money(&self.outbound)? })
    }
}

fn dearest(list: &[(NumberType, Decimal)], number_type: NumberType) -> Option<Decimal> {
    let amounts = list.iter().filter(|(kind, _)| *kind == number_type).map(|(_, amount)| *amount);
    amounts.max().filter(|amount| !amount.is_sign_negative())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_are_read_in_either_case() {
        assert_eq!(Currency::parse("usd").unwrap().as_ref(), "USD");
        assert!(Currency::parse("dollar").is_err());
    }

    #[test]
    fn the_dearest_of_several_prices_counts_and_what_is_not_listed_is_unknown() {
        let usd = Currency::parse("USD").unwrap();
        let of = |list: &[(NumberType, i64)]| {
            let monthly = list.iter().map(|(kind, cents)| (*kind, Decimal::new(*cents, 2))).collect();
            NumberPrices::new(usd.clone(), monthly).monthly(NumberType::Local).map(|money| money.to_string())
        };
        let (local, free) = (NumberType::Local, NumberType::TollFree);
        assert_eq!(of(&[(local, 115), (free, 215), (local, 130)]).as_deref(), Some("1.30 USD"));
        assert_eq!(of(&[(local, 0)]).as_deref(), Some("0.00 USD"), "free is a price");
        assert_eq!(of(&[(free, 215)]), None);
        assert_eq!(of(&[(local, -115)]), None);
    }
}
