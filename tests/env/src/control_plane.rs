//! Runs etcd, kube-apiserver and kube-controller-manager on loopback ports.
//!
//! As close to a real cluster as tests need: RBAC, admission, tokens of service accounts, garbage collection and deletion of
//! namespaces. No kubelet and no scheduler, so Pods stay pending, and only the three controllers named in [`CONTROLLERS`].
//! The servers trust everybody on this machine who can reach etcd's port: nothing of value belongs in here.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::process::{Child, Port, Program, TempFolder, secret, tail, wait_until, write_private};
use crate::{Binaries, Error, Kubectl, KubectlOutput};

/// Without `namespace` no namespace ever goes away; without `garbage-collector` owned objects stay; without
/// `serviceaccount` new namespaces have no `default` account.
const CONTROLLERS: &str = "namespace-controller,garbage-collector-controller,serviceaccount-controller";

/// Everything that is written, and who asked for what else, without bodies. Health checks would drown the rest.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: ['/healthz*', '/livez*', '/readyz*']
- level: Metadata
";

/// How often a start is tried when somebody else takes a port between its choice and its use.
const ATTEMPTS: usize = 4;

/// The longest life that `kubectl create token` is asked for: longer than any run.
const TOKEN_LIFE: &str = "720h";

/// The administrator's name in the audit log.
const ADMIN: &str = "cpn-admin";

/// How to run a control plane.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether kube-controller-manager runs; without it nothing deletes namespaces or owned objects.
    pub controller_manager: bool,
    /// Leaves the temporary folder, with its logs and data, behind.
    pub keep_folder: bool,
    /// How long the servers may take until they are ready.
    pub ready_within: Duration,
    /// More arguments for kube-apiserver; a repeated flag wins over the same one here.
    pub api_server_arguments: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            controller_manager: true,
            keep_folder: false,
            // Some ten times what it takes on two idle cores: others may be compiling meanwhile.
            ready_within: Duration::from_secs(90),
            api_server_arguments: Vec::new(),
        }
    }
}

/// A running control plane. Its processes and its folder go when this is dropped or this process ends in any way.
///
/// Its servers can be stopped and started while others use it: an outage is part of what is tested.
#[derive(Debug)]
pub struct ControlPlane {
    // In the order of ending: the servers first, and the folder last.
    servers: Mutex<Servers>,
    port: Port,
    etcd_port: Port,
    folder: TempFolder,
    binaries: Binaries,
    options: Options,
}

/// The servers that run, in the order of ending: each before what it depends on.
#[derive(Debug, Default)]
struct Servers {
    controller_manager: Option<Child>,
    api_server: Option<Child>,
    etcd: Option<Child>,
}

impl Servers {
    fn all(&mut self) -> impl Iterator<Item = &mut Child> {
        self.controller_manager.iter_mut().chain(&mut self.api_server).chain(&mut self.etcd)
    }

    /// Kills all of them and waits for their ends.
    fn end(&mut self) -> Result<(), Error> {
        let Self { controller_manager, api_server, etcd } = std::mem::take(self);
        controller_manager.into_iter().chain(api_server).chain(etcd).try_for_each(|child| child.kill().map(drop))
    }
}

impl ControlPlane {
    /// Starts the servers and returns once they are ready.
    ///
    /// # Errors
    /// With the end of the log of the server that is to blame.
    pub fn start(binaries: &Binaries, options: &Options) -> Result<Self, Error> {
        let mut attempt = 1;
        loop {
            match Self::start_once(binaries, options) {
                Err(Error::Ended { tail, .. }) if attempt < ATTEMPTS && tail.contains("address already in use") => {
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    fn start_once(binaries: &Binaries, options: &Options) -> Result<Self, Error> {
        let folder = TempFolder::new("cpn-control-plane", options.keep_folder)?;
        let (port, etcd_port) = (Port::free()?, Port::free()?);
        write_credentials(folder.path(), port.number())?;
        let control_plane = Self {
            servers: Mutex::default(),
            port,
            etcd_port,
            folder,
            binaries: binaries.clone(),
            options: options.clone(),
        };
        control_plane.resume()?;
        Ok(control_plane)
    }

    fn servers(&self) -> MutexGuard<'_, Servers> {
        // Whoever panicked left children that are there or not: both are known.
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address of the API server.
    pub fn url(&self) -> String {
        url(self.port.number())
    }

    /// Everything this control plane writes: logs, data, kubeconfigs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The kubeconfig of an administrator who may do everything.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder().join("kubeconfig")
    }

    /// The path of kubectl, for those who run it on their own.
    pub fn kubectl_program(&self) -> &Path {
        &self.binaries.kubectl
    }

    /// The audit log: one JSON event per line, see [`crate::audit::writes`].
    pub fn audit_log(&self) -> PathBuf {
        self.folder().join("audit.log")
    }

    /// The process ids of the servers that run.
    pub fn process_ids(&self) -> Vec<u32> {
        self.servers().all().map(|child| child.id()).collect()
    }

    /// Returns nothing while every server that should run does.
    ///
    /// # Errors
    /// [`Error::Ended`] with the end of its log when one has ended by itself.
    pub fn check(&self) -> Result<(), Error> {
        // The one that others depend on first: it is the cause.
        let Servers { controller_manager, api_server, etcd } = &mut *self.servers();
        etcd.iter_mut().chain(api_server).chain(controller_manager).try_for_each(Child::check)
    }

    /// kubectl as the administrator, as a value of its own.
    pub fn client(&self) -> Kubectl {
        Kubectl::new(&self.binaries.kubectl, self.kubeconfig(), self.folder().join("kubectl-cache"))
    }

    /// Runs kubectl as the administrator.
    ///
    /// # Errors
    /// When kubectl cannot run at all. That it failed is in the answer: see [`KubectlOutput::ok`].
    pub fn kubectl<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<KubectlOutput, Error> {
        self.client().run(arguments)
    }

    /// Runs kubectl as the administrator, with something to read.
    pub fn kubectl_stdin<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Result<KubectlOutput, Error> {
        self.client().run_with(arguments, input)
    }

    /// Runs kubectl as whoever the kubeconfig names.
    pub fn kubectl_as<A: AsRef<OsStr>>(
        &self,
        kubeconfig: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<KubectlOutput, Error> {
        self.client().with_kubeconfig(kubeconfig).run(arguments)
    }

    /// Writes a kubeconfig with a token of a service account, which has to exist, and returns its path.
    ///
    /// The token is a real one, so RBAC applies as in a Pod. It is good for a month and dies with the account.
    pub fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf, Error> {
        let life = format!("--duration={TOKEN_LIFE}");
        let token = self.kubectl(["create", "token", name, "--namespace", namespace, &life])?.ok()?;
        let path = self.folder().join(format!("kubeconfig-{namespace}-{name}"));
        let user = format!("{namespace}-{name}");
        // The namespace too, as in a Pod: clients take it for their own.
        write_private(&path, &kubeconfig(self.folder(), self.port.number(), &user, token.trim(), namespace))?;
        Ok(path)
    }

    /// Where etcd keeps its data: everything that the cluster knows. To be copied, replaced or removed while the servers are
    /// halted.
    pub fn data(&self) -> PathBuf {
        self.folder().join("etcd")
    }

    /// Kills all servers, as the end of a machine would. The data stays.
    pub fn halt(&self) -> Result<(), Error> {
        self.servers().end()
    }

    /// Starts the servers that do not run, on the same addresses and with the data that is there, and returns once they are
    /// ready.
    pub fn resume(&self) -> Result<(), Error> {
        {
            let mut servers = self.servers();
            if servers.etcd.is_none() {
                servers.etcd =
                    Some(etcd(&self.binaries, self.folder(), &self.data(), self.etcd_port.number()).start()?);
            }
        }
        self.start_api_server()?;
        if self.options.controller_manager { self.start_controller_manager() } else { Ok(()) }
    }

    /// Kills the API server, as an outage would. etcd and the data stay.
    pub fn stop_api_server(&self) -> Result<(), Error> {
        let server = self.servers().api_server.take();
        server.map_or(Ok(()), |server| server.kill().map(drop))
    }

    /// Starts the API server on the same address with the same data, and returns once it is ready; nothing when it runs.
    pub fn start_api_server(&self) -> Result<(), Error> {
        {
            let mut servers = self.servers();
            if let Some(server) = &mut servers.api_server {
                return server.check();
            }
            servers.api_server = Some(self.api_server_program().start()?);
        }
        self.wait_until_ready("kube-apiserver", |control_plane| {
            Ok(control_plane.kubectl(["get", "--raw", "/readyz"])?.success())
        })
    }

    /// Sends the API server a signal by its name, such as `STOP` and `CONT`: it holds its connections and answers nothing.
    pub fn signal_api_server(&self, name: &str) -> Result<(), Error> {
        self.servers().api_server.as_ref().map_or(Ok(()), |server| server.signal(name))
    }

    /// Ends everything and removes the folder, unless it is to be kept.
    pub fn stop(self) -> Result<(), Error> {
        self.halt()
    }

    fn start_controller_manager(&self) -> Result<(), Error> {
        let log = self.folder().join("kube-controller-manager.log");
        let program = Program::new("kube-controller-manager", &self.binaries.kube_controller_manager, log)
            .arg(flag("kubeconfig", self.folder().join("kubeconfig-controller-manager")))
            .arg(format!("--controllers={CONTROLLERS}"))
            // A namespace takes some sixty calls to go, and every test leaves one or more: at the default of twenty a second they
            // queue up for minutes.
            .args(["--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-namespace-syncs=20"])
            // There is one, and its health is told by what it does.
            .args(["--leader-elect=false", "--secure-port=0"]);
        {
            let mut servers = self.servers();
            if let Some(server) = &mut servers.controller_manager {
                return server.check();
            }
            servers.controller_manager = Some(program.start()?);
        }
        // The first thing it visibly does: all its controllers start together.
        self.wait_until_ready("kube-controller-manager", |control_plane| {
            Ok(control_plane.kubectl(["get", "serviceaccount", "default", "--namespace", "default"])?.success())
        })
    }

    fn wait_until_ready(&self, name: &str, mut ready: impl FnMut(&Self) -> Result<bool, Error>) -> Result<(), Error> {
        let what = format!("readiness of {name}");
        let waited = wait_until(&what, self.options.ready_within, || {
            self.check()?;
            Ok(ready(self)?.then_some(()))
        });
        match waited {
            // The folder may be gone by the time that anybody reads the message.
            Err(Error::TimedOut { what, within, .. }) => {
                let detail = tail(&self.folder().join(format!("{name}.log")), 25);
                Err(Error::TimedOut { what, within, detail })
            }
            other => other,
        }
    }

    fn api_server_program(&self) -> Program {
        let folder = self.folder();
        let certificates = folder.join("certificates");
        // The key of its own certificate also signs the tokens of ServiceAccounts: it is made at the first start, before
        // it is read for this, and kept for the next. One key less to make, with no tool that might be missing.
        let key = certificates.join("apiserver.key");
        Program::new("kube-apiserver", &self.binaries.kube_apiserver, folder.join("kube-apiserver.log"))
            .arg(format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port.number()))
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            // A loopback address is no valid endpoint of the `kubernetes` Service: without this it complains for ever.
            .arg("--endpoint-reconciler-type=none")
            .arg(format!("--secure-port={}", self.port.number()))
            .arg(flag("cert-dir", certificates))
            .arg("--service-account-issuer=https://kubernetes.default.svc.cluster.local")
            .arg(flag("service-account-key-file", &key))
            .arg(flag("service-account-signing-key-file", &key))
            .arg(flag("token-auth-file", folder.join("tokens.csv")))
            .arg("--authorization-mode=RBAC")
            .arg("--service-cluster-ip-range=10.0.0.0/24")
            .arg(flag("audit-policy-file", folder.join("audit-policy.yaml")))
            .arg(flag("audit-log-path", self.audit_log()))
            // Megabytes, and never reached: a log that rotates would lose counts.
            .arg("--audit-log-maxsize=100000")
            .args(&self.options.api_server_arguments)
    }
}

fn etcd(binaries: &Binaries, folder: &Path, data: &Path, port: u16) -> Program {
    let url = format!("http://127.0.0.1:{port}");
    Program::new("etcd", &binaries.etcd, folder.join("etcd.log"))
        .arg(flag("data-dir", data))
        .args([format!("--listen-client-urls={url}"), format!("--advertise-client-urls={url}")])
        // There are no peers: any port will do.
        .arg("--listen-peer-urls=http://127.0.0.1:0")
        // What is lost when the machine stops is lost with the whole folder anyway.
        .arg("--unsafe-no-fsync")
        .arg("--log-level=warn")
}

/// Everything that has to be there before the API server starts, but for its certificate, which it makes itself.
fn write_credentials(folder: &Path, port: u16) -> Result<(), Error> {
    let users = [("kubeconfig", ADMIN), ("kubeconfig-controller-manager", "system:kube-controller-manager")];
    let mut tokens = String::new();
    for (file, user) in users {
        let token = secret()?;
        tokens.extend([token.as_str(), ",", user, ",", user, ",system:masters\n"]);
        write_private(&folder.join(file), &kubeconfig(folder, port, user, &token, "default"))?;
    }
    write_private(&folder.join("tokens.csv"), &tokens)?;
    write_private(&folder.join("audit-policy.yaml"), AUDIT_POLICY)
}

fn kubeconfig(folder: &Path, port: u16, user: &str, token: &str, namespace: &str) -> String {
    // The file holds the server's certificate and the authority that signed it.
    let authority = folder.join("certificates").join("apiserver.crt");
    let authority = authority.to_string_lossy();
    // YAML reads JSON, and JSON needs no thought about quoting.
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cpn", "cluster": {"server": url(port), "certificate-authority": authority}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "cpn", "context": {"cluster": "cpn", "user": user, "namespace": namespace}}],
        "current-context": "cpn",
    });
    format!("{config:#}\n")
}

fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

fn flag(name: &str, value: impl AsRef<Path>) -> OsString {
    let mut flag = OsString::from(format!("--{name}="));
    flag.push(value.as_ref());
    flag
}
