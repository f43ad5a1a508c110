//! A Kubernetes operator that manages Twilio phone numbers declaratively.
//!
//! Modules in reading order.
pub mod clock;
pub mod domain;
