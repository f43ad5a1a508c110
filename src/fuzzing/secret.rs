//! A Secret's data, whatever it is, read as credentials.
//!
//! ```text
//! accountSid authToken apiKeySid apiKeySecret
//! %%
//! accountSid
//! AC00000000000000000000000000000000
//! ```
//!
//! The first part is the names of the four keys; the others are the data, each with its key in the first line.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;

use super::input::sections;
use crate::api::v1alpha1::CredentialsSecretRef;
use crate::controller::secrets;
use crate::plan::observed::CredentialsView;
use crate::twilio::Credentials;

/// Hexadecimal, so that it passes for a part of every SID and token.
const CANARY: &[u8] = b"c0ffee00c0ffee";

type Data = BTreeMap<String, Vec<u8>>;

/// Reads a Secret, and the same one with a canary at several places of every value.
pub fn secret(data: &[u8]) {
    let parts = sections(data);
    let Some((names, values)) = parts.split_first() else { return };
    let names = String::from_utf8_lossy(names);
    if names.to_lowercase().contains("c0ffee") {
        return;
    }
    let mut names = names.split_whitespace();
    let mut name = |otherwise: &str| names.next().unwrap_or(otherwise).to_owned();
    let reference = CredentialsSecretRef {
        name: "twilio".to_owned(),
        account_sid_key: name("accountSid"),
        auth_token_key: name("authToken"),
        api_key_sid_key: name("apiKeySid"),
        api_key_secret_key: name("apiKeySecret"),
    };
    let data: Data = values.iter().filter_map(entry).collect();
    look(&reference, &data);
    for (key, value) in &data {
        // In place, so that the shape stays; and in between, so that it does not.
        for at in [0, 2, value.len() / 2, value.len()] {
            let mut replaced = value.clone();
            let end = (at + CANARY.len()).min(value.len());
            replaced.splice(at.min(end)..end, CANARY.iter().copied());
            let mut inserted = value.clone();
            inserted.splice(at.min(value.len())..at.min(value.len()), CANARY.iter().copied());
            for with_canary in [replaced, inserted] {
                let mut data = data.clone();
                data.insert(key.clone(), with_canary);
                look(&reference, &data);
            }
        }
    }
}

fn entry(part: &&[u8]) -> Option<(String, Vec<u8>)> {
    let end = part.iter().position(|b| *b == b'\n')?;
    Some((String::from_utf8_lossy(&part[..end]).into_owned(), part[end + 1..].to_vec()))
}

fn look(reference: &CredentialsSecretRef, data: &Data) {
    let (view, credentials) = secrets::view(reference, data, b"salt");
    if let CredentialsView::Missing(message) | CredentialsView::Malformed(message) = &view {
        assert!(credentials.is_none());
        assert!(!message.to_lowercase().contains("c0ffee"), "the Secret's content is in: {message}");
    }
    if let CredentialsView::Present { account, fingerprint } = &view {
        let credentials = credentials.expect("a view and no credentials");
        assert_eq!(credentials.account(), account);
        assert_eq!(*fingerprint, credentials.fingerprint(b"salt"));
        assert_ne!(*fingerprint, credentials.fingerprint(b"pepper"));
        hides_itself(&credentials);
    }
}

/// Of complete credentials the account alone is printed.
fn hides_itself(credentials: &Credentials) {
    let printed = format!("{credentials:?}").replace(credentials.account().as_str(), "");
    assert!(!printed.to_lowercase().contains("c0ffee"), "{printed}");
    let token = credentials.auth_token().map(ExposeSecret::expose_secret);
    assert!(token.is_none_or(|token| !printed.contains(token)));
}
