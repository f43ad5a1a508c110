//! Figures for Prometheus. Label sets are bounded: no resource, number or account name is ever a label.

use std::sync::Mutex;
use std::sync::PoisonError;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::audit::{AuditMetrics, Figures};
use crate::twilio::CallRecord;

/// Labels of a call to Twilio.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    /// Twilio's operation id.
    operation: &'static str,
    /// `ok`, `refused`, `throttled`, `ambiguous`, `not_sent` or `credentials`.
    outcome: &'static str,
}

/// Labels of a pass that could not be finished.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FailureLabels {
    /// What was in the way.
    category: &'static str,
}

/// What a webhook was found to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WebhookLabels {
    /// `accepted` or `refused`.
    outcome: &'static str,
}

/// All figures of one process: a value, not a global.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    calls: Family<CallLabels, Counter>,
    call_seconds: Histogram,
    /// Passes that came to their end.
    pub passes: Counter,
    failures: Family<FailureLabels, Counter>,
    /// Status writes.
    pub status_writes: Counter,
    /// Readings of usage and prices that failed.
    pub figures_failures: Counter,
    /// Readings of Messaging Services that failed.
    pub reach_failures: Counter,
    webhooks: Family<WebhookLabels, Counter>,
    /// What the audit found.
    pub audit: AuditMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("clinic_phone_operator");
        let calls = Family::default();
        let call_seconds = Histogram::new([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]);
        let (passes, failures, status_writes) = (Counter::default(), Family::default(), Counter::default());
        registry.register("twilio_calls", "Calls to Twilio by operation and outcome", calls.clone());
        registry.register("twilio_call_seconds", "Duration of calls to Twilio", call_seconds.clone());
        registry.register("reconcile_passes", "Passes over a resource that came to their end", passes.clone());
        registry.register(
            "reconcile_failures",
            "Passes that could not be finished, by what was in the way",
            failures.clone(),
        );
        registry.register("status_writes", "Status writes", status_writes.clone());
        let figures_failures = Counter::default();
        registry.register(
            "figures_failures",
            "Readings of an account's usage and prices that failed",
            figures_failures.clone(),
        );
        let reach_failures = Counter::default();
        registry.register(
            "reach_failures",
            "Readings of an account's Messaging Services that failed",
            reach_failures.clone(),
        );
        let webhooks = Family::<WebhookLabels, Counter>::default();
        registry.register(
            "webhook_verifications",
            "Signed messages to webhooks, by whether they were taken",
            webhooks.clone(),
        );
        let audit = AuditMetrics::default();
        audit.register(&mut registry);
        Self {
            registry: Mutex::new(registry),
            calls,
            call_seconds,
            passes,
            failures,
            status_writes,
            figures_failures,
            reach_failures,
            webhooks,
            audit,
        }
    }
}

impl Metrics {
    /// Counts a call to Twilio.
    pub fn called(&self, record: &CallRecord) {
        self.calls.get_or_create(&CallLabels { operation: record.operation, outcome: record.outcome }).inc();
        self.call_seconds.observe(record.elapsed.as_secs_f64());
    }

    /// Counts a pass that could not be finished.
    pub fn failed(&self, category: &'static str) {
        self.failures.get_or_create(&FailureLabels { category }).inc();
    }

    /// Counts a try of a webhook.
    pub fn tried_webhook(&self, accepted: bool) {
        let outcome = if accepted { "accepted" } else { "refused" };
        self.webhooks.get_or_create(&WebhookLabels { outcome }).inc();
    }

    /// Sets what the audit found, all at once for whoever reads.
    pub fn audited(&self, figures: &Figures) {
        let _registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        self.audit.set(figures);
    }

    /// The figures as OpenMetrics text.
    ///
    /// # Errors
    /// When a figure cannot be written, which would be a bug.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(
            &mut text,
            &self.registry.lock().unwrap_or_else(PoisonError::into_inner),
        )?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told() {
        let metrics = Metrics::default();
        metrics.called(&CallRecord {
            operation: "ListIncomingPhoneNumber",
            outcome: "ok",
            elapsed: std::time::Duration::from_millis(40),
            http_status: Some(200),
            request_id: None,
        });
        metrics.failed("conflict");
        let text = metrics.render().unwrap();
        assert!(
            text.contains(
                r#"clinic_phone_operator_twilio_calls_total{operation="ListIncomingPhoneNumber",outcome="ok"} 1"#
            ),
            "{text}"
        );
        assert!(text.contains(r#"clinic_phone_operator_reconcile_failures_total{category="conflict"} 1"#), "{text}");
    }

    #[test]
    fn what_an_audit_found_replaces_what_the_one_before_found() {
        let metrics = Metrics::default();
        let first = Figures {
            findings: vec![("orphan", 2), ("number_gone", 0)],
            idle: 2,
            unpriced: 1,
            costs: vec![("USD".to_owned(), 1.15)],
            completed: Some(1_700_000_000),
        };
        metrics.audited(&first);
        let text = metrics.render().unwrap();
        for line in [
            r#"audit_findings{kind="orphan"} 2"#,
            r#"audit_findings{kind="number_gone"} 0"#,
            "audit_idle_numbers 2",
            "audit_idle_unpriced_numbers 1",
            r#"audit_idle_monthly_cost{currency="USD"} 1.15"#,
            "audit_last_completed_timestamp_seconds 1700000000",
            "audit_failures_total 0",
        ] {
            assert!(text.contains(&format!("clinic_phone_operator_{line}\n")), "{line}: {text}");
        }
        // One that was not completed leaves the time as it is; a currency that is gone is gone.
        metrics.audited(&Figures { findings: vec![("orphan", 0)], ..Figures::default() });
        let text = metrics.render().unwrap();
        assert!(!text.contains("USD") && text.contains("timestamp_seconds 1700000000\n"), "{text}");
        assert!(text.contains("audit_findings{kind=\"orphan\"} 0\n"), "{text}");
    }
}
