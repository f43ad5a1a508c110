//! Whether a status says what is so.

use crate::api::v1alpha1::{ClinicPhoneNumber, Origin};
use crate::domain::tag::Mark;
use crate::plan::desired::Defaults;
use crate::plan::{Desired, ObjectKey};
use crate::simulator::NumberRow;

/// Compares a status, once the work came to rest, with the account.
pub fn of(object: &ClinicPhoneNumber, rows: &[NumberRow], defaults: &Defaults) -> Result<(), String> {
    let status = object.status.clone().unwrap_or_default();
    let is = |kind: &str| status.conditions.iter().find(|c| c.type_ == kind).map(|c| c.status.as_str());
    let reason = |kind: &str| status.conditions.iter().find(|c| c.type_ == kind).map(|c| c.reason.as_str());
    if is("Reconciling").is_some() && is("Stalled").is_some() {
        return Err("Reconciling and Stalled at once".into());
    }
    if status.observed_generation > object.metadata.generation {
        return Err("observedGeneration is ahead".into());
    }
    let desired = Desired::read(object, defaults);
    let key = ObjectKey { ..desired.key.clone() };
    let mine: Vec<_> =
        rows.iter().filter(|r| Mark::read(&r.friendly_name).is_some_and(|m| desired.is_mine(&m))).collect();
    let Some(number) = &status.phone_number else {
        if is("Ready") == Some("True") || is("InboundSms") == Some("True") {
            return Err("in service without a number".into());
        }
        return Ok(());
    };
    let row = rows.iter().find(|r| {
        r.phone_number.as_str() == number
            && Some(r.sid.as_str()) == status.phone_number_sid.as_deref()
            && Some(r.account_sid.as_str()) == status.account_sid.as_deref()
    });
    let blind = is("Observed") == Some("False");
    let troubled = matches!(reason("Stalled"), Some("NumberLost" | "NumberClaimedElsewhere" | "AccountMismatch"));
    // Given back perhaps, and said so: it is looked at once nothing can take effect any more.
    let unresolved = reason("Reconciling") == Some("ResolvingPurchase")
        && status.claim.as_ref().is_some_and(|claim| claim.releasing > 0);
    let Some(row) = row else {
        return if blind || troubled || unresolved {
            Ok(())
        } else {
            Err(format!("{key} says that it holds {number}; nobody does"))
        };
    };
    let ours = mine.iter().any(|r| r.sid == row.sid);
    let webhook = desired.wish.as_ref().map(|w| w.sms.url.clone()).unwrap_or_default();
    let wired = row.sms_url == webhook && row.sms_application_sid.is_empty();
    let current = status.observed_generation == object.metadata.generation && is("Reconciling").is_none();
    if is("InboundSms") == Some("True") && current && !wired && !blind {
        return Err(format!("InboundSms, and messages of {number} go to {:?}", row.sms_url));
    }
    if is("Ready") == Some("True") && current && !ours && !blind {
        return Err(format!("Ready, and {number} carries the label {:?}", row.friendly_name));
    }
    let adopted = Mark::read(&row.friendly_name).is_some_and(|m| m.adopted && desired.is_mine(&m));
    if adopted && status.origin != Some(Origin::Adopted) {
        return Err(format!("{number} is marked as adopted and recorded as bought"));
    }
    Ok(())
}
