//! Reads the Secret of one resource, when it is used and never before. Nothing of it is kept beyond the pass.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;

use crate::api::v1alpha1::CredentialsSecretRef;
use crate::plan::observed::CredentialsView;
use crate::twilio::{Credentials, CredentialsProblem, SecretKeys};

use super::Context;
use super::error::{Error, call};

/// As whom a Secret is read: what is forbidden is said of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// The operator's service account.
    Operator,
    /// Whoever runs a command.
    Person,
}

/// What the Secret holds: a view for the decision, and the credentials when they look right.
pub(super) async fn read(
    context: &Context,
    namespace: &str,
    reference: &CredentialsSecretRef,
) -> Result<(CredentialsView, Option<Credentials>), Error> {
    read_as(Reader::Operator, &context.kube, &context.salt, namespace, reference).await
}

/// As [`read`], for whoever has no context.
pub(crate) async fn read_as(
    reader: Reader,
    kube: &kube::Client,
    salt: &[u8],
    namespace: &str,
    reference: &CredentialsSecretRef,
) -> Result<(CredentialsView, Option<Credentials>), Error> {
    let api: kube::Api<Secret> = kube::Api::namespaced(kube.clone(), namespace);
    let name = &reference.name;
    let secret = match call("reading the Secret", api.get(name)).await {
        Ok(secret) => secret,
        Err(Error::Gone) => {
            let message = format!(
                "Secret {name} does not exist in namespace {namespace}: create it with keys {} and {}, or name another in spec.credentialsSecretRef",
                reference.account_sid_key, reference.auth_token_key
            );
            return Ok((CredentialsView::Missing(message), None));
        }
        Err(Error::Api { source, .. }) if matches!(&*source, kube::Error::Api(s) if s.code == 403) => {
            let who = match reader {
                Reader::Operator => "the operator",
                Reader::Person => "this user",
            };
            let message =
                format!("{who} may not read Secret {name} in namespace {namespace}: grant it `get` on secrets there");
            return Ok((CredentialsView::Missing(message), None));
        }
        Err(error) => return Err(error),
    };
    let data = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
    Ok(view(reference, &data, salt))
}

/// What a Secret's data holds. No message has any of it.
pub(crate) fn view(
    reference: &CredentialsSecretRef,
    data: &BTreeMap<String, Vec<u8>>,
    salt: &[u8],
) -> (CredentialsView, Option<Credentials>) {
    let name = &reference.name;
    let keys = SecretKeys {
        account_sid: reference.account_sid_key.clone(),
        auth_token: reference.auth_token_key.clone(),
        api_key_sid: reference.api_key_sid_key.clone(),
        api_key_secret: reference.api_key_secret_key.clone(),
    };
    match Credentials::read(data, &keys) {
        Ok(credentials) => {
            let view = CredentialsView::Present {
                account: credentials.account().clone(),
                fingerprint: credentials.fingerprint(salt),
            };
            (view, Some(credentials))
        }
        Err(problem @ CredentialsProblem::MissingKey { .. }) => {
            (CredentialsView::Missing(format!("Secret {name}: {problem}")), None)
        }
        Err(problem @ CredentialsProblem::Malformed { .. }) => {
            (CredentialsView::Malformed(format!("Secret {name}: {problem}")), None)
        }
    }
}
