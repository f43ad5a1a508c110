//! `clinic-phone-operator`: parse, dispatch, exit code.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use clinic_phone_operator::cli::{Cli, Command};
use clinic_phone_operator::clock::{SharedClock, SystemClock};
use clinic_phone_operator::{commands, telemetry};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(cli) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> anyhow::Result<ExitCode> {
    // One provider for the Kubernetes and the Twilio client; without it the first TLS connection would panic.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("a TLS provider is installed already");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let impatient = on_signal(stop.clone())?;
        tokio::select! {
            ended = dispatch(cli, stop) => ended,
            // A second signal: the person at the keyboard means it.
            _ = impatient => Ok(ExitCode::from(130)),
        }
    })
}

async fn dispatch(cli: Cli, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    let clock: SharedClock = Arc::new(SystemClock);
    match cli.command {
        Command::Run(args) => {
            telemetry::logs::start(args.log_format, &args.log)?;
            commands::run::run(&args, clock, stop).await?;
        }
        Command::Audit(args) => return answer(&commands::audit::run(&args, clock, stop).await?),
        Command::Search(args) => return answer(&commands::search::run(&args, stop).await?),
        Command::TestSms(args) => return answer(&commands::test_sms::run(&args, clock, stop).await?),
        Command::Crd => print(&commands::crd::text()?)?,
        Command::Simulate(args) => commands::simulate::run(args, clock, stop).await?,
        Command::Inbox(args) => commands::inbox::run(args, clock, stop).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn answer(answer: &commands::Answer) -> anyhow::Result<ExitCode> {
    print(&answer.text)?;
    Ok(answer.code)
}

/// Cancels `stop` at the first SIGTERM or Ctrl-C; the task ends at the second.
fn on_signal(stop: CancellationToken) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.cancel();
        }
    }))
}

/// Writes to standard output; a reader that went away (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn complain(text: &str) {
    use std::io::Write as _;
    // Nothing is left to tell if standard error is gone.
    drop(writeln!(std::io::stderr(), "{text}"));
}
