//! One pass over one resource: the object as the API server returned it last, and everything learnt so far.

use kube::ResourceExt as _;

use crate::api::ClinicPhoneNumber;
use crate::clock::Fence;
use crate::domain::{E164, Moment};
use crate::plan::{Claim, Desired, Held, Observed, Rule, Situation, broken, holds, status};
use crate::twilio::Credentials;

use super::error::{Error, call};
use super::memory::Entry;
use super::{Context, figures, reach, verify};

/// Permission to send one thing once. Made by a written stamp and by nothing else, used up by sending.
#[derive(Debug)]
pub(super) struct Stamped {
    fence: Fence,
    number: E164,
}

impl Stamped {
    /// The fence, if the permission is for this number.
    pub(super) fn open_for(self, number: &E164) -> Result<Fence, Error> {
        if self.number == *number {
            Ok(self.fence)
        } else {
            Err(Error::Bug(format!("stamped {}, about to send {number}", self.number)))
        }
    }
}

pub(super) struct Pass<'a> {
    pub context: &'a Context,
    pub object: ClinicPhoneNumber,
    pub desired: Desired,
    pub observed: Observed,
    pub version: Option<String>,
    /// Read once: one snapshot of the credentials a pass.
    pub credentials: Option<Credentials>,
    pub stamped: Option<Stamped>,
    pub release: Option<Stamped>,
    /// When the look at the number began on which an update rests.
    pub looked_at: Moment,
}

impl<'a> Pass<'a> {
    pub(super) fn begin(context: &'a Context, object: ClinicPhoneNumber, entry: Entry) -> Self {
        let desired = Desired::read(&object, &context.settings.defaults);
        let now = context.now();
        let mut observed =
            Observed::begin(object.status.as_ref(), entry.memory, now.boot, context.settings.settle_window);
        if !holds(Rule::WindowByOwnSight) {
            broken::sight_by_wall(&mut observed, now);
        }
        observed.stopping = context.is_stopping();
        observed.heed(&desired);
        let scope = object.spec.usage.as_ref().map(|usage| usage.scope).unwrap_or_default();
        observed.figures = figures::of(context, observed.held.as_ref(), scope);
        observed.reach = reach::of(context, observed.held.as_ref(), now.boot);
        observed.verification = verify::of(context, &desired.key);
        if let Some(claim) = observed.claim.as_ref().filter(|c| c.stands()) {
            context.memories.reserve(&claim.number, &desired.key);
        }
        Self {
            context,
            object,
            desired,
            observed,
            version: entry.version,
            credentials: None,
            stamped: None,
            release: None,
            looked_at: Moment::default(),
        }
    }

    /// Begins anew on a newer object, keeping what was learnt about something that this pass sent.
    pub(super) fn again(self, object: ClinicPhoneNumber) -> Self {
        let uid = object.uid().unwrap_or_default();
        if self.object.uid().unwrap_or_default() != uid {
            // Another resource under the same name: nothing of the first one's life is its own.
            let entry = self.context.memories.recall(&self.desired.key, &uid, self.context.now().boot);
            return Self::begin(self.context, object, entry);
        }
        let sent = self.observed.claim.clone();
        let old = self.observed;
        let entry = Entry { uid, memory: old.memory, version: object.resource_version() };
        let mut next = Self::begin(self.context, object, entry);
        let same = |a: &Claim, b: &Claim| a.identity() == b.identity() && a.account == b.account;
        if let (Some(sent), Some(claim)) = (sent, &next.observed.claim)
            && same(&sent, claim)
        {
            next.observed.claim = Some(Claim { unanswered: sent.unanswered.min(claim.unanswered), ..claim.clone() });
            next.observed.refused = old.refused;
            next.observed.ambiguous = old.ambiguous;
            next.observed.number = old.number;
            next.looked_at = self.looked_at;
        }
        next
    }

    pub(super) fn name(&self) -> &str {
        &self.desired.key.name
    }

    pub(super) fn api(&self) -> kube::Api<ClinicPhoneNumber> {
        self.context.resources(&self.desired.key.namespace)
    }

    /// Takes an object that the API server returned in answer to a write.
    pub(super) fn took(&mut self, object: ClinicPhoneNumber) {
        self.version = object.resource_version();
        self.desired = Desired::read(&object, &self.context.settings.defaults);
        self.object = object;
    }

    /// Writes status with this claim and number. The PUT carries the version that was read: whoever wrote in between wins,
    /// and everything is decided anew.
    pub(super) async fn save(
        &mut self,
        claim: Option<Claim>,
        held: Option<Held>,
        situation: Option<&Situation>,
    ) -> Result<(), Error> {
        let now = self.context.now();
        let after = self.observed.with(claim.clone(), held.clone());
        let old = self.object.status.clone().unwrap_or_default();
        let mut new = status::render(&old, &self.desired, &after, situation, now);
        if self.done(situation) {
            new.last_handled_reconcile_at.clone_from(&self.desired.requested_at);
        }
        if held.is_some() && self.observed.held.is_none() {
            self.context.memories.recording(&self.desired.key, now.boot);
        }
        if new != old {
            let mut object = ClinicPhoneNumber { status: Some(new), ..self.object.clone() };
            if !holds(Rule::CompareAndSwap) {
                object.metadata.resource_version =
                    call("reading", self.api().get(self.name())).await?.resource_version();
            }
            let written = call(
                "writing status",
                self.api().replace_status(self.name(), &kube::api::PostParams::default(), &object),
            )
            .await?;
            self.context.metrics.status_writes.inc();
            self.took(written);
        }
        if !claim.as_ref().is_some_and(Claim::stands) {
            self.context.memories.release(&self.desired.key);
        }
        let desired = self.desired.clone();
        self.observed.learn_saved(claim, held, &desired, self.context.now().boot);
        Ok(())
    }

    /// Whether this situation answers the annotation that asks for a look: it is one in which the work came to rest.
    fn done(&self, situation: Option<&Situation>) -> bool {
        situation.is_some_and(|s| {
            !s.kind.row().reconciling || self.observed.trouble.is_some() || self.observed.list.is_some()
        })
    }

    /// A permission to send, with a deadline that was taken before the stamp was written.
    pub(super) fn permission(&self, deadline: crate::domain::Moment, number: E164) -> Stamped {
        let day = std::time::Duration::from_secs(24 * 3600);
        let deadline = if holds(Rule::SendFence) { deadline } else { deadline.after(day) };
        Stamped { fence: Fence::new(self.context.clock.clone(), deadline), number }
    }
}
