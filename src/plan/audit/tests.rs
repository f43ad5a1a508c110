//! Every kind of finding, alone and together, and what must not be called one.

use std::collections::{BTreeMap, HashMap, HashSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::api::ClinicPhoneNumber;
use crate::domain::{Capabilities, Currency, E164, HttpMethod, Money, NumberType};

fn account(n: u32) -> AccountSid {
    AccountSid::parse(&format!("AC{n:032x}")).unwrap()
}
fn sid(n: u32) -> PhoneNumberSid {
    PhoneNumberSid::parse(&format!("PN{n:032x}")).unwrap()
}
fn e164(n: u32) -> E164 {
    E164::parse(&format!("+1418555{n:04}")).unwrap()
}
fn id(text: &str) -> InstallationId {
    InstallationId::parse(text).unwrap()
}
fn ids() -> Ids {
    Ids { installation: id("prod"), previous: None }
}

/// The label of a number of `namespace/name`.
fn marked(installation: &str, name: &str, adopted: bool) -> String {
    format!("{} Accueil", id(installation).mark("clinic", name, adopted))
}
fn ours(name: &str) -> String {
    marked("prod", name, false)
}

/// The nth number as Twilio tells it.
pub(in crate::plan) fn at_twilio(n: u32, account_n: u32, label: &str) -> IncomingNumber {
    IncomingNumber {
        sid: sid(n),
        account: account(account_n),
        phone_number: e164(n),
        friendly_name: label.to_owned(),
        capabilities: Capabilities { sms: true, mms: false, voice: true, fax: false },
        number_type: Some(NumberType::Local),
        origin: "twilio".into(),
        date_created: Some("2026-11-02T10:00:00Z".parse::<Timestamp>().unwrap()),
        sms_url: String::new(),
        sms_method: HttpMethod::POST,
        sms_fallback_url: String::new(),
        sms_fallback_method: HttpMethod::POST,
        sms_application_sid: String::new(),
        voice_url: String::new(),
        voice_method: HttpMethod::POST,
        voice_fallback_url: String::new(),
        voice_fallback_method: HttpMethod::POST,
        voice_application_sid: String::new(),
        trunk_sid: String::new(),
        emergency_address_sid: String::new(),
    }
}

/// A resource with this status.
fn resource(name: &str, status: &Value) -> ClinicPhoneNumber {
    serde_json::from_value(json!({
        "apiVersion": "telephony.chiroflow.io/v1alpha1", "kind": "ClinicPhoneNumber",
        "metadata": {"namespace": "clinic", "name": name, "uid": format!("uid-{name}")},
        "spec": {"credentialsSecretRef": {"name": "twilio"}, "phoneNumber": "+14185550001"},
        "status": status,
    }))
    .unwrap()
}
#[allow(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn subject(name: &str, status: Value) -> Subject {
    Subject::read(&resource(name, &status), &ids())
}
fn recording(n: u32, account_n: u32) -> Value {
    json!({"phoneNumber": e164(n), "phoneNumberSID": sid(n), "accountSID": account(account_n)})
}
fn claiming(n: u32, account_n: u32, tag: &OwnerTag, attempts: u32, outcome: &str) -> Value {
    json!({"claim": {
        "phoneNumber": e164(n), "accountSID": account(account_n), "tag": tag, "attempts": attempts, "outcome": outcome,
    }})
}

/// What is asked, changed by a test, then compared.
struct World {
    ids: Ids,
    before: Vec<Subject>,
    after: Vec<Subject>,
    others: Others,
    secrets: BTreeMap<ObjectKey, Result<AccountSid, String>>,
    seen: BTreeMap<AccountSid, Seen>,
}

fn usd(amount: &str) -> Money {
    Money { amount: amount.parse().unwrap(), currency: Currency::parse("USD").unwrap() }
}

/// Everybody uses account 1, which holds these numbers.
fn world(subjects: Vec<Subject>, numbers: Vec<IncomingNumber>) -> World {
    let mut prices = Prices::default();
    prices.learn(CountryCode::parse("CA").unwrap(), vec![(NumberType::Local, usd("1.15"))]);
    World {
        ids: ids(),
        secrets: subjects.iter().map(|s| (s.key.clone(), Ok(account(1)))).collect(),
        before: subjects.clone(),
        after: subjects,
        others: Others::None,
        seen: BTreeMap::from([(account(1), Seen::Listed(Listing { numbers, lookups: HashMap::new(), prices }))]),
    }
}

impl World {
    fn resources(&self) -> Resources<'_> {
        Resources::new(&self.ids, &self.before, &self.after)
    }
    fn report(&self) -> Report {
        let resources = &self.resources();
        let question = Question { resources, others: &self.others, secrets: &self.secrets, seen: &self.seen };
        let report = compare(&self.ids.installation, &question);
        for account in &report.accounts {
            let mut counts = serde_json::to_value(account.numbers).unwrap();
            let total = counts.as_object_mut().unwrap().remove("total").unwrap();
            let sum: u64 = counts.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
            assert_eq!(Some(sum), total.as_u64(), "every number is counted once: {:?}", account.numbers);
        }
        report
    }
    fn look_up(&self, numbers: &[IncomingNumber]) -> Vec<PhoneNumberSid> {
        to_look_up(&self.resources(), &account(1), numbers)
    }
    /// The report of the one account.
    fn one(&self) -> AccountReport {
        let mut accounts = self.report().accounts;
        assert_eq!(accounts.len(), 1);
        accounts.remove(0)
    }
    fn listing(&mut self) -> &mut Listing {
        match self.seen.get_mut(&account(1)) {
            Some(Seen::Listed(listing)) => listing,
            _ => panic!("no list"),
        }
    }
    /// What is found: kind, resource, numbers.
    fn found(&self) -> Vec<(FindingKind, String, Vec<String>)> {
        found(&self.one())
    }
}

fn found(report: &AccountReport) -> Vec<(FindingKind, String, Vec<String>)> {
    let name = |f: &Finding| f.resource.as_ref().map(|r| r.name.clone()).unwrap_or_default();
    let numbers = |f: &Finding| f.numbers.iter().map(|n| n.phone_number.to_string()).collect();
    report.findings.iter().map(|f| (f.kind, name(f), numbers(f))).collect()
}

fn numbers(all: &[u32]) -> Vec<String> {
    all.iter().map(|n| e164(*n).to_string()).collect()
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let world = world(
        vec![subject("a", recording(1, 1)), subject("b", recording(2, 1))],
        vec![
            at_twilio(1, 1, &ours("a")),
            at_twilio(2, 1, &marked("prod", "b", true)),
            at_twilio(3, 1, &marked("elsewhere", "a", false)),
            at_twilio(4, 1, "Front desk"),
        ],
    );
    let report = world.one();
    assert_eq!(found(&report), []);
    assert!(report.audited && report.list_complete);
    let expected = Counts { total: 4, in_use: 2, other_installations: 1, untagged: 1, ..Counts::default() };
    assert_eq!(report.numbers, expected);
    assert_eq!(report.untagged.iter().map(|n| n.label.as_str()).collect::<Vec<_>>(), ["Front desk"]);
    assert_eq!((report.idle.numbers, report.idle.to_string().as_str()), (0, "none"));
    let whole = world.report();
    assert_eq!((whole.summary.findings, whole.summary.audited, whole.unreachable()), (0, 1, false));
}

#[test]
fn a_number_of_ours_without_a_resource_is_an_orphan() {
    for adopted in [false, true] {
        let world = world(
            vec![subject("a", recording(1, 1))],
            vec![at_twilio(1, 1, &ours("a")), at_twilio(2, 1, &marked("prod", "gone", adopted))],
        );
        let report = world.one();
        assert_eq!(found(&report), [(FindingKind::Orphan, String::new(), numbers(&[2]))]);
        let finding = &report.findings[0];
        assert!(finding.certain && finding.tag == Some(id("prod").tag("clinic", "gone")));
        let number = &finding.numbers[0];
        assert_eq!((number.label.as_str(), number.since.as_deref()), ("Accueil", Some("2026-11-02T10:00:00Z")));
        assert_eq!(number.phone_number_sid, sid(2));
        assert_eq!(number.monthly_cost, Some(Cost::from(&usd("1.15"))));
        assert_eq!((report.idle.numbers, report.idle.unpriced, report.idle.to_string()), (1, 0, "1.15 USD".to_owned()));
        assert_eq!((report.numbers.orphaned, report.numbers.in_use, report.numbers.total), (1, 1, 2));
    }
}

#[test]
fn marks_of_the_previous_id_are_ours() {
    let label = marked("old", "gone", false);
    let mut world = world(vec![], vec![at_twilio(1, 1, &label)]);
    assert_eq!((world.found(), world.one().numbers.other_installations), (vec![], 1));
    world.ids.previous = Some(id("old"));
    assert_eq!(world.found(), [(FindingKind::Orphan, String::new(), numbers(&[1]))]);
    // And a resource is known by its previous tag.
    world.before = vec![Subject::read(&resource("gone", &json!({})), &world.ids)];
    world.after.clone_from(&world.before);
    assert_eq!((world.found(), world.one().numbers.resolving), (vec![], 1));
}

#[test]
fn what_is_being_found_out_is_no_orphan() {
    let tag = id("prod").tag("clinic", "a");
    for (why, status, label) in [
        ("the answer was lost", claiming(1, 1, &tag, 1, "Unknown"), ours("a")),
        ("not taken over yet: no tag", claiming(1, 1, &tag, 1, "Unknown"), "Front desk".to_owned()),
        ("taken over from a resource that is gone", claiming(1, 1, &tag, 1, "Unknown"), ours("gone")),
        ("half of status was wiped", claiming(1, 1, &tag, 1, "Held"), ours("a")),
        ("half of status was wiped, and its label changed", claiming(1, 1, &tag, 1, "Held"), "Front desk".to_owned()),
        ("half of status was wiped, and its mark is another's", claiming(1, 1, &tag, 1, "Held"), ours("gone")),
        ("all of status was wiped", json!({}), ours("a")),
        ("no status yet", Value::Null, ours("a")),
        ("status cannot be read", json!({"claim": {"phoneNumber": "nonsense", "attempts": 1}}), ours("a")),
    ] {
        let world = world(vec![subject("a", status)], vec![at_twilio(1, 1, &label)]);
        let report = world.one();
        assert_eq!(found(&report), [], "{why}");
        assert_eq!((report.numbers.resolving, report.numbers.total, report.idle.numbers), (1, 1, 0), "{why}");
    }
    // A claim for which nothing was sent, or that was given up, speaks for nothing.
    for (attempts, outcome) in [(0, "Unknown"), (1, "Refused"), (1, "Abandoned")] {
        let world =
            world(vec![subject("a", claiming(1, 1, &tag, attempts, outcome))], vec![at_twilio(1, 1, &ours("gone"))]);
        assert_eq!(world.found(), [(FindingKind::Orphan, String::new(), numbers(&[1]))], "{attempts} {outcome}");
    }
    // A claim in another account speaks for nothing here.
    let world = world(vec![subject("a", claiming(1, 2, &tag, 1, "Unknown"))], vec![at_twilio(1, 1, &ours("gone"))]);
    let report = world.report();
    assert_eq!(found(&report.accounts[0])[0].0, FindingKind::Orphan);
}

/// The claim keeps the tag of an id that nobody names any more.
#[test]
fn a_claims_own_tag_speaks_for_its_number() {
    let old = id("older").tag("clinic", "a");
    let world = world(
        vec![subject("a", claiming(9, 1, &old, 1, "Refused"))],
        vec![at_twilio(1, 1, &marked("older", "a", false))],
    );
    assert_eq!((world.found(), world.one().numbers.resolving), (vec![], 1));
}

#[test]
fn a_resource_that_is_being_deleted_still_has_its_number() {
    let mut deleting = resource("a", &recording(1, 1));
    deleting.metadata.deletion_timestamp = Some(Time("2026-11-20T00:00:00Z".parse().unwrap()));
    let subject = Subject::read(&deleting, &ids());
    assert_eq!(world(vec![subject.clone()], vec![at_twilio(1, 1, &ours("a"))]).found(), []);
    // And its number may be on its way back.
    let mut world = world(vec![subject], vec![]);
    world.listing().lookups.insert(sid(1), Lookup::Gone);
    let report = world.one();
    assert_eq!((found(&report), report.list_complete), (vec![], true));
    assert!(world.look_up(&[]).is_empty());
}

#[test]
fn a_resource_that_comes_or_goes_meanwhile_has_its_number() {
    let mut coming = world(vec![subject("a", json!({}))], vec![at_twilio(1, 1, &ours("a"))]);
    coming.before.clear();
    assert_eq!(coming.found(), []);
    let mut going = world(vec![subject("a", recording(1, 1))], vec![at_twilio(1, 1, &ours("a"))]);
    going.after.clear();
    assert_eq!(going.found(), []);
    // Whatever its label says: one reading that has it is enough, be it recorded or waited for.
    let tag = id("prod").tag("clinic", "a");
    for status in [recording(1, 1), claiming(1, 1, &tag, 1, "Unknown")] {
        for went in [false, true] {
            let mut world = world(vec![subject("a", status.clone())], vec![at_twilio(1, 1, &ours("gone"))]);
            if went {
                world.after.clear();
            } else {
                world.before.clear();
            }
            assert_eq!(world.found(), [], "{went} {status}");
        }
    }
    // The number of a resource that went is not missed.
    let mut going = world(vec![subject("a", recording(1, 1))], vec![]);
    going.listing().lookups.insert(sid(1), Lookup::Gone);
    going.after.clear();
    assert_eq!((going.found(), going.one().list_complete), (vec![], true));
    // Nor that of one which is being deleted since: it may be on its way back.
    let mut leaving = world(vec![subject("a", recording(1, 1))], vec![]);
    leaving.listing().lookups.insert(sid(1), Lookup::Gone);
    leaving.after[0].deleting = true;
    assert_eq!((leaving.found(), leaving.one().list_complete), (vec![], true));
    // Nor that of one which recorded it after the list began, or is another of the same name.
    for change in [subject("a", json!({})), subject("a", recording(2, 1))] {
        let mut changing = world(vec![change], vec![]);
        changing.after = vec![subject("a", recording(1, 1))];
        assert_eq!((changing.found(), changing.one().list_complete), (vec![], true));
    }
    let mut another = world(vec![subject("a", recording(1, 1))], vec![]);
    another.after[0].uid = "another".into();
    assert_eq!((another.found(), another.one().list_complete), (vec![], true));
}

/// It bought a number while the lists were read: what else carries its tag is to spare from then on.
#[test]
fn the_later_reading_of_a_resource_wins() {
    let mut world =
        world(vec![subject("a", json!({}))], vec![at_twilio(1, 1, &ours("a")), at_twilio(2, 1, &ours("a"))]);
    world.after = vec![subject("a", recording(1, 1))];
    let report = world.one();
    assert_eq!((report.numbers.in_use, report.numbers.surplus), (1, 1));
    assert!(report.findings[0].message.contains("holds +14185550001"), "{}", report.findings[0].message);
}

#[test]
fn a_recorded_number_that_is_gone_is_told() {
    let mut world =
        world(vec![subject("a", recording(1, 1)), subject("b", recording(2, 1))], vec![at_twilio(2, 1, &ours("b"))]);
    let listed = world.listing().numbers.clone();
    assert_eq!(world.look_up(&listed), [sid(1)]);
    world.listing().lookups.insert(sid(1), Lookup::Gone);
    let report = world.one();
    assert_eq!(found(&report), [(FindingKind::NumberGone, "a".into(), numbers(&[1]))]);
    assert!(report.list_complete && report.findings[0].certain, "the list is as it is");
    assert_eq!(report.findings[0].tag, Some(id("prod").tag("clinic", "a")));
    assert_eq!(report.idle.numbers, 0, "what is gone costs nothing");

    // Under another SID: with its tag its resource finds it, without it a person has to look.
    let mut bought_back = at_twilio(1, 1, "Front desk");
    bought_back.sid = sid(7);
    world.listing().numbers.push(bought_back.clone());
    assert!(world.one().findings[0].message.contains(sid(7).as_str()));
    // Nor is it found by another's tag, nor is another number with its own tag the one that it records.
    for (number, label) in [(1, ours("b")), (8, ours("a"))] {
        let other = IncomingNumber { sid: sid(7), ..at_twilio(number, 1, &label) };
        world.listing().numbers[1] = other;
        let gone = (FindingKind::NumberGone, "a".to_owned(), numbers(&[1]));
        assert!(world.found().contains(&gone), "{label}: {:?}", world.found());
    }
    bought_back.friendly_name = ours("a");
    world.listing().numbers[1] = bought_back;
    let report = world.one();
    assert_eq!((found(&report), report.numbers.resolving), (vec![], 1));
}

#[test]
fn what_the_operator_called_lost_needs_no_further_proof() {
    let mut status = recording(1, 1);
    status["conditions"] = json!([{
        "type": "NumberAcquired", "status": "False", "reason": "NumberLost", "message": "", "lastTransitionTime": "2026-11-20T00:00:00Z",
    }]);
    let world = world(vec![subject("a", status)], vec![]);
    assert!(world.look_up(&[]).is_empty());
    assert_eq!(world.found(), [(FindingKind::NumberGone, "a".into(), numbers(&[1]))]);
}

#[test]
fn a_list_with_a_hole_is_told_and_makes_the_rest_uncertain() {
    for lookup in [Some(Lookup::There), None] {
        let mut world = world(
            vec![subject("a", recording(1, 1)), subject("b", recording(2, 1)), subject("c", recording(3, 1))],
            vec![at_twilio(3, 1, &ours("c")), at_twilio(4, 1, &ours("c")), at_twilio(5, 1, &ours("gone"))],
        );
        world.listing().lookups.insert(sid(2), Lookup::Gone);
        world.listing().lookups.extend(lookup.map(|lookup| (sid(1), lookup)));
        let report = world.one();
        assert!(report.audited && !report.list_complete);
        assert_eq!(
            report.findings.iter().map(|f| (f.kind, f.certain)).collect::<Vec<_>>(),
            [
                (FindingKind::Orphan, false),
                (FindingKind::DuplicateTag, false),
                (FindingKind::NumberGone, false),
                (FindingKind::IncompleteList, true),
            ]
        );
        let hole = &report.findings[3];
        assert!(
            hole.message.contains("+14185550001 of clinic/a") && !hole.message.contains("clinic/b"),
            "{}",
            hole.message
        );
        assert_eq!(hole.numbers.len(), 1);
    }
}

/// Many at once are no accident of one person.
#[test]
fn when_much_is_missing_nothing_is_asked_and_nothing_is_called_gone() {
    let subjects = |n| (1..=n).map(|n| subject(&format!("r{n}"), recording(n, 1))).collect::<Vec<_>>();
    assert_eq!(world(subjects(5), vec![]).look_up(&[]).len(), 5);
    assert_eq!(world(subjects(6), vec![]).look_up(&[]).len(), 0);
    let here = world(subjects(5), vec![]);
    assert!(to_look_up(&here.resources(), &account(2), &[]).is_empty(), "another account's are not missing");
    let report = world(subjects(6), vec![]).one();
    assert_eq!(report.findings.iter().map(|f| f.kind).collect::<Vec<_>>(), [FindingKind::IncompleteList]);
    assert!(report.findings[0].message.contains("and 1 more"), "{}", report.findings[0].message);
    let five = world(subjects(5), vec![]).one().findings.remove(0).message;
    assert!(five.contains("of clinic/r5") && !five.contains("more"), "five are named and none are left: {five}");
}

#[test]
fn two_numbers_with_one_tag_are_told_and_the_spare_ones_are_idle() {
    let held = world(
        vec![subject("a", recording(1, 1))],
        vec![at_twilio(1, 1, &ours("a")), at_twilio(2, 1, &ours("a")), at_twilio(3, 1, &marked("prod", "a", true))],
    );
    let report = held.one();
    let tagged = [(FindingKind::DuplicateTag, "a".to_owned(), numbers(&[1, 2, 3]))];
    assert_eq!(found(&report), tagged);
    assert_eq!(report.findings[0].tag, Some(id("prod").tag("clinic", "a")));
    assert_eq!((report.numbers.in_use, report.numbers.surplus), (1, 2));
    assert_eq!((report.idle.numbers, report.idle.to_string()), (2, "2.30 USD".to_owned()));
    assert!(report.findings[0].message.contains("holds +14185550001"), "{}", report.findings[0].message);

    // None is held: none serves until a person says which.
    let none = world(vec![subject("a", json!({}))], vec![at_twilio(1, 1, &ours("a")), at_twilio(2, 1, &ours("a"))]);
    let report = none.one();
    assert_eq!(found(&report), [(FindingKind::DuplicateTag, "a".to_owned(), numbers(&[1, 2]))]);
    assert_eq!((report.numbers.surplus, report.numbers.resolving, report.idle.numbers), (2, 0, 2));

    // One is waited for: it is not idle yet.
    let tag = id("prod").tag("clinic", "a");
    let sent = world(
        vec![subject("a", claiming(1, 1, &tag, 1, "Unknown"))],
        vec![at_twilio(1, 1, &ours("a")), at_twilio(2, 1, &ours("a"))],
    );
    let report = sent.one();
    assert_eq!(found(&report), [(FindingKind::DuplicateTag, "a".to_owned(), numbers(&[1, 2]))]);
    assert_eq!((report.numbers.surplus, report.numbers.resolving, report.idle.numbers), (1, 1, 1));
}

#[test]
fn one_resource_with_two_tags_has_one_number() {
    let mut changed = world(
        vec![subject("a", recording(1, 1))],
        vec![at_twilio(1, 1, &marked("old", "a", false)), at_twilio(2, 1, &ours("a"))],
    );
    changed.ids.previous = Some(id("old"));
    changed.before = vec![Subject::read(&resource("a", &recording(1, 1)), &changed.ids)];
    changed.after.clone_from(&changed.before);
    assert_eq!(changed.found(), [(FindingKind::DuplicateTag, "a".to_owned(), numbers(&[1, 2]))]);
    // Nothing is recorded, and each of the two carries one of the tags: still they are two of one resource.
    changed.before = vec![Subject::read(&resource("a", &json!({})), &changed.ids)];
    changed.after.clone_from(&changed.before);
    assert_eq!(changed.found(), [(FindingKind::DuplicateTag, "a".to_owned(), numbers(&[1, 2]))]);
    assert_eq!(changed.one().numbers.surplus, 2);
}

/// Somebody took the mark off the number that is held, and another one carries it.
#[test]
fn the_number_held_belongs_to_its_group_without_its_mark() {
    let world =
        world(vec![subject("a", recording(1, 1))], vec![at_twilio(1, 1, "Front desk"), at_twilio(2, 1, &ours("a"))]);
    let report = world.one();
    assert_eq!(found(&report), [(FindingKind::DuplicateTag, "a".to_owned(), numbers(&[1, 2]))]);
    assert_eq!((report.numbers.in_use, report.numbers.surplus, report.idle.numbers), (1, 1, 1));
}

#[test]
fn two_orphans_with_one_tag_are_both_and_cost_once() {
    let world = world(vec![], vec![at_twilio(1, 1, &ours("gone")), at_twilio(2, 1, &ours("gone"))]);
    let report = world.one();
    assert_eq!(
        found(&report),
        [
            (FindingKind::Orphan, String::new(), numbers(&[1])),
            (FindingKind::Orphan, String::new(), numbers(&[2])),
            (FindingKind::DuplicateTag, String::new(), numbers(&[1, 2])),
        ]
    );
    assert_eq!((report.idle.numbers, report.idle.to_string()), (2, "2.30 USD".to_owned()));
}

/// Other installations' affairs are none of ours, two numbers with one tag included.
#[test]
fn other_installations_are_counted_only() {
    let world = world(
        vec![],
        vec![at_twilio(1, 1, &marked("elsewhere", "x", false)), at_twilio(2, 1, &marked("elsewhere", "x", true))],
    );
    let report = world.one();
    assert_eq!((found(&report), report.numbers.other_installations, report.numbers.total), (vec![], 2, 2));
    let text = serde_json::to_string(&world.report()).unwrap();
    assert!(!text.contains(e164(1).as_str()) && !text.contains(e164(2).as_str()), "never named: {text}");
}

/// Two resources hold what once was somebody else's, and neither label was cleaned: whose tag it is twice is not our affair.
#[test]
fn a_tag_of_another_installation_is_no_duplicate_on_numbers_in_use() {
    let theirs = marked("elsewhere", "x", false);
    let world = world(
        vec![subject("a", recording(1, 1)), subject("b", recording(2, 1))],
        vec![at_twilio(1, 1, &theirs), at_twilio(2, 1, &theirs)],
    );
    assert_eq!((world.found(), world.one().numbers.in_use), (vec![], 2));
}

/// A number that a resource records is in use, whatever its label says.
#[test]
fn a_recorded_number_is_in_use_under_any_label() {
    for label in ["Front desk".to_owned(), ours("gone"), marked("elsewhere", "x", false)] {
        let report = world(vec![subject("a", recording(1, 1))], vec![at_twilio(1, 1, &label)]).one();
        assert_eq!((found(&report), report.numbers.in_use), (vec![], 1), "{label}");
    }
}

/// A resource was applied again with another account's Secret: its number here serves nobody.
#[test]
fn a_number_whose_resource_lives_in_another_account_is_an_orphan() {
    let mut moved = world(vec![subject("a", recording(2, 2))], vec![at_twilio(1, 1, &ours("a"))]);
    moved.secrets.insert(moved.before[0].key.clone(), Ok(account(2)));
    let listing = Listing { numbers: vec![at_twilio(2, 2, &ours("a"))], ..Listing::default() };
    moved.seen.insert(account(2), Seen::Listed(listing));
    let report = moved.report();
    assert_eq!(found(&report.accounts[0]), [(FindingKind::Orphan, "a".into(), numbers(&[1]))]);
    assert!(report.accounts[0].findings[0].message.contains(account(2).as_str()));
    assert_eq!(found(&report.accounts[1]), []);

    // Nothing is recorded: the Secret says where it lives; and if it cannot be read, the number is left in peace.
    let mut wiped = world(vec![subject("a", json!({}))], vec![at_twilio(1, 1, &ours("a"))]);
    let key = wiped.before[0].key.clone();
    wiped.secrets.insert(key.clone(), Ok(account(2)));
    assert_eq!(found(&wiped.report().accounts[0])[0].0, FindingKind::Orphan);
    wiped.secrets.insert(key, Err("gone".into()));
    assert_eq!(wiped.found(), []);
}

/// What status says stands before what the Secret says: a Secret may be changed while the number stays where it is.
#[test]
fn a_resource_lives_where_its_number_is() {
    let tag = id("prod").tag("clinic", "a");
    let mut both = recording(1, 1);
    both["claim"] = claiming(3, 2, &tag, 1, "Unknown")["claim"].clone();
    for status in [recording(1, 1), both] {
        let mut changed =
            world(vec![subject("a", status.clone())], vec![at_twilio(1, 1, &ours("a")), at_twilio(2, 1, &ours("a"))]);
        changed.secrets.insert(changed.before[0].key.clone(), Ok(account(2)));
        let report = &changed.report().accounts[0];
        assert_eq!(found(report), [(FindingKind::DuplicateTag, "a".into(), numbers(&[1, 2]))], "{status}");
        assert_eq!((report.numbers.in_use, report.numbers.surplus), (1, 1), "{status}");
    }
}

/// A number keeps its SID when it is moved to another account; what status records is the account that it left.
#[test]
fn a_number_that_was_moved_to_another_account_serves_nobody_there() {
    let mut moved =
        world(vec![subject("a", recording(1, 2))], vec![at_twilio(1, 1, &ours("a")), at_twilio(3, 1, &ours("a"))]);
    let lookups = HashMap::from([(sid(1), Lookup::Gone)]);
    moved.seen.insert(account(2), Seen::Listed(Listing { lookups, ..Listing::default() }));
    let report = moved.report();
    let (here, left) = (&report.accounts[0], &report.accounts[1]);
    assert_eq!(
        found(here),
        [
            (FindingKind::Orphan, "a".into(), numbers(&[1])),
            (FindingKind::Orphan, "a".into(), numbers(&[3])),
            (FindingKind::DuplicateTag, "a".into(), numbers(&[1, 3])),
        ]
    );
    assert!(here.findings[2].message.contains("holds none of them"), "{}", here.findings[2].message);
    assert_eq!((here.numbers.in_use, here.numbers.orphaned), (0, 2));
    assert_eq!(found(left), [(FindingKind::NumberGone, "a".into(), numbers(&[1]))]);

    // Nor does what was sent elsewhere keep a number of this account from being an orphan.
    let tag = id("prod").tag("clinic", "b");
    let sent = world(vec![subject("b", claiming(1, 2, &tag, 1, "Unknown"))], vec![at_twilio(1, 1, &ours("gone"))]);
    assert_eq!(found(&sent.report().accounts[0]), [(FindingKind::Orphan, String::new(), numbers(&[1]))]);
}

#[test]
fn a_namespace_that_is_not_served_makes_no_orphans() {
    let tag = id("prod").tag("clinic", "away");
    let mut world = world(vec![], vec![at_twilio(1, 1, &ours("away")), at_twilio(2, 1, &ours("nobody"))]);
    world.others = Others::Unknown;
    let report = world.one();
    assert_eq!((found(&report), report.numbers.unknown_owner, report.idle.numbers), (vec![], 2, 0));
    assert_eq!(report.unknown_owner.len(), 2, "told as what is not known");
    world.others = Others::Known(HashSet::from([tag]));
    let report = world.one();
    assert_eq!(found(&report), [(FindingKind::Orphan, String::new(), numbers(&[2]))]);
    assert_eq!((report.numbers.not_served, report.idle.numbers), (1, 1));
    // Two numbers of somebody else's resource are somebody else's affair.
    world.listing().numbers = vec![at_twilio(1, 1, &ours("away")), at_twilio(2, 1, &ours("away"))];
    assert_eq!((world.found(), world.one().numbers.not_served), (vec![], 2));
    world.others = Others::Unknown;
    assert_eq!((world.found(), world.one().numbers.unknown_owner), (vec![], 2));
}

#[test]
fn an_account_without_credentials_is_told_as_not_audited() {
    let mut world = world(vec![subject("a", recording(1, 2)), subject("b", json!({}))], vec![]);
    world.secrets.insert(world.before[1].key.clone(), Err("Secret twilio does not exist".into()));
    let report = world.report();
    assert_eq!(report.accounts.len(), 2);
    let (one, two) = (&report.accounts[0], &report.accounts[1]);
    assert!(one.audited && found(one).is_empty());
    assert!(!two.audited && !two.unreachable() && two.account_sid == account(2));
    assert_eq!(two.findings[0].obstacle, Some(Obstacle::NoCredentials));
    assert!(two.findings[0].certain, "nothing was found in a list, so that no hole makes it doubtful");
    let message = &two.findings[0].message;
    assert!(message.contains("clinic/a") && !message.contains("clinic/b"), "{message}");
    // A resource of which no account is known at all is told by name.
    assert_eq!(report.unplaced.iter().map(|u| u.resource.name.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!((report.summary.accounts, report.summary.audited, report.summary.findings), (2, 1, 2));
    // One that went, or is being deleted, needs no account any more.
    let b = world.after.remove(1);
    assert_eq!(world.report().unplaced, []);
    world.after.push(Subject { deleting: true, ..b });
    assert_eq!(world.report().unplaced, []);
    // A claim names an account too, and then the resource has its place.
    let tag = id("prod").tag("clinic", "b");
    world.before[1] = subject("b", claiming(1, 3, &tag, 1, "Unknown"));
    world.after[1] = world.before[1].clone();
    let report = world.report();
    assert_eq!((report.accounts.len(), report.unplaced.len()), (3, 0));
}

/// An account is never left out in silence, and whoever has to mend its Secret is told which resources use it.
#[test]
fn an_account_that_only_a_secret_names_is_told_too() {
    let mut world = world(vec![subject("a", json!({})), subject("b", json!({}))], vec![]);
    world.secrets.insert(world.before[0].key.clone(), Ok(account(2)));
    let report = world.report();
    let names: Vec<_> = report.accounts.iter().map(|a| (a.account_sid.clone(), a.audited)).collect();
    assert_eq!(names, [(account(1), true), (account(2), false)]);
    let message = &report.accounts[1].findings[0].message;
    assert!(message.contains("used by clinic/a") && !message.contains("clinic/b"), "{message}");
}

/// Whoever came while the lists were read was not asked for credentials, and whoever went needs none.
#[test]
fn an_account_that_comes_or_goes_meanwhile_is_not_missed() {
    for went in [false, true] {
        let mut world = world(vec![subject("a", recording(1, 2))], vec![]);
        world.secrets.clear();
        if went {
            world.after.clear();
        } else {
            world.before.clear();
        }
        let accounts: Vec<_> = world.report().accounts.into_iter().map(|a| (a.account_sid, a.audited)).collect();
        assert_eq!(accounts, [(account(1), true)], "{went}");
    }
}

#[test]
fn an_account_that_could_not_be_asked_says_why() {
    for (obstacle, unreachable) in [(Obstacle::CredentialsRefused, false), (Obstacle::Unreachable, true)] {
        let mut world = world(vec![subject("a", recording(1, 1))], vec![]);
        world.seen.insert(account(1), Seen::Not(obstacle, "Twilio says no".into()));
        let report = world.report();
        let one = &report.accounts[0];
        assert_eq!(found(one), [(FindingKind::NotAudited, String::new(), vec![])]);
        assert!(one.findings[0].message.contains("Twilio says no") && !one.audited && !one.list_complete);
        assert_eq!((report.unreachable(), report.summary.audited), (unreachable, 0));
        // Another account that was read does not make up for it, on whichever side it stands.
        for read in [0, 2] {
            world.seen.insert(account(read), Seen::Listed(Listing::default()));
            assert_eq!((world.report().unreachable(), world.report().summary.audited), (unreachable, 1));
            world.seen.remove(&account(read));
        }
    }
}

#[test]
fn a_price_that_is_not_known_is_never_nothing() {
    let mut world = world(vec![], vec![at_twilio(1, 1, &ours("gone")), at_twilio(2, 1, &ours("too"))]);
    // A number of a country whose prices were not read.
    world.listing().numbers[1].phone_number = E164::parse("+442071234567").unwrap();
    let report = world.report();
    assert_eq!(report.accounts[0].idle.to_string(), "1.15 USD and 1 of unknown price");
    assert_eq!((report.summary.idle_numbers, report.summary.idle_unpriced), (2, 1));
    world.listing().prices = Prices::default();
    let report = world.report();
    let (account, idle) = (&report.accounts[0], &report.accounts[0].idle);
    assert_eq!((idle.to_string().as_str(), idle.unpriced, idle.monthly_cost.len()), ("unknown", 2, 0));
    assert!(account.findings.iter().all(|f| f.numbers[0].monthly_cost.is_none()));
    assert!(report.summary.idle_monthly_cost.is_empty());
}

#[test]
fn a_price_is_told_only_where_everything_possible_costs_the_same() {
    let country = |code: &str| CountryCode::parse(code).unwrap();
    let mut prices = Prices::default();
    let number = |text: &str, kind| IncomingNumber {
        phone_number: E164::parse(text).unwrap(),
        number_type: kind,
        ..at_twilio(1, 1, "")
    };
    let toll_free = number("+18005550100", None);
    prices.learn(country("US"), vec![(NumberType::TollFree, usd("2.15")), (NumberType::Local, usd("1.15"))]);
    assert_eq!(prices.of(&toll_free), None, "Canada's was not read");
    prices.learn(country("CA"), vec![(NumberType::TollFree, usd("2.15"))]);
    assert_eq!(prices.of(&toll_free), Some(usd("2.15")));
    prices.learn(country("CA"), vec![(NumberType::TollFree, usd("2.00"))]);
    assert_eq!(prices.of(&toll_free), None, "they differ");
    prices.learn(country("CA"), vec![(NumberType::Local, usd("1.15"))]);
    assert_eq!(prices.of(&toll_free), None, "Canada's list has no toll-free number");

    prices.learn(country("GB"), vec![(NumberType::Local, usd("1.15")), (NumberType::Mobile, usd("1.15"))]);
    assert_eq!(prices.of(&number("+442071234567", None)), Some(usd("1.15")));
    prices.learn(country("GB"), vec![(NumberType::Local, usd("1.15")), (NumberType::Mobile, usd("6.00"))]);
    assert_eq!(prices.of(&number("+442071234567", None)), None);
    assert_eq!(prices.of(&number("+442071234567", Some(NumberType::Mobile))), Some(usd("6.00")));
    assert_eq!(prices.of(&number("+442071234567", Some(NumberType::TollFree))), None);
    assert_eq!(prices.of(&number("+882161234567", Some(NumberType::Local))), None, "no country");
}

#[test]
fn sums_are_exact_and_by_currency() {
    let money = |amount: &str, currency: &str| Money {
        amount: amount.parse().unwrap(),
        currency: Currency::parse(currency).unwrap(),
    };
    let first = Idle::of((0..3).map(|_| Some(money("0.1", "USD"))));
    let second = Idle::of([Some(money("1.15", "CAD")), None].into_iter());
    assert_eq!(first.to_string(), "0.3 USD");
    let both = Idle::sum([&first, &second].into_iter());
    assert_eq!(both.to_string(), "1.15 CAD and 0.3 USD and 1 of unknown price");
    assert_eq!((both.numbers, both.unpriced), (5, 1));
    assert_eq!(Cost::from(&usd("2.30")).amount, "2.30", "as many decimals as Twilio's");
}

#[test]
fn prices_are_asked_for_what_is_idle_alone() {
    let mut idle = world(
        vec![subject("a", recording(1, 1))],
        vec![at_twilio(1, 1, &ours("a")), at_twilio(2, 1, "Front desk"), at_twilio(3, 1, &marked("other", "x", false))],
    );
    let numbers = idle.listing().numbers.clone();
    let asked =
        |world: &World, numbers: &[IncomingNumber]| to_price(&world.resources(), &account(1), numbers, &world.secrets);
    assert!(asked(&idle, &numbers).is_empty());
    for label in [ours("a"), ours("gone")] {
        let more = [numbers.clone(), vec![at_twilio(4, 1, &label)]].concat();
        let countries: Vec<_> = asked(&idle, &more).into_iter().map(|c| c.to_string()).collect();
        assert_eq!(countries, ["CA"]);
    }
    // Whether it is idle says a Secret that was not read yet.
    let mut late = world(vec![subject("a", json!({}))], vec![at_twilio(1, 1, &ours("a"))]);
    let listed = late.listing().numbers.clone();
    assert!(asked(&late, &listed).is_empty(), "its resource lives here");
    late.secrets.clear();
    assert_eq!(asked(&late, &listed).len(), 1);
    // A toll-free number may be any country's of its zone: its price is known only if every one was asked.
    let toll_free =
        IncomingNumber { phone_number: E164::parse("+18005550100").unwrap(), ..at_twilio(4, 1, &ours("gone")) };
    let countries: Vec<_> = asked(&idle, &[toll_free]).into_iter().map(|c| c.to_string()).collect();
    assert!(countries.contains(&"CA".to_owned()) && countries.contains(&"US".to_owned()), "{countries:?}");
}

/// Everything at once, and two of what is told one by one, in every order in which Twilio and the API server may list it.
#[test]
fn findings_do_not_depend_on_the_order_of_the_lists() {
    let labels = [
        ours("a"),
        ours("a"),
        ours("gone"),
        "Front desk".to_owned(),
        marked("elsewhere", "x", false),
        ours("b"),
        ours("a"),
        ours("gone too"),
        "Fax".to_owned(),
    ];
    let mut numbers: Vec<_> = (1..).zip(&labels).map(|(n, label)| at_twilio(n, 1, label)).collect();
    let mut subjects = vec![
        subject("a", recording(1, 1)),
        subject("b", json!({})),
        subject("c", recording(91, 1)),
        subject("d", recording(92, 1)),
    ];
    let mut reports = HashSet::new();
    for _ in 0..numbers.len() {
        numbers.rotate_left(1);
        for reversed in [false, true] {
            let mut list = numbers.clone();
            if reversed {
                list.reverse();
            }
            subjects.reverse();
            let mut world = world(subjects.clone(), list);
            world.listing().lookups.extend([(sid(91), Lookup::Gone), (sid(92), Lookup::Gone)]);
            reports.insert(serde_json::to_string(&world.report()).unwrap());
        }
    }
    assert_eq!(reports.len(), 1);
    let report: Value = serde_json::from_str(reports.iter().next().unwrap()).unwrap();
    let kinds: Vec<_> =
        report["accounts"][0]["findings"].as_array().unwrap().iter().map(|f| f["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Orphan", "Orphan", "DuplicateTag", "NumberGone", "NumberGone"]);
}

/// Scripts read these.
#[test]
fn the_keys_of_the_report_are_the_documented_ones() {
    let world = world(
        vec![subject("a", recording(1, 1))],
        vec![at_twilio(1, 1, &ours("a")), at_twilio(2, 1, &ours("gone")), at_twilio(3, 1, "Front desk")],
    );
    let report = serde_json::to_value(world.report()).unwrap();
    let number = |n: u32, label: &str, tag: Value, cost: Value| {
        json!({
            "phoneNumber": e164(n), "phoneNumberSID": sid(n), "tag": tag, "label": label,
            "since": "2026-11-02T10:00:00Z", "monthlyCost": cost,
        })
    };
    let cost = json!({"amount": "1.15", "currency": "USD"});
    let tag = json!(id("prod").tag("clinic", "gone"));
    assert_eq!(
        report,
        json!({
            "installationId": "prod",
            "summary": {
                "accounts": 1, "audited": 1, "findings": 1, "idleNumbers": 1, "idleUnpriced": 0, "idleMonthlyCost": [cost],
            },
            "accounts": [{
                "accountSID": account(1), "audited": true, "listComplete": true,
                "numbers": {
                    "total": 3, "inUse": 1, "resolving": 0, "surplus": 0, "orphaned": 1, "notServed": 0, "unknownOwner": 0,
                    "otherInstallations": 0, "untagged": 1,
                },
                "idle": {"numbers": 1, "unpriced": 0, "monthlyCost": [cost]},
                "findings": [{
                    "kind": "Orphan", "certain": true, "obstacle": null,
                    "message": "it carries this installation's mark and no resource has it",
                    "resource": null, "tag": tag, "numbers": [number(2, "Accueil", tag.clone(), cost.clone())],
                }],
                "untagged": [number(3, "Front desk", Value::Null, Value::Null)],
                "unknownOwner": [],
            }],
            "unplaced": [],
        })
    );
}
