use serde_json::json;

use super::*;
use crate::domain::Meaning;

const ORIGIN: &str = "https://api.twilio.com";

fn path() -> String {
    format!("/2010-04-01/Accounts/{}/IncomingPhoneNumbers.json", account())
}

fn numbered(index: usize) -> serde_json::Value {
    let mut number = held(&format!("+1418555{index:04}"));
    number["sid"] = json!(format!("PN{index:032x}"));
    number
}

fn page(numbers: &[usize], next: &serde_json::Value) -> Scripted {
    let items: Vec<_> = numbers.iter().map(|index| numbered(*index)).collect();
    answer(200, json!({"incoming_phone_numbers": items, "next_page_uri": next}).to_string())
}

#[tokio::test]
async fn pages_are_followed_relative_and_absolute() {
    let relative = format!("{}?PageSize=1000&Page=1&PageToken=PA1", path());
    let absolute = format!("{ORIGIN}{}?PageSize=1000&Page=2&PageToken=PA2", path());
    let script = Script::of([page(&[1, 2], &json!(relative)), page(&[3], &json!(absolute)), page(&[4], &json!(null))]);
    let numbers = script.client().numbers(&canary_token()).await.unwrap();
    let found: Vec<_> = numbers.iter().map(|number| number.phone_number.to_string()).collect();
    assert_eq!(found, ["+14185550001", "+14185550002", "+14185550003", "+14185550004"]);
    let asked: Vec<_> = script.asked().iter().map(|request| request.uri().to_string()).collect();
    assert_eq!(asked, [format!("{ORIGIN}{}?PageSize=1000", path()), format!("{ORIGIN}{relative}"), absolute]);
    assert_eq!(script.outcomes(), ["ok"; 3]);
}

#[tokio::test]
async fn a_number_on_two_pages_counts_once() {
    let script = Script::of([page(&[1, 2], &json!(format!("{}?Page=1", path()))), page(&[2, 3], &json!(""))]);
    assert_eq!(script.client().numbers(&canary_token()).await.unwrap().len(), 3);
}

#[tokio::test]
async fn the_credentials_go_nowhere_else() {
    let other = format!("AC{}", "1".repeat(32));
    for next in [
        "https://example.com/2010-04-01/x".to_owned(),
        format!("https://example.com{}", path()),
        format!("//example.com{}", path()),
        format!("http://api.twilio.com{}", path()),
        format!("https://api.twilio.com:8443{}", path()),
        format!("https://user@api.twilio.com{}", path()),
        format!("/2010-04-01/Accounts/{other}/IncomingPhoneNumbers.json?Page=1"),
        format!("{}/../../{other}/IncomingPhoneNumbers.json", path()),
        format!("/2010-04-01/Accounts/{}/%2e%2e/{other}/IncomingPhoneNumbers.json", account()),
        format!("\\\\example.com{}", path()),
        "https://[".to_owned(),
        format!("{}?PageToken={}", path(), "A".repeat(70_000)),
    ] {
        let script = Script::of([page(&[1], &json!(next))]);
        let trouble = script.client().numbers(&canary_token()).await.unwrap_err();
        assert_eq!((trouble.meaning, script.asked().len()), (Meaning::Ambiguous, 1), "{next}");
        assert_eq!(script.outcomes(), ["ambiguous"]);
    }
}

#[tokio::test]
async fn a_loop_ends() {
    let first = format!("{}?PageSize=1000", path());
    let second = format!("{}?Page=1", path());
    let script = Script::of([page(&[1], &json!(second)), page(&[2], &json!(first))]);
    let trouble = script.client().numbers(&canary_token()).await.unwrap_err();
    assert!(trouble.detail.contains("leads back"), "{trouble}");

    let endless = (1..=1000).map(|index| page(&[index], &json!(format!("{}?Page={index}", path()))));
    let script = Script::of(endless);
    let trouble = script.client().numbers(&canary_token()).await.unwrap_err();
    assert!(trouble.detail.contains("more than 1000 pages"), "{trouble}");
    assert_eq!(script.asked().len(), 1000);
}

#[tokio::test]
async fn a_list_with_a_hole_is_no_list() {
    let mut unreadable = numbered(2);
    unreadable["sid"] = json!(null);
    let mut foreign = numbered(2);
    foreign["account_sid"] = json!(format!("AC{}", "1".repeat(32)));
    for second in [unreadable, foreign] {
        let body = json!({"incoming_phone_numbers": [numbered(1), second], "next_page_uri": null});
        let script = Script::of([answer(200, body.to_string())]);
        assert_eq!(script.client().numbers(&canary_token()).await.unwrap_err().meaning, Meaning::Ambiguous);
    }
    let script = Script::of([page(&[1], &json!(format!("{}?Page=1", path()))), answer(500, "")]);
    assert_eq!(script.client().numbers(&canary_token()).await.unwrap_err().meaning, Meaning::Ambiguous);
}

#[tokio::test]
async fn a_full_page_must_tell_whether_there_is_another() {
    let full: Vec<_> = (0..1000).map(numbered).collect();
    let script = Script::of([answer(200, json!({ "incoming_phone_numbers": full }).to_string())]);
    assert!(script.client().numbers(&canary_token()).await.is_err());
    let script = Script::of([answer(200, json!({"incoming_phone_numbers": [numbered(1)]}).to_string())]);
    assert_eq!(script.client().numbers(&canary_token()).await.unwrap().len(), 1);
}
