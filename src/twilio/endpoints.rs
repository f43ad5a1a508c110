//! Where Twilio's products are.

use url::Url;

use super::transport::is_loopback;
use crate::domain::AccountSid;

/// Twilio's products that the operator calls, each on a host of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Product {
    /// Numbers, accounts, usage: `api.twilio.com`.
    Api,
    /// Prices: `pricing.twilio.com`.
    Pricing,
    /// Messaging Services and their compliance: `messaging.twilio.com`.
    Messaging,
    /// Regulations and the papers for them: `numbers.twilio.com`.
    Numbers,
    /// What went wrong: `monitor.twilio.com`.
    Monitor,
}

/// The base URL of each product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    api: Url,
    pricing: Url,
    messaging: Url,
    numbers: Url,
    monitor: Url,
}

/// Why a URL cannot be Twilio's base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Credentials would travel in clear text.
    #[error("plain http is accepted for a loopback host only, because the credentials go there: use https")]
    PlainHttp,
    /// Neither https nor http.
    #[error("the URL is not absolute, or is neither https nor http")]
    Scheme,
    /// More than scheme, host and port.
    #[error("the URL must be scheme, host and port alone, without user info, path, query or fragment")]
    TooMuch,
    /// Not a URL.
    #[error("the text is not a URL")]
    Unreadable,
}

impl Endpoints {
    /// Twilio itself, region US1 (<https://www.twilio.com/docs/usage/api>).
    ///
    /// # Errors
    /// Never in practice: the constants are URLs.
    pub fn twilio() -> Result<Self, EndpointError> {
        let url = |text| Url::parse(text).map_err(|_| EndpointError::Unreadable);
        Ok(Self {
            api: url("https://api.twilio.com/")?,
            pricing: url("https://pricing.twilio.com/")?,
            messaging: url("https://messaging.twilio.com/")?,
            numbers: url("https://numbers.twilio.com/")?,
            monitor: url("https://monitor.twilio.com/")?,
        })
    }

    /// One base for all products, such as a simulator.
    ///
    /// # Errors
    /// When the URL has more than scheme, host and port, or is plain http to a host other than this machine.
    pub fn single(base: Url) -> Result<Self, EndpointError> {
        let host = base.host_str().ok_or(EndpointError::Scheme)?;
        match base.scheme() {
            "https" => {}
            "http" if is_loopback(host) => {}
            "http" => return Err(EndpointError::PlainHttp),
            _ => return Err(EndpointError::Scheme),
        }
        let only_origin = base.path() == "/" && base.query().is_none() && base.fragment().is_none();
        if !only_origin || !base.username().is_empty() || base.password().is_some() {
            return Err(EndpointError::TooMuch);
        }
        Ok(Self {
            api: base.clone(),
            pricing: base.clone(),
            messaging: base.clone(),
            numbers: base.clone(),
            monitor: base,
        })
    }

    /// The base of one product.
    pub fn base(&self, product: Product) -> &Url {
        match product {
            Product::Api => &self.api,
            Product::Pricing => &self.pricing,
            Product::Messaging => &self.messaging,
            Product::Numbers => &self.numbers,
            Product::Monitor => &self.monitor,
        }
    }

    /// A URL below one product's base. `path` is made of constants and typed identifiers only.
    pub(super) fn url(&self, product: Product, path: &str) -> Url {
        let mut url = self.base(product).clone();
        url.set_path(path);
        url
    }

    /// A URL below an account. `rest` is made of constants and typed identifiers only.
    pub(super) fn account_url(&self, account: &AccountSid, rest: &str) -> Url {
        self.url(Product::Api, &format!("{}{rest}", account_path(account)))
    }
}

/// The path that everything of one account is below.
pub(super) fn account_path(account: &AccountSid) -> String {
    format!("/2010-04-01/Accounts/{account}/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single(text: &str) -> Result<Endpoints, EndpointError> {
        Endpoints::single(Url::parse(text).map_err(|_| EndpointError::Unreadable)?)
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for good in [
            "https://example.com",
            "https://example.com:8443/",
            "http://127.0.0.1:4010",
            "http://127.9.9.9",
            "http://[::1]:4010",
            "http://localhost:4010",
            "http://LOCALHOST",
            "http://twilio.localhost:1",
        ] {
            assert!(single(good).is_ok(), "{good}");
        }
        for bad in ["http://example.com", "http://10.0.0.1", "http://localhost.example.com", "http://127.0.0.1.example"]
        {
            assert_eq!(single(bad), Err(EndpointError::PlainHttp), "{bad}");
        }
        for bad in ["ftp://127.0.0.1", "mailto:a@example.com", "file:///tmp"] {
            assert_eq!(single(bad), Err(EndpointError::Scheme), "{bad}");
        }
        for bad in
            ["https://u@example.com", "https://u:p@example.com", "https://example.com/x", "https://example.com?x"]
        {
            assert_eq!(single(bad), Err(EndpointError::TooMuch), "{bad}");
        }
    }

    #[test]
    fn each_product_has_its_host() {
        let endpoints = Endpoints::twilio().unwrap();
        let account = AccountSid::parse(&format!("AC{}", "0".repeat(32))).unwrap();
        assert_eq!(
            endpoints.account_url(&account, "IncomingPhoneNumbers.json").as_str(),
            "https://api.twilio.com/2010-04-01/Accounts/AC00000000000000000000000000000000/IncomingPhoneNumbers.json"
        );
        assert_eq!(endpoints.base(Product::Pricing).as_str(), "https://pricing.twilio.com/");
        assert_eq!(endpoints.base(Product::Messaging).as_str(), "https://messaging.twilio.com/");
        assert_eq!(endpoints.base(Product::Numbers).as_str(), "https://numbers.twilio.com/");
        assert_eq!(endpoints.base(Product::Monitor).as_str(), "https://monitor.twilio.com/");
    }
}
