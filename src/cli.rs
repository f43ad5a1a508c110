//! The command line: types only. What they mean once validated is in [`crate::config`].

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::commands::audit::AuditArgs;
use crate::commands::inbox::InboxArgs;
use crate::commands::search::SearchArgs;
use crate::commands::simulate::SimulateArgs;
use crate::commands::test_sms::TestSmsArgs;
use crate::domain::ParseError;
use crate::domain::time::parse_duration;
use crate::telemetry::logs::LogFormat;

/// Buys, wires and keeps Twilio phone numbers that are declared as Kubernetes resources.
#[derive(Debug, Parser)]
#[command(name = "clinic-phone-operator", version, about, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller.
    Run(Box<RunArgs>),
    /// Compare what the Twilio accounts hold with the resources that exist, and tell; change nothing.
    Audit(AuditArgs),
    /// Show numbers on offer and what one would cost; buy nothing.
    Search(Box<SearchArgs>),
    /// Send an SMS through a number, or wait for one to it, and follow it; ask before it costs.
    TestSms(Box<TestSmsArgs>),
    /// Print the CustomResourceDefinition.
    Crd,
    /// Run the simulated Twilio: the API's behaviour without an account and without money.
    Simulate(SimulateArgs),
    /// Run a sample receive-sms webhook that checks signatures and keeps what came.
    Inbox(InboxArgs),
}

/// How to run the controller.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Name of this installation, kept in Git. It is part of every number's tag: a cluster rebuilt with the same id finds its
    /// numbers again; two clusters must never share one.
    #[arg(long, env = "CPN_INSTALLATION_ID")]
    pub installation_id: String,

    /// The id that this installation had before: numbers with its tags are ours, and are marked anew.
    #[arg(long, env = "CPN_PREVIOUS_INSTALLATION_ID")]
    pub previous_installation_id: Option<String>,

    /// Base URL in place of Twilio's, for all its products. Plain http only on loopback.
    #[arg(long, env = "CPN_TWILIO_URL")]
    pub twilio_url: Option<String>,

    /// Namespaces to serve, separated by commas. Default: all.
    #[arg(long, env = "CPN_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,

    /// The operator's own namespace, where the ledger of purchases is. Default: the one of its service account or kubeconfig.
    #[arg(long, env = "CPN_OPERATOR_NAMESPACE")]
    pub operator_namespace: Option<String>,

    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, env = "CPN_ADMIN_LISTEN", default_value = "0.0.0.0:8080")]
    pub admin_listen: SocketAddr,

    /// The webhook of resources without `spec.sms.webhookURL`; {namespace} and {name} are filled in.
    #[arg(long, env = "CPN_DEFAULT_SMS_WEBHOOK_URL")]
    pub default_sms_webhook_url: Option<String>,

    /// The fuse: at most so many purchases are begun in an hour, in all namespaces together.
    #[arg(long, env = "CPN_MAX_PURCHASES_PER_HOUR", default_value_t = 30)]
    pub max_purchases_per_hour: u32,

    /// How long something that was sent to Twilio may still take effect and then be missing from lists. Nothing is decided on its
    /// absence before.
    #[arg(long, env = "CPN_SETTLE_WINDOW", default_value = "2m", value_parser = parse_duration)]
    pub settle_window: Duration,

    /// The longest that one call to Twilio may take.
    #[arg(long, env = "CPN_TWILIO_TIMEOUT", default_value = "30s", value_parser = parse_duration)]
    pub twilio_timeout: Duration,

    /// How often a number is compared with what is wanted, unless its resource says otherwise.
    #[arg(long, env = "CPN_OBSERVE_INTERVAL", default_value = "1h", value_parser = parse_duration)]
    pub observe_interval: Duration,

    /// How often the accounts are compared with the resources that exist, which tells what costs rent and serves nobody; 0:
    /// never. The first time is within the hour after a start.
    #[arg(long, env = "CPN_AUDIT_INTERVAL", default_value = "24h", value_parser = parse_interval)]
    pub audit_interval: Duration,

    /// How often this month's usage and the prices are read, for each account; 0: never, and status does not have them. With the
    /// default six calls a day and account, for numbers of one country.
    #[arg(long, env = "CPN_USAGE_INTERVAL", default_value = "6h", value_parser = parse_interval)]
    pub usage_interval: Duration,

    /// Let `sms.verification: SignedRequest` call webhooks at private, loopback and cluster addresses. For tests: Twilio cannot reach
    /// them.
    #[arg(long, env = "CPN_ALLOW_PRIVATE_WEBHOOKS")]
    pub allow_private_webhooks: bool,

    /// How often it is looked at, for each account, whether a Messaging Service takes a number's messages, whether carriers let
    /// through what it sends, and whether the account is a trial one; 0: never, and `InboundSms` and `OutboundSms` rest on the
    /// number alone. With the default four calls a day and account, and four for each Messaging Service.
    #[arg(long, env = "CPN_MESSAGING_INTERVAL", default_value = "12h", value_parser = parse_interval)]
    pub messaging_interval: Duration,

    /// How many resources are worked on at once.
    #[arg(long, env = "CPN_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub concurrency: u16,

    /// How log lines look.
    #[arg(long, env = "CPN_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// Which log lines are written.
    #[arg(long, env = "CPN_LOG", default_value = "info")]
    pub log: String,

    /// Name under which events are written. Default: the host's name.
    #[arg(long, env = "CPN_INSTANCE")]
    pub instance: Option<String>,
}

/// A duration, or `0` for what is turned off.
fn parse_interval(text: &str) -> Result<Duration, ParseError> {
    if text == "0" { Ok(Duration::ZERO) } else { parse_duration(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
