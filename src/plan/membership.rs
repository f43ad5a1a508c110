//! Membership of a Messaging Service: `spec.sms.messagingServiceSID`.
//!
//! The number is put into the service that the spec names, and taken out of the one that this resource put it into, and of no
//! other. A service is read before the number goes into it: one that would keep incoming messages from the webhook is told and
//! not joined (docs/adr/0010-messaging-services.md).
//!
//! What is in force is recorded with a time. Before anything is sent the record loses that time, so that whatever was sent without an
//! answer, or just before a crash, is never taken for what is in force: then one window is waited for, and it is sent again.
//!
//! Nothing here buys or gives up anything: the number is in service before its membership is looked after.

use k8s_openapi::jiff::Timestamp;

use crate::domain::{
    HttpMethod, IncomingNumber, MessagingService, MessagingServiceSid, Moment, Now, PhoneNumberSid, Trouble,
};

use super::keep::{DAY, REPAIRS};
use super::reach::Known;
use super::{Desired, Held, Kind, Note, Observed, Plan, Situation, Step, Wish, setback, telling};

/// A Messaging Service that this resource put its number into, or is about to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Which.
    pub service: MessagingServiceSid,
    /// Since when the number is in it; `None`: something was or is about to be sent, and the number may be in it or not.
    pub since: Option<Timestamp>,
}

/// What this pass learnt of a service, and what became of what it sent to it. What failed without an answer is the pass's trouble,
/// as with every call; here is what Twilio said.
#[derive(Debug, Clone, Default)]
pub struct Learnt {
    /// The service that the spec names, or why it cannot be had.
    pub service: Option<(MessagingServiceSid, Result<MessagingService, Trouble>)>,
    /// Whether the number is in the recorded service, asked of that very service.
    pub member: Option<bool>,
    /// Whether the number was put into the service of the spec, or why it was refused.
    pub joined: Option<Result<(), Trouble>>,
    /// Whether the number was taken out of the recorded service, or why that was refused.
    pub left: Option<Result<(), Trouble>>,
}

/// What is to be done about it.
enum Due<'a> {
    /// Nothing.
    Nothing,
    /// It is in force, and the service has to be looked at: it may keep messages from the webhook that the spec names now.
    Look(&'a MessagingServiceSid),
    /// A reading of the account's services does not have the number in this one: it has to be asked itself.
    Ask(&'a Membership),
    /// The number is to be in this one.
    Join(&'a MessagingServiceSid),
    /// It is to be in none, and may be in this one.
    Leave(&'a Membership),
}

fn due<'a>(desired: &Desired, wish: &'a Wish, observed: &'a Observed, fulfilled: bool) -> Due<'a> {
    let messaging = &observed.messaging;
    match (&wish.messaging_service, &observed.membership) {
        (None, None) => Due::Nothing,
        (None, Some(recorded)) => Due::Leave(recorded),
        (Some(wanted), Some(recorded)) if recorded.service == *wanted && recorded.since.is_some() => {
            let elsewhere = match &observed.reach.service {
                Known::Read(seen) => seen.as_ref().is_none_or(|seen| seen.sid != *wanted),
                Known::Unread | Known::Off | Known::Unreadable(_) => false,
            };
            let edited = !fulfilled || observed.service_refused(desired).is_some();
            match messaging.member {
                Some(false) => Due::Join(wanted),
                None if elsewhere => Due::Ask(recorded),
                Some(true) | None if edited => Due::Look(wanted),
                Some(true) | None => Due::Nothing,
            }
        }
        (Some(wanted), _) => Due::Join(wanted),
    }
}

/// Whether the number is not yet where the spec wants it, as far as status tells.
pub(super) fn is_pending(wish: &Wish, observed: &Observed) -> bool {
    let recorded = observed.membership.as_ref();
    let in_force = recorded.filter(|recorded| recorded.since.is_some()).map(|recorded| &recorded.service);
    wish.messaging_service.as_ref() != in_force || recorded.is_some_and(|recorded| recorded.since.is_none())
}

/// What to do about it; `None`: nothing. `fulfilled`: the spec as it is now was seen in force. `fresh`: the number was read by its SID
/// in this pass.
pub(super) fn plan(
    desired: &Desired,
    observed: &Observed,
    held: &Held,
    number: &IncomingNumber,
    wish: &Wish,
    (fulfilled, fresh): (bool, bool),
    now: Now,
) -> Option<Plan> {
    let work = Work { desired, observed, held, number, wish, now };
    match due(desired, wish, observed, fulfilled) {
        Due::Nothing => None,
        Due::Look(wanted) => work.unfit(wanted),
        // What is about to be written rests on a look of a moment ago.
        Due::Ask(_) | Due::Join(_) | Due::Leave(_) if !fresh => {
            let look = Step::GetNumber { sid: held.sid.clone(), periodic: false };
            Some(Plan::act(look, work.doing("looking at the number")))
        }
        Due::Ask(recorded) => {
            let step = Step::ReadMembership { service: recorded.service.clone(), sid: number.sid.clone() };
            Some(Plan::act(step, work.doing("looking whether it is still in its Messaging Service")))
        }
        Due::Join(wanted) => Some(work.join(wanted)),
        Due::Leave(recorded) => Some(work.out_of(recorded)),
    }
}

/// Whether something would be done about it, or is refused.
pub(super) fn is_due(desired: &Desired, observed: &Observed, wish: &Wish, fulfilled: bool) -> bool {
    !matches!(due(desired, wish, observed, fulfilled), Due::Nothing | Due::Look(_))
}

/// One look at it.
struct Work<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    held: &'a Held,
    number: &'a IncomingNumber,
    wish: &'a Wish,
    now: Now,
}

impl Work<'_> {
    /// Where the resource stands meanwhile. What was refused stays so until it is done: a try changes nothing.
    fn doing(&self, what: &str) -> Situation {
        let kind = if self.observed.reported.ready { Kind::Rewiring } else { Kind::ConfiguringNumber };
        let told = || Situation::new(kind, format!("{}: {what}", self.held.number));
        self.observed.service_refused(self.desired).cloned().unwrap_or_else(told)
    }

    fn refused(&self, message: String) -> Plan {
        Plan::blocked(self.now, setback::PROBE, Situation::new(Kind::MessagingServiceRefused, message))
    }

    fn save(&self, membership: Option<Membership>, note: Option<Note>, repair: bool, what: &str) -> Plan {
        Plan::act(Step::SaveMembership { membership, note, repair }, self.doing(what))
    }

    /// Reads the service that the spec names, and says what stands against it; `None`: nothing.
    fn unfit(&self, wanted: &MessagingServiceSid) -> Option<Plan> {
        let read = self.observed.messaging.service.as_ref().filter(|(sid, _)| sid == wanted).map(|(_, read)| read);
        match read {
            None => {
                let step = Step::ReadService { service: wanted.clone() };
                Some(Plan::act(step, self.doing("looking at its Messaging Service")))
            }
            Some(Err(trouble)) => Some(self.refused(format!(
                "spec.sms.messagingServiceSID: Messaging Service {wanted} cannot be had with this account's credentials; correct it, or remove \
                 it: {}",
                telling::sentence(trouble)
            ))),
            Some(Ok(service)) => keeps_messages(self.wish, service).map(|why| {
                self.refused(format!(
                    "spec.sms.messagingServiceSID: {} does not belong into Messaging Service {wanted}, which {why}. In the service's Integration \
                     settings choose \"Defer to sender's webhook\", or give it the URL and method of spec.sms",
                    self.held.number
                ))
            }),
        }
    }

    fn join(&self, wanted: &MessagingServiceSid) -> Plan {
        let (observed, now) = (self.observed, self.now);
        let recorded = observed.membership.as_ref();
        match &observed.messaging.joined {
            Some(Ok(())) => {
                let text = format!("{} is in Messaging Service {wanted}", self.held.number);
                let note = Note::normal("MessagingServiceJoined", "Join", text);
                let membership = Membership { service: wanted.clone(), since: Some(now.wall) };
                return self.save(Some(membership), Some(note), false, "it is in its Messaging Service");
            }
            // It stays recorded: what was sent before, without an answer, may have put it there.
            Some(Err(trouble)) => {
                return self.refused(format!(
                    "Twilio does not put {} into Messaging Service {wanted}: {}",
                    self.held.number,
                    telling::sentence(trouble)
                ));
            }
            None => {}
        }
        let about_to = Membership { service: wanted.clone(), since: None };
        // The service itself has said so: whatever becomes of it, the number is not in it now.
        if recorded.is_some_and(|recorded| recorded.service == *wanted && recorded.since.is_some()) {
            return self.save(Some(about_to), None, true, "somebody took it out of its Messaging Service");
        }
        if let Some(plan) = self.unfit(wanted) {
            return plan;
        }
        match recorded.filter(|recorded| recorded.service == *wanted) {
            None => match recorded {
                Some(old) => self.out_of(old),
                None => self.save(Some(about_to), None, false, "about to be put into its Messaging Service"),
            },
            Some(_) if contested(observed, now) => self.refused(format!(
                "{} was taken out of Messaging Service {wanted} three times within a day: somebody else manages its membership too. Stop the other \
                 writer, or change spec.sms.messagingServiceSID; then set the annotation telephony.chiroflow.io/requested-at",
                self.held.number
            )),
            Some(_) => {
                self.send(|sid| Step::Join { service: wanted.clone(), sid }, "being put into its Messaging Service")
            }
        }
    }

    /// Takes the number out of a service that this resource put it into.
    fn out_of(&self, recorded: &Membership) -> Plan {
        let service = &recorded.service;
        match &self.observed.messaging.left {
            Some(Ok(())) => {
                let text = format!("{} is no longer in Messaging Service {service}", self.held.number);
                let note = Note::normal("MessagingServiceLeft", "Leave", text);
                self.save(None, Some(note), false, "it was taken out of its Messaging Service")
            }
            Some(Err(trouble)) => self.refused(format!(
                "Twilio does not take {} out of Messaging Service {service}, which spec.sms.messagingServiceSID no longer names: {}",
                self.held.number,
                telling::sentence(trouble)
            )),
            None if recorded.since.is_some() => {
                let about_to = Membership { service: service.clone(), since: None };
                self.save(Some(about_to), None, false, "about to be taken out of its Messaging Service")
            }
            None => {
                self.send(|sid| Step::Leave { service: service.clone(), sid }, "being taken out of its Messaging Service")
            }
        }
    }

    /// Sends it, once whatever was sent before has either taken effect or never will.
    fn send(&self, step: impl Fn(PhoneNumberSid) -> Step, what: &str) -> Plan {
        let settled = self.observed.joins_settled_at();
        if settled > self.now.boot {
            let message =
                "what was sent to its Messaging Service before may still take effect; waiting until it cannot";
            return Plan::rest(settled, self.doing(message));
        }
        if self.observed.stopping {
            return Plan::rest(self.now.boot, self.doing(what));
        }
        Plan::act(step(self.number.sid.clone()), self.doing(what))
    }
}

fn contested(observed: &Observed, now: Now) -> bool {
    let lately = |at: &&Moment| now.boot.since(**at) < DAY;
    // The one that was just found counts too.
    observed.memory.rejoined.iter().filter(lately).count() > REPAIRS
}

/// How a service would keep messages from the webhook, if it would.
fn keeps_messages(wish: &Wish, service: &MessagingService) -> Option<&'static str> {
    let same = |url: &str, method: HttpMethod| url == wish.sms.url && method == wish.sms.method;
    if service.on_number || same(&service.inbound_url, service.inbound_method) {
        return None;
    }
    Some(if service.inbound_url.is_empty() {
        "throws incoming messages away: it has no URL and does not leave them to the number's webhook"
    } else {
        "sends incoming messages to a URL of its own, and Twilio would ignore the number's webhook"
    })
}
