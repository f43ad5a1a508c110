//! Membership of a Messaging Service: `spec.sms.messagingServiceSID`.
//!
//! The number is put into the service that the spec names, and taken out of the one that this resource put it into, and of no
//! other. A service is read before the number goes into it: one that would keep incoming messages from the webhook is told and
//! not joined (docs/adr/0010-messaging-services.md). What is about to be joined is recorded first, so that a number which went
//! into a service without an answer, or just before a crash, is taken out of it when the spec changes.
//!
//! Nothing here buys or gives up anything: the number is in service before its membership is looked after.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::domain::{HttpMethod, IncomingNumber, MessagingService, MessagingServiceSid, Moment, Now, Trouble};

use super::reach::Known;
use super::{Held, Kind, Note, Observed, Plan, Situation, Step, Wish, setback, telling};

/// So often within a day a number that somebody takes out of the service is put back.
const REPAIRS: usize = 3;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A Messaging Service that this resource put its number into, or is about to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Which.
    pub service: MessagingServiceSid,
    /// Since when the number is in it; `None`: it was not seen to be, and may be all the same.
    pub since: Option<Timestamp>,
}

/// What this pass learnt of a service, and what became of what it sent to it. What failed without an answer is the pass's trouble,
/// as with every call; here is what Twilio said.
#[derive(Debug, Clone, Default)]
pub struct Learnt {
    /// The service that the spec names, or why it cannot be had.
    pub service: Option<(MessagingServiceSid, Result<MessagingService, Trouble>)>,
    /// Whether the number was put into the service of the spec, or why it was refused.
    pub joined: Option<Result<(), Trouble>>,
    /// Whether the number was taken out of the recorded service, or why that was refused.
    pub left: Option<Result<(), Trouble>>,
}

/// What is to be done about it.
enum Due {
    /// Nothing.
    Nothing,
    /// The number is to be in this one.
    Join(MessagingServiceSid),
    /// It is to be in none.
    Leave,
}

fn due(wish: &Wish, observed: &Observed) -> Due {
    match (&wish.messaging_service, &observed.membership) {
        (None, None) => Due::Nothing,
        (None, Some(_)) => Due::Leave,
        (Some(wanted), Some(recorded)) if recorded.service == *wanted && recorded.since.is_some() => {
            match &observed.reach.service {
                // Somebody took it out, or put it elsewhere.
                Known::Read(seen) if seen.as_ref().is_none_or(|seen| seen.sid != *wanted) => Due::Join(wanted.clone()),
                Known::Read(_) | Known::Unread | Known::Off | Known::Unreadable(_) => Due::Nothing,
            }
        }
        (Some(wanted), _) => Due::Join(wanted.clone()),
    }
}

/// Whether the number is not yet where the spec wants it.
pub(super) fn is_pending(wish: &Wish, observed: &Observed) -> bool {
    !matches!(due(wish, observed), Due::Nothing)
}

/// What to do about it; `None`: nothing. `fresh`: the number was read by its SID in this pass.
pub(super) fn plan(
    observed: &Observed,
    held: &Held,
    number: &IncomingNumber,
    wish: &Wish,
    kind: Kind,
    fresh: bool,
    now: Now,
) -> Option<Plan> {
    let work = Work { observed, held, number, wish, kind, now };
    match due(wish, observed) {
        Due::Nothing => None,
        // What is about to be written rests on a look of a moment ago.
        Due::Join(_) | Due::Leave if !fresh => {
            let look = Step::GetNumber { sid: held.sid.clone(), periodic: false };
            Some(Plan::act(look, work.doing("looking at the number")))
        }
        Due::Join(wanted) => Some(work.join(wanted)),
        Due::Leave => Some(work.leave()),
    }
}

/// One look at it.
struct Work<'a> {
    observed: &'a Observed,
    held: &'a Held,
    number: &'a IncomingNumber,
    wish: &'a Wish,
    kind: Kind,
    now: Now,
}

impl Work<'_> {
    fn doing(&self, what: &str) -> Situation {
        Situation::new(self.kind, format!("{}: {what}", self.held.number))
    }

    fn refused(&self, message: String) -> Plan {
        Plan::blocked(self.now, setback::PROBE, Situation::new(Kind::MessagingServiceRefused, message))
    }

    fn save(&self, membership: Option<Membership>, note: Option<Note>, what: &str) -> Plan {
        Plan::act(Step::SaveMembership { membership, note }, self.doing(what))
    }

    fn join(&self, wanted: MessagingServiceSid) -> Plan {
        let (observed, now) = (self.observed, self.now);
        let recorded = observed.membership.as_ref();
        match &observed.messaging.joined {
            Some(Ok(())) => {
                let text = format!("{} is in Messaging Service {wanted}", self.held.number);
                let note = Note::normal("MessagingServiceJoined", "Join", text);
                let membership = Membership { service: wanted, since: Some(now.wall) };
                return self.save(Some(membership), Some(note), "it is in its Messaging Service");
            }
            // It is not in it through this resource; unless something sent before, without an answer, is late.
            Some(Err(_)) if recorded.is_some() && observed.joins_settled_at() <= now.boot => {
                return self.save(None, None, "Twilio does not put it into the Messaging Service");
            }
            Some(Err(trouble)) => {
                return self.refused(format!(
                    "Twilio does not put {} into Messaging Service {wanted}: {}",
                    self.held.number,
                    telling::sentence(trouble)
                ));
            }
            None => {}
        }
        match observed.messaging.service.as_ref().filter(|(sid, _)| *sid == wanted).map(|(_, read)| read) {
            None => {
                return Plan::act(
                    Step::ReadService { service: wanted },
                    self.doing("looking at its Messaging Service"),
                );
            }
            Some(Err(trouble)) => {
                return self.refused(format!(
                    "spec.sms.messagingServiceSID: Messaging Service {wanted} cannot be had with this account's credentials; correct it, or remove \
                     it: {}",
                    telling::sentence(trouble)
                ));
            }
            Some(Ok(service)) => {
                if let Some(why) = keeps_messages(self.wish, service) {
                    return self.refused(format!(
                        "spec.sms.messagingServiceSID: {} is not put into Messaging Service {wanted}, which {why}. In the service's Integration \
                         settings choose \"Defer to sender's webhook\", or give it the URL and method of spec.sms",
                        self.held.number
                    ));
                }
            }
        }
        if let Some(old) = recorded.filter(|recorded| recorded.service != wanted) {
            return self.out_of(old);
        }
        if recorded.is_none() {
            let membership = Membership { service: wanted, since: None };
            return self.save(Some(membership), None, "about to be put into its Messaging Service");
        }
        if recorded.is_some_and(|recorded| recorded.since.is_some()) && contested(observed, now) {
            let message = format!(
                "{} was taken out of Messaging Service {wanted} three times within a day: somebody else manages its membership too. Stop the other \
                 writer, or change spec.sms.messagingServiceSID; then set the annotation telephony.chiroflow.io/requested-at",
                self.held.number
            );
            return Plan::blocked(now, setback::PROBE, Situation::new(Kind::DriftContested, message));
        }
        self.send(|sid| Step::Join { service: wanted.clone(), sid }, "being put into its Messaging Service")
    }

    fn leave(&self) -> Plan {
        // There is one: it is what is to be left.
        self.observed
            .membership
            .as_ref()
            .map_or_else(|| self.save(None, None, "it is in no Messaging Service"), |recorded| self.out_of(recorded))
    }

    /// Takes the number out of a service that this resource put it into.
    fn out_of(&self, recorded: &Membership) -> Plan {
        let service = &recorded.service;
        match &self.observed.messaging.left {
            Some(Ok(())) => {
                let text = format!("{} is no longer in Messaging Service {service}", self.held.number);
                let note = Note::normal("MessagingServiceLeft", "Leave", text);
                self.save(None, Some(note), "it was taken out of its Messaging Service")
            }
            Some(Err(trouble)) => self.refused(format!(
                "Twilio does not take {} out of Messaging Service {service}, which spec.sms.messagingServiceSID no longer names: {}",
                self.held.number,
                telling::sentence(trouble)
            )),
            None if self.observed.joins_settled_at() > self.now.boot => Plan::rest(
                self.observed.joins_settled_at(),
                self.doing("what was sent to its Messaging Service may still take effect; waiting before it is taken out"),
            ),
            None => self.send(|sid| Step::Leave { service: service.clone(), sid }, "being taken out of its Messaging Service"),
        }
    }

    fn send(&self, step: impl Fn(crate::domain::PhoneNumberSid) -> Step, what: &str) -> Plan {
        if self.observed.stopping {
            return Plan::rest(self.now.boot, self.doing(what));
        }
        Plan::act(step(self.number.sid.clone()), self.doing(what))
    }
}

fn contested(observed: &Observed, now: Now) -> bool {
    let lately = |at: &&Moment| now.boot.since(**at) < DAY;
    observed.memory.rejoined.iter().filter(lately).count() >= REPAIRS
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
