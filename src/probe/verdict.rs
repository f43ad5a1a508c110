//! What an answer, or its absence, means.

use http::Response;

use super::network::TransportError;

/// Why a webhook did not take the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// It is at an address that nobody outside could call.
    NotPublic,
    /// Its name has no address, or nobody answers there.
    Unreachable,
    /// Its certificate cannot be trusted.
    Tls,
    /// It answered too late, or not to the end.
    TimedOut,
    /// It sends elsewhere.
    Redirected,
    /// It does not take the signature: 401 or 403.
    SignatureRefused,
    /// It answered with an error.
    Error,
}

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Answered with this status, 2xx.
    Accepted(u16),
    /// Not taken: why, in words with a remedy.
    Refused(Failure, String),
}

/// What an exchange comes to.
pub fn verdict(exchanged: &Result<Response<()>, TransportError>) -> Verdict {
    let refused = |failure, words: String| Verdict::Refused(failure, words);
    match exchanged {
        Ok(response) => {
            let status = response.status();
            match status.as_u16() {
                200..=299 => Verdict::Accepted(status.as_u16()),
                300..=399 => refused(
                    Failure::Redirected,
                    format!("the webhook answers {status} and sends elsewhere: set spec.sms.webhookURL to where it leads"),
                ),
                401 | 403 => refused(
                    Failure::SignatureRefused,
                    format!(
                        "the webhook answers {status}: it does not take the signature. It has to check X-Twilio-Signature with the \
                         auth token of this account and with spec.sms.webhookURL exactly as it stands there, and not ask for anything \
                         else that Twilio does not send"
                    ),
                ),
                404 | 405 | 410 => refused(
                    Failure::Error,
                    format!("the webhook answers {status}: is spec.sms.webhookURL the right path, and spec.sms.method its method?"),
                ),
                _ => refused(
                    Failure::Error,
                    format!("the webhook answers {status}: its own logs say why; Twilio would take that for a failure too"),
                ),
            }
        }
        Err(error) => match error {
            TransportError::NotPublic => refused(
                Failure::NotPublic,
                "the webhook's name leads to an address that is not public: Twilio cannot reach it, and it is not called. Use a \
                 name that resolves to a public address also inside the cluster, or start the operator with --allow-private-webhooks"
                    .to_owned(),
            ),
            TransportError::Unresolved(why) => {
                refused(Failure::Unreachable, format!("the webhook's name cannot be resolved: {why}"))
            }
            TransportError::Unreachable(why) => refused(
                Failure::Unreachable,
                format!("nobody answers at the webhook ({why}): from here, that is; the cluster's egress rules count too"),
            ),
            TransportError::Tls(why) => refused(
                Failure::Tls,
                format!(
                    "the webhook has no certificate that can be trusted ({why}): Twilio takes only one that a public authority signed, \
                     for this name, with its intermediates"
                ),
            ),
            TransportError::TimedOut => refused(
                Failure::TimedOut,
                format!(
                    "the webhook did not answer within {} s, as long as Twilio waits: answer first, and work afterwards",
                    super::PATIENCE.as_secs()
                ),
            ),
            TransportError::Interrupted(why) => {
                refused(Failure::TimedOut, format!("the webhook's answer broke off: {why}"))
            }
        },
    }
}
