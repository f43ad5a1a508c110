//! The client for Twilio's REST API.
//!
//! It turns domain values into HTTP and answers into domain values, and says of every failure what it means for the
//! caller ([`Trouble`]). It repeats nothing, decides nothing and remembers nothing: whoever
//! calls knows what a second purchase would cost.
//!
//! Reading order: [`transport`] (one exchange), `error` and `codes` (what a failure means), `numbers` (the operations).
//!
//! Invariants: one request at most per call and page; nothing is sent once a fence is closed; a call that may have had
//! an effect is never told as refused; no credential, header, body or URL query is in any error, record or log line.

mod accounts;
mod codes;
pub mod credentials;
pub mod endpoints;
mod error;
mod messages;
mod messaging;
mod numbers;
mod outbox;
mod page;
mod pricing;
mod regulatory;
mod scrub;
mod search;
pub mod signature;
pub mod transport;
mod usage;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use tokio::time::Instant;
use tower::{Service as _, ServiceExt as _};
use url::Url;

use crate::clock::Fence;
use crate::domain::{Class, Meaning, Trouble};

pub use accounts::{Account, AccountStatus, AccountType};
pub use credentials::{Auth, Credentials, CredentialsProblem, SecretKeys};
pub use endpoints::{EndpointError, Endpoints, Product};
pub use messages::Way;
pub use numbers::Released;
pub use transport::{NetworkError, NetworkOptions, Transport, TransportError, network};

use error::{Failure, trouble};
use scrub::Scrubber;

/// One call, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// Twilio's operation id, such as `CreateIncomingPhoneNumber`.
    pub operation: &'static str,
    /// `ok`, `refused`, `throttled`, `ambiguous`, `not_sent` or `credentials`. A look-up that finds nothing is
    /// `refused` here, whatever its caller makes of it.
    pub outcome: &'static str,
    /// How long it took.
    pub elapsed: Duration,
    /// The HTTP status, when there was an answer.
    pub http_status: Option<u16>,
    /// Twilio's request id.
    pub request_id: Option<String>,
}

/// Is told of every call after it ended.
pub type Observer = Arc<dyn Fn(&CallRecord) + Send + Sync>;

/// Twilio's REST API, for any account: the credentials come with each call.
#[derive(Clone)]
pub struct Client {
    endpoints: Arc<Endpoints>,
    transport: Transport,
    call_timeout: Duration,
    observer: Option<Observer>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("endpoints", &self.endpoints)
            .field("call_timeout", &self.call_timeout)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client. `call_timeout` ends each exchange, whatever the transport's own limits are.
    pub fn new(endpoints: Endpoints, transport: Transport, call_timeout: Duration) -> Self {
        Self { endpoints: Arc::new(endpoints), transport, call_timeout, observer: None }
    }

    /// The same client, telling `observer` of every call.
    pub fn with_observer(self, observer: Observer) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Where Twilio's products are.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Makes one call and reads its answer. `read` gets an accepted answer only; its error text is scrubbed.
    async fn call<T>(&self, call: Call<'_>, read: impl FnOnce(&Answer) -> Result<T, String>) -> Result<T, Trouble> {
        let started = Instant::now();
        let scrubber = Scrubber::new(call.credentials);
        let told = |failure: &Failure<'_>| trouble(call.operation, &scrubber, failure);
        let (result, http_status, request_id) = match self.exchange(&call, &scrubber).await {
            Err(trouble) => (Err(trouble), None, None),
            Ok(answer) => {
                let result = if call.accepted.contains(&answer.status.as_u16()) {
                    read(&answer).map_err(|why| told(&Failure::Unreadable(&answer, &why)))
                } else if answer.status.is_success() {
                    Err(told(&Failure::Unreadable(&answer, "this success is not one that the call can have")))
                } else {
                    Err(told(&Failure::Refused(&answer)))
                };
                (result, Some(answer.status.as_u16()), error::request_id(&answer.headers, &scrubber))
            }
        };
        let result = result.map_err(|trouble| call.forgive(trouble));
        let outcome = result.as_ref().map_or_else(|trouble| outcome(trouble.meaning), |_| "ok");
        let record =
            CallRecord { operation: call.operation, outcome, elapsed: started.elapsed(), http_status, request_id };
        tracing::debug!(
            operation = record.operation,
            outcome = record.outcome,
            http_status = record.http_status,
            request_id = record.request_id,
            elapsed_ms = u64::try_from(record.elapsed.as_millis()).unwrap_or(u64::MAX),
            "called Twilio"
        );
        if let Some(observer) = &self.observer {
            observer(&record);
        }
        result
    }

    /// One exchange: at most one request leaves, and none once the fence is closed.
    async fn exchange(&self, call: &Call<'_>, scrubber: &Scrubber) -> Result<Answer, Trouble> {
        let told = |failure: &Failure<'_>| trouble(call.operation, scrubber, failure);
        let request = call.request().ok_or_else(|| told(&Failure::NotBuilt("the request is not valid HTTP")))?;
        let mut transport = self.transport.clone();
        let mut handed_over = false;
        let exchanged = tokio::time::timeout(self.call_timeout, async {
            let ready = transport.ready().await?;
            // Here and not earlier: becoming ready may take any time.
            if call.fence.is_some_and(|fence| !fence.is_open()) {
                return Ok(None);
            }
            handed_over = true;
            ready.call(request).await.map(Some)
        })
        .await;
        match exchanged {
            Ok(Ok(Some(response))) => {
                let (parts, body) = response.into_parts();
                Ok(Answer { status: parts.status, headers: parts.headers, body })
            }
            Ok(Ok(None)) => Err(told(&Failure::Fenced)),
            Ok(Err(TransportError::NotSent(why))) => Err(told(&Failure::NotSent(&why))),
            Ok(Err(TransportError::Interrupted(why))) => Err(told(&Failure::Interrupted(&why))),
            Err(_) if handed_over => Err(told(&Failure::TimedOut(self.call_timeout))),
            Err(_) => Err(told(&Failure::NotSent("the transport was not ready in time"))),
        }
    }
}

/// A complete answer.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// One call to be made.
#[derive(Clone)]
struct Call<'a> {
    operation: &'static str,
    method: Method,
    url: Url,
    credentials: &'a Credentials,
    form: Option<String>,
    fence: Option<&'a Fence>,
    accepted: &'static [u16],
    beside_the_point: bool,
}

impl<'a> Call<'a> {
    fn new(operation: &'static str, method: Method, url: Url, credentials: &'a Credentials) -> Self {
        Self { operation, method, url, credentials, form: None, fence: None, accepted: &[200], beside_the_point: false }
    }

    /// With a form-encoded body.
    fn form(self, form: String) -> Self {
        Self { form: Some(form), ..self }
    }

    /// To be sent only while the fence is open.
    fn fenced(self, fence: Option<&'a Fence>) -> Self {
        Self { fence, ..self }
    }

    /// With other statuses than 200 as success.
    fn accepting(self, accepted: &'static [u16]) -> Self {
        Self { accepted, ..self }
    }

    /// Refused access says nothing about an API key: good ones may lack the right to this.
    fn beside_the_point(self) -> Self {
        Self { beside_the_point: true, ..self }
    }

    fn request(&self) -> Option<Request<Bytes>> {
        let mut request = Request::builder()
            .method(&self.method)
            .uri(self.url.as_str())
            .header(AUTHORIZATION, self.credentials.authorization()?)
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(
                USER_AGENT,
                HeaderValue::from_static(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"))),
            );
        if self.form.is_some() {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        }
        request.body(Bytes::from(self.form.clone().unwrap_or_default())).ok()
    }

    fn forgive(&self, trouble: Trouble) -> Trouble {
        let narrow = self.beside_the_point && matches!(self.credentials.auth(), Auth::ApiKey { .. });
        if narrow && trouble.class == Class::CredentialsRejected {
            Trouble {
                meaning: Meaning::RefusedOtherwise,
                class: Class::AccountLimited,
                remedy: "This may be the API key's kind: only the auth token and Main keys may read everything."
                    .to_owned(),
                ..trouble
            }
        } else {
            trouble
        }
    }
}

fn outcome(meaning: Meaning) -> &'static str {
    match meaning {
        Meaning::NotSent => "not_sent",
        Meaning::Throttled => "throttled",
        Meaning::Ambiguous => "ambiguous",
        Meaning::RefusedNumber | Meaning::RefusedOtherwise => "refused",
        Meaning::Credentials => "credentials",
    }
}
