//! What the resource asks for, parsed once. Bad input becomes a value that says so; nothing here can fail.

use std::time::Duration;

use kube::ResourceExt as _;
use rust_decimal::Decimal;

use crate::api::v1alpha1::{
    AdoptionPolicy, ClinicPhoneNumber, ClinicPhoneNumberSpec, DeletionPolicy, NumberSearch, Price, PurchasePolicy,
    SearchType, SmsManagement, SmsVerification,
};
use crate::api::{FINALIZER, FORGET_NUMBER, REQUESTED_AT};
use crate::domain::time::parse_duration;
use crate::domain::{
    AddressSid, BundleSid, CountryCode, Currency, E164, HttpMethod, IdentitySid, InstallationId, Mark,
    MessagingServiceSid, Money, NumberType, OwnerTag, ParseError, Regulatory, Search, Setup, Webhook,
};

use super::{Rule, holds};

/// Namespace and name of a resource. Ordered: of two resources that announce one number the smaller goes first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What the operator was started with, as far as it shapes a wish.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// This installation.
    pub installation: InstallationId,
    /// The id that this installation had before; numbers that carry it are still ours.
    pub previous_installation: Option<InstallationId>,
    /// The webhook of resources that name none; `{namespace}` and `{name}` are filled in.
    pub sms_webhook_url: Option<String>,
    /// How often numbers are compared with what is wanted.
    pub observe_interval: Duration,
}

/// A spec that cannot be carried out: which field, why, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct SpecProblem {
    /// The field's path.
    pub field: &'static str,
    /// What is wrong and what to do.
    pub problem: String,
}

/// The most that a number may cost a month, and which numbers' price it is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The most.
    pub most: Money,
    /// Numbers of this country …
    pub country: CountryCode,
    /// … and of this kind.
    pub number_type: NumberType,
}

/// A spec that can be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// One exact number.
    pub exact: Option<E164>,
    /// Searches in order of preference; empty when only an exact number is wanted.
    pub searches: Vec<Search>,
    /// Whether a number may be bought.
    pub may_buy: bool,
    /// Whether a person names the number to buy: until then nothing is.
    pub manual: bool,
    /// The most that a number may cost a month.
    pub limit: Option<Limit>,
    /// Whether a held number may be taken over.
    pub adoption: AdoptionPolicy,
    /// The label behind the mark.
    pub label: Option<String>,
    /// The message webhook.
    pub sms: Webhook,
    /// Whether the operator sets it, or a person does and the operator tells whether it is there.
    pub sms_management: SmsManagement,
    /// Whether it is to be tried with a signed message.
    pub verify: bool,
    /// The Messaging Service that the number is to be in.
    pub messaging_service: Option<MessagingServiceSid>,
    /// The call webhook.
    pub voice: Option<Webhook>,
    /// Passed on with the purchase.
    pub regulatory: Regulatory,
}

/// What the resource asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// Which resource.
    pub key: ObjectKey,
    /// The generation of the spec.
    pub generation: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether our finalizer is on it.
    pub finalizer: bool,
    /// The annotation that asks for a look now.
    pub requested_at: Option<String>,
    /// The annotation that gives up a lost number.
    pub forget: Option<String>,
    /// Start nothing new.
    pub suspend: bool,
    /// The mark of a bought number.
    pub mark: Mark,
    /// Tags that are ours: the current one first, then that of the previous installation id.
    pub tags: Vec<OwnerTag>,
    /// Short form of this installation's id, and of the previous one.
    pub installations: Vec<String>,
    /// What is asked for, or why it cannot be done.
    pub wish: Result<Wish, SpecProblem>,
    /// What happens on deletion.
    pub deletion: DeletionPolicy,
    /// The number that a person allowed to release.
    pub release_confirmation: Option<String>,
    /// How often the number is looked at.
    pub interval: Duration,
}

impl Desired {
    /// Whether a claim was made under the installation id of today, or the one before.
    pub fn owns(&self, claim: &super::Claim) -> bool {
        self.tags.contains(&claim.tag) || !holds(Rule::ClaimsOwnTag)
    }

    /// Whether the annotation names this held number: a person's word that it may be replaced should it be lost. Whether the word
    /// counts is [`Observed::given_up`](super::Observed::given_up).
    pub fn forgets(&self, held: &super::Held) -> bool {
        self.forget.as_deref() == Some(held.number.as_str())
    }

    /// Reads a resource.
    pub fn read(resource: &ClinicPhoneNumber, defaults: &Defaults) -> Self {
        let key = ObjectKey { namespace: resource.namespace().unwrap_or_default(), name: resource.name_any() };
        let annotation = |name: &str| resource.annotations().get(name).cloned();
        let ids: Vec<_> = std::iter::once(&defaults.installation).chain(&defaults.previous_installation).collect();
        Self {
            generation: resource.metadata.generation.unwrap_or_default(),
            deleting: resource.metadata.deletion_timestamp.is_some(),
            finalizer: resource.finalizers().iter().any(|f| f == FINALIZER) || !holds(Rule::FinalizerFirst),
            requested_at: annotation(REQUESTED_AT),
            forget: annotation(FORGET_NUMBER),
            suspend: resource.spec.suspend,
            mark: defaults.installation.mark(&key.namespace, &key.name, false),
            tags: ids.iter().map(|id| id.tag(&key.namespace, &key.name)).collect(),
            installations: ids.iter().map(|id| id.short()).collect(),
            wish: Wish::read(&resource.spec, defaults, &key),
            deletion: resource.spec.deletion_policy,
            release_confirmation: resource.spec.release_confirmation.clone(),
            interval: resource
                .spec
                .observe_interval
                .as_deref()
                .and_then(|text| parse_duration(text).ok())
                .unwrap_or(defaults.observe_interval),
            key,
        }
    }

    /// The current tag.
    pub fn tag(&self) -> &OwnerTag {
        &self.mark.tag
    }

    /// The mark, with the adopted sign where it belongs.
    pub fn mark(&self, adopted: bool) -> Mark {
        Mark { adopted, ..self.mark.clone() }
    }

    /// Whether a mark is this resource's.
    pub fn is_mine(&self, mark: &Mark) -> bool {
        self.tags.contains(&mark.tag)
    }
}

impl Wish {
    /// Whether a person is to choose, and has not yet.
    pub fn by_hand(&self) -> bool {
        self.manual && self.exact.is_none() && holds(Rule::PersonChooses)
    }

    /// Whether the operator sets the message webhook.
    pub fn sms_managed(&self) -> bool {
        self.sms_management == SmsManagement::Managed
    }

    /// The country and the kind of the numbers that are searched; every search has the same.
    pub fn searched(&self) -> Option<(&CountryCode, NumberType)> {
        self.searches.first().map(|search| (&search.country, search.number_type))
    }

    /// How `number` is to be set up.
    pub fn setup(&self, mark: &Mark, number: &E164) -> Setup {
        Setup {
            friendly_name: mark.friendly_name(self.label.as_deref(), number),
            sms: self.sms_managed().then(|| self.sms.clone()),
            voice: self.voice.clone(),
        }
    }

    fn read(spec: &ClinicPhoneNumberSpec, defaults: &Defaults, key: &ObjectKey) -> Result<Self, SpecProblem> {
        let exact = spec.phone_number.as_deref().map(E164::parse).transpose().map_err(at("spec.phoneNumber"))?;
        let searches = spec.search.as_ref().map(searches).transpose()?.unwrap_or_default();
        if exact.is_none() && searches.is_empty() {
            return Err(SpecProblem { field: "spec", problem: "set search, phoneNumber or both".to_owned() });
        }
        let limit = spec.max_monthly_price.as_ref().map(|price| limit(price, searches.first())).transpose()?;
        let sms = spec.sms.clone().unwrap_or_default();
        let default_url = || {
            let template = defaults.sms_webhook_url.as_ref()?;
            Some(template.replace("{namespace}", &key.namespace).replace("{name}", &key.name))
        };
        let url = sms.webhook_url.or_else(default_url).ok_or_else(|| SpecProblem {
            field: "spec.sms.webhookURL",
            problem: "set it: the operator was started without --default-sms-webhook-url, and a number whose messages go nowhere is not bought"
                .to_owned(),
        })?;
        let regulatory = spec.regulatory.clone().unwrap_or_default();
        Ok(Self {
            exact,
            searches,
            may_buy: spec.purchase_policy != PurchasePolicy::Never,
            manual: spec.purchase_policy == PurchasePolicy::Manual,
            limit,
            adoption: spec.adoption_policy,
            label: spec.friendly_name.clone(),
            sms_management: sms.management,
            verify: sms.verification == SmsVerification::SignedRequest,
            messaging_service: sid(
                sms.messaging_service_sid.as_deref(),
                MessagingServiceSid::parse,
                "spec.sms.messagingServiceSID",
            )?,
            sms: webhook(url, sms.method, sms.fallback_url, sms.fallback_method),
            voice: spec.voice.clone().map(|v| webhook(v.webhook_url, v.method, v.fallback_url, v.fallback_method)),
            regulatory: Regulatory {
                address: sid(regulatory.address_sid.as_deref(), AddressSid::parse, "spec.regulatory.addressSID")?,
                bundle: sid(regulatory.bundle_sid.as_deref(), BundleSid::parse, "spec.regulatory.bundleSID")?,
                identity: sid(regulatory.identity_sid.as_deref(), IdentitySid::parse, "spec.regulatory.identitySID")?,
            },
        })
    }
}

/// The limit, as an exact decimal. The search gives what it is compared with.
fn limit(price: &Price, search: Option<&Search>) -> Result<Limit, SpecProblem> {
    let search = search.ok_or_else(|| SpecProblem {
        field: "spec.maxMonthlyPrice",
        problem: "it needs spec.search: country and type give the price".to_owned(),
    })?;
    let amount = Decimal::from_str_exact(&price.amount).ok().filter(|amount| *amount > Decimal::ZERO);
    let amount = amount.ok_or_else(|| SpecProblem {
        field: "spec.maxMonthlyPrice.amount",
        problem: "write a decimal above 0, such as \"1.50\"".to_owned(),
    })?;
    let currency = Currency::parse(&price.currency).map_err(at("spec.maxMonthlyPrice.currency"))?;
    Ok(Limit { most: Money { amount, currency }, country: search.country.clone(), number_type: search.number_type })
}

fn at(field: &'static str) -> impl Fn(ParseError) -> SpecProblem {
    move |error| SpecProblem { field, problem: error.problem }
}

fn sid<T>(
    text: Option<&str>,
    parse: impl Fn(&str) -> Result<T, ParseError>,
    field: &'static str,
) -> Result<Option<T>, SpecProblem> {
    text.map(parse).transpose().map_err(at(field))
}

fn webhook(url: String, method: HttpMethod, fallback: Option<String>, fallback_method: HttpMethod) -> Webhook {
    Webhook { url, method, fallback: fallback.map(|url| (url, fallback_method)) }
}

fn searches(search: &NumberSearch) -> Result<Vec<Search>, SpecProblem> {
    let one = Search {
        country: CountryCode::parse(&search.country).map_err(at("spec.search.country"))?,
        number_type: match search.number_type {
            SearchType::Local => NumberType::Local,
            SearchType::Mobile => NumberType::Mobile,
            SearchType::TollFree => NumberType::TollFree,
        },
        area_code: None,
        contains: search.contains.clone(),
        locality: search.locality.clone(),
        region: search.region.clone(),
        postal_code: search.postal_code.clone(),
        near_number: search
            .near_number
            .as_deref()
            .map(E164::parse)
            .transpose()
            .map_err(at("spec.search.nearNumber"))?,
        distance_miles: search.distance_miles,
        capabilities: search.capabilities.clone(),
        allow_beta: search.allow_beta,
    };
    let codes = search.area_codes.clone().unwrap_or_default();
    if codes.is_empty() {
        return Ok(vec![one]);
    }
    Ok(codes.into_iter().map(|code| Search { area_code: Some(code), ..one.clone() }).collect())
}
