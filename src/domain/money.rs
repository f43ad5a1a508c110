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

impl Money {
    /// The sum; `None`: there is none of two currencies, or it is beyond what a decimal holds.
    pub fn plus(&self, other: &Self) -> Option<Self> {
        let amount = self.amount.checked_add(other.amount).filter(|_| self.currency == other.currency)?;
        Some(Self { amount, currency: self.currency.clone() })
    }

    /// So many times the amount; `None`: it is beyond what a decimal holds.
    pub fn times(&self, count: u32) -> Option<Self> {
        Some(Self { amount: self.amount.checked_mul(count.into())?, currency: self.currency.clone() })
    }

    /// The amount with two decimals at least, as people write money, and none of it rounded away.
    pub fn cents(&self) -> String {
        let mut amount = self.amount.normalize();
        if amount.scale() < 2 {
            amount.rescale(2);
        }
        amount.to_string()
    }
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
    fn amounts_have_two_decimals_at_least_and_lose_none() {
        for (amount, text) in
            [("0", "0.00"), ("3.27", "3.27"), ("3.2700", "3.27"), ("0.0075", "0.0075"), ("1e3", "1000.00")]
        {
            let amount = Decimal::from_str_exact(amount).or_else(|_| Decimal::from_scientific(amount)).unwrap();
            assert_eq!(Money { amount, currency: Currency::parse("USD").unwrap() }.cents(), text);
        }
    }

    #[test]
    fn sums_keep_every_digit_and_currencies_apart() {
        let money = |amount: &str, currency: &str| Money {
            amount: amount.parse().unwrap(),
            currency: Currency::parse(currency).unwrap(),
        };
        let sms = money("0.0075", "USD");
        assert_eq!(sms.times(600).unwrap().cents(), "4.50");
        assert_eq!(sms.times(3).unwrap().cents(), "0.0225");
        assert_eq!(money("1", "USD").plus(&sms.times(600).unwrap()).unwrap().cents(), "5.50");
        assert_eq!(money("1", "CAD").plus(&sms), None);
        let most = Money { amount: Decimal::MAX, currency: sms.currency.clone() };
        assert_eq!((most.times(2), most.plus(&most)), (None, None));
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
