//! A door between one operator and everything that it calls, the API server and Twilio: a call can be stopped there, before
//! or after it took effect, and let go or lost later.
//!
//! What passes is not touched: the API server sees the operator's own account and rights. Where the API server does not
//! answer, the connection breaks for the operator too.

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use clinic_phone_operator::simulator::Simulator;
use http::request::Parts;
use http::{Request, Response};
use kube::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::harness::client;
use crate::program::Installed;
use crate::world::DEADLINE;

/// One call of the operator.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    /// With the query.
    pub path: String,
    body: Bytes,
}

impl Call {
    /// Whether it writes the status of the resource of this name.
    pub fn writes_status_of(&self, name: &str) -> bool {
        self.method == "PUT" && self.path.contains(&format!("/{name}/status"))
    }

    /// What it sends, as JSON; nothing where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// How often sending was stamped, by the status that it writes; `None` where it writes no claim.
    pub fn attempts(&self) -> Option<u64> {
        self.json().pointer("/status/claim/attempts").map(|n| n.as_u64().unwrap_or_default())
    }

    /// Whether the status that it writes names the held number.
    pub fn records(&self) -> bool {
        self.json().pointer("/status/phoneNumber").is_some_and(Value::is_string)
    }

    /// Whether it is a purchase in this account.
    pub fn buys(&self, account: &str) -> bool {
        self.method == "POST" && self.path.contains(account) && self.path.contains("/IncomingPhoneNumbers.json")
    }

    /// Whether it lists the numbers of this account.
    pub fn lists(&self, account: &str) -> bool {
        self.method == "GET" && self.path.contains(account) && self.path.contains("/IncomingPhoneNumbers.json")
    }
}

/// Where a call is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Whoever is called has not heard of it.
    Before,
    /// It took effect, and the operator has not heard of it.
    After,
}

/// A call that stands in the door. Dropped, it never comes through.
pub struct Stopped {
    on: oneshot::Sender<()>,
}

impl Stopped {
    /// Lets it through, whether the operator still waits for it or not.
    pub fn go_on(self) {
        // Where the door is closed by now there is nothing to let through.
        self.on.send(()).ok();
    }
}

type Matches = Box<dyn FnMut(&Call) -> bool + Send>;

struct Trap {
    matches: Matches,
    when: When,
    caught: oneshot::Sender<Stopped>,
}

/// A trap that waits for its call.
pub struct Armed(oneshot::Receiver<Stopped>);

impl Armed {
    /// The call, once it stands in the door.
    pub async fn caught(self) -> Result<Stopped, Box<dyn Error>> {
        Ok(tokio::time::timeout(DEADLINE, self.0).await.map_err(|_| "the call did not come")??)
    }

    /// The same while something else goes on; ends when the call is there.
    pub async fn stands(&mut self) -> Result<Stopped, Box<dyn Error>> {
        Ok((&mut self.0).await?)
    }
}

#[derive(Default)]
struct Traps(Mutex<Vec<Trap>>);

impl Traps {
    fn spring(&self, call: &Call) -> Option<Trap> {
        let mut traps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = traps.iter_mut().position(|trap| (trap.matches)(call))?;
        Some(traps.remove(index))
    }
}

/// The door of one operator.
pub struct Door {
    traps: Arc<Traps>,
    /// The way to the API server.
    pub kubeconfig: PathBuf,
    /// The way to Twilio.
    pub twilio_url: String,
    stop: CancellationToken,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Door {
    /// Opens a door in front of an installation's API server and Twilio.
    pub async fn open(installed: &Installed) -> Result<Self, Box<dyn Error>> {
        let (traps, stop) = (Arc::<Traps>::default(), CancellationToken::new());
        let api = Behind::Api(client(&installed.world.kubeconfig).await?);
        let server = serve(installed, &traps, &stop, api).await?;
        let twilio_url = serve(installed, &traps, &stop, Behind::Twilio(installed.world.twilio.clone())).await?;
        let namespace = &installed.world.space.namespace;
        let port = server.rsplit(':').next().unwrap_or_default().to_owned();
        let kubeconfig = installed.world.space.env.control_plane.folder().join(format!("kubeconfig-door-{port}"));
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "door",
            "clusters": [{"name": "door", "cluster": {"server": server}}],
            "users": [{"name": "door", "user": {}}],
            "contexts": [{"name": "door", "context": {"cluster": "door", "user": "door", "namespace": namespace}}],
        });
        std::fs::write(&kubeconfig, config.to_string())?;
        Ok(Self { traps, kubeconfig, twilio_url, stop })
    }

    /// Stops the next call that matches.
    pub fn trap(&self, when: When, matches: impl FnMut(&Call) -> bool + Send + 'static) -> Armed {
        let (caught, armed) = oneshot::channel();
        let trap = Trap { matches: Box::new(matches), when, caught };
        self.traps.0.lock().unwrap_or_else(PoisonError::into_inner).push(trap);
        Armed(armed)
    }

    /// Stops the nth call from now, whatever it is.
    pub fn trap_nth(&self, when: When, nth: usize) -> Armed {
        let mut left = nth;
        self.trap(when, move |_| {
            left = left.saturating_sub(1);
            left == 0
        })
    }
}

/// Who is called.
#[derive(Clone)]
enum Behind {
    Api(Client),
    Twilio(Simulator),
}

impl Behind {
    async fn answer(self, parts: &Parts, body: Bytes) -> Result<Response<Body>, Box<dyn Error + Send + Sync>> {
        match self {
            Self::Api(client) => {
                let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
                let mut request = Request::builder().method(&parts.method).uri(path);
                for name in [http::header::CONTENT_TYPE, http::header::ACCEPT] {
                    if let Some(value) = parts.headers.get(&name) {
                        request = request.header(name, value);
                    }
                }
                let request = request.body(kube::client::Body::from(body.to_vec()))?;
                Ok(client.send(request).await?.map(Body::new))
            }
            Self::Twilio(simulator) => {
                let request = Request::from_parts(parts.clone(), body);
                Ok(simulator.service().oneshot(request).await?.map(Body::from))
            }
        }
    }
}

async fn serve(
    installed: &Installed,
    traps: &Arc<Traps>,
    stop: &CancellationToken,
    behind: Behind,
) -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = axum::Router::new().fallback(pass).with_state((Arc::clone(traps), behind));
    let stopped = stop.clone();
    installed.world.space.env.spawn(async move {
        tokio::select! {
            ended = axum::serve(listener, router).into_future() => drop(ended),
            () = stopped.cancelled() => {}
        }
    });
    Ok(url)
}

/// Passes one call on, stopping it where a trap says so.
async fn pass(State((traps, behind)): State<(Arc<Traps>, Behind)>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else { return broken() };
    let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    let call = Call { method: parts.method.to_string(), path, body: body.clone() };
    // On its own: what was let in takes effect whether its caller lives or not.
    let passed = tokio::spawn(async move {
        let trap = traps.spring(&call);
        let Some(Trap { when, caught, .. }) = trap else { return behind.answer(&parts, body).await.ok() };
        let (on, go_on) = oneshot::channel();
        let stopped = Stopped { on };
        if when == When::Before {
            // Whoever set the trap may be gone; then nobody is to stop the call.
            let held = caught.send(stopped).is_ok();
            if held && go_on.await.is_err() {
                return None;
            }
            return behind.answer(&parts, body).await.ok();
        }
        let answer = behind.answer(&parts, body).await.ok();
        let held = caught.send(stopped).is_ok();
        if held && go_on.await.is_err() {
            return None;
        }
        answer
    });
    passed.await.ok().flatten().unwrap_or_else(broken)
}

/// An answer that breaks off.
fn broken() -> Response<Body> {
    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    Response::new(Body::from_stream(futures::stream::once(async { Err::<Bytes, _>(reset) })))
}
