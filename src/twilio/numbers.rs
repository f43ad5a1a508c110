//! The numbers that an account holds: list, look, buy, change, release
//! (<https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource>).

use std::collections::HashMap;

use http::Method;
use url::form_urlencoded::Serializer;

use super::page::{PAGE_SIZE, Page};
use super::wire::{self, Incoming, NumberPage};
use super::{Call, Client, Credentials};
use crate::clock::Fence;
use crate::domain::{AccountSid, Class, Field, IncomingNumber, PhoneNumberSid, Purchase, Trouble};

/// How a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Released {
    /// Twilio has taken the number back.
    Done,
    /// Twilio has no such number in this account: released before, or never there. Proves a release only if the
    /// credentials are known to be good.
    NotFound,
}

const LIST: &str = "IncomingPhoneNumbers.json";

impl Client {
    /// The whole list of the account's numbers, each once.
    ///
    /// A list with a hole proves nothing: an item or page that cannot be read, or is of another account, fails it all.
    ///
    /// # Errors
    /// When a page failed or cannot be used.
    pub async fn numbers(&self, credentials: &Credentials) -> Result<Vec<IncomingNumber>, Trouble> {
        let account = credentials.account();
        let mut url = self.endpoints().account_url(account, LIST);
        url.query_pairs_mut().append_pair("PageSize", &PAGE_SIZE.to_string());
        // A number that is bought meanwhile may shift another one to a page that is still to come.
        let mut seen = HashMap::new();
        let mut all: Vec<IncomingNumber> = Vec::new();
        let call = Call::new("ListIncomingPhoneNumber", Method::GET, url, credentials);
        self.pages(call, |answer| {
            let page: NumberPage = wire::decode(&answer.body)?;
            let items = page.incoming_phone_numbers.len();
            for item in page.incoming_phone_numbers {
                let item = of_account(item, account)?;
                if let Some(earlier) = seen.get(&item.sid).and_then(|index: &usize| all.get_mut(*index)) {
                    *earlier = item;
                } else {
                    seen.insert(item.sid.clone(), all.len());
                    all.push(item);
                }
            }
            Ok(Page { value: (), items, next: page.next_page_uri })
        })
        .await?;
        Ok(all)
    }

    /// One number by its SID; `None` only when Twilio itself says that the account has none such.
    ///
    /// # Errors
    /// When the call failed, or the answer is about another number.
    pub async fn number(
        &self,
        credentials: &Credentials,
        sid: &PhoneNumberSid,
    ) -> Result<Option<IncomingNumber>, Trouble> {
        let call = Call::new("FetchIncomingPhoneNumber", Method::GET, self.number_url(credentials, sid), credentials);
        match self.call(call, |answer| this_number(&answer.body, credentials.account(), sid)).await {
            Ok(number) => Ok(Some(number)),
            Err(trouble) if trouble.class == Class::NotFound => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// Buys one exact number, set up in the same call. Sends one request at most, and none once the fence is closed.
    ///
    /// Buying a number that the account holds already may act as an update and answer like a purchase, with another
    /// mark overwritten: look first.
    ///
    /// # Errors
    /// When the call failed or its outcome is unknown; see [`Trouble::meaning`].
    pub async fn buy(
        &self,
        credentials: &Credentials,
        purchase: &Purchase,
        fence: &Fence,
    ) -> Result<IncomingNumber, Trouble> {
        let url = self.endpoints().account_url(credentials.account(), LIST);
        let call = Call::new("CreateIncomingPhoneNumber", Method::POST, url, credentials)
            .form(purchase_form(purchase))
            .fenced(Some(fence))
            // 201 is documented; an already held number has been seen with either.
            .accepting(&[201, 200]);
        self.call(call, |answer| {
            let number = of_account(wire::decode(&answer.body)?, credentials.account())?;
            if number.phone_number == purchase.phone_number {
                Ok(number)
            } else {
                Err("it is about another number than the one asked for".to_owned())
            }
        })
        .await
    }

    /// Sets fields of a held number; an empty value clears, what is not named stays. Sends nothing once the fence is closed.
    ///
    /// # Errors
    /// When the call failed, its outcome is unknown, or the answer is about another number.
    pub async fn update(
        &self,
        credentials: &Credentials,
        sid: &PhoneNumberSid,
        fields: &[(Field, String)],
        fence: &Fence,
    ) -> Result<IncomingNumber, Trouble> {
        // Finished at once: the serializer is not `Send` and must not live across the call.
        let form = Serializer::new(String::new()).extend_pairs(fields.iter().map(|(f, v)| (f.parameter(), v))).finish();
        let url = self.number_url(credentials, sid);
        let call =
            Call::new("UpdateIncomingPhoneNumber", Method::POST, url, credentials).form(form).fenced(Some(fence));
        self.call(call, |answer| this_number(&answer.body, credentials.account(), sid)).await
    }

    /// Gives a number back for good. Sends one request at most, and none once the fence is closed.
    ///
    /// # Errors
    /// When Twilio refuses (a registered emergency address, for instance) or the outcome is unknown.
    pub async fn release(
        &self,
        credentials: &Credentials,
        sid: &PhoneNumberSid,
        fence: &Fence,
    ) -> Result<Released, Trouble> {
        let url = self.number_url(credentials, sid);
        let call = Call::new("DeleteIncomingPhoneNumber", Method::DELETE, url, credentials)
            .fenced(Some(fence))
            .accepting(&[204]);
        match self.call(call, |_| Ok(Released::Done)).await {
            Err(trouble) if trouble.class == Class::NotFound => Ok(Released::NotFound),
            other => other,
        }
    }

    fn number_url(&self, credentials: &Credentials, sid: &PhoneNumberSid) -> url::Url {
        self.endpoints().account_url(credentials.account(), &format!("IncomingPhoneNumbers/{sid}.json"))
    }
}

fn of_account(item: Incoming, account: &AccountSid) -> Result<IncomingNumber, String> {
    let number = IncomingNumber::from(item);
    if number.account == *account { Ok(number) } else { Err("it is about a number of another account".to_owned()) }
}

fn this_number(body: &[u8], account: &AccountSid, sid: &PhoneNumberSid) -> Result<IncomingNumber, String> {
    let number = of_account(wire::decode(body)?, account)?;
    if number.sid == *sid { Ok(number) } else { Err("it is about another number than the one asked for".to_owned()) }
}

/// The purchase as Twilio wants it. Unknown parameters are ignored in silence there, so that the names are exact.
pub(super) fn purchase_form(purchase: &Purchase) -> String {
    let mut form = Serializer::new(String::new());
    let setup = &purchase.setup;
    form.append_pair("PhoneNumber", purchase.phone_number.as_str());
    form.append_pair(Field::FriendlyName.parameter(), &setup.friendly_name);
    if let Some(sms) = &setup.sms {
        form.append_pair(Field::SmsUrl.parameter(), &sms.url);
        form.append_pair(Field::SmsMethod.parameter(), sms.method.as_str());
        if let Some((url, method)) = &sms.fallback {
            form.append_pair(Field::SmsFallbackUrl.parameter(), url);
            form.append_pair(Field::SmsFallbackMethod.parameter(), method.as_str());
        }
        // An application would make Twilio ignore the URL above; a new number has none unless the call acts as an update.
        form.append_pair(Field::SmsApplicationSid.parameter(), "");
    }
    if let Some(voice) = &setup.voice {
        form.append_pair(Field::VoiceUrl.parameter(), &voice.url);
        form.append_pair(Field::VoiceMethod.parameter(), voice.method.as_str());
        if let Some((url, method)) = &voice.fallback {
            form.append_pair(Field::VoiceFallbackUrl.parameter(), url);
            form.append_pair(Field::VoiceFallbackMethod.parameter(), method.as_str());
        }
    }
    let regulatory = &purchase.regulatory;
    if let Some(address) = &regulatory.address {
        form.append_pair("AddressSid", address.as_str());
    }
    if let Some(bundle) = &regulatory.bundle {
        form.append_pair("BundleSid", bundle.as_str());
    }
    if let Some(identity) = &regulatory.identity {
        form.append_pair("IdentitySid", identity.as_str());
    }
    form.finish()
}
