//! What a number may cost: the limit of `spec.maxMonthlyPrice`, and the price in status.
//!
//! Every stamp that buys rests on a price that Twilio told this account within the last quarter of an hour, in the
//! currency of the limit. What is not known is not cheap: then nothing is bought, and that is told. A purchase that was sent is resolved
//! whatever it costs; here is only whether anything more is sent.

use std::time::Duration;

use crate::api::v1alpha1::{ClinicPhoneNumberStatus, Origin, PriceStatus};
use crate::domain::{CountryCode, E164, Meaning, Moment, Now, NumberPrices, NumberType, Search};

use super::desired::Limit;
use super::observed::PricesView;
use super::{Desired, Kind, Observed, Plan, Rule, Situation, Step, Wish, holds, setback, telling};

/// How old a price may be on which something is bought: long enough for many purchases of an account to share a reading,
/// and shorter than any long wait, that for the fuse above all.
const FRESH: Duration = Duration::from_secs(15 * 60);
/// How old a price may be that is only shown.
const SHOWN: Duration = Duration::from_secs(24 * 3600);

/// What stands between a number that nothing was sent for and its purchase, as far as its price goes; `None`: nothing.
///
/// A searched number is of the country and kind that give the price. An exact one need not be, and a dearer kind would
/// pass under the limit of a cheaper one: Twilio itself is asked whether it offers this number as such a one.
pub(super) fn gate(desired: &Desired, observed: &Observed, wish: &Wish, number: &E164, now: Now) -> Option<Plan> {
    let limit = wish.limit.as_ref()?;
    if wish.exact.is_none() {
        return affordable(desired, observed, wish, now);
    }
    match observed.on_offer.as_ref().filter(|(looked_for, _)| looked_for == number) {
        Some((_, Some(_))) => affordable(desired, observed, wish, now),
        Some((_, None)) => {
            let message = format!(
                "{number} (spec.phoneNumber) is not bought: Twilio does not offer it as {}. It was sold, or it is of another kind, and then \
                 spec.maxMonthlyPrice would be compared with a price that is not its own. Name another number, correct \
                 spec.search.country and type, or remove spec.maxMonthlyPrice",
                what(&limit.country, limit.number_type)
            );
            Some(Plan::blocked(now, setback::PROBE, Situation::new(Kind::NumberUnavailable, message)))
        }
        None => {
            let search = Search {
                country: limit.country.clone(),
                number_type: limit.number_type,
                area_code: None,
                contains: Some(number.to_string()),
                locality: None,
                region: None,
                postal_code: None,
                near_number: None,
                distance_miles: None,
                capabilities: Vec::new(),
                allow_beta: true,
            };
            let message =
                format!("looking whether {number} is on offer as {}", what(&limit.country, limit.number_type));
            let step = Step::FindOffer { number: number.clone(), search };
            Some(Plan::act(step, Situation::new(Kind::Searching, message)))
        }
    }
}

/// What stands between a number of the right kind and its purchase; `None`: nothing.
pub(super) fn affordable(desired: &Desired, observed: &Observed, wish: &Wish, now: Now) -> Option<Plan> {
    let limit = wish.limit.as_ref().filter(|_| holds(Rule::PriceLimit))?;
    let what = what(&limit.country, limit.number_type);
    let read = |after| {
        let situation = Situation::new(Kind::Searching, format!("reading the price of {what}"));
        Some(Plan::act(Step::ReadPrices { country: limit.country.clone(), after }, situation))
    };
    let fresh = now.boot.before(FRESH);
    match view(observed, &limit.country) {
        None => read(fresh),
        Some(PricesView::Unread(trouble, _)) if refused(trouble.meaning) => {
            let message = format!(
                "spec.maxMonthlyPrice cannot be checked, so nothing is bought: Twilio does not tell what {what} costs: {}. Remove the \
                 limit, or use credentials that may read prices",
                telling::sentence(trouble)
            );
            Some(Plan::blocked(now, setback::PROBE, Situation::new(Kind::InvalidSpec, message)))
        }
        Some(PricesView::Unread(trouble, until)) => Some(setback::after(desired, observed, trouble, *until, now)),
        Some(PricesView::Read(prices, at)) => match compare(prices, limit) {
            Ok(()) if *at > fresh => None,
            Ok(()) => read(fresh),
            // What forbids has to be of now: it may have changed, and somebody may be waiting for that.
            Err(_) if *at <= observed.recent(desired, now) => read(observed.recent(desired, now)),
            Err(situation) => Some(Plan::blocked(now, setback::PROBE, situation)),
        },
    }
}

/// Compares as exact decimals, in one currency.
fn compare(prices: &NumberPrices, limit: &Limit) -> Result<(), Situation> {
    let (what, most) = (what(&limit.country, limit.number_type), &limit.most);
    let Some(price) = prices.monthly(limit.number_type) else {
        let message = format!(
            "spec.maxMonthlyPrice cannot be checked, so nothing is bought: Twilio's price list does not have {what}. Remove the limit, or \
             search another kind"
        );
        return Err(Situation::new(Kind::InvalidSpec, message));
    };
    if price.currency != most.currency {
        let message = format!(
            "spec.maxMonthlyPrice.currency is {} and Twilio bills this account in {}: amounts are never converted, so nothing is bought; \
             {what} costs {price} a month. Write the limit in {}",
            most.currency, price.currency, price.currency
        );
        return Err(Situation::new(Kind::InvalidSpec, message));
    }
    if price.amount > most.amount {
        let message = format!(
            "{what} costs {price} a month, and spec.maxMonthlyPrice allows {most}: nothing is bought. Raise the limit, or search another \
             country or type; the price is looked at again by itself"
        );
        return Err(Situation::new(Kind::PriceAboveLimit, message));
    }
    Ok(())
}

fn what(country: &CountryCode, number_type: NumberType) -> String {
    format!("a {} number in {country}", number_type.path())
}

/// A reading of prices for a person who is to choose, or `None` when it was tried already.
pub(super) fn shown(desired: &Desired, observed: &Observed, wish: &Wish, now: Now) -> Option<Step> {
    let (country, _) = wish.searched()?;
    let after = if observed.asked(desired) { observed.pass_started } else { now.boot.before(SHOWN) };
    view(observed, country).is_none().then(|| Step::ReadPrices { country: country.clone(), after })
}

/// A word for whoever is about to choose a number that would then not be bought.
pub(super) fn warning(observed: &Observed, wish: &Wish) -> Option<String> {
    let limit = wish.limit.as_ref()?;
    let Some(PricesView::Read(prices, _)) = view(observed, &limit.country) else { return None };
    compare(prices, limit).err().map(|situation| situation.message)
}

fn view<'a>(observed: &'a Observed, country: &CountryCode) -> Option<&'a PricesView> {
    observed.prices.as_ref().filter(|(of, _)| of == country).map(|(_, view)| view)
}

/// An answer that the same question would get again.
fn refused(meaning: Meaning) -> bool {
    matches!(meaning, Meaning::RefusedNumber | Meaning::RefusedOtherwise)
}

/// The price in status: of the number held, or of the numbers that would be bought.
///
/// A price that was read stays with the number it was read for. It does not come with a number that was not bought for
/// it: one that was taken over, or found by its tag.
pub(super) fn show(new: &mut ClinicPhoneNumberStatus, desired: &Desired, observed: &Observed) {
    let Ok(wish) = &desired.wish else { return };
    let held_before = new.phone_number.is_some();
    if let Some(held) = &observed.held {
        let just_recorded = new.phone_number.as_deref() != Some(held.number.as_str());
        let bought = held.origin == Origin::Purchased && observed.claim.as_ref().is_some_and(|c| c.attempts > 0);
        let of_its_kind = wish.limit.is_some() || new.candidates.iter().any(|c| c.phone_number == held.number.as_str());
        if just_recorded && !(bought && of_its_kind) {
            new.monthly_price = None;
        }
        return;
    }
    // Of a number that is gone, or of another search. To a number that was chosen belongs the price beside the candidates.
    let edited = observed.reported.generation != Some(desired.generation);
    let chosen = wish.manual && wish.exact.is_some();
    // What was sent rests on a price that was read, whatever can be read now.
    let sent = observed.claim.as_ref().is_some_and(super::Claim::unsettled);
    let searched = wish.searched();
    match searched.and_then(|(country, number_type)| Some((view(observed, country)?, number_type))) {
        Some((PricesView::Read(prices, _), number_type)) => {
            new.monthly_price = prices.monthly(number_type).as_ref().map(PriceStatus::from);
        }
        Some((PricesView::Unread(trouble, _), _)) if refused(trouble.meaning) && !sent => new.monthly_price = None,
        None if held_before || (edited && !chosen && !sent) => new.monthly_price = None,
        Some((PricesView::Unread(..), _)) | None => {}
    }
}

/// Whether a reading that began at `at` is still kept for others.
pub fn is_kept(at: Moment, now: Moment) -> bool {
    now.since(at) < SHOWN
}
