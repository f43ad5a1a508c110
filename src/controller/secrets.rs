//! Reads the Secret of one resource, when it is used and never before. Nothing of it is kept beyond the pass.

use k8s_openapi::api::core::v1::Secret;

use crate::api::v1alpha1::CredentialsSecretRef;
use crate::plan::observed::CredentialsView;
use crate::twilio::{Credentials, CredentialsProblem, SecretKeys};

use super::Context;
use super::error::{Error, call};

/// What the Secret holds: a view for the decision, and the credentials when they look right.
pub async fn read(
    context: &Context,
    namespace: &str,
    reference: &CredentialsSecretRef,
) -> Result<(CredentialsView, Option<Credentials>), Error> {
    let api: kube::Api<Secret> = kube::Api::namespaced(context.kube.clone(), namespace);
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
            let message = format!(
                "the operator may not read Secret {name} in namespace {namespace}: grant it `get` on secrets there"
            );
            return Ok((CredentialsView::Missing(message), None));
        }
        Err(error) => return Err(error),
    };
    let data = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
    let keys = SecretKeys {
        account_sid: reference.account_sid_key.clone(),
        auth_token: reference.auth_token_key.clone(),
        api_key_sid: reference.api_key_sid_key.clone(),
        api_key_secret: reference.api_key_secret_key.clone(),
    };
    Ok(match Credentials::read(&data, &keys) {
        Ok(credentials) => {
            let view = CredentialsView::Present {
                account: credentials.account().clone(),
                fingerprint: credentials.fingerprint(&context.salt),
            };
            (view, Some(credentials))
        }
        Err(problem @ CredentialsProblem::MissingKey { .. }) => {
            (CredentialsView::Missing(format!("Secret {name}: {problem}")), None)
        }
        Err(problem @ CredentialsProblem::Malformed { .. }) => {
            (CredentialsView::Malformed(format!("Secret {name}: {problem}")), None)
        }
    })
}
