//! Requests to the simulated Twilio, its control API included.
//!
//! ```text
//! POST /2010-04-01/Accounts/{account}/IncomingPhoneNumbers.json
//! Authorization: {basic}
//! Content-Type: application/x-www-form-urlencoded
//!
//! PhoneNumber=%2B14182000000
//! ```
//!
//! One after another, between lines that are `%%`, to one simulator that knows one account with two numbers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use k8s_openapi::jiff::Timestamp;
use tower::ServiceExt as _;

use super::input::{Message, fill, sections};
use crate::clock::ManualClock;
use crate::domain::{AccountSid, E164, Moment, Now};
use crate::simulator::{AccountSpec, HeldSpec, Response, Settings, Simulator};

const ACCOUNT: &str = "AC00000000000000000000000000000000";
const SID: &str = "PN00000000000000000000000000000000";
const TOKEN: &str = "0badc0de0badc0de0badc0de0badc0de";
/// A search may look at 300 000 numbers: a few of them have to do.
const MOST: usize = 6;

/// Sends requests, and looks whether the books are right afterwards.
pub fn simulator(data: &[u8]) {
    let wall = Timestamp::from_second(1_800_000_000).unwrap();
    let clock = ManualClock::at(Now { wall, boot: Moment::since_boot(Duration::from_secs(1000)) });
    let simulator = Simulator::new(Settings::default(), Arc::new(clock));
    simulator.add_accounts(vec![account()]).unwrap();
    for section in sections(data).into_iter().take(MOST) {
        let Some(request) = request(section) else { continue };
        if calls_a_webhook(&simulator, &request) {
            continue;
        }
        let (path, anonymous) =
            (request.uri().path().to_owned(), !request.headers().contains_key(header::AUTHORIZATION));
        let Some(response) = answer(&simulator, request) else { continue };
        if path.starts_with("/2010-04-01/") || path.starts_with("/v1/") {
            assert!(!anonymous || !response.status().is_success(), "{path} without credentials: {}", response.status());
        }
        let readable =
            response.body().is_empty() || serde_json::from_slice::<serde_json::Value>(response.body()).is_ok();
        assert!(readable || !simulator.faults().is_empty(), "{path}: {:?}", response.body());
    }
    books(&simulator);
}

fn account() -> AccountSpec {
    let held = |number: &str, sid: Option<&str>| HeldSpec {
        phone_number: E164::parse(number).unwrap(),
        sid: sid.map(|sid| sid.parse().unwrap()),
        friendly_name: None,
        sms_url: None,
        sms_method: None,
        sms_application_sid: None,
        voice_url: None,
        emergency_address_sid: None,
        origin: None,
    };
    let mut account = AccountSpec::new(AccountSid::parse(ACCOUNT).unwrap(), TOKEN);
    account.numbers = vec![held("+14182000001", Some(SID)), held("+442071234567", None)];
    account
}

fn request(section: &[u8]) -> Option<Request<Bytes>> {
    let basic = format!("Basic {}", data_encoding::BASE64.encode(format!("{ACCOUNT}:{TOKEN}").as_bytes()));
    let section = fill(section, &[("{account}", ACCOUNT), ("{sid}", SID), ("{basic}", &basic), ("{token}", TOKEN)]);
    let message = Message::read(&section);
    let (method, uri) = message.first.split_once(' ')?;
    let mut request = Request::new(Bytes::copy_from_slice(message.body));
    *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
    *request.uri_mut() = uri.parse::<Uri>().ok()?;
    for (name, value) in message.headers {
        let (name, value) = (HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
        request.headers_mut().append(name, value);
    }
    Some(request)
}

/// A message to a number with a webhook would leave the process.
fn calls_a_webhook(simulator: &Simulator, request: &Request<Bytes>) -> bool {
    let sends = request.uri().path() == "/_simulator/messages";
    sends && simulator.numbers().iter().any(|number| !number.sms_url.is_empty())
}

/// The answer; `None` when there is none, or none at once.
fn answer(simulator: &Simulator, request: Request<Bytes>) -> Option<Response> {
    let answer = async { tokio::time::timeout(Duration::ZERO, simulator.service().oneshot(request)).await };
    super::run(answer).ok()?.ok()
}

/// Every number is held once, and every sale is held or was released.
fn books(simulator: &Simulator) {
    let (numbers, ledger) = (simulator.numbers(), simulator.ledger());
    let held: HashSet<_> = numbers.iter().map(|number| &number.phone_number).collect();
    assert_eq!(held.len(), numbers.len(), "a number is held twice");
    let released: HashSet<_> = ledger.releases.iter().map(|entry| &entry.phone_number).collect();
    for entry in &ledger.purchases {
        assert!(held.contains(&entry.phone_number) || released.contains(&entry.phone_number), "{entry:?} is nowhere");
    }
    let sold: HashSet<_> = ledger.purchases.iter().map(|entry| &entry.phone_number).collect();
    assert_eq!(sold.len(), ledger.purchases.len(), "a number is sold twice");
}
