//! What every pass shares. Built once; no globals.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::reflector::{self, ObjectRef, Store};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::api::ClinicPhoneNumber;
use crate::clock::SharedClock;
use crate::domain::{AccountSid, Now};
use crate::plan::ObjectKey;
use crate::plan::desired::Defaults;
use crate::telemetry::Metrics;
use crate::{probe, twilio};

use super::accounts::Accounts;
use super::findings::Findings;
use super::ledger::Ledger;
use super::memory::Memories;
use super::{figures, reach, verify};

/// How the controller behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What shapes a wish.
    pub defaults: Defaults,
    /// How long something that was sent may still take effect (`--settle-window`).
    pub settle_window: Duration,
    /// After a stamp was asked for, so long may sending take to begin.
    pub send_within: Duration,
    /// First attempts at purchases per hour, for the whole installation.
    pub max_purchases_per_hour: u32,
    /// Namespaces to serve; empty: all.
    pub namespaces: Vec<String>,
    /// Where the ledger is.
    pub operator_namespace: String,
    /// How often usage and prices are read; zero: never.
    pub usage_interval: Duration,
    /// How often Messaging Services, registrations and the account itself are looked at; zero: never.
    pub messaging_interval: Duration,
    /// How many resources are worked on at once.
    pub concurrency: u16,
    /// Who writes events: the pod's name.
    pub instance: String,
}

/// Whom it talks to.
pub struct Clients {
    /// The API server.
    pub kube: kube::Client,
    /// Twilio.
    pub twilio: twilio::Client,
    /// Webhooks that are to be tried.
    pub probe: probe::Transport,
}

/// What every pass shares.
pub struct Context {
    /// The API server.
    pub kube: kube::Client,
    /// Twilio.
    pub twilio: twilio::Client,
    /// The clocks.
    pub clock: SharedClock,
    /// How to behave.
    pub settings: Settings,
    /// The purchases of the last day.
    pub ledger: Ledger,
    /// One gate per Twilio account.
    pub accounts: Accounts,
    /// Usage and prices, as they were read last.
    pub figures: Findings<AccountSid, figures::Kept>,
    /// What stands between numbers and their messages, as it was read last.
    pub reach: Findings<AccountSid, reach::Kept>,
    /// What became of the last try of each webhook.
    pub verified: Findings<ObjectKey, verify::Kept>,
    /// The way to webhooks.
    pub probe: probe::Transport,
    /// What is remembered between passes.
    pub memories: Memories,
    /// Every resource, as the watches last told: one store for each namespace that is served, or one for all.
    pub stores: Vec<Store<ClinicPhoneNumber>>,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// Ask for a pass of another resource; one channel for each store.
    pub pokes: Vec<mpsc::UnboundedSender<ObjectRef<ClinicPhoneNumber>>>,
    /// Salt of credential fingerprints: they mean nothing outside this process.
    pub salt: [u8; 32],
    /// The process is stopping: nothing new is sent.
    pub stop: CancellationToken,
}

/// The ends that [`super::run`] drives: where the watch writes to, and where pokes come from.
pub struct Ends {
    /// The store's writer.
    pub writer: reflector::store::Writer<ClinicPhoneNumber>,
    /// Pokes.
    pub pokes: mpsc::UnboundedReceiver<ObjectRef<ClinicPhoneNumber>>,
}

impl Context {
    /// Builds a context and the ends that drive it.
    pub fn new(
        clients: Clients,
        clock: SharedClock,
        settings: Settings,
        metrics: Arc<Metrics>,
        salt: [u8; 32],
        stop: CancellationToken,
    ) -> (Arc<Self>, Vec<Ends>) {
        let Clients { kube, twilio, probe } = clients;
        let ledger = Ledger::new(
            kube.clone(),
            &settings.operator_namespace,
            Arc::clone(&clock),
            settings.max_purchases_per_hour,
            settings.settle_window,
        );
        let (mut stores, mut senders, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..settings.namespaces.len().max(1) {
            let (store, writer) = reflector::store();
            let (sender, pokes) = mpsc::unbounded_channel();
            stores.push(store);
            senders.push(sender);
            ends.push(Ends { writer, pokes });
        }
        let (accounts, memories) = (Accounts::default(), Memories::default());
        let context = Self {
            kube,
            twilio,
            clock,
            settings,
            ledger,
            accounts,
            figures: Findings::default(),
            reach: Findings::default(),
            verified: Findings::default(),
            probe,
            memories,
            stores,
            metrics,
            pokes: senders,
            salt,
            stop,
        };
        (Arc::new(context), ends)
    }

    /// Every resource that the watches know.
    pub fn known(&self) -> impl Iterator<Item = Arc<ClinicPhoneNumber>> + '_ {
        self.stores.iter().flat_map(Store::state)
    }

    /// Asks for a pass of a resource.
    pub fn poke(&self, key: &ObjectKey) {
        let index = self.settings.namespaces.iter().position(|n| *n == key.namespace).unwrap_or(0);
        if let Some(pokes) = self.pokes.get(index) {
            // A closed channel means that the controller is gone, and then there is nothing to ask.
            drop(pokes.send(ObjectRef::new(&key.name).within(&key.namespace)));
        }
    }

    /// The time, as status can hold it.
    pub fn now(&self) -> Now {
        self.clock.now().whole_seconds()
    }

    /// Whether the process is stopping.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// The API of resources in one namespace.
    pub fn resources(&self, namespace: &str) -> kube::Api<ClinicPhoneNumber> {
        kube::Api::namespaced(self.kube.clone(), namespace)
    }

    /// The APIs that together show every resource that is served.
    pub fn all_resources(&self) -> Vec<kube::Api<ClinicPhoneNumber>> {
        if self.settings.namespaces.is_empty() {
            return vec![kube::Api::all(self.kube.clone())];
        }
        self.settings.namespaces.iter().map(|n| self.resources(n)).collect()
    }
}
