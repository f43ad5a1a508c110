//! The looks that guard a purchase: whether a number is on offer, what it costs, and what others claim.

use kube::ResourceExt as _;

use crate::api::v1alpha1::ClaimOutcome;
use crate::domain::{BundleSid, CountryCode, E164, Moment, NumberType, Search};
use crate::plan::observed::PricesView;
use crate::plan::regulatory::PapersView;

use super::accounts::{Closed, Lane};
use super::error::Error;
use super::execute::Flow;
use super::pass::Pass;

impl Pass<'_> {
    pub(super) async fn find_offer(&mut self, number: E164, search: &Search) -> Result<Flow, Error> {
        let (credentials, account, fingerprint) = self.credentials()?;
        let context = self.context;
        let permit = match context.accounts.admit(&account, &fingerprint, Lane::Change, context.now().boot) {
            Ok(permit) => permit,
            Err(closed) => return Ok(self.closed(closed)),
        };
        let result = context.twilio.search(&credentials, search).await;
        drop(permit);
        if let Some(found) = self.ended(&account, &fingerprint, result) {
            self.observed.learn_offer(number, found);
        }
        Ok(Flow::On)
    }

    /// A failure is folded in with the prices and not as the pass's trouble: where prices are only shown it stops nothing.
    pub(super) async fn read_prices(&mut self, country: CountryCode, after: Moment) -> Result<Flow, Error> {
        let (credentials, account, fingerprint) = self.credentials()?;
        let context = self.context;
        if let Some((prices, at)) = context.accounts.prices(&account, &fingerprint, &country, after) {
            self.observed.learn_prices(country, PricesView::Read(prices, at));
            return Ok(Flow::On);
        }
        let started = context.now().boot;
        let permit = match context.accounts.admit(&account, &fingerprint, Lane::Change, started) {
            Ok(permit) => permit,
            Err(Closed::Full(until)) => return Ok(Flow::Later(until)),
            Err(Closed::Troubled(trouble, until)) => {
                self.observed.learn_prices(country, PricesView::Unread(trouble, Some(until)));
                return Ok(Flow::On);
            }
        };
        let result = context.twilio.number_prices(&credentials, &country).await;
        drop(permit);
        let until = context.accounts.note(&account, &fingerprint, result.as_ref().map(|_| ()), context.now().boot);
        let view = match result {
            Ok(prices) => {
                context.accounts.priced(&account, &fingerprint, &country, (prices.clone(), started));
                PricesView::Read(prices, started)
            }
            Err(trouble) => PricesView::Unread(trouble, until),
        };
        self.observed.learn_prices(country, view);
        Ok(Flow::On)
    }

    /// Only shown: what cannot be read is not there.
    pub(super) async fn read_message_prices(&mut self, country: CountryCode) -> Result<Flow, Error> {
        let (credentials, account, fingerprint) = self.credentials()?;
        let context = self.context;
        let permit = match context.accounts.admit(&account, &fingerprint, Lane::Change, context.now().boot) {
            Ok(permit) => permit,
            Err(Closed::Full(until)) => return Ok(Flow::Later(until)),
            Err(Closed::Troubled(..)) => {
                self.observed.learn_message_prices(country, None);
                return Ok(Flow::On);
            }
        };
        let result = context.twilio.message_prices(&credentials, &country).await;
        drop(permit);
        self.observed.learn_message_prices(country, result.ok());
        Ok(Flow::On)
    }

    /// A failure is folded in with what was asked: it stands in nobody's way.
    pub(super) async fn read_papers(
        &mut self,
        country: CountryCode,
        kind: NumberType,
        bundle: Option<BundleSid>,
    ) -> Result<Flow, Error> {
        let (credentials, account, fingerprint) = self.credentials()?;
        let context = self.context;
        let permit = match context.accounts.admit(&account, &fingerprint, Lane::Change, context.now().boot) {
            Ok(permit) => permit,
            Err(closed) => return Ok(self.closed(closed)),
        };
        let result = context.twilio.papers(&credentials, &country, kind, bundle.as_ref()).await;
        drop(permit);
        // What fails here closes no gate: whatever is wrong with the account shows in the next call.
        if result.is_ok() {
            context.accounts.note(&account, &fingerprint, Ok(()), context.now().boot);
        }
        let view = result.map_or_else(PapersView::Unread, PapersView::Read);
        self.observed.learn_papers((country, kind, bundle), view, context.now().boot);
        Ok(Flow::On)
    }

    /// Numbers that other resources claim or hold, as the watch last told it.
    pub(super) fn note_claims(&mut self) {
        let mut claimed = Vec::new();
        for other in self.context.known() {
            let own = other.name_any() == self.desired.key.name
                && other.namespace().as_deref() == Some(self.desired.key.namespace.as_str());
            let claim = other.status.as_ref().and_then(|status| status.claim.as_ref()).filter(|_| !own);
            if let Some(claim) = claim
                && matches!(claim.outcome, ClaimOutcome::Unknown | ClaimOutcome::Held)
            {
                claimed.extend(E164::parse(&claim.phone_number));
            }
        }
        self.observed.learn_claims(claimed);
    }
}
