//! What the client's tests share: credentials that are obviously none, and a transport that answers from a script.

mod calls;
mod credentials;
mod errors;
mod paging;
mod socket;
mod wire;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use k8s_openapi::jiff::Timestamp;
use secrecy::SecretString;

use super::*;
use crate::clock::{Clock as _, ManualClock};
use crate::domain::{
    AccountSid, ApiKeySid, CountryCode, E164, HttpMethod, Moment, Now, NumberType, PhoneNumberSid, Purchase,
    Regulatory, Search, Setup, Webhook,
};

pub(super) const TOKEN: &str = "0badc0de0badc0de0badc0de0badc0de";
pub(super) const KEY_SECRET: &str = "canary/secret+not=real";

pub(super) fn account() -> AccountSid {
    AccountSid::parse(&format!("AC{}", "0".repeat(32))).unwrap()
}

pub(super) fn number_sid() -> PhoneNumberSid {
    PhoneNumberSid::parse(&format!("PN{}", "0".repeat(32))).unwrap()
}

pub(super) fn canary_token() -> Credentials {
    Credentials::new(account(), Auth::AuthToken(SecretString::from(TOKEN)))
}

pub(super) fn canary_key() -> Credentials {
    Credentials::new(
        account(),
        Auth::ApiKey {
            sid: ApiKeySid::parse(&format!("SK{}", "0".repeat(32))).unwrap(),
            secret: SecretString::from(KEY_SECRET),
            auth_token: Some(SecretString::from(TOKEN)),
        },
    )
}

/// Neither the credentials nor anything made of them, nor a webhook's query.
pub(super) fn assert_clean(text: &str) {
    let basic_token = data_encoding::BASE64.encode(format!("{}:{TOKEN}", account()).as_bytes());
    let basic_key = data_encoding::BASE64.encode(format!("SK{}:{KEY_SECRET}", "0".repeat(32)).as_bytes());
    for secret in [TOKEN, KEY_SECRET, &basic_token, &basic_key, "key=canary", "Basic "] {
        assert!(!text.to_lowercase().contains(&secret.to_lowercase()), "a secret is in: {text}");
    }
}

pub(super) fn purchase() -> Purchase {
    Purchase {
        phone_number: E164::parse("+14185551234").unwrap(),
        setup: Setup {
            friendly_name: "[cpn:abcde.abcdefghijk] (418) 555-1234".to_owned(),
            sms: Some(Webhook {
                url: "https://example.com/sms?key=canary".to_owned(),
                method: HttpMethod::POST,
                fallback: None,
            }),
            voice: None,
        },
        regulatory: Regulatory::default(),
    }
}

pub(super) fn search() -> Search {
    Search {
        country: CountryCode::parse("CA").unwrap(),
        number_type: NumberType::Local,
        area_code: None,
        contains: None,
        locality: None,
        region: None,
        postal_code: None,
        near_number: None,
        distance_miles: None,
        capabilities: Vec::new(),
        allow_beta: false,
    }
}

/// A clock and a fence that closes in ten seconds of it.
pub(super) fn fence() -> (Arc<ManualClock>, Fence) {
    let now = Now { wall: Timestamp::UNIX_EPOCH, boot: Moment::since_boot(Duration::from_secs(1000)) };
    let clock = Arc::new(ManualClock::at(now));
    let fence = Fence::new(clock.clone(), clock.now().boot.after(Duration::from_secs(10)));
    (clock, fence)
}

pub(super) fn open_fence() -> Fence {
    fence().1
}

pub(super) fn closed_fence() -> Fence {
    let (clock, fence) = fence();
    clock.advance(Duration::from_secs(10));
    fence
}

/// The JSON of a held number.
pub(super) fn held(number: &str) -> serde_json::Value {
    serde_json::json!({
        "sid": number_sid(), "account_sid": account(), "phone_number": number,
        "friendly_name": "[cpn:abcde.abcdefghijk] label",
        "capabilities": {"voice": true, "sms": true, "mms": false, "fax": false},
    })
}

pub(super) type Scripted = Result<Response<Bytes>, TransportError>;

pub(super) fn answer(status: u16, body: impl Into<String>) -> Scripted {
    let response = Response::builder().status(status).body(Bytes::from(body.into()));
    response.map_err(|error| TransportError::NotSent(error.to_string()))
}

/// A client whose transport gives these answers in turn and keeps what it was asked.
#[derive(Clone)]
pub(super) struct Script {
    asked: Arc<Mutex<Vec<Request<Bytes>>>>,
    records: Arc<Mutex<Vec<CallRecord>>>,
    client: Client,
}

impl Script {
    pub(super) fn of(answers: impl IntoIterator<Item = Scripted>) -> Self {
        let answers: Arc<Mutex<VecDeque<Scripted>>> = Arc::new(Mutex::new(answers.into_iter().collect()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let records = Arc::new(Mutex::new(Vec::new()));
        let (seen, told) = (asked.clone(), records.clone());
        let transport = Transport::new(tower::service_fn(move |request: Request<Bytes>| {
            seen.lock().unwrap().push(request);
            let next = answers.lock().unwrap().pop_front().expect("the script has no more answers");
            async move { next }
        }));
        let client = client(transport).with_observer(Arc::new(move |record| told.lock().unwrap().push(record.clone())));
        Self { asked, records, client }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn asked(&self) -> std::sync::MutexGuard<'_, Vec<Request<Bytes>>> {
        self.asked.lock().unwrap()
    }

    pub(super) fn outcomes(&self) -> Vec<&'static str> {
        self.records.lock().unwrap().iter().map(|record| record.outcome).collect()
    }

    /// The only request's target.
    pub(super) fn target(&self) -> String {
        let asked = self.asked();
        assert_eq!(asked.len(), 1);
        format!("{} {}", asked[0].method(), asked[0].uri())
    }
}

pub(super) fn client(transport: Transport) -> Client {
    Client::new(Endpoints::twilio().unwrap(), transport, Duration::from_secs(30))
}
