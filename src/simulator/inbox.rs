//! A sample endpoint for received messages: checks the signature, answers, keeps what came.
//!
//! Not a product: a stand-in for the function that a clinic runs, for demonstrations and tests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use http::{HeaderValue, Method, StatusCode, header};
use k8s_openapi::jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::{Url, form_urlencoded};

use super::inbound::Clients;
use crate::clock::SharedClock;
use crate::domain::AccountSid;
use crate::twilio::signature;

/// How many messages are kept: the newest.
const KEPT: usize = 20_000;

/// How many characters of a text are kept: as many as a message can have.
const KEPT_TEXT: usize = 1_600;

/// No webhook request is larger.
const MAX_BODY: usize = 64 * 1024;

/// Where the tokens come from that signatures are checked with.
pub enum Tokens {
    /// One token for all.
    Fixed(SecretString),
    /// Asked of a simulator at this address, for the account that each message names.
    Simulator(Url),
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceivedMessage {
    /// When.
    pub at: Timestamp,
    /// The URL that was signed: the configured webhook.
    pub url: String,
    /// Whose message.
    pub account_sid: String,
    /// Its SID.
    pub message_sid: String,
    /// Sender.
    pub from: String,
    /// The number that received it.
    pub to: String,
    /// Text.
    pub body: String,
    /// Whether Twilio, or whoever has the token, sent it.
    pub signature_valid: bool,
}

/// Told of every message.
type Listener = Box<dyn Fn(&ReceivedMessage) + Send + Sync>;

/// The endpoint. Clones share what they keep.
#[derive(Clone)]
pub struct Inbox {
    shared: Arc<Shared>,
}

struct Shared {
    tokens: Tokens,
    clock: SharedClock,
    clients: Clients,
    kept: Mutex<VecDeque<ReceivedMessage>>,
    listener: Listener,
}

impl Inbox {
    /// An endpoint that calls `listener` for every message.
    pub fn new(
        tokens: Tokens,
        clock: SharedClock,
        listener: impl Fn(&ReceivedMessage) + Send + Sync + 'static,
    ) -> Self {
        let (clients, kept, listener) = (Clients::default(), Mutex::default(), Box::new(listener));
        Self { shared: Arc::new(Shared { tokens, clock, clients, kept, listener }) }
    }

    /// The endpoint as a router: `GET /messages` shows what came, everything else is a webhook.
    pub fn router(&self) -> axum::Router {
        axum::Router::new().route("/messages", get(messages).post(webhook)).fallback(webhook).with_state(self.clone())
    }

    /// What came, oldest first.
    pub fn messages(&self) -> Vec<ReceivedMessage> {
        self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    async fn token(&self, account: &str) -> Option<SecretString> {
        let base = match &self.shared.tokens {
            Tokens::Fixed(token) => return Some(token.clone()),
            Tokens::Simulator(base) => base,
        };
        // Parsed, so that what a stranger sent as an account cannot become another path.
        let account = AccountSid::parse(account).ok()?;
        let url = base.join(&format!("/_simulator/accounts/{account}/token")).ok()?;
        let response = self.shared.clients.get(&url).ok()?.get(url).send().await.ok()?;
        let answer: serde_json::Value = serde_json::from_slice(&response.bytes().await.ok()?).ok()?;
        answer.get("authToken")?.as_str().map(SecretString::from)
    }

    fn keep(&self, message: ReceivedMessage) {
        (self.shared.listener)(&message);
        let mut kept = self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(message);
    }
}

async fn messages(State(inbox): State<Inbox>) -> axum::Json<Vec<ReceivedMessage>> {
    axum::Json(inbox.messages())
}

async fn webhook(State(inbox): State<Inbox>, request: http::Request<Body>) -> http::Response<Body> {
    let (parts, body) = request.into_parts();
    if !matches!(parts.method, Method::GET | Method::POST) {
        return answer(StatusCode::METHOD_NOT_ALLOWED, "");
    }
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return answer(StatusCode::PAYLOAD_TOO_LARGE, "");
    };
    // As UTF-8 and not as ASCII alone: a webhook's URL may have letters.
    let header = |name: &str| {
        let bytes = parts.headers.get(name).map(HeaderValue::as_bytes);
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    };
    let url = match header("x-forwarded-url") {
        "" => {
            let scheme = Some(header("x-forwarded-proto")).filter(|scheme| !scheme.is_empty()).unwrap_or("http");
            let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
            format!("{scheme}://{}{path}", header("host"))
        }
        // Anybody can send this header, but only who has the token can sign what it says.
        forwarded => forwarded.to_owned(),
    };
    let is_form = header("content-type").to_ascii_lowercase().starts_with("application/x-www-form-urlencoded");
    let pairs = |bytes: &[u8]| -> Vec<(String, String)> { form_urlencoded::parse(bytes).into_owned().collect() };
    let form = if parts.method == Method::POST && is_form { pairs(&body) } else { Vec::new() };
    // Of the URL that is signed: what else the request has in its query is anybody's word.
    let query = pairs(url.split_once('?').map_or("", |(_, query)| query).as_bytes());
    let value = |name: &str| {
        let found = form.iter().chain(&query).find(|(key, _)| key == name);
        found.map(|(_, value)| value.chars().take(KEPT_TEXT).collect::<String>()).unwrap_or_default()
    };
    let account_sid = value("AccountSid");
    let signature = header("x-twilio-signature");
    let signature_valid = match inbox.token(&account_sid).await {
        None => false,
        Some(token)
            if parts.method == Method::POST && !is_form && (!body.is_empty() || signature::has_digest(&url)) =>
        {
            signature::verify_body(&url, &body, signature, token.expose_secret())
        }
        Some(token) => signature::verify(&url, &form, signature, token.expose_secret()),
    };
    inbox.keep(ReceivedMessage {
        at: inbox.shared.clock.now().wall,
        url,
        account_sid,
        message_sid: value("MessageSid"),
        from: value("From"),
        to: value("To"),
        body: value("Body"),
        signature_valid,
    });
    if signature_valid {
        answer(StatusCode::OK, "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response/>")
    } else {
        answer(StatusCode::FORBIDDEN, "")
    }
}

fn answer(status: StatusCode, twiml: &'static str) -> http::Response<Body> {
    let mut response = http::Response::new(Body::from(twiml));
    *response.status_mut() = status;
    if !twiml.is_empty() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    }
    response
}
