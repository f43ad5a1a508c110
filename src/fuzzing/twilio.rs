//! Twilio's answers, whatever they are, through the real client.
//!
//! ```text
//! buy key
//! %%
//! 201
//! Twilio-Request-Id: RQ1
//!
//! {"sid": "{sid}", "account_sid": "{account}", "phone_number": "{number}"}
//! ```
//!
//! The first part is the operation, with `key` for an API key and `closed` for a fence that is over. The others are the answers
//! in turn, from the beginning again when there are no more: a status, or `unsent`, `broken`, `silence`. In braces stand what a
//! seed should not have to spell, and the credentials: an answer may repeat them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use k8s_openapi::jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;

use super::input::{Message, fill, sections};
use crate::clock::{Clock as _, Fence, ManualClock};
use crate::domain::{
    AccountSid, ApiKeySid, Capability, Class, CountryCode, E164, Field, HttpMethod, IncomingNumber, Meaning,
    MessagePrice, Moment, Now, NumberType, PhoneNumberSid, Purchase, Regulatory, Search, Setup, Trouble, Webhook,
};
use crate::plan::count::Count;
use crate::twilio::{Auth, CallRecord, Client, Credentials, Endpoints, Released, Transport, TransportError, Way};

const ACCOUNT: &str = "AC00000000000000000000000000000000";
const SID: &str = "PN00000000000000000000000000000000";
const KEY: &str = "SKc0ffee00c0ffee00c0ffee00c0ffee00";
const NUMBER: &str = "+14185551234";
const TOKEN: &str = "0badc0de0badc0de0badc0de0badc0de";
/// With everything that is written in another way in JSON, in a URL or between quotes.
const SECRET: &str = "canary/\"secret\\+not=real";
/// As many pages as the client reads.
const MOST_CALLS: usize = 1000;
/// Everything but lists.
const SINGLE: [&str; 8] = ["number", "buy", "update", "release", "account", "prices", "message-prices", "search"];

#[derive(Clone)]
enum Said {
    Answer(StatusCode, Response<Bytes>),
    Unsent(String),
    Broken(String),
    Silence,
}

/// What was asked, and what was said to it.
#[derive(Default)]
struct Exchanges {
    asked: Vec<Request<Bytes>>,
    said: Vec<Said>,
    records: Vec<CallRecord>,
}

/// Decodes answers of the client's every operation.
pub fn twilio(data: &[u8]) {
    let parts = sections(data);
    let Some((order, answers)) = parts.split_first() else { return };
    let order = String::from_utf8_lossy(order);
    let mut words = order.split_whitespace();
    let operation = words.next().unwrap_or_default();
    let flags: Vec<&str> = words.collect();
    let key = flags.contains(&"key");
    let credentials = credentials(key);
    let closed = flags.contains(&"closed");

    let exchanges = Arc::new(Mutex::new(Exchanges::default()));
    let client = client(answers.iter().map(|part| part.to_vec()).collect(), key, &exchanges);
    let result = super::run(operate(&client, operation, &credentials, closed));

    let exchanges = exchanges.lock().unwrap();
    for request in &exchanges.asked {
        goes_to_twilio(request);
    }
    let most = if SINGLE.contains(&operation) { 1 } else { MOST_CALLS };
    assert!(exchanges.asked.len() <= most, "{} calls", exchanges.asked.len());
    let fenced = closed && matches!(operation, "buy" | "release" | "update");
    assert!(!fenced || exchanges.asked.is_empty(), "sent behind a closed fence");
    for record in &exchanges.records {
        has_no_credential(&format!("{record:?}"), key);
    }
    match result {
        Ok(got) => proven(&got, &exchanges),
        Err(trouble) => told(&trouble, exchanges.said.last(), key),
    }
}

fn credentials(key: bool) -> Credentials {
    let token = SecretString::from(TOKEN);
    let auth = if key {
        let sid = ApiKeySid::parse(KEY).unwrap();
        Auth::ApiKey { sid, secret: SecretString::from(SECRET), auth_token: Some(token) }
    } else {
        Auth::AuthToken(token)
    };
    Credentials::new(AccountSid::parse(ACCOUNT).unwrap(), auth)
}

/// Basic authentication as it leaves, with the token and with the key.
fn basic() -> [String; 2] {
    [format!("{ACCOUNT}:{TOKEN}"), format!("{KEY}:{SECRET}")].map(|pair| data_encoding::BASE64.encode(pair.as_bytes()))
}

fn client(answers: Vec<Vec<u8>>, key: bool, exchanges: &Arc<Mutex<Exchanges>>) -> Client {
    let (seen, told) = (exchanges.clone(), exchanges.clone());
    let transport = Transport::new(tower::service_fn(move |request: Request<Bytes>| {
        let mut exchanges = seen.lock().unwrap();
        let turn = exchanges.asked.len();
        let text = answers.get(turn % answers.len().max(1)).map(Vec::as_slice).unwrap_or_default();
        let said = say(text, turn, key);
        exchanges.asked.push(request);
        exchanges.said.push(said.clone());
        async move {
            match said {
                Said::Answer(_, response) => Ok(response),
                Said::Unsent(why) => Err(TransportError::NotSent(why)),
                Said::Broken(why) => Err(TransportError::Interrupted(why)),
                Said::Silence => std::future::pending().await,
            }
        }
    }));
    Client::new(Endpoints::twilio().unwrap(), transport, Duration::ZERO)
        .with_observer(Arc::new(move |record| told.lock().unwrap().records.push(record.clone())))
}

fn say(text: &[u8], turn: usize, key: bool) -> Said {
    let ([basic_token, basic_key], turn) = (basic(), turn.to_string());
    let mut values =
        vec![("{account}", ACCOUNT), ("{sid}", SID), ("{number}", NUMBER), ("{n}", turn.as_str()), ("{token}", TOKEN)];
    // An answer repeats what was sent, and no other credentials.
    let quoted = quoted();
    if key {
        values.extend([
            ("{quoted}", quoted.as_str()),
            ("{key}", KEY),
            ("{secret}", SECRET),
            ("{basic}", basic_key.as_str()),
        ]);
    } else {
        values.push(("{basic}", basic_token.as_str()));
    }
    let text = fill(text, &values);
    let message = Message::read(&text);
    let (word, why) = message.first.split_once(' ').unwrap_or((&message.first, ""));
    match word {
        "unsent" => return Said::Unsent(why.to_owned()),
        "broken" => return Said::Broken(why.to_owned()),
        "silence" => return Said::Silence,
        _ => {}
    }
    let (status, body) = match word.parse().ok().and_then(|status| StatusCode::from_u16(status).ok()) {
        Some(status) => (status, message.body),
        None => (StatusCode::OK, text.as_slice()),
    };
    let mut response = Response::new(Bytes::copy_from_slice(body));
    *response.status_mut() = status;
    for (name, value) in &message.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            response.headers_mut().append(name, value);
        }
    }
    Said::Answer(status, response)
}

enum Got {
    Numbers(Vec<IncomingNumber>),
    Number(Option<IncomingNumber>),
    Bought(IncomingNumber),
    Updated(IncomingNumber),
    Released(Released),
    Other,
}

async fn operate(client: &Client, operation: &str, with: &Credentials, closed: bool) -> Result<Got, Trouble> {
    let start = Now { wall: Timestamp::UNIX_EPOCH, boot: Moment::since_boot(Duration::from_secs(1000)) };
    let clock = Arc::new(ManualClock::at(start));
    let fence = Fence::new(clock.clone(), clock.now().boot.after(Duration::from_secs(if closed { 0 } else { 10 })));
    let sid = PhoneNumberSid::parse(SID).unwrap();
    let country = CountryCode::parse("CA").unwrap();
    Ok(match operation {
        "number" => Got::Number(client.number(with, &sid).await?),
        "buy" => Got::Bought(client.buy(with, &purchase(), &fence).await?),
        "update" => {
            let fields = [(Field::SmsUrl, "https://example.com/sms?key=canary".to_owned())];
            Got::Updated(client.update(with, &sid, &fields, &fence).await?)
        }
        "release" => Got::Released(client.release(with, &sid, &fence).await?),
        "account" => {
            let account = client.account(with).await?;
            assert_eq!(account.sid.as_str(), ACCOUNT);
            Got::Other
        }
        "prices" => {
            let prices = client.number_prices(with, &country).await?;
            for kind in NumberType::ALL {
                let price = prices.monthly(kind);
                assert!(price.is_none_or(|price| !price.amount.is_sign_negative()), "a price below zero");
            }
            Got::Other
        }
        "message-prices" => {
            let prices = client.message_prices(with, &country).await?;
            for kind in NumberType::ALL {
                let below =
                    |price: MessagePrice| [price.inbound, price.outbound].iter().any(|p| p.amount.is_sign_negative());
                assert!(!prices.of(kind).is_some_and(below), "a price below zero");
            }
            Got::Other
        }
        "usage" => {
            let usage = client.usage_this_month(with).await?;
            assert!(!usage.cost.amount.is_sign_negative(), "{usage:?}");
            Got::Other
        }
        "messages" => {
            let (number, now) = (E164::parse(NUMBER).unwrap(), "2026-11-26T12:00:00Z".parse().unwrap());
            let mut count = Count::new(now);
            let since = count.since(now);
            let (sent, received) = (
                client.messages(with, &number, Way::Sent, since).await?,
                client.messages(with, &number, Way::Received, since).await?,
            );
            let most = u64::try_from(sent.len() + received.len()).unwrap();
            // Of two currencies nothing is added up.
            if count.take(now, &sent, &received).is_ok()
                && let Some(usage) = count.usage(None)
            {
                assert!(usage.sent + usage.received <= most && !usage.cost.amount.is_sign_negative(), "{usage:?}");
            }
            Got::Other
        }
        "search" => {
            for offer in client.search(with, &search(country)).await? {
                assert!(offer.phone_number.as_str().starts_with("+1418"), "{offer:?}");
                assert!(offer.capabilities.sms && offer.country.is_none_or(|c| c.as_str() == "CA"));
            }
            Got::Other
        }
        _ => Got::Numbers(client.numbers(with).await?),
    })
}

fn purchase() -> Purchase {
    let url = "https://example.com/sms?key=canary".to_owned();
    Purchase {
        phone_number: E164::parse(NUMBER).unwrap(),
        setup: Setup {
            friendly_name: "[cpn:abcde.abcdefghijk] (418) 555-1234".to_owned(),
            sms: Some(Webhook { url, method: HttpMethod::POST, fallback: None }),
            voice: None,
        },
        regulatory: Regulatory::default(),
    }
}

fn search(country: CountryCode) -> Search {
    Search {
        country,
        number_type: NumberType::Local,
        area_code: Some("418".to_owned()),
        contains: None,
        locality: None,
        region: None,
        postal_code: None,
        near_number: None,
        distance_miles: None,
        capabilities: vec![Capability::SMS],
        allow_beta: false,
    }
}

/// Credentials go to the configured origins alone, and there to this account.
fn goes_to_twilio(request: &Request<Bytes>) {
    let (uri, account) = (request.uri(), format!("/2010-04-01/Accounts/{ACCOUNT}"));
    assert_eq!(uri.scheme_str(), Some("https"), "{uri}");
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    let rest = uri.path().strip_prefix(&account);
    let fits = match authority {
        "api.twilio.com" => rest.is_some_and(|rest| rest == ".json" || rest.starts_with('/')),
        "pricing.twilio.com" => {
            matches!(uri.path(), "/v1/PhoneNumbers/Countries/CA" | "/v1/Messaging/Countries/CA")
        }
        _ => false,
    };
    assert!(fits && !uri.path().contains("/../"), "{uri}");
}

/// What was returned stands in the last answer, read in another way.
fn proven(got: &Got, exchanges: &Exchanges) {
    let Some(Said::Answer(status, response)) = exchanges.said.last() else { panic!("a result without an answer") };
    // What nobody asks for is passed over, and may be more than a `Value` takes: bytes that are no text, 1e999.
    let body: Option<Value> = serde_json::from_slice(response.body()).ok();
    let is = |number: &IncomingNumber| {
        assert_eq!(number.account.as_str(), ACCOUNT, "of another account");
        let Some(body) = &body else { return };
        assert_eq!(body["sid"], number.sid.as_str());
        assert_eq!(body["account_sid"], number.account.as_str());
        assert_eq!(body["phone_number"], number.phone_number.as_str());
    };
    let absent = || {
        let body = body.as_ref().unwrap_or(&Value::Null);
        let code = &body["code"];
        *status == 404
            && (code.as_u64().or_else(|| code.as_str()?.parse().ok()) == Some(20404) || body["errors"][0].is_object())
    };
    match got {
        Got::Released(Released::Done) => assert_eq!(*status, 204),
        Got::Released(Released::NotFound) | Got::Number(None) => assert!(absent(), "{status} does not prove absence"),
        Got::Bought(number) => {
            assert!(*status == 200 || *status == 201, "{status}");
            is(number);
            assert_eq!(number.phone_number.as_str(), NUMBER, "another number");
        }
        Got::Number(Some(number)) | Got::Updated(number) => {
            assert_eq!(*status, 200);
            is(number);
            assert_eq!(number.sid.as_str(), SID, "another number");
        }
        Got::Numbers(numbers) => {
            let sids: std::collections::HashSet<_> = numbers.iter().map(|number| &number.sid).collect();
            assert_eq!(sids.len(), numbers.len(), "a number twice");
            assert!(numbers.iter().all(|number| number.account.as_str() == ACCOUNT));
            for said in &exchanges.said {
                assert!(matches!(said, Said::Answer(status, _) if *status == 200), "a list with a hole");
            }
        }
        Got::Other => assert_eq!(*status, 200),
    }
}

/// A failure says no more than it may: of the call's effect, and of the credentials.
fn told(trouble: &Trouble, said: Option<&Said>, key: bool) {
    let text = format!("{trouble} {trouble:?}");
    has_no_credential(&text, key);
    assert!(!trouble.to_string().contains(char::is_control), "{text}");
    assert!(trouble.detail.chars().count() < 500, "too long to read: {text}");
    assert!(trouble.retry_after.is_none_or(|wait| wait <= Duration::from_secs(24 * 3600)), "{text}");
    let refused = matches!(trouble.meaning, Meaning::RefusedNumber | Meaning::RefusedOtherwise);
    match said {
        // Behind a fence.
        None => assert_eq!(trouble.meaning, Meaning::NotSent),
        Some(Said::Unsent(_)) => assert_eq!(trouble.meaning, Meaning::NotSent),
        Some(Said::Broken(_) | Said::Silence) => assert_eq!(trouble.meaning, Meaning::Ambiguous),
        Some(Said::Answer(status, response)) => match status.as_u16() {
            429 => assert_eq!(trouble.meaning, Meaning::Throttled),
            ..=399 | 408 | 500.. => assert_eq!(trouble.meaning, Meaning::Ambiguous, "{text}"),
            401 | 403 => assert_ne!(trouble.meaning, Meaning::RefusedNumber, "{text}"),
            _ => {
                let twilios = serde_json::from_slice::<Value>(response.body()).is_ok();
                assert!(twilios || !refused, "somebody else's answer is no refusal: {text}");
                assert!(trouble.class != Class::NotFound || (status.as_u16() == 404 && refused), "{text}");
            }
        },
    }
}

/// Whoever has no key cannot know what is none of its business.
fn has_no_credential(text: &str, key: bool) {
    let [basic_token, basic_key] = basic();
    let encoded: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let quoted = quoted();
    let of_key = [KEY, SECRET, &quoted, &encoded, &basic_key];
    let (lower, of_key) = (text.to_lowercase(), if key { &of_key[..] } else { &[] });
    for secret in [TOKEN, &basic_token].iter().chain(of_key) {
        assert!(!lower.contains(&secret.to_lowercase()), "a credential is in: {text}");
    }
}

/// The secret as it stands between quotes.
fn quoted() -> String {
    let quoted = format!("{SECRET:?}");
    quoted.trim_matches('"').to_owned()
}
