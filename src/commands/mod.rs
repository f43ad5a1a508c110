//! One file a subcommand.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use tokio::net::TcpListener;

pub mod account;
pub mod audit;
pub mod crd;
pub mod inbox;
pub mod output;
pub mod run;
pub mod search;
pub mod simulate;
pub mod test_sms;

/// What a command that asks something ends with.
#[derive(Debug)]
pub struct Answer {
    /// What was found, as asked for.
    pub text: String,
    /// As the command's help says.
    pub code: ExitCode,
}

/// Listens, on this machine alone unless `allow_remote`: what listens here has neither TLS nor users.
async fn listen(address: SocketAddr, allow_remote: bool) -> anyhow::Result<TcpListener> {
    anyhow::ensure!(
        address.ip().is_loopback() || allow_remote,
        "{address} can be reached from other machines; if that is meant, add --allow-remote"
    );
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn other_machines_are_let_in_only_on_request() {
        let anywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
        assert!(listen(anywhere, false).await.unwrap_err().to_string().contains("--allow-remote"));
        assert!(listen(anywhere, true).await.is_ok());
    }
}
