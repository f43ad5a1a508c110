//! What a number can do.

use serde::{Deserialize, Serialize};

/// One thing that a number can do, in Twilio's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Capability {
    /// Text messages.
    SMS,
    /// Picture messages.
    MMS,
    /// Calls.
    Voice,
    /// Fax.
    Fax,
}

/// The capabilities of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools, reason = "four independent facts, as Twilio sends them")]
pub struct Capabilities {
    /// Text messages.
    pub sms: bool,
    /// Picture messages.
    pub mms: bool,
    /// Calls.
    pub voice: bool,
    /// Fax.
    pub fax: bool,
}

impl Capabilities {
    /// Whether the number can do this.
    pub fn has(self, capability: Capability) -> bool {
        match capability {
            Capability::SMS => self.sms,
            Capability::MMS => self.mms,
            Capability::Voice => self.voice,
            Capability::Fax => self.fax,
        }
    }

    /// The capabilities as a list, in a fixed order.
    pub fn list(self) -> Vec<Capability> {
        [Capability::SMS, Capability::MMS, Capability::Voice, Capability::Fax]
            .into_iter()
            .filter(|c| self.has(*c))
            .collect()
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<T: IntoIterator<Item = Capability>>(capabilities: T) -> Self {
        let mut all = Self::default();
        for capability in capabilities {
            match capability {
                Capability::SMS => all.sms = true,
                Capability::MMS => all.mms = true,
                Capability::Voice => all.voice = true,
                Capability::Fax => all.fax = true,
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_back() {
        let all = [Capability::SMS, Capability::MMS, Capability::Voice, Capability::Fax];
        for bits in 0..16_u32 {
            let some: Vec<_> =
                all.into_iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0).map(|(_, c)| c).collect();
            assert_eq!(some.iter().copied().collect::<Capabilities>().list(), some);
        }
    }
}
