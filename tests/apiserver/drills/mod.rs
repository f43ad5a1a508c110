//! What accidents do on a real control plane, or rather do not: buy twice, lose a number, release one unasked.
//!
//! Each drill is one accident and ends with exact counts of what the simulated Twilio sold and took back. Moments are made by
//! progress, never by time: [`door`] stands between one operator and everything that it calls, and stops a call there.

mod crd;
mod door;
mod etcd;
mod helm;
mod kills;
mod manifests;
mod namespaces;
mod outage;
