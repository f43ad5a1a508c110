//! What a person sees: sections, plain sentences, commands with their output, and statements that were checked.

use std::cell::RefCell;
use std::fmt::Debug;
use std::io::{self, IsTerminal as _, Write};

/// Shows things and counts what was right and wrong.
pub struct Report {
    output: RefCell<Box<dyn Write>>,
    colours: bool,
    right: usize,
    wrong: Vec<String>,
}

/// Colours of a terminal.
#[derive(Debug, Clone, Copy)]
enum Paint {
    Bold,
    Green,
    Red,
    Faint,
}

impl Report {
    /// On the standard output, with colours on a terminal unless `NO_COLOR` is set.
    pub fn new() -> Self {
        let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self::to(Box::new(io::stdout()), colours)
    }

    fn to(output: Box<dyn Write>, colours: bool) -> Self {
        Self { output: RefCell::new(output), colours, right: 0, wrong: Vec::new() }
    }

    /// Writes a line; a reader that went away (`| head`) is no reason to stop: what was started is still to be ended.
    fn line(&self, text: &str) {
        let mut output = self.output.borrow_mut();
        writeln!(output, "{text}").and_then(|()| output.flush()).ok();
    }

    /// Begins a section.
    pub fn section(&self, title: &str) {
        self.line(&format!("\n{}", self.paint(Paint::Bold, &format!("== {title}"))));
    }

    /// Says a plain sentence.
    pub fn say(&self, words: &str) {
        self.line(words);
    }

    /// Shows a command and what it gave.
    pub fn show(&self, command: &str, output: &str) {
        self.line(&self.paint(Paint::Bold, &format!("  $ {command}")));
        for text in output.trim_end().lines() {
            self.line(&format!("  {text}"));
        }
    }

    /// States something that was checked.
    pub fn check<T: PartialEq + Debug>(&mut self, statement: &str, expected: &T, found: &T) {
        let held = (expected == found).then_some(());
        self.state(statement, held.ok_or_else(|| format!("expected {expected:?}\n    found    {found:?}")));
    }

    /// States that something is no more than a bound.
    pub fn at_most(&mut self, statement: &str, bound: usize, found: usize) {
        let held = (found <= bound).then_some(());
        self.state(statement, held.ok_or_else(|| format!("expected at most {bound}\n    found    {found}")));
    }

    /// States something; an error says what was expected and what was found.
    pub fn state(&mut self, statement: &str, held: Result<(), String>) {
        match held {
            Ok(()) => {
                self.right += 1;
                self.line(&format!("  {} {statement}", self.paint(Paint::Green, "ok")));
            }
            Err(detail) => {
                self.wrong.push(statement.to_owned());
                self.line(&format!("  {} {statement}\n    {detail}", self.paint(Paint::Red, "WRONG")));
            }
        }
    }

    /// Says something of minor interest.
    pub fn note(&self, words: &str) {
        self.line(&self.paint(Paint::Faint, words));
    }

    /// Says how it went; returns whether everything was right.
    pub fn end(&self) -> bool {
        if self.wrong.is_empty() {
            self.line(&self.paint(Paint::Green, &format!("All {} statements were checked and are true.", self.right)));
        } else {
            let all = self.right + self.wrong.len();
            self.line(&self.paint(Paint::Red, &format!("{} of {all} statements are WRONG:", self.wrong.len())));
            for statement in &self.wrong {
                self.line(&format!("  - {statement}"));
            }
        }
        self.wrong.is_empty()
    }

    fn paint(&self, paint: Paint, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Bold => "1",
            Paint::Green => "32",
            Paint::Red => "31",
            Paint::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Rows as columns of even width.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("   ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_statement_is_enough() {
        let mut report = Report::to(Box::new(io::sink()), false);
        report.check("one is one", &1, &1);
        report.at_most("two is little", 2, 2);
        assert!(report.end());
        report.check("one is two", &1, &2);
        assert!(!report.end());
        assert_eq!((report.right, report.wrong.as_slice()), (2, &["one is two".to_owned()][..]));
    }

    #[test]
    fn columns_are_even() {
        let rows = [vec!["a".to_owned(), "é".to_owned(), "x".to_owned()], vec!["long".to_owned(), "bb".to_owned()]];
        assert_eq!(table(&rows), "a      é    x\nlong   bb\n");
    }
}
