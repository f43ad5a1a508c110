//! Messages that come in: signed and delivered to the number's webhook, as Twilio does.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::{Host, Url, form_urlencoded};

use super::Simulator;
use super::records;
use super::state::{AccountStatus, Alert, Change, Direction};
use crate::domain::E164;
use crate::domain::webhook::printable;
use crate::twilio::signature;

/// How long a webhook has to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// How much of an answer is read.
const MAX_ANSWER: usize = 64 * 1024;

/// A message to a number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InboundMessage {
    /// Sender.
    pub from: String,
    /// The number that receives it.
    pub to: E164,
    /// Text.
    pub body: String,
}

/// What became of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// What the webhook answered; 0: nothing.
    pub status: u16,
    /// Its body.
    pub body: String,
    /// The SID of the message, once it was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_sid: Option<String>,
    /// Why the webhook was not called, or the first one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Delivery {
    fn failed(error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), ..Self::default() }
    }

    /// The status that the control API answers with: success when a webhook answered, whatever that was.
    pub(super) fn http_status(&self) -> u16 {
        if self.status > 0 { 200 } else { 422 }
    }
}

/// HTTP clients, made when they are needed: only one of the two needs the machine's certificates.
#[derive(Default)]
pub(super) struct Clients {
    plain: OnceLock<Result<reqwest::Client, String>>,
    tls: OnceLock<Result<reqwest::Client, String>>,
}

impl Clients {
    /// The client for this URL.
    pub(super) fn get(&self, url: &Url) -> Result<reqwest::Client, String> {
        let tls = url.scheme() == "https";
        let cell = if tls { &self.tls } else { &self.plain };
        cell.get_or_init(|| client(tls).map_err(|error| chain(error.as_ref()))).clone()
    }
}

/// A client that goes where it is told, once: no proxy, no redirect, no second try.
fn client(tls: bool) -> Result<reqwest::Client, Box<dyn std::error::Error + Send + Sync>> {
    let builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .timeout(PATIENCE)
        .user_agent("TwilioProxy/1.1");
    let provider = rustls::crypto::CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
    if tls {
        // Fails only when somebody else was faster, which is as good.
        drop(provider.as_ref().clone().install_default());
        return Ok(builder.build()?);
    }
    let nothing_trusted = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(builder.tls_backend_preconfigured(nothing_trusted).build()?)
}

/// An error with its causes; no part of it has a URL's query.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// A webhook to call and what to sign the call with.
struct Hook {
    url: String,
    method: String,
    token: String,
}

/// Everything that is known when a message has been received.
struct Received {
    sid: String,
    params: Vec<(&'static str, String)>,
    hook: Hook,
    fallback: Option<Hook>,
}

impl Simulator {
    /// Receives a message for a number and delivers it to its webhook; to the fallback if that fails.
    pub async fn deliver(&self, message: InboundMessage) -> Delivery {
        let received = match self.receive(&message) {
            Ok(received) => received,
            Err(delivery) => return delivery,
        };
        let message_sid = Some(received.sid);
        let first = self.call_webhook(&received.hook, &received.params).await;
        let problem = match first {
            Ok((status, body)) if (200..300).contains(&status) => {
                return Delivery { status, body, message_sid, error: None };
            }
            Ok((status, body)) => Delivery { status, body, message_sid, error: None },
            Err(error) => Delivery { message_sid, ..Delivery::failed(error) },
        };
        self.alert(&message.to, &problem, &received.hook);
        let Some(fallback) = received.fallback else { return problem };
        let mut params = received.params;
        params.push(("ErrorCode", "11200".to_owned()));
        params.push(("ErrorUrl", received.hook.url));
        let told = problem.error.unwrap_or_else(|| format!("the webhook answered {}", problem.status));
        let error = Some(format!("{told}; the fallback URL was called"));
        match self.call_webhook(&fallback, &params).await {
            Ok((status, body)) => Delivery { status, body, error, message_sid: problem.message_sid },
            Err(second) => {
                let error = Some(format!("{told}; the fallback URL too: {second}"));
                Delivery { error, message_sid: problem.message_sid, ..Delivery::default() }
            }
        }
    }

    /// What the debugger notes of a webhook that did not take a message.
    fn alert(&self, to: &E164, problem: &Delivery, hook: &Hook) {
        self.change(|world, now| {
            let Some(account) = world.holder(to).map(|number| number.account.clone()) else { return };
            // Whether there was an answer at all.
            let code = if problem.error.is_none() { 11_200 } else { 11_205 };
            let alert = Alert {
                sid: world.new_sid("NO", now),
                account,
                message: problem.message_sid.clone().unwrap_or_default(),
                code,
                method: hook.method.clone(),
                url: hook.url.clone(),
                at: now,
            };
            world.alerts.push(alert);
        });
    }

    /// Records the message and reads what is needed to deliver it.
    fn receive(&self, message: &InboundMessage) -> Result<Received, Delivery> {
        self.change(|world, now| {
            let not_found = || Delivery::failed(format!("nobody here holds {}", message.to));
            let number = world.holder(&message.to).cloned().ok_or_else(not_found)?;
            let account = world.account(&number.account).cloned().ok_or_else(not_found)?;
            if account.status != AccountStatus::Active {
                return Err(Delivery::failed(format!("account {} is not active", account.sid)));
            }
            if !number.can.sms {
                return Err(Delivery::failed(format!("{} cannot receive messages", message.to)));
            }
            let text = (message.from.as_str(), message.to.as_str(), message.body.as_str());
            let recorded =
                records::new_message(world, now, &account.sid, &number.country, Direction::Inbound, text)
                    .map_err(|error| Delivery::failed(error.message))?;
            let sid = recorded.sid.to_string();
            let segments = recorded.segments.to_string();
            world.apply(Change::Message(recorded));
            let undelivered =
                |why: String| Delivery { message_sid: Some(sid.clone()), ..Delivery::failed(why) };
            let application = number.field("SmsApplicationSid");
            if !application.is_empty() {
                return Err(undelivered(format!(
                    "not delivered to sms_url: sms_application_sid is {application}, and Twilio ignores every sms_*_url then"
                )));
            }
            let service = world.services().find(|service| service.numbers.contains(&number.sid)).cloned();
            let service = service.filter(|service| !service.on_number);
            if let Some(service) = service.as_ref().filter(|service| service.inbound_url.is_empty()) {
                return Err(undelivered(format!(
                    "thrown away by Messaging Service {}, which has no URL and does not leave messages to the number's",
                    service.sid
                )));
            }
            let hook = |url: &str, method: &str| Hook {
                url: number.field(url).to_owned(),
                method: number.method(method).to_owned(),
                token: account.auth_token.clone(),
            };
            if service.is_none() && number.field("SmsUrl").is_empty() {
                return Err(undelivered(format!("{} has no sms_url", message.to)));
            }
            let (first, fallback) = match &service {
                None => (hook("SmsUrl", "SmsMethod"), hook("SmsFallbackUrl", "SmsFallbackMethod")),
                Some(service) => {
                    let token = account.auth_token.clone();
                    let first = Hook {
                        url: service.inbound_url.clone(),
                        method: service.inbound_method.clone(),
                        token: token.clone(),
                    };
                    (first, Hook { url: String::new(), method: String::new(), token })
                }
            };
            let place = |phone: &str| {
                let offer = E164::parse(phone).ok().and_then(|phone| world.stock.find(&phone));
                let place = offer.as_ref().and_then(|offer| offer.place);
                let text = |read: fn(&super::stock::Place) -> &'static str| place.map_or("", read).to_owned();
                let country = offer.as_ref().map_or("", |offer| offer.country).to_owned();
                (country, text(|p| p.region), text(|p| p.locality).to_uppercase(), text(|p| p.postal_code))
            };
            let to = place(message.to.as_str());
            let from = place(&message.from);
            let membership = service.map(|service| ("MessagingServiceSid", service.sid.to_string()));
            let mut params = vec![
                    ("ToCountry", to.0),
                    ("ToState", to.1),
                    ("ToCity", to.2),
                    ("ToZip", to.3),
                    ("FromCountry", from.0),
                    ("FromState", from.1),
                    ("FromCity", from.2),
                    ("FromZip", from.3),
                    ("MessageSid", sid.clone()),
                    ("SmsSid", sid.clone()),
                    ("SmsMessageSid", sid.clone()),
                    ("SmsStatus", "received".to_owned()),
                    ("AccountSid", account.sid.to_string()),
                    ("From", message.from.clone()),
                    ("To", message.to.to_string()),
                    ("Body", message.body.clone()),
                    ("NumMedia", "0".to_owned()),
                    ("NumSegments", segments),
                    ("ApiVersion", "2010-04-01".to_owned()),
                ];
            params.extend(membership);
            Ok(Received {
                params,
                sid,
                hook: first,
                fallback: (!fallback.url.is_empty()).then_some(fallback),
            })
        })
    }

    /// Calls a webhook, signed for the URL as it is configured, wherever the request really goes.
    async fn call_webhook(&self, hook: &Hook, params: &[(&'static str, String)]) -> Result<(u16, String), String> {
        let configured = hook.url.split_once('#').map_or(hook.url.as_str(), |(url, _)| url);
        let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        let get = hook.method == "GET";
        let (signed_url, signature) = if get {
            let url = with_query(configured, &encoded);
            let signature = signature::sign::<&str, &str>(&url, &[], &hook.token);
            (url, signature)
        } else {
            (configured.to_owned(), signature::sign(configured, params, &hook.token))
        };
        let target = match &self.shared.deliver_to {
            Some(to) if get => with_query(to.as_str(), &encoded),
            Some(to) => to.to_string(),
            None => signed_url.clone(),
        };
        let target = Url::parse(&target).map_err(|error| format!("{}: {error}", printable(&target)))?;
        if self.shared.deliver_to.is_none() && !is_loopback(&target) {
            return Err(format!(
                "{} is not on this machine, and the simulator does not call the internet: start it with --deliver-to URL",
                printable(target.as_str())
            ));
        }
        let client = self.shared.clients.get(&target)?;
        let mut request = if get { client.get(target) } else { client.post(target) };
        request = request.header(signature::HEADER, signature);
        if self.shared.deliver_to.is_some() {
            request = request.header("X-Forwarded-Url", signed_url);
        }
        if !get {
            request = request.header("Content-Type", "application/x-www-form-urlencoded").body(encoded);
        }
        // Without its URL: a webhook's query may be a secret.
        let failed = |error: reqwest::Error| chain(&error.without_url());
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            let room = MAX_ANSWER.saturating_sub(body.len());
            body.extend(chunk.iter().take(room));
            if room < chunk.len() {
                break;
            }
        }
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// Appends to a URL's query as text: parsing the URL would normalise what is signed.
fn with_query(url: &str, encoded: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{encoded}")
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
