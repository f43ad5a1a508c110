//! `inbox`: a sample endpoint for received messages.

use std::convert::Infallible;
use std::net::SocketAddr;

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::listen;
use crate::clock::SharedClock;
use crate::domain::webhook::printable;
use crate::simulator::inbox::{Inbox, ReceivedMessage, Tokens};

/// Runs a sample receive-sms endpoint: checks signatures, answers with an empty reply, shows what came under `/messages`.
#[derive(Debug, Clone, clap::Args)]
pub struct InboxArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, env = "CPN_INBOX_LISTEN", default_value = "127.0.0.1:4020")]
    pub listen: SocketAddr,
    /// Auth token that signatures are checked with
    #[arg(
        long,
        env = "CPN_INBOX_AUTH_TOKEN",
        hide_env_values = true,
        value_parser = secret,
        required_unless_present = "simulator",
        conflicts_with = "simulator"
    )]
    pub auth_token: Option<SecretString>,
    /// Simulated Twilio that knows the token of every account
    #[arg(long, env = "CPN_INBOX_SIMULATOR", value_name = "URL")]
    pub simulator: Option<Url>,
    /// Listen on an address that other machines can reach
    #[arg(long, env = "CPN_INBOX_ALLOW_REMOTE")]
    pub allow_remote: bool,
}

#[allow(clippy::unnecessary_wraps, reason = "the signature of a value parser")]
fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(SecretString::from(text))
}

/// One line for a message. Text is quoted: a message must not be able to draw on a terminal.
fn line(message: &ReceivedMessage) -> String {
    let verdict = if message.signature_valid { "valid" } else { "INVALID" };
    format!(
        "{} {:?} -> {:?} {:?} signature {verdict}, signed for {:?}",
        message.at,
        message.from,
        message.to,
        message.body,
        printable(&message.url)
    )
}

/// Runs until told to stop.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn run(args: InboxArgs, clock: SharedClock, stop: CancellationToken) -> anyhow::Result<()> {
    let tokens = match (args.auth_token, args.simulator) {
        (Some(token), _) => Tokens::Fixed(token),
        (None, Some(url)) => Tokens::Simulator(url),
        (None, None) => anyhow::bail!("--auth-token or --simulator is needed to check signatures"),
    };
    let inbox = Inbox::new(tokens, clock, |message| println!("{}", line(message)));
    let listener = listen(args.listen, args.allow_remote).await?;
    println!("inbox on http://{}", listener.local_addr()?);
    axum::serve(listener, inbox.router()).with_graceful_shutdown(stop.cancelled_owned()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clap::Parser;

    use super::*;
    use crate::clock::SystemClock;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: InboxArgs,
    }

    #[test]
    fn it_needs_one_source_of_tokens() {
        assert!(Cli::try_parse_from(["inbox"]).is_err());
        assert!(Cli::try_parse_from(["inbox", "--auth-token", "x", "--simulator", "http://127.0.0.1:1"]).is_err());
        let args = Cli::parse_from(["inbox", "--auth-token", "canary"]).args;
        assert_eq!(args.listen.to_string(), "127.0.0.1:4020");
        assert!(!format!("{args:?}").contains("canary"));
    }

    #[test]
    fn a_line_cannot_draw_on_the_terminal_and_has_no_query() {
        let message = ReceivedMessage {
            at: k8s_openapi::jiff::Timestamp::UNIX_EPOCH,
            url: "https://example.com/sms?key=canary".to_owned(),
            account_sid: String::new(),
            message_sid: String::new(),
            from: "+15145550000".to_owned(),
            to: "+14185551234".to_owned(),
            body: "\u{1b}[2J\nhello".to_owned(),
            signature_valid: true,
        };
        let line = line(&message);
        assert!(!line.contains(['\u{1b}', '\n']) && !line.contains("canary"), "{line}");
        assert!(line.contains("valid"));
    }

    #[tokio::test]
    async fn it_stops_when_told() {
        let stop = CancellationToken::new();
        stop.cancel();
        let args = Cli::parse_from(["inbox", "--auth-token", "x", "--listen", "127.0.0.1:0"]).args;
        run(args, Arc::new(SystemClock), stop).await.unwrap();
    }
}
