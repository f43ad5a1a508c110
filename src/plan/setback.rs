//! What a failed call leads to, and how long to wait. One place, so that every stage answers alike.

use std::time::Duration;

use crate::domain::{Class, Moment, Now, Trouble};

use super::observed::CredentialsView;
use super::{Desired, Kind, Observed, Plan, Rule, Situation, Step, holds, telling};

/// How often a stalled resource is looked at all the same.
pub const PROBE: Duration = Duration::from_secs(30 * 60);
const SECOND: Duration = Duration::from_secs(1);

/// Exponential: `first`, twice that, … up to `cap`; shortened by up to a fifth, differently for each resource, so that
/// many that failed together do not come back together.
pub fn backoff(failures: u32, first: Duration, cap: Duration, spread: u64) -> Duration {
    let doubled = first.saturating_mul(1_u32.checked_shl(failures.min(16)).unwrap_or(u32::MAX)).min(cap);
    let permille = u32::try_from(spread.wrapping_add(u64::from(failures).wrapping_mul(0x9e37)) % 200).unwrap_or(0);
    doubled.saturating_sub(doubled / 1000 * permille)
}

/// Waiting for a person who may act within seconds: often at first, then slower.
fn attentive(failures: u32, spread: u64) -> Duration {
    if failures < 60 {
        2 * SECOND + Duration::from_millis(spread % 1000)
    } else {
        backoff(failures - 60, 4 * SECOND, 30 * SECOND, spread)
    }
}

/// What the credentials allow: the account, or the plan that waits for better ones.
///
/// `bound` is the account that a claim or a held number is bound to; nothing is done with another one's credentials.
pub fn credentials(
    desired: &Desired,
    observed: &Observed,
    bound: Option<&crate::domain::AccountSid>,
    now: Now,
) -> Result<crate::domain::AccountSid, Plan> {
    let wait = now.boot.after(attentive(observed.memory.failures, desired.tag().spread()));
    match &observed.credentials {
        CredentialsView::Unread => {
            Err(Plan::act(Step::ReadSecret, Situation::new(Kind::Searching, "reading the credentials")))
        }
        CredentialsView::Missing(what) => {
            Err(Plan::rest(wait, Situation::new(Kind::WaitingForCredentials, what.clone())))
        }
        CredentialsView::Malformed(what) => {
            Err(Plan::Blocked { probe: wait, situation: Situation::new(Kind::CredentialsRejected, what.clone()) })
        }
        CredentialsView::Present { account, .. } => match bound {
            Some(bound) if bound != account && holds(Rule::AccountLock) => Err(Plan::Blocked {
                probe: wait,
                situation: Situation::new(
                    Kind::AccountMismatch,
                    format!(
                        "the Secret of spec.credentialsSecretRef names account {account}, and this resource's number belongs to {bound}: \
                         put back that account's credentials; a number does not move with a Secret"
                    ),
                ),
            }),
            _ => Ok(account.clone()),
        },
    }
}

/// The plan after a call that failed.
pub fn after_trouble(desired: &Desired, observed: &Observed, now: Now) -> Option<Plan> {
    let (trouble, until) = observed.trouble.as_ref()?;
    Some(after(desired, observed, trouble, *until, now))
}

/// The plan after this call failed.
pub fn after(desired: &Desired, observed: &Observed, trouble: &Trouble, until: Option<Moment>, now: Now) -> Plan {
    let failures = observed.memory.failures;
    let spread = desired.tag().spread();
    let situation = telling::situation(trouble);
    let row = situation.kind.row();
    if row.stalled {
        // Waiting for a person: the Secret is read again within seconds; the account's gate keeps Twilio out of it.
        let probe = match trouble.class {
            // The account's gate stays open for whatever else the credentials may do: it is this resource that keeps away.
            Class::CredentialsRejected if trouble.lacks_a_right() => {
                backoff(failures, 30 * SECOND, 300 * SECOND, spread)
            }
            Class::CredentialsRejected | Class::AccountSuspended => attentive(failures, spread),
            Class::RegulatoryDataRequired
            | Class::NumberUnavailable
            | Class::AccountLimited
            | Class::InvalidRequest
            | Class::NotFound
            | Class::RateLimited
            | Class::Unavailable => backoff(failures, 30 * SECOND, PROBE, spread),
        };
        return Plan::blocked(now, probe, situation);
    }
    let own = now.boot.after(trouble.retry_after.unwrap_or_default().max(backoff(
        failures,
        2 * SECOND,
        300 * SECOND,
        spread,
    )));
    let until = until.map_or(own, |gate| if trouble.class == Class::RateLimited { gate } else { gate.max(own) });
    Plan::rest(until, situation)
}

/// The refusal that is still to be respected, if any: a person has not acted since, and its time is not over.
pub fn refusal(desired: &Desired, observed: &Observed, now: Now) -> Option<(Moment, Situation)> {
    let refusal = observed.memory.refusal.as_ref()?;
    let asked = observed.asked(desired);
    let other = observed.fingerprint().is_some_and(|f| refusal.fingerprint.is_some_and(|r| r != f));
    let holds = refusal.generation == desired.generation && !asked && !other && refusal.until > now.boot;
    holds.then(|| (refusal.until, refusal.situation.clone()))
}

/// Lists that prove nothing because a number is missing from them that must be there.
pub fn incomplete(desired: &Desired, observed: &Observed, now: Now) -> Option<Plan> {
    let number = observed.list_lacks.as_ref().filter(|_| holds(Rule::IncompleteList))?;
    let wait = backoff(observed.memory.failures, 2 * SECOND, 60 * SECOND, desired.tag().spread());
    let message = format!(
        "Twilio's list of the account lacks {number}, which another resource holds: such a list proves nothing, looking again"
    );
    Some(Plan::rest(now.boot.after(wait), Situation::new(Kind::TwilioUnavailable, message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_its_cap_and_is_spread() {
        let (first, cap) = (Duration::from_secs(2), Duration::from_secs(300));
        for failures in 0..40 {
            for spread in [0, 1, 199, u64::MAX] {
                let delay = backoff(failures, first, cap, spread);
                let full = first.saturating_mul(1 << failures.min(16)).min(cap);
                assert!(delay <= full && delay >= full * 4 / 5, "{failures} {spread} {delay:?}");
            }
        }
    }
}
