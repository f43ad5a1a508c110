//! A pure model of Twilio: numbers held, numbers on offer, a list that lags, and a POST that may act as an update.

use std::collections::BTreeMap;
use std::time::Duration;

use rust_decimal::Decimal;

use crate::domain::{
    AccountSid, AvailableNumber, Capabilities, Class, Currency, E164, Field, HttpMethod, IncomingNumber, Meaning,
    MessagingService, MessagingServiceSid, Moment, Now, NumberPrices, NumberType, Papers, PhoneNumberSid, Purchase,
    Trouble,
};

/// What a faulty call meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallFault {
    NotSent,
    LostBefore,
    LostAfter,
    /// The client gives up; the effect comes later, inside the window.
    Late,
    RefusedNumber,
    RefusedOtherwise,
    Unauthorized,
    Throttled,
    ServerBefore,
    ServerAfter,
}

#[derive(Debug, Clone)]
pub struct Stored {
    pub number: IncomingNumber,
    /// When lists begin to show it.
    pub listed: Moment,
}

#[derive(Debug, Clone)]
pub enum Effect {
    Buy(AccountSid, Purchase),
    Update(PhoneNumberSid, Vec<(Field, String)>),
    Release(PhoneNumberSid),
}

#[derive(Debug, Clone, Default)]
pub struct Twilio {
    pub held: BTreeMap<PhoneNumberSid, Stored>,
    pub stock: Vec<E164>,
    /// Whether a purchase of a number that the account holds acts as an update.
    pub upsert: bool,
    pub lag: Duration,
    pub late: Vec<(Moment, Effect)>,
    /// New sales: when, which number, with which label.
    pub sales: Vec<(Moment, E164, String)>,
    pub releases: Vec<E164>,
    /// Every change of a label or webhook: number, label before, label after.
    pub updates: Vec<(E164, String, String)>,
    pub calls: BTreeMap<&'static str, usize>,
    /// Answers every call that is not a fault with this.
    pub outage: Option<CallFault>,
    /// Answers every purchase or update with this refusal.
    pub refuses: Option<Class>,
    /// On offer, and refused when they are asked for.
    pub taken: Vec<E164>,
    /// On offer, and of another country or kind than the search's.
    pub elsewhere: Vec<E164>,
    /// The price of a number a month, in cents of a currency; `None`: not in the list.
    pub price: Option<(i64, &'static str)>,
    /// Answers every reading of prices with this refusal.
    pub hides_prices: Option<Class>,
    /// Every list is empty.
    pub blank_lists: bool,
    /// No number is known by its SID.
    pub unknown_sids: bool,
    /// Operations that the credentials may not use.
    pub denied: Vec<&'static str>,
    /// The account is suspended.
    pub suspended: bool,
    /// Answers every release with a refusal.
    pub keeps: bool,
    /// Takes every update, and another program sets `SmsUrl` back before it is answered.
    pub keeps_sms_url: bool,
    pub made: u32,
    /// What every country but the first two asks for, and what there is for it.
    pub papers: Papers,
    /// What every number on offer asks for.
    pub address: &'static str,
    /// The Messaging Services of the account.
    pub services: BTreeMap<MessagingServiceSid, MessagingService>,
    /// Which number is in which of them.
    pub members: BTreeMap<PhoneNumberSid, MessagingServiceSid>,
    /// Refuses to take any number out of a service.
    pub keeps_members: bool,
    /// A service that takes no more numbers.
    pub full: Option<MessagingServiceSid>,
}

pub fn sid(n: u32) -> PhoneNumberSid {
    PhoneNumberSid::parse(&format!("PN{n:032x}")).unwrap()
}

pub fn trouble(operation: &'static str, meaning: Meaning, class: Class) -> Trouble {
    let retry_after = (meaning == Meaning::Throttled).then_some(Duration::from_secs(2));
    Trouble {
        operation,
        meaning,
        class,
        http_status: None,
        code: None,
        detail: format!("{class:?}"),
        remedy: String::new(),
        retry_after,
        request_id: None,
    }
}

impl CallFault {
    pub fn trouble(self, operation: &'static str) -> Trouble {
        let (meaning, class) = match self {
            Self::NotSent => (Meaning::NotSent, Class::Unavailable),
            Self::LostBefore | Self::LostAfter | Self::Late | Self::ServerBefore | Self::ServerAfter => {
                (Meaning::Ambiguous, Class::Unavailable)
            }
            Self::RefusedNumber => (Meaning::RefusedNumber, Class::NumberUnavailable),
            Self::RefusedOtherwise => (Meaning::RefusedOtherwise, Class::RegulatoryDataRequired),
            Self::Unauthorized => (Meaning::Credentials, Class::CredentialsRejected),
            Self::Throttled => (Meaning::Throttled, Class::RateLimited),
        };
        trouble(operation, meaning, class)
    }

    /// How long the client waits for its answer.
    pub fn patience(self) -> Duration {
        match self {
            Self::LostBefore | Self::LostAfter | Self::Late => Duration::from_secs(30),
            _ => Duration::from_millis(100),
        }
    }
}

pub fn incoming(n: u32, account: &AccountSid, number: &E164, label: &str) -> IncomingNumber {
    IncomingNumber {
        sid: sid(n),
        account: account.clone(),
        phone_number: number.clone(),
        friendly_name: label.to_owned(),
        capabilities: Capabilities { sms: true, mms: false, voice: true, fax: false },
        number_type: None,
        origin: "twilio".into(),
        date_created: None,
        sms_url: String::new(),
        sms_method: HttpMethod::POST,
        sms_fallback_url: String::new(),
        sms_fallback_method: HttpMethod::POST,
        sms_application_sid: String::new(),
        voice_url: String::new(),
        voice_method: HttpMethod::POST,
        voice_fallback_url: String::new(),
        voice_fallback_method: HttpMethod::POST,
        voice_application_sid: String::new(),
        trunk_sid: String::new(),
        emergency_address_sid: String::new(),
    }
}

impl Twilio {
    /// A number is put into a service.
    ///
    /// # Errors
    /// As Twilio refuses it.
    pub fn join(&mut self, service: &MessagingServiceSid, sid: &PhoneNumberSid) -> Result<(), Trouble> {
        let refused = |class| Err(trouble("CreatePhoneNumber", Meaning::RefusedOtherwise, class));
        match self.members.get(sid) {
            _ if !self.services.contains_key(service) => refused(Class::NotFound),
            Some(in_it) if in_it == service => Ok(()),
            Some(_) => refused(Class::InvalidRequest),
            None if self.full.as_ref() == Some(service) => refused(Class::InvalidRequest),
            None => {
                self.members.insert(sid.clone(), service.clone());
                Ok(())
            }
        }
    }

    /// A number is taken out of a service; where it is not in it, nothing happens.
    ///
    /// # Errors
    /// As Twilio refuses it.
    pub fn leave(&mut self, service: &MessagingServiceSid, sid: &PhoneNumberSid) -> Result<(), Trouble> {
        if self.keeps_members {
            return Err(trouble("DeletePhoneNumber", Meaning::RefusedOtherwise, Class::InvalidRequest));
        }
        self.members.retain(|number, in_it| number != sid || in_it != service);
        Ok(())
    }

    /// Puts a number into an account, as a person would.
    pub fn give(&mut self, account: &AccountSid, number: &E164, label: &str, now: Now) -> PhoneNumberSid {
        self.made += 1;
        let mut it = incoming(self.made, account, number, label);
        it.date_created = Some(now.wall);
        let sid = it.sid.clone();
        self.stock.retain(|n| n != number);
        self.held.insert(sid.clone(), Stored { number: it, listed: now.boot });
        sid
    }

    pub fn holding(&self, account: &AccountSid, number: &E164) -> Option<&IncomingNumber> {
        self.held.values().map(|s| &s.number).find(|n| n.account == *account && n.phone_number == *number)
    }

    pub fn by_number(&mut self, number: &E164) -> Option<&mut IncomingNumber> {
        self.held.values_mut().map(|s| &mut s.number).find(|n| n.phone_number == *number)
    }

    pub fn list(&self, account: &AccountSid, now: Now) -> Vec<IncomingNumber> {
        self.held
            .values()
            .filter(|s| !self.blank_lists && s.number.account == *account && s.listed <= now.boot)
            .map(|s| s.number.clone())
            .collect()
    }

    pub fn prices(&self) -> Result<NumberPrices, Trouble> {
        if let Some(class) = self.hides_prices {
            return Err(trouble("FetchPhoneNumberCountry", Meaning::RefusedOtherwise, class));
        }
        let (_, currency) = self.price.unwrap_or((0, "USD"));
        let list = self.price.iter().map(|(cents, _)| (NumberType::Local, Decimal::new(*cents, 2))).collect();
        Ok(NumberPrices::new(Currency::parse(currency).unwrap(), list))
    }

    pub fn search(&self) -> Vec<AvailableNumber> {
        self.stock
            .iter()
            .filter(|n| !self.elsewhere.contains(n))
            .map(|n| AvailableNumber {
                phone_number: n.clone(),
                friendly_name: n.national(),
                locality: Some("Québec".into()),
                region: Some("QC".into()),
                country: None,
                capabilities: Capabilities { sms: true, ..Capabilities::default() },
                address_requirements: self.address.into(),
            })
            .collect()
    }

    /// What is under way for long enough takes effect.
    pub fn settle(&mut self, now: Now) {
        let (due, rest) = std::mem::take(&mut self.late).into_iter().partition(|(at, _)| *at <= now.boot);
        self.late = rest;
        let due: Vec<(Moment, Effect)> = due;
        for (at, effect) in due {
            let now = Now { wall: now.wall.saturating_sub(now.boot.since(at)).unwrap(), boot: at };
            // Nobody listens to the answer any more.
            drop(self.take_effect(&effect, now));
        }
    }

    pub fn take_effect(&mut self, effect: &Effect, now: Now) -> Result<IncomingNumber, Trouble> {
        match effect {
            Effect::Buy(account, purchase) => self.buy(account, purchase, now),
            Effect::Update(sid, fields) => self.update(sid, fields),
            Effect::Release(sid) => self.release(sid),
        }
    }

    fn buy(&mut self, account: &AccountSid, purchase: &Purchase, now: Now) -> Result<IncomingNumber, Trouble> {
        let operation = "CreateIncomingPhoneNumber";
        let number = &purchase.phone_number;
        if let Some(class) = self.refuses {
            return Err(trouble(operation, Meaning::RefusedOtherwise, class));
        }
        let mut fields = vec![(Field::FriendlyName, purchase.setup.friendly_name.clone())];
        if let Some(sms) = &purchase.setup.sms {
            fields.push((Field::SmsUrl, sms.url.clone()));
            fields.push((Field::SmsMethod, sms.method.to_string()));
            fields.push((Field::SmsApplicationSid, String::new()));
        }
        if let Some(held) = self.holding(account, number) {
            let sid = held.sid.clone();
            return if self.upsert {
                self.update(&sid, &fields)
            } else {
                Err(trouble(operation, Meaning::RefusedNumber, Class::NumberUnavailable))
            };
        }
        if !self.stock.contains(number) || self.taken.contains(number) {
            return Err(trouble(operation, Meaning::RefusedNumber, Class::NumberUnavailable));
        }
        let sid = self.give(account, number, "", now);
        let lag = self.lag;
        if let Some(stored) = self.held.get_mut(&sid) {
            stored.listed = now.boot.after(lag);
            set(&mut stored.number, &fields);
        }
        self.sales.push((now.boot, number.clone(), purchase.setup.friendly_name.clone()));
        Ok(self.held[&sid].number.clone())
    }

    fn update(&mut self, sid: &PhoneNumberSid, fields: &[(Field, String)]) -> Result<IncomingNumber, Trouble> {
        let operation = "UpdateIncomingPhoneNumber";
        if let Some(class) = self.refuses {
            return Err(trouble(operation, Meaning::RefusedOtherwise, class));
        }
        let Some(stored) = self.held.get_mut(sid) else {
            return Err(trouble(operation, Meaning::RefusedOtherwise, Class::NotFound));
        };
        let before = stored.number.friendly_name.clone();
        let webhook = stored.number.sms_url.clone();
        set(&mut stored.number, fields);
        if self.keeps_sms_url {
            stored.number.sms_url = webhook;
        }
        let after = stored.number.friendly_name.clone();
        self.updates.push((stored.number.phone_number.clone(), before, after));
        Ok(stored.number.clone())
    }

    fn release(&mut self, sid: &PhoneNumberSid) -> Result<IncomingNumber, Trouble> {
        let operation = "DeleteIncomingPhoneNumber";
        if self.keeps {
            return Err(trouble(operation, Meaning::RefusedOtherwise, Class::InvalidRequest));
        }
        let Some(stored) = self.held.remove(sid) else {
            return Err(trouble(operation, Meaning::RefusedOtherwise, Class::NotFound));
        };
        self.releases.push(stored.number.phone_number.clone());
        Ok(stored.number)
    }
}

fn set(number: &mut IncomingNumber, fields: &[(Field, String)]) {
    for (field, value) in fields {
        let value = value.clone();
        match field {
            Field::FriendlyName => number.friendly_name = value,
            Field::SmsUrl => number.sms_url = value,
            Field::SmsMethod => number.sms_method = HttpMethod::read(&value).unwrap(),
            Field::SmsFallbackUrl => number.sms_fallback_url = value,
            Field::SmsFallbackMethod => number.sms_fallback_method = HttpMethod::read(&value).unwrap(),
            Field::SmsApplicationSid => number.sms_application_sid = value,
            Field::VoiceUrl => number.voice_url = value,
            Field::VoiceMethod => number.voice_method = HttpMethod::read(&value).unwrap(),
            Field::VoiceFallbackUrl => number.voice_fallback_url = value,
            Field::VoiceFallbackMethod => number.voice_fallback_method = HttpMethod::read(&value).unwrap(),
            Field::VoiceApplicationSid => number.voice_application_sid = value,
            Field::TrunkSid => number.trunk_sid = value,
        }
    }
}
