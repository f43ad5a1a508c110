//! Where Twilio sends what comes in.

use serde::{Deserialize, Serialize};

/// The HTTP method that Twilio uses to call a webhook. Twilio knows these two only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub enum HttpMethod {
    /// `POST`: parameters in the body. Twilio's default, and this operator's.
    #[default]
    POST,
    /// `GET`: parameters in the query.
    GET,
}

impl HttpMethod {
    /// The method as Twilio writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::POST => "POST",
            Self::GET => "GET",
        }
    }

    /// Reads what Twilio answered: any case, and nothing at all means its default, `POST`.
    pub fn read(text: &str) -> Option<Self> {
        match text.to_ascii_uppercase().as_str() {
            "" | "POST" => Some(Self::POST),
            "GET" => Some(Self::GET),
            _ => None,
        }
    }
}

impl std::fmt::Display for HttpMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A URL that Twilio calls, with its method and what it calls when that fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The URL, exactly as the user wrote it: Twilio signs this very text.
    pub url: String,
    /// How it is called.
    pub method: HttpMethod,
    /// What is called when `url` fails; `None`: nothing.
    pub fallback: Option<(String, HttpMethod)>,
}

/// A URL without its query, fragment and user info: what may appear in a message, an event or a log.
///
/// Not every text that a program takes for a URL is written as one: `https:/user:password@host` is read as if it had two
/// slashes, and a tab inside it is passed over. What could be user info is left out either way.
pub fn printable(url: &str) -> String {
    let url: String = url.chars().filter(|c| !c.is_control()).collect();
    let url = url.trim();
    let cut = url.find(['?', '#']).map_or(url, |end| url.get(..end).unwrap_or_default());
    let plain = || cut.split_once("://").filter(|(before, _)| !before.contains('@'));
    let (scheme, rest) = scheme(cut).or_else(plain).unwrap_or(("", cut));
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let query = if cut.len() < url.len() { "?…" } else { "" };
    if scheme.is_empty() { format!("{host}{path}{query}") } else { format!("{scheme}://{host}{path}{query}") }
}

/// The scheme and what follows it, with however many slashes in between; none only where the scheme is one of the web's.
fn scheme(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    let is_name = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let of_web = ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
    (is_name && (of_web || rest.starts_with("//"))).then(|| (scheme, rest.trim_start_matches(['/', '\\'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_read_leniently() {
        assert_eq!(HttpMethod::read(""), Some(HttpMethod::POST));
        assert_eq!(HttpMethod::read("get"), Some(HttpMethod::GET));
        assert_eq!(HttpMethod::read("PUT"), None);
    }

    #[test]
    fn what_is_printed_has_no_secret() {
        assert_eq!(printable("https://example.com/sms?key=canary#f"), "https://example.com/sms?…");
        assert_eq!(printable("https://user:canary@example.com/sms"), "https://example.com/sms");
        assert_eq!(printable("https://example.com"), "https://example.com");
        for odd in [
            "https:/user:canary@example.com/sms",
            "https:user:canary@example.com/sms",
            "https:\\\\user:canary@example.com/sms",
            "https:///user:canary@example.com/sms",
            " ht\ttps:/\n/user:canary@example.com/sms",
        ] {
            assert_eq!(printable(odd), "https://example.com/sms", "{odd}");
        }
        assert_eq!(printable("user:canary@example.com/a://b"), "example.com/a://b");
    }
}
