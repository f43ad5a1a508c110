//! One file a subcommand.

pub mod crd;
pub mod run;
