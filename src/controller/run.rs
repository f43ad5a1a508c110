//! The watches and the workers: changes in, passes out, and a stop that cuts nothing in half.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use kube::ResourceExt as _;
use kube::runtime::controller::{Config, Controller, Error as ControllerError};
use kube::runtime::{Predicate as _, PredicateConfig, WatchStreamExt as _, predicates, watcher};

use crate::admin::Readiness;
use crate::plan::ObjectKey;

use super::context::{Context, Ends};
use super::error::Error;
use super::reconcile::{after_error, reconcile};

/// Changes of one object that come within this time are looked at together.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// How long to wait before the ledger is read again at the start.
const LEDGER_PAUSE: Duration = Duration::from_secs(5);
/// What readiness waits for.
pub const WATCH: &str = "the list of ClinicPhoneNumbers";
/// What readiness waits for.
pub const LEDGER: &str = "the ledger";

/// Runs until the context's stop, then lets every pass that is under way come to its end.
///
/// While the ledger cannot be read nothing is bought and the process is not ready; numbers that are held are kept all the same.
pub async fn run(context: Arc<Context>, ends: Vec<Ends>, readiness: Arc<Readiness>) {
    let primed = async {
        while let Err(error) = context.ledger.prime().await {
            tracing::error!(%error, "nothing can be bought; trying again");
            tokio::time::sleep(LEDGER_PAUSE).await;
        }
        readiness.reached(LEDGER);
    };
    let ready = async {
        for store in &context.stores {
            if store.wait_until_ready().await.is_err() {
                return;
            }
        }
        readiness.reached(WATCH);
        tracing::info!(resources = context.known().count(), "watching");
    };
    let controllers =
        context.all_resources().into_iter().zip(ends).zip(context.stores.clone()).map(|((api, ends), store)| {
            let trigger = watcher(api, watcher::Config::default())
                .default_backoff()
                .modify(|object| object.managed_fields_mut().clear())
                .reflect(ends.writer)
                .touched_objects()
                .predicate_filter(
                    predicates::generation.combine(predicates::finalizers).combine(predicates::annotations),
                    PredicateConfig::default(),
                );
            let pokes =
                futures::stream::unfold(
                    ends.pokes,
                    |mut pokes| async move { pokes.recv().await.map(|poke| (poke, pokes)) },
                );
            Controller::for_stream(trigger, store)
                .with_config(Config::default().concurrency(context.settings.concurrency).debounce(DEBOUNCE))
                .reconcile_on(pokes)
                .graceful_shutdown_on(context.stop.clone().cancelled_owned())
                .run(reconcile, after_error, Arc::clone(&context))
                .for_each({
                    let context = Arc::clone(&context);
                    move |ended| {
                        told(&context, ended.err());
                        std::future::ready(())
                    }
                })
        });
    futures::future::join(join_all(controllers), async {
        tokio::select! {
            _ = futures::future::join(ready, primed) => {}
            () = context.stop.cancelled() => {}
        }
    })
    .await;
}

/// What becomes of a pass or a watch that failed.
fn told(context: &Context, error: Option<ControllerError<Error, watcher::Error>>) {
    match error {
        // Told by `after_error` already.
        None | Some(ControllerError::ReconcilerFailed(..)) => {}
        // Gone without a pass of this process: what it remembers, and what it reserved, goes too.
        Some(ControllerError::ObjectNotFound(gone)) => {
            context.memories.forget(&ObjectKey { namespace: gone.namespace.unwrap_or_default(), name: gone.name });
        }
        Some(error) => tracing::warn!(%error, "watch"),
    }
}
