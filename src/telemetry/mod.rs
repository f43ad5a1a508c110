//! What the operator tells about itself: logs and figures. Never a credential, never a message's text.

pub mod audit;
pub mod logs;
pub mod metrics;

pub use metrics::Metrics;
