//! Twilio's JSON, read leniently.
//!
//! The official description makes nearly every property nullable and shows numbers as strings, so unset is `""`, null
//! or absent alike, and unknown properties are ignored
//! (<https://github.com/twilio/twilio-oai/blob/main/spec/json/twilio_api_v2010.json>). What a decision rests on (SID,
//! account, number, the array itself) has to be there all the same.

use std::borrow::Cow;
use std::fmt;

use k8s_openapi::jiff::{Timestamp, fmt::rfc2822};
use rust_decimal::Decimal;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::{
    AccountSid, Alert, ArrivedMessage, AvailableNumber, Bundle, BundleSid, Capabilities, CountryCode, E164, HttpMethod,
    IncomingNumber, MessageSid, MessagingServiceSid, PhoneNumberSid, RegulationSid,
};

/// Reads a body; the error names the JSON path. It may quote a value: it has to be scrubbed before it is printed.
pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| format!("at `{}`: {}", error.path(), error.inner()))?;
    json.end().map_err(|error| error.to_string())?;
    Ok(value)
}

/// Text that may come as text, number, boolean, null or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Text(pub(super) String);

impl Text {
    /// The text, unless it is empty.
    pub(super) fn some(self) -> Option<String> {
        Some(self.0).filter(|text| !text.is_empty())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Text, E> {
                Ok(Text::default())
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// For a property whose absence means something else than null: `None` is absent, `Some("")` is null or empty.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Text>, D::Error> {
    Text::deserialize(deserializer).map(Some)
}

/// Capabilities in each of the three shapes that Twilio uses: `{"voice":…,"SMS":…,"MMS":…}` on offers,
/// `{"voice":…,"sms":…,"mms":…,"fax":…}` on held numbers, `["SMS","Voice"]` in Messaging Services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct WireCapabilities(pub(super) Capabilities);

impl WireCapabilities {
    fn set(&mut self, name: &str, to: bool) {
        match name.to_ascii_lowercase().as_str() {
            "sms" => self.0.sms = to,
            "mms" => self.0.mms = to,
            "voice" => self.0.voice = to,
            "fax" => self.0.fax = to,
            _ => {}
        }
    }
}

impl<'de> Deserialize<'de> for WireCapabilities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shapes;
        impl<'de> Visitor<'de> for Shapes {
            type Value = WireCapabilities;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("capabilities as an object or a list")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = WireCapabilities::default();
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    let value = map.next_value::<Text>()?;
                    all.set(&name, value.0.eq_ignore_ascii_case("true"));
                }
                Ok(all)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut all = WireCapabilities::default();
                while let Some(name) = list.next_element::<Text>()? {
                    all.set(&name.0, true);
                }
                Ok(all)
            }
            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(WireCapabilities::default())
            }
        }
        deserializer.deserialize_any(Shapes)
    }
}

/// A decimal from the JSON text itself, whether Twilio wrote `1.15` or `"1.15"`; never through a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Amount(pub(super) Option<Decimal>);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get().trim_matches('"').trim();
        if matches!(text, "" | "null") {
            return Ok(Self(None));
        }
        let read = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text));
        read.map(|amount| Self(Some(amount))).map_err(|_| D::Error::custom("it is not a decimal number"))
    }
}

/// Reads the dates of the 2010 API (RFC 2822) and of the product APIs (ISO 8601).
pub(super) fn date(text: &str) -> Option<Timestamp> {
    rfc2822::parse(text).map(|zoned| zoned.timestamp()).ok().or_else(|| text.parse().ok())
}

/// Twilio knows two methods; anything else can only be a default written in another way.
pub(super) fn method(text: &Text) -> HttpMethod {
    HttpMethod::read(&text.0).unwrap_or_default()
}

/// One page of an account's numbers.
#[derive(Debug, Deserialize)]
pub(super) struct NumberPage {
    /// Required: an answer without it is no list, and an empty list would say that nothing is held.
    pub(super) incoming_phone_numbers: Vec<Incoming>,
    #[serde(default, deserialize_with = "present")]
    pub(super) next_page_uri: Option<Text>,
}

/// A number that an account holds.
#[derive(Debug, Deserialize)]
pub(super) struct Incoming {
    sid: PhoneNumberSid,
    account_sid: AccountSid,
    phone_number: E164,
    #[serde(default)]
    friendly_name: Text,
    #[serde(default)]
    capabilities: WireCapabilities,
    #[serde(default, rename = "type")]
    number_type: Text,
    #[serde(default)]
    origin: Text,
    #[serde(default)]
    date_created: Text,
    #[serde(default)]
    sms_url: Text,
    #[serde(default)]
    sms_method: Text,
    #[serde(default)]
    sms_fallback_url: Text,
    #[serde(default)]
    sms_fallback_method: Text,
    #[serde(default)]
    sms_application_sid: Text,
    #[serde(default)]
    voice_url: Text,
    #[serde(default)]
    voice_method: Text,
    #[serde(default)]
    voice_fallback_url: Text,
    #[serde(default)]
    voice_fallback_method: Text,
    #[serde(default)]
    voice_application_sid: Text,
    #[serde(default)]
    trunk_sid: Text,
    #[serde(default)]
    emergency_address_sid: Text,
}

impl From<Incoming> for IncomingNumber {
    fn from(wire: Incoming) -> Self {
        Self {
            sid: wire.sid,
            account: wire.account_sid,
            phone_number: wire.phone_number,
            friendly_name: wire.friendly_name.0,
            capabilities: wire.capabilities.0,
            number_type: super::pricing::number_type(&wire.number_type.0),
            origin: wire.origin.0,
            date_created: date(&wire.date_created.0),
            sms_method: method(&wire.sms_method),
            sms_url: wire.sms_url.0,
            sms_fallback_method: method(&wire.sms_fallback_method),
            sms_fallback_url: wire.sms_fallback_url.0,
            sms_application_sid: wire.sms_application_sid.0,
            voice_method: method(&wire.voice_method),
            voice_url: wire.voice_url.0,
            voice_fallback_method: method(&wire.voice_fallback_method),
            voice_fallback_url: wire.voice_fallback_url.0,
            voice_application_sid: wire.voice_application_sid.0,
            trunk_sid: wire.trunk_sid.0,
            emergency_address_sid: wire.emergency_address_sid.0,
        }
    }
}

/// The answer of a search; paging properties may be missing and are not needed.
#[derive(Debug, Deserialize)]
pub(super) struct AvailablePage {
    pub(super) available_phone_numbers: Vec<Available>,
}

/// A number on offer.
#[derive(Debug, Deserialize)]
pub(super) struct Available {
    #[serde(default)]
    phone_number: Text,
    #[serde(default)]
    friendly_name: Text,
    #[serde(default)]
    locality: Text,
    #[serde(default)]
    region: Text,
    #[serde(default)]
    iso_country: Text,
    #[serde(default)]
    capabilities: WireCapabilities,
    #[serde(default)]
    address_requirements: Text,
}

impl Available {
    /// The offer, or `None` without a number that could be bought: an offer more or less decides nothing.
    pub(super) fn read(self) -> Option<AvailableNumber> {
        Some(AvailableNumber {
            phone_number: E164::parse(&self.phone_number.0).ok()?,
            friendly_name: self.friendly_name.0,
            locality: self.locality.some(),
            region: self.region.some(),
            country: CountryCode::parse(&self.iso_country.0.to_ascii_uppercase()).ok(),
            capabilities: self.capabilities.0,
            address_requirements: self.address_requirements.0,
        })
    }
}

/// An account. Twilio's answer has the auth token in clear among its properties; there is no field for it here.
#[derive(Debug, Deserialize)]
pub(super) struct WireAccount {
    pub(super) sid: AccountSid,
    #[serde(default)]
    pub(super) friendly_name: Text,
    #[serde(default)]
    pub(super) status: Text,
    #[serde(default, rename = "type")]
    pub(super) kind: Text,
}

/// The monthly prices of one country.
#[derive(Debug, Deserialize)]
pub(super) struct WirePrices {
    #[serde(default)]
    pub(super) iso_country: Text,
    #[serde(default)]
    pub(super) price_unit: Text,
    pub(super) phone_number_prices: Vec<WirePrice>,
}

/// The monthly price of one kind of number.
#[derive(Debug, Deserialize)]
pub(super) struct WirePrice {
    #[serde(default)]
    pub(super) number_type: Text,
    #[serde(default)]
    pub(super) base_price: Amount,
    #[serde(default)]
    pub(super) current_price: Amount,
}

/// What messages of one country's numbers cost.
#[derive(Debug, Deserialize)]
pub(super) struct WireMessagePrices {
    #[serde(default)]
    pub(super) iso_country: Text,
    #[serde(default)]
    pub(super) price_unit: Text,
    pub(super) inbound_sms_prices: Vec<WirePrice>,
    pub(super) outbound_sms_prices: Vec<WireCarrierPrices>,
}

/// What messages to one carrier cost.
#[derive(Debug, Deserialize)]
pub(super) struct WireCarrierPrices {
    #[serde(default)]
    pub(super) prices: Vec<WirePrice>,
}

/// One page of messages. Their text is among the properties; there is no field for it here.
#[derive(Debug, Deserialize)]
pub(super) struct MessagePage {
    /// Required: an answer without it says nothing, and no messages would say that none was sent.
    pub(super) messages: Vec<WireMessage>,
    #[serde(default, deserialize_with = "present")]
    pub(super) next_page_uri: Option<Text>,
}

/// One message.
#[derive(Debug, Deserialize)]
pub(super) struct WireMessage {
    pub(super) sid: Text,
    #[serde(default)]
    pub(super) direction: Text,
    #[serde(default)]
    pub(super) status: Text,
    #[serde(default)]
    pub(super) date_sent: Text,
    #[serde(default)]
    pub(super) date_created: Text,
    #[serde(default)]
    pub(super) price: Amount,
    #[serde(default)]
    pub(super) price_unit: Text,
}

/// One page of usage records.
#[derive(Debug, Deserialize)]
pub(super) struct UsagePage {
    /// Required: an answer without it says nothing, and no records would say that nothing was used.
    pub(super) usage_records: Vec<WireUsage>,
    #[serde(default, deserialize_with = "present")]
    pub(super) next_page_uri: Option<Text>,
}

/// What was used of one category.
#[derive(Debug, Deserialize)]
pub(super) struct WireUsage {
    pub(super) account_sid: AccountSid,
    pub(super) category: Text,
    #[serde(default)]
    pub(super) as_of: Text,
    #[serde(default)]
    pub(super) start_date: Text,
    #[serde(default)]
    pub(super) count: Amount,
    #[serde(default)]
    pub(super) price: Amount,
    #[serde(default)]
    pub(super) price_unit: Text,
}

/// Where the next page of a product's list is. Its URLs are absolute, and null ends the list.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Meta {
    #[serde(default, deserialize_with = "present")]
    pub(super) next_page_url: Option<Text>,
}

/// One page of Messaging Services.
#[derive(Debug, Deserialize)]
pub(super) struct ServicePage {
    /// Required: an answer without it says nothing, and no services would say that nothing shadows a number.
    pub(super) services: Vec<WireService>,
    #[serde(default)]
    pub(super) meta: Meta,
}

/// A Messaging Service.
#[derive(Debug, Deserialize)]
pub(super) struct WireService {
    pub(super) sid: MessagingServiceSid,
    pub(super) account_sid: AccountSid,
    #[serde(default)]
    pub(super) friendly_name: Text,
    #[serde(default)]
    pub(super) inbound_request_url: Text,
    #[serde(default)]
    pub(super) inbound_method: Text,
    #[serde(default)]
    pub(super) use_inbound_webhook_on_number: Text,
}

/// One page of the numbers of a Messaging Service.
#[derive(Debug, Deserialize)]
pub(super) struct ServiceNumberPage {
    /// Required, as above.
    pub(super) phone_numbers: Vec<WireServiceNumber>,
    #[serde(default)]
    pub(super) meta: Meta,
}

/// A number in a Messaging Service.
#[derive(Debug, Deserialize)]
pub(super) struct WireServiceNumber {
    pub(super) sid: PhoneNumberSid,
    #[serde(default)]
    pub(super) service_sid: Text,
}

/// One page of the US campaigns of a Messaging Service.
#[derive(Debug, Deserialize)]
pub(super) struct CampaignPage {
    /// Required, as above.
    pub(super) compliance: Vec<WireCampaign>,
    #[serde(default)]
    pub(super) meta: Meta,
}

/// A US campaign.
#[derive(Debug, Deserialize)]
pub(super) struct WireCampaign {
    #[serde(default)]
    pub(super) campaign_status: Text,
}

/// One page of toll-free verifications.
#[derive(Debug, Deserialize)]
pub(super) struct VerificationPage {
    /// Required, as above.
    pub(super) verifications: Vec<WireVerification>,
    #[serde(default)]
    pub(super) meta: Meta,
}

/// The verification of a toll-free number.
#[derive(Debug, Deserialize)]
pub(super) struct WireVerification {
    pub(super) tollfree_phone_number_sid: Text,
    #[serde(default)]
    pub(super) status: Text,
    #[serde(default)]
    pub(super) rejection_reason: Text,
}

/// One page of regulations.
#[derive(Debug, Deserialize)]
pub(super) struct RegulationPage {
    /// Required: no regulations would say that nothing is asked for.
    pub(super) results: Vec<WireRegulation>,
    #[serde(default)]
    pub(super) meta: Meta,
}

/// A regulation.
#[derive(Debug, Deserialize)]
pub(super) struct WireRegulation {
    pub(super) sid: RegulationSid,
    #[serde(default)]
    pub(super) friendly_name: Text,
    #[serde(default)]
    pub(super) requirements: Requirements,
}

/// What it asks for. What stands in the lists is for whoever makes a bundle.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Requirements {
    #[serde(default)]
    pub(super) end_user: Vec<Value>,
    #[serde(default)]
    pub(super) supporting_document: Vec<Value>,
}

/// One page of bundles.
#[derive(Debug, Deserialize)]
pub(super) struct BundlePage {
    /// Required, as above.
    pub(super) results: Vec<WireBundle>,
    #[serde(default)]
    pub(super) meta: Meta,
}

/// A bundle.
#[derive(Debug, Deserialize)]
pub(super) struct WireBundle {
    sid: BundleSid,
    #[serde(default)]
    friendly_name: Text,
    #[serde(default)]
    regulation_sid: Text,
    #[serde(default)]
    status: Text,
    #[serde(default)]
    valid_until: Text,
}

impl From<WireBundle> for Bundle {
    fn from(bundle: WireBundle) -> Self {
        Self {
            sid: bundle.sid,
            name: bundle.friendly_name.0,
            regulation: bundle.regulation_sid.0,
            status: bundle.status.0,
            valid_until: bundle.valid_until.0.parse().ok(),
        }
    }
}

/// A message that was sent.
#[derive(Debug, Deserialize)]
pub(super) struct SentMessage {
    pub(super) sid: MessageSid,
    #[serde(default)]
    pub(super) status: Text,
    #[serde(default)]
    pub(super) error_code: Text,
}

/// One page of messages that came in.
#[derive(Debug, Deserialize)]
pub(super) struct ReceivedPage {
    /// Required: none would say that nothing came.
    pub(super) messages: Vec<Received>,
}

/// A message that came in.
#[derive(Debug, Deserialize)]
pub(super) struct Received {
    sid: Text,
    #[serde(default)]
    from: Text,
    #[serde(default)]
    pub(super) direction: Text,
    #[serde(default)]
    date_sent: Text,
    #[serde(default)]
    date_created: Text,
}

impl Received {
    /// `None` without any date.
    pub(super) fn read(self) -> Option<ArrivedMessage> {
        let at = date(&self.date_sent.0).or_else(|| date(&self.date_created.0))?;
        Some(ArrivedMessage { sid: self.sid.0, from: self.from.0, at })
    }
}

/// One page of what the debugger noted.
#[derive(Debug, Deserialize)]
pub(super) struct AlertPage {
    /// Required: none would say that nothing went wrong.
    pub(super) alerts: Vec<WireAlert>,
    #[serde(default)]
    pub(super) meta: Meta,
}

/// Something that the debugger noted.
#[derive(Debug, Deserialize)]
pub(super) struct WireAlert {
    #[serde(default)]
    resource_sid: Text,
    #[serde(default)]
    error_code: Text,
}

impl From<WireAlert> for Alert {
    fn from(alert: WireAlert) -> Self {
        Self { resource: alert.resource_sid.0, code: alert.error_code.0.parse().ok() }
    }
}

/// What an error answer tells, in whichever shape it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) code: Option<u32>,
    pub(super) message: Option<String>,
}

impl Told {
    /// Reads an error body; `None` when it is none of Twilio's: HTML of a gateway, nothing, somebody else's JSON.
    ///
    /// Three shapes: `{code,message,more_info,status}` (<https://www.twilio.com/docs/usage/twilios-response>), RFC 9457
    /// `{type,title,status,code,detail}`, and `{errors:[{code,message}]}`.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let first = body.get("errors").and_then(|errors| errors.get(0)).unwrap_or(&Value::Null);
        let text = |value: &Value, name| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let told = Self {
            code: code(body.get("code")).or_else(|| code(first.get("code"))),
            message: [
                text(&body, "message"),
                text(&body, "detail"),
                text(first, "message"),
                text(first, "detail"),
                text(&body, "title"),
            ]
            .into_iter()
            .flatten()
            .find(|text| !text.is_empty()),
        };
        (told.code.is_some() || told.message.is_some()).then_some(told)
    }
}

/// A code of Twilio's dictionary, as number or text. All have five digits; an HTTP status repeated as code has not.
fn code(value: Option<&Value>) -> Option<u32> {
    let value = value?;
    let code = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    u32::try_from(code).ok().filter(|code| (10_000..1_000_000).contains(code))
}
