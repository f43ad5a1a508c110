//! Which countries may have given a number out, as far as its digits tell.
//!
//! Twilio's list of an account says the number and not its country, and prices are told by country. Calling codes are those
//! of the ITU (E.164 list of assigned codes), area codes those of the North American Numbering Plan. What is not in the
//! tables is not guessed: then the country, and with it the price, is unknown.

use super::{CountryCode, E164, NumberType};

/// Area codes of Canada.
const CANADA: &[&str] = &[
    "204", "226", "236", "249", "250", "257", "263", "289", "306", "343", "354", "365", "367", "368", "382", "387",
    "403", "416", "418", "428", "431", "437", "438", "450", "460", "468", "474", "506", "514", "519", "548", "579",
    "581", "584", "587", "600", "604", "613", "622", "639", "647", "672", "683", "705", "709", "742", "753", "778",
    "780", "782", "807", "819", "825", "867", "873", "879", "902", "905", "942",
];

/// Area codes of the plan's other countries and of territories that have a country code of their own.
const ISLANDS: &[(&str, &str)] = &[
    ("242", "BS"),
    ("246", "BB"),
    ("264", "AI"),
    ("268", "AG"),
    ("284", "VG"),
    ("340", "VI"),
    ("345", "KY"),
    ("441", "BM"),
    ("473", "GD"),
    ("649", "TC"),
    ("658", "JM"),
    ("664", "MS"),
    ("670", "MP"),
    ("671", "GU"),
    ("684", "AS"),
    ("721", "SX"),
    ("758", "LC"),
    ("767", "DM"),
    ("784", "VC"),
    ("787", "PR"),
    ("809", "DO"),
    ("829", "DO"),
    ("849", "DO"),
    ("868", "TT"),
    ("869", "KN"),
    ("876", "JM"),
    ("939", "PR"),
];

/// Codes that are free for the caller, in the whole plan.
const TOLL_FREE: &[&str] = &["800", "833", "844", "855", "866", "877", "888"];

/// Calling codes outside the North American plan, with the countries that share each. No code is the beginning of another.
const CALLING_CODES: &[(&str, &[&str])] = &[
    ("7", &["RU", "KZ"]),
    ("20", &["EG"]),
    ("27", &["ZA"]),
    ("30", &["GR"]),
    ("31", &["NL"]),
    ("32", &["BE"]),
    ("33", &["FR"]),
    ("34", &["ES"]),
    ("36", &["HU"]),
    ("39", &["IT"]),
    ("40", &["RO"]),
    ("41", &["CH"]),
    ("43", &["AT"]),
    ("44", &["GB"]),
    ("45", &["DK"]),
    ("46", &["SE"]),
    ("47", &["NO"]),
    ("48", &["PL"]),
    ("49", &["DE"]),
    ("51", &["PE"]),
    ("52", &["MX"]),
    ("54", &["AR"]),
    ("55", &["BR"]),
    ("56", &["CL"]),
    ("57", &["CO"]),
    ("60", &["MY"]),
    ("61", &["AU"]),
    ("62", &["ID"]),
    ("63", &["PH"]),
    ("64", &["NZ"]),
    ("65", &["SG"]),
    ("66", &["TH"]),
    ("81", &["JP"]),
    ("82", &["KR"]),
    ("84", &["VN"]),
    ("86", &["CN"]),
    ("90", &["TR"]),
    ("91", &["IN"]),
    ("94", &["LK"]),
    ("212", &["MA"]),
    ("213", &["DZ"]),
    ("216", &["TN"]),
    ("223", &["ML"]),
    ("224", &["GN"]),
    ("225", &["CI"]),
    ("229", &["BJ"]),
    ("230", &["MU"]),
    ("233", &["GH"]),
    ("234", &["NG"]),
    ("244", &["AO"]),
    ("250", &["RW"]),
    ("254", &["KE"]),
    ("255", &["TZ"]),
    ("256", &["UG"]),
    ("267", &["BW"]),
    ("351", &["PT"]),
    ("352", &["LU"]),
    ("353", &["IE"]),
    ("354", &["IS"]),
    ("355", &["AL"]),
    ("356", &["MT"]),
    ("357", &["CY"]),
    ("358", &["FI"]),
    ("359", &["BG"]),
    ("370", &["LT"]),
    ("371", &["LV"]),
    ("372", &["EE"]),
    ("373", &["MD"]),
    ("380", &["UA"]),
    ("381", &["RS"]),
    ("385", &["HR"]),
    ("386", &["SI"]),
    ("387", &["BA"]),
    ("389", &["MK"]),
    ("420", &["CZ"]),
    ("421", &["SK"]),
    ("501", &["BZ"]),
    ("502", &["GT"]),
    ("503", &["SV"]),
    ("504", &["HN"]),
    ("505", &["NI"]),
    ("506", &["CR"]),
    ("507", &["PA"]),
    ("593", &["EC"]),
    ("595", &["PY"]),
    ("598", &["UY"]),
    ("852", &["HK"]),
    ("853", &["MO"]),
    ("855", &["KH"]),
    ("880", &["BD"]),
    ("886", &["TW"]),
    ("966", &["SA"]),
    ("971", &["AE"]),
    ("972", &["IL"]),
    ("973", &["BH"]),
    ("977", &["NP"]),
    ("995", &["GE"]),
];

impl E164 {
    /// The countries that may have given this number out; none: not known. Toll-free codes of the North American plan are
    /// shared, so they name the United States and Canada.
    pub fn countries(&self) -> Vec<CountryCode> {
        let one = |code: &str| CountryCode::parse(code).ok().into_iter().collect();
        let Some(area) = self.north_american() else {
            let digits = self.as_str().trim_start_matches('+');
            let codes =
                CALLING_CODES.iter().find(|(code, _)| digits.starts_with(code)).map(|(_, countries)| *countries);
            return codes.unwrap_or_default().iter().filter_map(|code| CountryCode::parse(code).ok()).collect();
        };
        if TOLL_FREE.contains(&area) {
            return ["US", "CA"].iter().filter_map(|code| CountryCode::parse(code).ok()).collect();
        }
        if CANADA.contains(&area) {
            return one("CA");
        }
        one(ISLANDS.iter().find(|(code, _)| *code == area).map_or("US", |(_, country)| country))
    }

    /// The kind of number, where the digits tell it: in the North American plan, which has no mobile numbers of their own.
    pub fn kind(&self) -> Option<NumberType> {
        let area = self.north_american()?;
        Some(if TOLL_FREE.contains(&area) { NumberType::TollFree } else { NumberType::Local })
    }

    /// The area code, of a number of the North American plan.
    fn north_american(&self) -> Option<&str> {
        self.as_str().strip_prefix("+1").filter(|rest| rest.len() == 10)?.get(..3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn countries(number: &str) -> Vec<String> {
        E164::parse(number).unwrap().countries().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_digits_tell_the_country_or_nothing() {
        for (number, expected) in [
            ("+14185550123", &["CA"][..]),
            ("+12125550123", &["US"]),
            ("+17875550123", &["PR"]),
            ("+18005550123", &["US", "CA"]),
            ("+442071234567", &["GB"]),
            ("+33123456789", &["FR"]),
            ("+3531234567", &["IE"]),
            ("+77012345678", &["RU", "KZ"]),
            ("+882161234567", &[]),
            ("+15551234", &[]),
        ] {
            assert_eq!(countries(number), expected, "{number}");
        }
    }

    #[test]
    fn the_kind_is_told_where_the_plan_has_it() {
        let kind = |number: &str| E164::parse(number).unwrap().kind();
        assert_eq!(kind("+14185550123"), Some(NumberType::Local));
        assert_eq!(kind("+18665550123"), Some(NumberType::TollFree));
        assert_eq!(kind("+447400123456"), None);
    }

    #[test]
    fn every_code_is_a_country_and_no_code_hides_another() {
        for (code, countries) in CALLING_CODES {
            assert!(countries.iter().all(|country| CountryCode::parse(country).is_ok()), "{code}");
            let hidden = CALLING_CODES.iter().filter(|(other, _)| other.starts_with(code)).count();
            assert_eq!(hidden, 1, "{code}");
        }
        for (code, country) in ISLANDS {
            assert!(
                CountryCode::parse(country).is_ok() && !CANADA.contains(code) && !TOLL_FREE.contains(code),
                "{code}"
            );
        }
        assert!(CANADA.iter().all(|code| !TOLL_FREE.contains(code)));
    }
}
