//! Secret: the key, which no log, error, report or panic message ever shows.

use std::fmt;

use memchr::memmem::Finder;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::scenario::SecretRef;
use crate::wire::signature::hex;

/// A secret of fewer bytes cannot be told from ordinary text.
const SHORTEST_FOUND: usize = 8;

/// A secret text. It can be used, but not printed.
#[derive(Clone)]
pub struct Secret {
    text: String,
    finder: Finder<'static>,
}

impl Secret {
    fn new(text: String) -> Self {
        let finder = Finder::new(&text).into_owned();
        Self { text, finder }
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Whether the secret stands in what a service sent, byte for byte. A short one is never found:
    /// it may be part of any word or id, and to cover those would change the result.
    pub fn stands_in(&self, bytes: &[u8]) -> bool {
        self.text.len() >= SHORTEST_FOUND && self.place_in(bytes).is_some()
    }

    /// Covers the secret wherever it stands in what a service sent.
    pub fn cover(&self, bytes: &mut [u8]) {
        let mut at = 0;
        while let Some(step) = self.place_in(&bytes[at..]) {
            let end = at + step + self.text.len();
            bytes[at + step..end].fill(b'*');
            at = end;
        }
    }

    fn place_in(&self, bytes: &[u8]) -> Option<usize> {
        self.finder.find(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The variable is not set.
    Unset,
    /// It is there, but empty.
    Empty,
    /// The file cannot be read: the system's reason.
    Unreadable(String),
    /// It holds what a header cannot carry: a line break or another control character.
    NotAHeader,
}

/// Reads a secret from where the scenario says, for a header. White space around it is not part of
/// it.
pub fn read(reference: &SecretRef) -> Result<Secret, Missing> {
    let secret = read_text(reference)?;
    if secret.text.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return Err(Missing::NotAHeader);
    }
    Ok(secret)
}

/// The same of a text with lines.
pub fn read_text(reference: &SecretRef) -> Result<Secret, Missing> {
    let text = match reference {
        SecretRef::Env(name) => std::env::var(name).map_err(|_| Missing::Unset)?,
        SecretRef::File(path) => {
            std::fs::read_to_string(path).map_err(|error| Missing::Unreadable(error.to_string()))?
        }
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(Missing::Empty);
    }
    Ok(Secret::new(text.to_owned()))
}

/// A token that nobody guesses: 128 random bits, in hex.
pub fn drawn_token() -> std::io::Result<Secret> {
    let mut bytes = [0_u8; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
    }
    Ok(Secret::new(hex(&bytes)))
}

/// A key for the built-in service, which takes any that begins so.
pub fn for_simulator() -> Secret {
    Secret::new("user.plimsoll".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_covered_wherever_it_stands() {
        let check = |text: &str, expected: &str| {
            let mut bytes = text.as_bytes().to_vec();
            let secret = Secret::new("user.key".to_owned());
            let found = secret.stands_in(&bytes);
            secret.cover(&mut bytes);
            assert_eq!(String::from_utf8(bytes).unwrap(), expected);
            assert_eq!(found, text != expected);
        };
        check("", "");
        check("user.ke", "user.ke");
        check("user.key", "********");
        check(
            "a user.keyuser.key, user.user.key",
            "a ****************, user.********",
        );
    }

    #[test]
    fn a_short_key_does_not_blot_out_the_words_of_a_service() {
        assert!(!Secret::new("run".to_owned()).stands_in(br#"{"status":"running"}"#));
    }

    #[test]
    fn a_secret_is_read_whole_and_printed_never() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let reference = SecretRef::File(path.to_string_lossy().into_owned());
        assert!(matches!(read(&reference), Err(Missing::Unreadable(_))));
        std::fs::write(&path, " \n").unwrap();
        assert_eq!(read(&reference).unwrap_err(), Missing::Empty);
        std::fs::write(&path, "user.a\nb").unwrap();
        assert_eq!(read(&reference).unwrap_err(), Missing::NotAHeader);
        std::fs::write(&path, "user.canary\n").unwrap();
        let secret = read(&reference).unwrap();
        assert_eq!(secret.expose(), "user.canary");
        assert!(!format!("{secret:?}").contains("canary"));
    }
}
