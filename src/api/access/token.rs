//! Bearer tokens of an OpenID Connect provider: what they must say, and whom they name. Pure: keys and time are handed in.
//!
//! ring judges the signature. Which algorithm is meant is said by the key, never by the token.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use failoverd_domain::time::Timestamp;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;

use super::{Identity, Role};

/// Longest token that is looked at.
const LONGEST: usize = 16 * 1024;
/// Most keys of a provider.
const MOST_KEYS: usize = 64;
/// Bytes of a coordinate on P-256.
const COORDINATE: usize = 32;

/// What a token must say, and what is made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// `iss`.
    pub issuer: String,
    /// One of `aud`.
    pub audience: String,
    /// The claim with the holder's groups or roles.
    pub role_claim: String,
    /// Which of their words give which role.
    pub roles: BTreeMap<String, Role>,
    /// The claim with the name on record.
    pub name_claim: String,
    /// How far clocks may differ, seconds.
    pub leeway_s: u64,
}

/// Why a token is not taken. Never repeats any of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token of the kind that is read here.
    #[error("the token cannot be read: {0}")]
    Malformed(&'static str),
    /// Signed by a key that is not known.
    #[error("the token is signed by a key that its issuer is not known to have")]
    UnknownKey,
    /// Its signature is wrong.
    #[error("the token's signature is wrong")]
    Forged,
    /// It is over.
    #[error("the token has expired: get a new one")]
    Expired,
    /// It is not yet valid.
    #[error("the token is not valid yet: do the clocks agree?")]
    TooEarly,
    /// Of another issuer, or for somebody else.
    #[error("the token is not for this fleet: {0}")]
    NotForUs(&'static str),
}

/// The keys of a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<Key>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    public: Public,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default, rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

impl Keys {
    /// Reads a JSON Web Key Set; keys that are not for RS256 or ES256 are passed over.
    ///
    /// # Errors
    /// It is no key set, or holds no key that could be used.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        let set: KeySet = serde_json::from_slice(json).map_err(|error| format!("is no JSON Web Key Set: {error}"))?;
        let keys = set.keys.into_iter().take(MOST_KEYS);
        let keys: Vec<Key> = keys.filter_map(|key| Key::read(serde_json::from_value(key).ok()?)).collect();
        if keys.is_empty() {
            return Err("has no key for signatures by RS256 or ES256".to_owned());
        }
        Ok(Self(keys))
    }

    /// The key that a token names; the only one where it names none.
    fn of(&self, id: Option<&str>) -> Option<&Key> {
        match (id, self.0.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(id), keys) => keys.iter().find(|key| key.id.as_deref() == Some(id)),
        }
    }
}

impl Key {
    fn read(jwk: Jwk) -> Option<Self> {
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let bytes = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?).ok();
        let public = match (jwk.kty.as_str(), jwk.crv.as_deref(), jwk.alg.as_deref()) {
            ("RSA", _, None | Some("RS256")) => Public::Rsa { n: bytes(jwk.n)?, e: bytes(jwk.e)? },
            ("EC", Some("P-256"), None | Some("ES256")) => {
                let (x, y) = (bytes(jwk.x)?, bytes(jwk.y)?);
                // Uncompressed, as ring reads it.
                let point = (x.len() == COORDINATE && y.len() == COORDINATE).then(|| [&[4], &x[..], &y[..]].concat());
                Public::P256(point?)
            }
            _ => return None,
        };
        Some(Self { id: jwk.kid, public })
    }

    const fn algorithm(&self) -> &'static str {
        match self.public {
            Public::Rsa { .. } => "RS256",
            Public::P256(_) => "ES256",
        }
    }

    fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.public {
            Public::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
            Public::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
}

impl TokenRules {
    /// Whom the token names, if it is genuine, for us, and valid now.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify(&self, token: &str, keys: &Keys, now: Timestamp) -> Result<Identity, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::Malformed("it is too long"));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed("it has not three parts"));
        };
        let signed = &token[..header.len() + 1 + claims.len()];
        let header: Header =
            serde_json::from_slice(&decoded(header)?).map_err(|_| TokenError::Malformed("its head"))?;
        if header.crit.is_some() {
            return Err(TokenError::Malformed("it asks for extensions that are not known here"));
        }
        let key = keys.of(header.kid.as_deref()).ok_or(TokenError::UnknownKey)?;
        if key.algorithm() != header.alg {
            return Err(TokenError::Forged);
        }
        if !key.signed(signed.as_bytes(), &decoded(signature)?) {
            return Err(TokenError::Forged);
        }
        let claims: Value =
            serde_json::from_slice(&decoded(claims)?).map_err(|_| TokenError::Malformed("its claims"))?;
        self.check(&claims, now.0 / 1_000)?;
        self.named(&claims)
    }

    fn check(&self, claims: &Value, now_s: u64) -> Result<(), TokenError> {
        if claims["iss"].as_str() != Some(&self.issuer) {
            return Err(TokenError::NotForUs("it is of another issuer"));
        }
        if !words(&claims["aud"]).contains(self.audience.as_str()) {
            return Err(TokenError::NotForUs("it is for another audience"));
        }
        let expires = seconds(&claims["exp"]).ok_or(TokenError::Malformed("it does not say until when it is valid"))?;
        if now_s >= expires.saturating_add(self.leeway_s) {
            return Err(TokenError::Expired);
        }
        // There and not a number is as bad as too early.
        let begins = match &claims["nbf"] {
            Value::Null => 0,
            other => seconds(other).ok_or(TokenError::Malformed("it does not say from when it is valid"))?,
        };
        if now_s.saturating_add(self.leeway_s) < begins { Err(TokenError::TooEarly) } else { Ok(()) }
    }

    fn named(&self, claims: &Value) -> Result<Identity, TokenError> {
        if self.name_claim == "email"
            && claims.get("email_verified").is_some_and(|verified| verified != true && verified != "true")
        {
            return Err(TokenError::Malformed("the provider has not verified the mail address that names its holder"));
        }
        let name = claims[&self.name_claim].as_str().filter(|name| !name.trim().is_empty());
        let name = name.ok_or(TokenError::Malformed("it does not name its holder in the claim that is configured"))?;
        let said = words(&claims[&self.role_claim]);
        let roles = self.roles.iter().filter(|(word, _)| said.contains(word.as_str())).map(|(_, role)| *role);
        Ok(Identity::of(name.trim(), roles.filter(|role| *role != Role::Peer).collect(), BTreeSet::new()))
    }
}

/// A word or a list of words.
fn words(value: &Value) -> BTreeSet<&str> {
    match value {
        Value::String(word) => BTreeSet::from([word.as_str()]),
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        _ => BTreeSet::new(),
    }
}

fn seconds(value: &Value) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let whole = |seconds: f64| (seconds.is_finite() && seconds >= 0.0).then_some(seconds as u64);
    value.as_u64().or_else(|| value.as_f64().and_then(whole))
}

fn decoded(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed("a part of it is not base64url"))
}

#[cfg(test)]
#[path = "token_tests.rs"]
pub(in crate::api) mod tests;
