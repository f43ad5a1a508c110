//! Runs kubectl: everything that is asked of a cluster goes this way.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use serde_json::Value;

use crate::Error;

/// kubectl with a kubeconfig: one cluster, seen as one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
}

impl Kubectl {
    /// kubectl at `program` for the current context of `kubeconfig`, keeping what it finds out in `cache`.
    pub fn new(program: impl Into<PathBuf>, kubeconfig: impl Into<PathBuf>, cache: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), kubeconfig: kubeconfig.into(), cache: cache.into() }
    }

    /// The path of kubectl.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The same cluster, as whoever another kubeconfig names.
    pub fn with_kubeconfig(&self, kubeconfig: impl Into<PathBuf>) -> Self {
        Self { kubeconfig: kubeconfig.into(), ..self.clone() }
    }

    /// Runs it to its end, with nothing to read.
    ///
    /// # Errors
    /// When kubectl cannot run at all. That it failed is in the answer: see [`KubectlOutput::ok`].
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<KubectlOutput, Error> {
        self.start(arguments, None)
    }

    /// Runs it to its end, with something to read.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_with<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Result<KubectlOutput, Error> {
        self.start(arguments, Some(input))
    }

    fn start<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: Option<&str>,
    ) -> Result<KubectlOutput, Error> {
        let arguments: Vec<OsString> = arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
        let output = run(self.command().args(&arguments), input)?;
        Ok(KubectlOutput {
            arguments: arguments.iter().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" "),
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("KUBECONFIG", &self.kubeconfig)
            // Nothing of the user's: a preference could change what commands do, and a cache of what another server on the
            // same port offered would hide new resources.
            .env("KUBERC", "off")
            .env("KUBECACHEDIR", &self.cache);
        command
    }
}

/// What kubectl answered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KubectlOutput {
    /// What it was called with, for messages.
    pub arguments: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its error stream.
    pub stderr: String,
}

impl KubectlOutput {
    /// Returns whether it ended well.
    pub fn success(&self) -> bool {
        self.status.success()
    }

    /// Returns its standard output.
    ///
    /// # Errors
    /// [`Error::Kubectl`] with its error stream when it failed.
    pub fn ok(self) -> Result<String, Error> {
        if self.success() {
            return Ok(self.stdout);
        }
        Err(Error::Kubectl { arguments: self.arguments, status: self.status, stderr: self.stderr.trim().to_owned() })
    }

    /// Returns its standard output, read as JSON.
    ///
    /// # Errors
    /// As [`Self::ok`], and [`Error::NotJson`].
    pub fn json(self) -> Result<Value, Error> {
        let what = format!("kubectl {}", self.arguments);
        serde_json::from_str(&self.ok()?).map_err(|source| Error::NotJson { what, source })
    }
}

/// Runs kubectl to its end, with something to read or nothing.
fn run(command: &mut Command, input: Option<&str>) -> Result<std::process::Output, Error> {
    let failed = || Error::doing("run kubectl");
    let Some(input) = input else {
        return command.stdin(Stdio::null()).output().map_err(failed());
    };
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed())?;
    let stdin = child.stdin.take();
    // In a thread of its own: both sides would wait for ever once the pipes are full.
    thread::scope(|scope| {
        // A program that stops reading tells its reasons itself.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
        child.wait_with_output().map_err(failed())
    })
}
