//! The real passes with the real clients, over an API server and a Twilio in memory, under a clock that is told.
//!
//! `hub` is where every call goes through: it counts them, strikes them with faults (`fault`) and watches what is sent.
//! `world` is the cluster, the account and the operators; `lives` is what happens to resources in it, and what must come of
//! that; `truth` compares status with the account, and `watch` looks at whatever is sent or written. `exhaustive` replays every life
//! with every fault at every call, `chance` several at once, `made_up` lives whatever several people may do to several
//! resources, and `scenarios` are schedules with names: each is not survived
//! without the rule of the protocol that it is about.

#![allow(
    clippy::disallowed_methods,
    clippy::struct_excessive_bools,
    clippy::large_futures,
    clippy::needless_pass_by_value,
    clippy::similar_names,
    clippy::type_complexity,
    clippy::unit_arg,
    clippy::wildcard_enum_match_arm,
    reason = "lives are tables of small functions, and nothing here ships"
)]

mod chance;
pub(super) mod clock;
mod exhaustive;
mod fault;
mod hub;
mod lives;
mod made_up;
mod scenarios;
mod truth;
mod watch;
mod world;
