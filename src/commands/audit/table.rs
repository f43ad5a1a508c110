//! The report as tables for people.

use std::fmt::Write as _;

use crate::commands::output::{columns, printable};
use crate::plan::audit::{AccountReport, Finding, FindingKind, NumberDetail, Report};

/// The report: accounts, then findings; `wide` with tags and labels, and with what is only counted otherwise.
pub(super) fn render(report: &Report, wide: bool) -> String {
    let mut text = String::new();
    if report.accounts.is_empty() && report.unplaced.is_empty() {
        return "No account is named by any resource.\n".to_owned();
    }
    let accounts: Vec<_> = report.accounts.iter().map(account).collect();
    text.push_str(&columns(
        &["ACCOUNT", "LIST", "NUMBERS", "IN USE", "OTHER INSTALLATIONS", "UNTAGGED", "FINDINGS", "IDLE PER MONTH"],
        &accounts,
    ));
    let mut findings: Vec<_> =
        report.accounts.iter().flat_map(|a| a.findings.iter().flat_map(|f| rows(a, f, wide))).collect();
    findings.extend(report.unplaced.iter().map(|unplaced| {
        let mut row = vec![String::new(); if wide { 10 } else { 7 }];
        for (column, value) in [(1, "NotAudited".to_owned()), (4, unplaced.resource.to_string())] {
            if let Some(cell) = row.get_mut(column) {
                *cell = value;
            }
        }
        row.push(printable(&unplaced.problem));
        row
    }));
    if findings.is_empty() {
        text.push_str("\nNothing is wrong.\n");
    } else {
        let mut head = vec!["ACCOUNT", "FINDING", "NUMBER", "SID", "RESOURCE", "SINCE", "PER MONTH"];
        if wide {
            head.extend(["TAG", "LABEL", "CERTAIN"]);
        }
        head.push("WHAT");
        let _ = write!(text, "\n{}", columns(&head, &findings));
    }
    if wide {
        others(&mut text, report, "Numbers without a mark", |account| &account.untagged);
        others(
            &mut text,
            report,
            "Numbers with this installation's mark that no resource here has; whether one elsewhere has them is not known",
            |account| &account.unknown_owner,
        );
    } else if report.accounts.iter().any(|account| !account.unknown_owner.is_empty()) {
        let count: usize = report.accounts.iter().map(|account| account.unknown_owner.len()).sum();
        let _ = writeln!(
            text,
            "\n{count} with this installation's mark may belong to namespaces that are not served: --output wide lists them."
        );
    }
    text
}

fn account(account: &AccountReport) -> Vec<String> {
    let counts = &account.numbers;
    let mut row = vec![account.account_sid.to_string()];
    if account.audited {
        row.push(if account.list_complete { "complete" } else { "incomplete" }.to_owned());
        row.extend([counts.total, counts.in_use, counts.other_installations, counts.untagged].map(|n| n.to_string()));
    } else {
        row.push("not audited".to_owned());
        row.extend(std::iter::repeat_n(String::new(), 4));
    }
    row.push(account.findings.len().to_string());
    row.push(if account.audited { account.idle.to_string() } else { "unknown".to_owned() });
    row
}

/// A row for each number of a finding; one without numbers has one row.
fn rows(account: &AccountReport, finding: &Finding, wide: bool) -> Vec<Vec<String>> {
    let resource = finding.resource.as_ref().map(ToString::to_string).unwrap_or_default();
    // What is gone costs nothing, and of what is merely not listed no price was asked.
    let priced = matches!(finding.kind, FindingKind::Orphan | FindingKind::DuplicateTag);
    let row = |number: Option<&NumberDetail>| {
        let of = |field: fn(&NumberDetail) -> String| number.map(field).unwrap_or_default();
        let mut row = vec![
            account.account_sid.to_string(),
            format!("{:?}", finding.kind),
            of(|n| n.phone_number.to_string()),
            of(|n| n.phone_number_sid.to_string()),
            resource.clone(),
            of(day),
            number.filter(|_| priced).map(cost).unwrap_or_default(),
        ];
        if wide {
            row.push(of(tag));
            row.push(of(|n| printable(&n.label)));
            row.push(if finding.certain { "yes" } else { "no" }.to_owned());
        }
        let doubt = if finding.certain { "" } else { " (the list is incomplete: not certain)" };
        row.push(format!("{}{doubt}", printable(&finding.message)));
        row
    };
    if finding.numbers.is_empty() {
        return vec![row(None)];
    }
    finding.numbers.iter().map(|number| row(Some(number))).collect()
}

fn others(text: &mut String, report: &Report, title: &str, of: impl Fn(&AccountReport) -> &Vec<NumberDetail>) {
    let rows: Vec<_> = report
        .accounts
        .iter()
        .flat_map(|account| of(account).iter().map(move |number| (account, number)))
        .map(|(account, number)| {
            let number_cells = [number.phone_number.to_string(), number.phone_number_sid.to_string()];
            let mut row = vec![account.account_sid.to_string()];
            row.extend(number_cells);
            row.extend([day(number), tag(number), printable(&number.label)]);
            row
        })
        .collect();
    if !rows.is_empty() {
        let _ = write!(text, "\n{title}:\n{}", columns(&["ACCOUNT", "NUMBER", "SID", "SINCE", "TAG", "LABEL"], &rows));
    }
}

/// The day of a time, which is enough to remember by.
fn day(number: &NumberDetail) -> String {
    number.since.as_deref().and_then(|at| at.split('T').next()).unwrap_or_default().to_owned()
}

fn tag(number: &NumberDetail) -> String {
    number.tag.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn cost(number: &NumberDetail) -> String {
    number.monthly_cost.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AccountSid, Currency, E164, Money, OwnerTag, PhoneNumberSid};
    use crate::plan::audit::{Cost, Counts, Idle, Obstacle, ResourceRef, Summary, Unplaced};

    fn number(n: u32, label: &str, cost: Option<&str>) -> NumberDetail {
        NumberDetail {
            phone_number: E164::parse(&format!("+1418555{n:04}")).unwrap(),
            phone_number_sid: PhoneNumberSid::parse(&format!("PN{n:032x}")).unwrap(),
            tag: Some(OwnerTag::parse("abcdefghijk").unwrap()),
            label: label.to_owned(),
            since: Some("2026-11-02T10:00:00Z".to_owned()),
            monthly_cost: cost.map(|c| Cost { amount: c.to_owned(), currency: Currency::parse("USD").unwrap() }),
        }
    }

    fn finding(kind: FindingKind, resource: Option<&str>, numbers: Vec<NumberDetail>) -> Finding {
        let resource = resource.map(|name| ResourceRef { namespace: "clinic".to_owned(), name: name.to_owned() });
        let message = "in words".to_owned();
        Finding { kind, certain: true, obstacle: None, message, resource, tag: None, numbers }
    }

    fn account(n: u32, findings: Vec<Finding>) -> AccountReport {
        AccountReport {
            account_sid: AccountSid::parse(&format!("AC{n:032x}")).unwrap(),
            audited: true,
            list_complete: true,
            numbers: Counts { total: 5, in_use: 2, other_installations: 1, untagged: 2, ..Counts::default() },
            idle: Idle::default(),
            findings,
            untagged: Vec::new(),
            unknown_owner: Vec::new(),
        }
    }

    fn report(accounts: Vec<AccountReport>) -> Report {
        let nothing = Summary {
            accounts: 0,
            audited: 0,
            findings: 0,
            idle_numbers: 0,
            idle_unpriced: 0,
            idle_monthly_cost: Vec::new(),
        };
        Report { installation_id: "prod".to_owned(), summary: nothing, accounts, unplaced: Vec::new() }
    }

    /// The cells of the line that has these words.
    fn line(text: &str, words: &str) -> Vec<String> {
        let line = text.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("no {words} in\n{text}"));
        line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    }

    /// What stands in the first line below the first one that has this name, under the name.
    fn under(text: &str, name: &str) -> String {
        let mut lines = text.lines().skip_while(|line| !line.contains(name));
        let (head, row) = (lines.next().unwrap(), lines.next().unwrap());
        let at = head.split(name).next().unwrap().chars().count();
        let cell: String = row.chars().skip(at).collect();
        cell.split("   ").next().unwrap().to_owned()
    }

    #[test]
    fn each_account_and_each_number_of_a_finding_has_a_line() {
        let mut one = account(
            1,
            vec![
                finding(FindingKind::Orphan, None, vec![number(1, "Front", Some("1.15"))]),
                finding(FindingKind::DuplicateTag, Some("a"), vec![number(2, "", None), number(3, "", Some("2.15"))]),
                finding(FindingKind::NumberGone, Some("b"), vec![number(4, "", None)]),
            ],
        );
        one.idle = Idle {
            numbers: 1,
            unpriced: 0,
            monthly_cost: vec![Money { amount: "1.15".parse().unwrap(), currency: Currency::parse("USD").unwrap() }],
        };
        let text = render(&report(vec![one]), false);
        let sid = format!("AC{:032x}", 1);
        assert_eq!(line(&text, "complete"), [sid.as_str(), "complete", "5", "2", "1", "2", "3", "1.15 USD"]);
        let pn = |n: u32| format!("PN{n:032x}");
        let orphan = [&sid, "Orphan", "+14185550001", &pn(1), "-", "2026-11-02", "1.15 USD", "in words"];
        assert_eq!(line(&text, "Orphan"), orphan);
        assert_eq!(line(&text, "+14185550002")[4..7], ["clinic/a", "2026-11-02", "unknown"]);
        assert_eq!(line(&text, "+14185550003")[6], "2.15 USD");
        assert_eq!(line(&text, "NumberGone")[6], "-", "what is gone costs nothing");
        assert!(!text.contains("abcdefghijk") && !text.contains("Front"), "tags and labels are for wide: {text}");
    }

    #[test]
    fn wide_has_tags_labels_and_what_is_only_counted_otherwise() {
        let mut one = account(1, vec![finding(FindingKind::Orphan, None, vec![number(1, "Front\u{1b}[31m", None)])]);
        one.findings[0].certain = false;
        one.list_complete = false;
        one.untagged = vec![NumberDetail { tag: None, ..number(7, "Fax", None) }];
        one.unknown_owner = vec![number(8, "", None)];
        let text = render(&report(vec![one.clone()]), true);
        assert_eq!(line(&text, "Orphan")[6..10], ["unknown", "abcdefghijk", "Front\u{fffd}[31m", "no"]);
        assert!(line(&text, "Orphan")[10].contains("not certain") && !text.contains('\u{1b}'));
        assert_eq!(line(&text, "+14185550007")[3..], ["2026-11-02", "-", "Fax"]);
        assert_eq!(line(&text, "+14185550008")[4], "abcdefghijk");
        assert_eq!(line(&text, "incomplete")[1], "incomplete");
        let narrow = render(&report(vec![one]), false);
        assert!(!narrow.contains("+14185550007") && narrow.contains("--output wide"), "{narrow}");
    }

    #[test]
    fn what_was_not_audited_is_not_shown_as_empty() {
        let mut two = account(2, vec![finding(FindingKind::NotAudited, None, Vec::new())]);
        two.findings[0].obstacle = Some(Obstacle::NoCredentials);
        two.audited = false;
        let mut all = report(vec![two]);
        let resource = ResourceRef { namespace: "clinic".to_owned(), name: "c".to_owned() };
        all.unplaced = vec![Unplaced { resource, problem: "no Secret".to_owned() }];
        for wide in [false, true] {
            let text = render(&all, wide);
            assert_eq!(line(&text, "not audited")[2..], ["-", "-", "-", "-", "1", "unknown"]);
            let unplaced = line(&text, "no Secret");
            assert_eq!((unplaced[1].as_str(), unplaced[4].as_str()), ("NotAudited", "clinic/c"));
            assert_eq!(unplaced.len(), line(&text, "in words").len(), "under the same columns");
        }
    }

    #[test]
    fn a_resource_without_an_account_is_told_where_there_is_no_account_at_all() {
        let mut none = report(Vec::new());
        let resource = ResourceRef { namespace: "clinic".to_owned(), name: "c".to_owned() };
        none.unplaced = vec![Unplaced { resource, problem: "no Secret".to_owned() }];
        let text = render(&none, false);
        assert!(text.contains("clinic/c") && text.contains("no Secret"), "{text}");
    }

    /// Labels, and what Twilio and Secrets say, are other people's words: none of them moves the cursor or begins a line.
    #[test]
    fn no_control_character_is_printed_wherever_it_comes_from() {
        let bad = "a\u{1b}[2J\rb\nc";
        let mut one = account(1, vec![finding(FindingKind::Orphan, None, vec![number(1, bad, None)])]);
        one.findings[0].message = bad.to_owned();
        one.untagged = vec![number(7, bad, None)];
        one.unknown_owner = vec![number(8, bad, None)];
        let mut all = report(vec![one]);
        let resource = ResourceRef { namespace: "clinic".to_owned(), name: "c".to_owned() };
        all.unplaced = vec![Unplaced { resource, problem: bad.to_owned() }];
        for (wide, times) in [(false, 2), (true, 5)] {
            let text = render(&all, wide);
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
            assert_eq!(text.matches("a\u{fffd}[2J\u{fffd}b\u{fffd}c").count(), times, "{text}");
        }
    }

    #[test]
    fn every_column_stands_under_its_name() {
        let mut one = account(1, vec![finding(FindingKind::Orphan, Some("a"), vec![number(1, "Été", Some("1.15"))])]);
        one.untagged = vec![number(7, "Éé", None), number(8, "Ee", None)];
        let report = report(vec![one]);
        let (narrow, wide) = (render(&report, false), render(&report, true));
        for text in [&narrow, &wide] {
            for (name, value) in [
                ("LIST", "complete"),
                ("NUMBERS", "5"),
                ("IN USE", "2"),
                ("OTHER INSTALLATIONS", "1"),
                ("UNTAGGED", "2"),
                ("FINDINGS", "1"),
                ("IDLE PER MONTH", "none"),
                ("FINDING ", "Orphan"),
                ("RESOURCE", "clinic/a"),
                ("SINCE", "2026-11-02"),
                (" PER MONTH   ", " 1.15 USD"),
                ("WHAT", "in words"),
            ] {
                assert_eq!(under(text, name), value, "{name} in\n{text}");
            }
        }
        for (name, value) in [("TAG   ", "abcdefghijk"), ("LABEL   ", "Été"), ("CERTAIN", "yes")] {
            assert_eq!(under(&wide, name), value, "{name} in\n{wide}");
        }
        let others = wide.split("without a mark:\n").nth(1).unwrap();
        for (name, value) in [("SINCE", "2026-11-02"), ("TAG", "abcdefghijk"), ("LABEL", "Éé")] {
            assert_eq!(under(others, name), value, "{name} in\n{others}");
        }
    }

    #[test]
    fn what_may_be_other_namespaces_is_counted_over_all_accounts() {
        let mut accounts = [account(1, Vec::new()), account(2, Vec::new()), account(3, Vec::new())];
        accounts[0].unknown_owner = vec![number(1, "", None)];
        accounts[2].unknown_owner = vec![number(2, "", None), number(3, "", None)];
        let text = render(&report(accounts.to_vec()), false);
        assert!(text.contains("\n3 with this installation's mark"), "{text}");
    }

    #[test]
    fn nothing_is_said_to_be_wrong_where_nothing_is() {
        let text = render(&report(vec![account(1, Vec::new())]), false);
        assert!(text.ends_with("\nNothing is wrong.\n") && line(&text, "complete")[7] == "none", "{text}");
        assert!(render(&report(Vec::new()), true).contains("No account"));
    }
}
