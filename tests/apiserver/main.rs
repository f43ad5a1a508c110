//! What only a real API server can tell: which manifests it takes, which status writes it refuses, what rights suffice, and
//! how whole lives go, against the simulated Twilio.
//!
//! One control plane for the whole binary, started by the first test that needs it; each test has a namespace of its own,
//! so they run side by side. They fail, never skip, when it cannot start.

mod admission;
mod adoption;
mod audit;
mod claim_guard;
mod credentials;
mod deletion;
mod double;
mod drills;
mod examples;
mod faults;
mod figures;
mod guards;
mod harness;
mod messages;
mod process;
mod program;
mod purchase;
mod rebuilt;
mod service;
mod world;
