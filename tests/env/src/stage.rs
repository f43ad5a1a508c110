//! Everything together: a cluster, a simulated Twilio, an inbox, and the operator as a process of this machine.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cpn_env::http::Service;
use cpn_env::process::{Child, Port, Program, tail, wait_until};
use cpn_env::{Error, Kubectl};
use serde_json::Value;

use crate::cluster::{Agreed, Cluster};
use crate::failure::Failure;
use crate::settings::{admin_url, operator_variables, variable};
use crate::tell;

/// How long a service may take to come up: some ten times what it takes, as others may be compiling meanwhile.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How long the operator has to bring what it does to an end; killing it after that loses nothing.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// How the parts are run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The operator's binary, which is also the simulator and the inbox.
    pub binary: PathBuf,
    /// Variables of the operator, the simulator and the inbox.
    pub variables: Vec<(String, String)>,
    /// Whether a variable `CPN_…` of this process reaches them, and wins over the same one here.
    pub inherit: bool,
    /// Where logs go; made when it is missing.
    pub logs: PathBuf,
}

/// Everything that runs. Ends with this value.
#[derive(Debug)]
pub struct Stage {
    // In the order of ending: each before what it depends on.
    operator: Option<Child>,
    inbox_process: Child,
    simulator_process: Child,
    operator_program: Program,
    /// The simulated Twilio.
    pub simulator: Service,
    /// The receive-sms endpoint.
    pub inbox: Service,
    /// The operator's admin endpoints.
    pub admin: Service,
    /// The cluster.
    pub cluster: Cluster,
    logs: PathBuf,
    _ports: [Port; 3],
}

impl Stage {
    /// Starts everything and returns once all of it is ready.
    ///
    /// # Errors
    /// With the end of the log of whoever is to blame.
    pub fn start(plan: &Plan, agreed: Option<Agreed>) -> Result<Self, Failure> {
        std::fs::create_dir_all(&plan.logs).map_err(Failure::doing(format!("make {}", plan.logs.display())))?;
        let ports = [Port::free()?, Port::free()?, Port::free()?];
        let address = |port: &Port| format!("127.0.0.1:{}", port.number());
        let [simulator_address, inbox_address, admin_address] = ports.each_ref().map(address);
        let simulator = Service::new(format!("http://{simulator_address}"));
        let inbox = Service::new(format!("http://{inbox_address}"));

        // The cluster takes longest, and asks nothing of the others.
        let cluster = Cluster::start(agreed)?;
        tell("starting the simulated Twilio and the inbox");
        let simulator_process = plan
            .program("simulated Twilio", "simulator.log")
            .args(["simulate", "--listen", &simulator_address, "--deliver-to", inbox.url()])
            .start()?;
        let inbox_process = plan
            .program("inbox", "inbox.log")
            .args(["inbox", "--listen", &inbox_address, "--simulator", simulator.url()])
            .start()?;

        let mut operator_program = plan
            .program("operator", "operator.log")
            .arg("run")
            .env("KUBECONFIG", cluster.operator_kubeconfig())
            .env_remove("POD_NAMESPACE");
        let theirs = |name: &str| variable(name).filter(|value| plan.inherit && !value.is_empty());
        if theirs("CPN_TWILIO_URL").is_none() {
            operator_program = operator_program.env("CPN_TWILIO_URL", simulator.url());
        }
        let listen = theirs("CPN_ADMIN_LISTEN").unwrap_or(admin_address);
        operator_program = operator_program.env("CPN_ADMIN_LISTEN", &listen);
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            // Nothing of what it talks to is behind a proxy, unless the cluster is.
            if !cluster.is_borrowed() {
                operator_program = operator_program.env_remove(name);
            }
        }

        let mut stage = Self {
            operator: None,
            inbox_process,
            simulator_process,
            operator_program,
            simulator,
            inbox,
            admin: Service::new(admin_url(&listen)),
            cluster,
            logs: plan.logs.clone(),
            _ports: ports,
        };
        let (simulator, inbox) = (stage.simulator.clone(), stage.inbox.clone());
        answers("readiness of the simulated Twilio", &mut stage.simulator_process, || {
            simulator.get("/_simulator/settings").is_ok()
        })?;
        answers("readiness of the inbox", &mut stage.inbox_process, || inbox.get("/messages").is_ok())?;
        tell("starting the operator as its ServiceAccount");
        stage.start_operator()?;
        Ok(stage)
    }

    /// Starts the operator, if it does not run, and returns once it is ready.
    pub fn start_operator(&mut self) -> Result<(), Failure> {
        if self.operator.is_none() {
            self.operator = Some(self.operator_program.start()?);
        }
        let admin = self.admin.clone();
        let operator = self.operator.as_mut().ok_or_else(|| Failure::Told("the operator is not there".to_owned()))?;
        answers("readiness of the operator", operator, || {
            admin.send("GET", "/readyz", None).is_ok_and(|answer| answer.success())
        })
    }

    /// Kills the operator as `kill -9` does. Nothing else is touched.
    pub fn kill_operator(&mut self) -> Result<(), Error> {
        self.operator.take().map_or(Ok(()), |operator| operator.kill().map(drop))
    }

    /// Sets a variable that the operator has from its next start on.
    pub fn set_operator_variable(&mut self, name: &str, value: &str) {
        self.operator_program = self.operator_program.clone().env(name, value);
    }

    /// The operator's process, while it is known to run.
    pub fn operator_id(&self) -> Option<u32> {
        self.operator.as_ref().map(Child::id)
    }

    /// Whether the operator still runs.
    pub fn operator_runs(&mut self) -> Result<bool, Error> {
        self.operator.as_mut().map_or(Ok(false), |operator| Ok(operator.ended()?.is_none()))
    }

    /// Returns nothing while everything but the operator runs.
    pub fn check_surroundings(&mut self) -> Result<(), Error> {
        self.simulator_process.check()?;
        self.inbox_process.check()?;
        self.cluster.check()
    }

    /// kubectl as an administrator.
    pub fn kubectl(&self) -> &Kubectl {
        self.cluster.kubectl()
    }

    /// The end of the operator's log.
    pub fn operator_log(&self, lines: usize) -> String {
        tail(&self.logs.join("operator.log"), lines)
    }

    /// Ends everything; a borrowed cluster is left as it was found.
    ///
    /// # Errors
    /// When something could not be ended.
    pub fn stop(self) -> Result<(), Failure> {
        let Self { operator, inbox_process, simulator_process, cluster, .. } = self;
        if let Some(operator) = operator {
            operator.terminate(STOP_WITHIN)?;
        }
        inbox_process.kill()?;
        simulator_process.kill()?;
        cluster.stop()
    }

    /// Every resource.
    pub fn resources(&self) -> Result<Vec<Value>, Error> {
        let list = self.kubectl().run(["get", "cpn", "--all-namespaces", "--output", "json"])?.json()?;
        Ok(items(&list, "/items"))
    }

    /// One resource; nothing when it is gone.
    pub fn resource(&self, namespace: &str, name: &str) -> Result<Option<Value>, Error> {
        let arguments = ["get", "cpn", name, "--namespace", namespace, "--ignore-not-found", "--output", "json"];
        let output = self.kubectl().run(arguments)?;
        if output.success() && output.stdout.trim().is_empty() { Ok(None) } else { output.json().map(Some) }
    }

    /// What the simulated Twilio sold, in order.
    pub fn purchases(&self) -> Result<Vec<Value>, Error> {
        Ok(items(&self.simulator.get("/_simulator/ledger")?, "/purchases"))
    }

    /// What was given back to it, in order.
    pub fn releases(&self) -> Result<Vec<Value>, Error> {
        Ok(items(&self.simulator.get("/_simulator/ledger")?, "/releases"))
    }

    /// A number as an account holds it at the simulated Twilio.
    pub fn number(&self, number: &str) -> Result<Option<Value>, Error> {
        let held = items(&self.simulator.get("/_simulator/numbers")?, "");
        Ok(held.into_iter().find(|found| text(found, "/phoneNumber") == number))
    }
}

impl Plan {
    fn program(&self, name: &str, log: &str) -> Program {
        let mut program = Program::new(name, &self.binary, self.logs.join(log));
        if !self.inherit {
            program = operator_variables().into_iter().fold(program, Program::env_remove);
        }
        let theirs = |name: &str| self.inherit && variable(name).is_some_and(|value| !value.is_empty());
        let ours = self.variables.iter().filter(|(name, _)| !theirs(name));
        ours.fold(program, |program, (name, value)| program.env(name, value))
    }
}

/// Waits until a service answers as it should, and notices when it has ended instead.
fn answers(what: &str, process: &mut Child, mut ready: impl FnMut() -> bool) -> Result<(), Failure> {
    let waited = wait_until(what, READY_WITHIN, || {
        process.check()?;
        Ok(ready().then_some(()))
    });
    match waited {
        Err(Error::TimedOut { what, within, .. }) => {
            Err(Error::TimedOut { what, within, detail: tail(process.log(), 15) }.into())
        }
        other => Ok(other?),
    }
}

/// Waits until `look` finds what is expected; until then it says what is there instead.
///
/// # Errors
/// [`Failure::Wrong`] with what was there at the end.
pub fn soon<T>(
    expected: &str,
    within: Duration,
    mut look: impl FnMut() -> Result<Result<T, String>, Failure>,
) -> Result<T, Failure> {
    let started = Instant::now();
    loop {
        match look()? {
            Ok(found) => return Ok(found),
            Err(instead) if started.elapsed() >= within => {
                return Err(Failure::Wrong {
                    expected: format!("{expected} within {}s", within.as_secs()),
                    found: instead,
                });
            }
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// The text at a place; empty when there is none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a place; empty when there is none.
pub fn items(value: &Value, pointer: &str) -> Vec<Value> {
    value.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// `namespace/name`.
pub fn key(resource: &Value) -> String {
    format!("{}/{}", text(resource, "/metadata/namespace"), text(resource, "/metadata/name"))
}

/// A condition of a resource, as of its present generation.
pub fn condition<'a>(resource: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = resource.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|condition| text(condition, "/type") == kind)?;
    (found.pointer("/observedGeneration") == resource.pointer("/metadata/generation")).then_some(found)
}

/// Whether a resource is in service as its present generation wants it.
pub fn is_ready(resource: &Value) -> bool {
    condition(resource, "Ready").is_some_and(|ready| text(ready, "/status") == "True")
        && condition(resource, "Reconciling").is_none()
}

/// A resource's state in a few words, for messages.
pub fn state(resource: &Value) -> String {
    let ready = condition(resource, "Ready");
    let part = |pointer: &str| ready.map_or("", |ready| text(ready, pointer));
    format!("{} Ready={} {}: {}", key(resource), part("/status"), part("/reason"), part("/message"))
}

/// The path as text, for `KEY=value` lines and commands.
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resource(generation: u64, observed: u64, conditions: &[(&str, &str)]) -> Value {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(kind, status)| json!({"type": kind, "status": status, "reason": "R", "message": "m", "observedGeneration": observed}))
            .collect();
        json!({"metadata": {"namespace": "n", "name": "a", "generation": generation}, "status": {"conditions": conditions}})
    }

    #[test]
    fn ready_is_said_of_the_present_generation() {
        assert!(is_ready(&resource(2, 2, &[("Ready", "True")])));
        assert!(!is_ready(&resource(2, 1, &[("Ready", "True")])));
        assert!(!is_ready(&resource(2, 2, &[("Ready", "True"), ("Reconciling", "True")])));
        assert!(!is_ready(&resource(2, 2, &[("Ready", "False")])));
        assert!(!is_ready(&json!({})));
        assert_eq!(state(&resource(2, 2, &[("Ready", "False")])), "n/a Ready=False R: m");
    }

    #[test]
    fn what_is_found_instead_is_told() {
        let told = soon("rain", Duration::ZERO, || Ok(Err::<(), _>("sun".to_owned()))).unwrap_err().to_string();
        assert_eq!(told, "expected rain within 0s\n    found    sun");
        assert_eq!(soon("rain", Duration::ZERO, || Ok(Ok(1))).unwrap(), 1);
    }
}
