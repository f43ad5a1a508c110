//! Who may import whom: `domain` and `plan` stay pure, and nothing in the product reaches for the simulator.
//!
//! Reads the source as text: every path that starts at `crate::`, or climbs to the crate's root with `super::`. Code that
//! is compiled for tests alone may use anything.

use std::collections::BTreeSet;

use crate::{Outcome, files, read};

/// What a layer may use.
enum Uses {
    Anything,
    /// These paths and what is below them.
    Only(&'static [&'static str]),
    /// Everything but these.
    AllBut(&'static [&'static str]),
}

/// Every module of the crate's root. A new one has to take its place here.
const LAYERS: &[(&str, Uses)] = &[
    ("domain", Uses::Only(&[])),
    ("api", Uses::Only(&["domain"])),
    ("clock", Uses::Only(&["domain"])),
    ("plan", Uses::Only(&["api", "domain"])),
    ("yaml", Uses::Only(&[])),
    ("lease", Uses::Only(&["clock", "domain"])),
    ("twilio", Uses::Only(&["clock", "domain"])),
    // The signature alone: credentials and Twilio's endpoints are none of its business.
    ("probe", Uses::Only(&["domain", "twilio::signature"])),
    // The signature alone of the real client: the simulator must not agree with its mistakes.
    ("simulator", Uses::Only(&["clock", "domain", "twilio::signature", "yaml"])),
    ("controller", Uses::AllBut(&["simulator", "commands"])),
    ("commands", Uses::Anything),
    ("admin", Uses::Anything),
    ("telemetry", Uses::Anything),
    ("config", Uses::Anything),
    ("cli", Uses::Anything),
    // Compiled for tests and fuzz targets alone.
    ("fuzzing", Uses::Anything),
];

/// The code of a file: comments and the insides of text and character literals blanked, and what is behind
/// `#[cfg(test)]` cut off (where the house style puts it: last).
fn code(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let letters: Vec<char> = source.chars().collect();
    let at = |i: usize| letters.get(i).copied().unwrap_or('\0');
    let mut i = 0;
    while i < letters.len() {
        let raw_hashes = || (i + 1..letters.len()).take_while(|j| at(*j) == '#').count();
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < letters.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0_usize;
                while i < letters.len() {
                    if at(i) == '/' && at(i + 1) == '*' {
                        depth += 1;
                        i += 2;
                    } else if at(i) == '*' && at(i + 1) == '/' {
                        depth -= 1;
                        i += 2;
                    } else {
                        i += 1;
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            'r' if at(i + 1 + raw_hashes()) == '"' && !at(i.wrapping_sub(1)).is_alphanumeric() => {
                let hashes = raw_hashes();
                i += hashes + 2;
                while i < letters.len() && !(at(i) == '"' && (1..=hashes).all(|j| at(i + j) == '#')) {
                    i += 1;
                }
                i += hashes + 1;
                out.push_str("\"\"");
            }
            '"' => {
                i += 1;
                while i < letters.len() && at(i) != '"' {
                    i += if at(i) == '\\' { 2 } else { 1 };
                }
                i += 1;
                out.push_str("\"\"");
            }
            // A character, and not a lifetime.
            '\'' if at(i + 1) == '\\' || at(i + 2) == '\'' => {
                i += if at(i + 1) == '\\' { 3 } else { 2 };
                while i < letters.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
                out.push_str("' '");
            }
            other => {
                out.push(other);
                i += 1;
            }
        }
    }
    // `mod tests;` of a file of its own is no code either.
    let end = out.find("#[cfg(test)]\nmod tests {").unwrap_or(out.len());
    out.truncate(end);
    out
}

/// The paths that a text names behind `prefix`, braces taken apart: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths_behind(code: &str, prefix: &str) -> Vec<String> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (start, _) in code.match_indices(prefix) {
        if code.get(..start).is_some_and(|before| before.ends_with(|c| word(c) || c == ':')) {
            continue;
        }
        let rest = code.get(start + prefix.len()..).unwrap_or_default();
        take_apart(rest, "", &mut found);
    }
    found
}

/// Reads one path, or a list of them in braces, and returns how many bytes it was.
fn take_apart(text: &str, before: &str, found: &mut Vec<String>) -> usize {
    let space = text.len() - text.trim_start().len();
    let rest = text.get(space..).unwrap_or_default();
    if let Some(mut list) = rest.strip_prefix('{') {
        let all = list.len();
        while !list.trim_start().starts_with('}') && !list.is_empty() {
            let used = take_apart(list, before, found);
            list = list.get(used..).unwrap_or_default();
            let next = list.find([',', '}']).unwrap_or(list.len());
            let comma = usize::from(list.get(next..).is_some_and(|rest| rest.starts_with(',')));
            list = list.get(next + comma..).unwrap_or_default();
        }
        let closing = list.find('}').map_or(list.len(), |at| at + 1);
        return space + 1 + all - list.len() + closing;
    }
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let path = format!("{before}{}", rest.get(..end).unwrap_or_default());
    match rest.get(end..).and_then(|rest| rest.strip_prefix("::")) {
        Some(inner) if inner.trim_start().starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '{') => {
            space + end + 2 + take_apart(inner, &format!("{path}::"), found)
        }
        Some(_) | None => {
            found.push(path);
            space + end
        }
    }
}

/// A file's path below src/, and its module path.
type Source = (String, Vec<String>);

/// The product's files; not those of tests alone.
fn sources() -> Result<Vec<Source>, Box<dyn std::error::Error>> {
    Ok(files("src", "rs")?
        .into_iter()
        .map(|file| {
            let mut module: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if module.last().is_some_and(|last| last == "mod") {
                module.pop();
            }
            (file, module)
        })
        .filter(|(_, module)| !module.iter().any(|name| name == "tests"))
        .collect())
}

fn allowed(layer: &str, path: &str) -> Option<bool> {
    let within =
        |path: &str, root: &&str| path.strip_prefix(*root).is_some_and(|r| r.is_empty() || r.starts_with("::"));
    let (_, uses) = LAYERS.iter().find(|(name, _)| *name == layer)?;
    Some(
        within(path, &layer)
            || match uses {
                Uses::Anything => true,
                Uses::Only(some) => some.iter().any(|root| within(path, root)),
                Uses::AllBut(some) => !some.iter().any(|root| within(path, root)),
            },
    )
}

#[test]
fn layers_import_only_what_they_may() -> Outcome {
    let mut wrong = BTreeSet::new();
    for (file, module) in sources()? {
        let Some(layer) = module.first().filter(|name| !matches!(name.as_str(), "lib" | "main")) else { continue };
        let code = code(&read(&format!("src/{file}"))?);
        let mut paths = paths_behind(&code, "crate::");
        paths.extend(paths_behind(&code, "$crate::"));
        // As many `super` as the module is deep reach the root.
        paths.extend(paths_behind(&code, &"super::".repeat(module.len())).into_iter().filter(|path| path != "super"));
        for path in paths {
            match allowed(layer, &path) {
                Some(true) => {}
                Some(false) => {
                    wrong.insert(format!("src/{file} uses {path}, which {layer} may not"));
                }
                None => {
                    wrong.insert(format!("src/{file}: say in LAYERS what {layer} may use"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
    Ok(())
}

#[test]
fn the_plan_waits_for_nothing_and_talks_to_nobody() -> Outcome {
    for (file, module) in sources()? {
        if module.first().is_some_and(|layer| layer == "plan" || layer == "domain") {
            let code = code(&read(&format!("src/{file}"))?);
            for word in ["async", "await", "tokio", "futures", "reqwest", "Client"] {
                let there = code.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|is| is == word);
                assert!(!there, "src/{file} says {word}: what decides is pure");
            }
        }
    }
    Ok(())
}

/// The parser above is what the two tests stand on.
#[test]
fn paths_are_found_in_code_and_nowhere_else() {
    let source = r##"
//! Not [`crate::comment`].
use crate::a::{b, c::{d, e as f}, self};
use crate::{
    g::H, // not crate::comment2
    i::*,
};
fn f<'a>(x: &'a str) -> char { "crate::text"; r#"crate::raw "quoted" "#; '"'; crate::j::k(x); '\'' }
impl not_crate::l {}
#[cfg(test)]
mod tests {
    use crate::simulator;
}
"##;
    let paths = paths_behind(&code(source), "crate::");
    assert_eq!(paths, ["a::b", "a::c::d", "a::c::e", "a::self", "g::H", "i", "j::k"]);
    let up = paths_behind("use super::super::x::Y; use super::z; super::super::super::w;", "super::super::");
    assert_eq!(up, ["x::Y", "super::w"]);
}

#[test]
fn a_layer_is_the_whole_word() {
    assert_eq!(allowed("plan", "domain::E164"), Some(true));
    assert_eq!(allowed("plan", "domains"), Some(false));
    assert_eq!(allowed("simulator", "twilio::signature::sign"), Some(true));
    assert_eq!(allowed("simulator", "twilio::Client"), Some(false));
    assert_eq!(allowed("controller", "commands::x"), Some(false));
    assert_eq!(allowed("controller", "twilio"), Some(true));
    assert_eq!(allowed("unheard_of", "domain"), None);
}
