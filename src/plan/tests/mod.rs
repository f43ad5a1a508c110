//! The decision, tested as a whole: every row of the table, every life, every fault.
//!
//! [`world`] is a Twilio account and an API server in memory; [`pass`] executes steps as the controller does.

#![allow(
    clippy::unwrap_in_result,
    clippy::wildcard_enum_match_arm,
    clippy::struct_excessive_bools,
    clippy::similar_names,
    clippy::needless_pass_by_value,
    clippy::drop_non_drop,
    reason = "tests may fail, and a model has many switches"
)]

mod faults;
mod guards;
mod lives;
mod membership;
mod pass;
mod properties;
mod regressions;
mod regulatory;
mod standing;
mod table;
mod told;
mod twilio;
pub(super) mod world;
