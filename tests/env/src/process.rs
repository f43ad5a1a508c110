//! Children, ports, folders and waiting: the parts that are not about Kubernetes.
//!
//! A [`Child`] never outlives this process, whether it ends by returning, by a panic, by Ctrl-C or by `kill -9`. A
//! [`TempFolder`] goes with it. A [`Port`] is handed to one caller at a time. Everything that has to become true is waited
//! for with [`wait_until`], which has a deadline: nothing here sleeps for a guessed time.
//!
//! Nothing here restarts a child that ends: that is for the caller to judge, see [`Child::check`].

use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;

/// How often [`wait_until`] looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How many lines of a log an error shows.
const TAIL: usize = 25;

/// A program to start as a [`Child`].
#[derive(Debug, Clone)]
pub struct Program {
    name: String,
    path: PathBuf,
    log: PathBuf,
    arguments: Vec<OsString>,
    /// In order; `None` takes the variable away.
    environment: Vec<(OsString, Option<OsString>)>,
}

impl Program {
    /// A program called `name` in messages, whose output is appended to `log`.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), path: path.into(), log: log.into(), arguments: Vec::new(), environment: Vec::new() }
    }

    /// Adds one argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable; all others are inherited from this process.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), Some(value.into())));
        self
    }

    /// Takes an inherited variable away.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), None));
        self
    }

    /// Starts the program, with nothing to read on its standard input.
    ///
    /// # Errors
    /// When the program or its log cannot be opened.
    pub fn start(&self) -> Result<Child, Error> {
        // Asked first because setpriv, not this process, would stumble over it, and only say so in the log.
        if self.path.components().count() > 1 && !is_executable(&self.path) {
            return Err(Error::at("run", &self.path)(io::Error::from(io::ErrorKind::NotFound)));
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log).map_err(Error::at("open", &self.log))?;
        let errors = log.try_clone().map_err(Error::at("open", &self.log))?;

        let mut command = ending_with_this_process(&self.path);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(log).stderr(errors);
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let inner = spawn_from_keeper(command).map_err(Error::doing(format!("start {}", self.name)))?;
        Ok(Child { name: self.name.clone(), log: self.log.clone(), inner })
    }
}

/// A running program, killed and reaped when this is dropped.
#[derive(Debug)]
pub struct Child {
    name: String,
    log: PathBuf,
    inner: std::process::Child,
}

impl Child {
    /// The process id.
    pub fn id(&self) -> u32 {
        self.inner.id()
    }

    /// The name given to [`Program::new`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that its output goes to.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Returns how it ended, or nothing while it runs.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.inner.try_wait().map_err(Error::doing(format!("ask after {}", self.name)))
    }

    /// Returns nothing while it runs.
    ///
    /// # Errors
    /// [`Error::Ended`] with the end of its log once it has ended.
    pub fn check(&mut self) -> Result<(), Error> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => Err(Error::Ended {
                name: self.name.clone(),
                status,
                log: self.log.clone(),
                tail: tail(&self.log, TAIL),
            }),
        }
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) -> Result<(), Error> {
        let doing = || format!("send {name} to {}", self.name);
        // std can only kill; the shell's own `kill` needs no program that might be missing. The id cannot have gone to
        // somebody else: the child is not reaped before this value is.
        let status = Command::new("sh")
            .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &self.id().to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(Error::doing(doing()))?;
        if status.success() { Ok(()) } else { Err(Error::doing(doing())(io::Error::other("kill refused"))) }
    }

    /// Asks it to end with SIGTERM and waits; kills it when it takes longer than `patience`.
    pub fn terminate(mut self, patience: Duration) -> Result<ExitStatus, Error> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        self.signal("TERM")?;
        let what = format!("the end of {}", self.name);
        match wait_until(&what, patience, || self.ended()) {
            Err(Error::TimedOut { .. }) => self.kill(),
            other => other,
        }
    }

    /// Kills it and returns once it is gone.
    pub fn kill(mut self) -> Result<ExitStatus, Error> {
        self.end()
    }

    fn end(&mut self) -> Result<ExitStatus, Error> {
        // Killing a child that has ended already is no error: std knows that it was reaped.
        self.inner.kill().and_then(|()| self.inner.wait()).map_err(Error::doing(format!("end {}", self.name)))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Nobody is left to tell; the kernel ends it with this process at the latest.
        self.end().ok();
    }
}

/// A command for `path` that the kernel kills together with the thread that spawns it, where the machine can do that.
fn ending_with_this_process(path: &Path) -> Command {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    // Tried and not only looked for: the setpriv of busybox does not know the option.
    let available = *AVAILABLE.get_or_init(|| {
        Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    });
    if available {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(path);
        command
    } else {
        Command::new(path)
    }
}

/// Spawns from one thread that lives as long as this process.
///
/// The death signal comes when the *thread* that spawned dies, and a test runs in a thread that ends with it: a control
/// plane shared by several tests would die with the first.
fn spawn_from_keeper(command: Command) -> io::Result<std::process::Child> {
    struct Order {
        command: Command,
        answer: Sender<io::Result<std::process::Child>>,
    }
    static KEEPER: OnceLock<Sender<Order>> = OnceLock::new();

    let orders = KEEPER.get_or_init(|| {
        let (sender, orders) = channel::<Order>();
        let keeper = thread::Builder::new().name("keeper of children".to_owned()).spawn(move || {
            for mut order in orders {
                // Dropping the answer of a caller that is gone kills nothing, but nobody is: the caller waits below.
                order.answer.send(order.command.spawn()).ok();
            }
        });
        // Without a thread the receiver is gone, and every order below says so.
        drop(keeper);
        sender
    });
    let gone = || io::Error::other("the thread that starts children is gone");
    let (answer, spawned) = channel();
    orders.send(Order { command, answer }).map_err(|_| gone())?;
    spawned.recv().map_err(|_| gone())?
}

/// Calls `look` until it returns something, at least once and for at most `within`.
///
/// `what` completes the sentence "… did not happen".
///
/// # Errors
/// [`Error::TimedOut`] at the deadline; an error of `look` at once.
pub fn wait_until<T>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    let started = Instant::now();
    loop {
        if let Some(value) = look()? {
            return Ok(value);
        }
        if started.elapsed() >= within {
            return Err(Error::TimedOut { what: what.to_owned(), within, detail: String::new() });
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Returns the last `lines` lines of a file, or why it cannot be read: it is only ever part of a message.
pub fn tail(path: &Path, lines: usize) -> String {
    /// Enough for any number of lines that a message should have.
    const WINDOW: u64 = 64 * 1024;

    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(WINDOW)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => last_lines(&text, lines),
        Err(error) => format!("(cannot read {}: {error})", path.display()),
    }
}

/// Returns the last `lines` lines of a text.
pub(crate) fn last_lines(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let skipped = all.len().saturating_sub(lines);
    all.into_iter().skip(skipped).collect::<Vec<_>>().join("\n")
}

/// A free TCP port on 127.0.0.1 that no other user of this crate is given while this value lives.
///
/// A program outside this crate may still take it before it is used, so whoever binds it tries again on failure.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Where the lock is, to tidy up.
    path: PathBuf,
    /// Locked as long as the port is ours, across processes.
    _lock: File,
}

impl Port {
    /// Finds a port.
    pub fn free() -> Result<Self, Error> {
        /// Below the ports that Linux and macOS give to outgoing connections and to whoever binds port 0: those would
        /// take a port while its server is stopped.
        const FIRST: u16 = 20_000;
        const LAST: u16 = 31_999;

        let folder = std::env::temp_dir().join(format!("cpn-env-ports-{}", user_name()));
        std::fs::create_dir_all(&folder).map_err(Error::at("make", &folder))?;
        forget_the_dead(&folder)?;
        let middle = FIRST + u16::try_from(random() % u64::from(LAST - FIRST)).unwrap_or_default();
        for number in (middle..=LAST).chain(FIRST..middle) {
            let path = folder.join(number.to_string());
            if let Some(lock) = lock_anew(&path)?
                && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
            {
                return Ok(Self { number, path, _lock: lock });
            }
        }
        Err(Error::doing("find a free port on 127.0.0.1")(io::Error::from(io::ErrorKind::AddrInUse)))
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // While still locked: see `lock_anew`.
        std::fs::remove_file(&self.path).ok();
    }
}

/// Removes the locks that killed processes left.
fn forget_the_dead(folder: &Path) -> Result<(), Error> {
    for entry in std::fs::read_dir(folder).map_err(Error::at("read", folder))? {
        let path = entry.map_err(Error::at("read", folder))?.path();
        if let Some(_lock) = lock_anew(&path)? {
            std::fs::remove_file(&path).ok();
        }
    }
    Ok(())
}

/// Locks a file that its holder removes before letting go; nothing when somebody else holds it.
fn lock_anew(path: &Path) -> Result<Option<File>, Error> {
    let lock =
        OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(Error::at("open", path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(Error::at("lock", path)(error)),
    }
    // Between opening and locking, the former holder may have removed the file: then this locks a file that nobody else
    // will ever see.
    let ours = lock.metadata().map_err(Error::at("look at", path))?.ino();
    let seen = std::fs::metadata(path).map(|data| data.ino()).ok();
    Ok((seen == Some(ours)).then_some(lock))
}

/// Distinguishes the folders that different users make in the common temporary folder.
fn user_name() -> String {
    let name = std::env::var_os("USER").unwrap_or_else(|| OsString::from("nobody"));
    name.to_string_lossy().chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

/// A folder of our own, for this user's eyes only, removed when this is dropped or this process ends in any way.
#[derive(Debug)]
pub struct TempFolder {
    path: PathBuf,
    /// Removes the folder once its standard input closes, as it does even when this process is killed.
    remover: Option<std::process::Child>,
}

impl TempFolder {
    /// Makes a folder whose name starts with `prefix`; `keep` leaves it there for ever.
    pub fn new(prefix: &str, keep: bool) -> Result<Self, Error> {
        /// Waits for the end of its input, then removes; again for a while, as dying children may still be writing.
        const REMOVE: &str = "while read -r _; do :; done; tries=0
            while [ -e \"$1\" ] && [ $tries -lt 50 ]; do rm -rf -- \"$1\" || sleep 0.1; tries=$((tries+1)); done";

        let path = std::env::temp_dir().join(format!("{prefix}-{}-{:016x}", std::process::id(), random()));
        DirBuilder::new().mode(0o700).create(&path).map_err(Error::at("make", &path))?;
        let mut folder = Self { path, remover: None };
        if !keep {
            let remover = Command::new("sh")
                .args([OsStr::new("-c"), OsStr::new(REMOVE), OsStr::new("sh"), folder.path.as_os_str()])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                // Ctrl-C goes to the whole group of this process, and this one has to survive it.
                .process_group(0)
                .spawn()
                .map_err(Error::doing("start sh, which removes the temporary folder"))?;
            folder.remover = Some(remover);
        }
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        if let Some(mut remover) = self.remover.take() {
            // Removed here too, so that it does not depend on the shell's rm when all goes well.
            std::fs::remove_dir_all(&self.path).ok();
            drop(remover.stdin.take());
            remover.wait().ok();
        }
    }
}

/// Writes a file that only this user can read: it holds a token.
pub fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    use std::io::Write as _;
    OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(Error::at("write", path))
}

/// Returns whether a file can be executed.
pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// A number that differs from call to call and from process to process; not secret.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Returns 64 hex digits nobody can guess.
pub(crate) fn secret() -> Result<String, Error> {
    let mut bytes = [0_u8; 32];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(Error::doing("read /dev/urandom"))?;
    Ok(bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, folder: &TempFolder) -> Program {
        Program::new("a shell", "sh", folder.path().join("log")).args(["-c", script])
    }

    #[test]
    fn an_ended_child_is_told_with_the_end_of_its_log() {
        let folder = TempFolder::new("cpn-env-test", false).unwrap();
        let mut child = shell("echo first; echo $WORD >&2; exit 3", &folder).env("WORD", "last").start().unwrap();
        wait_until("the end", Duration::from_secs(10), || child.ended()).unwrap();
        let told = child.check().unwrap_err().to_string();
        assert!(told.contains("a shell ended by itself (exit status: 3)"), "{told}");
        assert!(told.contains("first\nlast"), "{told}");
    }

    #[test]
    fn a_child_outlives_the_thread_that_started_it_and_ends_with_its_value() {
        let folder = TempFolder::new("cpn-env-test", false).unwrap();
        let mut child =
            thread::scope(|scope| scope.spawn(|| shell("sleep 60", &folder).start()).join()).unwrap().unwrap();
        assert!(child.check().is_ok());
        let process = PathBuf::from(format!("/proc/{}", child.id()));
        assert!(process.exists());
        drop(child);
        assert!(!process.exists());
    }

    #[test]
    fn a_missing_program_is_an_error_and_not_a_line_in_a_log() {
        let folder = TempFolder::new("cpn-env-test", false).unwrap();
        let told = Program::new("it", "/nonexistent/it", folder.path().join("log")).start().unwrap_err().to_string();
        assert!(told.contains("/nonexistent/it"), "{told}");
    }

    #[test]
    fn terminate_lets_a_child_tidy_up_and_kills_one_that_does_not_listen() {
        use std::os::unix::process::ExitStatusExt as _;
        let folder = TempFolder::new("cpn-env-test", false).unwrap();
        let ready = |child: &Child| {
            let log = child.log().to_owned();
            wait_until("ready", Duration::from_secs(10), || Ok(tail(&log, 1).contains("ready").then_some(()))).unwrap();
        };
        let polite = shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done", &folder).start().unwrap();
        ready(&polite);
        assert_eq!(polite.terminate(Duration::from_secs(10)).unwrap().code(), Some(7));

        std::fs::remove_file(folder.path().join("log")).unwrap();
        let deaf = shell("trap '' TERM; echo ready; while :; do sleep 0.05; done", &folder).start().unwrap();
        ready(&deaf);
        assert_eq!(deaf.terminate(Duration::from_millis(200)).unwrap().signal(), Some(9));
    }

    #[test]
    fn waiting_has_a_deadline_and_passes_errors_on() {
        let told = wait_until("the second coming", Duration::ZERO, || Ok(None::<()>)).unwrap_err().to_string();
        assert_eq!(told, "the second coming did not happen within 0s");
        let failed = wait_until("x", Duration::from_secs(60), || Err::<Option<()>, _>(Error::NoCacheFolder));
        assert!(matches!(failed, Err(Error::NoCacheFolder)));
    }

    #[test]
    fn ports_are_different_as_long_as_they_are_held() {
        let ports: Vec<Port> = (0..50).map(|_| Port::free().unwrap()).collect();
        let numbers: std::collections::BTreeSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), 50);
    }

    #[test]
    fn a_folder_goes_with_its_value_unless_it_is_kept() {
        let folder = TempFolder::new("cpn-env-test", false).unwrap();
        let path = folder.path().to_owned();
        std::fs::write(path.join("file"), "x").unwrap();
        drop(folder);
        assert!(!path.exists());

        let kept = TempFolder::new("cpn-env-test", true).unwrap().path().to_owned();
        assert!(kept.exists());
        std::fs::remove_dir(kept).unwrap();
    }

    #[test]
    fn the_tail_is_the_end() {
        let folder = TempFolder::new("cpn-env-test", false).unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "a\nb\nc\n").unwrap();
        assert_eq!(tail(&path, 2), "b\nc");
        assert!(tail(&folder.path().join("none"), 2).contains("cannot read"));
    }
}
