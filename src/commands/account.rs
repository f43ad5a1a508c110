//! The account that a command asks Twilio with: from the environment, or from a Secret's manifest in a file.
//!
//! Never from a flag: other users of the machine see those.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;

use crate::config;
use crate::domain::time::parse_duration;
use crate::twilio::{self, Client, Credentials, SecretKeys};
use crate::yaml;

/// Which account, and where Twilio is.
#[derive(Debug, Clone, clap::Args)]
pub struct AccountArgs {
    /// A Secret's manifest with the credentials, under the keys that a ClinicPhoneNumber's Secret has; - reads it from
    /// standard input. Without it they are read from `TWILIO_ACCOUNT_SID` with `TWILIO_AUTH_TOKEN`, or with
    /// `TWILIO_API_KEY` and `TWILIO_API_SECRET`
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Base URL in place of Twilio's, for all its products. Plain http only on loopback
    #[arg(long, env = "CPN_TWILIO_URL")]
    pub twilio_url: Option<String>,
    /// The longest that one call to Twilio may take
    #[arg(long, env = "CPN_TWILIO_TIMEOUT", default_value = "30s", value_parser = parse_duration)]
    pub twilio_timeout: Duration,
}

impl AccountArgs {
    /// A client of Twilio, and the credentials to ask it with.
    pub(super) fn open(&self) -> anyhow::Result<(Client, Credentials)> {
        let credentials = match &self.secret_file {
            None => of_environment(config::variable)?,
            Some(path) => {
                let text = config::text(path).with_context(|| format!("--secret-file {}", path.display()))?;
                of_secret(&text).with_context(|| format!("--secret-file {}", path.display()))?
            }
        };
        let (endpoints, network) =
            (config::endpoints(self.twilio_url.as_deref())?, config::network(self.twilio_timeout));
        let transport = twilio::network(&network).context("cannot make an HTTP client")?;
        Ok((Client::new(endpoints, transport, network.timeout), credentials))
    }
}

/// The names that Twilio's own command line reads (<https://www.twilio.com/docs/twilio-cli/general-usage/profiles>).
fn of_environment(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Credentials> {
    let keys = SecretKeys {
        account_sid: "TWILIO_ACCOUNT_SID".to_owned(),
        auth_token: "TWILIO_AUTH_TOKEN".to_owned(),
        api_key_sid: "TWILIO_API_KEY".to_owned(),
        api_key_secret: "TWILIO_API_SECRET".to_owned(),
    };
    let names = [&keys.account_sid, &keys.auth_token, &keys.api_key_sid, &keys.api_key_secret];
    let data = names.into_iter().filter_map(|name| Some((name.clone(), variable(name)?.into_bytes()))).collect();
    Credentials::read(&data, &keys).context("no credentials in the environment, and no --secret-file")
}

/// The one Secret among the documents of a file. No message has any of its values.
fn of_secret(text: &str) -> anyhow::Result<Credentials> {
    let documents: Vec<Value> = yaml::all_from_str(text).map_err(|_| anyhow::anyhow!("it is not YAML"))?;
    let mut secrets = documents.into_iter().filter(|document| document["kind"] == "Secret");
    let secret = secrets.next().context("it has no document of kind Secret")?;
    anyhow::ensure!(secrets.next().is_none(), "it has more than one Secret: leave the one to use");
    let secret: Secret = serde_json::from_value(secret).map_err(|_| {
        anyhow::anyhow!("the Secret is not well formed: `data` has base64 text, `stringData` plain text")
    })?;
    let mut data: BTreeMap<_, _> =
        secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
    // As the API server does: what is in both is taken from `stringData`.
    data.extend(secret.string_data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.into_bytes())));
    Ok(Credentials::read(&data, &SecretKeys::default())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn sid() -> String {
        format!("AC{:032x}", 1)
    }

    fn with(variables: &[(&str, &str)]) -> Result<Credentials, String> {
        let of = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        of_environment(of).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn the_environment_has_what_twilios_own_command_line_reads() {
        let account = sid();
        let key = format!("SK{:032x}", 2);
        let token = with(&[("TWILIO_ACCOUNT_SID", &account), ("TWILIO_AUTH_TOKEN", TOKEN)]).unwrap();
        assert_eq!(token.account().as_str(), account);
        with(&[("TWILIO_ACCOUNT_SID", &account), ("TWILIO_API_KEY", &key), ("TWILIO_API_SECRET", TOKEN)]).unwrap();
        for (variables, named) in [
            (&[][..], "TWILIO_ACCOUNT_SID"),
            (&[("TWILIO_ACCOUNT_SID", account.as_str())], "TWILIO_AUTH_TOKEN"),
            (&[("TWILIO_ACCOUNT_SID", account.as_str()), ("TWILIO_API_KEY", &key)], "TWILIO_API_SECRET"),
        ] {
            let why = with(variables).unwrap_err();
            assert!(why.contains(named) && why.contains("--secret-file"), "{why}");
        }
    }

    #[test]
    fn a_manifest_of_either_form_will_do_and_others_may_stand_beside_it() {
        let account = sid();
        // base64 of the same.
        let plain = format!(
            "kind: Secret\napiVersion: v1\nmetadata: {{name: twilio}}\nstringData: {{accountSid: {account}, authToken: {TOKEN}}}\n"
        );
        let encoded = "kind: Secret\napiVersion: v1\nmetadata: {name: twilio}\ndata:\n  accountSid: QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMQ==\n  authToken: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n";
        for text in [plain.clone(), encoded.to_owned(), format!("kind: Namespace\nmetadata: {{name: a}}\n---\n{plain}")]
        {
            assert_eq!(of_secret(&text).unwrap().account().as_str(), account);
        }
        let both = format!("{encoded}stringData: {{authToken: not-a-token}}\n");
        assert!(of_secret(&both).unwrap_err().to_string().contains("authToken"), "stringData wins");
    }

    #[test]
    fn what_cannot_be_read_is_told_without_any_of_it() {
        let canary = "c0ffee-canary";
        for text in [
            format!("kind: Secret\nstringData: {{authToken: {canary}, authToken: {canary}}}"),
            format!("kind: Secret\napiVersion: v1\nmetadata: {{}}\ndata: {{authToken: {canary}}}"),
            format!("kind: Secret\napiVersion: v1\nmetadata: {{}}\nstringData: [{canary}]"),
            format!("kind: Secret\napiVersion: v1\nmetadata: {{}}\nstringData: {{accountSid: {canary}}}"),
            format!("kind: Secret\n---\nkind: Secret # {canary}"),
            format!("{canary}: ["),
            "kind: ConfigMap".to_owned(),
            String::new(),
        ] {
            let why = format!("{:#}", of_secret(&text).err().unwrap());
            assert!(!why.contains(canary) && why.len() > 10, "{why}");
        }
    }
}
