//! The built program with everything that it needs: its Twilio listens on a socket, its API server is the real one.

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cpn_env::process::{Child, Port, Program};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::harness::{Outcome, Space, with_temp_ns};
use crate::world::{Options, World};

/// Flags with which windows are short. The time-out is the time to send, too: after a stamp, on a machine that is busy with other
/// control planes, a second is too little.
pub const SHORT: [&str; 4] = ["--twilio-timeout", "3s", "--settle-window", "10s"];
/// As [`SHORT`], for a window that has to be open still when another process, or another resource, is there.
pub const OPEN: [&str; 4] = ["--twilio-timeout", "3s", "--settle-window", "30s"];

/// What the program is run in.
pub struct Installed {
    pub world: World,
    /// The simulated Twilio.
    pub twilio_url: String,
    pub log: PathBuf,
    flags: Vec<String>,
    stop: CancellationToken,
}

/// The program while it runs.
pub struct Running {
    pub child: Child,
    admin: Port,
}

impl Drop for Installed {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A test in a namespace of its own with the program installed, these flags, and a world of these options.
pub fn installed_with(options: Options, flags: &[&str], test: impl AsyncFnOnce(&mut Installed) -> Outcome) -> Outcome {
    with_temp_ns(async |space| {
        let mut installed = Box::pin(Installed::new(space, options, flags)).await?;
        Box::pin(test(&mut installed)).await
    })
}

impl Installed {
    /// Everything but the program itself: the Secret is in place, Twilio listens.
    pub async fn new(space: Space, options: Options, flags: &[&str]) -> Result<Self, Box<dyn Error>> {
        let log = space.env.control_plane.folder().join(format!("operator-{}.log", space.namespace));
        let world = Box::pin(World::new(space, options)).await?;
        world.credentials(&world.account.clone()).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let twilio_url = format!("http://{}", listener.local_addr()?);
        let (twilio, stop) = (world.twilio.clone(), CancellationToken::new());
        let stopped = stop.clone();
        world.space.env.spawn(async move { drop(twilio.serve(listener, stopped).await) });
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Ok(Self { world, twilio_url, log, flags, stop })
    }

    /// Starts the program and waits until it is ready.
    pub async fn start(&self) -> Result<Running, Box<dyn Error>> {
        let mut running = self.launch(&self.world.kubeconfig, &self.twilio_url)?;
        self.ready(&mut running).await?;
        Ok(running)
    }

    /// Starts the program with its own ways to the API server and to Twilio, and does not wait.
    pub fn launch(&self, kubeconfig: &Path, twilio_url: &str) -> Result<Running, Box<dyn Error>> {
        // Always by name: there are other tests' resources in the same cluster.
        let watched = self.world.namespaces.join(",");
        let arguments = ["run", "--log", "debug", "--instance", "test"]
            .into_iter()
            .chain(["--installation-id", &self.world.installation, "--twilio-url", twilio_url])
            .chain(["--namespaces", &watched, "--operator-namespace", &self.world.space.namespace])
            // What it calls is counted, and these would be called for beside it all.
            .chain(["--usage-interval", "0", "--messaging-interval", "0"])
            .map(str::to_owned)
            .chain(self.flags.clone());
        self.launch_with(arguments, kubeconfig)
    }

    /// Starts the program with these arguments, but for where its admin endpoints are, and does not wait.
    pub fn launch_with(
        &self,
        arguments: impl IntoIterator<Item = String>,
        kubeconfig: &Path,
    ) -> Result<Running, Box<dyn Error>> {
        let admin = Port::free()?;
        let child = Program::new("operator", env!("CARGO_BIN_EXE_clinic-phone-operator"), &self.log)
            .args(arguments)
            .arg(format!("--admin-listen=127.0.0.1:{}", admin.number()))
            .env("KUBECONFIG", kubeconfig.as_os_str())
            .start()?;
        Ok(Running { child, admin })
    }

    /// Waits until a program is ready.
    pub async fn ready(&self, running: &mut Running) -> Outcome {
        self.world
            .eventually("the program is ready", async || {
                running.child.check()?;
                Ok(running.page("/readyz").await.ok().filter(|text| text.contains("200 OK")).map(drop))
            })
            .await
    }

    /// Calls of the operator, by Twilio's names.
    pub fn calls(&self, operation: &str) -> usize {
        self.world.twilio.calls().iter().filter(|call| call.operation == operation).count()
    }

    /// Waits until this many passes of the program came to their end.
    pub async fn passed(&self, running: &Running, passes: u64) -> Outcome {
        let name = "clinic_phone_operator_reconcile_passes_total";
        self.world.eventually("passes", async || Ok((running.figure(name).await? >= passes).then_some(()))).await
    }

    /// Waits until the program has printed these words.
    pub async fn said(&self, words: &str) -> Outcome {
        let what = format!("the words {words:?} in the log");
        self.world
            .eventually(&what, async || Ok(std::fs::read_to_string(&self.log)?.contains(words).then_some(())))
            .await
    }
}

impl Running {
    /// What one of the admin endpoints answers.
    pub async fn page(&self, path: &str) -> Result<String, Box<dyn Error>> {
        let mut socket = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], self.admin.number()))).await?;
        socket
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())
            .await?;
        let mut text = String::new();
        socket.read_to_string(&mut text).await?;
        Ok(text)
    }

    /// One figure of `/metrics`.
    pub async fn figure(&self, name: &str) -> Result<u64, Box<dyn Error>> {
        let page = self.page("/metrics").await?;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).ok_or("no such figure")?;
        Ok(line.trim().parse()?)
    }

    /// Kills it, after making sure that it ran until now.
    pub fn kill(mut self) -> Outcome {
        self.child.check()?;
        self.child.kill()?;
        Ok(())
    }
}
