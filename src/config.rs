//! From flags to a configuration that can be run: every contradiction is found here, before anything is started.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use url::Url;

use crate::cli::RunArgs;
use crate::controller::Settings;
use crate::domain::InstallationId;
use crate::plan::desired::Defaults;
use crate::probe;
use crate::twilio::{Endpoints, NetworkOptions};

/// After a stamp was asked for, sending may begin within this time.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// The kernel gives unacknowledged data up after this time.
const USER_TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the controller runs with.
#[derive(Debug)]
pub struct Config {
    /// The controller's settings.
    pub settings: Settings,
    /// Where Twilio is.
    pub endpoints: Endpoints,
    /// How Twilio is called.
    pub network: NetworkOptions,
    /// Where the admin endpoints are.
    pub admin_listen: SocketAddr,
    /// How webhooks are called.
    pub probe: probe::Options,
    /// How often accounts are audited; zero: never.
    pub audit_interval: Duration,
}

/// A flag that cannot be, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{flag}: {problem}")]
pub struct ConfigError {
    /// The flag.
    pub flag: &'static str,
    /// What is wrong and what to do.
    pub problem: String,
}

fn wrong(flag: &'static str, problem: impl std::fmt::Display) -> ConfigError {
    ConfigError { flag, problem: problem.to_string() }
}

impl Config {
    /// Validates flags. `namespace` and `instance` are what the surroundings say, used where no flag does.
    ///
    /// # Errors
    /// Names the flag and the remedy.
    pub fn new(args: &RunArgs, namespace: &str, instance: &str) -> Result<Self, ConfigError> {
        let (installation, previous) = installations(&args.installation_id, args.previous_installation_id.as_deref())?;
        let endpoints = endpoints(args.twilio_url.as_deref())?;
        let timeout = args.twilio_timeout;
        if timeout < Duration::from_millis(100) {
            return Err(wrong("--twilio-timeout", "the shortest is 100ms"));
        }
        // Nothing that was sent under a stamp can take effect later than this: the window has to be longer.
        let (send_within, user_timeout) = (SEND_WITHIN.min(timeout), USER_TIMEOUT.min(timeout));
        let floor = send_within + timeout + user_timeout;
        if args.settle_window <= floor {
            return Err(wrong(
                "--settle-window",
                format!(
                    "{:?} is too short: something that was sent may take effect up to {floor:?} later (time to send, --twilio-timeout, time in the kernel); \
                     set it above that, or lower --twilio-timeout",
                    args.settle_window
                ),
            ));
        }
        if args.observe_interval < Duration::from_secs(1) {
            return Err(wrong("--observe-interval", "the shortest is 1s"));
        }
        if !args.audit_interval.is_zero() && args.audit_interval < Duration::from_secs(1) {
            return Err(wrong("--audit-interval", "the shortest is 1s; 0 turns the audit off"));
        }
        if !args.usage_interval.is_zero() && args.usage_interval < Duration::from_secs(1) {
            return Err(wrong("--usage-interval", "the shortest is 1s; 0 turns usage and prices in status off"));
        }
        if !args.messaging_interval.is_zero() && args.messaging_interval < Duration::from_secs(1) {
            return Err(wrong("--messaging-interval", "the shortest is 1s; 0 turns it off"));
        }
        if let Some(url) = args.default_sms_webhook_url.as_deref().filter(|url| !url.is_empty()) {
            let parsed = Url::parse(&url.replace("{namespace}", "n").replace("{name}", "n"));
            let parsed = parsed
                .map_err(|e| wrong("--default-sms-webhook-url", format!("{e}; write it as https://host/path")))?;
            if parsed.scheme() != "https" || !parsed.username().is_empty() || parsed.password().is_some() {
                return Err(wrong(
                    "--default-sms-webhook-url",
                    "it must be https, without user and password: Twilio has to reach it",
                ));
            }
        }
        let operator_namespace =
            args.operator_namespace.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| namespace.to_owned());
        Ok(Self {
            settings: Settings {
                defaults: Defaults {
                    installation,
                    previous_installation: previous,
                    sms_webhook_url: args.default_sms_webhook_url.clone().filter(|url| !url.is_empty()),
                    observe_interval: args.observe_interval,
                },
                settle_window: args.settle_window,
                send_within,
                max_purchases_per_hour: args.max_purchases_per_hour,
                namespaces: namespaces(&args.namespaces),
                operator_namespace,
                usage_interval: args.usage_interval,
                messaging_interval: args.messaging_interval,
                concurrency: args.concurrency,
                instance: args.instance.clone().unwrap_or_else(|| instance.to_owned()),
            },
            endpoints,
            network: network(timeout),
            probe: probe::Options { allow_private: args.allow_private_webhooks, ..probe::Options::default() },
            admin_listen: args.admin_listen,
            audit_interval: args.audit_interval,
        })
    }
}

/// The id of this installation, and the one that it had before.
pub(crate) fn installations(
    id: &str,
    previous: Option<&str>,
) -> Result<(InstallationId, Option<InstallationId>), ConfigError> {
    let installation = InstallationId::parse(id).map_err(|e| wrong("--installation-id", e.problem))?;
    let previous = previous.filter(|id| !id.is_empty()).map(InstallationId::parse).transpose();
    let previous = previous.map_err(|e| wrong("--previous-installation-id", e.problem))?;
    if previous.as_ref() == Some(&installation) {
        return Err(wrong("--previous-installation-id", "it is the same as --installation-id; remove it"));
    }
    Ok((installation, previous))
}

/// Where Twilio is.
pub(crate) fn endpoints(url: Option<&str>) -> Result<Endpoints, ConfigError> {
    let endpoints = match url.filter(|url| !url.is_empty()) {
        None => Endpoints::twilio(),
        Some(url) => {
            let url =
                Url::parse(url).map_err(|e| wrong("--twilio-url", format!("{e}; write it as https://host[:port]")))?;
            Endpoints::single(url)
        }
    };
    endpoints.map_err(|e| wrong("--twilio-url", e))
}

/// The namespaces to serve, sorted and each once; empty: all.
pub(crate) fn namespaces(named: &[String]) -> Vec<String> {
    let mut namespaces: Vec<_> = named.iter().map(|n| n.trim().to_owned()).filter(|n| !n.is_empty()).collect();
    namespaces.sort();
    namespaces.dedup();
    namespaces
}

/// A variable of the environment that is no flag.
#[expect(clippy::disallowed_methods, reason = "a secret is never a flag: other users of the machine see those")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The text of a file; `-` is standard input.
pub(crate) fn text(path: &Path) -> std::io::Result<String> {
    if path == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) }
}

/// How Twilio is called, when one call may take so long.
pub(crate) fn network(timeout: Duration) -> NetworkOptions {
    NetworkOptions {
        connect_timeout: CONNECT_TIMEOUT.min(timeout),
        timeout,
        user_timeout: USER_TIMEOUT.min(timeout),
        ..NetworkOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;

    #[allow(clippy::unwrap_in_result, reason = "flags that clap refuses are a mistake of the test")]
    fn config(flags: &[&str]) -> Result<Config, ConfigError> {
        let all = ["clinic-phone-operator", "run"].iter().chain(flags);
        let Command::Run(args) = Cli::try_parse_from(all).unwrap().command else { panic!("not run") };
        Config::new(&args, "operators", "host")
    }

    #[test]
    fn defaults_are_as_documented() {
        let config = config(&["--installation-id", "prod"]).unwrap();
        assert_eq!(config.settings.settle_window, Duration::from_secs(120));
        assert_eq!(config.settings.max_purchases_per_hour, 30);
        assert_eq!(config.settings.operator_namespace, "operators");
        assert!(config.settings.namespaces.is_empty());
        assert_eq!(config.audit_interval, Duration::from_secs(24 * 3600));
        assert_eq!(config.settings.usage_interval, Duration::from_secs(6 * 3600));
        assert_eq!(config.settings.messaging_interval, Duration::from_secs(12 * 3600));
    }

    #[test]
    fn the_audit_can_be_turned_off() {
        for zero in ["0", "0s"] {
            let config = config(&["--installation-id", "p", "--audit-interval", zero]).unwrap();
            assert_eq!(config.audit_interval, Duration::ZERO);
        }
    }

    #[test]
    fn the_window_has_a_floor_above_everything_that_may_still_take_effect() {
        let error = config(&["--installation-id", "p", "--settle-window", "60s"]).unwrap_err();
        assert_eq!(error.flag, "--settle-window");
        assert!(error.problem.contains("60s"), "{error}");
        config(&["--installation-id", "p", "--settle-window", "61s"]).unwrap();
        config(&["--installation-id", "p", "--settle-window", "4s", "--twilio-timeout", "1s"]).unwrap();
        assert!(config(&["--installation-id", "p", "--settle-window", "3s", "--twilio-timeout", "1s"]).is_err());
    }

    #[test]
    fn contradictions_name_the_flag() {
        for (flags, flag) in [
            (&["--installation-id", ""][..], "--installation-id"),
            (&["--installation-id", "a b"], "--installation-id"),
            (&["--installation-id", "p", "--previous-installation-id", "p"], "--previous-installation-id"),
            (&["--installation-id", "p", "--twilio-url", "http://example.com"], "--twilio-url"),
            (&["--installation-id", "p", "--twilio-url", "nonsense"], "--twilio-url"),
            (&["--installation-id", "p", "--observe-interval", "10ms"], "--observe-interval"),
            (&["--installation-id", "p", "--audit-interval", "10ms"], "--audit-interval"),
            (&["--installation-id", "p", "--usage-interval", "10ms"], "--usage-interval"),
            (&["--installation-id", "p", "--messaging-interval", "10ms"], "--messaging-interval"),
            (
                &["--installation-id", "p", "--default-sms-webhook-url", "http://example.com"],
                "--default-sms-webhook-url",
            ),
        ] {
            assert_eq!(config(flags).unwrap_err().flag, flag, "{flags:?}");
        }
    }

    #[test]
    fn namespaces_are_cleaned() {
        assert_eq!(
            config(&["--installation-id", "p", "--namespaces", "b, a,b,"]).unwrap().settings.namespaces,
            ["a", "b"]
        );
    }
}
