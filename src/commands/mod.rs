//! One file a subcommand for people.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;

pub mod crd;
pub mod inbox;
pub mod run;
pub mod simulate;

/// Reads a span of time such as `250ms`, `2s`, `5m` or `1h`.
fn span(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write it as 250ms, 2s, 5m or 1h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "write it as 250ms, 2s, 5m or 1h".to_owned())?;
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(|| "it is too long".to_owned())
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

    #[test]
    fn spans_are_read() {
        assert_eq!(span("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(span("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(span("1h"), Ok(Duration::from_secs(3600)));
        for bad in ["", "5", "s", "-1s", "1d", "1.5s", "99999999999999999999h", "9999999999999999999h"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn other_machines_are_let_in_only_on_request() {
        let anywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
        assert!(listen(anywhere, false).await.unwrap_err().to_string().contains("--allow-remote"));
        assert!(listen(anywhere, true).await.is_ok());
    }
}
