//! `X-Twilio-Signature`: how the receiver of a webhook knows that Twilio sent it.
//!
//! HMAC-SHA1, keyed with the account's auth token, over the URL and the form parameters
//! (<https://www.twilio.com/docs/usage/webhooks/webhooks-security>). The URL is signed as text: parsing it first would
//! normalise what was signed, so nothing here does.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::{BASE64, HEXLOWER};
use ring::{digest, hmac};

/// The header that carries the signature.
pub const HEADER: &str = "X-Twilio-Signature";

/// The query parameter that carries the digest of a body that is no form.
const BODY_DIGEST: &str = "bodySHA256";

/// Signs a request to `url` with these form parameters (none for `GET`: its parameters are part of the URL).
///
/// A fragment is not signed: Twilio keeps connection settings there and never sends it.
pub fn sign<K: AsRef<str>, V: AsRef<str>>(url: &str, params: &[(K, V)], token: &str) -> String {
    let tag = hmac::sign(&key(token), message(without_fragment(url), params).as_bytes());
    BASE64.encode(tag.as_ref())
}

/// Signs a request whose body is no form: returns the URL to call, with the body's digest in its query, and the
/// signature of that URL.
pub fn sign_body(url: &str, body: &[u8], token: &str) -> (String, String) {
    let url = without_fragment(url);
    let separator = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{separator}{BODY_DIGEST}={}", sha256(body));
    let signature = sign::<&str, &str>(&url, &[], token);
    (url, signature)
}

/// Whether `signature` was made for this URL and these form parameters with this token.
///
/// Tried as given, with the scheme's default port added and with the port removed, since Twilio's side is not
/// consistent about it. Compares in constant time.
pub fn verify<K: AsRef<str>, V: AsRef<str>>(url: &str, params: &[(K, V)], signature: &str, token: &str) -> bool {
    let Ok(tag) = BASE64.decode(signature.as_bytes()) else { return false };
    let key = key(token);
    let url = without_fragment(url);
    // All three are computed whatever the first says: which of them matched is nobody's business either.
    [Some(url.to_owned()), with_port(url), without_port(url)]
        .into_iter()
        .flatten()
        .fold(false, |valid, url| hmac::verify(&key, message(&url, params).as_bytes(), &tag).is_ok() | valid)
}

/// Whether `signature` was made for this URL and a body that is no form: the URL's `bodySHA256` must be the body's.
pub fn verify_body(url: &str, body: &[u8], signature: &str, token: &str) -> bool {
    claimed_digest(url).is_some_and(|claimed| claimed == sha256(body))
        && verify::<&str, &str>(url, &[], signature, token)
}

/// Whether the URL speaks of a body that is no form.
pub fn has_digest(url: &str) -> bool {
    claimed_digest(url).is_some()
}

fn claimed_digest(url: &str) -> Option<&str> {
    let (_, query) = without_fragment(url).split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(BODY_DIGEST)?.strip_prefix('='))
}

fn key(token: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.as_bytes())
}

fn sha256(body: &[u8]) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, body).as_ref())
}

/// The text that is signed: the URL, then each name with its distinct values, both sorted by bytes.
///
/// Whole names are sorted, not name and value together: `Reason=Participant` comes before `ReasonConferenceEnded=test`.
fn message<K: AsRef<str>, V: AsRef<str>>(url: &str, params: &[(K, V)]) -> String {
    let mut sorted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in params {
        sorted.entry(name.as_ref()).or_default().insert(value.as_ref());
    }
    let mut message = url.to_owned();
    for (name, values) in sorted {
        for value in values {
            message.push_str(name);
            message.push_str(value);
        }
    }
    message
}

fn without_fragment(url: &str) -> &str {
    url.split_once('#').map_or(url, |(url, _)| url)
}

/// Splits a URL around its port: what is before it, the port if there is one, what follows.
fn around_port(url: &str) -> Option<(&str, Option<&str>, &str)> {
    let start = url.find("://")? + 3;
    let authority = url.get(start..)?;
    let end = start + authority.find(['/', '?']).unwrap_or(authority.len());
    let (head, tail) = (url.get(..end)?, url.get(end..)?);
    let host_start = head.rfind('@').map_or(start, |at| at + 1);
    // The colons of an IPv6 address are inside brackets, the port's comes after them.
    let after_brackets = head.rfind(']').map_or(host_start, |bracket| bracket + 1);
    match head.get(after_brackets..)?.rfind(':') {
        Some(colon) => {
            let colon = after_brackets + colon;
            Some((head.get(..colon)?, head.get(colon + 1..), tail))
        }
        None => Some((head, None, tail)),
    }
}

fn with_port(url: &str) -> Option<String> {
    let (head, port, tail) = around_port(url)?;
    if port.is_some() {
        return None;
    }
    let default = if url.starts_with("https:") { 443 } else { 80 };
    Some(format!("{head}:{default}{tail}"))
}

fn without_port(url: &str) -> Option<String> {
    let (head, port, tail) = around_port(url)?;
    port.map(|_| format!("{head}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "12345";
    const V1: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
    const V1_PORT: &str = "https://mycompany.com:443/myapp.php?foo=1&bar=2";
    const P: &[(&str, &str)] = &[
        ("CallSid", "CA1234567890ABCDE"),
        ("Caller", "+14158675309"),
        ("Digits", "1234"),
        ("From", "+14158675309"),
        ("To", "+18005551212"),
    ];
    const NONE: &[(&str, &str)] = &[];
    const JSON_DIGEST: &str = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
    const JSON: &[u8] = br#"{"property": "value", "boolean": true}"#;

    fn p_and(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
        P.iter().chain(more).copied().collect()
    }

    #[test]
    fn signs_as_the_official_libraries_do() {
        let vectors = [
            (V1, P.to_vec(), "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
            (V1_PORT, P.to_vec(), "kvajT1Ptam85bY51eRf/AJRuM3w="),
            ("http://mycompany.com:80/myapp.php?foo=1&bar=2", P.to_vec(), "0ZXoZLH/DfblKGATFgpif+LLRf4="),
            ("http://mycompany.com:1234/myapp.php?foo=1&bar=2", P.to_vec(), "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
            ("https://user:pass@mycompany.com/myapp.php?foo=1&bar=2", P.to_vec(), "CukzLTc1tT5dXEDIHm/tKBanW10="),
            (
                V1,
                vec![
                    ("Sid", "CA123"),
                    ("SidAccount", "AC123"),
                    ("Digits", "5678"),
                    ("Digits", "1234"),
                    ("Digits", "1234"),
                ],
                "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
            ),
            (
                V1,
                p_and(&[("ReasonConferenceEnded", "test"), ("Reason", "Participant")]),
                "vOEb5UThFn24KEfnOFLQY2AE5FY=",
            ),
            (V1, vec![("property", "value"), ("boolean", "true")], "NBdBDr/T/lgjI+tlgpXjKZQZs/k="),
            (
                "https://mycompany.com/myapp.php?foo=1&bar=2&Body=It%27s+amazing",
                P.to_vec(),
                "TfZzewPq8wqrGlMfyAud8+/IvJ0=",
            ),
        ];
        for (url, params, signature) in &vectors {
            assert_eq!(sign(url, params, TOKEN), *signature, "{url}");
            assert!(verify(url, params, signature, TOKEN), "{url}");
            assert!(!verify(url, params, signature, "54321"), "{url}");
            assert!(!verify(&format!("{url}&more=1"), params, signature, TOKEN), "{url}");
        }
    }

    #[test]
    fn signs_bodies_that_are_no_form() {
        let vectors: &[(&str, &str)] = &[
            (V1, "a9nBmqA0ju/hNViExpshrM61xv4="),
            ("https://mycompany.com/myapp.php", "y77kIzt2vzLz71DgmJGsen2scGs="),
        ];
        for (url, signature) in vectors {
            let (signed, made) = sign_body(url, JSON, TOKEN);
            assert!(signed.ends_with(&format!("bodySHA256={JSON_DIGEST}")));
            assert_eq!(made, *signature);
            assert!(verify_body(&signed, JSON, signature, TOKEN));
            assert!(!verify_body(&signed, b"{}", signature, TOKEN), "another body");
            assert!(!verify_body(url, JSON, signature, TOKEN), "no digest in the URL");
        }
    }

    #[test]
    fn verifies_with_and_without_the_port() {
        assert!(verify(V1, P, "kvajT1Ptam85bY51eRf/AJRuM3w=", TOKEN), "signed with the default port");
        assert!(verify(V1_PORT, P, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", TOKEN), "signed without the port");
        let http = "http://mycompany.com/myapp.php?foo=1&bar=2";
        assert!(verify(http, P, "0ZXoZLH/DfblKGATFgpif+LLRf4=", TOKEN), "signed with port 80");
        assert!(!verify(V1, P, "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=", TOKEN), "another port of another scheme");

        // Official, and matched through the added port alone.
        let (url, made) = sign_body(V1, b"{}", TOKEN);
        let official = "Ldidvp12m26NI7eqEvxnEpkd9Hc=";
        assert_ne!(made, official);
        assert!(verify_body(&url, b"{}", official, TOKEN));
    }

    #[test]
    fn ports_are_found_in_any_authority() {
        assert_eq!(with_port("https://user:pass@h/p").as_deref(), Some("https://user:pass@h:443/p"));
        assert_eq!(without_port("https://user:pass@h:8443?x=1").as_deref(), Some("https://user:pass@h?x=1"));
        assert_eq!(with_port("http://[::1]/p").as_deref(), Some("http://[::1]:80/p"));
        assert_eq!(without_port("http://[::1]:8080/p").as_deref(), Some("http://[::1]/p"));
        assert_eq!((with_port("nonsense"), without_port("https://h/a:b")), (None, None));
    }

    #[test]
    fn the_fragment_is_not_signed_and_nonsense_is_no_signature() {
        let signature = sign("https://h.example/p#rc=3", P, TOKEN);
        assert_eq!(signature, sign("https://h.example/p", P, TOKEN));
        assert!(verify("https://h.example/p#rc=3", P, &signature, TOKEN));
        assert!(!verify(V1, NONE, "", TOKEN) && !verify(V1, NONE, "not base64!", TOKEN));
    }
}
