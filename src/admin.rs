//! `/livez`, `/readyz` and `/metrics`: for kubelet and Prometheus.
//!
//! Liveness says nothing about Twilio or the API server: restarting the operator would mend neither. Readiness lists what is
//! still missing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::telemetry::Metrics;

/// What readiness waits for.
#[derive(Debug, Default)]
pub struct Readiness {
    missing: Mutex<Vec<String>>,
    stopping: AtomicBool,
}

impl Readiness {
    /// Readiness that waits for these.
    pub fn waiting_for(what: impl IntoIterator<Item = String>) -> Self {
        Self { missing: Mutex::new(what.into_iter().collect()), stopping: AtomicBool::new(false) }
    }

    /// One of them is there.
    pub fn reached(&self, what: &str) {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).retain(|m| m != what);
    }

    /// The process is stopping: no longer ready.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// What is missing; empty: ready.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if self.stopping.load(Ordering::Acquire) {
            missing.push("stopping".to_owned());
        }
        missing
    }
}

#[derive(Clone)]
struct Shared {
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
}

/// The routes.
pub fn router(readiness: Arc<Readiness>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(figures))
        .with_state(Shared { readiness, metrics })
}

async fn readyz(State(shared): State<Shared>) -> impl IntoResponse {
    let missing = shared.readiness.missing();
    if missing.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {}\n", missing.join(", ")))
}

async fn figures(State(shared): State<Shared>) -> impl IntoResponse {
    match shared.metrics.render() {
        Ok(text) => (
            StatusCode::OK,
            [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")],
            text,
        ),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}

/// Serves until `stop`.
///
/// # Errors
/// When the socket fails.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> std::io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_lists_what_is_missing() {
        let readiness = Readiness::waiting_for(["resources".to_owned(), "ledger".to_owned()]);
        readiness.reached("ledger");
        assert_eq!(readiness.missing(), ["resources"]);
        readiness.reached("resources");
        assert!(readiness.missing().is_empty());
        readiness.stopping();
        assert_eq!(readiness.missing(), ["stopping"]);
    }
}
