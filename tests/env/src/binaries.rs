//! Finds the programs of the control plane, or builds them once with Go.
//!
//! `KUBEBUILDER_ASSETS` is honoured as by envtest: when it is set, kube-apiserver and etcd have to be there. Whatever it
//! does not hold is built from the Go module in `tests/control-plane`, into a cache folder outside the checkout, so that a
//! fresh clone and `git clean` do not cost the build again. Helm, for whoever asks, is built from `tests/helm` in the same way.
//!
//! Nothing is downloaded here but by Go itself, and nothing is ever removed from the cache.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;
use crate::process::{is_executable, last_lines};

/// Where the programs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The API server.
    pub kube_apiserver: PathBuf,
    /// Its data base.
    pub etcd: PathBuf,
    /// The controllers of Kubernetes itself: namespaces, garbage collection, service accounts.
    pub kube_controller_manager: PathBuf,
    /// The command line client.
    pub kubectl: PathBuf,
}

/// One of the programs.
struct Part {
    name: &'static str,
    package: &'static str,
    /// The module in `go.mod` whose version it has.
    module: &'static str,
    /// How long its build takes, in words.
    takes: &'static str,
}

/// In the order of building: the first compiles most of what the others share.
const KUBE_APISERVER: Part = Part {
    name: "kube-apiserver",
    package: "k8s.io/kubernetes/cmd/kube-apiserver",
    module: KUBERNETES,
    takes: "about 6 minutes",
};
const ETCD: Part =
    Part { name: "etcd", package: "go.etcd.io/etcd/server/v3", module: ETCD_SERVER, takes: "about 20 seconds" };
const KUBECTL: Part = Part {
    name: "kubectl",
    package: "k8s.io/kubernetes/cmd/kubectl",
    module: KUBERNETES,
    takes: "about half a minute",
};
const KUBE_CONTROLLER_MANAGER: Part = Part {
    name: "kube-controller-manager",
    package: "k8s.io/kubernetes/cmd/kube-controller-manager",
    module: KUBERNETES,
    takes: "about 2 minutes",
};

/// Not part of the control plane, and not built unless it is asked for.
const HELM: Part =
    Part { name: "helm", package: "helm.sh/helm/v4/cmd/helm", module: HELM_MODULE, takes: "about 2 minutes" };

const HELM_MODULE: &str = "helm.sh/helm/v4";
const KUBERNETES: &str = "k8s.io/kubernetes";
const ETCD_SERVER: &str = "go.etcd.io/etcd/server/v3";

/// Returns the programs, building them first when this machine does not have them.
///
/// `progress` gets one line of plain words before each thing that takes long.
///
/// # Errors
/// With a remedy in its message, when `KUBEBUILDER_ASSETS` is incomplete, Go is missing or too old, or a build fails.
pub fn find_or_build(progress: &dyn Fn(&str)) -> Result<Binaries, Error> {
    Surroundings::of_this_process().find_or_build(progress)
}

/// Returns kubectl alone, for a cluster that is there already: the one in `PATH`, or else the one of the control plane.
///
/// # Errors
/// As [`find_or_build`].
pub fn find_or_build_kubectl(progress: &dyn Fn(&str)) -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(KUBECTL.name)).find(|path| is_executable(path));
    found.map_or_else(|| Surroundings::of_this_process().cached(&KUBECTL, progress), Ok)
}

/// Returns Helm, building it first when this machine does not have it.
///
/// # Errors
/// As [`find_or_build`], but for the assets: they hold no Helm.
pub fn find_or_build_helm(progress: &dyn Fn(&str)) -> Result<PathBuf, Error> {
    Surroundings::of_this_process().cached(&HELM, progress)
}

/// What the search depends on, as a value: tests cannot set variables of their own process.
#[derive(Debug, Clone)]
struct Surroundings {
    assets: Option<OsString>,
    cache_home: Option<OsString>,
    home: Option<OsString>,
    /// Where to look for Go; nothing means wherever this process looks.
    path: Option<OsString>,
    /// The Go module of the control plane.
    module: PathBuf,
    /// The Go module of Helm.
    helm: PathBuf,
}

impl Surroundings {
    fn of_this_process() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            assets: variable("KUBEBUILDER_ASSETS"),
            cache_home: variable("XDG_CACHE_HOME"),
            home: variable("HOME"),
            path: None,
            module: Path::new(env!("CARGO_MANIFEST_DIR")).join("../control-plane"),
            helm: Path::new(env!("CARGO_MANIFEST_DIR")).join("../helm"),
        }
    }

    fn find_or_build(&self, progress: &dyn Fn(&str)) -> Result<Binaries, Error> {
        let Some(assets) = &self.assets else {
            return Ok(Binaries {
                kube_apiserver: self.cached(&KUBE_APISERVER, progress)?,
                etcd: self.cached(&ETCD, progress)?,
                kubectl: self.cached(&KUBECTL, progress)?,
                kube_controller_manager: self.cached(&KUBE_CONTROLLER_MANAGER, progress)?,
            });
        };
        let held = |part: &Part| Some(Path::new(assets).join(part.name)).filter(|path| is_executable(path));
        let required =
            |part: &Part| held(part).ok_or_else(|| Error::AssetMissing { folder: assets.into(), missing: part.name });
        let wanted = |part: &Part| held(part).map_or_else(|| self.cached(part, progress), Ok);
        Ok(Binaries {
            kube_apiserver: required(&KUBE_APISERVER)?,
            etcd: required(&ETCD)?,
            kubectl: wanted(&KUBECTL)?,
            kube_controller_manager: wanted(&KUBE_CONTROLLER_MANAGER)?,
        })
    }

    /// Returns the path of a program in the cache, which is built when it is not there.
    fn cached(&self, part: &Part, progress: &dyn Fn(&str)) -> Result<PathBuf, Error> {
        let module = GoModule::read(if part.module == HELM_MODULE { &self.helm } else { &self.module })?;
        let folder = self.cache_folder()?.join(module.key(part)?);
        let program = folder.join(part.name);
        if is_executable(&program) {
            return Ok(program);
        }
        std::fs::create_dir_all(&folder).map_err(Error::at("make", &folder))?;
        let lock = lock(&folder, progress)?;
        // Another process may have built it while this one waited.
        if !is_executable(&program) {
            self.build(part, &module, &program, progress)?;
        }
        drop(lock);
        Ok(program)
    }

    fn cache_folder(&self) -> Result<PathBuf, Error> {
        let cache = self.cache_home.clone().map(PathBuf::from).filter(|path| path.is_absolute());
        let home =
            || self.home.clone().map(|home| PathBuf::from(home).join(".cache")).filter(|path| path.is_absolute());
        let cache = cache.or_else(home).ok_or(Error::NoCacheFolder)?;
        Ok(cache.join("clinic-phone-operator").join("control-plane"))
    }

    fn build(&self, part: &Part, module: &GoModule, program: &Path, progress: &dyn Fn(&str)) -> Result<(), Error> {
        self.check_go(module)?;
        let version = module.version_of(part.module)?;
        progress(&format!(
            "building {} {}, {} on two cores, once",
            part.name,
            version.trim_start_matches('v'),
            part.takes
        ));
        // A name of its own until it is whole, so that nobody runs half a program. The lock makes it ours alone, and what
        // an interrupted build left there is overwritten.
        let unfinished = program.with_extension("unfinished");
        let output = self
            .go(module)
            .args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags"])
            .arg(part.linker_flags(module)?)
            .arg("-o")
            .arg(&unfinished)
            .arg(part.package)
            .env("CGO_ENABLED", "0")
            .output()
            .map_err(Error::doing("run go build"))?;
        if !output.status.success() {
            return Err(Error::Build {
                program: part.name,
                status: output.status,
                tail: last_lines(&String::from_utf8_lossy(&output.stderr), 15),
                module: module.folder.clone(),
            });
        }
        std::fs::rename(&unfinished, program).map_err(Error::at("rename the new program to", program))
    }

    /// Asks Go for its version, which also fetches a newer Go when the one here may do that.
    fn check_go(&self, module: &GoModule) -> Result<(), Error> {
        let needed = module.go_version()?;
        let output = match self.go(module).args(["env", "GOVERSION"]).output() {
            Ok(output) => output,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::GoMissing { needed: needed.to_owned() });
            }
            Err(error) => return Err(Error::doing("run go")(error)),
        };
        let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let new_enough =
            output.status.success() && found.strip_prefix("go").is_some_and(|found| numbers(found) >= numbers(needed));
        if new_enough {
            return Ok(());
        }
        let told = if found.is_empty() { last_lines(&String::from_utf8_lossy(&output.stderr), 3) } else { found };
        Err(Error::GoTooOld { found: told, needed: needed.to_owned() })
    }

    fn go(&self, module: &GoModule) -> Command {
        let mut command = Command::new("go");
        command
            .current_dir(&module.folder)
            .stdin(Stdio::null())
            // For this machine, and from this module, whatever the user's shell is set up for.
            .env_remove("GOOS")
            .env_remove("GOARCH")
            .env("GOWORK", "off");
        if let Some(path) = &self.path {
            // std looks for the program in the child's PATH when that is set.
            command.env("PATH", path);
        }
        command
    }
}

impl Part {
    /// The version that it tells and is kept under: that of Kubernetes for every part of the control plane.
    fn version<'a>(&self, module: &'a GoModule) -> Result<&'a str, Error> {
        module.version_of(if self.module == HELM_MODULE { HELM_MODULE } else { KUBERNETES })
    }

    /// Without these the API server calls itself v0.0.0, and clients complain; `-s -w` halves the size.
    fn linker_flags(&self, module: &GoModule) -> Result<String, Error> {
        const PACKAGE: &str = "k8s.io/component-base/version";
        let version = self.version(module)?;
        if self.module == HELM_MODULE {
            return Ok(format!("-s -w -X {HELM_MODULE}/internal/version.version={version}"));
        }
        let mut numbers = version.trim_start_matches('v').split('.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        Ok(format!(
            "-s -w -X {PACKAGE}.gitVersion={version} -X {PACKAGE}.gitMajor={major} -X {PACKAGE}.gitMinor={minor} \
             -X {PACKAGE}.gitTreeState=clean"
        ))
    }
}

/// `1.26.8` as numbers that compare; whatever follows the digits of a part, as in `1.27rc1`, is left out.
fn numbers(version: &str) -> Vec<u32> {
    let leading = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>();
    version.split('.').map(|part| leading(part).parse().unwrap_or(0)).collect()
}

/// Holds off other processes that want to build into the same folder; the lock ends with the file, even after `kill -9`.
fn lock(folder: &Path, progress: &dyn Fn(&str)) -> Result<File, Error> {
    let path = folder.join("lock");
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(Error::at("open", &path))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => progress("waiting for another process that is building the control plane"),
        Err(TryLockError::Error(error)) => return Err(Error::at("lock", &path)(error)),
    }
    file.lock().map_err(Error::at("lock", &path))?;
    Ok(file)
}

/// The pinned versions: `go.mod` in `tests/control-plane` or `tests/helm`.
struct GoModule {
    folder: PathBuf,
    text: String,
}

impl GoModule {
    fn read(folder: &Path) -> Result<Self, Error> {
        let folder = folder.canonicalize().map_err(Error::at("find the Go module", folder))?;
        let path = folder.join("go.mod");
        let text = std::fs::read_to_string(&path).map_err(Error::at("read", &path))?;
        Ok(Self { folder, text })
    }

    /// The lines that say something: without comments, blank lines and indentation.
    fn statements(&self) -> impl Iterator<Item = &str> {
        self.text
            .lines()
            .map(|line| line.split_once("//").map_or(line, |(statement, _)| statement).trim())
            .filter(|line| !line.is_empty())
    }

    /// The version a module is pinned to, such as `v1.37.2`.
    fn version_of(&self, module: &'static str) -> Result<&str, Error> {
        let version = |line| {
            let (name, version) =
                str::trim_start(str::strip_prefix(line, "require ").unwrap_or(line)).split_once(' ')?;
            (name == module && version.starts_with('v')).then(|| version.trim())
        };
        self.statements().find_map(version).ok_or_else(|| self.lacks(module))
    }

    /// The oldest Go that will do, such as `1.26.0`.
    fn go_version(&self) -> Result<&str, Error> {
        self.statements().find_map(|line| line.strip_prefix("go ")).map(str::trim).ok_or_else(|| self.lacks("go"))
    }

    fn lacks(&self, wanted: &'static str) -> Error {
        Error::GoModule { path: self.folder.join("go.mod"), wanted }
    }

    /// Names the cache folder: the version for people, and a hash of every pin, which new comments do not change.
    fn key(&self, part: &Part) -> Result<String, Error> {
        // FNV-1a: std's own hasher may differ between compilers, which would build everything again.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut take = |text: &str| {
            for byte in text.bytes().chain([b'\n']) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        let version = part.version(self)?;
        take(std::env::consts::OS);
        take(std::env::consts::ARCH);
        take(&part.linker_flags(self)?);
        self.statements().for_each(take);
        let name = if part.module == HELM_MODULE { "helm-" } else { "" };
        Ok(format!("{name}{version}-{hash:016x}"))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::process::TempFolder;

    const GO_MOD: &str = "// a comment\nmodule x\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes v1.37.2\n\
        require (\n\tgo.etcd.io/etcd/server/v3 v3.7.0 // indirect\n)\nreplace (\n\tk8s.io/api => k8s.io/api v0.37.2\n)\n";

    fn module(text: &str) -> GoModule {
        GoModule { folder: PathBuf::from("/m"), text: text.to_owned() }
    }

    /// Surroundings inside one folder: no program anywhere, an empty cache, a small `go.mod`.
    fn bare(folder: &TempFolder) -> Surroundings {
        let path = |name: &str| folder.path().join(name);
        for name in ["assets", "cache", "path", "module"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        std::fs::write(path("module/go.mod"), GO_MOD).unwrap();
        Surroundings {
            assets: None,
            cache_home: Some(path("cache").into()),
            home: None,
            path: Some(path("path").into()),
            module: path("module"),
            helm: path("helm"),
        }
    }

    /// Written by a shell: a file that this process has just written itself cannot be run while another test's thread is
    /// between fork and exec ("text file busy").
    fn script(path: &Path, text: &str) {
        let status = Command::new("sh")
            .args(["-c", "printf '#!/bin/sh\n%s\n' \"$2\" > \"$1\" && chmod 755 \"$1\"", "sh"])
            .arg(path)
            .arg(text)
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// A Go of version 1.26.8 that "builds" by writing an executable file, and counts its builds in the file `builds`.
    fn pretend_go(surroundings: &mut Surroundings, folder: &TempFolder) {
        script(
            &folder.path().join("path/go"),
            &format!(
                "if [ \"$1\" = env ]; then echo go1.26.8; exit; fi\n\
                 while [ \"$1\" != -o ]; do shift; done\n\
                 echo \"$3\" >> {}; echo program > \"$2\"; chmod 755 \"$2\"",
                folder.path().join("builds").display()
            ),
        );
        let path = std::env::join_paths([folder.path().join("path"), "/usr/bin".into(), "/bin".into()]).unwrap();
        surroundings.path = Some(path);
    }

    fn quiet(surroundings: &Surroundings) -> Result<Binaries, Error> {
        surroundings.find_or_build(&|_| {})
    }

    #[test]
    fn the_real_module_names_what_is_read_from_it() {
        let module = GoModule::read(&Surroundings::of_this_process().module).unwrap();
        assert!(module.version_of(KUBERNETES).unwrap().starts_with("v1."));
        assert!(module.version_of(ETCD_SERVER).unwrap().starts_with("v3."));
        assert!(numbers(module.go_version().unwrap()) >= vec![1, 21]);
        let helm = GoModule::read(&Surroundings::of_this_process().helm).unwrap();
        assert!(helm.version_of(HELM_MODULE).unwrap().starts_with("v4."));
    }

    #[test]
    fn versions_are_read_and_not_taken_from_replace_lines() {
        let module = module(GO_MOD);
        assert_eq!(module.version_of(KUBERNETES).unwrap(), "v1.37.2");
        assert_eq!(module.version_of(ETCD_SERVER).unwrap(), "v3.7.0");
        assert_eq!(module.go_version().unwrap(), "1.26.0");
        let told = module.version_of("k8s.io/api").unwrap_err().to_string();
        assert!(told.contains("/m/go.mod does not name k8s.io/api"), "{told}");
    }

    #[test]
    fn the_key_follows_the_pins_and_not_the_comments() {
        let key = |text: &str| module(text).key(&KUBECTL).unwrap();
        assert!(key(GO_MOD).starts_with("v1.37.2-"));
        assert_eq!(key(GO_MOD), key(&GO_MOD.replace("a comment", "another")));
        assert_ne!(key(GO_MOD), key(&GO_MOD.replace("v3.7.0", "v3.7.1")));
        assert_ne!(key(GO_MOD), key(&GO_MOD.replace("v0.37.2", "v0.37.3")));
    }

    #[test]
    fn builds_once_in_order_with_a_line_before_each() {
        let folder = TempFolder::new("cpn-env-test", false).unwrap();
        let mut surroundings = bare(&folder);
        pretend_go(&mut surroundings, &folder);

        let lines = RefCell::new(Vec::new());
        let binaries = surroundings.find_or_build(&|line| lines.borrow_mut().push(line.to_owned())).unwrap();
        // A program that another test starts holds copies of this one's locks until it is executed.
        lines.borrow_mut().retain(|line| !line.starts_with("waiting for"));
        assert_eq!(
            lines.take(),
            [
                "building kube-apiserver 1.37.2, about 6 minutes on two cores, once",
                "building etcd 3.7.0, about 20 seconds on two cores, once",
                "building kubectl 1.37.2, about half a minute on two cores, once",
                "building kube-controller-manager 1.37.2, about 2 minutes on two cores, once",
            ]
        );
        assert!(binaries.kubectl.starts_with(folder.path().join("cache/clinic-phone-operator/control-plane")));

        assert_eq!(quiet(&surroundings).unwrap(), binaries);
        let builds = std::fs::read_to_string(folder.path().join("builds")).unwrap();
        assert_eq!(builds.lines().count(), 4, "{builds}");
    }

    #[test]
    fn helm_is_built_when_it_is_asked_for_from_its_own_module() {
        let folder = TempFolder::new("cpn-env-test", false).unwrap();
        let mut surroundings = bare(&folder);
        pretend_go(&mut surroundings, &folder);
        std::fs::create_dir(folder.path().join("helm")).unwrap();
        let go_mod = "module y\n\ngo 1.26.0\n\nrequire helm.sh/helm/v4 v4.3.1 // indirect\n";
        std::fs::write(folder.path().join("helm/go.mod"), go_mod).unwrap();
        let program = surroundings.cached(&HELM, &|_| {}).unwrap();
        let home = folder.path().join("cache/clinic-phone-operator/control-plane/helm-v4.3.1-");
        assert!(program.to_string_lossy().starts_with(&*home.to_string_lossy()), "{}", program.display());
        assert_eq!(surroundings.cached(&HELM, &|_| {}).unwrap(), program);
        let builds = std::fs::read_to_string(folder.path().join("builds")).unwrap();
        assert_eq!(builds, "helm.sh/helm/v4/cmd/helm\n");
    }

    #[test]
    fn two_that_need_the_same_program_build_it_once() {
        let folder = TempFolder::new("cpn-env-test", false).unwrap();
        let mut surroundings = bare(&folder);
        pretend_go(&mut surroundings, &folder);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| quiet(&surroundings).unwrap());
            }
        });
        let builds = std::fs::read_to_string(folder.path().join("builds")).unwrap();
        assert_eq!(builds.lines().count(), 4, "{builds}");
    }

    #[test]
    fn without_go_it_says_what_to_install() {
        let folder = TempFolder::new("cpn-env-test", false).unwrap();
        let told = quiet(&bare(&folder)).unwrap_err().to_string();
        assert!(told.starts_with("Go is not in PATH") && told.contains("install Go 1.26.0 or newer"), "{told}");
    }

    #[test]
    fn an_old_go_is_named() {
        let folder = TempFolder::new("cpn-env-test", false).unwrap();
        let surroundings = bare(&folder);
        // Go before 1.21 knows nothing of toolchains and just says what it is.
        script(&folder.path().join("path/go"), "echo go1.20.14");
        let told = quiet(&surroundings).unwrap_err().to_string();
        assert!(told.starts_with("Go is too old: go1.20.14, and this Kubernetes needs 1.26.0"), "{told}");

        let refusal = "go: go.mod requires go >= 1.26.0 (running go 1.25.1; GOTOOLCHAIN=local)";
        script(&folder.path().join("path/go"), &format!("echo '{refusal}' >&2; exit 1"));
        let told = quiet(&surroundings).unwrap_err().to_string();
        assert!(told.contains("running go 1.25.1"), "{told}");
    }

    #[test]
    fn a_failed_build_shows_the_end_of_its_output() {
        let folder = TempFolder::new("cpn-env-test", false).unwrap();
        let surroundings = bare(&folder);
        script(
            &folder.path().join("path/go"),
            "if [ \"$1\" = env ]; then echo go1.26.8; exit; fi; echo 'no such module' >&2; exit 1",
        );
        let told = quiet(&surroundings).unwrap_err().to_string();
        assert!(told.contains("building kube-apiserver failed (exit status: 1)"), "{told}");
        assert!(told.contains("no such module") && told.contains("by hand in"), "{told}");
    }

    #[test]
    fn assets_have_to_hold_the_two_servers() {
        let folder = TempFolder::new("cpn-env-test", false).unwrap();
        let assets = folder.path().join("assets");
        let surroundings = Surroundings { assets: Some(assets.clone().into()), ..bare(&folder) };
        script(&assets.join("kube-apiserver"), "");
        let told = quiet(&surroundings).unwrap_err().to_string();
        assert!(told.contains("no executable etcd") && told.contains("unset it"), "{told}");
    }

    #[test]
    fn what_assets_lack_beyond_the_servers_is_built() {
        let folder = TempFolder::new("cpn-env-test", false).unwrap();
        let assets = folder.path().join("assets");
        let mut surroundings = Surroundings { assets: Some(assets.clone().into()), ..bare(&folder) };
        pretend_go(&mut surroundings, &folder);
        for name in ["kube-apiserver", "etcd", "kubectl"] {
            script(&assets.join(name), "");
        }
        let binaries = quiet(&surroundings).unwrap();
        assert_eq!(binaries.kubectl, assets.join("kubectl"));
        assert_eq!(binaries.etcd, assets.join("etcd"));
        assert!(binaries.kube_controller_manager.starts_with(folder.path().join("cache")));
    }

    #[test]
    fn the_cache_is_where_the_user_keeps_caches() {
        let folder = TempFolder::new("cpn-env-test", false).unwrap();
        let surroundings = |cache_home: Option<&str>, home: Option<&str>| Surroundings {
            cache_home: cache_home.map(Into::into),
            home: home.map(Into::into),
            ..Surroundings {
                assets: None,
                cache_home: None,
                home: None,
                path: None,
                module: folder.path().into(),
                helm: folder.path().into(),
            }
        };
        let end = "clinic-phone-operator/control-plane";
        let of = |cache_home, home| surroundings(cache_home, home).cache_folder();
        assert_eq!(of(Some("/c"), Some("/h")).unwrap(), Path::new("/c").join(end));
        assert_eq!(of(None, Some("/h")).unwrap(), Path::new("/h/.cache").join(end));
        // The XDG rules: a relative path is to be ignored.
        assert_eq!(of(Some("c"), Some("/h")).unwrap(), Path::new("/h/.cache").join(end));
        assert!(matches!(of(None, None), Err(Error::NoCacheFolder)));
    }
}
