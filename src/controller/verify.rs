//! Tries webhooks beside the passes, for resources that ask for it (`sms.verification: SignedRequest`).
//!
//! When one is tried and what is told of it is decided in [`crate::plan::verify`]; the message and the guards are in
//! [`crate::probe`].

use std::time::Duration;

use secrecy::SecretString;
use tower::ServiceExt as _;

use crate::api::conditions::Reason;
use crate::domain::{AccountSid, Moment};
use crate::plan::ObjectKey;
use crate::plan::observed::CredentialsView;
use crate::plan::verify::{self, Outcome, Target, Verification};
use crate::probe::{self, Failure, Message, Verdict};
use crate::twilio::{Auth, Credentials};

use super::beside::{Subject, digits};
use super::error::Error;
use super::{Context, secrets};

/// A token that was changed is noticed within this time.
const TOKEN: Duration = Duration::from_secs(600);

/// What was tried of a resource.
#[derive(Debug, Clone)]
pub struct Kept {
    target: Target,
    /// Of the token that signed; `None`: there was none.
    token: Option<[u8; 32]>,
    /// When the Secret was read last, and when the webhook is tried again.
    looked: Moment,
    due: Moment,
    failures: u32,
    tried: Verification,
}

/// What became of the last try of a resource's webhook.
pub(super) fn of(context: &Context, key: &ObjectKey) -> Verification {
    context.verified.get(key).map(|kept| kept.tried).unwrap_or_default()
}

/// Whether a webhook, or the token that signs for it, is to be looked at.
///
/// `born` is when this process began: what status says then is looked at as a token is.
pub(super) fn is_due(context: &Context, born: Moment, subject: &Subject) -> bool {
    let Some(target) = &subject.webhook else { return false };
    let now = context.now().boot;
    match context.verified.locked().get(&subject.key) {
        Some(kept) => kept.target != *target || kept.due <= now || now.since(kept.looked) >= TOKEN,
        None => !subject.verified || now.since(born) >= TOKEN,
    }
}

/// Tries a webhook, unless only the token was to be looked at; whether there is something new to tell.
pub(super) async fn refresh(context: &Context, account: &AccountSid, subject: &Subject) -> bool {
    let Some(target) = subject.webhook.clone() else { return false };
    let token = match token(context, account, subject).await {
        Ok(token) => token,
        // The API server did not tell: what was found before still counts.
        Err(error) => {
            tracing::debug!(%error, resource = %subject.key, "the Secret could not be read to try a webhook");
            if let Some(kept) = context.verified.locked().get_mut(&subject.key) {
                kept.looked = context.now().boot;
            }
            return false;
        }
    };
    let fingerprint = token
        .as_ref()
        .ok()
        .map(|token| Credentials::new(account.clone(), Auth::AuthToken(token.clone())).fingerprint(&context.salt));
    let now = context.now();
    let before = context.verified.get(&subject.key).filter(|kept| kept.target == target);
    if let Some(before) = before.clone().filter(|kept| kept.token == fingerprint && kept.due > now.boot) {
        context.verified.set(subject.key.clone(), Kept { looked: now.boot, ..before });
        return false;
    }
    let outcome = match token {
        Ok(token) => {
            let message =
                Message { url: &target.url, method: target.method, account, to: &subject.number, at: now.wall };
            send(context, message.request(&token)).await
        }
        Err(why) => Outcome::NotTried(why),
    };
    let accepted = matches!(outcome, Outcome::Accepted { .. });
    let same = before.filter(|kept| kept.token == fingerprint);
    let failures = if accepted { 0 } else { same.map_or(0, |kept| kept.failures).saturating_add(1) };
    if !matches!(outcome, Outcome::NotTried(_)) {
        context.metrics.tried_webhook(accepted);
    }
    let now = context.now();
    let kept = Kept {
        due: verify::next(now.boot, failures, digits(subject.sid.as_str()).into()),
        tried: Verification::Tried { target: target.clone(), at: now.wall, outcome },
        target,
        token: fingerprint,
        looked: now.boot,
        failures,
    };
    context.verified.set(subject.key.clone(), kept);
    true
}

async fn send(context: &Context, request: Result<http::Request<bytes::Bytes>, String>) -> Outcome {
    let request = match request {
        Ok(request) => request,
        Err(why) => return Outcome::NotTried(why),
    };
    let started = context.now().boot;
    let exchange = context.probe.clone().oneshot(request);
    let exchanged = tokio::time::timeout(probe::PATIENCE, exchange).await;
    let exchanged = exchanged.unwrap_or(Err(probe::TransportError::TimedOut));
    match probe::verdict(&exchanged) {
        Verdict::Accepted(status) => Outcome::Accepted { status, latency: context.now().boot.since(started) },
        Verdict::Refused(failure, words) => Outcome::Refused(reason(failure), words),
    }
}

fn reason(failure: Failure) -> Reason {
    match failure {
        Failure::NotPublic => Reason::NotPublic,
        Failure::Unreachable => Reason::Unreachable,
        Failure::Tls => Reason::TlsFailed,
        Failure::TimedOut => Reason::TimedOut,
        Failure::Redirected => Reason::Redirected,
        Failure::SignatureRefused => Reason::SignatureRefused,
        Failure::Error => Reason::WebhookFailed,
    }
}

/// The auth token of the account that holds the number: only it signs.
async fn token(
    context: &Context,
    account: &AccountSid,
    subject: &Subject,
) -> Result<Result<SecretString, String>, Error> {
    let (view, credentials) = secrets::read(context, &subject.key.namespace, &subject.secret).await?;
    let credentials = match (view, credentials) {
        (_, Some(credentials)) => credentials,
        (CredentialsView::Missing(why) | CredentialsView::Malformed(why), None) => return Ok(Err(why)),
        (CredentialsView::Present { .. } | CredentialsView::Unread, None) => {
            return Ok(Err(format!("Secret {} cannot be read", subject.secret.name)));
        }
    };
    if credentials.account() != account {
        let why =
            format!("Secret {} is of another account than {account}, which holds the number", subject.secret.name);
        return Ok(Err(why));
    }
    Ok(credentials.auth_token().cloned().ok_or_else(|| {
        format!(
            "Twilio signs with the account's auth token, and Secret {} has an API key alone: add key {:?}",
            subject.secret.name, subject.secret.auth_token_key
        )
    }))
}
