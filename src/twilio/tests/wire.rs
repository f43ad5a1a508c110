use rust_decimal::Decimal;
use serde_json::json;

use super::super::wire::{Amount, AvailablePage, Incoming, NumberPage, WireAccount, WireCapabilities, date, decode};
use super::*;
use crate::domain::{Capability, IncomingNumber, NumberType};

fn incoming(value: &serde_json::Value) -> Result<IncomingNumber, String> {
    decode::<Incoming>(value.to_string().as_bytes()).map(IncomingNumber::from)
}

#[test]
fn capabilities_are_read_in_each_shape() {
    use Capability::{Fax, MMS, SMS, Voice};
    for (json, wanted) in [
        (json!({"voice": true, "SMS": true, "MMS": false}), vec![SMS, Voice]),
        (json!({"voice": false, "sms": true, "mms": true, "fax": true}), vec![SMS, MMS, Fax]),
        (json!(["MMS", "SMS", "Voice"]), vec![SMS, MMS, Voice]),
        (json!({"sms": "true", "voice": null, "rcs": true, "more": 1}), vec![SMS]),
        (json!([]), vec![]),
        (json!(null), vec![]),
    ] {
        let read: WireCapabilities = decode(json.to_string().as_bytes()).unwrap();
        assert_eq!(read.0.list(), wanted, "{json}");
    }
}

#[test]
fn unset_is_empty_null_or_absent_alike() {
    let absent = incoming(&held("+14185551234")).unwrap();
    for unset in [json!(""), json!(null)] {
        let mut number = held("+14185551234");
        for field in [
            "origin",
            "date_created",
            "sms_url",
            "sms_method",
            "sms_fallback_url",
            "sms_fallback_method",
            "sms_application_sid",
            "voice_url",
            "voice_method",
            "voice_fallback_url",
            "voice_fallback_method",
            "voice_application_sid",
            "trunk_sid",
            "emergency_address_sid",
        ] {
            number[field] = unset.clone();
        }
        assert_eq!(incoming(&number).unwrap(), absent);
    }
    assert_eq!((absent.sms_url.as_str(), absent.sms_method), ("", HttpMethod::POST));
}

#[test]
fn a_full_number_is_read_and_unknown_properties_are_ignored() {
    let mut number = held("+14185551234");
    let more = json!({
        "origin": "twilio", "date_created": "Thu, 30 Jul 2015 23:19:04 +0000", "sms_url": "https://example.com/a#rc=3",
        "sms_method": "get", "sms_application_sid": "APx", "trunk_sid": "TKx", "emergency_address_sid": "ADx",
        "voice_url": "https://example.com/v", "voice_method": "POST", "subresource_uris": {"x": [1]}, "beta": false,
        "status": "in-use", "type": "local", "voice_caller_id_lookup": false, "address_requirements": "none",
    });
    for (name, value) in more.as_object().unwrap() {
        number[name] = value.clone();
    }
    let number = incoming(&number).unwrap();
    assert_eq!(number.date_created, Some("2015-07-30T23:19:04Z".parse().unwrap()));
    assert_eq!(number.sms_url, "https://example.com/a#rc=3", "fragments mean something to Twilio");
    assert_eq!(number.sms_method, HttpMethod::GET);
    assert_eq!(number.origin, "twilio");
    assert_eq!(number.number_type, Some(NumberType::Local));
    assert_eq!(number.capabilities.list(), [Capability::SMS, Capability::Voice]);
    assert_eq!(
        (number.sms_application_sid.as_str(), number.trunk_sid.as_str(), number.emergency_address_sid.as_str()),
        ("APx", "TKx", "ADx")
    );
}

#[test]
fn what_decisions_rest_on_must_be_there_and_the_path_is_named() {
    for field in ["sid", "account_sid", "phone_number"] {
        let mut number = held("+14185551234");
        number[field] = json!(null);
        assert!(incoming(&number).unwrap_err().contains(field));
        number.as_object_mut().unwrap().remove(field);
        assert!(incoming(&number).unwrap_err().contains(field));
    }
    let page = json!({"incoming_phone_numbers": [held("+14185551234"), held("4185551234")]});
    let error = decode::<NumberPage>(page.to_string().as_bytes()).unwrap_err();
    assert!(error.starts_with("at `incoming_phone_numbers[1].phone_number`: "), "{error}");
    assert!(decode::<NumberPage>(b"{}").is_err(), "no list is not an empty list");
    assert!(decode::<AvailablePage>(b"{}").is_err());
    assert!(decode::<NumberPage>(br#"{"incoming_phone_numbers":[]} <html>"#).is_err(), "nothing may follow");
    assert!(decode::<NumberPage>(br#"{"incoming_phone_numbers":["#).is_err(), "cut short");
}

#[test]
fn a_null_next_page_is_told_from_an_absent_one() {
    let read = |text: &str| decode::<NumberPage>(text.as_bytes()).unwrap().next_page_uri.map(|uri| uri.0);
    assert_eq!(read(r#"{"incoming_phone_numbers":[]}"#), None);
    assert_eq!(read(r#"{"incoming_phone_numbers":[],"next_page_uri":null}"#), Some(String::new()));
    assert_eq!(read(r#"{"incoming_phone_numbers":[],"next_page_uri":"/x","page":0,"end":"9"}"#), Some("/x".to_owned()));
}

#[test]
fn dates_are_read_in_either_form() {
    for text in ["Thu, 30 Jul 2015 23:19:04 +0000", "Thu, 30 Jul 2015 23:19:04 GMT", "2015-07-30T23:19:04Z"] {
        assert_eq!(date(text), Some("2015-07-30T23:19:04Z".parse().unwrap()), "{text}");
    }
    assert_eq!(date("yesterday"), None);
}

#[test]
fn amounts_keep_their_digits() {
    for (json, wanted) in [
        ("\"1.15\"", Some("1.15")),
        ("1.15", Some("1.15")),
        ("1.10", Some("1.10")),
        ("\"0.0075\"", Some("0.0075")),
        ("0.1234567890123456789", Some("0.1234567890123456789")),
        ("2", Some("2")),
        ("1e-2", Some("0.01")),
        ("null", None),
        ("\"\"", None),
    ] {
        let amount: Amount = decode(json.as_bytes()).unwrap();
        assert_eq!(amount.0.map(|amount| amount.to_string()), wanted.map(str::to_owned), "{json}");
    }
    assert!(decode::<Amount>(b"\"a dollar\"").is_err());
    assert!(decode::<Amount>(b"{}").is_err());
    assert_eq!(decode::<Amount>(b"1.15").unwrap().0, Some(Decimal::new(115, 2)));
}

#[test]
fn an_account_is_read_without_its_token() {
    let json =
        json!({"sid": account(), "auth_token": TOKEN, "status": "active", "type": "Full", "friendly_name": null});
    let read: WireAccount = decode(json.to_string().as_bytes()).unwrap();
    assert_clean(&format!("{read:?}"));
    assert_eq!(read.status.0, "active");
}
