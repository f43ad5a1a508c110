//! A Kubernetes operator that manages Twilio phone numbers declaratively.
//!
//! Modules in reading order.
pub mod api;
pub mod clock;
pub mod domain;
pub mod plan;
pub mod twilio;
pub mod yaml;
