//! Requests and answers in the shapes of Twilio's API: forms, errors, pages, dates.

use data_encoding::BASE64;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

/// How the `User-Agent` of the operator's client begins.
const OURS: &str = concat!(env!("CARGO_PKG_NAME"), "/");

/// A request, read into memory.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: http::Method,
    /// The path, percent-encoded as it came.
    pub path: String,
    /// Parameters of the query.
    pub query: Vec<(String, String)>,
    /// Parameters of the body.
    pub form: Vec<(String, String)>,
    /// User and password of Basic authentication.
    pub credentials: Option<(String, String)>,
    /// Host and port that it was sent to: some answers have absolute URLs.
    pub host: Option<String>,
    /// The type of its body, where it has one.
    pub content_type: Option<String>,
    /// Whether the operator's own client sent it.
    pub is_ours: bool,
}

impl Request {
    /// Reads the parts that matter.
    pub fn read(method: http::Method, uri: &http::Uri, headers: &http::HeaderMap, body: &[u8]) -> Self {
        let pairs = |bytes: &[u8]| form_urlencoded::parse(bytes).into_owned().collect();
        let header = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        let content_type = header(http::header::CONTENT_TYPE);
        let is_form = content_type.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
        Self {
            method,
            path: uri.path().to_owned(),
            query: pairs(uri.query().unwrap_or_default().as_bytes()),
            form: if is_form { pairs(body) } else { Vec::new() },
            credentials: header(http::header::AUTHORIZATION).and_then(basic_credentials),
            content_type: content_type.map(str::to_owned),
            is_ours: header(http::header::USER_AGENT).is_some_and(|agent| agent.starts_with(OURS)),
            host: header(http::header::HOST)
                .or_else(|| uri.authority().map(http::uri::Authority::as_str))
                .map(str::to_owned),
        }
    }

    /// The base of absolute URLs in answers: where the request came to, or a product's own host.
    pub fn base(&self, product: &str) -> String {
        let host = self.host.as_deref();
        host.map_or_else(|| format!("https://{product}.twilio.com"), |host| format!("http://{host}"))
    }

    /// A parameter of the form.
    pub fn form_value(&self, name: &str) -> Option<&str> {
        self.form.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn basic_credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let text = String::from_utf8(BASE64.decode(encoded.trim().as_bytes()).ok()?).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

/// A JSON object with more fields.
pub(super) fn with<'a>(mut object: Value, more: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    object
}

/// An answer before it is bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body; `None`: empty.
    pub body: Option<Value>,
}

impl Answer {
    /// 200 with this body.
    pub fn ok(body: Value) -> Self {
        Self { status: 200, body: Some(body) }
    }

    /// 201 with this body.
    pub fn created(body: Value) -> Self {
        Self { status: 201, body: Some(body) }
    }

    /// 204.
    pub fn no_content() -> Self {
        Self { status: 204, body: None }
    }
}

/// An error as Twilio answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// Twilio's code.
    pub code: u32,
    /// For people.
    pub message: String,
}

impl ApiError {
    /// An error with any status.
    pub fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// 400.
    pub fn bad(code: u32, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    /// 401, in the words that the real one has for every such case.
    pub fn unauthorized() -> Self {
        Self::new(401, 20003, "Authenticate")
    }

    /// 404.
    pub fn not_found(path: &str) -> Self {
        Self::new(404, 20404, format!("The requested resource {path} was not found"))
    }
}

impl From<ApiError> for Answer {
    fn from(error: ApiError) -> Self {
        let more_info = format!("https://www.twilio.com/docs/errors/{}", error.code);
        let body = json!({
            "code": error.code, "message": error.message, "more_info": more_info, "status": error.status,
        });
        Self { status: error.status, body: Some(body) }
    }
}

/// The parameters of one call, all of them known to it.
#[derive(Debug, Clone)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Takes the query and, for `POST`, the form.
    ///
    /// Twilio ignores a name it does not know, so that a misspelt one seems to work; `strict` answers 400 instead.
    pub fn read(request: &Request, known: &[&str], strict: bool) -> Result<Self, ApiError> {
        let form: &[_] = if request.method == http::Method::POST { &request.form } else { &[] };
        let all: Vec<_> = request.query.iter().chain(form).cloned().collect();
        match all.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) if strict => Err(ApiError::bad(
                20001,
                format!(
                    "Unknown parameter {name:?}. The real API ignores it silently; the simulator's setting \"strict\": \
                     false does so too"
                ),
            )),
            _ => Ok(Self(all)),
        }
    }

    /// The last value under this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The last value under this name, unless it is empty.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// A boolean; absent or empty is `None`.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.filled(name).map(|value| read_bool(name, value)).transpose()
    }

    /// A whole number; absent or empty is `None`.
    pub fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        self.filled(name)
            .map(|value| value.parse().map_err(|_| ApiError::bad(20422, format!("{name} is not a whole number"))))
            .transpose()
    }
}

/// Reads a boolean parameter.
pub fn read_bool(name: &str, value: &str) -> Result<bool, ApiError> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(ApiError::bad(20422, format!("{name} is neither true nor false"))),
    }
}

const PAGING: [&str; 3] = ["PageSize", "Page", "PageToken"];
const MAX_PAGE_SIZE: u64 = 1000;

/// Which page of a list is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Items on a page.
    pub size: usize,
    /// The page's number, from 0.
    pub number: u64,
    /// The key of the last item of the page before; `None` on the first.
    pub after: Option<u64>,
}

impl Page {
    /// Reads the paging parameters. `keyed`: pages after the first need the token that their predecessor gave.
    pub fn read(params: &Params, keyed: bool) -> Result<Self, ApiError> {
        let size = params.number("PageSize")?.unwrap_or(50);
        if size > MAX_PAGE_SIZE {
            return Err(ApiError::bad(20007, format!("Page size must be at most {MAX_PAGE_SIZE}")));
        }
        let size = usize::try_from(size).ok().filter(|size| *size > 0);
        let size = size.ok_or_else(|| ApiError::bad(20422, "PageSize must be at least 1"))?;
        let number = params.number("Page")?.unwrap_or(0);
        let bad_token = || ApiError::bad(20422, "PageToken is not one that a page gave");
        let after = params
            .filled("PageToken")
            .map(|token| token.strip_prefix("PA").and_then(|key| key.parse().ok()).ok_or_else(bad_token))
            .transpose()?;
        if keyed && number > 0 && after.is_none() {
            return Err(ApiError::bad(20422, "Page needs the PageToken of next_page_uri: follow that instead"));
        }
        Ok(Self { size, number, after })
    }

    /// The list's envelope. `more`: the key of the last item here if there is another page.
    ///
    /// All `*_uri` are relative, as the real ones.
    pub fn envelope(&self, path: &str, params: &Params, key: &str, items: Vec<Value>, more: Option<u64>) -> Value {
        let uri = |page: u64, after: Option<u64>| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(params.0.iter().filter(|(name, _)| !PAGING.contains(&name.as_str())));
            query.append_pair("PageSize", &self.size.to_string()).append_pair("Page", &page.to_string());
            if let Some(after) = after {
                query.append_pair("PageToken", &format!("PA{after:032}"));
            }
            format!("{path}?{}", query.finish())
        };
        let start = self.number.saturating_mul(u64::try_from(self.size).unwrap_or(0));
        let end = start.saturating_add(u64::try_from(items.len().saturating_sub(1)).unwrap_or(0));
        let mut envelope = Map::new();
        envelope.insert("page".to_owned(), self.number.into());
        envelope.insert("page_size".to_owned(), self.size.into());
        envelope.insert("start".to_owned(), start.into());
        envelope.insert("end".to_owned(), end.into());
        envelope.insert("uri".to_owned(), uri(self.number, self.after).into());
        envelope.insert("first_page_uri".to_owned(), uri(0, None).into());
        // There are no tokens backwards: nobody pages that way, and the field may be null.
        envelope.insert("previous_page_uri".to_owned(), Value::Null);
        let next = more.map(|after| uri(self.number.saturating_add(1), Some(after)));
        envelope.insert("next_page_uri".to_owned(), next.map_or(Value::Null, Value::from));
        envelope.insert(key.to_owned(), items.into());
        Value::Object(envelope)
    }
}

/// A date as the 2010 API writes it, in RFC 2822's form.
pub fn rfc2822(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn dates_are_rfc_2822() {
        let at: Timestamp = "2015-07-30T23:19:04.5Z".parse().unwrap();
        assert_eq!(rfc2822(at), "Thu, 30 Jul 2015 23:19:04 +0000");
    }

    #[test]
    fn page_sizes_are_bounded_and_later_pages_need_a_token() {
        assert_eq!(Page::read(&params(&[]), true).unwrap().size, 50);
        assert_eq!(Page::read(&params(&[("PageSize", "1001")]), true).unwrap_err().code, 20007);
        for bad in [("PageSize", "0"), ("PageSize", "x"), ("Page", "1"), ("PageToken", "x")] {
            assert_eq!(Page::read(&params(&[bad]), true).unwrap_err().status, 400, "{bad:?}");
        }
    }

    #[test]
    fn the_last_page_that_can_be_asked_for_has_an_envelope() {
        let params = params(&[("PageSize", "2"), ("Page", "18446744073709551615"), ("PageToken", "PA0")]);
        let items = vec![Value::Null, Value::Null];
        let envelope = Page::read(&params, true).unwrap().envelope("/x.json", &params, "items", items, Some(7));
        assert_eq!(envelope["end"], u64::MAX);
    }

    #[test]
    fn credentials_are_basic_only() {
        let encoded = BASE64.encode(b"user:pass:word");
        assert_eq!(basic_credentials(&format!("basic {encoded}")), Some(("user".to_owned(), "pass:word".to_owned())));
        assert_eq!(basic_credentials(&format!("Bearer {encoded}")), None);
        assert_eq!(basic_credentials("Basic !"), None);
    }
}
