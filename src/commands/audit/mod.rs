//! `audit`: what the accounts hold beside the resources that exist, told to a person or a pipeline. It changes nothing.

mod table;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::config;
use crate::controller::accounts::Accounts;
use crate::controller::audit::{Looker, Reader};
use crate::domain::time::parse_duration;
use crate::plan::audit::{Ids, Report};
use crate::twilio;

use super::Answer;
use super::output::Output;

const MORE: &str = "\
What is compared:
  The accounts that the Secrets of ClinicPhoneNumbers name, and those that their status records. For
  each, Twilio's whole list of numbers is read once; of a number that a resource records and the list
  lacks, Twilio is asked by its SID; and prices are read where something is idle. Nothing is written:
  not at Twilio, not in the cluster.

Findings:
  Orphan          a number with this installation's mark and no resource: it goes on costing rent
  DuplicateTag    several numbers with one resource's tag
  NumberGone      a resource records a number that the account has no more
  IncompleteList  the list lacks numbers that are not gone; nothing else found in it is certain
  NotAudited      an account or a resource without usable credentials, or Twilio could not be asked
  Numbers without a mark and numbers of other installations are counted; nothing is wrong with them.

Rights:
  The kubeconfig's current context is used. It has to be allowed to list clinicphonenumbers (in all
  namespaces, or in each that --namespaces names) and to get the Secrets that they name.

Exit code:
  0  nothing is wrong
  1  the audit could not be completed; if a report was printed, it says which accounts are missing
  2  wrong usage
  3  there are findings

Examples:
  clinic-phone-operator audit --installation-id prod-montreal
  clinic-phone-operator audit --installation-id prod-montreal --output wide
  clinic-phone-operator audit --installation-id prod-montreal --output json |
    jq -r '.accounts[].findings[] | select(.kind == \"Orphan\") | .numbers[].phoneNumber'

What to do about each finding: docs/audit.md";

/// Compares what the Twilio accounts hold with the resources that exist, and tells; changes nothing.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = MORE)]
pub struct AuditArgs {
    /// The `--installation-id` of the operator whose numbers are looked for
    #[arg(long, env = "CPN_INSTALLATION_ID")]
    pub installation_id: String,
    /// The id that the installation had before: numbers with its tags are looked for too
    #[arg(long, env = "CPN_PREVIOUS_INSTALLATION_ID")]
    pub previous_installation_id: Option<String>,
    /// Namespaces that the operator serves, separated by commas. Default: all
    #[arg(long, env = "CPN_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// Base URL in place of Twilio's, for all its products. Plain http only on loopback
    #[arg(long, env = "CPN_TWILIO_URL")]
    pub twilio_url: Option<String>,
    /// The longest that one call to Twilio may take
    #[arg(long, env = "CPN_TWILIO_TIMEOUT", default_value = "30s", value_parser = parse_duration)]
    pub twilio_timeout: std::time::Duration,
    /// What is printed
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
}

/// There are findings.
const FINDINGS: u8 = 3;

/// One audit.
///
/// # Errors
/// When a flag is wrong, or the cluster cannot be asked.
pub async fn run(args: &AuditArgs, clock: SharedClock, stop: CancellationToken) -> anyhow::Result<Answer> {
    let (installation, previous) =
        config::installations(&args.installation_id, args.previous_installation_id.as_deref())?;
    let (endpoints, network) = (config::endpoints(args.twilio_url.as_deref())?, config::network(args.twilio_timeout));
    let kube_config =
        kube::Config::infer().await.context("no cluster: neither a kubeconfig nor a service account was found")?;
    let kube = kube::Client::try_from(kube_config).context("cannot make a Kubernetes client")?;
    let transport = twilio::network(&network).context("cannot make an HTTP client")?;
    let twilio = twilio::Client::new(endpoints, transport, network.timeout);
    let watched = std::io::stderr().is_terminal();
    let looker = Looker {
        kube: &kube,
        twilio: &twilio,
        clock: clock.as_ref(),
        gates: &Accounts::default(),
        // Fingerprints do not leave this process, which ends at once.
        salt: &[0; 32],
        ids: &Ids { installation, previous },
        namespaces: &config::namespaces(&args.namespaces),
        reader: Reader::Person,
        progress: &|done, of| {
            if watched {
                progress(&format!("\rread {done} of {of} Secrets and their accounts"));
            }
        },
    };
    let report = tokio::select! {
        report = looker.audit() => report,
        () = stop.cancelled() => anyhow::bail!("stopped"),
    };
    if watched {
        progress("\r\x1b[K");
    }
    let report = report.context("the audit could not be completed")?;
    Ok(Answer { text: args.output.render(&report, table::render)?, code: code(&report) })
}

/// What could not be asked is worse than what was found: nobody may read it as "all is well but for this".
fn code(report: &Report) -> ExitCode {
    match (report.unreachable(), report.summary.findings) {
        (true, _) => ExitCode::FAILURE,
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::from(FINDINGS),
    }
}

fn progress(text: &str) {
    use std::io::Write as _;
    // Nothing is lost if nobody sees it.
    drop(write!(std::io::stderr(), "{text}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AccountSid, E164, PhoneNumberSid};
    use crate::plan::audit::{AccountReport, Counts, Finding, FindingKind, Idle, NumberDetail, Obstacle, Summary};
    use crate::yaml;

    /// One account, which was not audited because of this; with a number of no mark.
    fn report(obstacle: Option<Obstacle>) -> Report {
        let finding = obstacle.map(|obstacle| Finding {
            kind: FindingKind::NotAudited,
            certain: true,
            obstacle: Some(obstacle),
            message: "in words".to_owned(),
            resource: None,
            tag: None,
            numbers: Vec::new(),
        });
        let untagged = NumberDetail {
            phone_number: E164::parse("+14185550001").unwrap(),
            phone_number_sid: PhoneNumberSid::parse(&format!("PN{:032x}", 1)).unwrap(),
            tag: None,
            label: "Fax".to_owned(),
            since: None,
            monthly_cost: None,
        };
        let findings: Vec<_> = finding.into_iter().collect();
        let summary = Summary {
            accounts: 1,
            audited: 1 - findings.len(),
            findings: findings.len(),
            idle_numbers: 0,
            idle_unpriced: 0,
            idle_monthly_cost: Vec::new(),
        };
        let account = AccountReport {
            account_sid: AccountSid::parse(&format!("AC{:032x}", 1)).unwrap(),
            audited: findings.is_empty(),
            list_complete: findings.is_empty(),
            numbers: Counts::default(),
            idle: Idle::default(),
            findings,
            untagged: vec![untagged],
            unknown_owner: Vec::new(),
        };
        Report { installation_id: "prod".to_owned(), summary, accounts: vec![account], unplaced: Vec::new() }
    }

    /// That Twilio could not be asked is a finding too, and still no answer.
    #[test]
    fn the_exit_code_tells_well_found_and_not_completed_apart() {
        for (obstacle, expected) in [
            (None, ExitCode::SUCCESS),
            (Some(Obstacle::NoCredentials), ExitCode::from(3)),
            (Some(Obstacle::CredentialsRefused), ExitCode::from(3)),
            (Some(Obstacle::Unreachable), ExitCode::from(1)),
        ] {
            assert_eq!(code(&report(obstacle)), expected, "{obstacle:?}");
        }
    }

    #[test]
    fn what_is_printed_is_what_was_asked_for() {
        let report = report(None);
        let printed = |output: Output| output.render(&report, table::render).unwrap();
        let (table, wide) = (printed(Output::Table), printed(Output::Wide));
        assert!(table.contains("Nothing is wrong") && !table.contains("Fax"), "{table}");
        assert!(wide.contains("Nothing is wrong") && wide.contains("Fax"), "{wide}");
        let (json, yaml) = (printed(Output::Json), printed(Output::Yaml));
        assert!(json.starts_with('{') && json.ends_with("}\n"), "{json}");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read, serde_json::to_value(&report).unwrap());
        assert_eq!(yaml::from_str::<serde_json::Value>(&yaml).unwrap(), read);
    }
}
