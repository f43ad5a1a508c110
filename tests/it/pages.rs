//! The pages for people: every link leads somewhere, every test and file that a page names is there, and the runbook has a
//! section for each reason that waits for a person, with messages that the code really gives.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use clinic_phone_operator::plan::{Kind, Rule};

use crate::{Outcome, files, path, read};

const SAFETY: &str = "docs/money-safety.md";
const RUNBOOK: &str = "docs/runbook.md";
/// What each section of a reason that waits for a person tells.
const PARTS: [&str; 6] = ["What it means", "At risk now", "How to look", "What to do", "What not to do", "Meanwhile"];

/// Every page, relative to the repository.
fn pages() -> Result<Vec<String>, Box<dyn Error>> {
    let mut pages = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(str::to_owned).to_vec();
    for folder in ["docs", "examples", "tests"] {
        pages.extend(files(folder, "md")?.into_iter().map(|file| format!("{folder}/{file}")));
    }
    Ok(pages)
}

/// The lines of a page that are not in a fenced block.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    page.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// What stands in backticks.
fn code(page: &str) -> Vec<&str> {
    prose(page).flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// A line without what stands in backticks.
fn plain(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The sections of a page at the second level: heading and text.
fn sections(page: &str) -> Vec<(&str, &str)> {
    page.split("\n## ").skip(1).map(|section| section.split_once('\n').unwrap_or((section, ""))).collect()
}

/// Whether a source has a test of this name.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let opens = [format!("fn {name}("), format!("async fn {name}(")];
    lines.iter().enumerate().filter(|(_, line)| opens.iter().any(|open| line.starts_with(open))).any(|(at, _)| {
        let above = lines.iter().take(at).rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        above.into_iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

/// Whether cargo knows a test under this name: of the library, of `apiserver` or of `it`.
fn is_test(name: &str) -> bool {
    let Some((module, name)) = name.rsplit_once("::") else { return false };
    let file = module.replace("::", "/");
    ["src", "tests/apiserver", "tests/it"].iter().any(|root| {
        let inline = file.strip_suffix("/tests").map(|outer| format!("{root}/{outer}.rs"));
        let places = [Some(format!("{root}/{file}.rs")), Some(format!("{root}/{file}/mod.rs")), inline];
        places.into_iter().flatten().any(|place| read(&place).is_ok_and(|source| has_test(&source, name)))
    })
}

#[test]
fn every_link_leads_somewhere() -> Outcome {
    let (mut broken, mut followed) = (Vec::new(), 0);
    for page in pages()? {
        let text = read(&page)?;
        let folder = Path::new(&page).parent().ok_or("no folder")?;
        for line in prose(&text).map(plain) {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if link.contains("://") || link.starts_with("mailto:") {
                    continue;
                }
                let (file, fragment) = link.split_once('#').map_or((link, None), |(file, part)| (file, Some(part)));
                let target =
                    if file.is_empty() { page.clone() } else { folder.join(file).to_string_lossy().into_owned() };
                let found = match fragment {
                    None => path(&target).exists(),
                    Some(part) => read(&target).is_ok_and(|text| {
                        prose(&text)
                            .filter(|line| line.starts_with('#'))
                            .any(|line| anchor(line.trim_start_matches('#')) == part)
                    }),
                };
                followed += 1;
                if !found {
                    broken.push(format!("{page}: {link}"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
    assert!(followed > 50, "{followed} links: they were not found");
    Ok(())
}

#[test]
fn every_file_that_a_page_names_is_there() -> Outcome {
    let mut missing = BTreeSet::new();
    for page in pages()? {
        let text = read(&page)?;
        let named = code(&text).into_iter().filter(|text| {
            Path::new(text).extension().is_some_and(|is| is == "rs") && text.contains('/') && !text.contains(' ')
        });
        missing.extend(named.filter(|file| !path(file).exists()).map(|file| format!("{page}: {file}")));
    }
    assert!(missing.is_empty(), "files that are not there: {missing:#?}");
    Ok(())
}

#[test]
fn every_test_that_proves_a_guarantee_is_there() -> Outcome {
    let page = read(SAFETY)?;
    let word =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let named: BTreeSet<_> =
        code(&page).into_iter().filter(|text| text.contains("::") && text.split("::").all(word)).collect();
    assert!(named.len() > 50, "{} names of tests: they were not found", named.len());
    let missing: Vec<_> = named.iter().filter(|name| !is_test(name)).collect();
    assert!(missing.is_empty(), "{SAFETY} names tests that do not exist: {missing:#?}");

    let mut drills = 0;
    for file in files("tests/apiserver/drills", "rs")? {
        let source = read(&format!("tests/apiserver/drills/{file}"))?;
        let functions = source.lines().filter_map(|line| line.strip_prefix("fn ")?.split('(').next());
        for name in functions.filter(|name| has_test(&source, name)) {
            let drill = format!("drills::{}::{name}", file.trim_end_matches(".rs"));
            assert!(page.contains(&format!("\n| `{drill}` |")), "{SAFETY}: the table of drills lacks {drill}");
            drills += 1;
        }
    }
    assert!(drills > 10, "{drills} drills: they were not found");
    Ok(())
}

#[test]
fn every_rule_has_a_name_of_its_own_and_a_consequence() -> Outcome {
    let page = read(SAFETY)?;
    let (_, rules) = sections(&page).into_iter().find(|(heading, _)| *heading == "The rules").ok_or("no rules")?;
    let mut names = BTreeSet::new();
    for line in rules.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, rule, without, code] = cells.as_slice() else {
            return Err(format!("a rule with {} cells: {line}", cells.len()).into());
        };
        let name = name.trim_matches('`');
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
        assert!([rule, without, code].iter().all(|cell| !cell.is_empty()), "{name} lacks words");
        assert!(names.insert(name), "{name} is there twice");
    }
    assert!(names.len() > 30, "{} rules: they were not found", names.len());
    Ok(())
}

#[test]
fn the_runbook_has_a_section_for_each_reason_that_waits_for_a_person() -> Outcome {
    let page = read(RUNBOOK)?;
    let sections = sections(&page);
    let reasons: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.row().reason.as_str()).collect();
    // A heading of one word is a reason.
    for (heading, _) in sections.iter().filter(|(heading, _)| !heading.contains(' ')) {
        assert!(reasons.contains(heading), "{RUNBOOK}: there is no reason {heading}");
        assert_eq!(sections.iter().filter(|(other, _)| other == heading).count(), 1, "{heading} is there twice");
    }
    for kind in Kind::ALL.iter().filter(|kind| kind.row().stalled) {
        let reason = kind.row().reason.as_str();
        let section = sections.iter().find(|(heading, _)| *heading == reason);
        let (_, text) = section.ok_or_else(|| format!("{RUNBOOK}: `## {reason}` is missing"))?;
        for part in PARTS {
            assert!(text.contains(&format!("\n**{part}.**")), "{RUNBOOK}, {reason}: **{part}.** is missing");
        }
        let link = format!("(runbook.md#{})", anchor(reason));
        assert!(read("docs/conditions.md")?.contains(&link), "docs/conditions.md: link {reason} to {link}");
    }
    Ok(())
}

/// The first column of tables that begin with `the message says`.
#[test]
fn every_message_that_the_runbook_quotes_is_one_of_the_code() -> Outcome {
    let mut sources = String::new();
    for file in files("src", "rs")?.iter().filter(|file| !file.contains("tests") && !file.starts_with("simulator")) {
        let mut literal = String::new();
        for line in read(&format!("src/{file}"))?.lines() {
            // A literal that goes on in the next line.
            match line.strip_suffix('\\') {
                Some(part) => literal.push_str(if literal.is_empty() { part } else { part.trim_start() }),
                None => {
                    literal.push_str(if literal.is_empty() { line } else { line.trim_start() });
                    sources.push_str(&literal.replace("\\\"", "\""));
                    sources.push('\n');
                    literal.clear();
                }
            }
        }
    }
    let page = read(RUNBOOK)?;
    let (mut within, mut quoted) = (false, 0);
    for line in prose(&page) {
        within = line.starts_with('|') && (within || line.starts_with("| the message says |"));
        let Some(message) = line.strip_prefix("| `").filter(|_| within) else { continue };
        let message = message.split('`').next().unwrap_or(message);
        quoted += 1;
        for part in message.split('…').map(str::trim).filter(|part| !part.is_empty()) {
            assert!(sources.contains(part), "{RUNBOOK} quotes {part:?}, which the code does not say");
        }
    }
    assert!(quoted > 20, "{quoted} messages: they were not found");
    Ok(())
}

/// The readers above are what the tests stand on.
#[test]
fn pages_are_read_as_they_are_shown() {
    assert_eq!(anchor(" What is `not` guaranteed?"), "what-is-not-guaranteed");
    assert_eq!(anchor(" NumberLost"), "numberlost");
    assert_eq!(code("`a` b `c`\n```\n`d`\n```\n`e`"), ["a", "c", "e"]);
    assert_eq!(plain("[x](y) `[not](one)` z"), "[x](y)  z");
    assert_eq!(sections("# t\n\n## One\na\n## Two\nb"), [("One", "a"), ("Two", "b")]);
    assert!(has_test("#[test]\n/// Words.\nfn one() {}", "one") && has_test("#[test]\n#[ignore]\nfn two() {}", "two"));
    assert!(!has_test("fn three() {}\n#[test]\nfn four() {}", "three"));
    assert!(
        is_test("pages::pages_are_read_as_they_are_shown") && is_test("clock::tests::the_boot_clock_only_goes_forward")
    );
    assert!(!is_test("clock::tests::no_such_test") && !is_test("nowhere::at_all"));
}

#[test]
fn every_rule_that_tests_take_out_has_a_row() -> Outcome {
    let page = read(SAFETY)?;
    for rule in Rule::ALL {
        assert!(page.contains(&format!("| `{}` |", rule.name())), "{rule:?} has no row in {SAFETY}");
    }
    Ok(())
}
