//! What is news, what the figures say, and when an audit comes; whole audits in memory are in `whole`, those against a real
//! API server in `tests/apiserver/audit.rs`.

mod whole;

use super::telling::{News, Told};
use super::*;
use crate::domain::{AccountSid, Currency, E164, Money, OwnerTag, PhoneNumberSid};
use crate::plan::audit::{
    AccountReport, Cost, Counts, Finding, FindingKind, Idle, NumberDetail, Obstacle, ResourceRef, Summary, Unplaced,
};

fn account(n: u32) -> AccountSid {
    AccountSid::parse(&format!("AC{n:032x}")).unwrap()
}

fn number(n: u32) -> NumberDetail {
    NumberDetail {
        phone_number: E164::parse(&format!("+1418555{n:04}")).unwrap(),
        phone_number_sid: PhoneNumberSid::parse(&format!("PN{n:032x}")).unwrap(),
        tag: None,
        label: String::new(),
        since: None,
        monthly_cost: Some(Cost { amount: "1.15".into(), currency: Currency::parse("USD").unwrap() }),
    }
}

fn finding(kind: FindingKind, resource: Option<&str>, numbers: &[u32]) -> Finding {
    Finding {
        kind,
        certain: true,
        obstacle: None,
        message: "as it is".into(),
        resource: resource.map(|name| ResourceRef { namespace: "clinic".into(), name: name.into() }),
        tag: None,
        numbers: numbers.iter().map(|n| number(*n)).collect(),
    }
}

fn report(accounts: Vec<AccountReport>) -> Report {
    Report {
        installation_id: "prod".into(),
        summary: Summary {
            accounts: 0,
            audited: 0,
            findings: 0,
            idle_numbers: 0,
            idle_unpriced: 0,
            idle_monthly_cost: Vec::new(),
        },
        accounts,
        unplaced: Vec::new(),
    }
}

fn of(n: u32, findings: Vec<Finding>) -> AccountReport {
    let orphans: Vec<_> = findings.iter().filter(|f| f.kind == FindingKind::Orphan).collect();
    let money = |amount| Money { amount, currency: Currency::parse("USD").unwrap() };
    let each: rust_decimal::Decimal = "1.15".parse().unwrap();
    AccountReport {
        account_sid: account(n),
        audited: true,
        list_complete: true,
        numbers: Counts::default(),
        idle: Idle {
            numbers: orphans.len(),
            unpriced: 0,
            monthly_cost: orphans
                .first()
                .map(|_| money(each * rust_decimal::Decimal::from(orphans.len())))
                .into_iter()
                .collect(),
        },
        findings,
        untagged: Vec::new(),
        unknown_owner: Vec::new(),
    }
}

/// An account that could not be read.
fn unread(n: u32, obstacle: Obstacle) -> AccountReport {
    let finding = Finding { obstacle: Some(obstacle), ..finding(FindingKind::NotAudited, None, &[]) };
    AccountReport { audited: false, list_complete: false, ..of(n, vec![finding]) }
}

/// In short: what is told, and of what.
fn short(news: &[News]) -> Vec<String> {
    news.iter()
        .map(|news| match news {
            News::Resource(key, note) => format!("{} {key}", note.reason),
            News::Installation(note) => note.reason.to_owned(),
            News::Idle(_, number, _) => format!("line {}", number.phone_number),
            News::Line(_, kind, _) => format!("line {kind:?}"),
        })
        .collect()
}

#[test]
fn a_finding_is_told_once_and_again_when_it_changes() {
    let mut told = Told::default();
    let all = |orphans: &[u32]| {
        let mut findings = vec![
            finding(FindingKind::NumberGone, Some("a"), &[1]),
            finding(FindingKind::DuplicateTag, Some("b"), &[2, 3]),
            finding(FindingKind::IncompleteList, None, &[9]),
        ];
        findings.extend(orphans.iter().map(|n| finding(FindingKind::Orphan, None, &[*n])));
        report(vec![of(1, findings)])
    };
    assert_eq!(
        short(&told.news(&all(&[4]))),
        [
            "AuditNumberGone clinic/a",
            "AuditTagHeldTwice clinic/b",
            "line IncompleteList",
            "line +14185550004",
            "AuditOrphanNumbers"
        ]
    );
    assert_eq!(short(&told.news(&all(&[4]))), [""; 0]);
    // One more: a line for it, and the account's event anew.
    assert_eq!(short(&told.news(&all(&[4, 5]))), ["line +14185550005", "AuditOrphanNumbers"]);
    // What went and comes again is news again.
    assert_eq!(short(&told.news(&report(vec![of(1, vec![])]))), [""; 0]);
    assert_eq!(short(&told.news(&all(&[4]))).len(), 5);
    // A finding that is no longer certain has changed.
    let mut uncertain = all(&[4]);
    uncertain.accounts[0].findings[0].certain = false;
    let news = told.news(&uncertain);
    assert_eq!(short(&news), ["AuditNumberGone clinic/a"]);
    let News::Resource(_, note) = &news[0] else { panic!("{news:?}") };
    assert!(note.warning && note.text.contains("not certain") && note.text.contains("+14185550001"), "{}", note.text);
}

#[test]
fn the_same_finding_in_two_accounts_is_two() {
    let both = report(vec![
        of(1, vec![finding(FindingKind::Orphan, None, &[1])]),
        of(2, vec![finding(FindingKind::Orphan, None, &[2])]),
    ]);
    assert_eq!(short(&Told::default().news(&both)).len(), 4);
}

/// If two findings were taken for one, each would be told as the other's change, at every audit anew.
#[test]
fn findings_that_differ_in_one_thing_alone_are_each_told_once() {
    let tagged = |tag: &str, n| Finding {
        tag: Some(OwnerTag::parse(tag).unwrap()),
        ..finding(FindingKind::DuplicateTag, None, &[n])
    };
    let all = report(vec![
        of(
            1,
            vec![
                finding(FindingKind::NumberGone, Some("a"), &[1]),
                finding(FindingKind::NumberGone, Some("b"), &[2]),
                finding(FindingKind::DuplicateTag, Some("a"), &[3]),
                tagged("abcdefghijk", 4),
                tagged("bcdefghijkl", 5),
                finding(FindingKind::IncompleteList, None, &[6]),
                finding(FindingKind::NotAudited, None, &[]),
                finding(FindingKind::Orphan, None, &[7]),
                finding(FindingKind::Orphan, None, &[8]),
            ],
        ),
        of(2, vec![finding(FindingKind::NumberGone, Some("a"), &[1]), finding(FindingKind::Orphan, None, &[9])]),
    ]);
    let mut told = Told::default();
    let news = told.news(&all);
    assert_eq!(news.len(), 9 + 2 + 2, "one for each, and one for the orphans of each account: {:?}", short(&news));
    for _ in 0..2 {
        assert_eq!(short(&told.news(&all)), [""; 0]);
    }
    // The orphans' event names the orphans of its account, and nothing else.
    let orphans = news.iter().find_map(|n| if let News::Installation(note) = n { Some(&note.text) } else { None });
    let named: Vec<_> = (1..=9).filter(|n| orphans.unwrap().contains(number(*n).phone_number.as_str())).collect();
    assert_eq!(named, [7, 8]);
    let none = report(vec![of(1, vec![finding(FindingKind::NumberGone, Some("a"), &[1])])]);
    assert_eq!(short(&Told::default().news(&none)), ["AuditNumberGone clinic/a"]);
}

/// Whoever reads the log alone must not release a number because of a list with a hole.
#[test]
fn the_line_of_an_orphan_says_when_it_is_not_certain() {
    for certain in [true, false] {
        let orphan = Finding { certain, ..finding(FindingKind::Orphan, None, &[1]) };
        let news = Told::default().news(&report(vec![of(1, vec![orphan])]));
        let News::Idle(_, _, text) = &news[0] else { panic!("{news:?}") };
        assert_eq!(text.contains("not certain"), !certain, "{text}");
    }
}

#[test]
fn an_account_that_cannot_be_read_keeps_what_was_found_in_it() {
    let mut told = Told::default();
    let before = report(vec![of(1, vec![finding(FindingKind::Orphan, None, &[1])])]);
    assert_eq!(short(&told.news(&before)), ["line +14185550001", "AuditOrphanNumbers"]);
    let figures = |told: &Told| told.figures(None).findings;
    for obstacle in [Obstacle::Unreachable, Obstacle::CredentialsRefused] {
        let down = report(vec![unread(1, obstacle)]);
        told.news(&down);
        assert_eq!(short(&told.news(&down)), [""; 0]);
        assert!(figures(&told).contains(&("orphan", 1)) && figures(&told).contains(&("not_audited", 1)));
        assert_eq!(told.figures(None).idle, 1);
    }
    // Read again: it was told before, and nothing is in the way any more.
    assert_eq!(short(&told.news(&before)), [""; 0]);
    assert!(figures(&told).contains(&("orphan", 1)) && figures(&told).contains(&("not_audited", 0)));
    // An account that nobody names any more is forgotten.
    told.news(&report(vec![]));
    assert!(figures(&told).iter().all(|(_, count)| *count == 0));
    assert_eq!(short(&told.news(&before)).len(), 2, "and what is found in it when it is named again is news");
}

#[test]
fn figures_have_every_kind_and_exact_sums() {
    let mut told = Told::default();
    let mut all = report(vec![
        of(1, (1..=3).map(|n| finding(FindingKind::Orphan, None, &[n])).collect()),
        of(2, vec![finding(FindingKind::NumberGone, Some("a"), &[4])]),
    ]);
    all.unplaced.push(Unplaced {
        resource: ResourceRef { namespace: "clinic".into(), name: "b".into() },
        problem: "no Secret".into(),
    });
    all.accounts[0].idle.unpriced = 1;
    told.news(&all);
    let figures = told.figures(Some(7));
    assert_eq!(
        figures.findings,
        [("orphan", 3), ("duplicate_tag", 0), ("number_gone", 1), ("incomplete_list", 0), ("not_audited", 1)]
    );
    assert_eq!((figures.idle, figures.unpriced, figures.completed), (3, 1, Some(7)));
    assert_eq!(figures.costs, [("USD".to_owned(), 3.45)]);
    // A resource that has its place again is no longer counted.
    all.unplaced.clear();
    told.news(&all);
    assert!(told.figures(None).findings.contains(&("not_audited", 0)));
}

/// A namespace that was emptied leaves hundreds: one event, not one each.
#[test]
fn many_orphans_are_one_event() {
    let many = report(vec![of(1, (1..=300).map(|n| finding(FindingKind::Orphan, None, &[n])).collect())]);
    let news = Told::default().news(&many);
    let events: Vec<_> =
        news.iter().filter_map(|n| if let News::Installation(note) = n { Some(note) } else { None }).collect();
    assert_eq!((events.len(), news.len()), (1, 301));
    let text = &events[0].text;
    assert!(text.contains("+14185550001") && text.contains("and 292 more") && text.contains("345.00 USD"), "{text}");
}

#[test]
fn the_first_audit_comes_within_the_hour_and_at_the_same_time_after_every_start() {
    let id = |n: u32| InstallationId::parse(&format!("installation-{n}")).unwrap();
    let day = Duration::from_secs(24 * 3600);
    let mut hours = std::collections::BTreeSet::new();
    for n in 0..200 {
        let wait = super::first(&id(n), day);
        assert!(wait < SOON);
        assert_eq!(wait, super::first(&id(n), day));
        assert!(super::first(&id(n), Duration::from_secs(10)) < Duration::from_secs(10));
        hours.insert(wait.as_secs() / 360);
    }
    assert_eq!(hours.len(), 10, "spread over the hour");
}
