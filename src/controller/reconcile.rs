//! One pass: observe → plan → one step → fold → plan again, until there is nothing to do; then status, if it changed.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use kube::runtime::controller::Action;

use crate::api::ClinicPhoneNumber;
use crate::domain::Moment;
use crate::plan::{self, Kind, ObjectKey, Plan, Situation, Step, plan};

use super::Context;
use super::error::{Error, call};
use super::execute::Flow;
use super::memory::Entry;
use super::pass::Pass;

/// More steps than this in one pass, searches apart, means that the decision goes round in circles.
const TURNS: usize = 24;
/// So many conflicts in one pass mean that somebody writes the object without end: leave it for a moment.
const CONFLICTS: usize = 6;

/// When a resource is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// After this time, or earlier when it changes.
    After(Duration),
    /// When it changes.
    OnChange,
}

/// Brings one resource as far as it can be brought now.
///
/// # Errors
/// When the API server is in the way; never because of Twilio, whose trouble ends in status.
pub async fn reconcile(object: Arc<ClinicPhoneNumber>, context: Arc<Context>) -> Result<Action, Error> {
    Ok(match Box::pin(pass_over(object, &context)).await? {
        Next::After(delay) => Action::requeue(delay),
        Next::OnChange => Action::await_change(),
    })
}

/// The pass itself, in values that can be looked at.
pub(super) async fn pass_over(object: Arc<ClinicPhoneNumber>, context: &Context) -> Result<Next, Error> {
    let key = ObjectKey { namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
    let uid = object.uid().unwrap_or_default();
    let entry = context.memories.recall(&key, &uid, context.now().boot);
    let suspect = entry.memory.suspect;
    // The cache may be behind this process's own last write; then the newest is read.
    let behind = entry.version.is_some() && entry.version != object.resource_version();
    let object = if behind {
        match call("reading the object", context.resources(&key.namespace).get(&key.name)).await {
            Ok(object) => object,
            Err(Error::Gone) => {
                context.memories.forget(&key);
                return Ok(Next::OnChange);
            }
            Err(error) => return Err(error),
        }
    } else {
        Arc::unwrap_or_clone(object)
    };
    let entry = if object.uid().unwrap_or_default() == uid {
        entry
    } else {
        context.memories.recall(&key, &object.uid().unwrap_or_default(), context.now().boot)
    };
    let mut pass = Pass::begin(context, object, entry);
    let mut conflicts = 0;
    let ended = loop {
        match run(&mut pass).await {
            Err(Error::Conflict(doing)) if conflicts < CONFLICTS => {
                conflicts += 1;
                tracing::debug!(%key, doing, "the object changed, deciding anew");
                match call("reading the object", context.resources(&key.namespace).get(&key.name)).await {
                    Ok(object) => pass = pass.again(object),
                    Err(error) => break Err(error),
                }
            }
            ended => break ended,
        }
    };
    let gone = matches!(ended, Ok(None) | Err(Error::Gone));
    if gone {
        context.memories.forget(&key);
        return Ok(Next::OnChange);
    }
    if ended.is_err() {
        pass.observed.memory.failures = pass.observed.memory.failures.saturating_add(1);
    }
    let entry =
        Entry { uid: pass.object.uid().unwrap_or_default(), memory: pass.observed.memory, version: pass.version };
    context.memories.keep(&key, entry, suspect);
    let until = ended?.unwrap_or_default();
    context.metrics.passes.inc();
    Ok(Next::After(until.until(context.now().boot).max(Duration::from_millis(10))))
}

/// What to do after a pass that could not be finished: again, soon at first.
#[allow(clippy::needless_pass_by_value, reason = "the signature that kube's controller calls")]
pub fn after_error(object: Arc<ClinicPhoneNumber>, error: &Error, context: Arc<Context>) -> Action {
    Action::requeue(pause_after(&object, error, &context))
}

/// How long to leave a resource after a pass that could not be finished.
pub(super) fn pause_after(object: &ClinicPhoneNumber, error: &Error, context: &Context) -> Duration {
    let key = ObjectKey { namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
    let failures = context.memories.peek(&key, |m| m.failures).unwrap_or(1);
    context.metrics.failed(error.category());
    if matches!(error, Error::Bug(_)) {
        tracing::error!(%key, %error, "this should not happen; please report it");
    } else {
        tracing::warn!(%key, %error, failures, "the pass could not be finished");
    }
    plan::backoff(failures.saturating_sub(1), Duration::from_millis(250), Duration::from_secs(30), u64::from(failures))
}

/// Runs the pass to its end; `None`: the resource is gone.
async fn run(pass: &mut Pass<'_>) -> Result<Option<Moment>, Error> {
    let mut turns = 0;
    while turns < TURNS {
        let now = pass.context.now();
        // Once stopping, always stopping: nothing new is stamped, and what was sent is still recorded.
        pass.observed.stopping |= pass.context.is_stopping();
        match plan(&pass.desired, &pass.observed, now) {
            Plan::Act { step, situation } => {
                // One for each area code: their number is bounded by the CRD, and each is a step forward.
                turns += usize::from(!matches!(step, Step::Search { .. }));
                tracing::debug!(key = %pass.desired.key, step = step.name(), situation = ?situation.kind, "step");
                match pass.execute(step, &situation).await? {
                    Flow::On => {}
                    Flow::Later(until) => {
                        let (claim, held) = (pass.observed.claim.clone(), pass.observed.held.clone());
                        pass.save(claim, held, None).await?;
                        return Ok(Some(until));
                    }
                    Flow::Gone => return Ok(None),
                }
            }
            Plan::Rest { until, situation } => return finish(pass, until, situation).await,
            Plan::Blocked { probe, situation } => return finish(pass, probe, Some(situation)).await,
            Plan::Done => return Ok(None),
        }
    }
    Err(Error::Bug(format!("{} steps in one pass of {} and no end", TURNS, pass.desired.key)))
}

/// Writes status if it changed, and remembers.
async fn finish(pass: &mut Pass<'_>, until: Moment, situation: Option<Situation>) -> Result<Option<Moment>, Error> {
    let (claim, held) = (pass.observed.claim.clone(), pass.observed.held.clone());
    pass.save(claim, held, situation.as_ref()).await?;
    if let Some(situation) = situation {
        let now = pass.context.now();
        plan::remember(&pass.desired, &mut pass.observed, situation.kind, now);
        let calm = matches!(situation.kind, Kind::Available | Kind::Suspended | Kind::AwaitingApproval);
        pass.observed.memory.failures = if calm { 0 } else { pass.observed.memory.failures.saturating_add(1) };
    }
    Ok(Some(until))
}
