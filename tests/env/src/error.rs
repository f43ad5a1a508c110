//! What can go wrong, said so that the reader knows what to do next.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

/// Why the environment could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file, a folder, a pipe or a process could not be used.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was attempted, as in "cannot …".
        doing: String,
        /// What the system answered.
        source: io::Error,
    },

    /// `KUBEBUILDER_ASSETS` is set, and does not hold what it has to.
    #[error(
        "KUBEBUILDER_ASSETS is {folder}, which has no executable {missing}; point it at a folder with kube-apiserver and etcd, \
         or unset it to have them built with Go"
    )]
    AssetMissing {
        /// The folder that the variable names.
        folder: PathBuf,
        /// The program that is not there.
        missing: &'static str,
    },

    /// There is no folder to keep the built programs in.
    #[error("no cache folder: neither XDG_CACHE_HOME nor HOME is an absolute path; set one of them")]
    NoCacheFolder,

    /// `go.mod` does not say what it has to.
    #[error("{path} does not name {wanted}; see the README.md next to it")]
    GoModule {
        /// The file that was read.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },

    /// Go is needed for the first build, and is not there.
    #[error(
        "Go is not in PATH, and the control plane is built with it (once); install Go {needed} or newer, or set \
         KUBEBUILDER_ASSETS to a folder that holds kube-apiserver, etcd, kube-controller-manager and kubectl"
    )]
    GoMissing {
        /// The oldest version that will do.
        needed: String,
    },

    /// The Go found is older than Kubernetes asks for, and may not download a newer one.
    #[error(
        "Go is too old: {found}, and this Kubernetes needs {needed} or newer; install a newer Go, or let it fetch one \
         with GOTOOLCHAIN=auto, or set KUBEBUILDER_ASSETS to a folder of ready programs"
    )]
    GoTooOld {
        /// What Go said.
        found: String,
        /// The oldest version that will do.
        needed: String,
    },

    /// `go build` failed.
    #[error(
        "building {program} failed ({status}); the last lines of its output:\n{tail}\n\
         The build downloads modules through GOPROXY: check the network first, then the disk (it needs about 5 GB), then run \
         it by hand in {module}"
    )]
    Build {
        /// The program that was being built.
        program: &'static str,
        /// How Go ended.
        status: ExitStatus,
        /// The last lines that Go wrote.
        tail: String,
        /// The folder of the Go module.
        module: PathBuf,
    },

    /// A child process ended though it was to keep running.
    #[error("{name} ended by itself ({status}); the end of its log {log}:\n{tail}")]
    Ended {
        /// The child's name.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// Where its log is, unless the folder was removed meanwhile.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },

    /// Something did not become true in time.
    #[error("{what} did not happen within {}s{}", within.as_secs_f64(), detail_of(detail))]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        within: Duration,
        /// What is known about the cause, such as the end of a log; may be empty.
        detail: String,
    },

    /// kubectl answered with a failure.
    #[error("kubectl {arguments} failed ({status}): {stderr}")]
    Kubectl {
        /// The arguments it was called with.
        arguments: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to its error stream.
        stderr: String,
    },

    /// A service on this machine did not answer, or not as it should.
    #[error("{request}: {problem}")]
    Http {
        /// Method and URL.
        request: String,
        /// What came instead of an answer.
        problem: String,
    },

    /// Something that should be JSON is not.
    #[error("{what} gave no JSON: {source}")]
    NotJson {
        /// What gave it.
        what: String,
        /// What the parser says.
        source: serde_json::Error,
    },

    /// A line of the audit log is not what Kubernetes writes.
    #[error("{path} line {line} is no audit event: {source}")]
    Audit {
        /// The log that was read.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
}

impl Error {
    /// Returns a closure for `map_err` that says what was attempted.
    pub(crate) fn doing(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing: what.into(), source }
    }

    /// Like [`Error::doing`], for an action on a path.
    pub(crate) fn at(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing: format!("{verb} {}", path.display()), source }
    }
}

fn detail_of(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(":\n{detail}") }
}
