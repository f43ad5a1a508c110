//! Messaging Services, and how far the registrations are that carriers ask for
//! (<https://www.twilio.com/docs/messaging/api/service-resource>).
//!
//! Nothing tells of a number which service it is in: the services are listed, and the numbers of each. The product is asked
//! with the credentials' own account; those of a parent account list the parent's services, which is noticed.

use http::Method;
use url::form_urlencoded::Serializer;

use super::page::{PAGE_SIZE, Page};
use super::wire::{
    self, CampaignPage, ServiceNumberPage, ServicePage, VerificationPage, WireService, WireServiceNumber,
};
use super::{Call, Client, Credentials, Product};
use crate::clock::Fence;
use crate::domain::{
    AccountSid, Class, Meaning, MessagingService, MessagingServiceSid, PhoneNumberSid, Registration, Trouble,
};

const SERVICES: &str = "/v1/Services";
const VERIFICATIONS: &str = "/v1/Tollfree/Verifications";
/// The number is in this very service (<https://www.twilio.com/docs/api/errors/21710>).
const ALREADY_IN: u32 = 21_710;
/// The number is not in this service (<https://www.twilio.com/docs/api/errors/21711>).
const NOT_IN: u32 = 21_711;
const ANOTHER_SERVICE: &str = "it is about another Messaging Service than the one asked for";

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
                all.push(of_account(service, credentials.account())?);
            }
            Ok(Page { value: (), items, next: page.meta.next_page_url })
        })
        .await?;
        Ok(all)
    }

    /// One Messaging Service.
    ///
    /// # Errors
    /// When the account has none such, the call failed, or the answer is about another service.
    pub async fn messaging_service(
        &self,
        credentials: &Credentials,
        service: &MessagingServiceSid,
    ) -> Result<MessagingService, Trouble> {
        let url = self.endpoints().url(Product::Messaging, &format!("{SERVICES}/{service}"));
        let call = Call::new("FetchService", Method::GET, url, credentials).beside_the_point();
        let read = self.call(call, |answer| {
            let read: WireService = wire::decode(&answer.body)?;
            if read.sid == *service { Ok(read) } else { Err(ANOTHER_SERVICE.to_owned()) }
        });
        // A parent account's credentials see the parent's services, and always will.
        of_account(read.await?, credentials.account()).map_err(|detail| Trouble {
            operation: "FetchService",
            meaning: Meaning::RefusedOtherwise,
            class: Class::NotFound,
            http_status: None,
            code: None,
            detail,
            remedy: String::new(),
            retry_after: None,
            request_id: None,
        })
    }

    /// Puts a number into a Messaging Service; also fine where it is in it already. Sends nothing once the fence is closed.
    ///
    /// # Errors
    /// When Twilio refuses (the number is in another service, the service is full), or the outcome is unknown.
    pub async fn join_service(
        &self,
        credentials: &Credentials,
        service: &MessagingServiceSid,
        number: &PhoneNumberSid,
        fence: &Fence,
    ) -> Result<(), Trouble> {
        let url = self.endpoints().url(Product::Messaging, &format!("{SERVICES}/{service}/PhoneNumbers"));
        let form = Serializer::new(String::new()).append_pair("PhoneNumberSid", number.as_str()).finish();
        let call = Call::new("CreatePhoneNumber", Method::POST, url, credentials)
            .form(form)
            .fenced(Some(fence))
            .accepting(&[201, 200])
            .beside_the_point();
        match self.call(call, |answer| member(&answer.body, service, number)).await {
            Err(trouble) if trouble.code == Some(ALREADY_IN) => Ok(()),
            joined => joined,
        }
    }

    /// Takes a number out of a Messaging Service; `false`: Twilio knows of no such number or service, which a look
    /// ([`Client::is_in_service`]) may confirm. The number stays in the account. Sends nothing once the fence is closed.
    ///
    /// # Errors
    /// When Twilio refuses, or the outcome is unknown.
    pub async fn leave_service(
        &self,
        credentials: &Credentials,
        service: &MessagingServiceSid,
        number: &PhoneNumberSid,
        fence: &Fence,
    ) -> Result<bool, Trouble> {
        let url = self.member_url(service, number);
        let call = Call::new("DeletePhoneNumber", Method::DELETE, url, credentials)
            .fenced(Some(fence))
            .accepting(&[204])
            .beside_the_point();
        match self.call(call, |_| Ok(true)).await {
            Err(trouble) if trouble.code == Some(NOT_IN) => Ok(true),
            Err(trouble) if trouble.class == Class::NotFound => Ok(false),
            left => left,
        }
    }

    /// Whether a number is in a Messaging Service.
    ///
    /// # Errors
    /// When the call failed, or the answer is about another number.
    pub async fn is_in_service(
        &self,
        credentials: &Credentials,
        service: &MessagingServiceSid,
        number: &PhoneNumberSid,
    ) -> Result<bool, Trouble> {
        let url = self.member_url(service, number);
        let call = Call::new("FetchPhoneNumber", Method::GET, url, credentials).beside_the_point();
        match self.call(call, |answer| member(&answer.body, service, number)).await {
            Ok(()) => Ok(true),
            Err(trouble) if trouble.class == Class::NotFound || trouble.code == Some(NOT_IN) => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    fn member_url(&self, service: &MessagingServiceSid, number: &PhoneNumberSid) -> url::Url {
        self.endpoints().url(Product::Messaging, &format!("{SERVICES}/{service}/PhoneNumbers/{number}"))
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

fn member(body: &[u8], service: &MessagingServiceSid, number: &PhoneNumberSid) -> Result<(), String> {
    let member: WireServiceNumber = wire::decode(body)?;
    if member.service_sid.0 != service.as_str() {
        return Err(ANOTHER_SERVICE.to_owned());
    }
    if member.sid == *number { Ok(()) } else { Err("it is about another number than the one asked for".to_owned()) }
}

fn of_account(service: WireService, account: &AccountSid) -> Result<MessagingService, String> {
    if service.account_sid != *account {
        return Err("it is about another account: credentials of a parent account list the parent's own".to_owned());
    }
    Ok(MessagingService {
        sid: service.sid,
        name: service.friendly_name.0,
        inbound_url: service.inbound_request_url.0,
        inbound_method: wire::method(&service.inbound_method),
        on_number: service.use_inbound_webhook_on_number.0.eq_ignore_ascii_case("true"),
    })
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
