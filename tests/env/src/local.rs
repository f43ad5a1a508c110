//! `up` and `down`: the environment left running, held by a detached supervisor.
//!
//! The supervisor is this program again. It holds a lock on `.local/supervisor` as long as it lives, which nobody can fake
//! and no restart of the machine leaves behind; its children end with it. It is asked to end by a file, not by a signal, so
//! that it can tidy up.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cpn_env::http::Service;
use cpn_env::process::{tail, write_private};
use cpn_env::{Kubectl, binaries};

use crate::cluster::Agreed;
use crate::failure::Failure;
use crate::programs::{self, Profile, checkout};
use crate::settings::{Settings, Target};
use crate::stage::{Plan, Stage, shown, soon};
use crate::{print, tell};

/// The supervisor's command.
pub const SUPERVISE: &str = "supervise";

/// The name of this installation, unless `CPN_INSTALLATION_ID` says otherwise.
const INSTALLATION: &str = "local";

/// How often the supervisor looks whether all is well and whether it is to end.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How long a start may take in all: a borrowed cluster may be far away.
const START_WITHIN: Duration = Duration::from_secs(240);

/// How long the supervisor may take to end: deleting namespaces of a borrowed cluster takes longest.
const STOP_WITHIN: Duration = Duration::from_secs(120);

/// The folder `.local` of the checkout.
#[derive(Debug, Clone)]
struct Local(PathBuf);

impl Local {
    fn env(&self) -> PathBuf {
        self.0.join("env")
    }

    /// Locked as long as the supervisor lives; holds its process id.
    fn supervisor(&self) -> PathBuf {
        self.0.join("supervisor")
    }

    /// Its presence asks the supervisor to end.
    fn stop(&self) -> PathBuf {
        self.0.join("stop")
    }

    fn logs(&self) -> PathBuf {
        self.0.join("log")
    }

    fn is_supervised(&self) -> Result<bool, Failure> {
        let Ok(file) = File::open(self.supervisor()) else { return Ok(false) };
        match file.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(Failure::doing("look for a lock")(error)),
        }
    }

    /// Ends the supervisor, if there is one, and removes the folder.
    fn clear(&self) -> Result<(), Failure> {
        if self.is_supervised()? {
            File::create(self.stop()).map_err(Failure::doing(format!("make {}", shown(&self.stop()))))?;
            let ended = soon("the end of what runs", STOP_WITHIN, || {
                Ok(if self.is_supervised()? { Err("it still runs".to_owned()) } else { Ok(()) })
            });
            if ended.is_err() {
                tell("it does not end by itself: killing it");
                let process = std::fs::read_to_string(self.supervisor()).unwrap_or_default();
                // The lock is held, so the id is the supervisor's.
                let kill = Command::new("kill").args(["-9", process.trim()]).status();
                kill.map_err(Failure::doing("run kill"))?;
                soon("the end of what runs", Duration::from_secs(10), || {
                    Ok(if self.is_supervised()? { Err("it still runs".to_owned()) } else { Ok(()) })
                })?;
            }
        }
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::doing(format!("remove {}", shown(&self.0)))(error))
            }
            _ => Ok(()),
        }
    }
}

/// Where everything is: the file that `up` writes and prints.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct EnvFile(Vec<(String, String)>);

impl EnvFile {
    fn of(stage: &Stage, binary: &Path, operator: u32) -> Self {
        let kubectl = stage.kubectl();
        let entry = |name: &str, value: String| (name.to_owned(), value);
        Self(vec![
            entry("KUBECONFIG", shown(kubectl.kubeconfig())),
            entry("TWILIO_URL", stage.simulator.url().to_owned()),
            entry("WEBHOOK_INBOX_URL", stage.inbox.url().to_owned()),
            entry("OPERATOR_URL", stage.admin.url().to_owned()),
            entry("KUBECTL", shown(kubectl.program())),
            entry("OPERATOR_BIN", shown(binary)),
            entry("OPERATOR_PID", operator.to_string()),
            entry("OPERATOR_KUBECONFIG", shown(stage.cluster.operator_kubeconfig())),
        ])
    }

    fn parse(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn render(&self) -> String {
        self.0.iter().flat_map(|(name, value)| [name, "=", value, "\n"]).collect()
    }

    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// Returns what does not answer, of the four parts that have to.
    fn silent(&self) -> Option<&'static str> {
        let cache = Path::new(self.get("KUBECONFIG")).with_file_name("kubectl-cache");
        let kubectl = Kubectl::new(self.get("KUBECTL"), self.get("KUBECONFIG"), cache);
        let answers = |name: &str, path: &str| {
            Service::new(self.get(name)).send("GET", path, None).is_ok_and(|answer| answer.success())
        };
        if !kubectl.run(["get", "--raw", "/readyz"]).is_ok_and(|output| output.success()) {
            Some("the API server")
        } else if !answers("TWILIO_URL", "/_simulator/settings") {
            Some("the simulated Twilio")
        } else if !answers("WEBHOOK_INBOX_URL", "/messages") {
            Some("the inbox")
        } else if !answers("OPERATOR_URL", "/readyz") {
            Some("the operator")
        } else {
            None
        }
    }
}

/// Only one `up` or `down` of a checkout at a time: a lock on the checkout's folder itself, which is always there.
fn alone() -> Result<(File, Local), Failure> {
    let root = checkout()?;
    let folder = File::open(&root).map_err(Failure::doing(format!("open {}", shown(&root))))?;
    if let Err(TryLockError::WouldBlock) = folder.try_lock() {
        tell("waiting for another `up` or `down` of this checkout");
    }
    folder.lock().map_err(Failure::doing("lock the checkout"))?;
    Ok((folder, Local(root.join(".local"))))
}

/// Starts everything, unless it runs already, and prints where it is.
///
/// # Errors
/// When something does not start.
pub fn up(settings: Settings) -> Result<(), Failure> {
    let (_alone, local) = alone()?;
    if let Ok(found) = std::fs::read_to_string(local.env()) {
        let found = EnvFile::parse(&found);
        let silent = if local.is_supervised()? { found.silent() } else { Some("the supervisor") };
        let Some(silent) = silent else {
            tell("it runs already (`make down` ends it)");
            return Ok(print(&found.render())?);
        };
        tell(&format!("{silent} does not answer any more: ending what is left and starting anew"));
    }
    local.clear()?;

    let agreed = if settings.target == Target::Current { Some(Agreed::ask(settings)?) } else { None };
    let binary = programs::operator(Profile::Quick)?;
    if agreed.is_none() {
        binaries::find_or_build(&tell)?;
    }
    std::fs::create_dir_all(local.logs()).map_err(Failure::doing(format!("make {}", shown(&local.logs()))))?;
    tell("starting everything in the background; logs are in .local/log");
    let mut supervisor = detach(&local, &binary, agreed.as_ref())?;
    let log = local.logs().join("supervisor.log");
    let started = Instant::now();
    loop {
        if let Ok(found) = std::fs::read_to_string(local.env()) {
            return Ok(print(&found)?);
        }
        let ended = supervisor.try_wait().map_err(Failure::doing("ask after the supervisor"))?;
        if let Some(status) = ended {
            let told = tail(&log, 30);
            return Err(Failure::Told(format!("the environment did not start ({status}):\n{told}")));
        }
        if started.elapsed() >= START_WITHIN {
            let told = tail(&log, 30);
            local.clear()?;
            return Err(Failure::Told(format!("the environment did not start in time:\n{told}")));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Ends everything that `up` started.
///
/// # Errors
/// When something could not be ended.
pub fn down() -> Result<(), Failure> {
    let (_alone, local) = alone()?;
    if !local.0.exists() {
        tell("nothing runs");
        return Ok(());
    }
    let log = local.logs().join("supervisor.log");
    let supervised = local.is_supervised()?;
    local.clear().inspect_err(|_| tell(&tail(&log, 15)))?;
    tell(if supervised { "everything was ended" } else { "nothing ran any more; its files were removed" });
    Ok(())
}

/// Starts the supervisor in a session of its own, so that neither Ctrl-C nor a closed terminal reaches it.
fn detach(local: &Local, binary: &Path, agreed: Option<&Agreed>) -> Result<Child, Failure> {
    /// Without setsid (it is not everywhere), a hang-up is at least ignored.
    const DETACH: &str = "trap '' HUP; if command -v setsid >/dev/null; then exec setsid \"$@\"; fi; exec \"$@\"";

    let log = local.logs().join("supervisor.log");
    let open = || OpenOptions::new().create(true).append(true).open(&log);
    let file = open().map_err(Failure::doing(format!("open {}", shown(&log))))?;
    let errors = open().map_err(Failure::doing(format!("open {}", shown(&log))))?;
    let program = std::env::current_exe().map_err(Failure::doing("find this program"))?;
    let mut arguments: Vec<OsString> = vec![SUPERVISE.into(), local.0.clone().into(), binary.into()];
    arguments.extend(agreed.iter().flat_map(|agreed| [agreed.kubectl.clone().into(), agreed.folder.clone().into()]));
    let mut command = Command::new("sh");
    command.args(["-c", DETACH, "sh"]).arg(program).args(arguments);
    command.stdin(Stdio::null()).stdout(file).stderr(errors);
    // Something that stays must not hold a folder of whoever started it.
    command.current_dir(local.0.parent().unwrap_or(Path::new("/")));
    command.spawn().map_err(Failure::doing("start the supervisor"))
}

/// Runs everything until it is asked to end, or anything but the operator ends by itself.
///
/// Whoever kills the operator wants it dead: it is not started again, and the rest lives on.
///
/// # Errors
/// When something does not start or ends by itself.
pub fn supervise(arguments: &[&str]) -> Result<(), Failure> {
    let (folder, binary, agreed) = match arguments {
        [folder, binary] => (folder, binary, None),
        [folder, binary, kubectl, config] => {
            (folder, binary, Some(Agreed { kubectl: PathBuf::from(kubectl), folder: PathBuf::from(config) }))
        }
        _ => return Err(Failure::Told(format!("{SUPERVISE} is called by `up` only"))),
    };
    let (local, binary) = (Local(PathBuf::from(folder)), PathBuf::from(binary));
    let path = local.supervisor();
    let lock = OpenOptions::new().create(true).truncate(true).write(true).open(&path);
    let lock = lock.map_err(Failure::doing(format!("open {}", shown(&path))))?;
    lock.lock().map_err(Failure::doing(format!("lock {}", shown(&path))))?;
    write_private(&path, &std::process::id().to_string())?;

    let plan = Plan {
        variables: [
            ("CPN_INSTALLATION_ID", INSTALLATION),
            ("CPN_MAX_PURCHASES_PER_HOUR", "100000"),
            ("CPN_SIM_LATENCY", "50ms"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        inherit: true,
        logs: local.logs(),
        binary,
    };
    let mut stage = Stage::start(&plan, agreed)?;
    let operator = stage.operator_id().unwrap_or_default();
    let written = EnvFile::of(&stage, &plan.binary, operator).render();
    // Whole or not there at all: whoever waits for it reads it at once.
    let unfinished = local.0.join("env.unfinished");
    write_private(&unfinished, &written)?;
    std::fs::rename(&unfinished, local.env()).map_err(Failure::doing(format!("make {}", shown(&local.env()))))?;
    tell("everything is ready");

    let mut operator_runs = true;
    let ended = loop {
        // A folder that somebody removed cannot be asked through any more.
        if local.stop().exists() || !path.exists() {
            break Ok(());
        }
        if let Err(failure) = stage.check_surroundings() {
            break Err(failure);
        }
        if operator_runs && !stage.operator_runs()? {
            operator_runs = false;
            tell("the operator has ended; it is not started again, and the rest lives on");
        }
        std::thread::sleep(LOOK_AGAIN);
    };
    tell("ending everything");
    stage.stop()?;
    Ok(ended?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpn_env::process::TempFolder;

    #[test]
    fn the_file_reads_back() {
        let text = "KUBECONFIG=/tmp/a b/kubeconfig\nTWILIO_URL=http://127.0.0.1:1\nODD=a=b\n";
        let read = EnvFile::parse(text);
        assert_eq!(read.render(), text);
        assert_eq!((read.get("ODD"), read.get("NONE")), ("a=b", ""));
    }

    #[test]
    fn what_does_not_answer_is_named() {
        assert_eq!(EnvFile::default().silent(), Some("the API server"));
    }

    #[test]
    fn a_supervisor_is_there_as_long_as_its_lock() {
        let folder = TempFolder::new("cpn-env-test", false).unwrap();
        let local = Local(folder.path().join(".local"));
        assert!(!local.is_supervised().unwrap());
        local.clear().unwrap();
        std::fs::create_dir(&local.0).unwrap();
        let lock = File::create(local.supervisor()).unwrap();
        assert!(!local.is_supervised().unwrap());
        lock.lock().unwrap();
        assert!(local.is_supervised().unwrap());
        drop(lock);
        assert!(!local.is_supervised().unwrap());
        local.clear().unwrap();
        assert!(!local.0.exists());
    }

    #[test]
    fn a_supervisor_is_called_with_its_folder_only() {
        assert!(supervise(&[]).is_err());
    }
}
