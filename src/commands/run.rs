//! `run`: the controller, from a validated configuration to its end.

use std::sync::Arc;

use anyhow::Context as _;
use ring::rand::SecureRandom as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Readiness};
use crate::cli::RunArgs;
use crate::clock::SharedClock;
use crate::config::Config;
use crate::controller::{self, Clients, Context};
use crate::telemetry::Metrics;
use crate::{probe, twilio};

/// Runs until `stop`.
///
/// # Errors
/// When a flag is wrong, or what it needs cannot be reached.
pub async fn run(args: &RunArgs, clock: SharedClock, stop: CancellationToken) -> anyhow::Result<()> {
    let kube_config =
        kube::Config::infer().await.context("no cluster: neither a service account nor a kubeconfig was found")?;
    let instance = hostname();
    let config = Config::new(args, &kube_config.default_namespace, &instance)?;
    let kube = kube::Client::try_from(kube_config).context("cannot make a Kubernetes client")?;
    let metrics = Arc::new(Metrics::default());
    let transport = twilio::network(&config.network).context("cannot make an HTTP client")?;
    let probe = probe::network(&config.probe).map_err(anyhow::Error::msg).context("cannot make an HTTP client")?;
    let observer = Arc::clone(&metrics);
    let twilio = twilio::Client::new(config.endpoints, transport, config.network.timeout)
        .with_observer(Arc::new(move |record| observer.called(record)));
    let mut salt = [0; 32];
    ring::rand::SystemRandom::new()
        .fill(&mut salt)
        .map_err(|_| anyhow::anyhow!("the system gives no random numbers"))?;

    let listener = TcpListener::bind(config.admin_listen)
        .await
        .with_context(|| format!("--admin-listen: cannot listen on {}", config.admin_listen))?;
    tracing::info!(admin = %listener.local_addr()?, installation = config.settings.defaults.installation.as_ref(), "starting");
    let readiness = Arc::new(Readiness::waiting_for([controller::WATCH.to_owned(), controller::LEDGER.to_owned()]));
    let router = admin::router(Arc::clone(&readiness), Arc::clone(&metrics));
    // The admin endpoints outlive the controller: while passes come to their end the process is alive and not ready.
    let admin_stop = CancellationToken::new();
    let admin = tokio::spawn(admin::serve(listener, router, admin_stop.clone()));

    let (context, ends) =
        Context::new(Clients { kube, twilio, probe }, clock, config.settings, metrics, salt, stop.clone());
    // Beside the passes: nobody waits for it, and it ends with the context's stop.
    let audit = tokio::spawn(controller::audit::run(Arc::clone(&context), config.audit_interval));
    let beside = tokio::spawn(controller::beside::run(Arc::clone(&context)));
    let controller = tokio::spawn(controller::run(context, ends, Arc::clone(&readiness)));
    let told = tokio::spawn({
        let (stop, readiness) = (stop.clone(), Arc::clone(&readiness));
        async move {
            stop.cancelled().await;
            readiness.stopping();
            tracing::info!("stopping: nothing new is sent, what was sent is recorded");
        }
    });
    controller.await.context("the controller ended unexpectedly")?;
    told.abort();
    audit.abort();
    beside.abort();
    admin_stop.cancel();
    admin.await.context("the admin endpoints ended unexpectedly")??;
    tracing::info!("stopped");
    Ok(())
}

fn hostname() -> String {
    std::fs::read_to_string("/etc/hostname")
        .map_or_else(|_| "clinic-phone-operator".to_owned(), |name| name.trim().to_owned())
}
