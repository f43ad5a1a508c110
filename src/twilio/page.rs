//! A list, page by page.
//!
//! `next_page_uri` is followed as it is, since page tokens cannot be made up; but it comes from outside, and following
//! it carries the credentials, so that it must stay at the same origin and below the same account.

use std::collections::HashSet;

use url::Url;

use super::endpoints::account_path;
use super::wire::Text;
use super::{Answer, Call, Client};
use crate::domain::Trouble;

/// Twilio's largest page (<https://www.twilio.com/docs/usage/twilios-response#pagination>).
pub(super) const PAGE_SIZE: usize = 1000;

/// More pages than any account has: a million numbers.
const MOST_PAGES: usize = 1000;

/// One page that was read.
pub(super) struct Page<T> {
    /// What the list comes to, this page included.
    pub(super) value: T,
    /// How many items are on it.
    pub(super) items: usize,
    /// What it says of the next one: nothing where it has no such property.
    pub(super) next: Option<Text>,
}

impl Client {
    /// Reads a list of an account from its first page to its last, one call a page; returns what the last one comes to.
    ///
    /// # Errors
    /// When a page failed or cannot be used: a list with a hole is none.
    pub(super) async fn pages<T>(
        &self,
        call: Call<'_>,
        read: impl FnMut(&Answer) -> Result<Page<T>, String>,
    ) -> Result<T, Trouble> {
        let below = account_path(call.credentials.account());
        self.pages_below(below, call, read).await
    }

    /// The same for a list whose pages are all below this path.
    pub(super) async fn pages_below<T>(
        &self,
        below: String,
        mut call: Call<'_>,
        mut read: impl FnMut(&Answer) -> Result<Page<T>, String>,
    ) -> Result<T, Trouble> {
        let mut pages = Pages::starting_at(&call.url, below);
        loop {
            let turn = |answer: &Answer| {
                let Page { value, items, next } = read(answer)?;
                Ok((value, pages.after(&call.url, next, items)?))
            };
            match self.call(call.clone(), turn).await? {
                (_, Some(next)) => call.url = next,
                (value, None) => return Ok(value),
            }
        }
    }
}

/// The pages of one list, so far.
pub(super) struct Pages {
    origin: url::Origin,
    below: String,
    visited: HashSet<String>,
}

impl Pages {
    /// Starts at `first`; every further page must be at its origin and below the path `below`.
    pub(super) fn starting_at(first: &Url, below: String) -> Self {
        Self { origin: first.origin(), below, visited: HashSet::from([first.to_string()]) }
    }

    /// The page after `current`, or `None` at the end.
    ///
    /// `next` is `None` where the answer has no such property: fit for the last page, but not for a full one.
    ///
    /// # Errors
    /// When the list cannot be read to its end. The text is fit to print.
    pub(super) fn after(&mut self, current: &Url, next: Option<Text>, items: usize) -> Result<Option<Url>, String> {
        let next = match next {
            Some(next) => next.0,
            None if items >= PAGE_SIZE => {
                return Err("the page is full and does not tell whether there is another".to_owned());
            }
            None => return Ok(None),
        };
        if next.is_empty() {
            return Ok(None);
        }
        let unusable = || "the next page's address is no URL".to_owned();
        let next = current.join(&next).map_err(|_| unusable())?;
        // A request takes no more than 64 KiB of it.
        next.as_str().parse::<http::Uri>().map_err(|_| unusable())?;
        // `join` has resolved `..` by now, so that the prefix holds.
        let same = next.origin() == self.origin && next.path().starts_with(&self.below);
        if !same || !next.username().is_empty() || next.password().is_some() {
            return Err("the next page is at another origin or of another account: it is not followed".to_owned());
        }
        if self.visited.len() >= MOST_PAGES {
            return Err(format!("the list has more than {MOST_PAGES} pages"));
        }
        if !self.visited.insert(next.to_string()) {
            return Err("the list leads back to a page that was read already".to_owned());
        }
        Ok(Some(next))
    }
}
