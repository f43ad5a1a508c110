//! What holds for every input, however odd: no panic, one answer, and money only behind a stamp.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::twilio::{incoming, sid, trouble};
use super::world::{WINDOW, World, account, credentials, key, number, search};
use crate::api::conditions::ConditionType;
use crate::api::v1alpha1::{AdoptionPolicy, ClaimOutcome, DeletionPolicy, Origin};
use crate::domain::{
    AvailableNumber, Capabilities, Class, CountryCode, Currency, HttpMethod, IncomingNumber, InstallationId, Meaning,
    MessagingService, MessagingServiceSid, Moment, Money, Now, NumberPrices, NumberType,
};
use crate::plan::desired::{Defaults, Desired, Limit, SpecProblem};
use crate::plan::fuse::Admission;
use crate::plan::observed::{Checked, CredentialsView, PricesView, Rival, StampView};
use crate::plan::reach::{Known, Reach};
use crate::plan::refusal::Refusal;
use crate::plan::{
    AccountList, Claim, Held, Kind, Membership, Memory, ObjectKey, Observed, Plan, Post, Situation, Step, plan,
    remember,
};

/// Choices, drawn one after the other from random bytes.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn of(&mut self, n: u8) -> u8 {
        self.0.next().copied().unwrap_or_default() % n
    }
    fn yes(&mut self) -> bool {
        self.of(2) == 1
    }
    fn rarely(&mut self) -> bool {
        self.of(6) == 5
    }
    fn moment(&mut self) -> Moment {
        // Around now, which is 100000: before, at, and after.
        const SECONDS: [u64; 7] = [0, 96_000, 99_800, 99_990, 100_000, 100_060, 103_000];
        Moment::since_boot(Duration::from_secs(SECONDS[usize::from(self.of(7))]))
    }
    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::from(self.of(u8::try_from(of.len()).unwrap()))].clone()
    }
}

fn label(c: &mut Choices<'_>, world: &World) -> String {
    let id = &world.defaults.installation;
    let other = InstallationId::parse("other").unwrap();
    match c.of(6) {
        0 => String::new(),
        1 => "reception".into(),
        2 => format!("{} x", id.mark("clinic", "b", false)),
        3 => format!("{} x", other.mark("clinic", "a", false)),
        4 => format!("{} x", id.mark("clinic", "a", true)),
        _ => format!("{} (418) 555-0001", id.mark("clinic", "a", false)),
    }
}

fn held_at_twilio(c: &mut Choices<'_>, world: &World) -> IncomingNumber {
    let n = u32::from(c.of(3)) + 1;
    let mut it = incoming(n, &account(1), &number(n), &label(c, world));
    it.sms_url = c.one(&["https://hooks.example.com/sms", "", "https://x.example.com"]).to_owned();
    it.origin = c.one(&["twilio", "twilio", "hosted", ""]).to_owned();
    it.date_created =
        c.yes().then(|| world.now.wall.saturating_sub(Duration::from_secs(u64::from(c.of(3)) * 1800)).unwrap());
    it.capabilities.sms = !c.rarely();
    it
}

fn claim(c: &mut Choices<'_>, desired: &Desired, world: &World) -> Claim {
    let other = InstallationId::parse("other").unwrap().tag("clinic", "a");
    let tag = if c.rarely() { other } else { desired.tag().clone() };
    let account = account(if c.rarely() { 2 } else { 1 });
    let tried = if c.yes() { vec![number(2)] } else { Vec::new() };
    let mut claim = Claim::announce(number(u32::from(c.of(3)) + 1), tag, account, i64::from(c.of(2)) + 1, tried);
    claim.attempts = c.one(&[0, 0, 1, 2, 5]);
    claim.unanswered = u32::from(c.of(3)).min(claim.attempts);
    claim.first_attempt_at = (claim.attempts > 0).then_some(world.now.wall);
    claim.last_attempt_at = claim.first_attempt_at;
    claim.outcome = c.one(&[
        ClaimOutcome::Unknown,
        ClaimOutcome::Unknown,
        ClaimOutcome::Refused,
        ClaimOutcome::Held,
        ClaimOutcome::Abandoned,
    ]);
    claim.releasing = u32::from(c.rarely());
    claim
}

fn money(cents: i64, currency: &str) -> Money {
    Money { amount: Decimal::new(cents, 2), currency: Currency::parse(currency).unwrap() }
}

fn country(code: &str) -> CountryCode {
    CountryCode::parse(code).unwrap()
}

fn service(c: &mut Choices<'_>) -> MessagingServiceSid {
    MessagingServiceSid::parse(&format!("MG{:032x}", c.of(2))).unwrap()
}

fn messaging_service(c: &mut Choices<'_>) -> MessagingService {
    MessagingService {
        sid: service(c),
        name: String::new(),
        inbound_url: c.one(&["", "https://hooks.example.com/sms", "https://x.example.com"]).to_owned(),
        inbound_method: HttpMethod::POST,
        on_number: c.yes(),
    }
}

fn desired(c: &mut Choices<'_>, world: &World) -> Desired {
    let mut w = world.clone();
    let mut spec = search();
    if c.yes() {
        spec["phoneNumber"] = number(u32::from(c.of(2)) + 1).as_str().into();
    }
    w.apply("a", spec);
    let defaults = Defaults {
        previous_installation: c.rarely().then(|| InstallationId::parse("other").unwrap()),
        ..w.defaults.clone()
    };
    let mut desired = Desired::read(w.object("a"), &defaults);
    desired.generation = i64::from(c.of(2)) + 1;
    desired.deleting = c.of(3) == 0;
    desired.finalizer = !c.rarely();
    desired.suspend = c.rarely();
    desired.requested_at = c.rarely().then(|| "now".into());
    desired.forget = c.rarely().then(|| number(1).to_string());
    desired.deletion = c.one(&[DeletionPolicy::Retain, DeletionPolicy::Release]);
    desired.release_confirmation = c.yes().then(|| number(1).to_string());
    if let Ok(wish) = &mut desired.wish {
        wish.adoption = c.one(&[AdoptionPolicy::Never, AdoptionPolicy::IfOwned, AdoptionPolicy::TakeOver]);
        wish.may_buy = !c.rarely();
        wish.manual = c.of(4) == 0;
        wish.limit = (c.of(3) == 0).then(|| Limit {
            most: money(if c.yes() { 115 } else { 100 }, if c.rarely() { "CAD" } else { "USD" }),
            country: country("CA"),
            number_type: NumberType::Local,
        });
        if c.rarely() {
            wish.searches.clear();
        }
        wish.messaging_service = (c.of(3) == 0).then(|| service(c));
    }
    if c.rarely() {
        desired.wish = Err(SpecProblem { field: "spec", problem: "odd".into() });
    }
    desired
}

fn observed(c: &mut Choices<'_>, desired: &Desired, world: &World) -> Observed {
    const CLASSES: [Class; 9] = [
        Class::CredentialsRejected,
        Class::AccountSuspended,
        Class::AccountLimited,
        Class::RegulatoryDataRequired,
        Class::NumberUnavailable,
        Class::InvalidRequest,
        Class::NotFound,
        Class::RateLimited,
        Class::Unavailable,
    ];
    const MEANINGS: [Meaning; 6] = [
        Meaning::NotSent,
        Meaning::Throttled,
        Meaning::Ambiguous,
        Meaning::RefusedNumber,
        Meaning::RefusedOtherwise,
        Meaning::Credentials,
    ];
    const OPERATIONS: [&str; 3] = ["UpdateIncomingPhoneNumber", "DeleteIncomingPhoneNumber", "ListIncomingPhoneNumber"];
    let mut o = Observed { pass_started: c.moment(), window: WINDOW, ..Observed::default() };
    o.corrupt = c.rarely().then(|| "odd".into());
    o.stopping = c.rarely();
    o.claim = (c.of(4) != 0).then(|| claim(c, desired, world));
    o.held = (c.of(3) == 0).then(|| Held {
        number: number(1),
        sid: sid(u32::from(c.of(2)) + 1),
        account: account(1),
        origin: c.one(&[Origin::Purchased, Origin::Adopted]),
        acquired_at: None,
    });
    o.membership = (o.held.is_some() && c.yes())
        .then(|| Membership { service: service(c), since: c.yes().then_some(world.now.wall) });
    o.reported.generation = Some(i64::from(c.of(2)) + 1);
    o.reported.ready = c.yes();
    o.reported.lost = c.rarely();
    let stalled = Situation::new(if o.reported.lost { Kind::NumberLost } else { Kind::DriftContested }, "as before");
    o.reported.out_of_service = (o.reported.lost || c.rarely()).then_some(stalled);
    o.credentials = match c.of(6) {
        0 => CredentialsView::Unread,
        1 => CredentialsView::Missing("no Secret".into()),
        2 if c.yes() => CredentialsView::Malformed("odd".into()),
        3 if c.yes() => credentials(2),
        _ => credentials(1),
    };
    // Every answer is of the credentials' account: the client sees to that.
    if o.account() == Some(&account(1)) {
        if c.yes() {
            let numbers: Vec<_> = (0..c.of(3)).map(|_| held_at_twilio(c, world)).collect();
            o.list = Some(Arc::new(AccountList::new(account(1), c.moment(), numbers)));
            o.list_lacks = c.rarely().then(|| number(7));
        }
        o.number = (c.of(3) == 0).then(|| held_at_twilio(c, world));
        o.number_gone = o.number.is_none() && c.yes();
    }
    if c.yes() {
        let offer = |n: u32| AvailableNumber {
            phone_number: number(n),
            friendly_name: String::new(),
            locality: None,
            region: None,
            country: None,
            capabilities: Capabilities::default(),
            address_requirements: String::new(),
        };
        o.offers = vec![Some((1..=u32::from(c.of(4))).map(offer).collect())];
    }
    if c.yes() {
        let offer = o.offers.iter().flatten().flatten().find(|_| c.yes()).cloned();
        let which = offer.as_ref().map_or(number(1), |offer| offer.phone_number.clone());
        o.on_offer = Some((which, offer));
    }
    if c.of(4) != 0 {
        let mut monthly = vec![(NumberType::TollFree, Decimal::new(50, 2))];
        if !c.rarely() {
            monthly.push((NumberType::Local, Decimal::new(c.one(&[100, 115, 130]), 2)));
        }
        let prices = NumberPrices::new(Currency::parse(c.one(&["USD", "USD", "CAD"])).unwrap(), monthly);
        let view = if c.rarely() {
            PricesView::Unread(trouble("FetchPhoneNumberCountry", c.one(&MEANINGS), c.one(&CLASSES)), None)
        } else {
            PricesView::Read(prices, c.moment())
        };
        o.prices = Some((country(if c.rarely() { "US" } else { "CA" }), view));
    }
    o.claims_noted = c.yes();
    if c.yes() {
        let name = c.one(&["0", "z"]);
        let rivals = if c.yes() { vec![Rival { key: ObjectKey { ..key(name) }, sent: c.yes() }] } else { Vec::new() };
        o.rivals = Some((number(u32::from(c.of(3)) + 1), rivals));
    }
    if c.rarely() {
        o.claimed.insert(number(1));
    }
    o.owners =
        c.yes().then(|| if c.yes() { [world.defaults.installation.tag("clinic", "b")].into() } else { [].into() });
    if c.of(4) == 0 {
        let post = Post::Adopt { sid: sid(1), fields: Vec::new() };
        o.stamp = Some(match c.of(3) {
            0 => StampView::Ready(post),
            1 => StampView::Withheld(Admission::FuseBlown(c.moment())),
            _ => StampView::Withheld(Admission::Unsettled(c.moment())),
        });
    }
    let meaning = c.one(&MEANINGS);
    let fault = trouble(c.one(&OPERATIONS), meaning, c.one(&CLASSES));
    match c.of(8) {
        0 => o.refused = Some(fault),
        1 => o.ambiguous = Some(fault),
        2 => o.trouble = Some((fault, c.yes().then(|| c.moment()))),
        _ => {}
    }
    let refused = || trouble("CreatePhoneNumber", Meaning::RefusedOtherwise, Class::InvalidRequest);
    let answer = |c: &mut Choices<'_>| (c.of(3) == 0).then(|| if c.yes() { Ok(()) } else { Err(refused()) });
    (o.messaging.joined, o.messaging.left) = (answer(c), answer(c));
    o.messaging.member = c.one(&[None, Some(true), Some(false)]);
    o.messaging.service =
        c.yes().then(|| (service(c), if c.yes() { Ok(messaging_service(c)) } else { Err(refused()) }));
    o.reach.service = match c.of(4) {
        0 => Known::Read(None),
        1 => Known::Read(Some(messaging_service(c))),
        2 => Known::Off,
        _ => Known::Unread,
    };
    o.updated = c.rarely();
    o.crd_stays = c.one(&[None, Some(true), Some(true), Some(false)]);
    o.ledger_read = c.yes();
    o.unread = c.rarely().then_some("something");
    o.release_stamped = c.yes();
    o.released = c.rarely();
    let sight = o.claim.as_ref().map(|cl| (cl.identity(), c.moment()));
    o.memory = Memory {
        born: c.moment(),
        sight,
        answered_at: c.yes().then(|| c.moment()),
        ledger_until: c.rarely().then(|| c.moment()),
        absences: u32::from(c.of(3)),
        absent_at: c.yes().then(|| c.moment()),
        refusal: c.rarely().then(|| Refusal {
            generation: 1,
            fingerprint: None,
            situation: Situation::new(Kind::RegulatoryDataRequired, "odd"),
            until: c.moment(),
        }),
        failures: c.one(&[0, 1, 70, u32::MAX]),
        checked: c.yes().then(|| Checked {
            generation: 1,
            requested_at: None,
            reach: Reach::default(),
            at: c.moment(),
        }),
        lost_sightings: u32::from(c.of(4)),
        suspect: c.rarely(),
        recorded_at: c.rarely().then(|| c.moment()),
        ..Memory::default()
    };
    o
}

/// Whether a price of the right numbers, read within a quarter of an hour, is within the limit and in its currency.
fn within(limit: &Limit, o: &Observed, now: Now) -> bool {
    let Some((of, PricesView::Read(prices, at))) = &o.prices else { return false };
    let price = prices.monthly(limit.number_type);
    let cheap = price.is_some_and(|p| p.currency == limit.most.currency && p.amount <= limit.most.amount);
    *of == limit.country && cheap && now.boot.since(*at) < Duration::from_secs(900)
}

fn check(desired: &Desired, o: &Observed, now: Now) -> Result<(), TestCaseError> {
    let decided = plan(desired, o, now);
    prop_assert_eq!(&decided, &plan(desired, o, now), "one answer");
    let situation = match &decided {
        Plan::Act { situation, .. } | Plan::Blocked { situation, .. } => Some(situation),
        Plan::Rest { situation, .. } => situation.as_ref(),
        Plan::Done => None,
    };
    if let Some(situation) = situation {
        let (wanted, keep) = situation.conditions(desired, o);
        let count = |kind| wanted.iter().filter(|w| w.kind == kind).count();
        prop_assert_eq!(count(ConditionType::Ready), 1);
        prop_assert!(count(ConditionType::Reconciling) + count(ConditionType::Stalled) <= 1);
        for kind in ConditionType::ALL {
            prop_assert!(count(kind) <= 1 && (count(kind) == 0 || !keep.contains(&kind)));
        }
        remember(desired, &mut o.clone(), situation.kind, now);
    }
    let Plan::Act { step, .. } = decided else { return Ok(()) };
    match step {
        Step::Post(post) => match (&o.stamp, &post) {
            // Of the number that was stamped; what is written is what the look since then asks for.
            (Some(StampView::Ready(Post::Adopt { sid, .. })), Post::Adopt { sid: taken, fields }) => {
                let seen = o.number.as_ref().unwrap();
                prop_assert_eq!(&seen.phone_number, &o.claim.as_ref().unwrap().number);
                let setup = desired.wish.as_ref().unwrap().setup(&desired.mark(true), &seen.phone_number);
                prop_assert_eq!((sid, &seen.sid, fields), (taken, taken, &setup.differences(seen)));
            }
            (stamp, _) => prop_assert_eq!(stamp, &Some(StampView::Ready(post))),
        },
        Step::Stamp { claim, post } => {
            let before = o.claim.as_ref().unwrap();
            prop_assert_eq!(Some(&claim.account), o.account(), "for the account of the credentials");
            prop_assert_eq!((&claim.number, claim.attempts), (&before.number, before.attempts + 1));
            prop_assert_eq!(claim.unanswered, before.unanswered + 1);
            prop_assert!(desired.tags.contains(&claim.tag) && !desired.suspend && !desired.deleting && !o.stopping);
            prop_assert!(o.held.is_none() && desired.finalizer);
            match post {
                Post::Buy(purchase) => {
                    prop_assert_eq!(&purchase.phone_number, &claim.number);
                    let wish = desired.wish.as_ref().unwrap();
                    prop_assert!(!wish.manual || wish.exact.as_ref() == Some(&claim.number), "nobody chose it");
                    if let Some(limit) = &wish.limit {
                        prop_assert!(within(limit, o, now), "{:?} {:?}", limit, o.prices);
                        let proven = o.on_offer.as_ref().is_some_and(|(n, it)| *n == claim.number && it.is_some());
                        prop_assert!(before.attempts > 0 || wish.exact.is_none() || proven, "of another kind");
                    }
                    let mine = o.list.as_ref().unwrap().number(&claim.number).is_none();
                    prop_assert!(mine, "nothing that is held is bought");
                }
                Post::Adopt { sid, .. } => {
                    prop_assert_eq!(&o.list.as_ref().unwrap().sid(&sid).unwrap().phone_number, &claim.number);
                }
            }
        }
        Step::Update { sid, .. } => {
            let seen = o.number.as_ref().filter(|n| n.sid == sid).unwrap();
            prop_assert!(seen.mark().is_none_or(|m| desired.is_mine(&m)), "a foreign tag is not written to");
            prop_assert!(!desired.suspend && !desired.deleting && !o.stopping);
        }
        Step::Join { service, sid } => {
            let seen = o.number.as_ref().filter(|n| n.sid == sid).unwrap();
            prop_assert!(seen.mark().is_none_or(|m| desired.is_mine(&m)), "somebody else's number");
            prop_assert!(!desired.suspend && !desired.deleting && !o.stopping);
            prop_assert_eq!(desired.wish.as_ref().unwrap().messaging_service.as_ref(), Some(&service));
            prop_assert_eq!(o.membership.as_ref(), Some(&Membership { service, since: None }), "not recorded before");
            prop_assert!(o.joins_settled_at() <= now.boot);
        }
        Step::Leave { service, .. } => {
            prop_assert!(!desired.suspend || desired.deleting);
            prop_assert!(!o.stopping);
            prop_assert_eq!(o.membership.as_ref().map(|m| &m.service), Some(&service), "another service");
        }
        Step::RemoveFinalizer { .. } => {
            prop_assert!(desired.deleting);
            let open = o.claim.as_ref().is_some_and(Claim::unsettled) && o.held.is_none() && o.corrupt.is_none();
            prop_assert!(!open || o.settled_at() <= now.boot, "inside the window");
        }
        Step::StampRelease { claim } => {
            prop_assert!(desired.deleting && desired.deletion == DeletionPolicy::Release && !o.stopping);
            prop_assert_eq!(claim.releasing, o.claim.as_ref().map_or(0, |c| c.releasing) + 1);
            prop_assert!(o.settled_at() <= now.boot, "inside the window");
        }
        Step::Release { sid, number } => {
            let held = o.held.as_ref().unwrap();
            let seen = o.number.as_ref().unwrap();
            prop_assert!(desired.deleting && desired.deletion == DeletionPolicy::Release && o.release_stamped);
            prop_assert_eq!(desired.release_confirmation.as_deref(), Some(number.as_str()));
            prop_assert_eq!((&sid, held.origin, o.crd_stays), (&held.sid, Origin::Purchased, Some(true)));
            prop_assert_eq!(Some(&seen.account), o.account());
            prop_assert_eq!((&seen.sid, &seen.phone_number, seen.origin.as_str()), (&sid, &number, "twilio"));
            let mark = seen.mark().unwrap();
            prop_assert!(desired.is_mine(&mark) && !mark.adopted);
        }
        Step::Save { claim, .. } => {
            if let Some(announced) = claim.as_ref().filter(|c| c.announced()) {
                let wish = desired.wish.as_ref().unwrap();
                prop_assert!(!wish.by_hand(), "{} is announced, and nobody chose it", announced.number);
            }
            let open = o.claim.as_ref().filter(|c| c.unsettled() && o.held.is_none());
            if let Some(open) = open {
                let kept = claim.as_ref().is_some_and(|c| c.number == open.number && c.attempts >= open.attempts);
                prop_assert!(kept, "an unresolved claim is not dropped: {claim:?}");
            }
        }
        Step::AddFinalizer => prop_assert!(!desired.finalizer && !desired.deleting),
        Step::ReadSecret
        | Step::List { .. }
        | Step::GetNumber { .. }
        | Step::Search { .. }
        | Step::FindOffer { .. }
        | Step::ReadPrices { .. }
        | Step::ReadMessagePrices { .. }
        | Step::ReadPapers { .. }
        | Step::NoteClaims
        | Step::LookAtRivals { .. }
        | Step::LookAtOwners
        | Step::ReadService { .. }
        | Step::ReadMembership { .. }
        | Step::SaveMembership { .. }
        | Step::ReadDiscovery
        | Step::ReadLedger => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_decision_is_total_and_money_is_behind_a_stamp(bytes in proptest::collection::vec(any::<u8>(), 160)) {
        let world = World::new();
        let mut choices = Choices(bytes.iter());
        let desired = desired(&mut choices, &world);
        let observed = observed(&mut choices, &desired, &world);
        check(&desired, &observed, world.now)?;
    }
}
