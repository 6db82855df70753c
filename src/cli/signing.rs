//! Keys of people who may break the glass: made here, kept in files that nobody else can read, and sent nowhere.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use failoverd_domain::glass::{GlassRequest, GlassSignature, PublicKey};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::Failure;

const PKCS8: &str = "PRIVATE KEY";
const OPENSSH: &str = "OPENSSH PRIVATE KEY";
const LINE: usize = 64;

/// A person's key.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// A new key in a new file, which its owner alone can read.
    ///
    /// # Errors
    /// The file is there already, or cannot be written.
    pub fn new_in(file: &Path) -> Result<Self, Failure> {
        let lost = || Failure::new(1, "this machine has no randomness for a key");
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| lost())?;
        let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(|_| lost())?;
        let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
        let written = new.and_then(|mut new| {
            new.write_all(pem(pkcs8.as_ref()).as_bytes())?;
            new.sync_all()
        });
        written.map_err(|error| Failure::usage(format!("{} cannot be written: {error}", file.display())))?;
        Ok(Self(key))
    }

    /// The key in a file: what [`Self::new_in`] wrote, any PKCS #8, or OpenSSH's without a passphrase.
    ///
    /// # Errors
    /// Others can read the file, or it holds no such key.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let failed = |why: &str| Failure::usage(format!("{} {why}", file.display()));
        let found = std::fs::metadata(file).map_err(|error| failed(&format!("cannot be read: {error}")))?;
        if found.permissions().mode() & 0o077 != 0 {
            return Err(failed("can be read by others: chmod 600 it, and think about who has read it already"));
        }
        let text = std::fs::read_to_string(file).map_err(|error| failed(&format!("cannot be read: {error}")))?;
        Self::of_pem(&text).map_err(|why| failed(&why))
    }

    fn of_pem(text: &str) -> Result<Self, String> {
        if let Some(der) = inside(text, PKCS8) {
            let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der);
            return key.map(Self).map_err(|_| "holds a key, but none of ed25519".to_owned());
        }
        let blob = inside(text, OPENSSH).ok_or("is no private key in PEM")?;
        let (public, seed) = openssh(&blob)?;
        let key = Ed25519KeyPair::from_seed_and_public_key(&seed, &public);
        key.map(Self).map_err(|_| "is damaged: its halves do not belong together".to_owned())
    }

    /// What is enrolled of it.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::of(self.0.public_key().as_ref().try_into().unwrap_or([0; 32]))
    }

    /// Its word for a request.
    #[must_use]
    pub fn sign(&self, request: &GlassRequest) -> GlassSignature {
        GlassSignature::of(self.public(), self.0.sign(&request.signed_bytes()).as_ref())
    }
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len()).step_by(LINE).map(|at| &text[at..text.len().min(at + LINE)]).collect();
    format!("-----BEGIN {PKCS8}-----\n{}\n-----END {PKCS8}-----\n", lines.join("\n"))
}

fn inside(text: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    STANDARD.decode(body.split_whitespace().collect::<String>()).ok()
}

/// Public key and seed out of OpenSSH's own format (PROTOCOL.key in its sources).
fn openssh(blob: &[u8]) -> Result<(Vec<u8>, Vec<u8>), String> {
    let damaged = "is damaged, or another kind of key than ed25519";
    let mut rest = blob.strip_prefix(b"openssh-key-v1\0").ok_or(damaged)?;
    let cipher = string(&mut rest).ok_or(damaged)?;
    if cipher != b"none" {
        return Err(
            "is protected by a passphrase, which is not asked for here: enrol a key of `failoverctl break-glass \
                    keygen`, or sign on a machine where it is not"
                .to_owned(),
        );
    }
    let (_kdf, _options) = (string(&mut rest).ok_or(damaged)?, string(&mut rest).ok_or(damaged)?);
    let _count = take(&mut rest, 4).ok_or(damaged)?;
    let _public = string(&mut rest).ok_or(damaged)?;
    let mut private = string(&mut rest).ok_or(damaged)?;
    let _check = take(&mut private, 8).ok_or(damaged)?;
    if string(&mut private) != Some(b"ssh-ed25519") {
        return Err(damaged.to_owned());
    }
    let public = string(&mut private).ok_or(damaged)?;
    let seed = string(&mut private).and_then(|both| both.get(..32)).ok_or(damaged)?;
    Ok((public.to_vec(), seed.to_vec()))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_be_bytes(take(rest, 4)?.try_into().ok()?);
    take(rest, usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `ssh-keygen -t ed25519 -N ''` for this test.
    const SSH: &str = include_str!("testdata/id_ed25519");
    const SSH_PUB: &str = include_str!("testdata/id_ed25519.pub");
    const LOCKED: &str = include_str!("testdata/id_ed25519_locked");

    #[test]
    fn a_new_key_is_its_owners_alone_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alice.key");
        let made = SigningKey::new_in(&file).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(SigningKey::read(&file).unwrap().public(), made.public());
        let again = SigningKey::new_in(&file).err().unwrap();
        assert!(again.message.contains("exists"), "never overwritten: {again:?}");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = SigningKey::read(&file).err().unwrap();
        assert!(refused.exit == 2 && refused.message.contains("can be read by others"), "{refused:?}");
    }

    #[test]
    fn a_key_of_openssh_is_read_and_a_locked_one_is_refused_in_words() {
        assert_eq!(SigningKey::of_pem(SSH).ok().unwrap().public(), PublicKey::of_line(SSH_PUB).unwrap());
        assert!(SigningKey::of_pem(LOCKED).err().unwrap().contains("passphrase"));
        let cut = SSH.replacen("AAAA", "", 3);
        assert!(SigningKey::of_pem(&cut).is_err());
        assert!(SigningKey::of_pem("hello").err().unwrap().contains("no private key"));
    }
}
