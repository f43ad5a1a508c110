//! Builds the operator, which is also the simulator and the inbox.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::failure::Failure;
use crate::tell;

/// The name of the binary.
const NAME: &str = "clinic-phone-operator";

/// How it is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// For trying out: compiled in half the time of the other, which the first run of a demo is spent with; and `cargo
    /// test` uses the same crates again. The time of a run is Twilio's and the API server's, not the processor's.
    Quick,
    /// As it is shipped: for measuring.
    Release,
}

/// The folder of the checkout.
pub fn checkout() -> Result<PathBuf, Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().map_err(Failure::doing(format!("find the checkout at {}", root.display())))
}

/// Builds the operator, if it is not built already, and returns where it is.
///
/// # Errors
/// When cargo fails; it has told why.
pub fn operator(profile: Profile) -> Result<PathBuf, Failure> {
    tell(match profile {
        Profile::Quick => "building the operator (about 3 minutes on two cores the first time, then seconds)",
        Profile::Release => "building the operator as it is shipped (about 5 minutes on two cores the first time)",
    });
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--locked", "--bin", NAME, "--message-format", "json-render-diagnostics"])
        .current_dir(checkout()?)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if profile == Profile::Release {
        command.arg("--release");
    }
    // `cargo run` tells this process about this package. Build scripts that ask for these variables would run again, each
    // time that a build starts from another place.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let of_this_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
        if of_this_package.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    let output = command.output().map_err(Failure::doing("run cargo build"))?;
    if !output.status.success() {
        return Err(Failure::Told(format!("building the operator failed ({}); cargo says why above", output.status)));
    }
    executable(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| Failure::Told(format!("cargo does not say where it built {NAME}")))
}

/// The path of the binary, from what cargo tells.
fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let built = messages.filter(|message| {
        message.get("reason").is_some_and(|reason| reason == "compiler-artifact")
            && message.pointer("/target/name").is_some_and(|name| name == NAME)
    });
    built.filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from)).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_the_messages() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"name":"clinic_phone_operator"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/t/other"}
this is no message
{"reason":"compiler-artifact","target":{"name":"clinic-phone-operator"},"executable":"/t/debug/clinic-phone-operator"}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/t/debug/clinic-phone-operator")));
        assert_eq!(executable(""), None);
    }

    #[test]
    fn the_checkout_holds_what_is_read_from_it() {
        assert!(checkout().unwrap().join("Cargo.lock").is_file());
    }
}
