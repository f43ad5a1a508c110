//! The small things that are read from text: numbers, identifiers, marks, amounts, times, URLs, signatures.
//!
//! One text a line. A signature is made of the first line as URL and of the others as `name=value`.

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::domain::time::parse_duration;
use crate::domain::webhook::printable;
use crate::domain::{
    AccountSid, AddressSid, ApiKeySid, BundleSid, CountryCode, Currency, E164, HttpMethod, IdentitySid, InstallationId,
    Mark, MessageSid, MessagingServiceSid, OwnerTag, ParseError, PhoneNumberSid,
};
use crate::twilio::{Endpoints, signature};

const CANARY: &str = "Zq7canaryZq7";
const TOKEN: &str = "0badc0de0badc0de0badc0de0badc0de";

/// Reads every line as each of the things that are text.
pub fn words(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if text.contains("Zq7") {
        return;
    }
    for line in text.lines() {
        word::<E164>(line);
        word::<CountryCode>(line);
        word::<AccountSid>(line);
        word::<ApiKeySid>(line);
        word::<PhoneNumberSid>(line);
        word::<MessagingServiceSid>(line);
        word::<MessageSid>(line);
        word::<AddressSid>(line);
        word::<BundleSid>(line);
        word::<IdentitySid>(line);
        word::<InstallationId>(line);
        word::<OwnerTag>(line);
        if let Ok(currency) = Currency::parse(line) {
            word::<Currency>(currency.as_ref());
        }
        drop(parse_duration(line));
        let _method = HttpMethod::read(line);
        number(line);
        mark(line);
        address(line);
    }
    signed(&text);
}

/// What is read is what was written, in text and in JSON; what is refused is not repeated.
fn word<T: FromStr<Err = ParseError> + Display + Debug + PartialEq + Serialize + DeserializeOwned>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
        let json = serde_json::to_string(&value).unwrap();
        assert_eq!(serde_json::from_str::<T>(&json).ok(), Some(value));
    }
    let at = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let (before, after) = text.split_at(at);
    if let Err(error) = format!("{before}{CANARY}{after}").parse::<T>() {
        assert!(!format!("{error} {error:?}").contains(CANARY), "{error}");
    }
}

fn number(text: &str) {
    let Ok(number) = E164::parse(text) else { return };
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    assert!(digits(text).ends_with(&digits(&number.national())), "{}", number.national());
    drop((number.kind(), number.countries()));
}

/// A mark that is read is the beginning of the label, and every label that is made has its mark.
fn mark(label: &str) {
    if let Some(mark) = Mark::read(label) {
        assert!(label.starts_with(&mark.to_string()), "{mark}");
    }
    let number = E164::parse("+14185551234").unwrap();
    let (namespace, name) = label.split_once('/').unwrap_or((label, ""));
    for adopted in [false, true] {
        let mark = InstallationId::parse("prod").unwrap().mark(namespace, name, adopted);
        for label in [Some(label), None] {
            let made = mark.friendly_name(label, &number);
            assert!(made.len() <= crate::domain::tag::FRIENDLY_NAME_BYTES, "{made}");
            assert_eq!(Mark::read(&made).as_ref(), Some(&mark), "{made}");
        }
    }
}

/// What is printed of a URL has neither its user info nor its query; Twilio's own is safe to send credentials to.
fn address(text: &str) {
    let shown = printable(text);
    let Ok(url) = Url::parse(text) else { return };
    let with_canary = |change: fn(&mut Url)| {
        let mut url = url.clone();
        change(&mut url);
        assert!(!printable(url.as_str()).contains(CANARY), "{url}");
    };
    with_canary(|url| url.set_query(Some(CANARY)));
    with_canary(|url| url.set_fragment(Some(CANARY)));
    with_canary(|url| url.set_username(CANARY).unwrap_or_default());
    with_canary(|url| url.set_password(Some(CANARY)).unwrap_or_default());
    let query = url.query().filter(|query| query.len() > 8);
    assert!(query.is_none_or(|query| !shown.contains(&format!("?{query}"))), "{shown}");
    if let Some(password) = url.password().filter(|word| word.len() > 8) {
        let elsewhere = url.path().contains(password) || url.host_str().is_some_and(|host| host.contains(password));
        assert!(elsewhere || !shown.contains(password), "{shown}");
    }
    if let Ok(endpoints) = Endpoints::single(url) {
        let base = endpoints.base(crate::twilio::Product::Api);
        let loopback = base.host_str().is_some_and(|host| {
            let host = host.trim_matches(['[', ']']);
            host.ends_with("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        });
        assert!(base.scheme() == "https" || loopback, "{base}");
        assert!(base.username().is_empty() && base.password().is_none() && base.query().is_none(), "{base}");
    }
}

/// What is signed verifies, and nothing else does.
fn signed(text: &str) {
    let mut lines = text.lines();
    let url = lines.next().unwrap_or_default();
    let params: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once('=')).collect();
    let made = signature::sign(url, &params, TOKEN);
    assert!(signature::verify(url, &params, &made, TOKEN));
    assert!(!signature::verify(url, &params, &made, "another"));
    assert!(!signature::verify(&format!("{url}x"), &params, &made, TOKEN) || url.contains('#'));
    let mut more = params.clone();
    more.push(("Zq7", "1"));
    assert!(!signature::verify(url, &more, &made, TOKEN));
    // Twilio signs each value of a name once, in whatever order they come.
    let distinct: BTreeSet<_> = params.iter().rev().copied().collect();
    assert_eq!(signature::sign(url, &distinct.into_iter().collect::<Vec<_>>(), TOKEN), made);
    let (whole, made) = signature::sign_body(url, text.as_bytes(), TOKEN);
    // A URL that has a digest already is not one that Twilio calls with a body.
    if !url.contains("bodySHA256") {
        assert!(signature::verify_body(&whole, text.as_bytes(), &made, TOKEN), "{whole}");
        assert!(!signature::verify_body(&whole, b"another body", &made, TOKEN) || text == "another body");
    }
    for line in text.lines() {
        assert!(
            !signature::verify(url, &params, line, TOKEN)
                || line == signature::sign(url, &params, TOKEN)
                || url.contains(':')
        );
    }
}
