//! Bytes taken apart: sections, messages as HTTP writes them, choices.

use std::borrow::Cow;

/// The parts of an input, between lines that are `%%`.
pub(super) fn sections(data: &[u8]) -> Vec<&[u8]> {
    const BETWEEN: &[u8] = b"\n%%\n";
    let mut all = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        all.push(&rest[..at]);
        rest = &rest[at + BETWEEN.len()..];
    }
    all.push(rest);
    all
}

/// A part in the shape of an HTTP message: a line, header lines, an empty line, the rest.
pub(super) struct Message<'a> {
    pub(super) first: Cow<'a, str>,
    pub(super) headers: Vec<(&'a [u8], &'a [u8])>,
    pub(super) body: &'a [u8],
}

impl<'a> Message<'a> {
    pub(super) fn read(section: &'a [u8]) -> Self {
        let (first, mut rest) = line(section);
        let mut headers = Vec::new();
        loop {
            let (header, after) = line(rest);
            rest = after;
            let Some(colon) = header.iter().position(|b| *b == b':') else { break };
            headers.push((&header[..colon], header[colon + 1..].trim_ascii()));
        }
        Self { first: String::from_utf8_lossy(first), headers, body: rest }
    }
}

/// The first line, and what follows it.
fn line(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|b| *b == b'\n') {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[]),
    }
}

/// The text with every `{name}` of the list replaced.
pub(super) fn fill(text: &[u8], values: &[(&str, &str)]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(text.len());
    let mut rest = text;
    'next: while let Some((byte, after)) = rest.split_first() {
        for (name, value) in values {
            if let Some(after) = rest.strip_prefix(name.as_bytes()) {
                filled.extend_from_slice(value.as_bytes());
                rest = after;
                continue 'next;
            }
        }
        filled.push(*byte);
        rest = after;
    }
    filled
}

/// One choice a byte; all zero when there are no more.
pub(super) struct Choices<'a>(pub(super) &'a [u8]);

impl Choices<'_> {
    /// One of `count`.
    pub(super) fn of(&mut self, count: u8) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first % count.max(1)
    }

    pub(super) fn yes(&mut self) -> bool {
        self.of(2) == 1
    }

    pub(super) fn rarely(&mut self) -> bool {
        self.of(16) == 1
    }

    pub(super) fn one<T: Clone>(&mut self, list: &[T]) -> T {
        let index = usize::from(self.of(u8::try_from(list.len()).unwrap_or(u8::MAX)));
        list[index].clone()
    }
}
