//! Phone numbers in E.164 form and the countries that give them out.

use super::{ParseError, string_newtype};

/// A phone number in E.164 form: `+`, a country code that does not start with 0, at most 15 digits in all.
///
/// Twilio returns every number in this form (<https://www.twilio.com/docs/glossary/what-e164>), so equality of the text
/// is equality of the number.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct E164(String);
string_newtype!(E164);

impl E164 {
    /// Reads a number; spaces, dashes and parentheses are refused rather than guessed away.
    ///
    /// # Errors
    /// When the text is not `+` followed by 7 to 15 digits of which the first is not 0.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let fail = |problem: &str| {
            ParseError::new("phone number", format!("{problem}; write it as E.164, such as +14185551234"))
        };
        let digits = text.strip_prefix('+').ok_or_else(|| fail("it does not start with +"))?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(fail("it has a character that is no digit"));
        }
        if digits.starts_with('0') {
            return Err(fail("a country code does not start with 0"));
        }
        if !(7..=15).contains(&digits.len()) {
            return Err(fail(&format!("it has {} digits, 7 to 15 are possible", digits.len())));
        }
        Ok(Self(text.to_owned()))
    }

    /// The number as text, with its `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form people of its country write: `(418) 555-1234` in the North American plan (as Twilio's own default
    /// `FriendlyName` does), elsewhere the E.164 text.
    pub fn national(&self) -> String {
        let nanp = self.0.strip_prefix("+1").filter(|rest| rest.len() == 10);
        match nanp.map(|rest| (rest.get(..3), rest.get(3..6), rest.get(6..))) {
            Some((Some(area), Some(exchange), Some(line))) => format!("({area}) {exchange}-{line}"),
            _ => self.0.clone(),
        }
    }
}

/// An ISO 3166-1 alpha-2 country code in capitals, such as `CA`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CountryCode(String);
string_newtype!(CountryCode);

impl CountryCode {
    /// Reads a code of two capital letters. Whether such a country exists is for Twilio to say.
    ///
    /// # Errors
    /// When the text is not two letters `A` to `Z`.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseError::new("country", "it is not an ISO 3166-1 alpha-2 code in capitals, such as CA"))
        }
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether Twilio honours area code, region, postal code and distance in a search: in the United States and Canada
    /// only. Elsewhere it ignores them silently and would offer any number.
    pub fn searches_by_area(&self) -> bool {
        matches!(self.0.as_str(), "US" | "CA")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_e164_only() {
        for good in ["+14185551234", "+442071234567", "+33123456789", "+1234567"] {
            assert_eq!(E164::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "+",
            "14185551234",
            "+04185551234",
            "+1 418 555 1234",
            "+1418555123456789",
            "+123456",
            "+1418555123x",
            "+１４１８５５５１２３４",
        ] {
            assert!(E164::parse(bad).is_err(), "{bad} should be refused");
        }
    }

    #[test]
    fn national_form_is_the_one_people_read() {
        assert_eq!(E164::parse("+14185551234").unwrap().national(), "(418) 555-1234");
        assert_eq!(E164::parse("+442071234567").unwrap().national(), "+442071234567");
        assert_eq!(E164::parse("+1234567").unwrap().national(), "+1234567");
    }

    #[test]
    fn country_codes_are_two_capitals() {
        assert!(CountryCode::parse("CA").unwrap().searches_by_area());
        assert!(!CountryCode::parse("GB").unwrap().searches_by_area());
        for bad in ["ca", "CAN", "C", "C1", ""] {
            assert!(CountryCode::parse(bad).is_err());
        }
    }
}
