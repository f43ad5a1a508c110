//! The way to the network: one HTTP exchange, never repeated, never redirected.
//!
//! A [`Transport`] is a tower `Service`, so that tests run the same client against a server in the same process.
//! The one thing that it must get right is the line between *not sent* and *interrupted*: everything that is not
//! certainly the former is the latter.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};
use tower::util::BoxCloneSyncService;

/// One HTTP exchange with the body read to its end.
pub type Transport = BoxCloneSyncService<Request<Bytes>, Response<Bytes>, TransportError>;

/// Why an exchange has no answer. The texts name no URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection came about: not one byte of the request left this process.
    #[error("not sent: {0}")]
    NotSent(String),
    /// Anything else: the request may have been acted upon.
    #[error("interrupted: {0}")]
    Interrupted(String),
}

/// The HTTP client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client could not be set up: {0}")]
pub struct NetworkError(String);

/// The limits of one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkOptions {
    /// How long a connection may take to come about, name resolution and TLS included.
    pub connect_timeout: Duration,
    /// How long the whole exchange may take, connection and body included.
    pub timeout: Duration,
    /// How long sent bytes may stay unacknowledged before the kernel gives the connection up (Linux). Without it a
    /// purchase can sit in a send queue for minutes after the exchange was given up, and be delivered then.
    pub user_timeout: Duration,
    /// The largest body that is read.
    pub max_body: usize,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            user_timeout: Duration::from_secs(15),
            max_body: 16 * 1024 * 1024,
        }
    }
}

/// Shorter than any load balancer's own limit, so that a connection is rarely closed just as a request is written.
const POOL_IDLE: Duration = Duration::from_secs(15);

/// The real network.
///
/// `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are honoured, as clusters with controlled egress expect; an exchange with
/// a loopback host never goes through a proxy, because there `127.0.0.1` would be the proxy's own.
///
/// HTTP/1.1 only: one exchange at a time on a connection, so that what happens to one says nothing about others.
///
/// One kind of repetition remains, inside the connection pool: a request whose idle connection turned out to be closed
/// before the first byte was written goes to another connection. Nothing was sent then; a request of which anything
/// was written is never written again.
///
/// # Errors
/// When no TLS provider is installed or the system's root certificates cannot be read.
pub fn network(options: &NetworkOptions) -> Result<Transport, NetworkError> {
    let proxied = client(options).build().map_err(|e| NetworkError(explain(e)))?;
    let direct = client(options).no_proxy().build().map_err(|e| NetworkError(explain(e)))?;
    let max_body = options.max_body;
    Ok(Transport::new(tower::service_fn(move |request: Request<Bytes>| {
        let client = if request.uri().host().is_some_and(is_loopback) { direct.clone() } else { proxied.clone() };
        exchange(client, request, max_body)
    })))
}

fn client(options: &NetworkOptions) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        // A 307 or 308 would send the purchase again, with the credentials, to wherever the answer says.
        .redirect(reqwest::redirect::Policy::none())
        // The default sends a request again that the server refused at the protocol level.
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .pool_idle_timeout(POOL_IDLE)
        .connect_timeout(options.connect_timeout)
        .timeout(options.timeout);
    #[cfg(target_os = "linux")]
    let builder = builder.tcp_user_timeout(options.user_timeout);
    builder
}

async fn exchange(
    client: reqwest::Client,
    request: Request<Bytes>,
    max_body: usize,
) -> Result<Response<Bytes>, TransportError> {
    // A request that cannot even be built was certainly not sent.
    let request = reqwest::Request::try_from(request).map_err(|e| TransportError::NotSent(explain(e)))?;
    let response = client.execute(request).await.map_err(|error| {
        // `is_connect` covers name resolution, TCP, proxy tunnel and TLS, and the time-out of these. A time-out of
        // the whole exchange is not among them, though it may have struck in that phase: it stays `Interrupted`.
        if error.is_connect() {
            TransportError::NotSent(explain(error))
        } else {
            TransportError::Interrupted(explain(error))
        }
    })?;
    let (parts, body) = http::Response::from(response).into_parts();
    let body = Limited::new(body, max_body)
        .collect()
        .await
        .map_err(|error| TransportError::Interrupted(format!("the answer's body: {}", chain(error.as_ref()))))?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

/// Whether a host is this machine: `localhost` and names below it, `127.0.0.0/8`, `[::1]`.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.to_ascii_lowercase().ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An error of the HTTP client without the URL: a search URL tells what a clinic looks for.
fn explain(error: reqwest::Error) -> String {
    chain(&error.without_url())
}

/// The whole chain of causes in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        // Wrappers often repeat the text of what they wrap.
        if !text.ends_with(&next_text) {
            text.push_str(": ");
            text.push_str(&next_text);
        }
        cause = next.source();
    }
    text
}
