//! Figures of the audit. They speak of the last audit of each account, and change all at once.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Labels of findings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    /// What was found.
    kind: &'static str,
}

/// Labels of costs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CurrencyLabels {
    /// ISO 4217 code.
    currency: String,
}

/// What the last audits found, all accounts together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figures {
    /// Findings by kind; every kind is there.
    pub findings: Vec<(&'static str, usize)>,
    /// Numbers that cost rent and serve nobody.
    pub idle: usize,
    /// Of those, numbers whose price is not known.
    pub unpriced: usize,
    /// What the others cost a month, by currency.
    pub costs: Vec<(String, f64)>,
    /// Seconds since 1970 at which an audit was last completed, if this one was.
    pub completed: Option<i64>,
}

/// The figures of the audit.
#[derive(Debug, Default)]
pub struct AuditMetrics {
    findings: Family<KindLabels, Gauge>,
    idle: Gauge,
    unpriced: Gauge,
    costs: Family<CurrencyLabels, Gauge<f64, AtomicU64>>,
    completed: Gauge,
    /// Audits that could not be completed: the API server or Twilio could not be asked.
    pub failures: Counter,
}

impl AuditMetrics {
    /// Adds the figures to a registry.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("audit_findings", "Findings of the last audit, by kind", self.findings.clone());
        registry.register("audit_idle_numbers", "Numbers that cost rent and serve nobody", self.idle.clone());
        registry.register(
            "audit_idle_unpriced_numbers",
            "Of those, numbers whose price is not known: no cost has them in it",
            self.unpriced.clone(),
        );
        registry.register(
            "audit_idle_monthly_cost",
            "What idle numbers of known price cost a month, by currency",
            self.costs.clone(),
        );
        registry.register(
            "audit_last_completed_timestamp_seconds",
            "When every account that could be audited last was, in seconds since 1970; 0: not yet",
            self.completed.clone(),
        );
        registry.register("audit_failures", "Audits that could not be completed", self.failures.clone());
    }

    /// Sets everything. To be called with the registry locked, so that no reader sees half of it.
    pub(super) fn set(&self, figures: &Figures) {
        let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.findings.clear();
        for (kind, count) in &figures.findings {
            self.findings.get_or_create(&KindLabels { kind }).set(whole(*count));
        }
        self.idle.set(whole(figures.idle));
        self.unpriced.set(whole(figures.unpriced));
        self.costs.clear();
        for (currency, amount) in &figures.costs {
            self.costs.get_or_create(&CurrencyLabels { currency: currency.clone() }).set(*amount);
        }
        if let Some(completed) = figures.completed {
            self.completed.set(completed);
        }
    }
}
