//! What numbers cost (<https://www.twilio.com/docs/phone-numbers/pricing>).

use http::Method;

use super::wire::{self, Text, WireMessagePrices, WirePrice, WirePrices};
use super::{Call, Client, Credentials, Product};
use crate::domain::{CountryCode, Currency, MessagePrices, NumberPrices, NumberType, Trouble};
use rust_decimal::Decimal;

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
        self.call(call, |answer| {
            let told: WirePrices = wire::decode(&answer.body)?;
            Ok(NumberPrices::new(about(told.iso_country, &told.price_unit, country)?, kinds(told.phone_number_prices)))
        })
        .await
    }

    /// The account's own prices for messages of one country's numbers (Pricing v1). MMS have none there.
    ///
    /// A refusal is told as by [`Self::number_prices`].
    ///
    /// # Errors
    /// When the call failed, or the answer is about another country.
    pub async fn message_prices(
        &self,
        credentials: &Credentials,
        country: &CountryCode,
    ) -> Result<MessagePrices, Trouble> {
        let url = self.endpoints().url(Product::Pricing, &format!("/v1/Messaging/Countries/{country}"));
        let call = Call::new("FetchMessagingCountry", Method::GET, url, credentials).beside_the_point();
        self.call(call, |answer| {
            let told: WireMessagePrices = wire::decode(&answer.body)?;
            let currency = about(told.iso_country, &told.price_unit, country)?;
            let outbound = told.outbound_sms_prices.into_iter().flat_map(|carrier| kinds(carrier.prices)).collect();
            Ok(MessagePrices::new(currency, kinds(told.inbound_sms_prices), outbound))
        })
        .await
    }
}

/// The currency of an answer, if it is about this country.
fn about(told: Text, unit: &Text, country: &CountryCode) -> Result<Currency, String> {
    if told.some().is_some_and(|about| !about.eq_ignore_ascii_case(country.as_str())) {
        return Err("it is about another country".to_owned());
    }
    Currency::parse(&unit.0).map_err(|error| error.to_string())
}

/// Prices of the kinds of numbers that are bought here.
fn kinds(prices: Vec<WirePrice>) -> Vec<(NumberType, Decimal)> {
    let known = prices.into_iter().filter_map(|price| {
        // `current_price` is what this account pays, discounts included.
        Some((number_type(&price.number_type.0)?, price.current_price.0.or(price.base_price.0)?))
    });
    known.collect()
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
