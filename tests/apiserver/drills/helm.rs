//! The chart installed, uninstalled and installed again by Helm itself. There is no kubelet: the operator runs as a process,
//! with the arguments of the Deployment that Helm made and as the account that it names.

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;

use cpn_env::binaries;
use serde_json::{Value, json};

use crate::harness::{Outcome, repository, with_own_env};
use crate::program::{Installed, Running};
use crate::world::{Options, World, held, status};

const BUY: &str = "CreateIncomingPhoneNumber";
const RELEASE: &str = "telephone";
/// Where the release is, and the operator with it.
const PLACE: &str = "telephony-system";
const CRD: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/clinicphonenumbers.telephony.chiroflow.io";

struct Helm<'a> {
    program: PathBuf,
    op: &'a Installed,
}

impl<'a> Helm<'a> {
    fn new(op: &'a Installed) -> Result<Self, Box<dyn Error>> {
        Ok(Self { program: binaries::find_or_build_helm(&|words| eprintln!("{words}"))?, op })
    }

    /// Runs Helm as an administrator, with nothing of this user's.
    fn run(&self, arguments: &[&str]) -> Result<String, Box<dyn Error>> {
        let control_plane = &self.op.world.space.env.control_plane;
        let mut command = Command::new(&self.program);
        command.args(arguments).args(["--namespace", PLACE]).env("KUBECONFIG", control_plane.kubeconfig());
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, control_plane.folder().join(name.to_lowercase()));
        }
        let output = command.output()?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(told) } else { Err(format!("helm {arguments:?}: {told}").into()) }
    }

    /// Installs the chart as a person would, for a Twilio that is on this machine.
    fn install(&self) -> Outcome {
        let chart = repository("charts/clinic-phone-operator");
        let chart = chart.to_string_lossy();
        // Nothing is to move in status by itself.
        let values = format!(
            "installationId={},twilioURL={},twilioTimeout=1s,settleWindow=4s,usageInterval=0,messagingInterval=0",
            self.op.world.installation, self.op.twilio_url
        );
        self.run(&["install", RELEASE, &chart, "--create-namespace", "--set-string", &values])?;
        Ok(())
    }

    /// Starts what the Deployment says, as the account that it names.
    async fn operator(&self) -> Result<Running, Box<dyn Error>> {
        let world = &self.op.world;
        let deployment = world.space.send("GET", &deployment(), &[], &Value::Null).await?;
        let pod = deployment.pointer("/spec/template/spec").ok_or("no Pod")?;
        let arguments = pod.pointer("/containers/0/args").and_then(Value::as_array).ok_or("no arguments")?;
        let arguments = arguments.iter().filter_map(Value::as_str).map(str::to_owned);
        // The one that cannot be as it is: a port of this machine that others may use.
        let arguments = arguments.filter(|argument| !argument.starts_with("--admin-listen="));
        let account = pod.pointer("/serviceAccountName").and_then(Value::as_str).ok_or("no account")?;
        let kubeconfig = world.space.env.control_plane.service_account_kubeconfig(PLACE, account)?;
        let mut running = self.op.launch_with(arguments, &kubeconfig)?;
        self.op.ready(&mut running).await?;
        Ok(running)
    }
}

fn deployment() -> String {
    format!("/apis/apps/v1/namespaces/{PLACE}/deployments/{RELEASE}-clinic-phone-operator")
}

/// Everything that the chart makes and that goes with it.
fn goes() -> [String; 5] {
    let rights = "/apis/rbac.authorization.k8s.io/v1";
    [
        deployment(),
        format!("/api/v1/namespaces/{PLACE}/serviceaccounts/{RELEASE}-clinic-phone-operator"),
        format!("{rights}/clusterroles/{RELEASE}-clinic-phone-operator"),
        format!("{rights}/clusterrolebindings/{RELEASE}-clinic-phone-operator"),
        format!("{rights}/namespaces/{PLACE}/roles/{RELEASE}-clinic-phone-operator-ledger"),
    ]
}

/// The resources as they are, without what counts their versions.
async fn resources(world: &World, names: &[&str]) -> Result<Vec<Value>, Box<dyn Error>> {
    let mut found = Vec::new();
    for name in names {
        found.push(world.space.get(name).await?);
    }
    Ok(found)
}

#[test]
fn uninstalled_and_installed_again_by_helm_it_keeps_every_number() -> Outcome {
    with_own_env(async |space| {
        let op = Box::pin(Installed::new(space, Options::default(), &[])).await?;
        let world = &op.world;
        // The chart brings it.
        world.space.send("DELETE", CRD, &[], &Value::Null).await?;
        world.nothing_at(CRD).await?;
        let helm = Helm::new(&op)?;
        helm.install()?;
        let operator = helm.operator().await?;
        let names = ["kept", "given", "third"];
        for name in names {
            world.create(name, json!({})).await?;
        }
        let mut numbers = Vec::new();
        for name in names {
            numbers.push(held(&world.ready(name).await?));
        }
        world.edit("given", json!({"deletionPolicy": "Release", "releaseConfirmation": numbers[1]})).await?;
        world.ready("given").await?;
        let (before, rows) = (resources(world, &names).await?, world.twilio.numbers());

        let told = helm.run(&["uninstall", RELEASE])?;
        // As the kubelet does once the Deployment is gone.
        operator.child.terminate(std::time::Duration::from_secs(30))?;
        for path in goes() {
            world.nothing_at(&path).await.map_err(|error| format!("{path}: {error}"))?;
        }
        world.space.send("GET", CRD, &[], &Value::Null).await.map_err(|error| format!("the CRD: {error}; {told}"))?;
        assert_eq!(resources(world, &names).await?, before, "every resource is as it was");
        assert_eq!((world.twilio.numbers(), world.released()), (rows.clone(), 0));

        helm.install()?;
        let mut operator = helm.operator().await?;
        for (name, number) in names.iter().zip(&numbers) {
            // Not only as it says: looked at by the new operator.
            let now = world.look(name, "after the installation").await?;
            assert_eq!(&held(&now), number);
            assert!(status(&now).claim.is_some());
            world.ready(name).await?;
        }
        assert_eq!((world.sold(), op.calls(BUY), world.released()), (3, 3, 0));
        assert_eq!(world.twilio.numbers(), rows);
        // It is in charge again: it buys what is new, and gives back what it is asked to.
        world.create("fourth", json!({})).await?;
        world.ready("fourth").await?;
        world.delete("given").await?;
        world.gone("given").await?;
        let released: Vec<_> = world.twilio.ledger().releases.iter().map(|r| r.phone_number.to_string()).collect();
        assert_eq!((released, world.sold()), (vec![numbers[1].clone()], 4));
        operator.child.check()?;
        Ok(())
    })
}
