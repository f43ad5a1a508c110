//! What the fuzz targets of `fuzz/` do: everything that comes from outside, as bytes that somebody else chose.
//!
//! A target fails by panicking. Inputs are text wherever possible, so that seeds can be read and written by hand; each module
//! says how its own look. The same functions run in two places: under libFuzzer (`make fuzz`), which looks for new inputs, and
//! in the test suite (`replay`), which runs the committed ones and plain changes of them.

// Compiled for tests and for the fuzz crate alone: here a panic is the result that is looked for.
#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a target tells by a panic what it found"
)]

mod decide;
mod inbox;
mod input;
mod ledger;
mod resource;
mod secret;
mod simulator;
mod twilio;
mod words;
mod yaml;

#[cfg(test)]
mod replay;

pub use inbox::inbox;
pub use ledger::ledger;
pub use resource::resource;
pub use secret::secret;
pub use simulator::simulator;
pub use twilio::twilio;
pub use words::words;
pub use yaml::yaml;

/// A name and what bears it.
pub type Target = (&'static str, fn(&[u8]));

/// Every target: its name, which is that of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/corpus`, and what it
/// does.
pub const TARGETS: [Target; 8] = [
    ("inbox", inbox),
    ("ledger", ledger),
    ("resource", resource),
    ("secret", secret),
    ("simulator", simulator),
    ("twilio", twilio),
    ("words", words),
    ("yaml", yaml),
];

/// Runs a future that waits for nothing real to its end.
fn run<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}
