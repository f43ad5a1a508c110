//! `sms.verification: SignedRequest`: when the webhook is tried, and what is told of it.
//!
//! It is tried beside the passes (`controller::verify`), and only told: a webhook that answers badly changes nothing about the number.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::setback;
use super::{Desired, Observed};
use crate::api::conditions::{ConditionType, Reason, Truth, Wanted};
use crate::api::v1alpha1::{ClinicPhoneNumberStatus, WebhookStatus};
use crate::domain::time::whole_seconds;
use crate::domain::{HttpMethod, Moment, Now};

/// A webhook that answered is tried again after a day.
const DAILY: Duration = Duration::from_secs(24 * 3600);
/// One that did not, after a minute, then more and more rarely.
const RETRY: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));

/// What is tried.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The webhook.
    pub url: String,
    /// How it is called.
    pub method: HttpMethod,
}

/// What became of the last try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It answered with this status, so soon.
    Accepted {
        /// The status.
        status: u16,
        /// How long it took.
        latency: Duration,
    },
    /// It did not take the message.
    Refused(Reason, String),
    /// It was not tried, and why.
    NotTried(String),
}

/// The last try, as far as this process knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Verification {
    /// Not tried by this process: what status says stays.
    #[default]
    Untried,
    /// Tried.
    Tried {
        /// What.
        target: Target,
        /// When.
        at: Timestamp,
        /// With what result.
        outcome: Outcome,
    },
}

/// What is to be tried for a resource, if anything.
pub fn target(desired: &Desired) -> Option<Target> {
    let wish = desired.wish.as_ref().ok().filter(|wish| wish.verify && !desired.deleting)?;
    Some(Target { url: wish.sms.url.clone(), method: wish.sms.method })
}

/// When a webhook is tried that this process has not tried: a day after what status says of it.
pub fn first(now: Now, told: Option<&WebhookStatus>, target: &Target) -> Moment {
    let told = told.filter(|told| told.url == target.url && told.method == target.method);
    let Some(at) = told.and_then(|told| told.verified_at.as_ref()) else { return now.boot };
    let age = u64::try_from(now.wall.as_second() - at.0.as_second()).map_or(Duration::ZERO, Duration::from_secs);
    now.boot.after(DAILY.saturating_sub(age))
}

/// When it is tried again; `failures` tries in a row failed.
pub fn next(now: Moment, failures: u32, spread: u64) -> Moment {
    let wait = match failures.checked_sub(1) {
        None => DAILY,
        Some(before) => setback::backoff(before, RETRY.0, RETRY.1, spread),
    };
    now.after(wait)
}

/// Writes when the webhook was verified last.
pub(super) fn show(new: &mut ClinicPhoneNumberStatus, desired: &Desired, observed: &Observed) {
    let Some(webhook) = &mut new.webhook else { return };
    let Some(target) = target(desired) else {
        webhook.verified_at = None;
        return;
    };
    if let Verification::Tried { target: tried, at, outcome: Outcome::Accepted { .. } } = &observed.verification
        && *tried == target
        && webhook.url == target.url
        && webhook.method == target.method
    {
        webhook.verified_at = Some(Time(whole_seconds(*at)));
    }
}

/// The condition that tells of it; and whether the one that stands there stays.
pub(super) fn condition(desired: &Desired, observed: &Observed) -> (Option<Wanted>, bool) {
    let Some(target) = target(desired).filter(|_| observed.held.is_some()) else { return (None, false) };
    let wanted = |status, reason, message: String| {
        (Some(Wanted { kind: ConditionType::WebhookVerified, status, reason, message }), false)
    };
    match &observed.verification {
        Verification::Tried { target: tried, outcome, .. } if *tried == target => match outcome {
            Outcome::Accepted { status, latency } => wanted(
                Truth::True,
                Reason::Verified,
                format!("the webhook answered {status} to a signed message after {} ms", latency.as_millis()),
            ),
            Outcome::Refused(reason, message) => wanted(Truth::False, *reason, message.clone()),
            Outcome::NotTried(why) => {
                wanted(Truth::Unknown, Reason::NotChecked, format!("the webhook was not tried: {why}"))
            }
        },
        // Of the webhook as it was set up before, or not tried since a restart.
        Verification::Tried { .. } => {
            wanted(Truth::Unknown, Reason::NotChecked, "the webhook is tried in a moment".to_owned())
        }
        Verification::Untried => {
            let same = observed.reported.webhook.as_ref() == Some(&(target.url, target.method));
            let told = observed.reported.verified;
            if same && told {
                (None, true)
            } else {
                wanted(Truth::Unknown, Reason::NotChecked, "the webhook is tried in a moment".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::{ClinicPhoneNumber, Origin};
    use crate::domain::{AccountSid, E164, InstallationId, PhoneNumberSid};
    use crate::plan::Held;
    use crate::plan::desired::Defaults;

    const URL: &str = "https://hooks.example.com/sms";

    fn desired(verification: &str) -> Desired {
        let object: ClinicPhoneNumber = serde_json::from_value(serde_json::json!({
            "apiVersion": "telephony.chiroflow.io/v1alpha1", "kind": "ClinicPhoneNumber",
            "metadata": {"name": "a", "namespace": "clinic", "generation": 3},
            "spec": {
                "credentialsSecretRef": {"name": "twilio"}, "phoneNumber": "+14185550100",
                "sms": {"webhookURL": URL, "verification": verification},
            },
        }))
        .unwrap();
        let defaults = Defaults {
            installation: InstallationId::parse("prod").unwrap(),
            previous_installation: None,
            sms_webhook_url: None,
            observe_interval: Duration::from_secs(3600),
        };
        Desired::read(&object, &defaults)
    }

    fn observed(verification: Verification) -> Observed {
        let held = Held {
            number: E164::parse("+14185550100").unwrap(),
            sid: PhoneNumberSid::parse(&format!("PN{:032x}", 1)).unwrap(),
            account: AccountSid::parse(&format!("AC{:032x}", 1)).unwrap(),
            origin: Origin::Purchased,
            acquired_at: None,
        };
        Observed { held: Some(held), verification, ..Observed::default() }
    }

    fn tried(url: &str, outcome: Outcome) -> Verification {
        let target = Target { url: url.to_owned(), method: HttpMethod::POST };
        Verification::Tried { target, at: "2026-11-02T10:00:00.5Z".parse().unwrap(), outcome }
    }

    fn accepted() -> Outcome {
        Outcome::Accepted { status: 204, latency: Duration::from_millis(21) }
    }

    #[test]
    fn what_became_of_the_try_is_told_and_of_no_other_webhook() {
        let desired = desired("SignedRequest");
        let of = |verification| {
            let wanted = condition(&desired, &observed(verification)).0.unwrap();
            (wanted.status, wanted.reason)
        };
        assert_eq!(of(tried(URL, accepted())), (Truth::True, Reason::Verified));
        let refused = Outcome::Refused(Reason::TlsFailed, "no certificate".to_owned());
        assert_eq!(of(tried(URL, refused)), (Truth::False, Reason::TlsFailed));
        assert_eq!(of(tried(URL, Outcome::NotTried("no token".to_owned()))), (Truth::Unknown, Reason::NotChecked));
        assert_eq!(of(tried("https://old.example.com/sms", accepted())), (Truth::Unknown, Reason::NotChecked));
        assert_eq!(of(Verification::Untried), (Truth::Unknown, Reason::NotChecked));
    }

    #[test]
    fn nothing_is_told_where_nobody_asked_and_what_was_told_stays_over_a_restart() {
        assert_eq!(condition(&super::tests::desired("None"), &observed(tried(URL, accepted()))), (None, false));
        let desired = desired("SignedRequest");
        let without = Observed { held: None, ..observed(Verification::Untried) };
        assert_eq!(condition(&desired, &without), (None, false));
        let mut restarted = observed(Verification::Untried);
        restarted.reported.verified = true;
        restarted.reported.webhook = Some((URL.to_owned(), HttpMethod::POST));
        assert_eq!(condition(&desired, &restarted), (None, true));
        restarted.reported.webhook = Some(("https://old.example.com/sms".to_owned(), HttpMethod::POST));
        assert_eq!(condition(&desired, &restarted).0.unwrap().reason, Reason::NotChecked);
    }

    #[test]
    fn the_time_of_the_last_answer_stands_beside_the_webhook() {
        let webhook =
            WebhookStatus { url: URL.to_owned(), method: HttpMethod::POST, configured_at: None, verified_at: None };
        let mut status = ClinicPhoneNumberStatus { webhook: Some(webhook), ..Default::default() };
        let at = |status: &ClinicPhoneNumberStatus| {
            status.webhook.as_ref().unwrap().verified_at.as_ref().map(|t| t.0.to_string())
        };
        show(&mut status, &desired("SignedRequest"), &observed(tried("https://old.example.com/sms", accepted())));
        assert_eq!(at(&status), None);
        show(&mut status, &desired("SignedRequest"), &observed(tried(URL, accepted())));
        assert_eq!(at(&status).as_deref(), Some("2026-11-02T10:00:00Z"), "finer time would be written anew each pass");
        let refused = Outcome::Refused(Reason::TlsFailed, "no certificate".to_owned());
        show(&mut status, &desired("SignedRequest"), &observed(tried(URL, refused)));
        assert!(at(&status).is_some(), "when it answered last is still so");
        show(&mut status, &desired("None"), &observed(Verification::Untried));
        assert_eq!(at(&status), None);
    }

    #[test]
    fn a_webhook_is_tried_at_once_then_daily_and_one_that_failed_sooner() {
        let now = Now {
            wall: "2026-11-15T12:00:00Z".parse().unwrap(),
            boot: Moment::since_boot(Duration::from_secs(100_000)),
        };
        let target = Target { url: URL.to_owned(), method: HttpMethod::POST };
        let told = |url: &str, at: Option<&str>| WebhookStatus {
            url: url.to_owned(),
            method: HttpMethod::POST,
            configured_at: None,
            verified_at: at.map(|at| Time(at.parse().unwrap())),
        };
        let wait = |told: Option<&WebhookStatus>| first(now, told, &target).since(now.boot);
        assert_eq!(wait(None), Duration::ZERO);
        assert_eq!(wait(Some(&told(URL, None))), Duration::ZERO);
        assert_eq!(wait(Some(&told(URL, Some("2026-11-15T02:00:00Z")))), Duration::from_secs(14 * 3600));
        assert_eq!(wait(Some(&told(URL, Some("2026-11-13T02:00:00Z")))), Duration::ZERO);
        assert_eq!(wait(Some(&told("https://old.example.com", Some("2026-11-15T11:00:00Z")))), Duration::ZERO);
        assert_eq!(next(now.boot, 0, 7).since(now.boot), DAILY);
        let waits = [1, 2, 3, 40].map(|failures| next(now.boot, failures, 7).since(now.boot));
        assert!(
            waits.is_sorted() && waits[0] >= Duration::from_secs(45) && waits[3] <= Duration::from_secs(3600),
            "{waits:?}"
        );
    }
}
