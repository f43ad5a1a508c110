//! Twilio's identifiers: two letters that name the kind, then 32 hexadecimal digits.

use super::{ParseError, string_newtype};

fn check(what: &'static str, prefix: &'static str, text: &str) -> Result<(), ParseError> {
    // The value itself stays out of the message: a token that was put where a SID belongs must not be printed.
    let fail = |problem: String| {
        ParseError::new(what, format!("{problem}; it looks like {prefix} followed by 32 hexadecimal digits"))
    };
    let Some(rest) = text.strip_prefix(prefix) else {
        let looks_like = match text.get(..2) {
            Some("SK") if text.len() == 34 => "it is an API key SID (SK…)".to_owned(),
            Some("AC") if text.len() == 34 => "it is an Account SID (AC…)".to_owned(),
            _ if text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
                "it is 32 hexadecimal digits without a prefix, which looks like an auth token".to_owned()
            }
            _ => format!("it does not start with {prefix}"),
        };
        return Err(fail(looks_like));
    };
    if rest.len() != 32 {
        return Err(fail(format!("it has {} characters instead of 34", text.chars().count())));
    }
    if !rest.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(fail("it has a character that is no hexadecimal digit".to_owned()));
    }
    Ok(())
}

macro_rules! sid {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);
        string_newtype!($name);
        impl $name {
            /// The two letters that every SID of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// Reads a SID.
            ///
            /// # Errors
            /// When the prefix, the length or a digit is wrong. The error tells the shape, not the value.
            pub fn parse(text: &str) -> Result<Self, ParseError> {
                check($what, $prefix, text).map(|()| Self(text.to_owned()))
            }

            /// The SID as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

sid!(/// A Twilio account: `AC…`.
    AccountSid, "AC", "Account SID");
sid!(/// An API key: `SK…`.
    ApiKeySid, "SK", "API key SID");
sid!(/// A phone number that an account holds: `PN…`.
    PhoneNumberSid, "PN", "Phone Number SID");
sid!(/// A Messaging Service: `MG…`.
    MessagingServiceSid, "MG", "Messaging Service SID");
sid!(/// A message: `SM…`.
    MessageSid, "SM", "Message SID");
sid!(/// An address on file: `AD…`.
    AddressSid, "AD", "Address SID");
sid!(/// A regulatory bundle: `BU…`.
    BundleSid, "BU", "Bundle SID");
sid!(/// A regulation: `RN…`.
    RegulationSid, "RN", "Regulation SID");
sid!(/// An identity document: `RI…`.
    IdentitySid, "RI", "Identity SID");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_has_its_prefix_and_32_hex_digits() {
        let good = format!("AC{}", "0123456789abcdefABCDEF0123456789");
        assert_eq!(AccountSid::parse(&good).unwrap().as_str(), good);
        for bad in ["", "AC", "AC123", &format!("AC{}", "g".repeat(32)), &format!("AC{}", "0".repeat(33))] {
            assert!(AccountSid::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_error_names_the_mistake_and_never_the_value() {
        let key = format!("SK{}", "0".repeat(32));
        assert!(AccountSid::parse(&key).unwrap_err().problem.contains("API key SID"));
        let token = "00112233445566778899aabbccddeeff";
        let error = AccountSid::parse(token).unwrap_err();
        assert!(error.problem.contains("auth token") && !error.to_string().contains(token));
        assert!(ApiKeySid::parse(&format!("AC{}", "0".repeat(32))).unwrap_err().problem.contains("Account SID"));
    }
}
