//! What countries ask for before a number is sold there, and the papers that an account has for it
//! (<https://www.twilio.com/docs/phone-numbers/regulatory/api>). Only read: bundles are made in the Twilio Console.

use http::Method;

use super::page::{PAGE_SIZE, Page};
use super::wire::{self, BundlePage, RegulationPage, WireBundle};
use super::{Call, Client, Credentials, Product};
use crate::domain::{Bundle, BundleSid, Class, CountryCode, NumberType, Papers, Regulation, Trouble};

const REGULATIONS: &str = "/v2/RegulatoryCompliance/Regulations";
const BUNDLES: &str = "/v2/RegulatoryCompliance/Bundles";

impl Client {
    /// What is asked for numbers of this country and kind, and what the account has for it: the bundle that is named, or those that are
    /// approved. Approved bundles are a help to whoever reads of it: where they cannot be listed there are none.
    ///
    /// # Errors
    /// When the regulations or the bundle could not be read.
    pub async fn papers(
        &self,
        credentials: &Credentials,
        country: &CountryCode,
        kind: NumberType,
        bundle: Option<&BundleSid>,
    ) -> Result<Papers, Trouble> {
        let regulations = self.regulations(credentials, country, kind).await?;
        match bundle {
            _ if !regulations.iter().any(|regulation| regulation.asks) => {
                Ok(Papers { regulations, ..Papers::default() })
            }
            Some(sid) => Ok(Papers { regulations, bundle: self.bundle(credentials, sid).await?, approved: Vec::new() }),
            None => {
                let approved = self.approved_bundles(credentials, country, kind).await.unwrap_or_default();
                Ok(Papers { regulations, bundle: None, approved })
            }
        }
    }

    async fn regulations(
        &self,
        credentials: &Credentials,
        country: &CountryCode,
        kind: NumberType,
    ) -> Result<Vec<Regulation>, Trouble> {
        let mut all = Vec::new();
        let call = self.listing("ListRegulation", REGULATIONS, credentials, &of(country, kind));
        self.pages_below(REGULATIONS.to_owned(), call, |answer| {
            let page: RegulationPage = wire::decode(&answer.body)?;
            let items = page.results.len();
            for regulation in page.results {
                let asked = &regulation.requirements;
                all.push(Regulation {
                    sid: regulation.sid,
                    name: regulation.friendly_name.0,
                    asks: !asked.end_user.is_empty() || !asked.supporting_document.is_empty(),
                });
            }
            Ok(Page { value: (), items, next: page.meta.next_page_url })
        })
        .await?;
        Ok(all)
    }

    async fn bundle(&self, credentials: &Credentials, sid: &BundleSid) -> Result<Option<Bundle>, Trouble> {
        let url = self.endpoints().url(Product::Numbers, &format!("{BUNDLES}/{sid}"));
        let call = Call::new("FetchBundle", Method::GET, url, credentials).beside_the_point();
        let read = self.call(call, |answer| {
            let bundle = Bundle::from(wire::decode::<WireBundle>(&answer.body)?);
            if bundle.sid == *sid {
                Ok(bundle)
            } else {
                Err("it is about another bundle than the one asked for".to_owned())
            }
        });
        match read.await {
            Err(trouble) if trouble.class == Class::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    async fn approved_bundles(
        &self,
        credentials: &Credentials,
        country: &CountryCode,
        kind: NumberType,
    ) -> Result<Vec<Bundle>, Trouble> {
        let mut query = of(country, kind);
        query.push(("Status", "twilio-approved".to_owned()));
        let mut all = Vec::new();
        let call = self.listing("ListBundle", BUNDLES, credentials, &query);
        self.pages_below(BUNDLES.to_owned(), call, |answer| {
            let page: BundlePage = wire::decode(&answer.body)?;
            let items = page.results.len();
            all.extend(page.results.into_iter().map(Bundle::from));
            Ok(Page { value: (), items, next: page.meta.next_page_url })
        })
        .await?;
        Ok(all)
    }

    fn listing<'a>(
        &self,
        operation: &'static str,
        path: &str,
        credentials: &'a Credentials,
        query: &[(&str, String)],
    ) -> Call<'a> {
        let mut url = self.endpoints().url(Product::Numbers, path);
        url.query_pairs_mut().extend_pairs(query).append_pair("PageSize", &PAGE_SIZE.to_string());
        Call::new(operation, Method::GET, url, credentials).beside_the_point()
    }
}

/// Country and kind, in this product's spelling.
fn of(country: &CountryCode, kind: NumberType) -> Vec<(&'static str, String)> {
    let kind = match kind {
        NumberType::Local => "local",
        NumberType::Mobile => "mobile",
        NumberType::TollFree => "toll-free",
    };
    vec![("IsoCountry", country.to_string()), ("NumberType", kind.to_owned())]
}
