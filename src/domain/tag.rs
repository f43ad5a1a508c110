//! The mark that ties a Twilio number to one resource of one installation.
//!
//! Twilio has no labels on numbers; `FriendlyName` is the only free text that can be listed. A mark in front of it lets
//! a cluster that was rebuilt from Git find its numbers again, and lets an operator see that a number is not its own.
//! No UID goes into it, because a UID does not survive a rebuild.

use data_encoding::Encoding;
use std::sync::LazyLock;

use super::{E164, ParseError, string_newtype};

/// The most bytes that Twilio keeps of a `FriendlyName`.
pub const FRIENDLY_NAME_BYTES: usize = 64;
const INSTALLATION_CHARS: usize = 5;
const TAG_CHARS: usize = 11;

static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = data_encoding::Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    // The alphabet is a constant of 32 distinct ASCII characters; the fallback only satisfies the type.
    specification.encoding().unwrap_or(data_encoding::BASE32_NOPAD)
});

/// SHA-256 over length-prefixed parts, so that ("a", "bc") and ("ab", "c") differ; as base32, cut to `chars`.
fn digest(parts: &[&str], chars: usize) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut text = BASE32.encode(context.finish().as_ref());
    text.truncate(chars);
    text
}

/// The name of one installation of the operator, chosen by a person and kept in Git.
///
/// Two clusters that share one would take each other's numbers for their own.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct InstallationId(String);
string_newtype!(InstallationId);

impl InstallationId {
    /// Reads an id: 1 to 63 letters, digits, `-`, `_` or `.`.
    ///
    /// # Errors
    /// When it is empty, too long or has another character.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if (1..=63).contains(&text.len()) && text.bytes().all(ok) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseError::new(
                "installation id",
                "it must be 1 to 63 letters, digits, '-', '_' or '.', such as prod-montreal",
            ))
        }
    }

    /// The id's short form inside a mark: 5 base32 characters.
    pub fn short(&self) -> String {
        digest(&[&self.0], INSTALLATION_CHARS)
    }

    /// The tag of the resource `namespace/name` in this installation.
    pub fn tag(&self, namespace: &str, name: &str) -> OwnerTag {
        OwnerTag(digest(&[&self.0, namespace, name], TAG_CHARS))
    }

    /// The mark that a number of `namespace/name` carries.
    pub fn mark(&self, namespace: &str, name: &str, adopted: bool) -> Mark {
        Mark { installation: self.short(), tag: self.tag(namespace, name), adopted }
    }
}

/// Which resource a number belongs to: 11 base32 characters (55 bits) of a hash over installation id, namespace and name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerTag(String);
string_newtype!(OwnerTag);

impl OwnerTag {
    /// Reads a tag as it stands in a mark or in `status.claim.tag`.
    ///
    /// # Errors
    /// When it is not 11 base32 characters in lower case.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if is_base32(text, TAG_CHARS) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseError::new("owner tag", "it is not 11 characters of a-z and 2-7"))
        }
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A number derived from the tag, the same in every process: spreads choices and times over resources.
    pub fn spread(&self) -> u64 {
        // FNV-1a: four lines, and unlike std's hasher it is specified, so two operators agree.
        self.0
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    }
}

fn is_base32(text: &str, chars: usize) -> bool {
    text.len() == chars && text.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b))
}

/// What stands in front of a number's `FriendlyName`: `[cpn:<installation>.<tag>]`, with `:a` before the bracket on a
/// number that was adopted rather than bought.
///
/// The adopted sign is in the mark because status may be lost, and an adopted number must never become releasable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mark {
    /// Short form of the installation id.
    pub installation: String,
    /// The resource.
    pub tag: OwnerTag,
    /// Whether the number was adopted.
    pub adopted: bool,
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[cpn:{}.{}{}]", self.installation, self.tag, if self.adopted { ":a" } else { "" })
    }
}

impl Mark {
    /// Reads the mark at the start of a `FriendlyName`; `None` when there is none.
    pub fn read(friendly_name: &str) -> Option<Self> {
        let (inside, _) = friendly_name.strip_prefix("[cpn:")?.split_once(']')?;
        let (installation, rest) = inside.split_once('.')?;
        let (tag, adopted) = rest.strip_suffix(":a").map_or((rest, false), |tag| (tag, true));
        is_base32(installation, INSTALLATION_CHARS).then_some(())?;
        Some(Self { installation: installation.to_owned(), tag: OwnerTag::parse(tag).ok()?, adopted })
    }

    /// The whole `FriendlyName`: the mark, then the label, cut to Twilio's 64 bytes at a character's end.
    ///
    /// Without a label the number's national form stands there, which is what Twilio itself would show.
    pub fn friendly_name(&self, label: Option<&str>, number: &E164) -> String {
        let national;
        let label = if let Some(label) = label {
            label
        } else {
            national = number.national();
            &national
        };
        let mut text = format!("{self} {label}");
        let mut end = text.len().min(FRIENDLY_NAME_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.truncate(text.trim_end().len());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation(text: &str) -> InstallationId {
        InstallationId::parse(text).unwrap()
    }

    #[test]
    fn tags_do_not_change_between_releases() {
        // Numbers in service carry these: a change here would orphan every one of them.
        let mark = installation("prod").mark("clinique-sainte-foy", "reception", false);
        assert_eq!(mark.to_string(), "[cpn:4ssx5.fbmwwmhylds]");
    }

    #[test]
    fn parts_are_length_prefixed() {
        let id = installation("x");
        assert_ne!(id.tag("a", "bc"), id.tag("ab", "c"));
        assert_ne!(installation("x").tag("a", "b"), installation("y").tag("a", "b"));
    }

    #[test]
    fn a_mark_reads_back() {
        for adopted in [false, true] {
            let mark = installation("prod").mark("ns", "name", adopted);
            let name = mark.friendly_name(None, &E164::parse("+14185551234").unwrap());
            assert_eq!(Mark::read(&name), Some(mark.clone()));
            assert!(name.ends_with(" (418) 555-1234"), "{name}");
        }
        for none in [
            "",
            "(418) 555-1234",
            "[cpn:abcde.abc]",
            "[cpn:ABCDE.abcdefghijk]",
            "x[cpn:abcde.abcdefghijk]",
            "[cpn:abcde.abcdefghijk",
        ] {
            assert_eq!(Mark::read(none), None, "{none}");
        }
    }

    #[test]
    fn a_friendly_name_is_cut_to_64_bytes_at_a_character() {
        let mark = installation("prod").mark("ns", "name", true);
        let name = mark.friendly_name(Some(&"é".repeat(40)), &E164::parse("+14185551234").unwrap());
        assert!(name.len() <= FRIENDLY_NAME_BYTES && name.len() >= FRIENDLY_NAME_BYTES - 1);
        assert_eq!(Mark::read(&name), Some(mark));
    }
}
