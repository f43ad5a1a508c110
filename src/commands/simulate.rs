//! `simulate`: the simulated Twilio on a socket.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::listen;
use crate::clock::SharedClock;
use crate::simulator::{AccountSpec, Behaviour, Recorder, Settings, Simulator};

/// Runs a simulated Twilio: nothing is bought, nothing costs anything.
#[derive(Debug, Clone, clap::Args)]
pub struct SimulateArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, env = "CPN_SIM_LISTEN", default_value = "127.0.0.1:4010")]
    pub listen: SocketAddr,
    /// YAML file with the accounts; without it any well-formed account SID comes to life at first use
    #[arg(long, env = "CPN_SIM_ACCOUNTS", value_name = "FILE")]
    pub accounts: Option<PathBuf>,
    /// How long every answer takes
    #[arg(long, env = "CPN_SIM_LATENCY", default_value = "100ms", value_parser = crate::domain::time::parse_duration)]
    pub latency: Duration,
    /// How long a bought number is missing from lists
    #[arg(long, env = "CPN_SIM_LIST_LAG", default_value = "0ms", value_parser = crate::domain::time::parse_duration)]
    pub list_lag: Duration,
    /// Where inbound messages really go, whatever host the webhook names
    #[arg(long, env = "CPN_SIM_DELIVER_TO", value_name = "URL")]
    pub deliver_to: Option<Url>,
    /// File that keeps the state over restarts
    #[arg(long, env = "CPN_SIM_STATE", value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Folder to write exchanges into that differ from one another, for tests of the simulator itself
    #[arg(long, env = "CPN_SIM_RECORD", value_name = "DIR")]
    pub record: Option<PathBuf>,
    /// Listen on an address that other machines can reach
    #[arg(long, env = "CPN_SIM_ALLOW_REMOTE")]
    pub allow_remote: bool,
}

/// The accounts file: a list, or a list under `accounts`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountsFile {
    accounts: Vec<AccountSpec>,
}

fn read_accounts(text: &str) -> anyhow::Result<Vec<AccountSpec>> {
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with(['#', '%']) && *line != "---");
    // Errors without the lines around them: those are tokens.
    let options = serde_yaml::options! { with_snippet: false };
    if first.is_some_and(|line| line.trim_start().starts_with(['-', '['])) {
        return Ok(serde_yaml::from_str_with_options(text, options)?);
    }
    Ok(serde_yaml::from_str_with_options::<AccountsFile>(text, options)?.accounts)
}

fn build(args: &SimulateArgs, clock: SharedClock) -> anyhow::Result<Simulator> {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let recorder =
        args.record.as_deref().map(|folder| Recorder::into(folder).with_context(|| folder.display().to_string()));
    let settings = Settings {
        behaviour: Behaviour {
            latency_ms: millis(args.latency),
            list_lag_ms: millis(args.list_lag),
            ..Behaviour::default()
        },
        any_account: args.accounts.is_none(),
        deliver_to: args.deliver_to.clone(),
        record: recorder.transpose()?,
    };
    let shown = |path: &Path| path.display().to_string();
    let simulator = match &args.state {
        Some(path) => Simulator::open(settings, clock, path).with_context(|| shown(path))?,
        None => Simulator::new(settings, clock),
    };
    if let Some(path) = &args.accounts {
        let text = std::fs::read_to_string(path).with_context(|| shown(path))?;
        let accounts = read_accounts(&text).with_context(|| shown(path))?;
        simulator.add_new_accounts(accounts).map_err(anyhow::Error::msg).with_context(|| shown(path))?;
    }
    Ok(simulator)
}

/// Runs until told to stop.
///
/// # Errors
/// When a file cannot be read or the address cannot be listened on.
pub async fn run(args: SimulateArgs, clock: SharedClock, stop: CancellationToken) -> anyhow::Result<()> {
    let simulator = build(&args, clock)?;
    let listener = listen(args.listen, args.allow_remote).await?;
    println!("simulated Twilio on http://{}", listener.local_addr()?);
    Ok(simulator.serve(listener, stop).await?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clap::Parser;

    use super::*;
    use crate::clock::SystemClock;
    use crate::domain::AccountSid;
    use crate::simulator::{AccountStatus, AccountType, KeyType};

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: SimulateArgs,
    }

    const ACCOUNTS: &str = "\
- accountSid: AC00000000000000000000000000000001
  authToken: 00000000000000000000000000000001
  currency: CAD
  type: Trial
  status: suspended
  apiKeys:
    - {sid: SK00000000000000000000000000000001, secret: 0123456789, type: Main}
  numbers:
    - phoneNumber: +14185551234
      smsUrl: https://example.com/sms
";

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let args = Cli::parse_from(["simulate"]).args;
        assert_eq!(args.listen.to_string(), "127.0.0.1:4010");
        assert_eq!((args.latency, args.list_lag), (Duration::from_millis(100), Duration::ZERO));
        assert!(!args.allow_remote);
    }

    #[test]
    fn accounts_are_read_without_quotes_around_digits() {
        for text in [
            ACCOUNTS.to_owned(),
            format!("# comment\naccounts:\n{}", ACCOUNTS.replace('\n', "\n  ").replacen('-', "  -", 1)),
        ] {
            let accounts = read_accounts(&text).unwrap();
            let account = &accounts[0];
            assert_eq!(account.auth_token, "00000000000000000000000000000001");
            assert_eq!((account.kind, account.status), (AccountType::Trial, AccountStatus::Suspended));
            assert_eq!((account.api_keys[0].secret.as_str(), account.api_keys[0].kind), ("0123456789", KeyType::Main));
            assert_eq!(account.numbers[0].phone_number.as_str(), "+14185551234");
        }
    }

    #[test]
    fn a_mistake_is_named_without_the_secrets_around_it() {
        let error = read_accounts(&ACCOUNTS.replace("currency", "curency")).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("curency") && !text.contains("00000000000000000000000000000001"), "{text}");
    }

    #[tokio::test]
    async fn accounts_and_flags_reach_the_simulator() {
        let file = std::env::temp_dir().join(format!("cpn-accounts-{}.yaml", std::process::id()));
        std::fs::write(&file, ACCOUNTS).unwrap();
        let path = file.to_str().unwrap().to_owned();
        let args = Cli::parse_from(["simulate", "--accounts", &path, "--latency", "1s", "--list-lag", "2s"]).args;
        let simulator = build(&args, Arc::new(SystemClock)).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!((simulator.behaviour().latency_ms, simulator.behaviour().list_lag_ms), (1_000, 2_000));
        let sid = AccountSid::parse("AC00000000000000000000000000000001").unwrap();
        assert!(simulator.token(&sid).is_some() && simulator.numbers().len() == 1);
        assert!(build(&args, Arc::new(SystemClock)).is_err(), "the file is gone");
    }

    #[tokio::test]
    async fn it_stops_when_told() {
        let stop = CancellationToken::new();
        stop.cancel();
        let args = Cli::parse_from(["simulate", "--listen", "127.0.0.1:0"]).args;
        run(args, Arc::new(SystemClock), stop).await.unwrap();
        let remote = Cli::parse_from(["simulate", "--listen", "0.0.0.0:0"]).args;
        assert!(run(remote, Arc::new(SystemClock), CancellationToken::new()).await.is_err());
    }
}
