//! Messaging Services, and how far the registrations are that carriers ask for
//! (<https://www.twilio.com/docs/messaging/api/service-resource>).
//!
//! Nothing tells of a number which service it is in: the services are listed, and the numbers of each. The product is asked
//! with the credentials' own account; those of a parent account list the parent's services, which is noticed.

use http::Method;

use super::page::{PAGE_SIZE, Page};
use super::wire::{self, CampaignPage, ServiceNumberPage, ServicePage, VerificationPage};
use super::{Call, Client, Credentials, Product};
use crate::domain::{MessagingService, MessagingServiceSid, PhoneNumberSid, Registration, Trouble};

const SERVICES: &str = "/v1/Services";
const VERIFICATIONS: &str = "/v1/Tollfree/Verifications";

impl Client {
    /// The account's Messaging Services.
    ///
    /// # Errors
    /// When a page failed or cannot be used, or a service is of another account.
    pub async fn messaging_services(&self, credentials: &Credentials) -> Result<Vec<MessagingService>, Trouble> {
        let mut all = Vec::new();
        self.product_list(credentials, "ListService", SERVICES.to_owned(), |body| {
            let page: ServicePage = wire::decode(body)?;
            let items = page.services.len();
            for service in page.services {
                if service.account_sid != *credentials.account() {
                    return Err(
                        "it is about another account: credentials of a parent account list the parent's own".to_owned()
                    );
                }
                all.push(MessagingService {
                    sid: service.sid,
                    name: service.friendly_name.0,
                    inbound_url: service.inbound_request_url.0,
                    inbound_method: wire::method(&service.inbound_method),
                    on_number: service.use_inbound_webhook_on_number.0.eq_ignore_ascii_case("true"),
                });
            }
            Ok(Page { value: (), items, next: page.meta.next_page_url })
        })
        .await?;
        Ok(all)
    }

    /// The numbers in a Messaging Service.
    ///
    /// # Errors
    /// When a page failed or cannot be used.
    pub async fn service_numbers(
        &self,
        credentials: &Credentials,
        service: &MessagingServiceSid,
    ) -> Result<Vec<PhoneNumberSid>, Trouble> {
        let mut all = Vec::new();
        self.product_list(credentials, "ListPhoneNumber", format!("{SERVICES}/{service}/PhoneNumbers"), |body| {
            let page: ServiceNumberPage = wire::decode(body)?;
            let items = page.phone_numbers.len();
            all.extend(page.phone_numbers.into_iter().map(|number| number.sid));
            Ok(Page { value: (), items, next: page.meta.next_page_url })
        })
        .await?;
        Ok(all)
    }

    /// How far the registration of a Messaging Service for traffic to the United States is (A2P 10DLC): of several campaigns
    /// the one that is furthest.
    ///
    /// # Errors
    /// When a page failed or cannot be used.
    pub async fn campaign(
        &self,
        credentials: &Credentials,
        service: &MessagingServiceSid,
    ) -> Result<Registration, Trouble> {
        let mut furthest = Registration::None;
        self.product_list(credentials, "ListUsAppToPerson", format!("{SERVICES}/{service}/Compliance/Usa2p"), |body| {
            let page: CampaignPage = wire::decode(body)?;
            let items = page.compliance.len();
            for campaign in page.compliance {
                let one = match campaign.campaign_status.0.to_ascii_uppercase().as_str() {
                    "VERIFIED" => Registration::Approved,
                    "IN_PROGRESS" | "PENDING" => Registration::Pending,
                    "FAILED" => Registration::Rejected(String::new()),
                    _ => Registration::Other(campaign.campaign_status.0),
                };
                if rank(&one) > rank(&furthest) {
                    furthest = one;
                }
            }
            Ok(Page { value: (), items, next: page.meta.next_page_url })
        })
        .await?;
        Ok(furthest)
    }

    /// How far the verifications of the account's toll-free numbers are; a number without one is missing
    /// (<https://www.twilio.com/docs/messaging/compliance/toll-free/api-onboarding>).
    ///
    /// # Errors
    /// When a page failed or cannot be used.
    pub async fn toll_free_verifications(
        &self,
        credentials: &Credentials,
    ) -> Result<Vec<(PhoneNumberSid, Registration)>, Trouble> {
        let mut all = Vec::new();
        self.product_list(credentials, "ListTollfreeVerification", VERIFICATIONS.to_owned(), |body| {
            let page: VerificationPage = wire::decode(body)?;
            let items = page.verifications.len();
            for verification in page.verifications {
                // One that names no number is about none that is held.
                let Ok(number) = PhoneNumberSid::parse(&verification.tollfree_phone_number_sid.0) else { continue };
                let state = match verification.status.0.to_ascii_uppercase().as_str() {
                    "TWILIO_APPROVED" => Registration::Approved,
                    "PENDING_REVIEW" | "IN_REVIEW" => Registration::Pending,
                    "TWILIO_REJECTED" => Registration::Rejected(verification.rejection_reason.0),
                    _ => Registration::Other(verification.status.0),
                };
                // Of several the one that is furthest.
                match all.iter_mut().find(|(of, _): &&mut (PhoneNumberSid, Registration)| *of == number) {
                    Some((_, known)) if rank(&state) > rank(known) => *known = state,
                    Some(_) => {}
                    None => all.push((number, state)),
                }
            }
            Ok(Page { value: (), items, next: page.meta.next_page_url })
        })
        .await?;
        Ok(all)
    }

    /// A list of the messaging product from its first page to its last. That credentials may not read it says nothing about them.
    async fn product_list(
        &self,
        credentials: &Credentials,
        operation: &'static str,
        path: String,
        mut read: impl FnMut(&[u8]) -> Result<Page<()>, String>,
    ) -> Result<(), Trouble> {
        let mut url = self.endpoints().url(Product::Messaging, &path);
        url.query_pairs_mut().append_pair("PageSize", &PAGE_SIZE.to_string());
        let call = Call::new(operation, Method::GET, url, credentials).beside_the_point();
        self.pages_below(path, call, |answer| read(&answer.body)).await
    }
}

fn rank(registration: &Registration) -> u8 {
    match registration {
        Registration::None => 0,
        Registration::Other(_) => 1,
        Registration::Rejected(_) => 2,
        Registration::Pending => 3,
        Registration::Approved => 4,
    }
}
