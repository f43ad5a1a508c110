//! The cluster that the operator runs against: one of our own, or the one that a person's kubeconfig names.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cpn_env::process::{TempFolder, write_private};
use cpn_env::{ControlPlane, Error, Kubectl, Options, binaries};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::programs::checkout;
use crate::settings::Settings;
use crate::tell;

/// The namespace and the name of everything that the operator itself needs.
pub const OPERATOR: &str = "clinic-phone-operator";

/// The name of the CRD.
const CRD: &str = "clinicphonenumbers.telephony.chiroflow.io";

/// On everything that is made here and has to go again.
const LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "cpn-env");

/// How long a token of the operator's `ServiceAccount` is good; a cluster may allow less.
const TOKEN_LIFE: &str = "--duration=720h";

/// A cluster with the CRD, and with the operator's `ServiceAccount` and its rights.
#[derive(Debug)]
pub struct Cluster {
    kubectl: Kubectl,
    operator_kubeconfig: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Own(Box<ControlPlane>),
    Current(Sweeper),
}

/// A cluster that a person has agreed to use: their current context, alone in a kubeconfig of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The path of kubectl.
    pub kubectl: PathBuf,
    /// A folder that is removed at the end; it holds `kubeconfig`.
    pub folder: PathBuf,
}

impl Agreed {
    /// Names the current context and asks whether it may be used.
    ///
    /// # Errors
    /// When there is none, the person says no, or the cluster has the operator already.
    pub fn ask(settings: Settings) -> Result<Self, Failure> {
        let program = binaries::find_or_build_kubectl(&tell)?;
        // Asked with the person's own kubeconfig, wherever they keep it.
        let view = |arguments: &[&str]| -> Result<String, Failure> {
            let output = Command::new(&program).args(arguments).stdin(Stdio::null()).output();
            let output = output.map_err(Failure::doing("run kubectl"))?;
            if output.status.success() {
                return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
            }
            Err(Failure::Told(format!(
                "CLUSTER=current needs a current kubeconfig context: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )))
        };
        let context = view(&["config", "current-context"])?.trim().to_owned();
        let config = view(&["config", "view", "--raw", "--minify", "--flatten", "--output", "json"])?;
        confirm(&context, settings.yes)?;

        let folder = TempFolder::new("cpn-current-cluster", true)?.path().to_owned();
        let agreed = Self { kubectl: program, folder };
        write_private(&agreed.kubeconfig(), &config)?;
        agreed.refuse_if_taken(&context).inspect_err(|_| drop(std::fs::remove_dir_all(&agreed.folder)))?;
        Ok(agreed)
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.kubectl, self.kubeconfig(), self.folder.join("kubectl-cache"))
    }

    /// An operator that knows only the simulated Twilio must never see resources whose numbers are real.
    fn refuse_if_taken(&self, context: &str) -> Result<(), Failure> {
        let kubectl = self.kubectl();
        let found = kubectl.run(["get", "crd,namespace", "--output", "name"])?.ok()?;
        let taken = [format!("customresourcedefinition.apiextensions.k8s.io/{CRD}"), format!("namespace/{OPERATOR}")];
        match found.lines().find(|line| taken.iter().any(|name| name == line)) {
            None => Ok(()),
            Some(taken) => Err(Failure::Told(format!(
                "{context} has {taken} already: an operator that knows only a simulated Twilio must not see resources whose \
                 numbers are real. Use another cluster. If that is a leftover of an earlier run: kubectl delete \
                 namespace,clusterrole,clusterrolebinding,crd -l {}={}",
                LABEL.0, LABEL.1
            ))),
        }
    }
}

fn confirm(context: &str, yes: bool) -> Result<(), Failure> {
    let what = format!(
        "the cluster of the context {context:?}: a CRD, a namespace, rights for the operator and the examples are made in it, \
         and removed at the end; Twilio is simulated"
    );
    if yes {
        tell(&format!("using {what}"));
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Told(format!(
            "this would use {what}; nobody is here to ask, so say YES=1 if that is meant"
        )));
    }
    tell(&format!("This uses {what}.\nType yes to go on:"));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(Failure::doing("read the answer"))?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Failure::Told("nothing was done".to_owned())) }
}

impl Cluster {
    /// Starts a control plane of its own, or uses the one that a person agreed to, and installs what the operator needs.
    ///
    /// # Errors
    /// When the control plane does not start or refuses something.
    pub fn start(agreed: Option<Agreed>) -> Result<Self, Failure> {
        let (kubectl, kind, folder) = match agreed {
            None => {
                let binaries = binaries::find_or_build(&tell)?;
                tell("starting etcd, kube-apiserver and kube-controller-manager");
                let control_plane = ControlPlane::start(&binaries, &Options::default())?;
                let folder = control_plane.folder().to_owned();
                (control_plane.client(), Kind::Own(Box::new(control_plane)), folder)
            }
            Some(agreed) => {
                let kubectl = agreed.kubectl();
                let sweeper = Sweeper::start(&agreed)?;
                (kubectl, Kind::Current(sweeper), agreed.folder)
            }
        };
        tell("installing the CRD and the operator's rights");
        install(&kubectl)?;
        let operator_kubeconfig = folder.join("kubeconfig-operator");
        write_private(&operator_kubeconfig, &account_kubeconfig(&kubectl)?)?;
        Ok(Self { kubectl, operator_kubeconfig, kind })
    }

    /// kubectl as an administrator.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The kubeconfig of the operator's `ServiceAccount`.
    pub fn operator_kubeconfig(&self) -> &Path {
        &self.operator_kubeconfig
    }

    /// The audit log, of a control plane of its own.
    pub fn audit_log(&self) -> Option<PathBuf> {
        match &self.kind {
            Kind::Own(control_plane) => Some(control_plane.audit_log()),
            Kind::Current(_) => None,
        }
    }

    /// Marks namespaces as made here, so that they go at the end.
    pub fn adopt_namespaces(&self, namespaces: &[String]) -> Result<(), Error> {
        let label = format!("{}={}", LABEL.0, LABEL.1);
        let arguments = ["label", "namespace"].into_iter().chain(namespaces.iter().map(String::as_str));
        self.kubectl.run(arguments.chain([label.as_str()]))?.ok().map(drop)
    }

    /// Whether the cluster belongs to somebody else.
    pub fn is_borrowed(&self) -> bool {
        matches!(self.kind, Kind::Current(_))
    }

    /// Returns nothing while everything runs that was started for it.
    pub fn check(&self) -> Result<(), Error> {
        match &self.kind {
            Kind::Own(control_plane) => control_plane.check(),
            Kind::Current(_) => Ok(()),
        }
    }

    /// Ends the control plane, or removes everything that was made in a borrowed cluster.
    ///
    /// # Errors
    /// When something is left.
    pub fn stop(self) -> Result<(), Failure> {
        match self.kind {
            Kind::Own(control_plane) => Ok(control_plane.stop()?),
            Kind::Current(sweeper) => {
                tell("removing what was made in the cluster");
                sweeper.sweep()
            }
        }
    }
}

/// Applies the CRD, the operator's namespace, its `ServiceAccount` and exactly the rights that the chart gives it.
fn install(kubectl: &Kubectl) -> Result<(), Failure> {
    let root = checkout()?;
    let read = |path: &str| {
        let path = root.join(path);
        std::fs::read_to_string(&path).map_err(Failure::doing(format!("read {}", path.display())))
    };
    let apply = ["apply", "--server-side", "--filename", "-"];
    kubectl.run_with(apply, &read(&format!("crds/{}.yaml", file_name(CRD)))?)?.ok()?;
    kubectl.run(["label", "crd", CRD, &format!("{}={}", LABEL.0, LABEL.1)])?.ok()?;
    let rules = "charts/clinic-phone-operator/files/rules";
    let manifest =
        rights(&read(&format!("{rules}-cluster.yaml"))?, &read(&format!("{rules}-operator-namespace.yaml"))?);
    kubectl.run_with(apply, &manifest)?.ok()?;
    kubectl.run(["wait", "--for=condition=Established", "--timeout=60s", &format!("crd/{CRD}")])?.ok()?;
    Ok(())
}

/// The CRD's file is called `<group>_<plural>`.
fn file_name(crd: &str) -> String {
    crd.split_once('.').map_or_else(|| crd.to_owned(), |(plural, group)| format!("{group}_{plural}"))
}

/// What the chart's templates make of the rules, for one operator that serves all namespaces.
fn rights(cluster_rules: &str, namespace_rules: &str) -> String {
    let labels = format!("labels: {{{}: {}}}", LABEL.0, LABEL.1);
    let subject = format!("subjects:\n- {{kind: ServiceAccount, name: {OPERATOR}, namespace: {OPERATOR}}}\n");
    let object = |version: &str, kind: &str, metadata: &str, rest: &str| {
        format!("---\napiVersion: {version}\nkind: {kind}\nmetadata: {{{metadata}, {labels}}}\n{rest}")
    };
    let rbac = "rbac.authorization.k8s.io/v1";
    let reference = |kind: &str, name: &str| {
        format!("roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: {name}}}\n{subject}")
    };
    let named = format!("name: {OPERATOR}");
    let namespaced = format!("name: {OPERATOR}, namespace: {OPERATOR}");
    let ledger = format!("{OPERATOR}-ledger");
    let ledger_named = format!("name: {ledger}, namespace: {OPERATOR}");
    [
        object("v1", "Namespace", &named, ""),
        object("v1", "ServiceAccount", &namespaced, ""),
        object(rbac, "ClusterRole", &named, &format!("rules:\n{cluster_rules}\n")),
        object(rbac, "ClusterRoleBinding", &named, &reference("ClusterRole", OPERATOR)),
        object(rbac, "Role", &ledger_named, &format!("rules:\n{namespace_rules}\n")),
        object(rbac, "RoleBinding", &ledger_named, &reference("Role", &ledger)),
    ]
    .concat()
}

/// The same cluster, seen by the operator's `ServiceAccount` in its namespace, as in a Pod.
fn account_kubeconfig(kubectl: &Kubectl) -> Result<String, Failure> {
    let token = kubectl.run(["create", "token", OPERATOR, "--namespace", OPERATOR, TOKEN_LIFE])?.ok()?;
    let admin = kubectl.run(["config", "view", "--raw", "--minify", "--flatten", "--output", "json"])?.json()?;
    let config = for_account(&admin, token.trim());
    config.ok_or_else(|| Failure::Told("the kubeconfig names no cluster".to_owned()))
}

fn for_account(admin: &Value, token: &str) -> Option<String> {
    let cluster = admin.pointer("/clusters/0/cluster")?;
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": OPERATOR, "user": {"token": token}}],
        "contexts": [{"name": OPERATOR, "context": {"cluster": "cluster", "user": OPERATOR, "namespace": OPERATOR}}],
        "current-context": OPERATOR,
    });
    Some(format!("{config:#}\n"))
}

/// Removes what was made in a borrowed cluster, once this process ends in any way: a shell that waits for the end of its
/// input. The operator is gone by then, so its finalizers are taken off for it: its numbers are simulated.
#[derive(Debug)]
struct Sweeper {
    shell: std::process::Child,
    log: PathBuf,
    folder: PathBuf,
}

impl Sweeper {
    fn start(agreed: &Agreed) -> Result<Self, Failure> {
        /// `$1` is kubectl, `$2` the CRD, `$3` the label, `$4` the folder.
        const SWEEP: &str = "while read -r _; do :; done
            \"$1\" get \"$2\" --all-namespaces --output \
                'jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{\"\\n\"}{end}' |
            while read -r namespace name; do
                \"$1\" patch \"$2\" --namespace \"$namespace\" \"$name\" --type merge \
                    --patch '{\"metadata\":{\"finalizers\":null}}' < /dev/null
            done
            \"$1\" delete namespace,clusterrole,clusterrolebinding,crd --selector \"$3\" --timeout 60s && rm -rf -- \"$4\"";

        let log = agreed.folder.join("sweep.log");
        let file = std::fs::File::create(&log).map_err(Failure::doing(format!("make {}", log.display())))?;
        let errors = file.try_clone().map_err(Failure::doing("write a log"))?;
        let shell = Command::new("sh")
            .args(["-c", SWEEP, "sh"])
            .arg(&agreed.kubectl)
            .args([CRD, &format!("{}={}", LABEL.0, LABEL.1)])
            .arg(&agreed.folder)
            .env("KUBECONFIG", agreed.kubeconfig())
            .env("KUBERC", "off")
            .env("KUBECACHEDIR", agreed.folder.join("kubectl-cache"))
            .stdin(Stdio::piped())
            .stdout(file)
            .stderr(errors)
            // Ctrl-C goes to the whole group of this process, and this one has to survive it.
            .process_group(0)
            .spawn()
            .map_err(Failure::doing("start sh, which tidies the cluster up"))?;
        Ok(Self { shell, log, folder: agreed.folder.clone() })
    }

    fn sweep(mut self) -> Result<(), Failure> {
        drop(self.shell.stdin.take());
        let status = self.shell.wait().map_err(Failure::doing("wait until the cluster is tidy"))?;
        if status.success() {
            return Ok(());
        }
        let told = cpn_env::process::tail(&self.log, 15);
        Err(Failure::Told(format!(
            "not everything could be removed from the cluster ({status}); what is needed for it is kept in {}:\n{told}",
            self.folder.display()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_gets_its_token_and_nobody_elses() {
        let admin = json!({
            "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
            "users": [{"name": "admin", "user": {"token": "canary"}}],
        });
        let config: Value = serde_json::from_str(&for_account(&admin, "mine").unwrap()).unwrap();
        assert_eq!(config.pointer("/clusters/0/cluster/server").unwrap(), "https://127.0.0.1:1");
        assert_eq!(config.pointer("/users/0/user/token").unwrap(), "mine");
        assert_eq!(config.pointer("/contexts/0/context/namespace").unwrap(), OPERATOR);
        assert!(!config.to_string().contains("canary"));
        assert_eq!(for_account(&json!({"clusters": null}), "mine"), None);
    }

    #[test]
    fn the_crd_has_a_file() {
        let path = format!("crds/{}.yaml", file_name(CRD));
        assert!(checkout().unwrap().join(&path).is_file(), "{path}");
    }
}
