//! The message: as Twilio sends one, signed as Twilio signs it, and marked so that no program takes it for a patient's.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use k8s_openapi::jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use url::form_urlencoded::Serializer;

use crate::domain::{AccountSid, E164, HttpMethod};
use crate::twilio::signature;

/// The parameter that marks the message. It is signed like the others.
pub const MARK: &str = "ClinicPhoneOperatorVerification";

/// The sender: a number of Twilio's own for tests, that is nobody's
/// (<https://www.twilio.com/docs/iam/test-credentials>).
const SENDER: &str = "+15005550006";

/// What to send, where.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The webhook, as it is configured.
    pub url: &'a str,
    /// How it is called.
    pub method: HttpMethod,
    /// The account whose message it would be.
    pub account: &'a AccountSid,
    /// The number that would have received it.
    pub to: &'a E164,
    /// When it is sent.
    pub at: Timestamp,
}

impl Message<'_> {
    /// The request, signed with the account's auth token.
    ///
    /// # Errors
    /// When the URL makes no request. The text has nothing of it.
    pub fn request(&self, token: &SecretString) -> Result<Request<Bytes>, String> {
        let parameters = self.parameters();
        let form = Serializer::new(String::new()).extend_pairs(&parameters).finish();
        // Connection settings are kept in the fragment, and never sent.
        let url = self.url.split_once('#').map_or(self.url, |(url, _)| url);
        let post = self.method == HttpMethod::POST;
        let (url, signature) = if post {
            (url.to_owned(), signature::sign(url, &parameters, token.expose_secret()))
        } else {
            let separator = if url.contains('?') { '&' } else { '?' };
            let url = format!("{url}{separator}{form}");
            let signature = signature::sign::<&str, &str>(&url, &[], token.expose_secret());
            (url, signature)
        };
        let request = Request::builder()
            .method(if post { Method::POST } else { Method::GET })
            .uri(url)
            .header(signature::HEADER, signature)
            .header(header::ACCEPT, HeaderValue::from_static("text/xml, application/xml, text/plain, */*"));
        let request = if post {
            request.header(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
        } else {
            request
        };
        let body = if post { Bytes::from(form) } else { Bytes::new() };
        request.body(body).map_err(|_| "the webhook's URL makes no request".to_owned())
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        // Zeros, and the time: two of them are told apart, and neither looks like one of Twilio's.
        let sid = format!("SM{:032x}", self.at.as_second());
        vec![
            ("ToCountry", String::new()),
            ("ToState", String::new()),
            ("SmsMessageSid", sid.clone()),
            ("NumMedia", "0".to_owned()),
            ("ToCity", String::new()),
            ("SmsSid", sid.clone()),
            ("SmsStatus", "received".to_owned()),
            ("Body", "Webhook verification by clinic-phone-operator. Not a message from a person.".to_owned()),
            ("To", self.to.to_string()),
            ("NumSegments", "1".to_owned()),
            ("MessageSid", sid),
            ("AccountSid", self.account.to_string()),
            ("From", SENDER.to_owned()),
            ("ApiVersion", "2010-04-01".to_owned()),
            (MARK, "true".to_owned()),
        ]
    }
}
