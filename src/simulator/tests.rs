//! The simulator as its clients see it, in process and over sockets.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64;
use k8s_openapi::jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::{Service as _, ServiceExt};

use super::inbox::{Inbox, Tokens};
use super::*;
use crate::clock::{ManualClock, SystemClock};
use crate::domain::{ApiKeySid, E164, Moment, Now};

const TOKEN: &str = "0f0f0000000000000000000000000001";
const NUMBER: &str = "+14185551234";

fn sid(prefix: &str, n: u32) -> String {
    format!("{prefix}{n:032x}")
}

fn ac(n: u32) -> AccountSid {
    AccountSid::parse(&sid("AC", n)).unwrap()
}

fn e164(text: &str) -> E164 {
    E164::parse(text).unwrap()
}

/// A simulator under a clock that stands still, seen by account 1.
struct Sim {
    simulator: Simulator,
    clock: Arc<ManualClock>,
    user: String,
    password: String,
}

impl Sim {
    fn new() -> Self {
        Self::with(Settings { record: Recorder::of_tests(), ..Settings::default() })
    }

    /// Not recorded: what is asked is what no client may ask, and what Twilio takes all the same.
    fn unrecorded() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let wall: Timestamp = "2026-11-05T10:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::at(Now { wall, boot: Moment::default() }));
        let simulator = Simulator::new(settings, clock.clone());
        Self { simulator, clock, user: sid("AC", 1), password: TOKEN.to_owned() }
    }

    /// With these accounts and no others.
    fn given(accounts: Vec<AccountSpec>) -> Self {
        let sim = Self::with(Settings { any_account: false, record: Recorder::of_tests(), ..Settings::default() });
        sim.simulator.add_accounts(accounts).unwrap();
        sim
    }

    fn by(mut self, user: &str, password: &str) -> Self {
        (self.user, self.password) = (user.to_owned(), password.to_owned());
        self
    }

    fn request(&self, method: &str, path: &str, form: &[(&str, &str)]) -> http::Request<Bytes> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let credentials = BASE64.encode(format!("{}:{}", self.user, self.password).as_bytes());
        http::Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Basic {credentials}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(body))
            .unwrap()
    }

    async fn send(&self, method: &str, path: &str, form: &[(&str, &str)]) -> Result<Response, Severed> {
        let request = self.request(method, path, form);
        self.simulator.service().ready().await.unwrap().call(request).await
    }

    /// A call of any path; the body is null where it is none.
    async fn call(&self, method: &str, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let response = self.send(method, path, form).await.unwrap();
        (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap_or_default())
    }

    /// A call under account 1.
    async fn of(&self, method: &str, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        self.call(method, &account_path(1, path), form).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.of("GET", path, &[]).await
    }

    async fn buy(&self, number: &str, more: &[(&str, &str)]) -> (u16, Value) {
        let form: Vec<_> = [("PhoneNumber", number)].into_iter().chain(more.iter().copied()).collect();
        self.of("POST", "IncomingPhoneNumbers.json", &form).await
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("/_simulator/{path}"))
            .body(Bytes::from(body.to_string()))
            .unwrap();
        let response = self.simulator.service().call(request).await.unwrap();
        (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
    }

    fn statuses(&self) -> Vec<u16> {
        self.simulator.calls().iter().map(|call| call.status).collect()
    }

    fn sold(&self) -> usize {
        self.simulator.ledger().purchases.len()
    }
}

fn account_path(n: u32, path: &str) -> String {
    format!("/2010-04-01/Accounts/{}/{path}", ac(n))
}

fn numbers_in(list: &Value) -> Vec<String> {
    let items = list["available_phone_numbers"].as_array().or(list["incoming_phone_numbers"].as_array()).unwrap();
    items.iter().map(|item| item["phone_number"].as_str().unwrap().to_owned()).collect()
}

fn code(answer: &(u16, Value)) -> (u16, u64) {
    (answer.0, answer.1["code"].as_u64().unwrap_or(0))
}

// Search.

#[tokio::test]
async fn countries_tell_which_types_they_have() {
    let sim = Sim::new();
    let (status, all) = sim.get("AvailablePhoneNumbers.json").await;
    assert_eq!((status, all["countries"].as_array().unwrap().len()), (200, 6));
    let (_, us) = sim.get("AvailablePhoneNumbers/US.json").await;
    assert_eq!(us["country_code"], "US");
    assert_eq!(us["subresource_uris"]["toll_free"], account_path(1, "AvailablePhoneNumbers/US/TollFree.json"));
    assert_eq!(us["subresource_uris"]["mobile"], Value::Null);
    for missing in ["AvailablePhoneNumbers/ZZ.json", "AvailablePhoneNumbers/US/Mobile.json"] {
        assert_eq!(code(&sim.get(missing).await), (404, 20404), "{missing}");
    }
}

#[tokio::test]
async fn a_search_answers_as_the_real_samples() {
    let sim = Sim::new();
    let (status, found) = sim.get("AvailablePhoneNumbers/CA/Local.json?AreaCode=418&SmsEnabled=true&PageSize=3").await;
    assert_eq!((status, numbers_in(&found).len()), (200, 3));
    assert_eq!(found.as_object().unwrap().keys().collect::<Vec<_>>(), ["available_phone_numbers", "uri"]);
    let item = &found["available_phone_numbers"][0];
    assert!(item["phone_number"].as_str().unwrap().starts_with("+1418"));
    assert_eq!((&item["capabilities"]["SMS"], &item["capabilities"]["sms"]), (&json!(true), &Value::Null));
    assert!(item["latitude"].is_string() && item["region"] == "QC" && item["address_requirements"] == "none");
    let (_, gb) = sim.get("AvailablePhoneNumbers/GB/Mobile.json?PageSize=1").await;
    assert_eq!(gb["available_phone_numbers"][0]["latitude"], Value::Null);
    let (_, none) = sim.get("AvailablePhoneNumbers/CA/Local.json?AreaCode=999").await;
    assert_eq!(numbers_in(&none), Vec::<String>::new());
}

#[tokio::test]
async fn searches_are_checked() {
    let sim = Sim::new();
    let local = "AvailablePhoneNumbers/CA/Local.json";
    for (query, expected) in [
        ("PageSize=1001", 20007),
        ("AreaCode=41", 21451),
        ("AreaCode=abc", 21451),
        ("Contains=1", 20422),
        ("SmsEnabled=yes", 20422),
        ("InRateCenter=QUEBEC", 20422),
        ("Distance=501", 20422),
        ("NearLatLong=46", 20422),
        ("NearNumber=418", 21401),
        ("Areacode=418", 20001),
    ] {
        assert_eq!(code(&sim.get(&format!("{local}?{query}")).await), (400, expected), "{query}");
    }
    let (_, near) = sim.get(&format!("{local}?NearNumber=%2B14185551234&Distance=25&PageSize=5")).await;
    assert_eq!(numbers_in(&near).len(), 5);
    let (_, fax) = sim.get(&format!("{local}?FaxEnabled=true")).await;
    assert!(numbers_in(&fax).is_empty());
    // Elsewhere they are ignored, even when they make no sense.
    let sim = Sim::unrecorded();
    let (status, gb) = sim.get("AvailablePhoneNumbers/GB/Local.json?AreaCode=abc&InRegion=QC&PageSize=2").await;
    assert_eq!((status, numbers_in(&gb).len()), (200, 2));
}

#[tokio::test]
async fn there_is_no_reservation_and_sold_numbers_leave_the_offer() {
    let sim = Sim::new();
    let search = "AvailablePhoneNumbers/CA/Local.json?AreaCode=581&PageSize=2";
    let (_, first) = sim.get(search).await;
    assert_eq!(sim.get(search).await.1, first);
    let sold = &numbers_in(&first)[0];
    let bought = sim.buy(sold, &[]).await;
    assert_eq!(bought.0, 201);
    assert!(!numbers_in(&sim.get(search).await.1).contains(sold));
    let pn = bought.1["sid"].as_str().unwrap().to_owned();
    assert_eq!(sim.of("DELETE", &format!("IncomingPhoneNumbers/{pn}.json"), &[]).await.0, 204);
    assert!(!numbers_in(&sim.get(search).await.1).contains(sold), "a released number rests");
    assert_eq!(code(&sim.buy(sold, &[]).await), (400, 21422));
}

// Buy.

#[tokio::test]
async fn a_purchase_answers_the_whole_resource() {
    let sim = Sim::new();
    let name = "[cpn:aaaaa.bbbbbbbbbbb] Reception";
    let (status, number) = sim
        .buy(NUMBER, &[("FriendlyName", name), ("SmsUrl", "https://example.com/sms"), ("SmsApplicationSid", "")])
        .await;
    assert_eq!(status, 201);
    assert_eq!((&number["phone_number"], &number["friendly_name"]), (&json!(NUMBER), &json!(name)));
    assert_eq!((&number["sms_url"], &number["sms_method"]), (&json!("https://example.com/sms"), &json!("POST")));
    assert_eq!((&number["sms_application_sid"], &number["voice_url"]), (&json!(""), &Value::Null));
    assert_eq!(
        (&number["origin"], &number["status"], &number["type"]),
        (&json!("twilio"), &json!("in-use"), &json!("local"))
    );
    assert_eq!(number["date_created"], "Thu, 05 Nov 2026 10:00:00 +0000");
    assert_eq!(number["capabilities"]["SMS"], Value::Null);
    let keys: Vec<&str> = number.as_object().unwrap().keys().map(String::as_str).collect();
    for key in "account_sid address_requirements address_sid api_version beta bundle_sid capabilities date_created \
        date_updated emergency_address_sid emergency_address_status emergency_status friendly_name identity_sid origin \
        phone_number sid sms_application_sid sms_fallback_method sms_fallback_url sms_method sms_url status \
        status_callback status_callback_method trunk_sid type uri voice_application_sid voice_caller_id_lookup \
        voice_fallback_method voice_fallback_url voice_method voice_receive_mode voice_url"
        .split_whitespace()
    {
        assert!(keys.contains(&key), "{key}");
    }
    assert_eq!(keys.len(), 35);
    let (_, fetched) = sim.get(&format!("IncomingPhoneNumbers/{}.json", number["sid"].as_str().unwrap())).await;
    assert_eq!(fetched, number);
    let ledger = sim.simulator.ledger();
    assert_eq!((ledger.purchases.len(), ledger.purchases[0].friendly_name.as_str()), (1, name));
    assert_eq!(sim.simulator.numbers()[0].sms_url, "https://example.com/sms");
    assert_eq!(sim.buy("+14185551235", &[]).await.1["friendly_name"], "(418) 555-1235");
}

#[tokio::test]
async fn purchases_are_checked() {
    let sim = Sim::new();
    for (form, expected) in [
        (vec![], 21421),
        (vec![("PhoneNumber", "418-555-1234")], 21421),
        (vec![("PhoneNumber", " 14185551234")], 21421),
        (vec![("PhoneNumber", "+14181111234")], 21422),
        (vec![("PhoneNumber", NUMBER), ("SmsUrl", "not-a-url")], 21402),
        (vec![("PhoneNumber", NUMBER), ("SmsUrl", "ftp://example.com")], 21402),
        (vec![("PhoneNumber", NUMBER), ("SmsMethod", "PUT")], 21403),
        (vec![("PhoneNumber", NUMBER), ("SmsFallbackUrl", "https://example.com")], 21406),
        (vec![("PhoneNumber", NUMBER), ("VoiceFallbackUrl", "https://example.com")], 21405),
        (vec![("PhoneNumber", NUMBER), ("SmsApplicationSid", "AP1")], 21420),
        (vec![("PhoneNumber", NUMBER), ("FriendlyName", &"x".repeat(65))], 20002),
        (vec![("PhoneNumber", NUMBER), ("SmsUrI", "https://example.com")], 20001),
        (vec![("AreaCode", "12")], 21451),
        (vec![("AreaCode", "999")], 21452),
    ] {
        let answer = sim.of("POST", "IncomingPhoneNumbers.json", &form).await;
        assert_eq!(code(&answer), (400, expected), "{form:?}");
        assert_eq!(answer.1["more_info"], format!("https://www.twilio.com/docs/errors/{expected}"));
        assert_eq!(answer.1["status"], 400);
    }
    assert_eq!(sim.sold(), 0);
    let sim = Sim::unrecorded();
    sim.control("PUT", "settings", json!({"strict": false})).await;
    assert_eq!(sim.buy(NUMBER, &[("SmsUrI", "https://example.com")]).await.0, 201);
}

#[tokio::test]
async fn a_number_is_sold_once() {
    let sim = Sim::new();
    assert_eq!(sim.buy(NUMBER, &[]).await.0, 201);
    let other =
        Sim { simulator: sim.simulator.clone(), clock: sim.clock.clone(), ..Sim::new().by(&sid("AC", 2), TOKEN) };
    let refused = other.call("POST", &account_path(2, "IncomingPhoneNumbers.json"), &[("PhoneNumber", NUMBER)]).await;
    assert_eq!(code(&refused), (400, 21422));
    assert_eq!(refused.1["message"], format!("{NUMBER} is not available"));
}

#[tokio::test]
async fn buying_an_owned_number_updates_it_or_is_refused() {
    let sim = Sim::new();
    let (_, first) = sim.buy(NUMBER, &[("FriendlyName", "one"), ("VoiceUrl", "https://example.com/v")]).await;
    sim.clock.advance(Duration::from_secs(60));
    let (status, second) = sim.buy(NUMBER, &[("FriendlyName", "two")]).await;
    assert_eq!((status, &second["sid"], &second["date_created"]), (201, &first["sid"], &first["date_created"]));
    assert_eq!((&second["friendly_name"], &second["voice_url"]), (&json!("two"), &json!("https://example.com/v")));
    assert_ne!(second["date_updated"], first["date_updated"]);
    sim.control("PUT", "settings", json!({"buyOwned": "refuse"})).await;
    assert_eq!(code(&sim.buy(NUMBER, &[("FriendlyName", "three")]).await), (400, 21422));
    assert_eq!(sim.simulator.numbers()[0].friendly_name, "two");
    assert_eq!(sim.sold(), 1, "an update is no sale");
}

#[tokio::test]
async fn an_area_code_sells_some_number() {
    let sim = Sim::new();
    let (status, number) = sim.of("POST", "IncomingPhoneNumbers.json", &[("AreaCode", "514")]).await;
    assert_eq!(status, 201);
    assert!(number["phone_number"].as_str().unwrap().starts_with("+1514"));
    sim.control("PUT", "stock", json!([{"country": "CA", "type": "Local", "areaCode": "514", "count": 1}])).await;
    let answer = sim.of("POST", "IncomingPhoneNumbers.json", &[("AreaCode", "514")]).await;
    assert_eq!(code(&answer), (400, 21452));
}

#[tokio::test]
async fn types_have_their_own_paths() {
    let sim = Sim::new();
    let form = [("PhoneNumber", NUMBER)];
    assert_eq!(code(&sim.of("POST", "IncomingPhoneNumbers/TollFree.json", &form).await), (400, 21458));
    assert_eq!(sim.of("POST", "IncomingPhoneNumbers/Local.json", &form).await.0, 201);
    assert_eq!(numbers_in(&sim.get("IncomingPhoneNumbers/Local.json").await.1).len(), 1);
    assert_eq!(numbers_in(&sim.get("IncomingPhoneNumbers/Mobile.json").await.1).len(), 0);
    let area = [("AreaCode", "418")];
    assert_eq!(code(&sim.of("POST", "IncomingPhoneNumbers/Local.json", &area).await), (400, 20001));
}

#[tokio::test]
async fn regulated_countries_ask_for_papers() {
    let sim = Sim::new();
    let offered = |search: &'static str| async {
        let (_, found) = sim.get(search).await;
        numbers_in(&found)[0].clone()
    };
    let (address, bundle) = (sid("AD", 1), sid("BU", 1));
    let local = offered("AvailablePhoneNumbers/GB/Local.json?PageSize=1").await;
    assert_eq!(code(&sim.buy(&local, &[]).await), (400, 21631));
    assert_eq!(sim.buy(&local, &[("AddressSid", &address)]).await.0, 201);
    let mobile = offered("AvailablePhoneNumbers/GB/Mobile.json?PageSize=1").await;
    let refused = sim.buy(&mobile, &[("AddressSid", &address)]).await;
    assert_eq!(code(&refused), (400, 21649));
    assert!(refused.1["message"].as_str().unwrap().contains("country: [GB] and numberType: [MOBILE]"));
    assert_eq!(sim.buy(&mobile, &[("AddressSid", &address), ("BundleSid", &bundle)]).await.0, 201);
    let (_, none) = sim.get("AvailablePhoneNumbers/GB/Local.json?ExcludeAllAddressRequired=true").await;
    assert!(numbers_in(&none).is_empty());
}

#[tokio::test]
async fn a_trial_account_holds_one_number() {
    let sim = Sim::given(vec![AccountSpec { kind: AccountType::Trial, ..AccountSpec::new(ac(1), TOKEN) }]);
    assert_eq!(sim.buy(NUMBER, &[]).await.0, 201);
    assert_eq!(code(&sim.buy("+14185551235", &[]).await), (400, 21404));
    assert_eq!(sim.buy(NUMBER, &[]).await.0, 201, "its own number is no second one");
    sim.control("PATCH", &format!("accounts/{}", ac(1)), json!({"type": "Full"})).await;
    assert_eq!(sim.buy("+14185551235", &[]).await.0, 201);
}

// Read, change, release.

#[tokio::test]
async fn lists_are_paged_by_relative_links() {
    let sim = Sim::new();
    for line in 0..7 {
        assert_eq!(sim.buy(&format!("+1418555100{line}"), &[("FriendlyName", "same")]).await.0, 201);
    }
    let mut path = account_path(1, "IncomingPhoneNumbers.json?FriendlyName=same&PageSize=3");
    let mut pages = Vec::new();
    loop {
        let (status, page) = sim.call("GET", &path, &[]).await;
        assert_eq!(status, 200);
        pages.push(numbers_in(&page));
        if pages.len() == 1 {
            // A number that goes away between two pages must not push another one out of sight.
            let sid = page["incoming_phone_numbers"][0]["sid"].as_str().unwrap().to_owned();
            sim.of("DELETE", &format!("IncomingPhoneNumbers/{sid}.json"), &[]).await;
        }
        let Some(next) = page["next_page_uri"].as_str() else { break };
        assert!(next.starts_with("/2010-04-01/") && next.contains("FriendlyName=same"), "{next}");
        path = next.to_owned();
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    let mut all = pages.concat();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 7);
    assert_eq!(code(&sim.get("IncomingPhoneNumbers.json?PageSize=1001").await), (400, 20007));
    assert_eq!(code(&sim.get("IncomingPhoneNumbers.json?Page=1").await), (400, 20422));
}

#[tokio::test]
async fn lists_are_filtered() {
    let hosted = HeldSpec {
        origin: Some("hosted".to_owned()),
        ..serde_json::from_value(json!({"phoneNumber": "+14185550000"})).unwrap()
    };
    let sim = Sim::given(vec![AccountSpec { numbers: vec![hosted], ..AccountSpec::new(ac(1), TOKEN) }]);
    sim.buy(NUMBER, &[("FriendlyName", "a")]).await;
    for (query, expected) in [
        ("PhoneNumber=%2B14185551234", vec![NUMBER]),
        ("PhoneNumber=%2B14185559999", vec![]),
        ("PhoneNumber=5551***", vec![NUMBER]),
        ("PhoneNumber=418555", vec!["+14185550000", NUMBER]),
        ("FriendlyName=a", vec![NUMBER]),
        ("Origin=hosted", vec!["+14185550000"]),
        ("", vec!["+14185550000", NUMBER]),
    ] {
        let (_, list) = sim.get(&format!("IncomingPhoneNumbers.json?{query}")).await;
        assert_eq!(numbers_in(&list), expected, "{query}");
    }
}

#[tokio::test]
async fn a_lagging_list_misses_new_numbers_that_their_sid_finds() {
    let sim = Sim::new();
    sim.control("PUT", "settings", json!({"listLagMs": 5000})).await;
    let (_, number) = sim.buy(NUMBER, &[]).await;
    let by_sid = format!("IncomingPhoneNumbers/{}.json", number["sid"].as_str().unwrap());
    assert_eq!(sim.get(&by_sid).await.0, 200);
    for query in ["", "?PhoneNumber=%2B14185551234"] {
        assert!(numbers_in(&sim.get(&format!("IncomingPhoneNumbers.json{query}")).await.1).is_empty());
    }
    sim.clock.advance(Duration::from_secs(5));
    assert_eq!(numbers_in(&sim.get("IncomingPhoneNumbers.json").await.1), [NUMBER]);
}

#[tokio::test]
async fn methods_are_read_in_either_case() {
    let sim = Sim::unrecorded();
    let (status, bought) = sim.buy(NUMBER, &[("SmsUrl", "https://example.com/a"), ("SmsMethod", "get")]).await;
    assert_eq!((status, &bought["sms_method"]), (201, &json!("GET")));
}

#[tokio::test]
async fn an_update_changes_what_is_sent_and_clears_what_is_empty() {
    let sim = Sim::new();
    let (_, bought) =
        sim.buy(NUMBER, &[("SmsUrl", "https://example.com/a"), ("VoiceUrl", "https://example.com/v")]).await;
    let path = format!("IncomingPhoneNumbers/{}.json", bought["sid"].as_str().unwrap());
    let application = sid("AP", 1);
    let (status, number) =
        sim.of("POST", &path, &[("SmsUrl", ""), ("SmsMethod", "GET"), ("VoiceApplicationSid", &application)]).await;
    assert_eq!((status, &number["sms_url"], &number["sms_method"]), (200, &json!(""), &json!("GET")));
    assert_eq!(
        (&number["voice_url"], &number["voice_application_sid"]),
        (&json!("https://example.com/v"), &json!(application))
    );
    let (_, number) = sim.of("POST", &path, &[("TrunkSid", &sid("TK", 1)), ("FriendlyName", "")]).await;
    assert_eq!((&number["voice_application_sid"], &number["friendly_name"]), (&json!(""), &json!("(418) 555-1234")));
    assert_eq!(code(&sim.of("POST", &path, &[("PhoneNumber", NUMBER)]).await), (400, 20001));
    assert_eq!(code(&sim.of("POST", &path, &[("AccountSid", &sid("AC", 2))]).await), (400, 21474));
    let missing = format!("IncomingPhoneNumbers/{}.json", sid("PN", 9));
    assert_eq!(code(&sim.of("POST", &missing, &[]).await), (404, 20404));
}

#[tokio::test]
async fn a_release_is_final_and_refused_under_an_emergency_address() {
    let sim = Sim::new();
    let (_, bought) = sim.buy(NUMBER, &[("EmergencyAddressSid", &sid("AD", 1)), ("EmergencyStatus", "Inactive")]).await;
    assert_eq!(
        (&bought["emergency_status"], &bought["emergency_address_status"]),
        (&json!("Active"), &json!("registered"))
    );
    let path = format!("IncomingPhoneNumbers/{}.json", bought["sid"].as_str().unwrap());
    assert_eq!(sim.of("DELETE", &path, &[]).await.0, 400);
    sim.of("POST", &path, &[("EmergencyAddressSid", "")]).await;
    let response = sim.send("DELETE", &account_path(1, &path), &[]).await.unwrap();
    assert_eq!((response.status().as_u16(), response.body().len()), (204, 0));
    assert_eq!(code(&sim.of("DELETE", &path, &[]).await), (404, 20404));
    assert_eq!(code(&sim.get(&path).await), (404, 20404));
    let ledger = sim.simulator.ledger();
    assert_eq!((ledger.purchases.len(), ledger.releases.len()), (1, 1));
    assert!(sim.simulator.numbers().is_empty());
}

#[tokio::test]
async fn a_parent_acts_on_and_moves_numbers_between_its_accounts() {
    let child = AccountSpec { owner_account_sid: Some(ac(1)), ..AccountSpec::new(ac(2), &TOKEN.replace('1', "2")) };
    let sim = Sim::given(vec![AccountSpec::new(ac(1), TOKEN), child, AccountSpec::new(ac(3), TOKEN)]);
    let buy = account_path(2, "IncomingPhoneNumbers.json");
    let (status, number) = sim.call("POST", &buy, &[("PhoneNumber", NUMBER)]).await;
    assert_eq!((status, number["account_sid"].as_str()), (201, Some(ac(2).as_str())));
    let path = account_path(2, &format!("IncomingPhoneNumbers/{}.json", number["sid"].as_str().unwrap()));
    assert_eq!(code(&sim.call("POST", &path, &[("AccountSid", ac(3).as_str())]).await), (400, 21474));
    let (status, moved) = sim.call("POST", &path, &[("AccountSid", ac(1).as_str())]).await;
    assert_eq!((status, moved["account_sid"].as_str()), (200, Some(ac(1).as_str())));
    assert_eq!(sim.call("GET", &path, &[]).await.0, 404);
    assert_eq!(code(&sim.call("GET", &account_path(3, "IncomingPhoneNumbers.json"), &[]).await), (401, 20003));
    // Suspending the parent suspends the child; the parent may see a child's state.
    sim.simulator
        .patch_account(&ac(2), AccountPatch { status: Some(AccountStatus::Suspended), ..AccountPatch::default() });
    let account = format!("/2010-04-01/Accounts/{}.json", ac(2));
    assert_eq!(sim.call("GET", &account, &[]).await.1["status"], "suspended");
    assert_eq!(code(&sim.call("GET", &buy, &[]).await), (403, 20403));
}

// Accounts and keys.

#[tokio::test]
async fn accounts_come_to_life_and_keep_their_first_token() {
    let sim = Sim::new();
    let account = format!("/2010-04-01/Accounts/{}.json", ac(1));
    let (status, body) = sim.call("GET", &account, &[]).await;
    assert_eq!((status, &body["auth_token"], &body["type"]), (200, &json!(TOKEN), &json!("Full")));
    assert_eq!((&body["status"], &body["owner_account_sid"]), (&json!("active"), &json!(ac(1))));
    let (_, balance) = sim.get("Balance.json").await;
    assert_eq!((&balance["currency"], balance["balance"].is_string()), (&json!("USD"), true));
    let wrong = sim.by(&sid("AC", 1), &TOKEN.replace('1', "9"));
    let response = wrong.send("GET", &account, &[]).await.unwrap();
    assert_eq!(response.status().as_u16(), 401);
    assert!(response.headers().contains_key("www-authenticate"));
    let short = wrong.by(&sid("AC", 7), "password");
    assert_eq!(code(&short.call("GET", &account_path(7, "Balance.json"), &[]).await), (401, 20003));
}

#[tokio::test]
async fn accounts_that_are_given_are_the_only_ones() {
    let sim = Sim::given(vec![AccountSpec::new(ac(2), TOKEN)]);
    assert_eq!(code(&sim.get("IncomingPhoneNumbers.json").await), (401, 20003));
    let request = http::Request::builder().uri(account_path(2, "Balance.json")).body(Bytes::new()).unwrap();
    let response = sim.simulator.service().call(request).await.unwrap();
    assert_eq!(response.status().as_u16(), 401);
}

#[tokio::test]
async fn suspended_and_closed_accounts_are_refused() {
    let sim = Sim::new();
    sim.buy(NUMBER, &[]).await;
    for status in ["suspended", "closed"] {
        sim.control("PATCH", &format!("accounts/{}", ac(1)), json!({"status": status})).await;
        assert_eq!(code(&sim.get("IncomingPhoneNumbers.json").await), (403, 20403), "{status}");
    }
    sim.control("PATCH", &format!("accounts/{}", ac(1)), json!({"status": "active"})).await;
    assert_eq!(sim.get("IncomingPhoneNumbers.json").await.0, 200);
}

#[tokio::test]
async fn a_rotated_token_takes_effect_at_once() {
    let sim = Sim::new();
    assert_eq!(sim.get("Balance.json").await.0, 200);
    let new = TOKEN.replace('1', "a");
    sim.control("PATCH", &format!("accounts/{}", ac(1)), json!({"authToken": new})).await;
    assert_eq!(sim.get("Balance.json").await.0, 401);
    let (_, token) = sim.control("GET", &format!("accounts/{}/token", ac(1)), Value::Null).await;
    assert_eq!(token, json!({"accountSid": ac(1), "authToken": new}));
    assert_eq!(sim.by(&sid("AC", 1), &new).get("Balance.json").await.0, 200);
}

#[tokio::test]
async fn api_keys_may_do_what_their_type_says() {
    let key = |n: u32, kind: KeyType| ApiKey {
        sid: ApiKeySid::parse(&sid("SK", n)).unwrap(),
        secret: format!("secret{n}"),
        kind,
        permissions: vec!["ListIncomingPhoneNumber".to_owned()],
    };
    let api_keys = vec![key(1, KeyType::Main), key(2, KeyType::Standard), key(3, KeyType::Restricted)];
    let mut sim = Sim::given(vec![AccountSpec { api_keys, ..AccountSpec::new(ac(1), TOKEN) }]);
    let account = format!("/2010-04-01/Accounts/{}.json", ac(1));
    let list = account_path(1, "IncomingPhoneNumbers.json");
    let price = "/v1/PhoneNumbers/Countries/CA";
    for (n, expected) in [(1, [200, 200, 200]), (2, [401, 200, 200]), (3, [403, 200, 403])] {
        sim = sim.by(&sid("SK", n), &format!("secret{n}"));
        let mut got = [0; 3];
        for (status, path) in got.iter_mut().zip([account.as_str(), &list, price]) {
            *status = sim.call("GET", path, &[]).await.0;
        }
        assert_eq!(got, expected, "key {n}");
    }
    assert_eq!(code(&sim.call("GET", price, &[]).await), (403, 70051));
    sim = sim.by(&sid("SK", 1), "wrong");
    assert_eq!(sim.call("GET", &list, &[]).await.0, 401);
    sim = sim.by(&sid("SK", 1), "secret1");
    assert_eq!(sim.call("GET", &list.replace("AC", "SK"), &[]).await.0, 404, "a key is no account");
}

#[tokio::test]
async fn an_unknown_key_becomes_a_main_key_of_the_account_in_the_path() {
    let sim = Sim::new().by(&sid("SK", 5), "whatever");
    assert_eq!(sim.buy(NUMBER, &[]).await.0, 201);
    assert_eq!(sim.call("GET", &account_path(2, "Balance.json"), &[]).await.0, 401, "of that account only");
    let made_up = sim.simulator.token(&ac(1)).unwrap();
    assert_eq!(made_up.len(), 32);
    let sim = sim.by(&sid("AC", 1), TOKEN);
    assert_eq!(sim.get("Balance.json").await.0, 200);
    assert_eq!(sim.simulator.token(&ac(1)).as_deref(), Some(TOKEN), "the first token shown is the account's");
    assert_eq!(sim.by(&sid("SK", 5), "other").get("Balance.json").await.0, 401);
}

#[tokio::test]
async fn unknown_paths_and_methods_have_twilios_errors() {
    let sim = Sim::new();
    for path in [
        "/",
        "/2010-04-01/Accounts",
        "/v1/Services/x/ShortCodes",
        "/2010-04-01/Accounts/AC1/Balance.json",
        "/v1/PhoneNumbers/Countries/CA/x",
    ] {
        assert_eq!(code(&sim.call("GET", path, &[]).await), (404, 20404), "{path}");
    }
    for path in ["Balance", "Nothing.json", "IncomingPhoneNumbers/x.json", "Messages/x.json"] {
        assert_eq!(code(&sim.get(path).await), (404, 20404), "{path}");
    }
    assert_eq!(code(&sim.of("PUT", "IncomingPhoneNumbers.json", &[]).await), (405, 20004));
    let response = sim.send("GET", "/nothing", &[]).await.unwrap();
    let id = response.headers()["twilio-request-id"].to_str().unwrap();
    assert!(id.len() == 34 && id.starts_with("RQ"), "{id}");
}

// Messages, usage, prices.

#[tokio::test]
async fn messages_are_sent_listed_and_counted() {
    let sim = Sim::new();
    sim.buy(NUMBER, &[]).await;
    let to = "+15145550000";
    let send = async |form: Vec<(&str, &str)>| sim.of("POST", "Messages.json", &form).await;
    let (status, queued) = send(vec![("To", to), ("From", NUMBER), ("Body", "hello")]).await;
    assert_eq!((status, &queued["status"], &queued["price"]), (201, &json!("queued"), &Value::Null));
    for (form, expected) in [
        (vec![("From", NUMBER), ("Body", "x")], 21604),
        (vec![("To", "x"), ("From", NUMBER), ("Body", "x")], 21211),
        (vec![("To", to), ("Body", "x")], 21603),
        (vec![("To", to), ("From", "x"), ("Body", "x")], 21212),
        (vec![("To", to), ("From", to), ("Body", "x")], 21606),
        (vec![("To", to), ("From", NUMBER)], 21602),
    ] {
        assert_eq!(code(&send(form).await), (400, expected));
    }
    let path = format!("Messages/{}.json", queued["sid"].as_str().unwrap());
    let (_, message) = sim.get(&path).await;
    assert_eq!((&message["price"], &message["num_segments"]), (&json!("-0.00750"), &json!("1")));
    sim.clock.advance(Duration::from_secs(86_400));
    let received = InboundMessage { from: to.to_owned(), to: e164(NUMBER), body: "é".repeat(71) };
    assert!(sim.simulator.deliver(received).await.error.unwrap().contains("no sms_url"));
    for (query, expected) in [
        ("", 2),
        ("To=%2B14185551234", 1),
        ("From=%2B14185551234", 1),
        ("DateSent=2026-11-05", 1),
        ("DateSent%3E=2026-11-06", 1),
        ("DateSent%3C=2026-11-06", 1),
        ("DateSent%3E=2026-11-01&To=%2B14185551234&From=%2B15145550000", 1),
        ("DateSent=2025-01-01", 0),
    ] {
        let (_, list) = sim.get(&format!("Messages.json?{query}")).await;
        assert_eq!(list["messages"].as_array().unwrap().len(), expected, "{query}");
    }
    let (_, page) = sim.get("Messages.json?PageSize=1").await;
    assert_eq!(page["messages"][0]["direction"], "inbound", "newest first");
    let (_, last) = sim.call("GET", page["next_page_uri"].as_str().unwrap(), &[]).await;
    assert_eq!((&last["messages"][0]["direction"], &last["next_page_uri"]), (&json!("outbound-api"), &Value::Null));

    let (_, usage) = sim.get("Usage/Records/ThisMonth.json?Category=sms-inbound").await;
    let record = &usage["usage_records"][0];
    assert_eq!((&record["count"], &record["usage"], &record["price"]), (&json!("1"), &json!("2"), &json!("0.0150")));
    assert_eq!((&record["price_unit"], &record["start_date"]), (&json!("usd"), &json!("2026-11-01")));
    let (_, all) = sim.get("Usage/Records/ThisMonth.json").await;
    let find = |category: &str| {
        let records = all["usage_records"].as_array().unwrap();
        records.iter().find(|record| record["category"] == category).map(|record| record["price"].clone())
    };
    assert_eq!(find("phonenumbers-local"), Some(json!("1.15")));
    assert_eq!(find("totalprice"), Some(json!("1.1725")));
    assert_eq!(find("phonenumbers-mobile"), None);
    sim.clock.advance(Duration::from_secs(30 * 86_400));
    let (_, next) = sim.get("Usage/Records/ThisMonth.json?Category=totalprice").await;
    assert_eq!(next["usage_records"][0]["count"], "0");
}

#[tokio::test]
async fn prices_are_strings_in_the_accounts_currency() {
    let sim = Sim::given(vec![AccountSpec { currency: "CAD".to_owned(), ..AccountSpec::new(ac(1), TOKEN) }]);
    let (_, all) = sim.call("GET", "/v1/PhoneNumbers/Countries?PageSize=4", &[]).await;
    assert_eq!((all["countries"].as_array().unwrap().len(), &all["meta"]["key"]), (4, &json!("countries")));
    assert!(all["meta"]["next_page_url"].as_str().unwrap().starts_with("https://"));
    let (_, ca) = sim.call("GET", "/v1/PhoneNumbers/Countries/CA", &[]).await;
    assert_eq!(ca["price_unit"], "CAD");
    assert_eq!(
        ca["phone_number_prices"],
        json!([
            {"number_type": "local", "base_price": "1.15", "current_price": "1.15"},
            {"number_type": "toll free", "base_price": "2.15", "current_price": "2.15"},
        ])
    );
    let (_, sms) = sim.call("GET", "/v1/Messaging/Countries/CA", &[]).await;
    assert_eq!(sms["inbound_sms_prices"][0]["current_price"], "0.0075");
    assert!(sms["outbound_sms_prices"][0]["prices"].is_array());
    assert_eq!(sim.call("GET", "/v1/Messaging/Countries", &[]).await.0, 200);
    assert_eq!(code(&sim.call("GET", "/v1/PhoneNumbers/Countries/ZZ", &[]).await), (404, 20404));
}

// Stock.

#[tokio::test]
async fn ten_thousand_numbers_are_sold_from_one_area_code() {
    let sim = Sim::new();
    let search = account_path(1, "AvailablePhoneNumbers/CA/Local.json?AreaCode=418&PageSize=1");
    for _ in 0..10_000 {
        let (_, found) = sim.call("GET", &search, &[]).await;
        let number = found["available_phone_numbers"][0]["phone_number"].as_str().unwrap().to_owned();
        assert_eq!(sim.buy(&number, &[]).await.0, 201);
    }
    assert_eq!((sim.sold(), sim.simulator.numbers().len()), (10_000, 10_000));
    assert_eq!(sim.simulator.calls().len(), 20_000);
}

#[tokio::test]
async fn a_limited_stock_runs_out() {
    let sim = Sim::new();
    let limits = json!([{"country": "CA", "type": "Local", "areaCode": "418", "count": 2}]);
    assert_eq!(sim.control("PUT", "stock", limits.clone()).await, (200, limits));
    let search = "AvailablePhoneNumbers/CA/Local.json?AreaCode=418&SmsEnabled=true";
    let two = numbers_in(&sim.get(search).await.1);
    assert_eq!(two.len(), 2);
    for number in &two {
        assert_eq!(sim.buy(number, &[]).await.0, 201);
    }
    assert!(numbers_in(&sim.get(search).await.1).is_empty());
    assert_eq!(code(&sim.buy(NUMBER, &[]).await), (400, 21422));
    let bad = json!([{"country": "US", "type": "Mobile", "count": 2}]);
    assert_eq!(sim.control("PUT", "stock", bad).await.0, 400);
}

// Faults, in process.

/// Puts one fault on the purchase and tries it, with a client that gives up after a second.
async fn faulted(sim: &Sim, fault: &str) -> Option<Result<Response, Severed>> {
    sim.control("PUT", "faults", json!([{"operation": "CreateIncomingPhoneNumber", "fault": fault}])).await;
    let path = account_path(1, "IncomingPhoneNumbers.json");
    let form = [("PhoneNumber", NUMBER)];
    tokio::time::timeout(Duration::from_secs(1), sim.send("POST", &path, &form)).await.ok()
}

#[tokio::test(start_paused = true)]
async fn each_fault_does_what_its_name_says() {
    // Fault, what the client sees (0: nothing, 1: a cut connection), and whether the number is sold.
    for (fault, seen, sold) in [
        ("refuse", 400, false),
        ("timeout_before", 0, false),
        ("timeout_after", 0, true),
        ("reset_before", 1, false),
        ("reset_after", 1, true),
        ("http_429", 429, false),
        ("http_503", 503, false),
        ("http_500_after", 500, true),
        ("garbage", 201, true),
        ("not_found", 404, false),
        ("slow:500", 201, true),
        ("slow:5000", 0, true),
    ] {
        let sim = Sim::new();
        let outcome = faulted(&sim, fault).await;
        let got = match &outcome {
            None => 0,
            Some(Err(Severed)) => 1,
            Some(Ok(response)) => response.status().as_u16(),
        };
        assert_eq!((got, sim.sold() == 1), (seen, sold), "{fault}");
        if let Some(Ok(response)) = outcome {
            let readable = serde_json::from_slice::<Value>(response.body()).is_ok();
            assert_eq!(readable, fault != "garbage", "{fault}");
            assert!(response.headers().contains_key("twilio-request-id"));
            assert_eq!(response.headers()["twilio-concurrent-requests"], "1");
        }
        let noted = if fault == "slow:5000" {
            201
        } else if seen == 1 {
            0
        } else {
            seen
        };
        assert_eq!(sim.statuses(), [noted], "{fault}");
        assert_eq!(sim.buy(NUMBER, &[]).await.0, 201, "once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_purchase_lands_after_the_client_has_gone() {
    let sim = Sim::new();
    assert!(faulted(&sim, "late:5000").await.is_none());
    assert_eq!((sim.sold(), sim.statuses()), (0, vec![0]));
    tokio::time::advance(Duration::from_secs(5)).await;
    while sim.sold() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sim.simulator.numbers()[0].phone_number.as_str(), NUMBER);
}

#[tokio::test]
async fn faults_are_matched_by_number_through_its_sid() {
    let sim = Sim::new();
    let (_, bought) = sim.buy(NUMBER, &[]).await;
    let (_, other) = sim.buy("+14185551235", &[]).await;
    sim.simulator.put_faults(vec![FaultSpec::always("*", Fault::Http503).for_number(e164(NUMBER))]);
    let path = |number: &Value| format!("IncomingPhoneNumbers/{}.json", number["sid"].as_str().unwrap());
    assert_eq!(sim.get(&path(&bought)).await.0, 503);
    assert_eq!(sim.get(&path(&other)).await.0, 200);
    assert_eq!(sim.of("DELETE", &path(&bought), &[]).await.0, 503);
    sim.simulator.put_faults(vec![FaultSpec::always("*", Fault::Http429).for_account(ac(2))]);
    assert_eq!(sim.get(&path(&bought)).await.0, 200);
    assert_eq!(sim.simulator.faults().len(), 1);
}

#[tokio::test]
async fn a_garbled_release_has_a_body() {
    let sim = Sim::new();
    let (_, bought) = sim.buy(NUMBER, &[]).await;
    sim.simulator.put_faults(vec![FaultSpec::once("DeleteIncomingPhoneNumber", Fault::Garbage)]);
    let path = account_path(1, &format!("IncomingPhoneNumbers/{}.json", bought["sid"].as_str().unwrap()));
    assert_eq!(sim.send("DELETE", &path, &[]).await.unwrap().status().as_u16(), 200);
    assert!(sim.simulator.numbers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn latency_passes_on_the_paused_clock() {
    let sim = Sim::new();
    sim.control("PUT", "settings", json!({"latencyMs": 60_000})).await;
    let before = tokio::time::Instant::now();
    assert_eq!(sim.get("Balance.json").await.0, 200);
    assert_eq!(before.elapsed(), Duration::from_secs(60));
}

// The control API.

#[tokio::test]
async fn the_control_api_shows_and_turns() {
    let sim = Sim::new();
    sim.buy(NUMBER, &[("FriendlyName", "a")]).await;
    let (_, ledger) = sim.control("GET", "ledger", Value::Null).await;
    assert_eq!(ledger["purchases"][0]["phoneNumber"], NUMBER);
    assert_eq!(ledger["purchases"][0]["at"], "2026-11-05T10:00:00Z");
    let (_, numbers) = sim.control("GET", "numbers", Value::Null).await;
    assert_eq!(
        numbers[0].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["accountSid", "friendlyName", "origin", "phoneNumber", "sid", "smsApplicationSid", "smsMethod", "smsUrl"]
    );
    let (_, calls) = sim.control("GET", "calls", Value::Null).await;
    assert_eq!(
        calls,
        json!([{
            "at": "2026-11-05T10:00:00Z", "method": "POST", "path": account_path(1, "IncomingPhoneNumbers.json"),
            "operation": "CreateIncomingPhoneNumber", "accountSid": ac(1), "status": 201,
        }])
    );
    let settings = json!({"buyOwned": "refuse", "latencyMs": 0, "listLagMs": 0, "strict": true});
    assert_eq!(sim.control("PUT", "settings", json!({"buyOwned": "refuse"})).await, (200, settings.clone()));
    assert_eq!(sim.control("GET", "settings", Value::Null).await.1, settings);
    assert_eq!(sim.control("PUT", "settings", json!({"latency": 1})).await.0, 400);
    assert_eq!(sim.control("PUT", "faults", json!([{"operation": "*", "fault": "boom"}])).await.0, 400);
    assert_eq!(sim.control("GET", "nothing", Value::Null).await.0, 404);
    assert_eq!(sim.control("PATCH", &format!("accounts/{}", ac(9)), json!({})).await.0, 404);
    assert_eq!(sim.control("PATCH", "accounts/x", json!({})).await.0, 400);
    let spec =
        json!({"accountSid": ac(5), "authToken": TOKEN, "type": "Trial", "numbers": [{"phoneNumber": "+14185550001"}]});
    let (status, accounts) = sim.control("POST", "accounts", spec).await;
    assert_eq!((status, accounts.as_array().unwrap().len()), (201, 2));
    assert!(!accounts.to_string().contains(TOKEN), "lists have no secrets");
    let taken = json!([{"accountSid": ac(6), "authToken": TOKEN, "numbers": [{"phoneNumber": "+14185550001"}]}]);
    assert_eq!(sim.control("POST", "accounts", taken).await.0, 409);
    assert_eq!(sim.sold(), 1, "a number that is held from the beginning was not sold");
}

// The state file.

/// A folder that goes away again.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cpn-simulator-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[tokio::test]
async fn the_state_survives_restarts() {
    let folder = Folder::new("state");
    let file = folder.0.join("state");
    let open = || {
        let sim = Sim::new();
        let simulator = Simulator::open(Settings::default(), sim.clock.clone(), &file).unwrap();
        Sim { simulator, ..sim }
    };
    let first = open();
    let (_, bought) = first.buy(NUMBER, &[("SmsUrl", "https://example.com/sms")]).await;
    let (_, gone) = first.buy("+14185551235", &[]).await;
    first.of("DELETE", &format!("IncomingPhoneNumbers/{}.json", gone["sid"].as_str().unwrap()), &[]).await;
    first.simulator.set_settings(Behaviour { strict: false, ..Behaviour::default() });
    first
        .simulator
        .put_stock(vec![serde_json::from_value(json!({"country": "CA", "type": "Local", "count": 9})).unwrap()])
        .unwrap();
    first.simulator.put_faults(vec![FaultSpec::once("FetchBalance", Fault::Http503).nth(2)]);
    assert_eq!(first.get("Balance.json").await.0, 200);
    first
        .simulator
        .deliver(InboundMessage { from: "+15145550000".to_owned(), to: e164(NUMBER), body: "x".to_owned() })
        .await;
    let usage = first.get("Usage/Records/ThisMonth.json").await;
    let seen = |sim: &Sim| {
        let s = &sim.simulator;
        (s.ledger(), s.numbers(), s.messages(), s.behaviour(), s.stock(), s.faults(), s.token(&ac(1)))
    };
    let before = seen(&first);
    let calls = first.simulator.calls();

    // As a crash in the middle of a line would leave it.
    std::fs::OpenOptions::new()
        .append(true)
        .open(&file)
        .and_then(|mut f| std::io::Write::write_all(&mut f, b"{\"chan"))
        .unwrap();
    let second = open();
    assert_eq!(seen(&second), before);
    assert_eq!(second.simulator.calls(), calls);
    assert_eq!(second.get("Usage/Records/ThisMonth.json").await, usage);
    let path = format!("IncomingPhoneNumbers/{}.json", bought["sid"].as_str().unwrap());
    assert_eq!(second.get(&path).await.1, bought);
    assert_eq!(second.get("Balance.json").await.0, 503, "the fault has kept its count");
    assert_eq!(code(&second.buy("+14185551235", &[]).await), (400, 21422), "it still rests");
    second.simulator.put_stock(Vec::new()).unwrap();
    for line in 0..9 {
        assert_eq!(second.buy(&format!("+1418555100{line}"), &[]).await.0, 201);
    }
    assert_eq!(second.simulator.numbers().len(), 10, "no identifier is given twice, even by a clock that stands still");
    let before = seen(&second);
    drop(second);
    assert_eq!(seen(&open()), before, "rewritten, it says the same");

    std::fs::write(&file, "something else\n").unwrap();
    assert!(Simulator::open(Settings::default(), Arc::new(SystemClock), &file).is_err());
}

#[tokio::test]
async fn given_accounts_do_not_undo_what_a_restart_brought_back() {
    let sim = Sim::given(vec![AccountSpec::new(ac(1), TOKEN)]);
    let rotated = TOKEN.replace('1', "b");
    sim.simulator.patch_account(&ac(1), AccountPatch { auth_token: Some(rotated.clone()), ..AccountPatch::default() });
    sim.simulator.add_new_accounts(vec![AccountSpec::new(ac(1), TOKEN), AccountSpec::new(ac(2), TOKEN)]).unwrap();
    assert_eq!(sim.simulator.token(&ac(1)), Some(rotated));
    assert!(sim.simulator.token(&ac(2)).is_some());
}

// Over sockets.

/// Something that serves on a free port until it is dropped.
struct Served {
    address: std::net::SocketAddr,
    stop: CancellationToken,
    done: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn simulator(simulator: &Simulator) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let (simulator, stopped) = (simulator.clone(), stop.clone());
        let done = tokio::spawn(async move { simulator.serve(listener, stopped).await.unwrap() });
        Self { address, stop, done }
    }

    async fn router(router: axum::Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let stopped = stop.clone();
        let done = tokio::spawn(async move {
            axum::serve(listener, router).with_graceful_shutdown(stopped.cancelled_owned()).await.unwrap();
        });
        Self { address, stop, done }
    }

    fn url(&self, path: &str) -> url::Url {
        url::Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    async fn end(self) {
        self.stop.cancel();
        self.done.await.unwrap();
    }
}

/// Sends a request on a connection of its own and returns what was answered before the connection ended.
async fn over_socket(served: &Served, request: &http::Request<Bytes>) -> (Vec<u8>, std::io::Result<usize>) {
    let mut stream = connect_and_send(served, request).await;
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer).await;
    (answer, end)
}

async fn connect_and_send(served: &Served, request: &http::Request<Bytes>) -> TcpStream {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let mut head =
        format!("{} {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", request.method(), request.uri(), served.address);
    for (name, value) in request.headers() {
        head = format!("{head}{name}: {}\r\n", value.to_str().unwrap());
    }
    head = format!("{head}content-length: {}\r\n\r\n", request.body().len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(request.body()).await.unwrap();
    stream
}

#[tokio::test]
async fn each_fault_over_a_socket() {
    for (fault, starts, sold) in [
        ("refuse", "HTTP/1.1 400", false),
        ("reset_before", "", false),
        ("reset_after", "", true),
        ("http_429", "HTTP/1.1 429", false),
        ("http_503", "HTTP/1.1 503", false),
        ("http_500_after", "HTTP/1.1 500", true),
        ("garbage", "HTTP/1.1 201", true),
        ("not_found", "HTTP/1.1 404", false),
        ("slow:1", "HTTP/1.1 201", true),
    ] {
        let sim = Sim::new();
        let served = Served::simulator(&sim.simulator).await;
        sim.simulator.put_faults(vec![FaultSpec::once("CreateIncomingPhoneNumber", fault.parse().unwrap())]);
        let request = sim.request("POST", &account_path(1, "IncomingPhoneNumbers.json"), &[("PhoneNumber", NUMBER)]);
        let (answer, end) = over_socket(&served, &request).await;
        let answer = String::from_utf8(answer).unwrap();
        if starts.is_empty() {
            assert_eq!(
                (answer.as_str(), end.unwrap_err().kind()),
                ("", std::io::ErrorKind::ConnectionReset),
                "{fault}"
            );
        } else {
            assert!(answer.starts_with(starts), "{fault}: {answer}");
        }
        assert_eq!(sim.sold() == 1, sold, "{fault}");
        served.end().await;
    }
}

#[tokio::test]
async fn an_unanswered_call_ends_with_its_client_or_with_the_simulator() {
    for (fault, sold) in [("timeout_before", false), ("timeout_after", true), ("late:1", true)] {
        let sim = Sim::new();
        let served = Served::simulator(&sim.simulator).await;
        sim.simulator.put_faults(vec![FaultSpec::always("CreateIncomingPhoneNumber", fault.parse().unwrap())]);
        let request = sim.request("POST", &account_path(1, "IncomingPhoneNumbers.json"), &[("PhoneNumber", NUMBER)]);
        let patient = connect_and_send(&served, &request).await;
        let impatient = connect_and_send(&served, &request).await;
        while sim.simulator.calls().len() < 2 || (sold && sim.sold() == 0) {
            tokio::task::yield_now().await;
        }
        drop(impatient);
        while sim.simulator.shared.in_flight.load(Ordering::Relaxed) > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(sim.sold() == 1, sold, "{fault}");
        served.end().await;
        let mut patient = patient;
        let mut answer = Vec::new();
        assert!(patient.read_to_end(&mut answer).await.is_err() && answer.is_empty(), "{fault}");
    }
}

#[tokio::test]
async fn a_plain_router_breaks_off_in_the_middle_instead() {
    let sim = Sim::new();
    let served = Served::router(sim.simulator.router()).await;
    sim.simulator.put_faults(vec![FaultSpec::once("FetchBalance", Fault::ResetBefore)]);
    let request = sim.request("GET", &account_path(1, "Balance.json"), &[]);
    let (answer, _) = over_socket(&served, &request).await;
    assert!(!String::from_utf8_lossy(&answer).ends_with("0\r\n\r\n"), "no proper end");
    let (answer, _) = over_socket(&served, &request).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    served.end().await;
}

// Inbound messages.

fn inbox(tokens: Tokens) -> Inbox {
    Inbox::new(tokens, Arc::new(SystemClock), |_| {})
}

async fn post_message(sim: &Sim, body: &str) -> (u16, Value) {
    sim.control("POST", "messages", json!({"from": "+15145550000", "to": NUMBER, "body": body})).await
}

#[tokio::test]
async fn a_message_reaches_the_inbox_with_a_valid_signature() {
    let sim = Sim::new();
    let served = Served::simulator(&sim.simulator).await;
    let inbox = inbox(Tokens::Simulator(served.url("/")));
    let receiver = Served::router(inbox.router()).await;
    for (method, expected) in [("POST", "/sms?clinic=1"), ("GET", "/sms?clinic=1&ToCountry=CA")] {
        let url = receiver.url("/sms?clinic=1#rc=3").to_string();
        assert_eq!(sim.buy(NUMBER, &[("SmsUrl", &url), ("SmsMethod", method)]).await.0, 201);
        let (status, answer) = post_message(&sim, "Bonjour, é & ü").await;
        assert_eq!((status, &answer["status"]), (200, &json!(200)), "{answer}");
        assert!(answer["body"].as_str().unwrap().ends_with("<Response/>"));
        let message = inbox.messages().pop().unwrap();
        assert!(message.signature_valid && message.body == "Bonjour, é & ü" && message.to == NUMBER);
        assert!(message.url.starts_with(receiver.url(expected).as_str()), "{}", message.url);
        assert_eq!(message.message_sid, answer["messageSid"].as_str().unwrap());
        assert_eq!(message.account_sid, ac(1).as_str());
    }
    assert_eq!(sim.simulator.messages().len(), 2);

    // Somebody else's message: kept, told apart and refused.
    let forged = http::Request::builder()
        .method("POST")
        .uri("/sms")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-twilio-signature", "AAAA")
        .body(Bytes::from(format!("AccountSid={}&Body=forged", ac(1))))
        .unwrap();
    let (answer, _) = over_socket(&receiver, &forged).await;
    assert!(answer.starts_with(b"HTTP/1.1 403"));
    assert!(!inbox.messages().pop().unwrap().signature_valid);
    let kept = http::Request::builder().uri("/messages").body(Bytes::new()).unwrap();
    let (answer, _) = over_socket(&receiver, &kept).await;
    let text = String::from_utf8(answer).unwrap();
    assert!(text.contains("\"signatureValid\":false") && text.contains("\"messageSid\""), "{text}");
    receiver.end().await;
    served.end().await;
}

#[tokio::test]
async fn messages_for_any_host_go_where_they_are_told() {
    let inbox = inbox(Tokens::Fixed(SecretString::from(TOKEN)));
    let receiver = Served::router(inbox.router()).await;
    let sim = Sim::with(Settings { deliver_to: Some(receiver.url("/in")), ..Settings::default() });
    for (method, url) in
        [("POST", "https://user:pass@sms.example.com/hook?x=It%27s"), ("GET", "https://sms.example.com/hook")]
    {
        sim.buy(NUMBER, &[("SmsUrl", url), ("SmsMethod", method)]).await;
        assert_eq!(post_message(&sim, "hello").await.1["status"], 200);
        let message = inbox.messages().pop().unwrap();
        assert!(message.signature_valid && message.url.starts_with(url), "{}", message.url);
    }
    receiver.end().await;
}

#[tokio::test]
async fn a_message_that_cannot_be_delivered_says_why() {
    let sim = Sim::new();
    let why = |answer: (u16, Value)| {
        assert_eq!((answer.0, &answer.1["status"], &answer.1["body"]), (422, &json!(0), &json!("")));
        answer.1["error"].as_str().unwrap().to_owned()
    };
    assert!(why(post_message(&sim, "x").await).contains("nobody here holds"));
    sim.buy(NUMBER, &[("SmsUrl", "https://sms.example.com/hook?key=canary")]).await;
    let remote = why(post_message(&sim, "x").await);
    assert!(remote.contains("--deliver-to") && !remote.contains("canary"), "{remote}");
    sim.buy(NUMBER, &[("SmsApplicationSid", &sid("AP", 1))]).await;
    assert!(why(post_message(&sim, "x").await).contains("sms_application_sid"));
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    sim.buy(NUMBER, &[("SmsApplicationSid", ""), ("SmsUrl", &format!("http://{closed}/?key=canary"))]).await;
    let refused = why(post_message(&sim, "x").await);
    assert!(!refused.is_empty() && !refused.contains("canary"), "{refused}");
    sim.simulator
        .patch_account(&ac(1), AccountPatch { status: Some(AccountStatus::Suspended), ..AccountPatch::default() });
    assert!(why(post_message(&sim, "x").await).contains("not active"));
    assert_eq!(sim.control("POST", "messages", json!({"from": "x", "to": "y", "body": ""})).await.0, 400);
}

#[tokio::test]
async fn the_fallback_is_called_when_the_webhook_fails() {
    let sim = Sim::new();
    let inbox = inbox(Tokens::Fixed(SecretString::from(TOKEN)));
    let receiver = Served::router(inbox.router()).await;
    let failing = Served::router(axum::Router::new()).await;
    let (main, fallback) = (failing.url("/main").to_string(), receiver.url("/fallback").to_string());
    sim.buy(NUMBER, &[("SmsUrl", &main), ("SmsFallbackUrl", &fallback)]).await;
    let (_, answer) = post_message(&sim, "x").await;
    assert_eq!(answer["status"], 200);
    assert!(answer["error"].as_str().unwrap().contains("404"));
    assert!(inbox.messages()[0].signature_valid && inbox.messages()[0].url == fallback);
    receiver.end().await;
    failing.end().await;
}

/// Every answer to a number that joins and leaves, and the pages of what is in a service.
#[tokio::test]
async fn a_number_is_in_one_messaging_service_at_most() {
    let sim = Sim::new();
    let service = async |name: &str| {
        let (status, made) = sim.call("POST", "/v1/Services", &[("FriendlyName", name)]).await;
        assert_eq!((status, made["use_inbound_webhook_on_number"].clone()), (201, json!(false)));
        assert_eq!((&made["inbound_request_url"], &made["us_app_to_person_registered"]), (&Value::Null, &json!(false)));
        made["sid"].as_str().unwrap().to_owned()
    };
    let (one, two) = (service("one").await, service("two").await);
    assert_eq!(code(&sim.call("POST", "/v1/Services", &[]).await), (400, 20422));
    let number = sim.buy(NUMBER, &[]).await.1["sid"].as_str().unwrap().to_owned();
    let numbers = |service: &str| format!("/v1/Services/{service}/PhoneNumbers");
    let join =
        async |service: &str, number: &str| sim.call("POST", &numbers(service), &[("PhoneNumberSid", number)]).await;
    let (status, joined) = join(&one, &number).await;
    assert_eq!((status, joined["service_sid"].as_str()), (201, Some(one.as_str())));
    assert_eq!(joined["capabilities"], json!(["Voice", "SMS", "MMS"]));
    assert_eq!(code(&join(&one, &number).await), (409, 21710));
    assert_eq!(code(&join(&two, &number).await), (409, 21712));
    assert_eq!(code(&join(&two, &sid("PN", 99)).await), (400, 21421));
    assert_eq!(code(&join(&sid("MG", 99), &number).await), (404, 20404));
    let member = format!("{}/{number}", numbers(&one));
    assert_eq!(sim.call("GET", &member, &[]).await.1["phone_number"], NUMBER);
    assert_eq!(sim.call("GET", &numbers(&two), &[]).await.1["phone_numbers"], json!([]));
    assert_eq!(sim.call("DELETE", &member, &[]).await.0, 204);
    assert_eq!(code(&sim.call("DELETE", &member, &[]).await), (404, 21711));
    assert_eq!(join(&two, &number).await.0, 201);
    // A number that is released leaves; a service that is deleted leaves its numbers.
    sim.of("DELETE", &format!("IncomingPhoneNumbers/{number}.json"), &[]).await;
    assert_eq!(sim.call("GET", &numbers(&two), &[]).await.1["phone_numbers"], json!([]));

    let (_, page) = sim.call("GET", "/v1/Services?PageSize=1", &[]).await;
    assert_eq!((page["meta"]["key"].as_str(), page["services"].as_array().unwrap().len()), (Some("services"), 1));
    let next = page["meta"]["next_page_url"].as_str().unwrap().to_owned();
    let (_, last) = sim.call("GET", next.strip_prefix("https://messaging.twilio.com").unwrap(), &[]).await;
    assert_eq!(last["meta"]["next_page_url"], Value::Null);
    assert_ne!(last["services"][0]["sid"], page["services"][0]["sid"]);
    assert_eq!(sim.call("DELETE", &format!("/v1/Services/{one}"), &[]).await.0, 204);
    assert_eq!(code(&sim.call("GET", &format!("/v1/Services/{one}"), &[]).await), (404, 20404));
    // Another account does not see it.
    let other =
        Sim { user: sid("AC", 2), password: TOKEN.replace('1', "2"), simulator: sim.simulator.clone(), ..Sim::new() };
    assert_eq!(other.call("GET", "/v1/Services", &[]).await.1["services"], json!([]));
    assert_eq!(code(&other.call("GET", &format!("/v1/Services/{two}"), &[]).await), (404, 20404));
}

/// Where a message goes is for the Messaging Service to say, unless it leaves that to the number.
#[tokio::test]
async fn a_messaging_service_takes_the_messages_of_its_numbers() {
    let inbox = inbox(Tokens::Fixed(SecretString::from(TOKEN)));
    let receiver = Served::router(inbox.router()).await;
    let sim = Sim::with(Settings { deliver_to: Some(receiver.url("/in")), ..Settings::default() });
    let number = sim.buy(NUMBER, &[("SmsUrl", "https://number.example.com/sms")]).await.1["sid"].clone();
    let (_, made) = sim.call("POST", "/v1/Services", &[("FriendlyName", "one")]).await;
    let path = format!("/v1/Services/{}", made["sid"].as_str().unwrap());
    let join = [("PhoneNumberSid", number.as_str().unwrap())];
    assert_eq!(sim.call("POST", &format!("{path}/PhoneNumbers"), &join).await.0, 201);
    let deliver = async || {
        let message = InboundMessage { from: "+14185559999".to_owned(), to: e164(NUMBER), body: "Oui".to_owned() };
        sim.simulator.deliver(message).await
    };
    let thrown = deliver().await;
    assert_eq!(thrown.status, 0);
    assert!(thrown.error.unwrap().contains("thrown away by Messaging Service"));
    for (form, called) in [
        (&[("InboundRequestUrl", "https://service.example.com/in")][..], "https://service.example.com/in"),
        (&[("UseInboundWebhookOnNumber", "true")], "https://number.example.com/sms"),
    ] {
        assert_eq!(sim.call("POST", &path, form).await.0, 200);
        assert_eq!(deliver().await.status, 200);
        let message = inbox.messages().pop().unwrap();
        assert!(message.signature_valid && message.url == called, "{}", message.url);
    }
    receiver.end().await;
}

#[tokio::test]
async fn what_carriers_decided_is_set_by_hand_and_told() {
    let sim = Sim::new();
    let number = sim.buy("+18335551234", &[]).await.1["sid"].as_str().unwrap().to_owned();
    let (_, made) = sim.call("POST", "/v1/Services", &[("FriendlyName", "one")]).await;
    let service = made["sid"].as_str().unwrap();
    let campaigns = format!("/v1/Services/{service}/Compliance/Usa2p");
    assert_eq!(sim.call("GET", &campaigns, &[]).await.1["compliance"], json!([]));
    assert_eq!(sim.call("GET", "/v1/Tollfree/Verifications", &[]).await.1["verifications"], json!([]));
    let states = json!({"campaigns": {service: "VERIFIED"}, "tollFree": {&number: "IN_REVIEW"}});
    assert_eq!(sim.control("PUT", "compliance", states).await.0, 200);
    assert_eq!(sim.call("GET", &campaigns, &[]).await.1["compliance"][0]["campaign_status"], "VERIFIED");
    let (_, told) = sim.call("GET", &format!("/v1/Tollfree/Verifications?TollfreePhoneNumberSid={number}"), &[]).await;
    assert_eq!(told["verifications"][0]["status"], "IN_REVIEW");
    assert_eq!(sim.call("GET", &format!("/v1/Services/{service}"), &[]).await.1["us_app_to_person_registered"], true);
    let nobodys = json!({"tollFree": {sid("PN", 99): "IN_REVIEW"}});
    assert_eq!(sim.control("PUT", "compliance", nobodys).await.0, 404);
}

/// Twilio's own libraries send an instant where a day is asked for.
#[tokio::test]
async fn messages_of_an_instant_are_those_of_its_day() {
    let sim = Sim::new();
    let (_, bought) = sim.buy(NUMBER, &[]).await;
    let number = bought["phone_number"].as_str().unwrap();
    for _ in 0..2 {
        let form = [("From", number), ("To", "+14185550199"), ("Body", "Rappel")];
        assert_eq!(sim.of("POST", "Messages.json", &form).await.0, 201);
        sim.clock.advance(Duration::from_secs(24 * 3600));
    }
    for (day, count) in [("2026-11-04", 0), ("2026-11-05", 1), ("2026-11-06", 1), ("2026-11-07", 0)] {
        for at in [day.to_owned(), format!("{day}T00:00:00Z"), format!("{day}T23:59:59Z")] {
            let (_, list) = sim.get(&format!("Messages.json?DateSent={at}")).await;
            assert_eq!(list["messages"].as_array().unwrap().len(), count, "{at}");
        }
    }
}

/// Whoever follows the links of a list stays with the simulator, credentials and all.
#[tokio::test]
async fn the_pages_of_price_lists_are_where_the_first_one_is() {
    let sim = Sim::new();
    for list in ["/v1/PhoneNumbers/Countries", "/v1/Messaging/Countries"] {
        let (_, page) = sim.call("GET", &format!("{list}?PageSize=2"), &[]).await;
        let first = page["meta"]["first_page_url"].as_str().unwrap();
        let base = first.strip_suffix(&format!("{list}?PageSize=2&Page=0")).unwrap();
        for link in [&page["meta"]["next_page_url"], &page["countries"][0]["url"]] {
            assert!(link.as_str().unwrap().starts_with(base), "{link}");
        }
    }
}

#[tokio::test]
async fn settings_of_a_service_are_shown_as_they_were_set() {
    let sim = Sim::new();
    let set = [
        ("FriendlyName", "Reminders"),
        ("StickySender", "false"),
        ("ValidityPeriod", "60"),
        ("Usecase", "notifications"),
    ];
    let (status, made) = sim.call("POST", "/v1/Services", &set).await;
    assert_eq!((status, &made["sticky_sender"], &made["validity_period"]), (201, &json!(false), &json!(60)));
    let path = format!("/v1/Services/{}", made["sid"].as_str().unwrap());
    sim.call("POST", &path, &[("FallbackUrl", "https://example.com/f")]).await;
    let (_, read) = sim.call("GET", &path, &[]).await;
    assert_eq!((&read["usecase"], &read["fallback_url"]), (&json!("notifications"), &json!("https://example.com/f")));
    assert_eq!((&read["smart_encoding"], &read["status_callback"]), (&json!(true), &json!(null)), "and others stay");
    assert_eq!(sim.call("POST", &path, &[("ValidityPeriod", "long")]).await.0, 400);
}

/// What a signature does not cover is nobody's word.
#[tokio::test]
async fn the_inbox_takes_no_value_and_no_body_that_was_not_signed() {
    let now = Now { wall: Timestamp::UNIX_EPOCH, boot: Moment::default() };
    let inbox = Inbox::new(Tokens::Fixed(TOKEN.into()), Arc::new(ManualClock::at(now)), |_| {});
    let send = async |method: &str, uri: &str, signed: &str, kind: &str| {
        let signature = crate::twilio::signature::sign::<&str, &str>(signed, &[], TOKEN);
        let request = http::Request::builder()
            .method(method)
            .uri(uri)
            .header("x-forwarded-url", signed)
            .header("x-twilio-signature", signature)
            .header("content-type", kind);
        let answer = inbox.router().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
        (answer.status().as_u16(), inbox.messages().pop().unwrap())
    };
    let signed = "https://clinic.example.com/sms?Body=Hello";
    let (status, kept) = send("GET", "/sms?Body=forged", signed, "text/plain").await;
    assert_eq!((status, kept.body.as_str()), (200, "Hello"));
    // The digest of a body that is not there.
    let digest = digest_of(b"{}");
    let url = format!("https://clinic.example.com/sms?bodySHA256={digest}");
    let (status, kept) = send("POST", "/sms", &url, "application/json").await;
    assert_eq!((status, kept.signature_valid), (403, false));
    let empty = format!("https://clinic.example.com/sms?bodySHA256={}", digest_of(b""));
    assert_eq!(send("POST", "/sms", &empty, "application/json").await.0, 200);
    // Letters in a webhook's URL.
    assert_eq!(
        send("POST", "/", "https://clinic.example.com/\u{e9}", "Application/X-WWW-Form-URLEncoded").await.0,
        200
    );
}

fn digest_of(body: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA256, body).as_ref())
}
