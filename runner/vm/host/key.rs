// SPDX-License-Identifier: GPL-2.0

//! Names of what the cache keeps: hashes of everything that it was made from.

use sha2::{Digest, Sha256};

/// A hash over named parts. It changes if any part changes, or if bytes move from one part to
/// another.
#[derive(Clone, Debug, Default)]
pub struct Key(Sha256);

impl Key {
    /// Adds a part.
    pub fn part(mut self, name: &str, content: &[u8]) -> Self {
        for bytes in [name.as_bytes(), content] {
            self.0.update((bytes.len() as u64).to_le_bytes());
            self.0.update(bytes);
        }
        self
    }

    /// The hash as 16 hexadecimal digits, which are enough for the cache of one user.
    pub fn finish(self) -> String {
        hex(&self.0.finalize()[..8])
    }
}

/// SHA-256 in hexadecimal.
pub fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_depends_on_the_borders_of_its_parts() {
        let ab = Key::default().part("x", b"ab").part("y", b"c").finish();
        let a = Key::default().part("x", b"a").part("y", b"bc").finish();
        assert_ne!(ab, a);
        assert_eq!(ab.len(), 16);
    }
}
