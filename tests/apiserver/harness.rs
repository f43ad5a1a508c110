//! The control plane that all tests share, and what tests do with it.
//!
//! [`with_temp_ns`] is the way in: it hands a test its own namespace as a [`Space`], and shows what was in there when the
//! test fails. [`with_own_env`] is for a test that needs a control plane to itself, to stop it for example.

use std::collections::hash_map::RandomState;
use std::error::Error;
use std::hash::{BuildHasher as _, Hasher as _};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clinic_phone_operator::api::{ClinicPhoneNumber, ClinicPhoneNumberStatus, FINALIZER};
use clinic_phone_operator::yaml;
use cpn_env::process::wait_until;
use cpn_env::{ControlPlane, KubectlOutput, Options, binaries};
use futures::FutureExt as _;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::{Api, Client, Config};
use serde_json::{Value, json};

pub type Outcome = Result<(), Box<dyn Error>>;

/// Longer than any test here takes on a machine three times as busy as it is wide: it ends what hangs, and says nothing of
/// speed.
pub const PATIENCE: Duration = Duration::from_secs(400);

/// Who the operator is: the name of the chart's account.
pub const OPERATOR: &str = "clinic-phone-operator";

/// A control plane with the CRD installed.
pub struct Env {
    pub control_plane: ControlPlane,
    /// An administrator's client. It lives on [`Env::block_on`]'s runtime.
    pub admin: Client,
    /// What `kubectl apply` of the CRD answered.
    pub crd_applied: KubectlOutput,
    runtime: tokio::runtime::Runtime,
}

/// The control plane of this binary. Its servers end with the process: statics are never dropped, so cpn-env has the
/// kernel do it.
pub fn env() -> Result<Arc<Env>, Box<dyn Error>> {
    static ENV: OnceLock<Result<Arc<Env>, String>> = OnceLock::new();
    let env = ENV.get_or_init(|| Env::start().map(Arc::new).map_err(|error| error.to_string()));
    Ok(env.as_ref().map(Arc::clone).map_err(Clone::clone)?)
}

impl Env {
    /// Starts a control plane and installs the CRD.
    pub fn start() -> Result<Self, Box<dyn Error>> {
        // One provider for the process; a second installation is refused and changes nothing.
        rustls::crypto::ring::default_provider().install_default().ok();
        let binaries = binaries::find_or_build(&|words| eprintln!("{words}"))?;
        let control_plane = ControlPlane::start(&binaries, &Options::default())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let admin = runtime.block_on(client(&control_plane.kubeconfig()))?;
        let crd_applied = apply_crd(&control_plane)?;
        Ok(Self { control_plane, admin, crd_applied, runtime })
    }

    /// Runs a future on the runtime that the clients of this control plane live on.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Lets a future run by itself on that runtime.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(future));
    }

    /// Creates the chart's account in a namespace, with the chart's rights, and returns its kubeconfig.
    ///
    /// `watched` is the chart's value `namespaces`: empty for all, with a `ClusterRole`, which stays as long as the control
    /// plane.
    pub fn operator_account(&self, namespace: &str, watched: &[&str]) -> Result<PathBuf, Box<dyn Error>> {
        let objects = grants(namespace, watched)?;
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        self.control_plane.kubectl_stdin(["create", "--filename=-"], &list.to_string())?.ok()?;
        let kubeconfig = self.control_plane.service_account_kubeconfig(namespace, OPERATOR)?;
        // The API server learns of new rights by watching them, a moment later.
        let mut awaited = vec![("create", "configmaps", format!("--namespace={namespace}"))];
        awaited.extend(watched.iter().map(|watched| ("get", "secrets", format!("--namespace={watched}"))));
        if watched.is_empty() {
            awaited.push(("get", "secrets", "--all-namespaces".to_owned()));
        }
        wait_until("rights of the operator's account", PATIENCE, || {
            for (verb, what, place) in &awaited {
                if !self.control_plane.kubectl_as(&kubeconfig, ["auth", "can-i", verb, what, place])?.success() {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })?;
        Ok(kubeconfig)
    }
}

/// Applies the CRD, and returns what kubectl said once the API server serves the new resource.
pub fn apply_crd(control_plane: &ControlPlane) -> Result<KubectlOutput, Box<dyn Error>> {
    let crd = repository("crds/telephony.chiroflow.io_clinicphonenumbers.yaml");
    let applied = control_plane.kubectl(["apply", "--filename", &crd.to_string_lossy()])?;
    applied.clone().ok()?;
    // Established comes before served; what counts is that it answers.
    wait_until("the new resource", PATIENCE, || {
        let path = "/apis/telephony.chiroflow.io/v1alpha1/clinicphonenumbers";
        Ok(control_plane.kubectl(["get", "--raw", path])?.success().then_some(()))
    })?;
    Ok(applied)
}

/// The chart's account and its rights: the `ServiceAccount`, then roles and bindings.
///
/// `watched` is the chart's value `namespaces`: empty for all, with a `ClusterRole`.
pub fn grants(namespace: &str, watched: &[&str]) -> Result<Vec<Value>, Box<dyn Error>> {
    let file = |name: &str| repository(&format!("charts/clinic-phone-operator/files/rules-{name}.yaml"));
    let rules: Value = yaml::from_str(&std::fs::read_to_string(file("cluster"))?)?;
    let own_rules: Value = yaml::from_str(&std::fs::read_to_string(file("operator-namespace"))?)?;
    let account = json!({"kind": "ServiceAccount", "name": OPERATOR, "namespace": namespace});
    let grant = |kind: &str, name: &str, namespace: Option<&str>, rules: &Value| {
        let metadata = json!({"name": name, "namespace": namespace});
        let api = "rbac.authorization.k8s.io";
        [
            json!({"apiVersion": format!("{api}/v1"), "kind": kind, "metadata": metadata, "rules": rules}),
            json!({
                "apiVersion": format!("{api}/v1"), "kind": format!("{kind}Binding"), "metadata": metadata,
                "roleRef": {"apiGroup": api, "kind": kind, "name": name}, "subjects": [account],
            }),
        ]
    };
    let mut objects = vec![json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": OPERATOR, "namespace": namespace},
    })];
    if watched.is_empty() {
        objects.extend(grant("ClusterRole", &format!("{OPERATOR}-{namespace}"), None, &rules));
    }
    for watched in watched {
        objects.extend(grant("Role", OPERATOR, Some(watched), &rules));
    }
    objects.extend(grant("Role", &format!("{OPERATOR}-ledger"), Some(namespace), &own_rules));
    Ok(objects)
}

/// A client of whoever the kubeconfig names. To be made, and used, inside [`Env::block_on`].
pub async fn client(kubeconfig: &Path) -> Result<Client, Box<dyn Error>> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    Ok(Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)?)
}

/// A path of the repository.
pub fn repository(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// A namespace of a test's own.
#[derive(Clone)]
pub struct Space {
    pub env: Arc<Env>,
    pub namespace: String,
}

/// Runs a test in a namespace of its own, which goes when the test ends. When it fails, or takes too long, what was in the
/// namespace is printed first; Secrets are not.
pub fn with_temp_ns(test: impl AsyncFnOnce(Space) -> Outcome) -> Outcome {
    with_ns_for(PATIENCE, test)
}

/// As [`with_temp_ns`], for a test that takes longer.
pub fn with_ns_for(patience: Duration, test: impl AsyncFnOnce(Space) -> Outcome) -> Outcome {
    let env = env()?;
    let space = Space::new(&env);
    env.block_on(async {
        let ended = run(&space, patience, test).await;
        space.remove().await?;
        ended.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// As [`with_temp_ns`], on a control plane of the test's own, which ends with the test: it may be stopped, wiped and set
/// back. Tests that only read and write share one, because each costs seconds and half a gigabyte.
pub fn with_own_env(test: impl AsyncFnOnce(Space) -> Outcome) -> Outcome {
    let env = Arc::new(Env::start()?);
    let space = Space::new(&env);
    env.block_on(run(&space, PATIENCE, test)).unwrap_or_else(|panic| resume_unwind(panic))
}

/// Runs a test within its time and shows what was there when it failed.
async fn run(
    space: &Space,
    patience: Duration,
    test: impl AsyncFnOnce(Space) -> Outcome,
) -> std::thread::Result<Outcome> {
    let limited = async {
        space.create_namespace().await?;
        tokio::time::timeout(patience, Box::pin(test(space.clone()))).await?
    };
    let ended = AssertUnwindSafe(Box::pin(limited)).catch_unwind().await;
    if !matches!(ended, Ok(Ok(()))) {
        let name = test_name();
        eprintln!("---- {name}: what is in namespace {}\n{}", space.namespace, space.dump());
    }
    ended
}

/// The name of the test that this thread runs.
fn test_name() -> String {
    std::thread::current().name().unwrap_or("main").replace("::", ".")
}

impl Space {
    /// A name that nothing else has; the namespace is not made yet.
    fn new(env: &Arc<Env>) -> Self {
        let random = RandomState::new().build_hasher().finish();
        Self { env: Arc::clone(env), namespace: format!("test-{random:016x}") }
    }

    /// Makes the namespace.
    pub async fn create_namespace(&self) -> Outcome {
        let short: String = test_name().chars().take(63).collect();
        let label = short.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": self.namespace, "labels": {"test": label}},
        });
        self.send("POST", "/api/v1/namespaces", &[], &namespace).await?;
        Ok(())
    }

    /// The numbers of this namespace, typed, as an administrator.
    pub fn numbers(&self) -> Api<ClinicPhoneNumber> {
        Api::namespaced(self.env.admin.clone(), &self.namespace)
    }

    /// Runs kubectl as an administrator in this namespace. Blocks this test alone.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<KubectlOutput, Box<dyn Error>> {
        Ok(self.env.control_plane.kubectl([&["--namespace", &self.namespace], arguments].concat())?)
    }

    /// Like [`Space::kubectl`], with something to read: `--filename=-`.
    pub fn kubectl_stdin(&self, arguments: &[&str], input: &str) -> Result<KubectlOutput, Box<dyn Error>> {
        Ok(self.env.control_plane.kubectl_stdin([&["--namespace", &self.namespace], arguments].concat(), input)?)
    }

    /// The path of a number, or of all, on the API server; `part` may be `status`.
    pub fn path(&self, name: &str, part: &str) -> String {
        let all = format!("/apis/telephony.chiroflow.io/v1alpha1/namespaces/{}/clinicphonenumbers", self.namespace);
        [all.as_str(), name, part].into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("/")
    }

    /// Sends one request as an administrator and returns what the API server answered; a refusal is its [`Status`].
    ///
    /// `method` may name a kind of patch: `PATCH merge`, `PATCH json`, `PATCH apply`.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        body: &Value,
    ) -> Result<Value, Box<dyn Error>> {
        let (method, content) = match method.split_once(' ') {
            Some((method, "merge")) => (method, "application/merge-patch+json"),
            Some((method, "json")) => (method, "application/json-patch+json"),
            Some((method, "apply")) => (method, "application/apply-patch+yaml"),
            _ => (method, "application/json"),
        };
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body)? };
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{path}?{}", query.join("&")))
            .header(http::header::CONTENT_TYPE, content)
            .body(body)?;
        Ok(self.env.admin.request(request).await?)
    }

    /// Creates a number in this namespace from its name and spec.
    pub async fn create(&self, name: &str, spec: &Value) -> Result<Value, Box<dyn Error>> {
        self.send("POST", &self.path("", ""), &[("fieldValidation", "Strict")], &number(name, spec)).await
    }

    /// Reads a number as it is now.
    pub async fn get(&self, name: &str) -> Result<Value, Box<dyn Error>> {
        self.send("GET", &self.path(name, ""), &[], &Value::Null).await
    }

    /// What a reader of a failure wants to see.
    fn dump(&self) -> String {
        let kinds = "clinicphonenumbers,configmaps,serviceaccounts,roles,rolebindings,events.v1.events.k8s.io";
        match self.kubectl(&["get", kinds, "--output=yaml", "--show-managed-fields=false"]) {
            Ok(output) => output.stdout + &output.stderr,
            Err(error) => error.to_string(),
        }
    }

    /// Lets the namespace go, and does not wait. No operator is left to take the finalizers off.
    async fn remove(&self) -> Outcome {
        let all = self.send("GET", &self.path("", ""), &[], &Value::Null).await?;
        for name in all.pointer("/items").and_then(Value::as_array).into_iter().flatten() {
            let Some(name) = name.pointer("/metadata/name").and_then(Value::as_str) else { continue };
            let nothing = json!({"metadata": {"finalizers": null}});
            match self.send("PATCH merge", &self.path(name, ""), &[], &nothing).await {
                Err(error) if refusal(error.as_ref()).is_none_or(|status| status.code != 404) => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        self.send("DELETE", &format!("/api/v1/namespaces/{}", self.namespace), &[], &Value::Null).await?;
        Ok(())
    }
}

/// A number's manifest.
pub fn number(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "telephony.chiroflow.io/v1alpha1", "kind": "ClinicPhoneNumber",
        "metadata": {"name": name}, "spec": spec,
    })
}

/// What the API server said when it refused, if that is what happened.
pub fn refusal<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Status> {
    if let kube::Error::Api(status) = error.downcast_ref()? { Some(status) } else { None }
}

/// Applies a merge patch (RFC 7386) to a value: maps merge, `null` removes, everything else replaces.
pub fn merge(into: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        into.clone_from(patch);
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    let Some(map) = into.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            map.remove(key);
        } else {
            merge(map.entry(key).or_insert(Value::Null), value);
        }
    }
}

/// What the API server says to "may the operator of this namespace …": verb, group, resource, subresource, namespace.
pub async fn may(space: &Space, asked: (&str, &str, &str, &str, &str)) -> Result<bool, Box<dyn Error>> {
    let (verb, group, resource, subresource, namespace) = asked;
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {
            "user": format!("system:serviceaccount:{}:{OPERATOR}", space.namespace),
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "resourceAttributes": {
                "verb": verb, "group": group, "resource": resource, "subresource": subresource, "namespace": namespace,
            },
        },
    });
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let answer = space.send("POST", path, &[], &review).await?;
    Ok(answer.pointer("/status/allowed").and_then(Value::as_bool).ok_or("no answer")?)
}

const CPN: &str = "telephony.chiroflow.io";
/// The namespace of a question about all namespaces.
const ALL: &str = "";

#[test]
fn rights_in_one_namespace_end_there() -> Outcome {
    with_temp_ns(async |space| {
        let here = space.namespace.as_str();
        space.env.operator_account(here, &[here])?;
        for (asked, expected) in [
            (("list", CPN, "clinicphonenumbers", "", here), true),
            (("watch", CPN, "clinicphonenumbers", "", here), true),
            (("patch", CPN, "clinicphonenumbers", "", here), true),
            (("update", CPN, "clinicphonenumbers", "status", here), true),
            (("get", "", "secrets", "", here), true),
            (("create", "events.k8s.io", "events", "", here), true),
            (("patch", "events.k8s.io", "events", "", here), true),
            (("create", "", "configmaps", "", here), true),
            (("list", CPN, "clinicphonenumbers", "", ALL), false),
            (("list", CPN, "clinicphonenumbers", "", "elsewhere"), false),
            (("get", "", "secrets", "", "elsewhere"), false),
            (("list", "", "secrets", "", here), false),
            (("get", "", "configmaps", "", "elsewhere"), false),
        ] {
            assert_eq!(may(&space, asked).await?, expected, "{asked:?}");
        }
        Ok(())
    })
}

#[test]
fn rights_in_all_namespaces_suffice_and_are_no_more() -> Outcome {
    with_temp_ns(async |space| {
        let here = space.namespace.as_str();
        let kubeconfig = space.env.operator_account(here, &[])?;
        for (asked, expected) in [
            (("list", CPN, "clinicphonenumbers", "", ALL), true),
            (("watch", CPN, "clinicphonenumbers", "", ALL), true),
            (("get", "", "secrets", "", "elsewhere"), true),
            (("update", "", "configmaps", "", here), true),
            (("list", "", "secrets", "", here), false),
            (("watch", "", "secrets", "", here), false),
            (("create", CPN, "clinicphonenumbers", "", here), false),
            (("update", CPN, "clinicphonenumbers", "", here), false),
            (("delete", CPN, "clinicphonenumbers", "", here), false),
            (("patch", CPN, "clinicphonenumbers", "status", here), false),
            (("get", "", "configmaps", "", "elsewhere"), false),
            (("list", "", "configmaps", "", here), false),
            (("delete", "", "configmaps", "", here), false),
            (("get", "apiextensions.k8s.io", "customresourcedefinitions", "", ALL), false),
        ] {
            assert_eq!(may(&space, asked).await?, expected, "{asked:?}");
        }

        // And in deed, as the operator does it: the finalizer by patch, the status by PUT.
        let spec = json!({"credentialsSecretRef": {"name": "twilio"}, "phoneNumber": "+14185550100"});
        space.create("reception", &spec).await?;
        let numbers: Api<ClinicPhoneNumber> = Api::namespaced(client(&kubeconfig).await?, here);
        let finalizer = Patch::Merge(json!({"metadata": {"finalizers": [FINALIZER]}}));
        let mut number = numbers.patch("reception", &PatchParams::default(), &finalizer).await?;
        number.status = Some(ClinicPhoneNumberStatus::default());
        numbers.replace_status("reception", &PostParams::default(), &number).await?;
        let refused = numbers.delete("reception", &DeleteParams::default()).await;
        assert!(matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403), "{refused:?}");
        Ok(())
    })
}
