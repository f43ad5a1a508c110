//! Amounts of money: decimals with a currency, never floats.

use rust_decimal::Decimal;

use super::{ParseError, string_newtype};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_are_read_in_either_case() {
        assert_eq!(Currency::parse("usd").unwrap().as_ref(), "USD");
        assert!(Currency::parse("dollar").is_err());
    }
}
