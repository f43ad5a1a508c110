//! The decision: `plan(&Desired, &Observed, now)`, pure and total.
//!
//! No clock, no I/O, no `async`, no Kubernetes client and no Twilio client: everything that is known comes in as a value
//! and everything that is to be done goes out as one. A [`Step`] carries every argument, so whoever executes it has no
//! choice left to make. After each step its result is folded into [`Observed`] and the decision is taken again.
//!
//! The protocol that keeps a number from being bought twice is split over four rooms, one for each stage of a life:
//! `acquire` (nothing sent yet), `resolve` (something was sent), `keep` (a number is held), `let_go` (deletion). Two guards
//! stand before a stamp: `price` (what a number may cost) and `by_hand` (a person chooses).

mod acquire;
pub mod audit;
pub(crate) mod broken;
mod by_hand;
pub mod claim;
pub mod count;
pub mod desired;
pub mod figures;
pub mod fuse;
mod keep;
mod let_go;
pub mod list;
pub mod membership;
pub mod observed;
pub mod price;
pub mod price_list;
pub mod reach;
mod record;
mod refusal;
pub mod regulatory;
mod resolve;
pub mod rules;
mod setback;
mod show;
pub mod situation;
pub mod status;
pub mod step;
pub mod telling;
pub mod turn;
pub mod verify;
mod wiring;

#[cfg(test)]
mod tests;

pub use by_hand::candidate;
pub use claim::Claim;
pub use desired::{Desired, ObjectKey, Wish};
pub use keep::remember;
pub use list::AccountList;
pub use membership::Membership;
pub use observed::{Held, Memory, Observed};
pub use rules::{Rule, holds};
pub use setback::backoff;
pub use situation::{Kind, Situation};
pub use step::{Note, Plan, Post, Step};
pub use wiring::wiring;

use crate::domain::Now;

/// Decides what to do next for one resource.
pub fn plan(desired: &Desired, observed: &Observed, now: Now) -> Plan {
    if let Some(problem) = &observed.corrupt {
        if desired.deleting {
            return let_go::unreadable(desired, observed, problem, now);
        }
        return Plan::blocked(now, setback::PROBE, Situation::new(Kind::InvalidSpec, problem.clone()));
    }
    if desired.deleting {
        return let_go::plan(desired, observed, now);
    }
    if let Some(held) = &observed.held {
        return match keep::plan(desired, observed, held, now) {
            // A held number is never looked at less often than its interval says.
            Plan::Blocked { probe, situation } => {
                Plan::Blocked { probe: probe.min(now.boot.after(desired.interval)), situation }
            }
            plan @ (Plan::Act { .. } | Plan::Rest { .. } | Plan::Done) => plan,
        };
    }
    match &observed.claim {
        Some(claim) if claim.unsettled() => resolve::plan(desired, observed, claim, now),
        _ => by_hand::renewed(desired, observed, acquire::plan(desired, observed, now), now),
    }
}
