//! The way to a webhook, with everything that it must not reach left out.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tower::util::BoxCloneSyncService;
use url::Url;

use super::address::is_public;

/// One exchange with a webhook. Of the answer there is the status and the headers, and no body.
pub type Transport = BoxCloneSyncService<Request<Bytes>, Response<()>, TransportError>;

/// Why there is no answer. The texts name no URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// It is an address that nobody outside could call, or its name has none but such.
    #[error("the address is not public")]
    NotPublic,
    /// The name has no address.
    #[error("the name cannot be resolved: {0}")]
    Unresolved(String),
    /// No TLS connection came about: an expired, self-signed or foreign certificate, or no TLS at all.
    #[error("no TLS connection: {0}")]
    Tls(String),
    /// Nobody answers there.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("no answer in time")]
    TimedOut,
    /// The exchange broke.
    #[error("interrupted: {0}")]
    Interrupted(String),
}

/// A network in which nobody is: for whoever tries no webhook.
#[cfg(test)]
pub(crate) fn nobody() -> Transport {
    let answer = async |_| Err(TransportError::Unreachable("nobody is there".to_owned()));
    Transport::new(tower::service_fn(answer))
}

/// How webhooks are called.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long the whole exchange may take.
    pub patience: Duration,
    /// Whether addresses may be called that are not public.
    pub allow_private: bool,
    /// Certificates that are trusted beside the system's.
    pub roots: Vec<reqwest::Certificate>,
}

impl Default for Options {
    fn default() -> Self {
        Self { patience: super::PATIENCE, allow_private: false, roots: Vec::new() }
    }
}

/// The real network. Never through a proxy: it would resolve the name itself, and reach what this process must not.
///
/// # Errors
/// When no TLS provider is installed or the system's root certificates cannot be read.
pub fn network(options: &Options) -> Result<Transport, String> {
    let options = options.clone();
    // Now, so that what is wrong with the machine's certificates is known at the start.
    client(&options)?;
    Ok(Transport::new(tower::service_fn(move |request: Request<Bytes>| {
        // A client for each exchange: a TLS session that is resumed would not have its certificate checked again.
        let (client, allow_private) = (client(&options), options.allow_private);
        async move { exchange(client.map_err(TransportError::Unreachable)?, request, allow_private).await }
    })))
}

fn client(options: &Options) -> Result<reqwest::Client, String> {
    let allow_private = options.allow_private;
    let builder = reqwest::Client::builder()
        .user_agent(concat!("clinic-phone-operator/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .http1_only()
        // What was resolved and checked is what is called: no connection is kept for later.
        .pool_max_idle_per_host(0)
        .dns_resolver(Arc::new(Guarded { allow_private }))
        .timeout(options.patience);
    let builder = options.roots.iter().cloned().fold(builder, reqwest::ClientBuilder::add_root_certificate);
    builder.build().map_err(|error| error.without_url().to_string())
}

async fn exchange(
    client: reqwest::Client,
    request: Request<Bytes>,
    allow_private: bool,
) -> Result<Response<()>, TransportError> {
    let request = reqwest::Request::try_from(request).map_err(|error| TransportError::Unreachable(chain(&error)))?;
    // An address that stands in the URL is resolved by nobody.
    if !allow_private && literal(request.url()).is_some_and(|address| !is_public(address)) {
        return Err(TransportError::NotPublic);
    }
    let response = client.execute(request).await.map_err(|error| failure(&error.without_url()))?;
    // Dropped unread, and its connection with it: whatever its size.
    let (parts, _) = http::Response::from(response).into_parts();
    Ok(Response::from_parts(parts, ()))
}

fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        url::Host::Ipv4(address) => Some(address.into()),
        url::Host::Ipv6(address) => Some(address.into()),
        url::Host::Domain(_) => None,
    }
}

/// Resolves names, and leaves out addresses that must not be called.
struct Guarded {
    allow_private: bool,
}

#[derive(Debug, thiserror::Error)]
enum ResolveError {
    #[error("no public address")]
    NotPublic,
    #[error("{0}")]
    Failed(std::io::Error),
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(ResolveError::Failed)?;
            let all: Vec<SocketAddr> = found.filter(|at| allow_private || is_public(at.ip())).collect();
            if all.is_empty() {
                return Err(ResolveError::NotPublic.into());
            }
            let all: Addrs = Box::new(all.into_iter());
            Ok(all)
        })
    }
}

type Cause<'a> = &'a (dyn std::error::Error + 'static);

/// An error and everything behind it, also what an I/O error carries.
fn causes(error: Cause<'_>) -> Vec<Cause<'_>> {
    let mut all = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        all.push(cause);
        let carried = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = carried.map(|carried| carried as Cause<'_>).or_else(|| cause.source());
    }
    all
}

fn failure(error: &reqwest::Error) -> TransportError {
    let causes = causes(error);
    let resolved = causes.iter().find_map(|cause| cause.downcast_ref::<ResolveError>());
    let tls = causes.iter().find_map(|cause| cause.downcast_ref::<rustls::Error>());
    match (resolved, tls) {
        (Some(ResolveError::NotPublic), _) => TransportError::NotPublic,
        (Some(ResolveError::Failed(why)), _) => TransportError::Unresolved(why.to_string()),
        // Which names it has instead is nobody's business here.
        (
            None,
            Some(rustls::Error::InvalidCertificate(
                rustls::CertificateError::NotValidForName | rustls::CertificateError::NotValidForNameContext { .. },
            )),
        ) => TransportError::Tls("the certificate is for other names".to_owned()),
        (None, Some(why)) => TransportError::Tls(why.to_string()),
        (None, None) if error.is_timeout() => TransportError::TimedOut,
        (None, None) if error.is_connect() => TransportError::Unreachable(chain(error)),
        (None, None) => TransportError::Interrupted(chain(error)),
    }
}

/// The last cause, which says most.
fn chain(error: Cause<'_>) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}
