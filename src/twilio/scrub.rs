//! Makes text from outside fit to print: no credential, no URL query, no control character, not long.

use secrecy::{ExposeSecret as _, SecretString};

use super::credentials::Credentials;

/// The most characters of foreign text in one message: a condition message has to stay readable.
pub(super) const MAX_CHARS: usize = 300;

const REDACTED: &str = "[redacted]";

/// Knows what must not be printed.
pub(super) struct Scrubber(Vec<SecretString>);

impl Scrubber {
    pub(super) fn new(credentials: &Credentials) -> Self {
        Self(credentials.unprintable())
    }

    /// One line of at most [`MAX_CHARS`] characters.
    pub(super) fn line(&self, text: &str) -> String {
        let mut text: String =
            text.chars().map(|c| if c.is_control() { ' ' } else { c }).filter(|c| !is_invisible(*c)).collect();
        for secret in &self.0 {
            text = replace(&text, secret.expose_secret());
        }
        let words: Vec<String> = text.split_whitespace().map(without_query).collect();
        let text = words.join(" ");
        match text.char_indices().nth(MAX_CHARS) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
            None => text,
        }
    }
}

/// Characters that show nothing, or turn the reading direction of what follows.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Replaces every occurrence, in any case: hexadecimal digits may come back in the other one.
fn replace(text: &str, secret: &str) -> String {
    if secret.is_empty() {
        return text.to_owned();
    }
    // ASCII lower-casing keeps byte positions.
    let (haystack, needle) = (text.to_ascii_lowercase(), secret.to_ascii_lowercase());
    let mut result = String::new();
    let mut from = 0;
    for (at, found) in haystack.match_indices(&needle) {
        result.push_str(text.get(from..at).unwrap_or_default());
        result.push_str(REDACTED);
        from = at + found.len();
    }
    result.push_str(text.get(from..).unwrap_or_default());
    result
}

/// One word with whatever follows a `?` inside it cut off, and in a URL the fragment and the user info too.
fn without_query(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    let is_url = word.contains("://") || lower.contains("%3a%2f%2f");
    let cut =
        [word.find('?'), lower.find("%3f"), word.find('#').filter(|_| is_url), lower.find("%23").filter(|_| is_url)]
            .into_iter()
            .flatten()
            .min();
    let (kept, rest) = word.split_at(cut.unwrap_or(word.len()));
    // A question mark that ends a sentence is no query.
    let is_query = rest.chars().any(char::is_alphanumeric);
    let kept = if is_query { format!("{kept}?…") } else { word.to_owned() };
    let Some((scheme, after)) = kept.split_once("://") else { return kept };
    let authority = after.split('/').next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://{}", after.get(at + 1..).unwrap_or_default()),
        None => kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ApiKeySid;
    use crate::twilio::Auth;
    use crate::twilio::tests::{canary_key, canary_token};

    #[test]
    fn urls_lose_query_fragment_and_user_info() {
        for (from, to) in [
            ("see https://example.com/a?key=canary now", "see https://example.com/a?… now"),
            ("SmsUrl=https://u:canary@example.com/a#canary", "SmsUrl=https://example.com/a?…"),
            ("\"https://example.com/a?b=canary\"", "\"https://example.com/a?…"),
            ("/2010-04-01/x.json?PhoneNumber=canary", "/2010-04-01/x.json?…"),
            ("https%3A%2F%2Fexample.com%3Fkey%3Dcanary", "https%3A%2F%2Fexample.com?…"),
            ("is it taken? yes", "is it taken? yes"),
            ("item #3", "item #3"),
            ("a\r\n\tb\u{0}c\u{202e}d", "a b cd"),
        ] {
            assert_eq!(Scrubber(Vec::new()).line(from), to);
        }
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let text = Scrubber(Vec::new()).line(&"é".repeat(1000));
        assert_eq!(text.chars().count(), MAX_CHARS + 1);
        assert!(text.ends_with('…'));
    }

    #[test]
    fn a_secret_that_an_error_quotes_is_replaced() {
        let secret = "canary\"secret\\not=real";
        let auth = Auth::ApiKey {
            sid: ApiKeySid::parse(&format!("SK{}", "0".repeat(32))).unwrap(),
            secret: SecretString::from(secret),
            auth_token: None,
        };
        let scrubber = Scrubber::new(&Credentials::new(crate::twilio::tests::account(), auth));
        assert_eq!(scrubber.line(&format!("invalid value: string {secret:?}")), "invalid value: string \"[redacted]\"");
    }

    #[test]
    fn credentials_are_replaced_in_any_case() {
        for credentials in [canary_token(), canary_key()] {
            let scrubber = Scrubber::new(&credentials);
            for secret in credentials.unprintable() {
                let secret = secret.expose_secret();
                for text in [secret.to_owned(), secret.to_uppercase(), format!("x{secret}{secret}y")] {
                    let line = scrubber.line(&text);
                    assert!(!line.to_lowercase().contains(&secret.to_lowercase()), "{line}");
                    assert!(line.contains(REDACTED));
                }
            }
        }
    }
}
