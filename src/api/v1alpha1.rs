//! `telephony.chiroflow.io/v1alpha1`, kind `ClinicPhoneNumber`: field for field what `kubectl explain` shows.
//!
//! Doc comments become the descriptions in the CRD, so they speak to whoever writes YAML. Rules that need a remedy in
//! their message are CEL; patterns, enums and lengths are for what explains itself.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions::{self, ConditionType, Reason};

pub use crate::domain::{Capability, HttpMethod};
use crate::domain::{MessagePrice, Money};

/// A phone number at Twilio that one clinic holds, and the webhook that receives its messages.
///
/// Applying one with a `search` buys exactly one number in the account that the Secret names, about 1 USD a month,
/// wires the receive-sms webhook in the same call and writes the number back into `status`.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "telephony.chiroflow.io",
    version = "v1alpha1",
    kind = "ClinicPhoneNumber",
    plural = "clinicphonenumbers",
    shortname = "cpn",
    category = "telephony",
    namespaced,
    status = "ClinicPhoneNumberStatus",
    derive = "PartialEq",
    doc = "A phone number at Twilio that one clinic holds, and the webhook that receives its messages. Applying one with a `search` buys exactly one number (about 1 USD a month) in the account that the Secret names, wires the receive-sms webhook in the same call and writes the number back into `status`.",
    selectable = ".spec.credentialsSecretRef.name",
    selectable = ".status.phoneNumber",
    selectable = ".status.claim.phoneNumber",
    printcolumn(name = "NUMBER", type_ = "string", json_path = ".status.phoneNumber", description = "The number held, E.164"),
    printcolumn(name = "READY", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status", description = "Whether the number is in service"),
    printcolumn(name = "REASON", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", description = "Why it is or is not"),
    printcolumn(name = "INBOUND", type_ = "string", json_path = ".status.conditions[?(@.type=='InboundSms')].status", description = "Whether incoming messages reach the webhook"),
    printcolumn(name = "OUTBOUND", type_ = "string", json_path = ".status.conditions[?(@.type=='OutboundSms')].status", description = "Whether the number can send messages"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "SID", type_ = "string", json_path = ".status.phoneNumberSID", description = "Twilio's SID of the number", priority = "1"),
    printcolumn(name = "PRICE", type_ = "string", json_path = ".status.monthlyPrice.amount", description = "Price of the number a month", priority = "1"),
    printcolumn(name = "SENT", type_ = "integer", json_path = ".status.usage.smsSent", description = "Messages sent this month", priority = "1"),
    printcolumn(name = "RECEIVED", type_ = "integer", json_path = ".status.usage.smsReceived", description = "Messages received this month", priority = "1"),
    printcolumn(name = "COST", type_ = "string", json_path = ".status.usage.estimatedCost", description = "Estimated cost this month, rent included", priority = "1"),
    validation = Rule::new("!(has(oldSelf.status) && has(oldSelf.status.claim) && oldSelf.status.claim.attempts > 0 && !(has(oldSelf.status.claim.outcome) && oldSelf.status.claim.outcome in ['Refused','Held','Abandoned'])) || (has(self.status) && has(self.status.claim) && self.status.claim.phoneNumber == oldSelf.status.claim.phoneNumber && self.status.claim.attempts >= oldSelf.status.claim.attempts)")
        .message("a purchase is unresolved: its claim may not be dropped or rolled back; let the operator resolve it")
        .field_path(".status.claim")
        .reason(Reason::FieldValueForbidden)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.search) || has(self.phoneNumber)").message("set search, phoneNumber or both"),
    validation = Rule::new("has(self.phoneNumber) || !has(self.search) || self.search.type != 'Local' || !(self.search.country in ['US','CA']) || has(self.search.areaCodes) || has(self.search.region) || has(self.search.postalCode) || has(self.search.nearNumber) || has(self.search.contains) || has(self.search.locality)").message("say which numbers will do: areaCodes, region, postalCode, nearNumber, contains or locality").field_path(".search"),
    validation = Rule::new("self.adoptionPolicy == 'Never' || has(self.phoneNumber)").message("adoption needs phoneNumber: the number to take over").field_path(".adoptionPolicy"),
    validation = Rule::new("!has(self.maxMonthlyPrice) || has(self.search)").message("maxMonthlyPrice needs search.country and type: they give the price").field_path(".maxMonthlyPrice"),
    validation = Rule::new("self.purchasePolicy != 'Never' || has(self.phoneNumber)").message("purchasePolicy: Never only adopts: name phoneNumber").field_path(".purchasePolicy"),
    validation = Rule::new("!has(self.releaseConfirmation) || self.deletionPolicy == 'Release' || (oldSelf.hasValue() && has(oldSelf.value().releaseConfirmation) && oldSelf.value().releaseConfirmation == self.releaseConfirmation)").optional_old_self(true).message("releaseConfirmation needs deletionPolicy: Release").field_path(".releaseConfirmation")
)]
pub struct ClinicPhoneNumberSpec {
    /// The Secret in the same namespace that holds the clinic's Twilio credentials.
    pub credentials_secret_ref: CredentialsSecretRef,

    /// Which numbers will do. Used until a number is claimed; kept and ignored from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<NumberSearch>,

    /// One exact number, E.164, such as +14185551234. Wins over `search` and never falls back to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^\+[1-9][0-9]{6,14}$"))]
    pub phone_number: Option<String>,

    /// `Automatic`: applying this resource buys. `Manual`: candidates are listed in status, and nothing is bought until a
    /// person names one in `phoneNumber`; a number that is there already is bought. `Never`: only a number that the account
    /// already holds is taken over.
    #[serde(default)]
    pub purchase_policy: PurchasePolicy,

    /// Whether `phoneNumber` may be taken over when the account already holds it. `IfOwned`: if it has no tag, or the tag
    /// of a resource of this installation that is gone. `TakeOver`: also with another installation's tag.
    #[serde(default)]
    pub adoption_policy: AdoptionPolicy,

    /// The most that the number may cost a month. Before anything is bought it is compared with what Twilio tells this account
    /// for numbers of the search's country and type, carrier and registration fees not included. Nothing is bought while the
    /// price is above it, unknown, or in another currency. An exact number has to be of that country and type too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_monthly_price: Option<Price>,

    /// Label shown in Twilio's console, behind the operator's mark. Default: the number as people write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[^\x00-\x1f\[\]]+$"))]
    pub friendly_name: Option<String>,

    /// Where incoming messages go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms: Option<Sms>,

    /// Where incoming calls go. Without it calls are not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<Voice>,

    /// Regulatory identifiers of the Twilio account, passed on with the purchase where a country asks for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regulatory: Option<RegulatoryRefs>,

    /// What happens to the number when this resource is deleted. `Retain`: it stays in the account, tag and webhook too.
    /// `Release`: it is given back to Twilio, for good; needs `releaseConfirmation`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,

    /// The held number, repeated: a person's word that it may be released. Looked at only when this resource is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^\+[1-9][0-9]{6,14}$"))]
    pub release_confirmation: Option<String>,

    /// How often the number is compared with what is written here, 5m to 24h. Default: the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 12), regex(pattern = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('5m') && duration(self) <= duration('24h')").message("must be between 5m and 24h"))]
    pub observe_interval: Option<String>,

    /// What `status.usage` counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageSettings>,

    /// Start nothing new. A purchase that was already sent is still resolved; deletion still honours `deletionPolicy`.
    #[serde(default)]
    pub suspend: bool,
}

/// The Secret with Twilio credentials: `accountSid` with `authToken`, or with `apiKeySid` and `apiKeySecret`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsSecretRef {
    /// Name of the Secret; always in this resource's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the Account SID (AC…).
    #[serde(default = "default_account_sid_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub account_sid_key: String,
    /// Key of the Auth Token.
    #[serde(default = "default_auth_token_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub auth_token_key: String,
    /// Key of the API key's SID (SK…).
    #[serde(default = "default_api_key_sid_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub api_key_sid_key: String,
    /// Key of the API key's secret.
    #[serde(default = "default_api_key_secret_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub api_key_secret_key: String,
}

fn default_account_sid_key() -> String {
    "accountSid".to_owned()
}
fn default_auth_token_key() -> String {
    "authToken".to_owned()
}
fn default_api_key_sid_key() -> String {
    "apiKeySid".to_owned()
}
fn default_api_key_secret_key() -> String {
    "apiKeySecret".to_owned()
}

/// Which numbers will do.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.country in ['US','CA'] || !has(self.areaCodes)").message("Twilio ignores areaCodes outside US and CA and would sell any number; use contains or locality").field_path(".areaCodes"),
    validation = Rule::new("self.country in ['US','CA'] || !has(self.region)").message("region works for US and CA only; use contains or locality").field_path(".region"),
    validation = Rule::new("self.country in ['US','CA'] || !has(self.postalCode)").message("postalCode works for US and CA only; use contains or locality").field_path(".postalCode"),
    validation = Rule::new("self.country in ['US','CA'] || !has(self.nearNumber)").message("nearNumber works for US and CA only; use contains or locality").field_path(".nearNumber"),
    validation = Rule::new("!has(self.distanceMiles) || has(self.nearNumber)").message("distanceMiles needs nearNumber").field_path(".distanceMiles"),
    validation = Rule::new("!(self.country in ['US','CA'] && self.type == 'Mobile')").message("US and CA have no Mobile numbers at Twilio; use Local").field_path(".type")
)]
pub struct NumberSearch {
    /// ISO 3166-1 alpha-2 code, such as CA.
    #[schemars(length(max = 2), regex(pattern = "^[A-Z]{2}$"))]
    pub country: String,
    /// Kind of number.
    #[serde(default, rename = "type")]
    pub number_type: SearchType,
    /// Area codes in order of preference, such as 418 and 581. US and CA only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(max = 3), regex(pattern = "^[2-9][0-9]{2}$")))]
    #[x_kube(merge_strategy = ListMerge::Atomic, validation = Rule::new("self.all(a, self.exists_one(b, b == a))").message("each area code once"))]
    pub area_codes: Option<Vec<String>>,
    /// State or province, two letters. US and CA only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2), regex(pattern = "^[A-Z]{2}$"))]
    pub region: Option<String>,
    /// Postal code, or the start of one. US and CA only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10), regex(pattern = "^[0-9A-Za-z][0-9A-Za-z -]{2,9}$"))]
    pub postal_code: Option<String>,
    /// A number near which the new one should be. US and CA only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^\+[1-9][0-9]{6,14}$"))]
    pub near_number: Option<String>,
    /// How near, in miles. Twilio's default is 25.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub distance_miles: Option<i32>,
    /// Digits or letters that the number contains. `*` stands for one character and `%` for several, at the start or
    /// the end only; a leading `+` and a trailing `$` fix the ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^[+]?[*%]?[0-9A-Za-z]{2,}[*%]?[$]?$')").message("2-16 characters: digits or letters, * or % only at the start or end, + only first, $ only last"))]
    pub contains: Option<String>,
    /// City, such as Québec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = r"^[\p{L}][\p{L} .'’-]*$"))]
    pub locality: Option<String>,
    /// What the number must be able to do.
    #[serde(default = "default_capabilities")]
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub capabilities: Vec<Capability>,
    /// Whether numbers that are new to Twilio's platform will do.
    #[serde(default)]
    pub allow_beta: bool,
}

fn default_capabilities() -> Vec<Capability> {
    vec![Capability::SMS]
}

/// Kind of number.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum SearchType {
    #[default]
    #[allow(missing_docs, reason = "documented on the field")]
    Local,
    #[allow(missing_docs, reason = "documented on the field")]
    Mobile,
    #[allow(missing_docs, reason = "documented on the field")]
    TollFree,
}

/// Who decides that a number is bought.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs, reason = "documented on the field, whose description users see")]
pub enum PurchasePolicy {
    #[default]
    Automatic,
    Manual,
    Never,
}

/// Whether a number that the account holds may be taken over.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs, reason = "documented on the field, whose description users see")]
pub enum AdoptionPolicy {
    #[default]
    Never,
    IfOwned,
    TakeOver,
}

/// What happens to the number when the resource is deleted.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs, reason = "documented on the field, whose description users see")]
pub enum DeletionPolicy {
    #[default]
    Retain,
    Release,
}

/// An amount and its currency.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// A decimal above 0, such as "1.50".
    #[schemars(length(max = 12))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,5})([.][0-9]{1,4})?$') && double(self) > 0.0").message("a decimal above 0 with at most four decimals, such as '1.15'"))]
    pub amount: String,
    /// ISO 4217 code, such as USD: the currency in which Twilio bills the account. Amounts are never converted.
    #[schemars(length(max = 3))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Z]{3}$')").message("an ISO 4217 code such as USD"))]
    pub currency: String,
}

/// A URL that Twilio can call: https, a public DNS name, and nothing that it would have to encode.
const PUBLIC_HTTPS: &str = "isURL(self) && self.matches('^https://([A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?[.])+[A-Za-z]([-A-Za-z0-9]{0,61}[A-Za-z0-9])(:[0-9]{1,5})?([/?#][!-~]*)?$')";
const PUBLIC_HTTPS_MESSAGE: &str = "must be https://<public DNS name>/...: no http, no IP address, no single-label host, no user:password@, no spaces or accents (percent-encode them)";
/// Names that mean something inside a cluster or a network only.
const NOT_LOCAL: &str = "!self.lowerAscii().matches('^https://[^/?#]*[.](localhost|local|internal|svc|cluster[.]local)(:[0-9]+)?([/?#]|$)')";
const NOT_LOCAL_MESSAGE: &str = "Twilio cannot reach an in-cluster or local name; use the public https URL";

/// Where incoming messages go.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.fallbackURL) || has(self.webhookURL)").message("fallbackURL needs webhookURL").field_path(".fallbackURL"))]
pub struct Sms {
    /// The receive-sms webhook: a public https URL. Default: the operator's `--default-sms-webhook-url`.
    #[serde(default, rename = "webhookURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 12, max = 2048))]
    #[x_kube(
        validation = Rule::new(PUBLIC_HTTPS).message(PUBLIC_HTTPS_MESSAGE),
        validation = Rule::new(NOT_LOCAL).message(NOT_LOCAL_MESSAGE)
    )]
    pub webhook_url: Option<String>,
    /// How Twilio calls the webhook.
    #[serde(default)]
    pub method: HttpMethod,
    /// What Twilio calls when the webhook fails.
    #[serde(default, rename = "fallbackURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 12, max = 2048))]
    #[x_kube(
        validation = Rule::new(PUBLIC_HTTPS).message(PUBLIC_HTTPS_MESSAGE),
        validation = Rule::new(NOT_LOCAL).message(NOT_LOCAL_MESSAGE)
    )]
    pub fallback_url: Option<String>,
    /// How Twilio calls the fallback.
    #[serde(default)]
    pub fallback_method: HttpMethod,
    /// `Managed`: the operator sets the webhook. `Observed`: a person sets it by hand; status shows the URL to copy and
    /// whether it is there.
    #[serde(default)]
    pub management: SmsManagement,
    /// Put the number into this Messaging Service (MG…), and keep it there: for a campaign that carriers in the United States ask
    /// for. The service has to leave incoming messages to the number's webhook, or have the same URL; otherwise the number is not
    /// put into it. On a change, or without it, the number is taken out of the service that this resource put it into.
    #[serde(default, rename = "messagingServiceSID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 34), regex(pattern = "^MG[0-9a-fA-F]{32}$"))]
    pub messaging_service_sid: Option<String>,
    /// `SignedRequest`: send one signed synthetic message to the webhook and require a 2xx answer.
    #[serde(default)]
    pub verification: SmsVerification,
}

/// Who sets the webhook.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs, reason = "documented on the field, whose description users see")]
pub enum SmsManagement {
    #[default]
    Managed,
    Observed,
}

/// Whether the webhook is tried.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs, reason = "documented on the field, whose description users see")]
pub enum SmsVerification {
    #[default]
    None,
    SignedRequest,
}

/// Where incoming calls go.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Voice {
    /// The voice webhook: a public https URL.
    #[serde(rename = "webhookURL")]
    #[schemars(length(min = 12, max = 2048))]
    #[x_kube(
        validation = Rule::new(PUBLIC_HTTPS).message(PUBLIC_HTTPS_MESSAGE),
        validation = Rule::new(NOT_LOCAL).message(NOT_LOCAL_MESSAGE)
    )]
    pub webhook_url: String,
    /// How Twilio calls the webhook.
    #[serde(default)]
    pub method: HttpMethod,
    /// What Twilio calls when the webhook fails.
    #[serde(default, rename = "fallbackURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 12, max = 2048))]
    #[x_kube(
        validation = Rule::new(PUBLIC_HTTPS).message(PUBLIC_HTTPS_MESSAGE),
        validation = Rule::new(NOT_LOCAL).message(NOT_LOCAL_MESSAGE)
    )]
    pub fallback_url: Option<String>,
    /// How Twilio calls the fallback.
    #[serde(default)]
    pub fallback_method: HttpMethod,
}

/// Regulatory identifiers of the Twilio account.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegulatoryRefs {
    /// An address on file (AD…).
    #[serde(default, rename = "addressSID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 34), regex(pattern = "^AD[0-9a-fA-F]{32}$"))]
    pub address_sid: Option<String>,
    /// An approved regulatory bundle (BU…).
    #[serde(default, rename = "bundleSID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 34), regex(pattern = "^BU[0-9a-fA-F]{32}$"))]
    pub bundle_sid: Option<String>,
    /// An identity document (RI…).
    #[serde(default, rename = "identitySID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 34), regex(pattern = "^RI[0-9a-fA-F]{32}$"))]
    pub identity_sid: Option<String>,
}

/// What `status.usage` counts.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageSettings {
    /// `Account`: the account's usage records. `Number`: this number's messages alone, counted one by one.
    #[serde(default)]
    pub scope: UsageScope,
}

/// What usage figures are about.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
#[allow(missing_docs, reason = "documented on the field, whose description users see")]
pub enum UsageScope {
    #[default]
    Account,
    Number,
}

/// What the operator found and did. Written by the operator alone.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = {"observedGeneration": -1}))]
pub struct ClinicPhoneNumberStatus {
    /// The generation of the spec that this status speaks of; -1 until the operator has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The number held, E.164.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// Twilio's SID of the number (PN…).
    #[serde(default, rename = "phoneNumberSID", skip_serializing_if = "Option::is_none")]
    pub phone_number_sid: Option<String>,
    /// The account that holds the number (AC…).
    #[serde(default, rename = "accountSID", skip_serializing_if = "Option::is_none")]
    pub account_sid: Option<String>,
    /// The label as it stands at Twilio, the operator's mark in front of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub friendly_name: Option<String>,
    /// City of the number, as the search told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locality: Option<String>,
    /// State or province of the number, as the search told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Country of the number, ISO 3166-1 alpha-2, as the search told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// What the number can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub capabilities: Vec<Capability>,
    /// How the number came to this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    // An optional enum would list `null` as one of its values.
    #[schemars(with = "Origin")]
    pub origin: Option<Origin>,
    /// When the number was bought or adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquired_at: Option<Time>,
    /// The purchase under way, or the one that led to the number: what makes buying twice impossible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Numbers to choose from, while a person is to choose: each costs `monthlyPrice`. Searched anew after two minutes, then
    /// more and more rarely up to once an hour, and at once on request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 30))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub candidates: Vec<Candidate>,
    /// When the candidates were first found as they stand here; a search that finds the same ones does not move it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidates_as_of: Option<Time>,
    /// The message webhook as it was set up last. Whether Twilio still has it so is what `InboundSms` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookStatus>,
    /// The Messaging Service that the number was put into, or is about to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messaging_service: Option<MessagingServiceStatus>,
    /// Price of the number a month, as Twilio's price list has it; read again once a day. Before a number is held, of the
    /// numbers that are searched, with `maxMonthlyPrice` or `purchasePolicy: Manual`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_price: Option<PriceStatus>,
    /// Price of one SMS of the number, before carrier fees; read again once a day. Before a number is held, of the candidates.
    /// Twilio lists no price of MMS: what they cost is in `usage.smsCost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms_prices: Option<SmsPrices>,
    /// This month's messages and cost, read anew every `--usage-interval`. The condition `UsageReported` tells when they
    /// cannot be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Where Twilio shows the account's usage and bill.
    #[serde(default, rename = "billingURL", skip_serializing_if = "Option::is_none")]
    pub billing_url: Option<String>,
    /// The number that the annotation `telephony.chiroflow.io/forget-number` names although it was not lost when it was set: that
    /// gives up nothing, neither now nor when the number is lost. Take the annotation away, and set it again once it is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored_forget_number: Option<String>,
    /// The last value of the annotation `telephony.chiroflow.io/requested-at` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// Ready, Reconciling, Stalled and the domain conditions; see docs/conditions.md.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

impl ClinicPhoneNumberStatus {
    /// Whether the number is lost. Status says so until it is seen again or given up: also while something else, such as a
    /// rejected token, is what `Ready` and `Stalled` tell.
    pub fn is_lost(&self) -> bool {
        let acquired = conditions::find(&self.conditions, ConditionType::NumberAcquired);
        acquired.is_some_and(|c| c.reason == Reason::NumberLost.as_str())
    }
}

/// How a number came to its resource.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[allow(missing_docs, reason = "documented on the field, whose description users see")]
pub enum Origin {
    Purchased,
    Adopted,
}

/// A purchase (or adoption) of one exact number, written before anything is sent.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The number claimed, E.164.
    #[schemars(length(max = 16))]
    pub phone_number: String,
    /// The tag that the number carries in its label at Twilio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub tag: Option<String>,
    /// The account that the claim was made for (AC…).
    #[serde(default, rename = "accountSID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 34))]
    pub account_sid: Option<String>,
    /// The generation of the spec that led to this number; after an edit nothing more is sent for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// How many times sending was announced. Never lowered while the outcome is unknown.
    #[schemars(range(min = 0))]
    pub attempts: i32,
    /// How many of them had no answer that settles them.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub unanswered: i32,
    /// When the first was announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_attempt_at: Option<Time>,
    /// When the last was announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt_at: Option<Time>,
    /// What became of it.
    #[serde(default)]
    pub outcome: ClaimOutcome,
    /// Numbers that this resource tried and did not get; not tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 16)))]
    pub tried: Vec<String>,
    /// How many times giving the number back was announced.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub releasing: i32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// What became of a claim.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, JsonSchema)]
#[allow(missing_docs, reason = "documented on the field, whose description users see")]
pub enum ClaimOutcome {
    #[default]
    Unknown,
    Refused,
    Held,
    Abandoned,
}

/// A number to choose.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The number, E.164.
    pub phone_number: String,
    /// The number as people write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub friendly_name: Option<String>,
    /// City.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locality: Option<String>,
    /// State or province.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What it can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
}

/// The message webhook as it was set up last.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookStatus {
    /// Its URL.
    pub url: String,
    /// How Twilio calls it.
    pub method: HttpMethod,
    /// When the operator set it to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configured_at: Option<Time>,
    /// When it last answered a signed request of the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Time>,
}

/// A Messaging Service that the number was put into, or is about to be.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessagingServiceStatus {
    /// Its SID (MG…).
    pub sid: String,
    /// When the operator put the number into it, or saw that it is in it. Without it the number may or may not be in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined_at: Option<Time>,
}

/// An amount and its currency, as Twilio tells them.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceStatus {
    /// A decimal, such as "1.15".
    pub amount: String,
    /// ISO 4217 code.
    pub currency: String,
}

impl From<&Money> for PriceStatus {
    fn from(money: &Money) -> Self {
        Self { amount: money.amount.to_string(), currency: money.currency.to_string() }
    }
}

/// Price of one message.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SmsPrices {
    /// One message received, a decimal.
    pub inbound: String,
    /// One message sent, a decimal: the highest that Twilio asks for any carrier of the country.
    pub outbound: String,
    /// ISO 4217 code.
    pub currency: String,
}

impl From<&MessagePrice> for SmsPrices {
    fn from(price: &MessagePrice) -> Self {
        Self {
            inbound: price.inbound.amount.to_string(),
            outbound: price.outbound.amount.to_string(),
            currency: price.outbound.currency.to_string(),
        }
    }
}

/// This month's messages and cost.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// The month in GMT, such as 2026-11.
    pub month: String,
    /// Messages sent, SMS and MMS.
    pub sms_sent: i64,
    /// Messages received, SMS and MMS.
    pub sms_received: i64,
    /// What the messages cost so far, carrier fees included, a decimal. Twilio's bill is what counts.
    pub sms_cost: String,
    /// `smsCost` and a month's rent of the numbers that the figures cover, a decimal. Not there where the price of one of
    /// them is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_cost: Option<String>,
    /// ISO 4217 code.
    pub currency: String,
    /// Whether the figures are of the whole account or of this number alone.
    pub scope: UsageScope,
    /// How many numbers the figures cover: all that the account holds. With 1 they are this number's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub numbers: Option<i32>,
    /// When Twilio counted.
    pub as_of: Time,
}
