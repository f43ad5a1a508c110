//! What numbers cost (<https://www.twilio.com/docs/phone-numbers/pricing>).

use http::Method;

use super::wire::{self, WirePrices};
use super::{Call, Client, Credentials, Product};
use crate::domain::{CountryCode, Currency, NumberPrices, NumberType, Trouble};

impl Client {
    /// The account's own monthly prices for numbers of one country (Pricing v1: v2 has none for numbers).
    ///
    /// Whether a restricted API key may read them is not documented: with an API key a refusal is told as
    /// [`Class::AccountLimited`](crate::domain::Class::AccountLimited) and says nothing about the key.
    ///
    /// # Errors
    /// When the call failed, or the answer is about another country.
    pub async fn number_prices(
        &self,
        credentials: &Credentials,
        country: &CountryCode,
    ) -> Result<NumberPrices, Trouble> {
        let url = self.endpoints().url(Product::Pricing, &format!("/v1/PhoneNumbers/Countries/{country}"));
        let call = Call::new("FetchPhoneNumberCountry", Method::GET, url, credentials).beside_the_point();
        self.call(call, |answer| prices(wire::decode(&answer.body)?, country)).await
    }
}

fn prices(wire: WirePrices, country: &CountryCode) -> Result<NumberPrices, String> {
    let about = wire.iso_country.some();
    if about.is_some_and(|about| !about.eq_ignore_ascii_case(country.as_str())) {
        return Err("it is about another country".to_owned());
    }
    let currency = Currency::parse(&wire.price_unit.0).map_err(|error| error.to_string())?;
    let monthly = wire.phone_number_prices.into_iter().filter_map(|price| {
        // `current_price` is what this account pays, discounts included.
        Some((number_type(&price.number_type.0)?, price.current_price.0.or(price.base_price.0)?))
    });
    Ok(NumberPrices::new(currency, monthly.collect()))
}

/// Twilio spells one kind in five ways: `TollFree`, `toll_free`, `toll free`, `tollfree`, `toll-free`.
pub(super) fn number_type(text: &str) -> Option<NumberType> {
    let letters: String = text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    match letters.as_str() {
        "local" => Some(NumberType::Local),
        "mobile" => Some(NumberType::Mobile),
        "tollfree" => Some(NumberType::TollFree),
        _ => None,
    }
}
