//! How a held number compares with what is wanted.

use crate::api::v1alpha1::Origin;
use crate::domain::{Field, IncomingNumber};

use super::observed::Wiring;
use super::{Desired, Held, Observed};

/// What the number shows, compared with what is wanted: the source of `InboundSms` and `OutboundSms`.
pub fn wiring(desired: &Desired, observed: &Observed) -> Option<Wiring> {
    let held = observed.held.as_ref()?;
    let number = look_at(observed, held)?;
    let wish = desired.wish.as_ref().ok()?;
    let wrong: Vec<_> = wish
        .setup(&desired.mark(held.origin == Origin::Adopted), &held.number)
        .differences(number)
        .into_iter()
        .map(|(f, _)| f)
        .collect();
    let inbound = if wish.sms_managed() {
        !wrong.iter().any(|f| matches!(f, Field::SmsUrl | Field::SmsMethod | Field::SmsApplicationSid))
    } else {
        // Set by hand, and none of our differences.
        let there = number.sms_url == wish.sms.url && number.sms_method == wish.sms.method;
        there && number.sms_application_sid.is_empty()
    };
    Some(Wiring { wrong, inbound, sms: number.capabilities.sms })
}

/// The number as it was seen last in this pass: by its SID, else in the list.
pub(super) fn look_at<'a>(observed: &'a Observed, held: &Held) -> Option<&'a IncomingNumber> {
    observed
        .number
        .as_ref()
        .filter(|n| n.sid == held.sid)
        .or_else(|| observed.list.as_ref().and_then(|l| l.sid(&held.sid)))
}
