//! What can be checked without a server: the files that are generated, the layers of the source, chart and examples.
//!
//! One binary, because each one links the whole crate again.

use std::error::Error;
use std::path::{Path, PathBuf};

mod audit;
mod chart;
mod cli;
mod conditions;
mod crd;
mod examples;
mod fields;
mod layering;
mod pages;

type Outcome = Result<(), Box<dyn Error>>;

/// A path of the repository.
fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// Reads a file of the repository.
fn read(relative: &str) -> Result<String, Box<dyn Error>> {
    Ok(std::fs::read_to_string(path(relative)).map_err(|error| format!("{relative}: {error}"))?)
}

/// The files below a folder of the repository, at any depth, sorted; relative to that folder. `extension` may be empty: all.
fn files(folder: &str, extension: &str) -> Result<Vec<String>, Box<dyn Error>> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                walk(root, &entry.path(), found)?;
            } else if let Ok(relative) = entry.path().strip_prefix(root) {
                found.push(relative.to_string_lossy().into_owned());
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    let root = path(folder);
    walk(&root, &root, &mut found).map_err(|error| format!("{folder}: {error}"))?;
    found.retain(|file| extension.is_empty() || Path::new(file).extension().is_some_and(|is| is == extension));
    found.sort();
    Ok(found)
}

/// Holds a generated file to what its generator says; `UPDATE=1` writes it instead.
fn hold(relative: &str, expected: &str) -> Outcome {
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(path(relative), expected)?;
        return Ok(());
    }
    let is = read(relative).unwrap_or_default();
    // Not the line break at the end, which depends on who printed it.
    if is.trim_end() == expected.trim_end() {
        return Ok(());
    }
    let line = is.lines().zip(expected.lines()).take_while(|(is, expected)| is == expected).count();
    Err(format!(
        "{relative} is not what is generated, from line {} on:\n  it has: {}\n  wanted: {}\n\
         It is a generated file: `UPDATE=1 cargo test --test it` writes it anew, then look at the difference.",
        line + 1,
        is.lines().nth(line).unwrap_or("(its end)"),
        expected.lines().nth(line).unwrap_or("(its end)")
    )
    .into())
}

/// A file that is no module is never compiled, and its tests never run.
#[test]
fn every_file_beside_a_test_binary_is_one_of_its_modules() -> Outcome {
    for folder in ["tests/it", "tests/apiserver"] {
        let main = read(&format!("{folder}/main.rs"))?;
        for file in files(folder, "rs")?.iter().filter(|file| *file != "main.rs") {
            let top = file.split('/').next().unwrap_or(file);
            let module = top.strip_suffix(".rs").unwrap_or(top);
            let declared = main.lines().any(|line| line.trim_end().ends_with(&format!("mod {module};")));
            assert!(declared, "{folder}/{file}: write `mod {module};` in {folder}/main.rs, or remove it");
        }
    }
    Ok(())
}
