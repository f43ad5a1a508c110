//! The real thing: real servers, real tokens, real deaths.
//!
//! Fails, never skips, when the control plane cannot be found, built or started.

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use cpn_env::audit::{self, Filter};
use cpn_env::process::{TempFolder, wait_until};
use cpn_env::{ControlPlane, Options, binaries};

type Outcome = Result<(), Box<dyn Error>>;

/// Long enough on a machine that compiles something else meanwhile; nothing takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(options: &Options) -> Result<ControlPlane, cpn_env::Error> {
    let binaries = binaries::find_or_build(&|words| eprintln!("{words}"))?;
    ControlPlane::start(&binaries, options)
}

/// Gone, or dead and waiting for whoever inherited it.
fn is_gone(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat"))
        .map_or(true, |stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

/// The processes that were started with this path somewhere in their arguments.
fn processes_about(path: &Path) -> Result<Vec<u32>, Box<dyn Error>> {
    let path = path.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(process) = entry?.file_name().to_string_lossy().parse() else { continue };
        // One that has just ended has nothing to read.
        let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(&path) {
            found.push(process);
        }
    }
    Ok(found)
}

#[test]
fn two_control_planes_at_once_do_what_a_cluster_does() -> Outcome {
    // Started by threads that end at once: the servers have to outlive them.
    let (first, second) = thread::scope(|scope| {
        let second = scope.spawn(|| start(&Options { controller_manager: false, ..Options::default() }));
        let first = scope.spawn(|| start(&Options::default())).join();
        (first, second.join())
    });
    let ended = |_| "the thread that starts a control plane panicked";
    let (first, second) = (first.map_err(ended)??, second.map_err(ended)??);
    first.check()?;
    second.check()?;
    assert_ne!(first.url(), second.url());

    // A ServiceAccount that may do one thing.
    first.kubectl(["create", "namespace", "clinic"])?.ok()?;
    assert!(!second.kubectl(["get", "namespace", "clinic"])?.success(), "they share their data");
    first.kubectl(["create", "serviceaccount", "operator", "-n", "clinic"])?.ok()?;
    first.kubectl(["create", "role", "reader", "-n", "clinic", "--verb=get,create", "--resource=configmaps"])?.ok()?;
    first
        .kubectl(["create", "rolebinding", "b", "-n", "clinic", "--role=reader", "--serviceaccount=clinic:operator"])?
        .ok()?;
    let operator = first.service_account_kubeconfig("clinic", "operator")?;
    let whoami = first.kubectl_as(&operator, ["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"])?.ok()?;
    assert_eq!(whoami, "system:serviceaccount:clinic:operator");
    assert_eq!(first.kubectl_as(&operator, ["auth", "can-i", "create", "configmaps", "-n", "clinic"])?.stdout, "yes\n");
    assert_eq!(first.kubectl_as(&operator, ["auth", "can-i", "create", "configmaps", "-n", "default"])?.stdout, "no\n");

    // Writes are counted by who, what and how it ended.
    first.kubectl_as(&operator, ["create", "configmap", "a"])?.ok()?;
    let told = first.kubectl_as(&operator, ["create", "configmap", "b", "-n", "default"])?;
    assert!(told.clone().ok().is_err() && told.stderr.contains("is forbidden"), "{}", told.stderr);
    assert!(!first.kubectl_as(&operator, ["create", "configmap", "a"])?.success());
    first.kubectl_as(&operator, ["create", "configmap", "dry", "--dry-run=server"])?.ok()?;
    let by_operator = Filter::all().service_account("clinic", "operator").resource("configmaps");
    let counted = wait_until("three writes in the audit log", PATIENCE, || {
        Ok(Some(audit::writes(&first.audit_log(), &by_operator)?).filter(|writes| writes.total() == 3))
    })?;
    let codes: Vec<(u16, usize)> = counted.by_kind().into_iter().map(|(kind, count)| (kind.code, count)).collect();
    assert_eq!(codes, [(201, 1), (403, 1), (409, 1)]);

    // What comes through standard input, however long.
    let long = "x".repeat(500_000);
    let manifest =
        format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"long"}},"data":{{"k":"{long}"}}}}"#);
    first.kubectl_stdin(["create", "-n", "clinic", "-f", "-"], &manifest)?.ok()?;

    // An outage: nobody answers, then everything is as it was, the old token included.
    first.stop_api_server()?;
    assert!(!first.kubectl(["get", "namespaces"])?.success());
    first.start_api_server()?;
    assert_eq!(first.kubectl_as(&operator, ["get", "configmap", "a", "-o", "name"])?.ok()?, "configmap/a\n");
    assert_eq!(audit::writes(&first.audit_log(), &by_operator)?.total(), 3);

    // Deleting waits until the namespace is gone, which takes the controllers.
    first.kubectl(["delete", "namespace", "clinic", "--timeout=60s"])?.ok()?;
    assert!(first.kubectl(["get", "namespace", "clinic"])?.stderr.contains("NotFound"));

    // No trace is left.
    let processes = [first.process_ids(), second.process_ids()].concat();
    assert_eq!(processes.len(), 5, "three, and two without controllers");
    let folders = [first.folder().to_owned(), second.folder().to_owned()];
    drop(first);
    second.stop()?;
    assert!(processes.iter().all(|process| is_gone(*process)));
    assert!(folders.iter().all(|folder| !folder.exists()));
    Ok(())
}

#[test]
fn a_server_that_refuses_to_start_says_why() -> Outcome {
    let options = Options { api_server_arguments: vec!["--no-such-flag".to_owned()], ..Options::default() };
    let Err(error) = start(&options) else { return Err("it started".into()) };
    let told = error.to_string();
    assert!(
        told.starts_with("kube-apiserver ended by itself") && told.contains("unknown flag: --no-such-flag"),
        "{told}"
    );
    Ok(())
}

#[test]
fn killing_serve_leaves_no_process_and_no_folder() -> Outcome {
    // Built by now, with words: the command below has its error stream closed.
    binaries::find_or_build(&|words| eprintln!("{words}"))?;
    let mut serve = Command::new(env!("CARGO_BIN_EXE_cpn-env"))
        .arg("serve")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut lines = BufReader::new(serve.stdout.take().ok_or("no standard output")?).lines();
    let first = lines.next().ok_or("it printed nothing")??;
    let kubeconfig = PathBuf::from(first.strip_prefix("KUBECONFIG=").ok_or("no KUBECONFIG")?);
    let folder = kubeconfig.parent().ok_or("no folder")?.to_owned();
    let processes = processes_about(&folder)?;
    assert!(processes.len() >= 3, "{processes:?}");

    // SIGKILL: it has no chance to tidy up.
    serve.kill()?;
    serve.wait()?;
    wait_until("the end of every process and of the folder", PATIENCE, || {
        Ok((processes.iter().all(|process| is_gone(*process)) && !folder.exists()).then_some(()))
    })?;
    Ok(())
}

#[test]
fn build_tells_what_is_missing() -> Outcome {
    let folder = TempFolder::new("cpn-env-test", false)?;
    let run = |name: &str, value: &str| {
        Command::new(env!("CARGO_BIN_EXE_cpn-env"))
            .arg("build")
            .env("XDG_CACHE_HOME", folder.path())
            .env_remove("KUBEBUILDER_ASSETS")
            .env(name, value)
            .output()
    };
    for (name, remedy) in [("PATH", "install Go"), ("KUBEBUILDER_ASSETS", "no executable kube-apiserver")] {
        let output = run(name, "/nonexistent")?;
        let told = String::from_utf8(output.stderr)?;
        assert!(!output.status.success() && told.contains(remedy), "{told}");
    }
    Ok(())
}
