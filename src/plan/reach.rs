//! Whether messages arrive and leave: what the number shows, and what stands between it and its messages.
//!
//! The number itself does not tell that a Messaging Service takes its messages, or that carriers block what it sends. That is read
//! beside the passes (`controller::reach`) and only told: nothing is bought, changed or released for it, and `Ready` does not depend
//! on it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::observed::Wiring;
use super::{Desired, Observed};
use crate::api::conditions::{ConditionType, Reason, Truth};
use crate::api::v1alpha1::Origin;
use crate::domain::{
    E164, IncomingNumber, MessagingService, MessagingServiceSid, Moment, NumberType, PhoneNumberSid, Registration,
};

/// The reasons of conditions that rest on what is read here.
pub const REASONS: [Reason; 7] = [
    Reason::Wired,
    Reason::ShadowedByService,
    Reason::NotChecked,
    Reason::Capable,
    Reason::Registered,
    Reason::NotRegistered,
    Reason::TrialAccount,
];

/// The reason of a condition, if it is one of [`REASONS`].
pub(super) fn reason(conditions: &[Condition], kind: ConditionType) -> Option<Reason> {
    let told = conditions.iter().find(|condition| condition.type_ == kind.as_str())?;
    REASONS.into_iter().find(|reason| reason.as_str() == told.reason)
}

/// Whether it is told that something was not looked at.
pub fn is_unchecked(conditions: &[Condition]) -> bool {
    [ConditionType::InboundSms, ConditionType::OutboundSms]
        .into_iter()
        .any(|kind| reason(conditions, kind) == Some(Reason::NotChecked))
}

/// Other people's words: no control character, and not many of them.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// What was read longer ago than this is not told any more as if it were so.
const GOOD_FOR: Duration = Duration::from_secs(26 * 3600);

/// Something that is read beside the passes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Known<T> {
    /// This process has not read it yet.
    #[default]
    Unread,
    /// Nobody reads it.
    Off,
    /// It could not be read, and why.
    Unreadable(String),
    /// It is so.
    Read(T),
}

/// What is known of one number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reach {
    /// The Messaging Service that it is in.
    pub service: Known<Option<MessagingService>>,
    /// How far the US registration of that service is.
    pub campaign: Known<Registration>,
    /// How far its own verification is, for a toll-free number.
    pub toll_free: Known<Registration>,
    /// Whether its account is a trial one.
    pub trial: Known<bool>,
}

impl Reach {
    /// Whether something was read, or could not be.
    pub(super) fn is_told(&self) -> bool {
        *self != Self::default() && *self != Self::off()
    }

    /// Where nobody looks.
    pub fn off() -> Self {
        Self { service: Known::Off, campaign: Known::Off, toll_free: Known::Off, trial: Known::Off }
    }
}

/// One reading: when it was made, what it gave; and why a later one gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<T> {
    read: Option<(Moment, T)>,
    setback: Option<String>,
}

impl<T> Default for Reading<T> {
    fn default() -> Self {
        Self { read: None, setback: None }
    }
}

impl<T> Reading<T> {
    /// Folds in what an attempt gave.
    pub fn learn(&mut self, told: Result<T, String>, now: Moment) {
        match told {
            Ok(read) => *self = Self { read: Some((now, read)), setback: None },
            Err(why) => self.setback = Some(why),
        }
    }

    /// Why the last attempt gave nothing.
    pub fn setback(&self) -> Option<&str> {
        self.setback.as_deref()
    }

    fn known<U>(&self, now: Moment, of: impl FnOnce(&T) -> U) -> Known<U> {
        match (&self.read, &self.setback) {
            (Some((at, read)), why) if why.is_none() || now.since(*at) < GOOD_FOR => Known::Read(of(read)),
            (_, Some(why)) => Known::Unreadable(why.clone()),
            (_, None) => Known::Unread,
        }
    }
}

/// The Messaging Services of an account, and the numbers in each.
pub type Services = Vec<(MessagingService, HashSet<PhoneNumberSid>)>;

/// What is known of one account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Its Messaging Services.
    pub services: Reading<Services>,
    /// How far the US registration of those services is that have a number which needs it.
    pub campaigns: Reading<HashMap<MessagingServiceSid, Registration>>,
    /// How far the verifications of its toll-free numbers are.
    pub toll_free: Reading<HashMap<PhoneNumberSid, Registration>>,
    /// Whether it is a trial one.
    pub trial: Reading<bool>,
}

impl Account {
    /// What is known of one of its numbers.
    pub fn of(&self, sid: &PhoneNumberSid, now: Moment) -> Reach {
        let service = self.services.known(now, |all| {
            all.iter().find(|(_, numbers)| numbers.contains(sid)).map(|(service, _)| service.clone())
        });
        let campaign = match &service {
            // Of a service without any number that was asked for, none was read.
            Known::Read(Some(service)) => match self.campaigns.known(now, |all| all.get(&service.sid).cloned()) {
                Known::Read(Some(registration)) => Known::Read(registration),
                Known::Read(None) | Known::Unread => Known::Unread,
                Known::Off => Known::Off,
                Known::Unreadable(why) => Known::Unreadable(why),
            },
            Known::Read(None) | Known::Unread | Known::Off | Known::Unreadable(_) => Known::Unread,
        };
        Reach {
            service,
            campaign,
            toll_free: self.toll_free.known(now, |all| all.get(sid).cloned().unwrap_or(Registration::None)),
            trial: self.trial.known(now, |trial| *trial),
        }
    }

    /// A number was put into this service, or is in none any more, since what is known was read.
    pub fn moved(&mut self, sid: &PhoneNumberSid, to: Option<&MessagingServiceSid>) {
        for (service, numbers) in self.services.read.iter_mut().flat_map(|(_, services)| services) {
            numbers.remove(sid);
            if Some(&service.sid) == to {
                numbers.insert(sid.clone());
            }
        }
    }

    /// Why something could not be read last time, each reason once.
    pub fn setbacks(&self) -> Vec<&str> {
        let all = [self.services.setback(), self.campaigns.setback(), self.toll_free.setback(), self.trial.setback()];
        let mut all: Vec<_> = all.into_iter().flatten().collect();
        all.dedup();
        all
    }
}

/// What is to be read for these numbers, beside the services and the account itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Verifications of toll-free numbers.
    pub toll_free: bool,
    /// The registration of services for the United States.
    pub campaigns: bool,
}

impl Needs {
    /// Of these numbers.
    pub fn of<'a>(numbers: impl IntoIterator<Item = &'a E164>) -> Self {
        numbers.into_iter().fold(Self::default(), |needs, number| Self {
            toll_free: needs.toll_free || rules(number, None) == Rules::TollFree,
            campaigns: needs.campaigns || matches!(rules(number, None), Rules::UnitedStates | Rules::Canada),
        })
    }
}

/// Whose rules a sender has to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    /// Verified before anything is sent to the United States or Canada.
    TollFree,
    /// Registered (A2P 10DLC) before anything is sent to the United States.
    UnitedStates,
    /// The same for what goes to the United States; nothing for Canada.
    Canada,
    /// Twilio's API does not tell.
    Elsewhere,
}

fn rules(number: &E164, kind: Option<NumberType>) -> Rules {
    let countries = number.countries();
    let is = |code: &str| countries.iter().any(|country| country.as_str() == code);
    match kind.or_else(|| number.kind()) {
        Some(NumberType::TollFree) if is("US") || is("CA") => Rules::TollFree,
        _ if is("US") => Rules::UnitedStates,
        _ if is("CA") => Rules::Canada,
        _ => Rules::Elsewhere,
    }
}

/// What is told of messages in one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// What was told before still counts: nothing was learnt since.
    AsBefore,
    /// This.
    Told(Truth, Reason, String),
}

fn told(truth: Truth, reason: Reason, message: impl Into<String>) -> Verdict {
    Verdict::Told(truth, reason, message.into())
}

/// Whether the number can handle messages at all.
fn incapable(wiring: &Wiring) -> Option<Verdict> {
    (!wiring.sms).then(|| told(Truth::False, Reason::NotCapable, "the number has no SMS capability"))
}

/// Whether messages that come in reach the webhook.
pub fn inbound(desired: &Desired, observed: &Observed, wiring: &Wiring) -> Verdict {
    if let Some(incapable) = incapable(wiring) {
        return incapable;
    }
    let wired = |message: &str| told(Truth::True, Reason::Wired, message);
    let direct = "incoming messages are sent to the webhook";
    match &observed.reach.service {
        Known::Read(Some(service)) if !service.on_number => through(desired, service),
        // From here on it is the number's own webhook that counts.
        _ if !wiring.inbound => {
            let by_hand = desired.wish.as_ref().ok().filter(|wish| !wish.sms_managed());
            let message = by_hand.map_or_else(
                || {
                    let fields = wiring.wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                    format!("not as wanted at Twilio: {fields}")
                },
                |wish| {
                    format!(
                        "spec.sms.management is Observed: copy status.webhook.url into the number's settings in the Twilio Console, \
                         under \"A message comes in\", as Webhook with HTTP {}; it is noticed at the next look",
                        wish.sms.method.as_str()
                    )
                },
            );
            told(Truth::False, Reason::NotWired, message)
        }
        Known::Read(None) => wired(direct),
        Known::Off => {
            wired("the webhook is set up; whether a Messaging Service takes its messages instead is not looked at")
        }
        Known::Read(Some(service)) => wired(&format!(
            "incoming messages are sent to the webhook: Messaging Service {} leaves them to the number",
            service.sid
        )),
        Known::Unreadable(why) => told(
            Truth::Unknown,
            Reason::NotChecked,
            format!(
                "the webhook is set up; whether a Messaging Service takes its messages instead could not be looked at: {why}"
            ),
        ),
        Known::Unread => match observed.reported.inbound_reason {
            Some(Reason::ShadowedByService | Reason::NotChecked) => Verdict::AsBefore,
            Some(Reason::Wired) if observed.reported.generation == Some(desired.generation) => Verdict::AsBefore,
            // A number that was just bought is in no Messaging Service; of one that was there before it is not known.
            None if !observed.reported.inbound_known
                && observed.held.as_ref().is_some_and(|held| held.origin == Origin::Purchased) =>
            {
                wired(direct)
            }
            _ => told(
                Truth::Unknown,
                Reason::NotChecked,
                "the webhook is set up; whether a Messaging Service takes its messages instead is looked at within minutes",
            ),
        },
    }
}

/// Messages go where the Messaging Service sends them, whatever the number shows.
fn through(desired: &Desired, service: &MessagingService) -> Verdict {
    let (sid, name) = (&service.sid, printable(&service.name));
    let remedy = format!(
        "In the service's Integration settings choose \"Defer to sender's webhook\", or take the number out of the service. Status is read \
         again within half a day, or when the annotation {} is set",
        crate::api::REQUESTED_AT
    );
    let wish = desired.wish.as_ref().ok();
    if wish.is_some_and(|w| w.sms.url == service.inbound_url && w.sms.method == service.inbound_method) {
        let message =
            format!("incoming messages are sent to the webhook by Messaging Service {sid}, which has the same URL");
        return told(Truth::True, Reason::Wired, message);
    }
    let what = if service.inbound_url.is_empty() {
        "throws incoming messages away: it has no URL and does not leave them to the number's webhook"
    } else {
        "sends incoming messages to a URL of its own, and Twilio ignores the number's webhook"
    };
    told(Truth::False, Reason::ShadowedByService, format!("Messaging Service {sid} ({name}) {what}. {remedy}"))
}

/// Whether messages that are sent leave, as far as Twilio's API tells.
pub fn outbound(desired: &Desired, observed: &Observed, number: &IncomingNumber, wiring: &Wiring) -> Verdict {
    if let Some(incapable) = incapable(wiring) {
        return incapable;
    }
    let reach = &observed.reach;
    if reach.trial == Known::Read(true) {
        let message = "a trial account sends to verified recipients only: upgrade it in the Twilio Console";
        return told(Truth::False, Reason::TrialAccount, message);
    }
    let rules = rules(&number.phone_number, number.number_type);
    let (registration, what) = match rules {
        Rules::TollFree => (reach.toll_free.clone(), TOLL_FREE),
        Rules::UnitedStates | Rules::Canada => (registered(reach), US),
        Rules::Elsewhere => (Known::Read(Registration::None), ""),
    };
    let capable = |message: &str| told(Truth::True, Reason::Capable, message);
    match (rules, registration) {
        (_, Known::Unread) if before(desired, observed) => Verdict::AsBefore,
        (Rules::Elsewhere, _) if reach.trial == Known::Unread && before(desired, observed) => Verdict::AsBefore,
        (Rules::TollFree | Rules::UnitedStates, Known::Off) => {
            capable("the number has SMS capability; what carriers ask of senders is not looked at")
        }
        (Rules::Elsewhere, _) => capable(
            "the number has SMS capability; what carriers of its country ask of senders Twilio's API does not tell",
        ),
        (_, Known::Read(Registration::Approved)) => {
            told(Truth::True, Reason::Registered, format!("{what} is approved"))
        }
        (Rules::Canada, registration) => capable(&format!(
            "the number sends to Canada; carriers in the United States block what it sends there, until it is in a Messaging Service \
             with an approved campaign (A2P 10DLC){}",
            progress(&registration)
        )),
        (_, Known::Unread) => {
            let message = format!("the number has SMS capability; {what} is looked at within minutes");
            told(Truth::Unknown, Reason::NotChecked, message)
        }
        (_, Known::Unreadable(why)) => {
            told(Truth::Unknown, Reason::NotChecked, format!("{what} could not be looked at: {why}"))
        }
        (Rules::TollFree, registration) => told(
            Truth::False,
            Reason::NotRegistered,
            format!(
                "carriers block what an unverified toll-free number sends to the United States and Canada{}; verify it in the Twilio \
                 Console under Phone Numbers, Toll-free verification",
                progress(&registration)
            ),
        ),
        (Rules::UnitedStates, registration) => told(
            Truth::False,
            Reason::NotRegistered,
            format!(
                "carriers block what an unregistered number sends to the United States (error 30034){}; register a brand and a campaign \
                 (A2P 10DLC) in the Twilio Console, and put the number into that campaign's Messaging Service",
                progress(&registration)
            ),
        ),
    }
}

const TOLL_FREE: &str = "the verification that carriers ask of toll-free numbers";
const US: &str = "the registration (A2P 10DLC) that carriers in the United States ask for";

/// Whether what was told before was told of what is read here, and of this spec.
fn before(desired: &Desired, observed: &Observed) -> bool {
    use Reason::{Capable, NotChecked, NotRegistered, Registered, TrialAccount};
    let reason = observed.reported.outbound_reason;
    let of_facts = matches!(reason, Some(Capable | NotChecked | NotRegistered | Registered | TrialAccount));
    of_facts && observed.reported.generation == Some(desired.generation)
}

/// The registration of the service that the number is in; one that is in none has none.
fn registered(reach: &Reach) -> Known<Registration> {
    match &reach.service {
        Known::Read(Some(_)) => reach.campaign.clone(),
        Known::Read(None) => Known::Read(Registration::None),
        Known::Unreadable(why) => Known::Unreadable(why.clone()),
        Known::Unread => Known::Unread,
        Known::Off => Known::Off,
    }
}

/// How far it is, for the end of a clause.
fn progress(registration: &Known<Registration>) -> String {
    match registration {
        Known::Read(Registration::Pending) => " (it is handed in and not decided)".to_owned(),
        Known::Read(Registration::Rejected(why)) if why.is_empty() => " (it was rejected)".to_owned(),
        Known::Read(Registration::Rejected(why)) => format!(" (it was rejected: {})", printable(why)),
        Known::Read(Registration::Other(word)) => format!(" (Twilio says {})", printable(word)),
        Known::Unreadable(why) => format!(" (how far that is could not be looked at: {why})"),
        Known::Read(Registration::None | Registration::Approved) | Known::Unread | Known::Off => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::HttpMethod;
    use crate::plan::audit::tests::at_twilio;
    use crate::plan::tests::world;

    const WEBHOOK: &str = "https://hooks.example.com/sms";

    fn desired() -> Desired {
        world::desired(serde_json::json!({"phoneNumber": "+14185550100", "sms": {"webhookURL": WEBHOOK}}))
    }

    fn number(text: &str) -> IncomingNumber {
        IncomingNumber { phone_number: E164::parse(text).unwrap(), number_type: None, ..at_twilio(1, 1, "") }
    }

    fn service(url: &str, on_number: bool) -> MessagingService {
        MessagingService {
            sid: MessagingServiceSid::parse(&format!("MG{:032x}", 7)).unwrap(),
            name: "Reminders".to_owned(),
            inbound_url: url.to_owned(),
            inbound_method: HttpMethod::POST,
            on_number,
        }
    }

    fn observed(reach: Reach, origin: Origin) -> Observed {
        Observed { held: Some(world::held(origin)), reach, ..Observed::default() }
    }

    const GOOD: Wiring = Wiring { wrong: Vec::new(), inbound: true, sms: true };

    fn short(verdict: Verdict) -> (Truth, Reason) {
        let Verdict::Told(truth, reason, message) = verdict else { panic!("as before") };
        assert!(!message.is_empty() && message.len() < 600, "{message}");
        (truth, reason)
    }

    /// Every way in which a Messaging Service may stand before a number, with the number wired and not.
    #[test]
    fn incoming_messages_are_promised_only_where_they_reach_the_webhook() {
        let (wired, shadowed) = ((Truth::True, Reason::Wired), (Truth::False, Reason::ShadowedByService));
        let (unknown, not_wired) = ((Truth::Unknown, Reason::NotChecked), (Truth::False, Reason::NotWired));
        let other = "https://elsewhere.example.com/sms";
        for (what, known, when_wired, when_not) in [
            ("in no service", Known::Read(None), wired, not_wired),
            ("leaves messages to the number", Known::Read(Some(service(other, true))), wired, not_wired),
            ("leaves them, and has no URL", Known::Read(Some(service("", true))), wired, not_wired),
            ("sends them elsewhere", Known::Read(Some(service(other, false))), shadowed, shadowed),
            ("throws them away", Known::Read(Some(service("", false))), shadowed, shadowed),
            ("sends them to the webhook", Known::Read(Some(service(WEBHOOK, false))), wired, wired),
            ("cannot be read", Known::Unreadable("refused".to_owned()), unknown, not_wired),
            ("nobody looks", Known::Off, wired, not_wired),
        ] {
            for origin in [Origin::Purchased, Origin::Adopted] {
                let observed = observed(Reach { service: known.clone(), ..Reach::default() }, origin);
                let bad = Wiring { inbound: false, ..GOOD };
                assert_eq!(short(inbound(&desired(), &observed, &GOOD)), when_wired, "{what}");
                assert_eq!(short(inbound(&desired(), &observed, &bad)), when_not, "{what}, not wired");
                let mute = Wiring { sms: false, ..GOOD };
                assert_eq!(short(inbound(&desired(), &observed, &mute)).1, Reason::NotCapable, "{what}");
            }
        }
        let get = MessagingService { inbound_method: HttpMethod::GET, ..service(WEBHOOK, false) };
        let reach = Reach { service: Known::Read(Some(get)), ..Reach::default() };
        assert_eq!(short(inbound(&desired(), &observed(reach, Origin::Purchased), &GOOD)), shadowed, "another method");
    }

    /// Before the first reading: a number that was bought is in no service; of any other it is not known, unless it was told before.
    #[test]
    fn what_was_not_read_yet_is_not_made_up() {
        let told = |origin, reason, generation| {
            let mut observed = observed(Reach::default(), origin);
            observed.reported.inbound_reason = reason;
            observed.reported.generation = Some(generation);
            inbound(&desired(), &observed, &GOOD)
        };
        let (wired, unknown) = ((Truth::True, Reason::Wired), (Truth::Unknown, Reason::NotChecked));
        assert_eq!(short(told(Origin::Purchased, None, 3)), wired);
        assert_eq!(short(told(Origin::Adopted, None, 3)), unknown);
        let mut repaired = observed(Reach::default(), Origin::Purchased);
        repaired.reported.inbound_known = true;
        assert_eq!(short(inbound(&desired(), &repaired, &GOOD)), unknown, "it may have been put into a service since");
        for origin in [Origin::Purchased, Origin::Adopted] {
            for reason in [Reason::ShadowedByService, Reason::NotChecked] {
                assert_eq!(
                    told(origin, Some(reason), 2),
                    Verdict::AsBefore,
                    "{reason:?} is not forgotten in a restart"
                );
            }
            assert_eq!(told(origin, Some(Reason::Wired), 3), Verdict::AsBefore);
            assert_eq!(short(told(origin, Some(Reason::Wired), 2)), unknown, "that was of another webhook, perhaps");
        }
    }

    fn sends(text: &str, reach: Reach) -> (Truth, Reason) {
        short(outbound(&desired(), &observed(reach, Origin::Purchased), &number(text), &GOOD))
    }

    #[test]
    fn what_is_sent_leaves_only_as_carriers_allow() {
        use Registration::{Approved, Other, Pending, Rejected};
        const CANADA: &str = "+14185550100";
        const STATES: &str = "+12125550100";
        const FREE: &str = "+18335550100";
        const BRITAIN: &str = "+447700900123";
        let full = || Reach { trial: Known::Read(false), service: Known::Read(None), ..Reach::default() };
        let (capable, registered) = ((Truth::True, Reason::Capable), (Truth::True, Reason::Registered));
        let (blocked, unknown) = ((Truth::False, Reason::NotRegistered), (Truth::Unknown, Reason::NotChecked));
        let trial = (Truth::False, Reason::TrialAccount);
        for text in [CANADA, STATES, FREE, BRITAIN] {
            assert_eq!(sends(text, Reach { trial: Known::Read(true), ..full() }), trial, "{text}");
            let mute = Wiring { sms: false, ..GOOD };
            let verdict = outbound(&desired(), &observed(full(), Origin::Purchased), &number(text), &mute);
            assert_eq!(short(verdict).1, Reason::NotCapable);
        }
        // In no service.
        assert_eq!(sends(CANADA, full()), capable);
        assert_eq!(sends(STATES, full()), blocked);
        assert_eq!(sends(BRITAIN, full()), capable);
        assert_eq!(sends(FREE, Reach { toll_free: Known::Read(Registration::None), ..full() }), blocked);
        // As far as the registration is.
        for (state, long, free) in [
            (Registration::None, blocked, blocked),
            (Pending, blocked, blocked),
            (Rejected("no opt-in".to_owned()), blocked, blocked),
            (Other("SUSPENDED".to_owned()), blocked, blocked),
            (Approved, registered, registered),
        ] {
            let member = Reach {
                service: Known::Read(Some(service("", true))),
                campaign: Known::Read(state.clone()),
                toll_free: Known::Read(state.clone()),
                ..full()
            };
            assert_eq!(sends(STATES, member.clone()), long, "{state:?}");
            assert_eq!(sends(FREE, member.clone()), free, "{state:?}");
            assert_eq!(sends(CANADA, member).0, Truth::True, "{state:?}");
        }
        for text in [CANADA, STATES, FREE, BRITAIN] {
            assert_eq!(sends(text, Reach::off()), capable, "{text}: nobody looks");
        }
        let mut restarted = observed(Reach::default(), Origin::Purchased);
        restarted.reported.outbound_reason = Some(Reason::TrialAccount);
        restarted.reported.generation = Some(3);
        for text in [CANADA, STATES, FREE, BRITAIN] {
            let verdict = outbound(&desired(), &restarted, &number(text), &GOOD);
            assert_eq!(verdict, Verdict::AsBefore, "{text}: a trial account stays one over a restart");
        }
        // Not readable, or not read yet.
        let why = || Known::Unreadable("70051".to_owned());
        let hidden = Reach { service: why(), toll_free: Known::Unreadable("70051".to_owned()), ..Reach::default() };
        for reach in [hidden, Reach::default()] {
            assert_eq!(sends(STATES, reach.clone()), unknown);
            assert_eq!(sends(FREE, reach.clone()), unknown);
            assert_eq!(sends(CANADA, reach.clone()), capable);
            assert_eq!(sends(BRITAIN, reach), capable);
        }
    }

    #[test]
    fn a_number_that_was_put_elsewhere_is_there_before_it_is_read_again() {
        let now = Moment::since_boot(Duration::from_secs(10));
        let [one, two] = [1, 2].map(|n| PhoneNumberSid::parse(&format!("PN{n:032x}")).unwrap());
        let other = MessagingService {
            sid: MessagingServiceSid::parse(&format!("MG{:032x}", 8)).unwrap(),
            ..service("", false)
        };
        let mut account = Account::default();
        account.moved(&one, Some(&other.sid));
        assert_eq!(account.of(&one, now).service, Known::Unread, "nothing was read");
        let first = service("", false);
        let members = HashSet::from([one.clone(), two.clone()]);
        account.services.learn(Ok(vec![(first.clone(), members), (other.clone(), HashSet::new())]), now);
        account.moved(&one, Some(&other.sid));
        assert_eq!(account.of(&one, now).service, Known::Read(Some(other.clone())));
        account.moved(&one, None);
        assert_eq!(account.of(&one, now).service, Known::Read(None));
        assert_eq!(account.of(&two, now).service, Known::Read(Some(first)), "others stay where they are");
        account.moved(&one, Some(&MessagingServiceSid::parse(&format!("MG{:032x}", 9)).unwrap()));
        assert_eq!(account.of(&one, now).service, Known::Read(None), "of a service that was not read nothing is known");
    }

    #[test]
    fn what_could_not_be_read_again_counts_for_a_day_and_then_no_more() {
        let second = |n: u64| Moment::since_boot(Duration::from_secs(n));
        let sid = PhoneNumberSid::parse(&format!("PN{:032x}", 1)).unwrap();
        let mut account = Account::default();
        assert_eq!(account.of(&sid, second(0)).service, Known::Unread);
        account.services.learn(Ok(vec![(service("", false), HashSet::from([sid.clone()]))]), second(10));
        assert_eq!(account.of(&sid, second(10)).campaign, Known::Unread, "of this service none was read");
        let none = HashMap::from([(service("", false).sid, Registration::None)]);
        account.campaigns.learn(Ok(none), second(10));
        let in_service = Known::Read(Some(service("", false)));
        assert_eq!(account.of(&sid, second(900_000)).service, in_service, "until it is tried again it counts");
        account.services.learn(Err("refused".to_owned()), second(20));
        let day = GOOD_FOR.as_secs();
        let seen = account.of(&sid, second(day));
        assert_eq!((seen.service, seen.campaign), (in_service, Known::Read(Registration::None)));
        assert_eq!(account.of(&sid, second(day + 10)).service, Known::Unreadable("refused".to_owned()));
        assert_eq!(account.setbacks(), ["refused"]);
        account.services.learn(Ok(Vec::new()), second(day + 20));
        assert_eq!(account.of(&sid, second(day + 30)).service, Known::Read(None), "it left the service");
    }

    #[test]
    fn only_what_a_number_needs_is_asked_for() {
        let of = |texts: &[&str]| {
            let numbers: Vec<_> = texts.iter().map(|text| E164::parse(text).unwrap()).collect();
            let needs = Needs::of(&numbers);
            (needs.campaigns, needs.toll_free)
        };
        assert_eq!(of(&["+447700900123"]), (false, false));
        assert_eq!(of(&["+14185550100"]), (true, false));
        assert_eq!(of(&["+18335550100"]), (false, true));
        assert_eq!(of(&["+12125550100", "+18335550100"]), (true, true));
    }
}
