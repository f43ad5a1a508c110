//! What countries ask for, and the bundles that accounts have for it
//! (<https://www.twilio.com/docs/phone-numbers/regulatory/api>).
//!
//! Bundles come with an account: they are made, and judged, elsewhere.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::plan;
use super::routes::Asked;
use super::services::listed;
use super::state::World;
use super::stock::Kind;
use super::wire::{Answer, ApiError};
use crate::domain::BundleSid;

const END_USERS: [(&str, &str); 2] = [("individual", "Individual"), ("business", "Business")];

/// A bundle of an account, as the accounts file describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BundleSpec {
    /// Its SID.
    pub sid: BundleSid,
    /// Its name.
    #[serde(default)]
    pub friendly_name: String,
    /// How far it is, in Twilio's word.
    #[serde(default = "approved")]
    pub status: String,
    /// The country that it is for.
    pub iso_country: String,
    /// The kind of number that it is for: `local`, `mobile` or `toll-free`.
    pub number_type: String,
    /// When it expires, as Twilio writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
}

fn approved() -> String {
    "twilio-approved".to_owned()
}

/// A name of each kind in this product.
fn word(kind: Kind) -> String {
    kind.key().replace('_', "-")
}

/// One SID for each country, kind and sort of customer.
fn regulation_sid(country: &str, number_type: &str, end_user: &str) -> String {
    let seed = format!("{country}/{number_type}/{end_user}");
    let hash = ring::digest::digest(&ring::digest::SHA256, seed.as_bytes());
    format!("RN{}", data_encoding::HEXLOWER.encode(hash.as_ref().get(..16).unwrap_or_default()))
}

/// `GET /v2/RegulatoryCompliance/Regulations`
pub(super) fn regulations(asked: &Asked<'_>) -> Result<Answer, ApiError> {
    let params = &asked.params;
    let fits = |wanted: &str, is: &str| params.filled(wanted).is_none_or(|wanted| wanted.eq_ignore_ascii_case(is));
    let mut all = Vec::new();
    for (country, name) in plan::COUNTRIES {
        for kind in [Kind::Local, Kind::Mobile, Kind::TollFree] {
            let (_, needs_bundle) = plan::regulation(country, kind);
            if !needs_bundle || !fits("IsoCountry", country) || !fits("NumberType", &word(kind)) {
                continue;
            }
            let sorts = END_USERS.iter().filter(|(sort, _)| fits("EndUserType", sort));
            all.extend(sorts.map(|(sort, title)| regulation(asked, (country, name), kind, (sort, title))));
        }
    }
    listed(asked, "numbers", "results", all)
}

fn regulation(asked: &Asked<'_>, (country, name): (&str, &str), kind: Kind, (sort, title): (&str, &str)) -> Value {
    let base = format!("{}/v2/RegulatoryCompliance", asked.request.base("numbers"));
    let number_type = word(kind);
    let sid = regulation_sid(country, &number_type, sort);
    json!({
        "sid": sid, "friendly_name": format!("{name}: {} - {title}", kind.path()), "iso_country": country,
        "number_type": number_type, "end_user_type": sort, "url": format!("{base}/Regulations/{sid}"),
        "requirements": {
            "end_user": [{
                "name": title, "type": sort, "requirement_name": format!("{sort}_info"),
                "url": format!("{base}/EndUserTypes/{sort}"), "fields": ["first_name", "last_name"],
                "detailed_fields": [
                    {"machine_name": "first_name", "friendly_name": "First Name", "description": "First name"},
                    {"machine_name": "last_name", "friendly_name": "Last Name", "description": "Last name"},
                ],
            }],
            "supporting_document": [[{
                "name": "Address", "type": "document", "requirement_name": "proof_of_address",
                "description": "Where the customer is",
                "accepted_documents": [{
                    "name": "Address Validation", "type": "address", "url": format!("{base}/SupportingDocumentTypes/address"),
                    "fields": ["address_sids"],
                    "detailed_fields": [{
                        "machine_name": "address_sids", "friendly_name": "Address sid(s)", "description": "Address",
                    }],
                }],
            }]],
        },
    })
}

fn shown(asked: &Asked<'_>, bundle: &BundleSpec) -> Value {
    let url = format!("{}/v2/RegulatoryCompliance/Bundles/{}", asked.request.base("numbers"), bundle.sid);
    let at = asked.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "sid": bundle.sid, "account_sid": asked.account, "friendly_name": bundle.friendly_name, "status": bundle.status,
        "regulation_sid": regulation_sid(&bundle.iso_country, &bundle.number_type, "business"),
        "valid_until": bundle.valid_until, "email": "papers@example.com", "status_callback": null,
        "date_created": at, "date_updated": at, "url": url,
        "links": {
            "evaluations": format!("{url}/Evaluations"), "item_assignments": format!("{url}/ItemAssignments"),
            "bundle_copies": format!("{url}/Copies"),
        },
    })
}

/// `GET /v2/RegulatoryCompliance/Bundles`
pub(super) fn bundles(world: &World, asked: &Asked<'_>) -> Result<Answer, ApiError> {
    let params = &asked.params;
    let fits = |wanted: &str, is: &str| params.filled(wanted).is_none_or(|wanted| wanted == is);
    let all = world.bundles(&asked.account).iter().filter(|bundle| {
        fits("Status", &bundle.status)
            && fits("IsoCountry", &bundle.iso_country)
            && fits("NumberType", &bundle.number_type)
            && fits("FriendlyName", &bundle.friendly_name)
    });
    listed(asked, "numbers", "results", all.map(|bundle| shown(asked, bundle)).collect())
}

/// `GET /v2/RegulatoryCompliance/Bundles/{sid}`
pub(super) fn bundle(world: &World, asked: &Asked<'_>, sid: &BundleSid) -> Result<Answer, ApiError> {
    let bundle = world.bundles(&asked.account).iter().find(|bundle| bundle.sid == *sid);
    let bundle = bundle.ok_or_else(|| ApiError::not_found(&asked.request.path))?;
    Ok(Answer::ok(shown(asked, bundle)))
}
