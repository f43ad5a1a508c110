//! A real Kubernetes control plane on this machine, for the tests, the demo and the benchmarks.
//!
//! [`binaries`] finds kube-apiserver, etcd, kube-controller-manager and kubectl, or builds them once with Go.
//! [`ControlPlane`] runs them on loopback ports and hands out kubeconfigs. [`audit`] counts what was written through the
//! API server. [`process`] holds what is not about Kubernetes: children that never outlive this process, ports, waiting. [`Kubectl`]
//! asks a cluster, [`http`] asks a service on this machine. [`double`] stands for the API server where a test needs thousands of
//! lives a second.
//!
//! It deliberately knows nothing of phone numbers, of the operator or of the simulator, but for the shape of the operator's
//! kinds in [`double::kinds`]. There is no kubelet: a Deployment is stored and never runs, so the operator is started as a
//! process with its service account's kubeconfig.
//!
//! ```no_run
//! # fn main() -> Result<(), cpn_env::Error> {
//! let binaries = cpn_env::binaries::find_or_build(&|words| eprintln!("{words}"))?;
//! let control_plane = cpn_env::ControlPlane::start(&binaries, &cpn_env::Options::default())?;
//! control_plane.kubectl(["create", "namespace", "clinic"])?.ok()?;
//! # Ok(())
//! # }
//! ```

pub mod audit;
pub mod binaries;
pub mod chance;
mod control_plane;
pub mod double;
mod error;
pub mod http;
mod kubectl;
pub mod process;

pub use binaries::Binaries;
pub use control_plane::{ControlPlane, Options};
pub use error::Error;
pub use kubectl::{Kubectl, KubectlOutput};
