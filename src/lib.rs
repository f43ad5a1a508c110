//! A Kubernetes operator that manages Twilio phone numbers declaratively.
//!
//! Modules in reading order; `tests/it/layering.rs` holds who may use whom. Data flows one way: what the resource asks
//! ([`api`]) and what is known becomes values ([`domain`]), values become a decision ([`plan`]), and the decision is carried
//! out ([`controller`]) at the API server and at Twilio ([`twilio`]).

pub mod api;
pub mod domain;

pub mod plan;

pub mod controller;
pub mod probe;
pub mod twilio;

pub mod simulator;

pub mod admin;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod telemetry;
pub mod yaml;

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
