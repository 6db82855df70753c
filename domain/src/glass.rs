//! Breaking the glass: several people whose keys were enrolled beforehand authorise one forced move by their signatures, when
//! nobody can sign in anywhere.
//!
//! A request says everything that it is good for: fleet, generation, service, both Regions, the service's epoch, until when. Who
//! carries it does not matter. It is verified by every daemon that applies it, with the keys that the fleet has agreed on
//! ([`FleetSettings`](crate::fleet::FleetSettings)), so a daemon that believes too easily opens nothing. It must never be good
//! twice: a move raises the epoch that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, FleetId, Generation, Region, ServiceName};
use crate::plan::Mode;
use crate::time::Timestamp;

/// How names of the record begin that only signatures give.
pub const PREFIX: &str = "break-glass:";
/// What is signed begins with this line: a signature for anything else is none for this.
const DOMAIN: &str = "failoverd break-glass request 1\n";
/// Most people whose keys are enrolled.
pub const MOST_KEYS: usize = 16;
/// One signature would be a password that never changes.
pub const FEWEST_SIGNATURES: u32 = 2;
/// A request is good for as long when nobody says otherwise, milliseconds.
pub const DEFAULT_VALID_MS: u64 = 15 * 60_000;
/// No request is good for longer: nobody shall keep a signed one for another day.
pub const MOST_VALID_MS: u64 = 60 * 60_000;
/// The kind of key in OpenSSH's words.
const SSH_KIND: &str = "ssh-ed25519";
const LONGEST_NAME: usize = 32;
const LONGEST_REASON: usize = 512;
const NONCE: std::ops::RangeInclusive<usize> = 16..=64;

/// An ed25519 public key, 32 bytes in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicKey(String);

impl PublicKey {
    /// The key of these bytes.
    #[must_use]
    pub fn of(bytes: [u8; 32]) -> Self {
        Self(hex(&bytes))
    }

    /// The key in a line as `failoverctl break-glass keygen` and `ssh-keygen -t ed25519` write it.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn of_line(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        if words.next() != Some(SSH_KIND) {
            return Err(format!("is not an ed25519 public key: write `{SSH_KIND} AAAA…`, one line as in a .pub file"));
        }
        let blob = words.next().and_then(|word| STANDARD.decode(word).ok()).unwrap_or_default();
        let key = blob.strip_prefix(ssh_head().as_slice()).and_then(|key| <[u8; 32]>::try_from(key).ok());
        key.map(Self::of).ok_or_else(|| "is cut off or damaged: copy the whole line of the .pub file".to_owned())
    }

    /// The same line, for people and for the configuration.
    #[must_use]
    pub fn line(&self, name: &str) -> String {
        let mut blob = ssh_head();
        blob.extend(self.bytes());
        format!("{SSH_KIND} {} {name}", STANDARD.encode(blob))
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its bytes; none where it is none.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        unhex(&self.0).filter(|bytes| self.is_of(bytes)).unwrap_or_default()
    }

    fn is_of(&self, bytes: &[u8]) -> bool {
        bytes.len() == 32 && self.0 == hex(bytes)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whose signatures count, and how many it takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Enrolment {
    /// So many different people must sign.
    pub threshold: u32,
    /// Their keys by their names.
    pub keys: BTreeMap<String, PublicKey>,
}

impl Enrolment {
    /// Whether it can be meant.
    ///
    /// # Errors
    /// What of it cannot.
    pub fn check(&self) -> Result<(), String> {
        if self.keys.len() > MOST_KEYS {
            return Err(format!("has {} keys; at most {MOST_KEYS} are enrolled", self.keys.len()));
        }
        if self.threshold < FEWEST_SIGNATURES {
            return Err(format!(
                "has the threshold {}; fewer than {FEWEST_SIGNATURES} people are nobody's check",
                self.threshold
            ));
        }
        if usize::try_from(self.threshold).unwrap_or(usize::MAX) > self.keys.len() {
            let (needed, count) = (self.threshold, self.keys.len());
            return Err(format!("needs {needed} signatures and has {count} keys: it could never be used"));
        }
        if let Some(name) = self.keys.keys().find(|name| !is_name(name)) {
            return Err(format!(
                "calls somebody {name:?}; names are small letters, digits, dots, dashes and underscores"
            ));
        }
        if let Some((name, _)) = self.keys.iter().find(|(_, key)| key.bytes().is_empty()) {
            return Err(format!("has no ed25519 key for {name}"));
        }
        let different: BTreeSet<&PublicKey> = self.keys.values().collect();
        if different.len() < self.keys.len() {
            return Err("gives two people the same key".to_owned());
        }
        Ok(())
    }

    /// In words: `2 of alice, bob, carol`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let names: Vec<&str> = self.keys.keys().map(String::as_str).collect();
        format!("{} of {}", self.threshold, names.join(", "))
    }
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(fits)
}

/// One forced move that people are asked to sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlassRequest {
    /// The fleet.
    pub fleet: FleetId,
    /// Its generation.
    pub generation: Generation,
    /// Service.
    pub service: ServiceName,
    /// The service's epoch when it was made: after any other move it is void.
    pub epoch: Epoch,
    /// The Region that is left.
    pub from: Region,
    /// The Region that takes over.
    pub to: Region,
    /// Always forced: what can wait for a leader's patience can wait for somebody who can sign in.
    pub mode: Mode,
    /// Why, in the words of whoever asks.
    pub reason: String,
    /// After this instant it is void.
    pub expires_at: Timestamp,
    /// Drawn at random: no two requests are the same.
    pub nonce: String,
}

impl GlassRequest {
    /// The bytes that are signed: made from what was read, so that spaces and order of a mail do not matter.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = DOMAIN.as_bytes().to_vec();
        // Never without: strings and numbers can always be written.
        bytes.extend(serde_json::to_vec(self).unwrap_or_default());
        bytes
    }

    /// What it asks for, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!(
            "{} move of {} from {} to {} in fleet {} (generation {}, epoch {}, until {}): {}",
            self.mode,
            self.service,
            self.from,
            self.to,
            self.fleet,
            self.generation,
            self.epoch,
            self.expires_at,
            self.reason
        )
    }

    /// Whether it can be meant at all, whatever the fleet is.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn check(&self) -> Result<(), Refused> {
        let is_nonce = NONCE.contains(&self.nonce.len()) && self.nonce.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_nonce {
            return Err(Refused::Malformed("its nonce is not 16 to 64 hexadecimal digits"));
        }
        if self.mode != Mode::Forced {
            return Err(Refused::Malformed("only forced moves are made this way"));
        }
        if self.reason.is_empty() || self.reason.len() > LONGEST_REASON || self.reason.chars().any(char::is_control) {
            return Err(Refused::Malformed("its reason must be one line of at most 512 bytes"));
        }
        Ok(())
    }
}

/// Somebody's word for a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlassSignature {
    /// By whose key.
    pub key: PublicKey,
    /// ed25519 over the request's bytes, 64 bytes in hexadecimal.
    pub signature: String,
}

impl GlassSignature {
    /// A signature of these bytes.
    #[must_use]
    pub fn of(key: PublicKey, signature: &[u8]) -> Self {
        Self { key, signature: hex(signature) }
    }

    /// Whether its key has signed that request.
    #[must_use]
    pub fn is_for(&self, request: &GlassRequest) -> bool {
        let Some(signature) = unhex(&self.signature) else { return false };
        UnparsedPublicKey::new(&ED25519, self.key.bytes()).verify(&request.signed_bytes(), &signature).is_ok()
    }
}

/// A request with its signatures: a small text that anybody can carry, and what a decision rests on that nobody else may make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Glass {
    /// What is asked for.
    pub request: GlassRequest,
    /// Who signed it.
    #[serde(default)]
    pub signatures: Vec<GlassSignature>,
}

impl Glass {
    /// Who signed, by name, if they are enough and nothing is wrong with any of the signatures.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn signers<'a>(&self, enrolment: &'a Enrolment) -> Result<BTreeSet<&'a str>, Refused> {
        self.request.check()?;
        if self.signatures.len() > MOST_KEYS {
            return Err(Refused::Malformed("it has more signatures than there can be keys"));
        }
        let mut signers = BTreeSet::new();
        for signature in &self.signatures {
            let enrolled = enrolment.keys.iter().find(|(_, key)| **key == signature.key);
            let Some((name, _)) = enrolled else { return Err(Refused::Foreign(signature.key.clone())) };
            if !signature.is_for(&self.request) {
                return Err(Refused::WrongSignature(name.clone()));
            }
            if !signers.insert(name.as_str()) {
                return Err(Refused::Twice(name.clone()));
            }
        }
        if signers.len() < usize::try_from(enrolment.threshold).unwrap_or(usize::MAX) {
            let names = signers.into_iter().map(str::to_owned).collect();
            return Err(Refused::TooFew { signers: names, needed: enrolment.threshold });
        }
        Ok(signers)
    }

    /// The name under which its move is on record, without the prefix: `alice+bob`.
    ///
    /// # Errors
    /// As [`Self::signers`].
    pub fn names(&self, enrolment: &Enrolment) -> Result<String, Refused> {
        Ok(self.signers(enrolment)?.into_iter().collect::<Vec<_>>().join("+"))
    }
}

/// Why a request opens nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nobody's keys are agreed on.
    #[error("this fleet has agreed on nobody's keys: a majority of its daemons must have the same access.break_glass")]
    NotEnrolled,
    /// It cannot be meant.
    #[error("the request makes no sense: {0}")]
    Malformed(&'static str),
    /// It was made for another fleet, or before this one was recovered.
    #[error("it was signed for fleet {0}, not for this one")]
    OtherFleet(String),
    /// The service has moved since.
    #[error(
        "it was signed for epoch {signed} of {service}, which is at {now}: who serves has changed since, make another"
    )]
    OtherEpoch {
        /// Service.
        service: ServiceName,
        /// The epoch that was signed.
        signed: Epoch,
        /// The epoch now.
        now: Epoch,
    },
    /// Too late.
    #[error("it expired at {0}: make another")]
    Expired(Timestamp),
    /// Good for too long.
    #[error("it would be good until {0}, longer than an hour from now: make one that is not, and mind the clocks")]
    TooLong(Timestamp),
    /// Used before.
    #[error("it was used before")]
    Used,
    /// Of a key that is not enrolled.
    #[error("key {0} is not enrolled here")]
    Foreign(PublicKey),
    /// Not what that key would sign.
    #[error("the signature of {0} is wrong: something else was signed")]
    WrongSignature(String),
    /// One person twice.
    #[error("{0} has signed twice, which counts for nothing")]
    Twice(String),
    /// Too few.
    #[error("{} of {needed} signatures are there ({})", signers.len(), if signers.is_empty() { "nobody's".to_owned() } else { signers.join(", ") })]
    TooFew {
        /// Who has signed.
        signers: Vec<String>,
        /// How many must.
        needed: u32,
    },
    /// Another plan than the one that was signed.
    #[error("what would be done is not what was signed")]
    OtherPlan,
}

/// What stands before the 32 bytes: the kind and the length, as RFC 4253 writes strings.
fn ssh_head() -> Vec<u8> {
    let mut head = vec![0, 0, 0, 11];
    head.extend(SSH_KIND.as_bytes());
    head.extend([0, 0, 0, 32]);
    head
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
pub(crate) mod tests;
