//! `purchasePolicy: Manual`: numbers to choose from are shown in status, and a person names one in `spec.phoneNumber`.
//!
//! Nothing is announced, reserved or sent here. A number that is named takes the way of every exact number; when it is not
//! to be had, the list is renewed, so that the person can choose again.

use std::collections::HashSet;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::v1alpha1::{Candidate, ClinicPhoneNumberStatus};
use crate::domain::{AvailableNumber, Moment, Now};

use super::observed::Offered;
use super::{Desired, Kind, Observed, Plan, Situation, Step, Wish, acquire, price, record, regulatory, setback};

/// So many are enough to choose from: no further search is made.
const ENOUGH: usize = 15;
/// The most that are shown; the CRD's limit.
const MOST: usize = 30;
/// The most bytes of a text that comes with a number: with [`MOST`] of them status stays below 10 kB.
const TEXT: usize = 64;
/// The list is renewed after this long, then after twice as long each time, up to the last. A person who has just applied
/// or asked is likely to be looking, and numbers on offer go quickly; later it only has to be worth opening.
const RENEWED: (Duration, Duration) = (Duration::from_secs(2 * 60), Duration::from_secs(3600));

/// A person is to choose, and has not yet.
pub(super) fn plan(desired: &Desired, observed: &Observed, wish: &Wish, now: Now) -> Plan {
    if let (Some(until), true) = (resting(desired, observed, now), observed.reported.awaits_choice) {
        return Plan::Rest { until, situation: None };
    }
    // The number of an earlier life of this resource may be there.
    let after = acquire::of_this_life(desired, observed, now);
    let Some(list) = observed.list_after(after) else {
        let situation = Situation::new(Kind::Searching, "looking whether the account holds this resource's number");
        return Plan::act(Step::List { after, periodic: false }, situation);
    };
    if let Some(plan) = record::found(desired, observed, list, now) {
        return plan;
    }
    if let Some(step) = regulatory::reading(observed, wish, now) {
        return Plan::act(step, Situation::new(Kind::Searching, "looking what the country asks for"));
    }
    let candidates = match gather(observed, wish) {
        Ok(candidates) => candidates,
        Err(step) => return Plan::act(step, Situation::new(Kind::Searching, "searching numbers to choose from")),
    };
    if candidates.is_empty() {
        return acquire::none_on_offer(desired, observed, now);
    }
    if let Some(step) = price::shown(desired, observed, wish, now) {
        return Plan::act(step, Situation::new(Kind::Searching, "reading what the numbers to choose from cost"));
    }
    if let Some(step) = message_prices(desired, observed, wish) {
        return Plan::act(step, Situation::new(Kind::Searching, "reading what messages cost"));
    }
    let warnings = [price::warning(observed, wish), regulatory::lacking(observed, wish, now)];
    let warning = warnings.into_iter().flatten().fold(String::new(), |all, words| all + ". Before that: " + &words);
    let message = format!(
        "{} numbers to choose from are in status.candidates: write one of them into spec.phoneNumber, and it is bought{warning}",
        candidates.len()
    );
    let until = now.boot.after(pause(rounds(desired, observed), desired));
    Plan::rest(until, Situation::new(Kind::AwaitingApproval, message))
}

/// A reading of what messages cost, for a person who is to choose: where status does not have it, or may have another search's.
fn message_prices(desired: &Desired, observed: &Observed, wish: &Wish) -> Option<Step> {
    let (country, _) = wish.searched()?;
    let edited = observed.reported.generation != Some(desired.generation);
    let stale = !observed.reported.messages_priced || edited || observed.asked(desired);
    let read = observed.message_prices.as_ref().is_some_and(|(of, _)| of == country);
    (stale && !read).then(|| Step::ReadMessagePrices { country: country.clone() })
}

/// Prices of messages beside the candidates. They stay with a number that was chosen among them.
fn show_message_prices(new: &mut ClinicPhoneNumberStatus, desired: &Desired, observed: &Observed, wish: &Wish) {
    if let Some(held) = &observed.held {
        let recorded = new.phone_number.as_deref() == Some(held.number.as_str());
        let chosen = new.candidates.iter().any(|candidate| candidate.phone_number == held.number.as_str());
        if !recorded && !chosen {
            new.sms_prices = None;
        }
        return;
    }
    let edited = observed.reported.generation != Some(desired.generation);
    match (&observed.message_prices, wish.searched()) {
        (Some((of, prices)), Some((country, kind))) if wish.manual && of == country => {
            let price = prices.as_ref().and_then(|prices| prices.of(kind));
            new.sms_prices = price.as_ref().map(Into::into);
        }
        _ if !wish.manual || (edited && wish.by_hand()) => new.sms_prices = None,
        _ => {}
    }
}

/// Where a number that a person chose is not to be had, the list is renewed before the resource comes to rest.
pub(super) fn renewed(desired: &Desired, observed: &Observed, plan: Plan, now: Now) -> Plan {
    let (Plan::Blocked { probe, situation }, Ok(wish)) = (&plan, &desired.wish) else { return plan };
    let gone = matches!(situation.kind, Kind::NumberUnavailable | Kind::NumberClaimedElsewhere);
    let chosen = wish.manual && wish.exact.is_some() && !wish.searches.is_empty();
    if !gone || !chosen || observed.account().is_none() {
        return plan;
    }
    let until =
        resting(desired, observed, now).unwrap_or_else(|| now.boot.after(pause(rounds(desired, observed), desired)));
    let rest = Plan::Blocked { probe: (*probe).min(until), situation: situation.clone() };
    if resting(desired, observed, now).is_some() {
        return rest;
    }
    match gather(observed, wish) {
        Err(step) if observed.trouble.is_none() => Plan::act(step, situation.clone()),
        Ok(_) | Err(_) => rest,
    }
}

/// Until when the list that was found last is good enough; `None`: it is due, or being renewed.
fn resting(desired: &Desired, observed: &Observed, now: Now) -> Option<Moment> {
    let offered = standing(desired, observed).filter(|_| observed.offers.is_empty())?;
    Some(offered.at.after(pause(offered.rounds, desired))).filter(|until| *until > now.boot)
}

/// The last finding, unless a person acted since.
fn standing<'a>(desired: &Desired, observed: &'a Observed) -> Option<&'a Offered> {
    observed.memory.offered.as_ref().filter(|o| o.generation == desired.generation && !observed.asked(desired))
}

/// How often candidates were found before this time.
fn rounds(desired: &Desired, observed: &Observed) -> u32 {
    standing(desired, observed).map_or(0, |offered| offered.rounds.saturating_add(1))
}

fn pause(rounds: u32, desired: &Desired) -> Duration {
    setback::backoff(rounds, RENEWED.0, RENEWED.1, desired.tag().spread())
}

/// Numbers to choose from, of the first searches that together have enough, or what has to be looked at first.
///
/// Left out: what others claim, what this resource tried and did not get, and what the account holds. In the order of the
/// searches and then of the numbers, since Twilio's own order is no part of what is on offer.
fn gather<'a>(observed: &'a Observed, wish: &Wish) -> Result<Vec<&'a AvailableNumber>, Step> {
    if !observed.claims_noted {
        return Err(Step::NoteClaims);
    }
    let tried = observed.claim.as_ref().map(|c| c.tried.as_slice()).unwrap_or_default();
    let (mut candidates, mut seen) = (Vec::new(), HashSet::new());
    for (index, search) in wish.searches.iter().enumerate() {
        if candidates.len() >= ENOUGH {
            break;
        }
        let Some(Some(offers)) = observed.offers.get(index) else {
            return Err(Step::Search { index, search: search.clone() });
        };
        let mut offers: Vec<_> = offers
            .iter()
            .filter(|offer| {
                let number = &offer.phone_number;
                let held = observed.list.as_ref().is_some_and(|list| list.number(number).is_some());
                !held && !tried.contains(number) && !observed.claimed.contains(number)
            })
            .filter(|offer| seen.insert(&offer.phone_number))
            .collect();
        offers.sort_by(|a, b| a.phone_number.cmp(&b.phone_number));
        candidates.extend(offers);
    }
    candidates.truncate(MOST);
    Ok(candidates)
}

/// Candidates in status. Those that were found stay until others are; when they were found is a time of theirs, so that a
/// search which finds the same ones writes nothing.
pub(super) fn show(new: &mut ClinicPhoneNumberStatus, desired: &Desired, observed: &Observed, now: Now) {
    let Ok(wish) = &desired.wish else { return };
    show_message_prices(new, desired, observed, wish);
    let edited = observed.reported.generation != Some(desired.generation);
    let found = gather(observed, wish).ok().filter(|_| wish.manual).map(|all| all.into_iter().map(candidate).collect());
    let shown: Vec<Candidate> = match found {
        _ if observed.held.is_some() || !wish.manual => Vec::new(),
        Some(found) => found,
        // They may not be what the new search describes.
        None if edited && wish.by_hand() => Vec::new(),
        None => return,
    };
    if shown.is_empty() {
        new.candidates_as_of = None;
    } else if shown != new.candidates {
        new.candidates_as_of = Some(Time(now.wall));
    }
    new.candidates = shown;
}

/// A number on offer as it is shown: texts cut, empty ones left out.
pub fn candidate(offer: &AvailableNumber) -> Candidate {
    let cut = |text: &str| {
        let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= TEXT).last();
        text.get(..end.unwrap_or_default()).unwrap_or_default().to_owned()
    };
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    Candidate {
        phone_number: offer.phone_number.to_string(),
        friendly_name: some(cut(&offer.friendly_name)),
        locality: offer.locality.as_deref().map(cut).and_then(some),
        region: offer.region.as_deref().map(cut).and_then(some),
        capabilities: offer.capabilities.list(),
    }
}

/// What to remember after a pass that found candidates came to rest.
pub fn remember(desired: &Desired, observed: &mut Observed, now: Now) {
    let Ok(wish) = &desired.wish else { return };
    if wish.manual && !observed.offers.is_empty() && gather(observed, wish).is_ok() {
        let rounds = rounds(desired, observed);
        observed.memory.offered = Some(Offered { generation: desired.generation, at: now.boot, rounds });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Capabilities, E164};

    #[test]
    fn texts_of_candidates_are_cut_at_a_character_and_empty_ones_left_out() {
        let offer = AvailableNumber {
            phone_number: E164::parse("+14185550100").unwrap(),
            friendly_name: "é".repeat(1000),
            locality: Some(String::new()),
            region: Some("QC".to_owned()),
            country: None,
            capabilities: Capabilities { sms: true, ..Capabilities::default() },
            address_requirements: String::new(),
        };
        let shown = candidate(&offer);
        assert_eq!(shown.friendly_name.as_deref(), Some("é".repeat(32).as_str()));
        assert_eq!((shown.locality, shown.region.as_deref()), (None, Some("QC")));
        let all = vec![candidate(&offer); MOST];
        assert!(serde_json::to_string(&all).unwrap().len() < 10_000);
    }
}
