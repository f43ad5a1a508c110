//! Numbers as Twilio shows them: on offer, and held by an account; and what can be asked of them.

use k8s_openapi::jiff::Timestamp;

use super::{
    AccountSid, AddressSid, BundleSid, Capabilities, CountryCode, E164, HttpMethod, IdentitySid, Mark, PhoneNumberSid,
    Webhook,
};

/// The kinds of number that can be searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum NumberType {
    /// Tied to a place.
    #[default]
    Local,
    /// A mobile number; none exist in the United States and Canada.
    Mobile,
    /// Free for the caller.
    TollFree,
}

impl NumberType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Local, Self::Mobile, Self::TollFree];

    /// The last part of Twilio's search path, which is also the word in `spec.search.type`.
    pub fn path(self) -> &'static str {
        match self {
            Self::Local => "Local",
            Self::Mobile => "Mobile",
            Self::TollFree => "TollFree",
        }
    }
}

/// One search: what `AvailablePhoneNumbers/{country}/{type}.json` is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Search {
    /// Where.
    pub country: CountryCode,
    /// Which kind.
    pub number_type: NumberType,
    /// Three digits; honoured in the United States and Canada only, as are region, postal code and distance.
    pub area_code: Option<String>,
    /// Digits or letters that the number contains, with Twilio's wildcards.
    pub contains: Option<String>,
    /// City.
    pub locality: Option<String>,
    /// State or province, two letters.
    pub region: Option<String>,
    /// Postal code, or the start of one.
    pub postal_code: Option<String>,
    /// Near this number …
    pub near_number: Option<E164>,
    /// … within so many miles.
    pub distance_miles: Option<i32>,
    /// What the number must be able to do.
    pub capabilities: Vec<super::Capability>,
    /// Whether numbers new to Twilio's platform are wanted too.
    pub allow_beta: bool,
}

/// A number that can be bought just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailableNumber {
    /// The number.
    pub phone_number: E164,
    /// Twilio's national form of it.
    pub friendly_name: String,
    /// City, where Twilio knows it.
    pub locality: Option<String>,
    /// State or province, where Twilio knows it.
    pub region: Option<String>,
    /// Country.
    pub country: Option<CountryCode>,
    /// What it can do.
    pub capabilities: Capabilities,
    /// `none`, `any`, `local` or `foreign`: the address that Twilio asks for before it sells this number.
    pub address_requirements: String,
}

/// A number that an account holds.
///
/// Text fields are empty when unset: Twilio answers `""` and `null` for the same thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingNumber {
    /// Its SID in this account.
    pub sid: PhoneNumberSid,
    /// The account that holds it.
    pub account: AccountSid,
    /// The number.
    pub phone_number: E164,
    /// The label, our mark in front of it.
    pub friendly_name: String,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Which kind of number it is, where Twilio says so in a word that is known.
    pub number_type: Option<NumberType>,
    /// `twilio`, or `hosted` for a customer's own number; empty when Twilio does not say.
    pub origin: String,
    /// When the account got it.
    pub date_created: Option<Timestamp>,
    /// Where messages go, unless something shadows it.
    pub sms_url: String,
    /// How `sms_url` is called.
    pub sms_method: HttpMethod,
    /// What is called when `sms_url` fails.
    pub sms_fallback_url: String,
    /// How the fallback is called.
    pub sms_fallback_method: HttpMethod,
    /// When set, Twilio ignores every `sms_*_url` of the number.
    pub sms_application_sid: String,
    /// Where calls go.
    pub voice_url: String,
    /// How `voice_url` is called.
    pub voice_method: HttpMethod,
    /// What is called when `voice_url` fails.
    pub voice_fallback_url: String,
    /// How the fallback is called.
    pub voice_fallback_method: HttpMethod,
    /// When set, overrides `voice_url`.
    pub voice_application_sid: String,
    /// When set, overrides `voice_url`.
    pub trunk_sid: String,
    /// A registered emergency address; Twilio refuses to release the number while there is one.
    pub emergency_address_sid: String,
}

impl IncomingNumber {
    /// Our mark, if the label starts with one.
    pub fn mark(&self) -> Option<Mark> {
        Mark::read(&self.friendly_name)
    }
}

/// Regulatory identifiers that are passed on with a purchase.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Regulatory {
    /// An address on file.
    pub address: Option<AddressSid>,
    /// An approved bundle.
    pub bundle: Option<BundleSid>,
    /// An identity document.
    pub identity: Option<IdentitySid>,
}

/// How a number is to be set up. Everything that the operator manages, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The whole label, mark included.
    pub friendly_name: String,
    /// Where messages go; `None`: that is set by hand, and left alone.
    pub sms: Option<Webhook>,
    /// Where calls go; `None`: calls are not managed.
    pub voice: Option<Webhook>,
}

/// A field of a held number that differs from the wanted setup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The label.
    FriendlyName,
    /// The message webhook.
    SmsUrl,
    /// Its method.
    SmsMethod,
    /// Its fallback.
    SmsFallbackUrl,
    /// The fallback's method.
    SmsFallbackMethod,
    /// An application that shadows the message webhook.
    SmsApplicationSid,
    /// The call webhook.
    VoiceUrl,
    /// Its method.
    VoiceMethod,
    /// Its fallback.
    VoiceFallbackUrl,
    /// The fallback's method.
    VoiceFallbackMethod,
    /// An application that shadows the call webhook.
    VoiceApplicationSid,
    /// A trunk that shadows the call webhook.
    TrunkSid,
}

impl Field {
    /// Twilio's parameter name.
    pub fn parameter(self) -> &'static str {
        match self {
            Self::FriendlyName => "FriendlyName",
            Self::SmsUrl => "SmsUrl",
            Self::SmsMethod => "SmsMethod",
            Self::SmsFallbackUrl => "SmsFallbackUrl",
            Self::SmsFallbackMethod => "SmsFallbackMethod",
            Self::SmsApplicationSid => "SmsApplicationSid",
            Self::VoiceUrl => "VoiceUrl",
            Self::VoiceMethod => "VoiceMethod",
            Self::VoiceFallbackUrl => "VoiceFallbackUrl",
            Self::VoiceFallbackMethod => "VoiceFallbackMethod",
            Self::VoiceApplicationSid => "VoiceApplicationSid",
            Self::TrunkSid => "TrunkSid",
        }
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.parameter())
    }
}

impl Setup {
    /// The fields of `held` that are not as wanted, with the value each should have (empty clears).
    ///
    /// Empty and unset are the same. A method counts only where its URL is set, since Twilio reports a default otherwise.
    pub fn differences(&self, held: &IncomingNumber) -> Vec<(Field, String)> {
        let mut all = Vec::new();
        let mut check = |field, wanted: &str, is: &str| {
            if wanted != is {
                all.push((field, wanted.to_owned()));
            }
        };
        check(Field::FriendlyName, &self.friendly_name, &held.friendly_name);
        let fallback = |webhook: &Webhook| webhook.fallback.clone().unwrap_or_default();
        if let Some(sms) = &self.sms {
            let (url, method) = fallback(sms);
            check(Field::SmsUrl, &sms.url, &held.sms_url);
            check(Field::SmsMethod, sms.method.as_str(), held.sms_method.as_str());
            check(Field::SmsFallbackUrl, &url, &held.sms_fallback_url);
            if !url.is_empty() {
                check(Field::SmsFallbackMethod, method.as_str(), held.sms_fallback_method.as_str());
            }
            check(Field::SmsApplicationSid, "", &held.sms_application_sid);
        }
        if let Some(voice) = &self.voice {
            let (url, method) = fallback(voice);
            check(Field::VoiceUrl, &voice.url, &held.voice_url);
            check(Field::VoiceMethod, voice.method.as_str(), held.voice_method.as_str());
            check(Field::VoiceFallbackUrl, &url, &held.voice_fallback_url);
            if !url.is_empty() {
                check(Field::VoiceFallbackMethod, method.as_str(), held.voice_fallback_method.as_str());
            }
            check(Field::VoiceApplicationSid, "", &held.voice_application_sid);
            check(Field::TrunkSid, "", &held.trunk_sid);
        }
        all
    }
}

/// One purchase: this exact number, set up in the same call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    /// The number; never an area code, because then every accepted call would buy one more.
    pub phone_number: E164,
    /// How it is set up from its first second.
    pub setup: Setup,
    /// Passed on where Twilio asks for it.
    pub regulatory: Regulatory,
}
