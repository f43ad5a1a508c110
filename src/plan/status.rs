//! Status as it should stand: one value, written by one PUT.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::wiring::{look_at, wiring};
use super::{Claim, Desired, Observed, Situation, by_hand, figures, price, verify};
use crate::api::conditions::{self, ConditionType};
use crate::api::v1alpha1::{ClinicPhoneNumberStatus, MessagingServiceStatus, WebhookStatus};
use crate::domain::{Field, Now};

/// Status after this pass: what stood there, brought up to date. No clock moves in it by itself, so an unchanged
/// situation gives an equal value, and an equal value is not written.
pub fn render(
    old: &ClinicPhoneNumberStatus,
    desired: &Desired,
    observed: &Observed,
    situation: Option<&Situation>,
    now: Now,
) -> ClinicPhoneNumberStatus {
    let mut new = old.clone();
    // What cannot be read is left as it stands: it may be all that tells of a number.
    if observed.corrupt.is_none() {
        price::show(&mut new, desired, observed);
        by_hand::show(&mut new, desired, observed, now);
        facts(&mut new, desired, observed, now);
        figures::show(&mut new, observed);
        verify::show(&mut new, desired, observed);
    }
    let beside = if observed.corrupt.is_none() {
        [figures::condition(observed), verify::condition(desired, observed)]
    } else {
        [(None, true), (None, true)]
    };
    let learnt = situation.is_some() || beside.iter().any(|(wanted, _)| wanted.is_some());
    // A pass without a situation learnt nothing about the number.
    let (mut wanted, mut keep) = match situation {
        Some(situation) => situation.conditions(desired, observed),
        None => (Vec::new(), ConditionType::ALL.to_vec()),
    };
    for (kind, (told, stays)) in [ConditionType::UsageReported, ConditionType::WebhookVerified].into_iter().zip(beside)
    {
        keep.extend(stays.then_some(kind));
        wanted.extend(told);
    }
    if learnt {
        new.conditions = conditions::update(&old.conditions, &wanted, &keep, desired.generation, now.wall);
    }
    if situation.is_some() {
        new.observed_generation = Some(desired.generation);
    }
    if observed.corrupt.is_none() {
        new.ignored_forget_number = ignored_word(old, &new, desired, observed);
    }
    new
}

/// A person's word that a lost number may be replaced counts while status says that it is lost, before this pass and after
/// it. One that was there already, or that a healed loss has left behind, would give the number up at a later loss of which
/// nobody has spoken.
fn ignored_word(
    old: &ClinicPhoneNumberStatus,
    new: &ClinicPhoneNumberStatus,
    desired: &Desired,
    observed: &Observed,
) -> Option<String> {
    let held = observed.held.as_ref().filter(|held| desired.forgets(held))?;
    let ignored = old.ignored_forget_number.as_deref() == Some(held.number.as_str());
    let counts = old.is_lost() && new.is_lost() && !ignored;
    (!counts).then(|| held.number.to_string())
}

/// Claim, number, place and webhook, as this pass knows them.
fn facts(new: &mut ClinicPhoneNumberStatus, desired: &Desired, observed: &Observed, now: Now) {
    let of = new.claim.as_ref().map(|claim| claim.phone_number.clone());
    new.claim = observed.claim.as_ref().map(Claim::write);
    match &observed.held {
        Some(held) => {
            new.phone_number = Some(held.number.to_string());
            new.phone_number_sid = Some(held.sid.to_string());
            new.account_sid = Some(held.account.to_string());
            new.origin = Some(held.origin);
            new.acquired_at = held.acquired_at.map(Time);
            new.messaging_service = observed.membership.as_ref().map(|membership| MessagingServiceStatus {
                sid: membership.service.to_string(),
                joined_at: membership.since.map(Time),
            });
            if let Some(number) = look_at(observed, held) {
                new.friendly_name = Some(number.friendly_name.clone());
                new.capabilities = number.capabilities.list();
            }
            if let (Some(wiring), Ok(wish)) = (wiring(desired, observed), &desired.wish)
                && !wiring.wrong.iter().any(|f| matches!(f, Field::SmsUrl | Field::SmsMethod))
            {
                let same = new.webhook.take().filter(|w| w.url == wish.sms.url && w.method == wish.sms.method);
                let mut webhook = same.unwrap_or_else(|| WebhookStatus {
                    url: wish.sms.url.clone(),
                    method: wish.sms.method,
                    configured_at: None,
                    verified_at: None,
                });
                // One that a person is to set is shown before it is there.
                if webhook.configured_at.is_none() && (wish.sms_managed() || wiring.inbound) {
                    webhook.configured_at = Some(Time(now.wall));
                }
                new.webhook = Some(webhook);
            }
        }
        None => {
            new.phone_number = None;
            new.phone_number_sid = None;
            new.account_sid = None;
            new.origin = None;
            new.acquired_at = None;
            new.friendly_name = None;
            new.capabilities = Vec::new();
            new.webhook = None;
            new.messaging_service = None;
        }
    }
    let claimed = observed.claim.as_ref().filter(|c| c.stands()).map(|c| &c.number);
    // The place is the claimed number's: another one's is elsewhere.
    let moved = match claimed {
        Some(number) => of.is_some_and(|of| of != number.as_str()),
        None => observed.held.is_none(),
    };
    match observed.place.as_ref().filter(|place| claimed == Some(&place.phone_number)) {
        Some(place) => {
            new.locality.clone_from(&place.locality);
            new.region.clone_from(&place.region);
            new.country = place.country.as_ref().map(ToString::to_string);
        }
        None if moved => {
            new.locality = None;
            new.region = None;
            new.country = None;
        }
        None => {}
    }
}
