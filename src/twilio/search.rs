//! Numbers on offer (<https://www.twilio.com/docs/phone-numbers/api/availablephonenumber-resource>).
//!
//! Twilio's filters are asked for and then applied again here: some are ignored in silence, and what passes is bought.

use http::Method;
use url::Url;

use super::error::{Failure, trouble};
use super::scrub::Scrubber;
use super::wire::{self, AvailablePage};
use super::{Call, Client, Credentials};
use crate::domain::{AvailableNumber, Capability, Class, NumberType, Search, Trouble};

/// As many as a person can look through, and enough for several resources to choose apart.
const OFFERS: &str = "30";

impl Client {
    /// Numbers that can be bought just now, in Twilio's order. An empty list is an answer, not an error.
    ///
    /// # Errors
    /// When the call failed. [`Class::NotFound`] means that the country has no numbers of this type. A filter that
    /// Twilio ignores in this country is refused without a call: it would widen the search to any number.
    pub async fn search(&self, credentials: &Credentials, search: &Search) -> Result<Vec<AvailableNumber>, Trouble> {
        if let Some(filter) = ignored_filter(search) {
            let why = format!("Twilio ignores {filter} outside the United States and Canada");
            return Err(trouble(operation(search.number_type), &Scrubber::new(credentials), &Failure::NotBuilt(&why)));
        }
        let path = format!("AvailablePhoneNumbers/{}/{}.json", search.country, search.number_type.path());
        let mut url = self.endpoints().account_url(credentials.account(), &path);
        add_filters(&mut url, search);
        let call = Call::new(operation(search.number_type), Method::GET, url, credentials);
        let found = self.call(call, |answer| {
            let page: AvailablePage = wire::decode(&answer.body)?;
            let offers = page.available_phone_numbers.into_iter().filter_map(wire::Available::read);
            Ok(offers.filter(|offer| wanted(offer, search)).collect())
        });
        found.await.map_err(|mut trouble| {
            if trouble.class == Class::NotFound {
                trouble.remedy = format!(
                    "Change spec.search.type: Twilio has no {} numbers in {}; or the Account SID is not the credentials' own.",
                    search.number_type.path(),
                    search.country
                );
            }
            trouble
        })
    }
}

/// Twilio has one operation for each kind of number.
fn operation(number_type: NumberType) -> &'static str {
    match number_type {
        NumberType::Local => "ListAvailablePhoneNumberLocal",
        NumberType::Mobile => "ListAvailablePhoneNumberMobile",
        NumberType::TollFree => "ListAvailablePhoneNumberTollFree",
    }
}

/// A filter that Twilio would ignore for this country.
fn ignored_filter(search: &Search) -> Option<&'static str> {
    if search.country.searches_by_area() {
        return None;
    }
    [
        (search.area_code.is_some(), "spec.search.areaCodes"),
        (search.region.is_some(), "spec.search.region"),
        (search.postal_code.is_some(), "spec.search.postalCode"),
        (search.near_number.is_some(), "spec.search.nearNumber"),
        (search.distance_miles.is_some(), "spec.search.distanceMiles"),
    ]
    .into_iter()
    .find_map(|(given, field)| given.then_some(field))
}

fn add_filters(url: &mut Url, search: &Search) {
    let distance = search.distance_miles.map(|miles| miles.to_string());
    let filters = [
        ("AreaCode", search.area_code.as_deref()),
        ("Contains", search.contains.as_deref()),
        ("InLocality", search.locality.as_deref()),
        ("InRegion", search.region.as_deref()),
        ("InPostalCode", search.postal_code.as_deref()),
        ("NearNumber", search.near_number.as_ref().map(AsRef::as_ref)),
        ("Distance", distance.as_deref()),
    ];
    let mut query = url.query_pairs_mut();
    for (name, value) in filters {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            query.append_pair(name, value);
        }
    }
    // `false` would not mean "without": a capability that is not wanted is not named.
    for capability in &search.capabilities {
        let name = match capability {
            Capability::SMS => "SmsEnabled",
            Capability::MMS => "MmsEnabled",
            Capability::Voice => "VoiceEnabled",
            Capability::Fax => "FaxEnabled",
        };
        query.append_pair(name, "true");
    }
    // Twilio's default is to include them.
    if !search.allow_beta {
        query.append_pair("Beta", "false");
    }
    query.append_pair("PageSize", OFFERS);
}

/// Whether an offer is what was asked for, as far as it tells.
fn wanted(offer: &AvailableNumber, search: &Search) -> bool {
    let in_country = offer.country.as_ref().is_none_or(|country| *country == search.country);
    let in_area = match (&search.area_code, offer.phone_number.as_str().strip_prefix("+1")) {
        (Some(area), Some(rest)) => rest.starts_with(area.as_str()),
        // Area codes are of the +1 plan only.
        (Some(area), None) => area.is_empty(),
        (None, _) => true,
    };
    let digits_only = |text: &&String| text.bytes().all(|b| b.is_ascii_digit());
    // Letters and special characters are Twilio's to read.
    let contains = search.contains.as_ref().filter(digits_only);
    let has_digits = contains.is_none_or(|digits| offer.phone_number.as_str().contains(digits.as_str()));
    let region = search.region.as_ref().zip(offer.region.as_ref());
    let in_region = region.is_none_or(|(wanted, region)| wanted.eq_ignore_ascii_case(region));
    in_country
        && in_area
        && has_digits
        && in_region
        && search.capabilities.iter().all(|wanted| offer.capabilities.has(*wanted))
}
