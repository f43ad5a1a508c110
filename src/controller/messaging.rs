//! Puts a number into a Messaging Service and takes it out: the steps of `plan::membership`.
//!
//! A refusal is folded in as an answer, where the number itself is served by it all the same; everything else is the pass's
//! trouble, as with every call.

use crate::clock::Fence;
use crate::domain::{Class, Meaning, MessagingServiceSid, PhoneNumberSid, Trouble};
use crate::plan::{Rule, holds};
use crate::twilio::Credentials;

use super::accounts::Lane;
use super::error::Error;
use super::execute::Flow;
use super::pass::Pass;
use super::reach;

/// What became of a call: an answer, a failure that counts as one, or nothing that settles anything.
type Told<T> = Result<Option<Result<T, Trouble>>, Flow>;

/// What a call is for.
#[derive(Clone, Copy)]
enum Aim {
    /// To look.
    Look,
    /// To change something.
    Change,
    /// To change something that nothing waits for: every failure is an answer, and closes no gate.
    ByTheWay,
}

impl Aim {
    fn settles(self, trouble: &Trouble) -> bool {
        let refused = matches!(trouble.meaning, Meaning::RefusedNumber | Meaning::RefusedOtherwise);
        refused || matches!(self, Self::ByTheWay)
    }

    fn writes(self) -> bool {
        !matches!(self, Self::Look)
    }
}

impl Pass<'_> {
    pub(super) async fn read_service(&mut self, service: MessagingServiceSid) -> Result<Flow, Error> {
        let twilio = self.context.twilio.clone();
        let told =
            self.ask(Aim::Look, async |credentials, _| twilio.messaging_service(credentials, &service).await).await?;
        Ok(self.folded(told, |pass, read| pass.observed.learn_service(service, read)))
    }

    pub(super) async fn read_membership(
        &mut self,
        service: &MessagingServiceSid,
        sid: &PhoneNumberSid,
    ) -> Result<Flow, Error> {
        let twilio = self.context.twilio.clone();
        let ask = self.ask(Aim::Look, async |credentials, _| twilio.is_in_service(credentials, service, sid).await);
        let told = ask.await?;
        Ok(self.folded(told, |pass, read| match read {
            // The reading that did not have it was of before, or lagged.
            Ok(true) => {
                pass.moved(sid, Some(service));
                pass.observed.learn_member(true);
            }
            Ok(false) => pass.observed.learn_member(false),
            // Who may not ask goes by what is recorded.
            Err(_) => pass.observed.learn_member(true),
        }))
    }

    pub(super) async fn join(&mut self, service: &MessagingServiceSid, sid: &PhoneNumberSid) -> Result<Flow, Error> {
        let twilio = self.context.twilio.clone();
        let ask = self
            .ask(Aim::Change, async |credentials, fence| twilio.join_service(credentials, service, sid, fence).await);
        let told = ask.await?;
        Ok(self.folded(told, |pass, joined| {
            if joined.is_ok() {
                pass.moved(sid, Some(service));
            }
            pass.observed.learn_joined(joined);
        }))
    }

    pub(super) async fn leave(&mut self, service: &MessagingServiceSid, sid: &PhoneNumberSid) -> Result<Flow, Error> {
        let twilio = self.context.twilio.clone();
        // A release does not wait for it.
        let aim = if self.desired.deleting { Aim::ByTheWay } else { Aim::Change };
        let ask = self.ask(aim, async |credentials, fence| {
            match twilio.leave_service(credentials, service, sid, fence).await {
                // Good credentials, and a moment ago the number was there: twice not found is not there.
                Ok(false) if twilio.is_in_service(credentials, service, sid).await? => Err(disagreeing()),
                left => left.map(drop),
            }
        });
        let told = ask.await?;
        Ok(self.folded(told, |pass, left| {
            if left.is_ok() {
                pass.moved(sid, None);
            }
            pass.observed.learn_left(left);
        }))
    }

    /// What was read of the account's services before is of before.
    fn moved(&self, sid: &PhoneNumberSid, to: Option<&MessagingServiceSid>) {
        if let Some(held) = &self.observed.held {
            reach::moved(self.context, &held.account, sid, to);
        }
    }

    /// One call, when the gate lets it through; what it writes rests on the pass's last look at the number.
    async fn ask<T>(
        &mut self,
        aim: Aim,
        request: impl AsyncFnOnce(&Credentials, &Fence) -> Result<T, Trouble>,
    ) -> Result<Told<T>, Error> {
        let (credentials, account, fingerprint) = self.credentials()?;
        let context = self.context;
        let permit = match context.accounts.admit(&account, &fingerprint, Lane::Change, context.now().boot) {
            Ok(permit) => permit,
            Err(closed) => return Ok(Err(self.closed(closed))),
        };
        let since = if holds(Rule::SendFence) { self.looked_at } else { context.now().boot };
        let fence = Fence::new(context.clock.clone(), since.after(context.settings.send_within));
        if aim.writes() {
            self.observed.learn_updating(context.now().boot);
        }
        let result = request(&credentials, &fence).await;
        drop(permit);
        if aim.writes() && result.as_ref().is_err_and(Trouble::is_not_processed) {
            self.observed.learn_unsent();
        }
        Ok(Ok(match result {
            Err(trouble) if aim.settles(&trouble) => Some(Err(trouble)),
            other => self.ended(&account, &fingerprint, other).map(Ok),
        }))
    }

    fn folded<T>(&mut self, told: Told<T>, learn: impl FnOnce(&mut Self, Result<T, Trouble>)) -> Flow {
        match told {
            Err(flow) => return flow,
            Ok(Some(told)) => learn(self, told),
            Ok(None) => {}
        }
        Flow::On
    }
}

/// Twilio knew nothing of a number in a service when it was to be taken out, and knows it a moment later.
fn disagreeing() -> Trouble {
    Trouble {
        operation: "DeletePhoneNumber",
        meaning: Meaning::Ambiguous,
        class: Class::Unavailable,
        http_status: None,
        code: None,
        detail: "Twilio's answers about the number in its Messaging Service disagree".to_owned(),
        remedy: String::new(),
        retry_after: None,
        request_id: None,
    }
}
