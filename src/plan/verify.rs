//! `sms.verification: SignedRequest`: when the webhook is tried, and what is told of it.
//!
//! It is tried beside the passes (`controller::verify`), and only told: a webhook that answers badly changes nothing about the number.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::setback;
use super::{Desired, Observed};
use crate::api::conditions::{ConditionType, Reason, Truth, Wanted, is_true};
use crate::api::v1alpha1::ClinicPhoneNumberStatus;
use crate::domain::time::whole_seconds;
use crate::domain::{HttpMethod, Moment};

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

impl Target {
    /// Whether status says that this very webhook took a message, and not that it failed since.
    pub fn is_of(&self, status: &ClinicPhoneNumberStatus) -> bool {
        let shown = status.webhook.as_ref().is_some_and(|shown| shown.url == self.url && shown.method == self.method);
        shown && is_true(&status.conditions, ConditionType::WebhookVerified)
    }
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
    let shown = Target { url: webhook.url.clone(), method: webhook.method };
    if let Verification::Tried { target: tried, at, outcome: Outcome::Accepted { .. } } = &observed.verification
        && *tried == target
        && shown == target
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
        // Before this process tried it, status still says what became of it.
        Verification::Untried
            if observed.reported.verified && observed.reported.webhook == Some((target.url, target.method)) =>
        {
            (None, true)
        }
        Verification::Tried { .. } | Verification::Untried => {
            wanted(Truth::Unknown, Reason::NotChecked, "the webhook is tried in a moment".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::{Origin, WebhookStatus};
    use crate::plan::tests::world;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

    const URL: &str = "https://hooks.example.com/sms";

    fn desired(verification: &str) -> Desired {
        let sms = serde_json::json!({"webhookURL": URL, "verification": verification});
        world::desired(serde_json::json!({"phoneNumber": "+14185550100", "sms": sms}))
    }

    fn observed(verification: Verification) -> Observed {
        Observed { held: Some(world::held(Origin::Purchased)), verification, ..Observed::default() }
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
        assert_eq!(condition(&self::desired("None"), &observed(tried(URL, accepted()))), (None, false));
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
    fn what_status_says_counts_for_the_webhook_that_it_names_and_while_it_is_true() {
        let target = Target { url: URL.to_owned(), method: HttpMethod::POST };
        let of = |url: &str, method, truth: &str| {
            let webhook = WebhookStatus { url: url.to_owned(), method, configured_at: None, verified_at: None };
            let condition = Condition {
                type_: "WebhookVerified".to_owned(),
                status: truth.to_owned(),
                reason: "x".to_owned(),
                message: String::new(),
                observed_generation: None,
                last_transition_time: Time("2026-11-15T12:00:00Z".parse().unwrap()),
            };
            target.is_of(&ClinicPhoneNumberStatus {
                webhook: Some(webhook),
                conditions: vec![condition],
                ..ClinicPhoneNumberStatus::default()
            })
        };
        assert!(of(URL, HttpMethod::POST, "True"));
        for (url, method, truth) in [
            (URL, HttpMethod::POST, "False"),
            (URL, HttpMethod::POST, "Unknown"),
            (URL, HttpMethod::GET, "True"),
            ("https://old.example.com", HttpMethod::POST, "True"),
        ] {
            assert!(!of(url, method, truth), "{url} {method:?} {truth}");
        }
        assert!(!target.is_of(&ClinicPhoneNumberStatus::default()));
    }

    #[test]
    fn one_that_answered_is_tried_daily_and_one_that_failed_sooner() {
        let now = Moment::since_boot(Duration::from_secs(100_000));
        assert_eq!(next(now, 0, 7).since(now), DAILY);
        let waits = [1, 2, 3, 40].map(|failures| next(now, failures, 7).since(now));
        let (soon, late) = (Duration::from_secs(45), Duration::from_secs(3600));
        assert!(waits.is_sorted() && waits[0] >= soon && waits[3] <= late, "{waits:?}");
    }
}
