//! What the surroundings say: the only reader of variables.

use crate::failure::Failure;

/// Which cluster is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A control plane of its own on this machine.
    Own,
    /// The cluster of the current kubeconfig context.
    Current,
}

/// What a person asked for by variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `CLUSTER`.
    pub target: Target,
    /// `YES=1`: the question is answered already.
    pub yes: bool,
}

impl Settings {
    /// Reads the variables of this process.
    ///
    /// # Errors
    /// When one of them has a value that means nothing.
    pub fn read() -> Result<Self, Failure> {
        Self::from(&variable)
    }

    fn from(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let target = match variable("CLUSTER").as_deref() {
            None | Some("" | "own") => Target::Own,
            Some("current") => Target::Current,
            Some(other) => {
                return Err(Failure::Told(format!(
                    "CLUSTER is {other:?}; it is `current` for the cluster of the current kubeconfig context, or unset for a \
                     control plane on this machine"
                )));
            }
        };
        let yes = matches!(variable("YES").as_deref(), Some("1" | "y" | "yes" | "true"));
        Ok(Self { target, yes })
    }
}

/// A variable of this process.
pub fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// The names of the variables of this process that the operator, the simulator or the inbox read.
pub fn operator_variables() -> Vec<String> {
    std::env::vars_os()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .filter(|name| name.starts_with("CPN_"))
        .collect()
}

/// Where the operator's admin endpoints are reached, from the address that they listen on.
pub fn admin_url(listen: &str) -> String {
    let reachable = listen.replacen("0.0.0.0:", "127.0.0.1:", 1).replacen("[::]:", "127.0.0.1:", 1);
    format!("http://{reachable}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings, Failure> {
        Settings::from(&|name| variables.iter().find(|(found, _)| *found == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nothing_said_means_a_control_plane_of_its_own() {
        assert_eq!(settings(&[]).unwrap(), Settings { target: Target::Own, yes: false });
        assert_eq!(settings(&[("CLUSTER", ""), ("YES", "0")]).unwrap(), Settings { target: Target::Own, yes: false });
    }

    #[test]
    fn the_current_cluster_is_asked_for_by_name() {
        let current = settings(&[("CLUSTER", "current"), ("YES", "1")]).unwrap();
        assert_eq!(current, Settings { target: Target::Current, yes: true });
        let told = settings(&[("CLUSTER", "prod")]).unwrap_err().to_string();
        assert!(told.contains("\"prod\"") && told.contains("`current`"), "{told}");
    }

    #[test]
    fn admin_endpoints_are_reached_on_this_machine() {
        assert_eq!(admin_url("127.0.0.1:9000"), "http://127.0.0.1:9000");
        assert_eq!(admin_url("0.0.0.0:9000"), "http://127.0.0.1:9000");
        assert_eq!(admin_url("[::]:9000"), "http://127.0.0.1:9000");
    }
}
