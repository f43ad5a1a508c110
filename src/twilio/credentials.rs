//! The credentials of one account, read from a Secret's data.
//!
//! Shapes are checked before anything is sent: a token in the wrong field is told at once, by the name of its key and
//! never by its value.

use std::collections::BTreeMap;

use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use crate::domain::{AccountSid, ApiKeySid, ParseError};

/// The names of the keys inside the Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretKeys {
    /// The account's SID.
    pub account_sid: String,
    /// The account's auth token.
    pub auth_token: String,
    /// An API key's SID.
    pub api_key_sid: String,
    /// The API key's secret.
    pub api_key_secret: String,
}

impl Default for SecretKeys {
    fn default() -> Self {
        Self {
            account_sid: "accountSid".to_owned(),
            auth_token: "authToken".to_owned(),
            api_key_sid: "apiKeySid".to_owned(),
            api_key_secret: "apiKeySecret".to_owned(),
        }
    }
}

/// How calls are authenticated (<https://www.twilio.com/docs/iam/api-keys>).
#[derive(Clone)]
pub enum Auth {
    /// With the account's own token.
    AuthToken(SecretString),
    /// With an API key, which Twilio prefers: it can be withdrawn alone.
    ApiKey {
        /// The key's SID, the user name of the call.
        sid: ApiKeySid,
        /// The key's secret.
        secret: SecretString,
        /// The account's token, if the Secret has it too: only it can sign and verify webhooks.
        auth_token: Option<SecretString>,
    },
}

/// Complete, well-formed credentials of one account. Whether Twilio accepts them is for Twilio to say.
#[derive(Clone)]
pub struct Credentials {
    account: AccountSid,
    auth: Auth,
}

/// Why a Secret has no usable credentials. Carries key names and shapes, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsProblem {
    /// A key is not there.
    #[error("key {key:?} is missing: {remedy}")]
    MissingKey {
        /// The key's name.
        key: String,
        /// What to do.
        remedy: String,
    },
    /// A key's value is not what it should be.
    #[error("key {key:?}: {problem}: {remedy}")]
    Malformed {
        /// The key's name.
        key: String,
        /// What is wrong with the value.
        problem: String,
        /// What to do.
        remedy: String,
    },
}

const TOKEN_CHARS: usize = 32;

fn is_token(text: &str) -> bool {
    text.len() == TOKEN_CHARS && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn malformed(key: &str, problem: impl Into<String>, remedy: impl Into<String>) -> CredentialsProblem {
    CredentialsProblem::Malformed { key: key.to_owned(), problem: problem.into(), remedy: remedy.into() }
}

/// One value of the Secret, without the line end that editors and `echo` leave there.
enum Entry<'a> {
    Absent,
    Empty,
    Text(&'a str),
}

fn entry<'a>(data: &'a BTreeMap<String, Vec<u8>>, key: &str) -> Result<Entry<'a>, CredentialsProblem> {
    let Some(bytes) = data.get(key) else { return Ok(Entry::Absent) };
    let text = std::str::from_utf8(bytes)
        .map_err(|_| malformed(key, "the value is not UTF-8 text", "store it as plain text, encoded once"))?
        .trim();
    Ok(if text.is_empty() { Entry::Empty } else { Entry::Text(text) })
}

/// A value that must be there.
fn required<'a>(entry: &Entry<'a>, key: &str, remedy: &str) -> Result<&'a str, CredentialsProblem> {
    match entry {
        Entry::Text(text) => Ok(text),
        Entry::Empty => Err(malformed(key, "the value is empty", remedy)),
        Entry::Absent => Err(CredentialsProblem::MissingKey { key: key.to_owned(), remedy: remedy.to_owned() }),
    }
}

impl Credentials {
    /// Credentials from their parts.
    pub fn new(account: AccountSid, auth: Auth) -> Self {
        Self { account, auth }
    }

    /// Reads a Secret's data. A complete API key is preferred over the auth token; half a key is an error, because
    /// falling back in silence would leave the user with other permissions than they set up.
    ///
    /// # Errors
    /// When a key is missing or a value has the wrong shape.
    pub fn read(data: &BTreeMap<String, Vec<u8>>, keys: &SecretKeys) -> Result<Self, CredentialsProblem> {
        let account_entry = entry(data, &keys.account_sid)?;
        let token_entry = entry(data, &keys.auth_token)?;
        let key_sid = entry(data, &keys.api_key_sid)?;
        let key_secret = entry(data, &keys.api_key_secret)?;

        let account = required(
            &account_entry,
            &keys.account_sid,
            "put the Account SID (AC…) there; the Twilio Console shows it on its first page",
        )?;
        let account = account_sid(account, &token_entry, keys)?;

        let token = match token_entry {
            Entry::Text(text) => Some(auth_token(text, keys)?),
            Entry::Empty | Entry::Absent => None,
        };
        // An empty pair is what a template without values leaves: the same as none.
        let has_key = matches!(key_sid, Entry::Text(_)) || matches!(key_secret, Entry::Text(_));
        let auth = if has_key {
            let sid = required(
                &key_sid,
                &keys.api_key_sid,
                &format!("{:?} is there: add the SID (SK…) of the same API key", keys.api_key_secret),
            )?;
            let secret = required(
                &key_secret,
                &keys.api_key_secret,
                &format!(
                    "{:?} is there: add the secret of the same API key; Twilio showed it once, when the key was made",
                    keys.api_key_sid
                ),
            )?;
            Auth::ApiKey { sid: api_key_sid(sid, keys)?, secret: api_key_secret(secret, keys)?, auth_token: token }
        } else if let Some(token) = token {
            Auth::AuthToken(token)
        } else {
            let remedy = format!(
                "add the account's auth token there, or an API key as {:?} and {:?}",
                keys.api_key_sid, keys.api_key_secret
            );
            required(&token_entry, &keys.auth_token, &remedy)?;
            return Err(CredentialsProblem::MissingKey { key: keys.auth_token.clone(), remedy });
        };
        Ok(Self { account, auth })
    }

    /// The account that the credentials are for.
    pub fn account(&self) -> &AccountSid {
        &self.account
    }

    /// How calls are authenticated.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// The account's auth token, where known: only it signs webhooks
    /// (<https://www.twilio.com/docs/usage/webhooks/webhooks-security>).
    pub fn auth_token(&self) -> Option<&SecretString> {
        match &self.auth {
            Auth::AuthToken(token) => Some(token),
            Auth::ApiKey { auth_token, .. } => auth_token.as_ref(),
        }
    }

    /// A salted SHA-256 over everything, so that a circuit breaker can tell that credentials were rotated without
    /// keeping them.
    pub fn fingerprint(&self, salt: &[u8]) -> [u8; 32] {
        let (kind, user, password) = match &self.auth {
            Auth::AuthToken(token) => ("token", self.account.as_str(), token.expose_secret()),
            Auth::ApiKey { sid, secret, .. } => ("key", sid.as_str(), secret.expose_secret()),
        };
        let token = self.auth_token().map_or("", |token| token.expose_secret());
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        for part in [
            salt,
            kind.as_bytes(),
            self.account.as_str().as_bytes(),
            user.as_bytes(),
            password.as_bytes(),
            token.as_bytes(),
        ] {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        for (to, from) in digest.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        digest
    }

    /// The `Authorization` header, marked so that nothing prints it.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(self.basic().expose_secret()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    fn basic(&self) -> SecretString {
        let pair = match &self.auth {
            Auth::AuthToken(token) => format!("{}:{}", self.account, token.expose_secret()),
            Auth::ApiKey { sid, secret, .. } => format!("{sid}:{}", secret.expose_secret()),
        };
        SecretString::from(format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes())))
    }

    /// Every text that must not appear in anything that is printed.
    pub(super) fn unprintable(&self) -> Vec<SecretString> {
        let basic = self.basic();
        let mut all: Vec<SecretString> =
            basic.expose_secret().strip_prefix("Basic ").map(SecretString::from).into_iter().collect();
        all.extend(self.auth_token().cloned());
        if let Auth::ApiKey { sid, secret, .. } = &self.auth {
            all.push(SecretString::from(sid.as_str()));
            let encoded: String = url::form_urlencoded::byte_serialize(secret.expose_secret().as_bytes()).collect();
            all.push(SecretString::from(encoded));
            // As errors of a decoder quote it.
            let quoted = format!("{:?}", secret.expose_secret());
            all.push(SecretString::from(quoted.trim_matches('"')));
            all.push(secret.clone());
        }
        all
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("account", &self.account).field("auth", &self.auth).finish()
    }
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AuthToken(_) => f.write_str("AuthToken([REDACTED])"),
            Self::ApiKey { .. } => f.write_str("ApiKey([REDACTED])"),
        }
    }
}

fn account_sid(text: &str, token: &Entry<'_>, keys: &SecretKeys) -> Result<AccountSid, CredentialsProblem> {
    AccountSid::parse(text).map_err(|error| {
        let key = &keys.account_sid;
        let swapped = is_token(text) && matches!(token, Entry::Text(other) if AccountSid::parse(other).is_ok());
        if swapped {
            malformed(
                key,
                format!("it looks swapped with {:?}", keys.auth_token),
                format!("put the AC… SID under {key:?} and the token under {:?}", keys.auth_token),
            )
        } else if ApiKeySid::parse(text).is_ok() {
            malformed(
                key,
                "it is the SID of an API key",
                format!("put the AC… SID there and the SK… one under {:?}", keys.api_key_sid),
            )
        } else {
            shape(key, error, "put the Account SID there")
        }
    })
}

fn auth_token(text: &str, keys: &SecretKeys) -> Result<SecretString, CredentialsProblem> {
    if is_token(text) {
        return Ok(SecretString::from(text));
    }
    let key = &keys.auth_token;
    Err(if AccountSid::parse(text).is_ok() {
        malformed(
            key,
            "it is an Account SID",
            format!("put the auth token there and the AC… SID under {:?}", keys.account_sid),
        )
    } else if ApiKeySid::parse(text).is_ok() {
        malformed(
            key,
            "it is the SID of an API key",
            format!("put the auth token there and the SK… SID under {:?}", keys.api_key_sid),
        )
    } else if text.chars().count() == TOKEN_CHARS {
        malformed(
            key,
            "it has a character that is no hexadecimal digit",
            "copy the auth token again from the Twilio Console; an API key's secret does not belong there",
        )
    } else {
        malformed(
            key,
            format!("it has {} characters instead of {TOKEN_CHARS}", text.chars().count()),
            "copy the auth token again from the Twilio Console; encode it once, not twice",
        )
    })
}

fn api_key_sid(text: &str, keys: &SecretKeys) -> Result<ApiKeySid, CredentialsProblem> {
    ApiKeySid::parse(text).map_err(|error| {
        let key = &keys.api_key_sid;
        if AccountSid::parse(text).is_ok() {
            malformed(
                key,
                "it is an Account SID",
                format!("put the SK… SID there and the AC… one under {:?}", keys.account_sid),
            )
        } else {
            shape(key, error, "put the SID of the API key there")
        }
    })
}

fn api_key_secret(text: &str, keys: &SecretKeys) -> Result<SecretString, CredentialsProblem> {
    let key = &keys.api_key_secret;
    if ApiKeySid::parse(text).is_ok() {
        return Err(malformed(
            key,
            "it is the SID of an API key",
            format!("put the key's secret there and the SK… SID under {:?}", keys.api_key_sid),
        ));
    }
    // Twilio's are 32 letters and digits today; the bounds leave room, and keep nonsense and line breaks out.
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(malformed(key, "it has a character that is not visible ASCII", "copy the API key's secret again"));
    }
    if !(16..=64).contains(&text.len()) {
        return Err(malformed(
            key,
            format!("it has {} characters, 16 to 64 are possible", text.len()),
            "copy the API key's secret again",
        ));
    }
    Ok(SecretString::from(text))
}

/// The shape of a value is fit to print, see [`ParseError`].
fn shape(key: &str, error: ParseError, remedy: &str) -> CredentialsProblem {
    malformed(key, error.problem, remedy)
}
