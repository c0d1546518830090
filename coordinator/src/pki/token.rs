//! The one-time token with which a host joins. The coordinator keeps only its hash, with host and expiry, and those
//! are the engine's: here is nothing that remembers.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use echelon_proto::Digest;

/// A token in clear: shown once to the admin who asked, sent once by the host that joins.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A new one: 32 random bytes in base64url, 43 characters.
    #[must_use]
    pub fn generate() -> Self {
        // The thread's generator is a CSPRNG seeded by the system.
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
    }

    /// What a host sent. Any text: a wrong one has a hash that nobody knows.
    #[must_use]
    pub fn given(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// What may be kept: with 256 random bits in it, it cannot be turned back, and comparing it leaks nothing of use.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    /// The secret itself, for the one answer that carries it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_only_the_hash_tells_the_same_one_again() {
        let token = Token::generate();
        assert_eq!(token.reveal().len(), 43);
        assert_ne!(token.hash(), Token::generate().hash());
        assert_eq!(token.hash(), Token::given(token.reveal()).hash());
        assert!(!format!("{token:?}").contains(token.reveal()));
    }
}
