//! Messaging Services and the numbers in them (<https://www.twilio.com/docs/messaging/api/service-resource>).
//!
//! Of a service there is what decides where a message goes and who may send: its URLs, whether it leaves messages to the number's
//! own URL, and whether it is registered for US traffic. What became of a campaign or of a toll-free verification is set through the
//! control API, as carriers decide it elsewhere.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::routes::Asked;
use super::state::{Change, World};
use super::wire::{Answer, ApiError, Page, Request, with};
use crate::domain::{AccountSid, MessagingServiceSid, PhoneNumberSid};

/// What a service is made and changed with, as in Twilio's `OpenAPI` description.
pub(super) const PARAMETERS: &[&str] = &[
    "FriendlyName",
    "InboundRequestUrl",
    "InboundMethod",
    "FallbackUrl",
    "FallbackMethod",
    "StatusCallback",
    "StickySender",
    "MmsConverter",
    "SmartEncoding",
    "ScanMessageContent",
    "FallbackToLongCode",
    "AreaCodeGeomatch",
    "ValidityPeriod",
    "SynchronousValidation",
    "Usecase",
    "UseInboundWebhookOnNumber",
];

/// What verifications of toll-free numbers are listed by.
pub(super) const VERIFICATION_PARAMETERS: &[&str] =
    &["TollfreePhoneNumberSid", "Status", "ExternalReferenceId", "IncludeSubAccounts", "TrustProductSid"];

/// As many numbers as Twilio lets into one service, unless it is asked for more.
const ROOM: usize = 400;

/// What a setting that is kept and has no effect here is, unless it is set.
enum Default {
    Text(&'static str),
    Flag(bool),
    Number(u32),
}

/// Settings that are shown as they were set: the parameter, its field, its default.
const KEPT: &[(&str, &str, Default)] = &[
    ("AreaCodeGeomatch", "area_code_geomatch", Default::Flag(true)),
    ("FallbackMethod", "fallback_method", Default::Text("POST")),
    ("FallbackToLongCode", "fallback_to_long_code", Default::Flag(true)),
    ("FallbackUrl", "fallback_url", Default::Text("")),
    ("MmsConverter", "mms_converter", Default::Flag(true)),
    ("ScanMessageContent", "scan_message_content", Default::Text("inherit")),
    ("SmartEncoding", "smart_encoding", Default::Flag(true)),
    ("StatusCallback", "status_callback", Default::Text("")),
    ("StickySender", "sticky_sender", Default::Flag(true)),
    ("SynchronousValidation", "synchronous_validation", Default::Flag(false)),
    ("Usecase", "usecase", Default::Text("undeclared")),
    ("ValidityPeriod", "validity_period", Default::Number(14_400)),
];

/// A Messaging Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Service {
    pub(super) sid: MessagingServiceSid,
    pub(super) account: AccountSid,
    pub(super) friendly_name: String,
    /// Null, which throws messages away, is empty here.
    pub(super) inbound_url: String,
    pub(super) inbound_method: String,
    pub(super) on_number: bool,
    /// What else was set, by parameter.
    #[serde(default)]
    pub(super) settings: BTreeMap<String, String>,
    /// The state of its US campaign, in Twilio's word; empty: there is none.
    pub(super) campaign: String,
    pub(super) numbers: Vec<PhoneNumberSid>,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
}

/// What `PUT /_simulator/compliance` sets: what carriers have decided, in Twilio's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Compliance {
    /// The US campaign of each of these services: `IN_PROGRESS`, `VERIFIED`, `FAILED`; empty: none.
    #[serde(default)]
    pub campaigns: BTreeMap<MessagingServiceSid, String>,
    /// The verification of each of these toll-free numbers: `PENDING_REVIEW`, `IN_REVIEW`, `TWILIO_APPROVED`,
    /// `TWILIO_REJECTED`.
    #[serde(default)]
    pub toll_free: BTreeMap<PhoneNumberSid, String>,
}

impl Compliance {
    /// Sets the states; all of them or none.
    pub(super) fn set(self, world: &mut World) -> Result<(), String> {
        let mut changes = Vec::new();
        for (sid, campaign) in self.campaigns {
            let service = world.service(&sid).ok_or_else(|| format!("no Messaging Service {sid}"))?;
            changes.push(Change::Service(Service { campaign, ..service.clone() }));
        }
        for (sid, state) in self.toll_free {
            world.number(&sid).ok_or_else(|| format!("no number {sid}"))?;
            changes.push(Change::Verification(sid, state));
        }
        for change in changes {
            world.apply(change);
        }
        Ok(())
    }
}

fn iso(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn resource(request: &Request, service: &Service) -> Value {
    let url = format!("{}/v1/Services/{}", request.base("messaging"), service.sid);
    let some = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
    let shown = json!({
        "sid": service.sid, "account_sid": service.account, "friendly_name": service.friendly_name,
        "date_created": iso(service.created), "date_updated": iso(service.updated),
        "inbound_request_url": some(&service.inbound_url), "inbound_method": service.inbound_method,
        "us_app_to_person_registered": service.campaign == "VERIFIED",
        "use_inbound_webhook_on_number": service.on_number,
        "url": url,
        "links": {
            "phone_numbers": format!("{url}/PhoneNumbers"), "short_codes": format!("{url}/ShortCodes"),
            "alpha_senders": format!("{url}/AlphaSenders"), "messages": format!("{url}/Messages"),
            "us_app_to_person": format!("{url}/Compliance/Usa2p"),
            "us_app_to_person_usecases": format!("{url}/Compliance/Usa2p/Usecases"),
            "channel_senders": format!("{url}/ChannelSenders"), "destination_alpha_senders": format!("{url}/DestinationAlphaSenders"),
        },
    });
    let kept = KEPT.iter().map(|(parameter, name, default)| {
        let set = service.settings.get(*parameter).map(String::as_str);
        let value = match default {
            Default::Text(default) => some(set.unwrap_or(default)),
            Default::Flag(default) => set.map_or(*default, |set| set == "true").into(),
            Default::Number(default) => set.and_then(|set| set.parse::<u32>().ok()).unwrap_or(*default).into(),
        };
        (*name, value)
    });
    with(shown, kept)
}

/// A list as products answer it: with `meta`, whose URLs are absolute.
pub(super) fn listed(asked: &Asked<'_>, product: &str, key: &str, all: Vec<Value>) -> Result<Answer, ApiError> {
    let page = Page::read(&asked.params, false)?;
    let skip = usize::try_from(page.number).unwrap_or(usize::MAX).saturating_mul(page.size);
    let more = all.len() > skip.saturating_add(page.size);
    let url = format!("{}{}", asked.request.base(product), asked.request.path);
    let at = |number: u64| format!("{url}?PageSize={}&Page={number}", page.size);
    let items: Vec<_> = all.into_iter().skip(skip).take(page.size).collect();
    Ok(Answer::ok(json!({
        key: items,
        "meta": {
            "key": key, "page": page.number, "page_size": page.size, "url": at(page.number), "first_page_url": at(0),
            "previous_page_url": page.number.checked_sub(1).map(at), "next_page_url": more.then(|| at(page.number + 1)),
        },
    })))
}

fn of<'a>(world: &'a World, asked: &Asked<'_>, sid: &MessagingServiceSid) -> Result<&'a Service, ApiError> {
    let service = world.service(sid).filter(|service| service.account == asked.account);
    service.ok_or_else(|| ApiError::not_found(&asked.request.path))
}

/// `GET /v1/Services`
pub(super) fn list(world: &World, asked: &Asked<'_>) -> Result<Answer, ApiError> {
    let all = world.services().filter(|service| service.account == asked.account);
    listed(asked, "messaging", "services", all.map(|service| resource(asked.request, service)).collect())
}

/// `GET /v1/Services/{sid}`
pub(super) fn fetch(world: &World, asked: &Asked<'_>, sid: &MessagingServiceSid) -> Result<Answer, ApiError> {
    Ok(Answer::ok(resource(asked.request, of(world, asked, sid)?)))
}

/// What the parameters change.
fn change(service: &mut Service, asked: &Asked<'_>) -> Result<(), ApiError> {
    let params = &asked.params;
    if let Some(name) = params.get("FriendlyName") {
        name.clone_into(&mut service.friendly_name);
    }
    if let Some(url) = params.get("InboundRequestUrl") {
        url.clone_into(&mut service.inbound_url);
    }
    match params.filled("InboundMethod") {
        None => {}
        Some(method @ ("GET" | "POST")) => method.clone_into(&mut service.inbound_method),
        Some(other) => return Err(ApiError::bad(20422, format!("InboundMethod {other} is neither GET nor POST"))),
    }
    if let Some(on_number) = params.flag("UseInboundWebhookOnNumber")? {
        service.on_number = on_number;
    }
    for (parameter, _, default) in KEPT {
        let Some(value) = params.get(parameter) else { continue };
        match default {
            Default::Flag(_) => drop(params.flag(parameter)?),
            Default::Number(_) if value.parse::<u32>().is_err() => {
                return Err(ApiError::bad(20422, format!("{parameter} {value} is no number")));
            }
            Default::Text(_) | Default::Number(_) => {}
        }
        service.settings.insert((*parameter).to_owned(), value.to_owned());
    }
    service.updated = asked.now;
    Ok(())
}

/// `POST /v1/Services`
pub(super) fn create(world: &mut World, asked: &Asked<'_>) -> Result<Answer, ApiError> {
    if asked.params.filled("FriendlyName").is_none() {
        return Err(ApiError::bad(20422, "A FriendlyName is required"));
    }
    let sid = world.new_sid("MG", asked.now);
    let sid = MessagingServiceSid::parse(&sid).map_err(|error| ApiError::new(500, 20500, error.to_string()))?;
    let mut service = Service {
        sid,
        account: asked.account.clone(),
        friendly_name: String::new(),
        inbound_url: String::new(),
        inbound_method: "POST".to_owned(),
        on_number: false,
        settings: BTreeMap::new(),
        campaign: String::new(),
        numbers: Vec::new(),
        created: asked.now,
        updated: asked.now,
    };
    change(&mut service, asked)?;
    let answer = Answer::created(resource(asked.request, &service));
    world.apply(Change::Service(service));
    Ok(answer)
}

/// `POST /v1/Services/{sid}`
pub(super) fn update(world: &mut World, asked: &Asked<'_>, sid: &MessagingServiceSid) -> Result<Answer, ApiError> {
    let mut service = of(world, asked, sid)?.clone();
    change(&mut service, asked)?;
    let answer = Answer::ok(resource(asked.request, &service));
    world.apply(Change::Service(service));
    Ok(answer)
}

/// `DELETE /v1/Services/{sid}`
pub(super) fn delete(world: &mut World, asked: &Asked<'_>, sid: &MessagingServiceSid) -> Result<Answer, ApiError> {
    let sid = of(world, asked, sid)?.sid.clone();
    world.apply(Change::ServiceGone(sid));
    Ok(Answer::no_content())
}

fn member(world: &World, asked: &Asked<'_>, service: &Service, sid: &PhoneNumberSid) -> Option<Value> {
    let number = world.number(sid)?;
    let url = format!("{}/v1/Services/{}/PhoneNumbers/{sid}", asked.request.base("messaging"), service.sid);
    let can = [(number.can.voice, "Voice"), (number.can.sms, "SMS"), (number.can.mms, "MMS")];
    let can: Vec<_> = can.into_iter().filter_map(|(can, name)| can.then_some(name)).collect();
    Some(json!({
        "sid": sid, "account_sid": service.account, "service_sid": service.sid, "phone_number": number.phone_number,
        "country_code": number.country, "capabilities": can, "date_created": iso(number.created),
        "date_updated": iso(number.updated), "url": url,
    }))
}

/// `GET /v1/Services/{sid}/PhoneNumbers`
pub(super) fn numbers(world: &World, asked: &Asked<'_>, sid: &MessagingServiceSid) -> Result<Answer, ApiError> {
    let service = of(world, asked, sid)?;
    listed(
        asked,
        "messaging",
        "phone_numbers",
        service.numbers.iter().filter_map(|of| member(world, asked, service, of)).collect(),
    )
}

/// `GET /v1/Services/{sid}/PhoneNumbers/{number}`
pub(super) fn number(
    world: &World,
    asked: &Asked<'_>,
    sid: &MessagingServiceSid,
    number: &PhoneNumberSid,
) -> Result<Answer, ApiError> {
    let service = of(world, asked, sid)?;
    let member = service.numbers.contains(number).then(|| member(world, asked, service, number)).flatten();
    member.map(Answer::ok).ok_or_else(|| ApiError::not_found(&asked.request.path))
}

/// `POST /v1/Services/{sid}/PhoneNumbers`
pub(super) fn join(world: &mut World, asked: &Asked<'_>, sid: &MessagingServiceSid) -> Result<Answer, ApiError> {
    let mut service = of(world, asked, sid)?.clone();
    let text = asked.params.filled("PhoneNumberSid").unwrap_or_default();
    let held = PhoneNumberSid::parse(text).ok().and_then(|sid| world.number(&sid));
    let held = held.filter(|number| number.account == asked.account);
    let number = held.ok_or_else(|| ApiError::bad(21421, format!("PhoneNumberSid {text} is invalid")))?;
    if !number.can.sms && !number.can.mms {
        return Err(ApiError::bad(21715, format!("{} has neither SMS nor MMS", number.phone_number)));
    }
    let number = number.sid.clone();
    match world.services().find(|other| other.numbers.contains(&number)) {
        Some(same) if same.sid == service.sid => {
            return Err(ApiError::new(409, 21710, "Phone Number or Short Code is already in the Messaging Service."));
        }
        Some(_) => {
            let why = "Phone Number or Short Code is associated with another Messaging Service.";
            return Err(ApiError::new(409, 21712, why));
        }
        None => {}
    }
    if service.numbers.len() >= ROOM {
        return Err(ApiError::bad(21714, format!("The Messaging Service has {ROOM} numbers, the most there may be")));
    }
    service.numbers.push(number.clone());
    let answer = member(world, asked, &service, &number).map(Answer::created);
    world.apply(Change::Service(service));
    answer.ok_or_else(|| ApiError::not_found(&asked.request.path))
}

/// `DELETE /v1/Services/{sid}/PhoneNumbers/{number}`
pub(super) fn leave(
    world: &mut World,
    asked: &Asked<'_>,
    sid: &MessagingServiceSid,
    number: &PhoneNumberSid,
) -> Result<Answer, ApiError> {
    let mut service = of(world, asked, sid)?.clone();
    if !service.numbers.contains(number) {
        return Err(ApiError::new(404, 21711, "The sender is not in the Messaging Service."));
    }
    service.numbers.retain(|other| other != number);
    world.apply(Change::Service(service));
    Ok(Answer::no_content())
}

/// `GET /v1/Services/{sid}/Compliance/Usa2p`
pub(super) fn campaigns(world: &World, asked: &Asked<'_>, sid: &MessagingServiceSid) -> Result<Answer, ApiError> {
    let service = of(world, asked, sid)?;
    let digits = service.sid.as_str().get(2..).unwrap_or_default();
    let campaign = (!service.campaign.is_empty()).then(|| {
        let url =
            format!("{}/v1/Services/{}/Compliance/Usa2p/QE{digits}", asked.request.base("messaging"), service.sid);
        json!({
            "sid": format!("QE{digits}"), "account_sid": service.account, "messaging_service_sid": service.sid,
            "brand_registration_sid": format!("BN{digits}"), "campaign_status": service.campaign,
            "campaign_id": null, "is_externally_registered": false, "description": "Reminders of appointments",
            "message_samples": ["Your appointment is tomorrow at 9:00.", "Reply STOP to unsubscribe."],
            "us_app_to_person_usecase": "CUSTOMER_CARE", "has_embedded_links": false, "has_embedded_phone": false,
            "subscriber_opt_in": true, "age_gated": false, "direct_lending": false, "message_flow": "At the desk.",
            "opt_in_message": null, "opt_out_message": null, "help_message": null, "opt_in_keywords": [],
            "opt_out_keywords": [], "help_keywords": [], "rate_limits": null, "mock": false, "errors": [],
            "date_created": iso(service.created), "date_updated": iso(service.updated), "url": url,
        })
    });
    listed(asked, "messaging", "compliance", campaign.into_iter().collect())
}

/// `GET /v1/Tollfree/Verifications`
pub(super) fn verifications(world: &World, asked: &Asked<'_>) -> Result<Answer, ApiError> {
    let of = asked.params.filled("TollfreePhoneNumberSid");
    let status = asked.params.filled("Status");
    let all = world.verifications(&asked.account).filter(|(number, state)| {
        of.is_none_or(|of| number.as_str() == of) && status.is_none_or(|wanted| wanted == *state)
    });
    let all = all.map(|(number, state)| verification(world, asked, number, state));
    listed(asked, "messaging", "verifications", all.collect())
}

/// Of what a business hands in with its verification only what the examples of the description have is shown: made up.
fn verification(world: &World, asked: &Asked<'_>, number: &PhoneNumberSid, state: &str) -> Value {
    let digits = number.as_str().get(2..).unwrap_or_default();
    let url = format!("{}/v1/Tollfree/Verifications/HH{digits}", asked.request.base("messaging"));
    let e164 = world.number(number).map(|number| number.phone_number.as_str());
    let shown = json!({
        "sid": format!("HH{digits}"), "account_sid": asked.account, "customer_profile_sid": format!("BU{digits}"),
        "trust_product_sid": format!("BU{digits}"), "regulated_item_sid": format!("RA{digits}"),
        "date_created": iso(asked.now), "date_updated": iso(asked.now), "tollfree_phone_number_sid": number,
        "tollfree_phone_number": e164, "status": state, "url": url, "use_case_categories": ["ACCOUNT_NOTIFICATIONS"],
        "opt_in_type": "VERBAL", "opt_in_image_urls": [], "opt_in_keywords": [], "age_gated_content": false,
        "resource_links": {
            "customer_profile": format!("https://trusthub.twilio.com/v1/CustomerProfiles/BU{digits}"),
            "trust_product": format!("https://trusthub.twilio.com/v1/TrustProducts/BU{digits}"),
            "channel_endpoint_assignment": format!(
                "https://trusthub.twilio.com/v1/TrustProducts/BU{digits}/ChannelEndpointAssignments/RA{digits}"
            ),
        },
    });
    with(shown, UNSET.iter().map(|unset| (*unset, Value::Null)))
}

const UNSET: &[&str] = &[
    "additional_information",
    "business_city",
    "business_contact_email",
    "business_contact_first_name",
    "business_contact_last_name",
    "business_contact_phone",
    "business_country",
    "business_name",
    "business_postal_code",
    "business_registration_authority",
    "business_registration_country",
    "business_registration_number",
    "business_registration_phone_number",
    "business_state_province_region",
    "business_street_address",
    "business_street_address2",
    "business_type",
    "business_website",
    "doing_business_as",
    "edit_allowed",
    "edit_expiration",
    "error_code",
    "external_reference_id",
    "help_message_sample",
    "message_volume",
    "notification_email",
    "opt_in_confirmation_message",
    "privacy_policy_url",
    "production_message_sample",
    "rejection_reason",
    "rejection_reasons",
    "terms_and_conditions_url",
    "use_case_summary",
    "vetting_id",
    "vetting_id_expiration",
    "vetting_provider",
];
