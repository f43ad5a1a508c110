//! The command line of the environment: `make` and people call it, tests use the library.
//!
//! What it prints on its standard output is `KEY=value` lines for other programs; words for people go to the error stream.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use cpn_env::{ControlPlane, Error, Options, binaries};

use crate::failure::Failure;
use crate::settings::Settings;

mod bench;
mod cluster;
mod demo;
mod failure;
mod local;
mod programs;
mod report;
mod settings;
mod stage;

const USAGE: &str = "\
usage: cpn-env COMMAND

  build   find kube-apiserver, etcd, kube-controller-manager, kubectl and Helm, or build them; prints their paths
  serve   run a control plane until Ctrl-C or SIGTERM; prints how to reach it
  demo    start everything, show what the operator does, check it, end everything
  up      start everything and leave it running; prints how to reach it
  down    end what `up` started
  bench   count calls, writes and purchases at 100 resources

CLUSTER=current makes demo and up use the cluster of the current kubeconfig context; YES=1 answers the question.
";

/// How often `serve` looks whether its servers are well.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["build"] => build().map_err(Failure::from),
        ["serve"] => serve().map_err(Failure::from),
        ["demo"] => Settings::read().and_then(demo::run),
        ["up"] => Settings::read().and_then(local::up),
        ["down"] => local::down(),
        ["bench"] => bench::run(),
        // What `up` leaves running; nobody else has a reason to call it.
        [local::SUPERVISE, rest @ ..] => local::supervise(rest),
        ["help" | "--help" | "-h"] => print(USAGE).map_err(Failure::from),
        _ => {
            tell(USAGE.trim_end());
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), Error> {
    let found = binaries::find_or_build(&tell)?;
    print(&format!(
        "KUBE_APISERVER={}\nETCD={}\nKUBE_CONTROLLER_MANAGER={}\nKUBECTL={}\n",
        found.kube_apiserver.display(),
        found.etcd.display(),
        found.kube_controller_manager.display(),
        found.kubectl.display()
    ))?;
    print(&format!("HELM={}\n", binaries::find_or_build_helm(&tell)?.display()))
}

/// Ends with an error only, or with this process: a signal ends it at once, the kernel then ends the servers, and the
/// folder is removed by the shell that waits for this end.
fn serve() -> Result<(), Error> {
    let binaries = binaries::find_or_build(&tell)?;
    tell("starting etcd, kube-apiserver and kube-controller-manager");
    let control_plane = ControlPlane::start(&binaries, &Options::default())?;
    print(&format!(
        "KUBECONFIG={}\nKUBECTL={}\nAUDIT_LOG={}\n",
        control_plane.kubeconfig().display(),
        control_plane.kubectl_program().display(),
        control_plane.audit_log().display()
    ))?;
    tell("ready; Ctrl-C ends it");
    loop {
        control_plane.check()?;
        thread::sleep(LOOK_AGAIN);
    }
}

fn print(text: &str) -> Result<(), Error> {
    let mut output = io::stdout().lock();
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .map_err(|source| Error::Io { doing: "write to the standard output".to_owned(), source })
}

fn tell(words: &str) {
    // Nobody can be told that nobody can be told.
    writeln!(io::stderr(), "{words}").ok();
}
