//! Requests to the inbox, where anybody may call.
//!
//! ```text
//! POST /sms?key=canary
//! Host: example.com
//! Content-Type: application/x-www-form-urlencoded
//! X-Twilio-Signature: …
//!
//! AccountSid=AC…&Body=hello
//! ```

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use k8s_openapi::jiff::Timestamp;
use secrecy::SecretString;
use tower::ServiceExt as _;
use url::form_urlencoded;

use super::input::{Message, sections};
use crate::clock::ManualClock;
use crate::domain::{Moment, Now};
use crate::simulator::inbox::{Inbox, ReceivedMessage, Tokens};
use crate::twilio::signature;

const TOKEN: &str = "0badc0de0badc0de0badc0de0badc0de";

/// Sends requests as they are, which nobody signed, and then signed.
pub fn inbox(data: &[u8]) {
    let now = Now { wall: Timestamp::UNIX_EPOCH, boot: Moment::since_boot(Duration::from_secs(1000)) };
    let inbox = Inbox::new(Tokens::Fixed(SecretString::from(TOKEN)), Arc::new(ManualClock::at(now)), |_| ());
    for section in sections(data) {
        let message = Message::read(section);
        let before = inbox.messages().len();
        let Some(status) = send(&inbox, &message, None) else { continue };
        let got = inbox.messages();
        let Some(received) = got.get(before) else {
            assert!(status == StatusCode::OK || status.is_client_error(), "{status}");
            continue;
        };
        assert_eq!((status, received.signature_valid), (StatusCode::FORBIDDEN, false), "{received:?}");
        signed(&inbox, &message, received);
    }
    let listed = super::run(inbox.router().oneshot(Request::get("/messages").body(Body::empty()).unwrap()));
    assert_eq!(listed.map(|response| response.status()), Ok(StatusCode::OK));
}

/// With the right signature the same request is let in, unless it is a body whose digest the URL does not have.
fn signed(inbox: &Inbox, message: &Message<'_>, received: &ReceivedMessage) {
    let is = |wanted: &[u8]| message.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let post = message.first.starts_with("POST ");
    let kinds = message.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"content-type"));
    let form = kinds
        .clone()
        .next()
        .is_some_and(|(_, kind)| kind.to_ascii_lowercase().starts_with(b"application/x-www-form-urlencoded"));
    let digest = !message.body.is_empty() || signature::has_digest(&received.url);
    if (post && !form && digest) || is(b"x-twilio-signature") {
        return;
    }
    let params: Vec<(String, String)> =
        if post && form { form_urlencoded::parse(message.body).into_owned().collect() } else { Vec::new() };
    let signature = signature::sign(&received.url, &params, TOKEN);
    let status = send(inbox, message, Some(&signature));
    // A content type that is no text is read as none.
    let odd = kinds.clone().any(|(_, kind)| !kind.is_ascii());
    assert!(status == Some(StatusCode::OK) || odd, "{status:?} {received:?}");
}

fn send(inbox: &Inbox, message: &Message<'_>, signature: Option<&str>) -> Option<StatusCode> {
    let (method, uri) = message.first.split_once(' ')?;
    let mut request = Request::new(Body::from(message.body.to_vec()));
    *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
    *request.uri_mut() = uri.parse::<Uri>().ok()?;
    for (name, value) in &message.headers {
        let (name, value) = (HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
        request.headers_mut().append(name, value);
    }
    if let Some(signature) = signature {
        request.headers_mut().insert("x-twilio-signature", signature.parse().ok()?);
    }
    super::run(inbox.router().oneshot(request)).ok().map(|response| response.status())
}
