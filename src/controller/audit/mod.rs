//! The periodic audit: reads, compares and tells. It writes events and nothing else, and nobody waits for it.
//!
//! What is found is decided in [`crate::plan::audit`]; `look` reads what is compared, `telling` says what of it is news.

mod look;
mod telling;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt as _;

use crate::domain::InstallationId;
use crate::plan::ObjectKey;
use crate::plan::audit::{Ids, Report};

use super::error::Error;
use super::{Context, events, ledger};

pub use super::secrets::Reader;
pub use look::Looker;
use telling::{News, Told};

/// The first audit is not later than this after a start, and neither is the next one after one that was not completed.
const SOON: Duration = Duration::from_secs(3600);

/// Audits every `interval` until the context's stop; never, when it is zero.
pub async fn run(context: Arc<Context>, interval: Duration) {
    if interval.is_zero() {
        return;
    }
    let mut told = Told::default();
    let mut wait = first(&context.settings.defaults.installation, interval);
    loop {
        let turn = async {
            tokio::time::sleep(wait).await;
            once(&context, &mut told).await
        };
        // It only reads: it may be cut off anywhere.
        let completed = tokio::select! {
            () = context.stop.cancelled() => return,
            completed = turn => completed,
        };
        wait = if completed { interval } else { interval.min(SOON) };
    }
}

/// When the first audit comes: spread over the interval by the installation's id, so that operators that are started
/// together do not audit together, and the same after every restart.
fn first(installation: &InstallationId, interval: Duration) -> Duration {
    let part = u32::try_from(installation.tag("audit", "first").spread() % 1000).unwrap_or_default();
    interval.min(SOON) / 1000 * part
}

/// One audit, told. Returns whether it was completed.
async fn once(context: &Context, told: &mut Told) -> bool {
    let report = match look(context).await {
        Ok(report) => report,
        Err(error) => {
            context.metrics.audit.failures.inc();
            tracing::warn!(%error, "the audit could not be completed");
            return false;
        }
    };
    let completed = !report.unreachable();
    if !completed {
        context.metrics.audit.failures.inc();
    }
    for news in told.news(&report) {
        tell(context, news).await;
    }
    context.metrics.audited(&told.figures(completed.then(|| context.now().wall.as_second())));
    let summary = &report.summary;
    tracing::info!(
        accounts = summary.accounts,
        audited = summary.audited,
        findings = summary.findings,
        idle = summary.idle_numbers,
        "audited"
    );
    completed
}

async fn look(context: &Context) -> Result<Report, Error> {
    let defaults = &context.settings.defaults;
    let ids = Ids { installation: defaults.installation.clone(), previous: defaults.previous_installation.clone() };
    let looker = Looker {
        kube: &context.kube,
        twilio: &context.twilio,
        clock: context.clock.as_ref(),
        gates: &context.accounts,
        salt: &context.salt,
        ids: &ids,
        namespaces: &context.settings.namespaces,
        reader: Reader::Operator,
        progress: &|_, _| {},
    };
    looker.audit().await
}

async fn tell(context: &Context, news: News) {
    match news {
        News::Resource(key, note) => {
            let is = |object: &crate::api::ClinicPhoneNumber| {
                key == ObjectKey { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
            };
            let object = context.known().find(|object| is(object));
            if let Some(object) = object {
                events::tell(context, &object, &note).await;
            }
        }
        // There is no resource to tell it of. The ledger is the installation's own object, and where a person looks for what
        // was bought. With one Role a namespace the operator may write no events here: then the log and the figures tell it.
        News::Installation(note) => {
            let ledger = ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("ConfigMap".to_owned()),
                namespace: Some(context.settings.operator_namespace.clone()),
                name: Some(ledger::NAME.to_owned()),
                ..ObjectReference::default()
            };
            events::tell_of(context, ledger, &note).await;
        }
        News::Idle(account, number, text) => tracing::warn!(
            %account,
            number = %number.phone_number,
            sid = %number.phone_number_sid,
            tag = number.tag.as_ref().map(AsRef::<str>::as_ref),
            label = number.label,
            since = number.since,
            monthly_cost = number.monthly_cost.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string),
            "orphan number: {text}"
        ),
        News::Line(account, kind, text) => tracing::warn!(%account, kind = kind.label(), "{text}"),
    }
}
