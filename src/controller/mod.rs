//! Drives the decision: watches resources, observes, executes one step at a time, writes status.
//!
//! Nothing is decided here that [`crate::plan`] could decide. What is here is I/O and its order: the object's version
//! checked on every write, the ledger before the stamp, the stamp before the call.

pub mod accounts;
pub mod audit;
pub mod beside;
pub mod context;
pub mod error;
mod events;
mod execute;
pub mod figures;
pub mod findings;
mod gated;
mod guards;
pub mod ledger;
pub mod memory;
mod messaging;
mod pass;
pub mod reach;
pub mod reconcile;
mod run;
pub(crate) mod secrets;
#[cfg(test)]
mod tests;
pub mod verify;

pub use context::{Clients, Context, Ends, Settings};
pub use error::Error;
pub use reconcile::reconcile;
pub use run::{LEDGER, WATCH, run};
