//! Tokens that are good, and every way in which one can be bad.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

use super::*;

const NOW_S: u64 = 1_764_000_000;

/// A provider of tokens.
pub struct Provider {
    pair: EcdsaKeyPair,
    id: &'static str,
}

impl Provider {
    pub fn new(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).unwrap();
        Self { pair, id }
    }

    pub fn jwks(&self) -> Vec<u8> {
        let point = self.pair.public_key().as_ref();
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let key = json!({
            "kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig",
            "x": coordinate(&point[1..33]), "y": coordinate(&point[33..]),
        });
        json!({ "keys": [{ "kty": "oct", "k": "AA" }, key] }).to_string().into_bytes()
    }

    pub fn sign(&self, head: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(head), part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub fn token(&self, change: &Value) -> String {
        let mut claims = json!({
            "iss": "https://login.example.com/", "aud": ["other", "failoverd"], "sub": "u-1", "email": "alice@example.com",
            "groups": ["sre", "lunch"], "exp": NOW_S + 60, "nbf": NOW_S - 60,
        });
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        self.sign(&json!({ "alg": "ES256", "kid": self.id }), &claims)
    }
}

pub fn rules() -> TokenRules {
    TokenRules {
        issuer: "https://login.example.com/".to_owned(),
        audience: "failoverd".to_owned(),
        role_claim: "groups".to_owned(),
        roles: BTreeMap::from([("sre".to_owned(), Role::Operator), ("leads".to_owned(), Role::Admin)]),
        name_claim: "email".to_owned(),
        leeway_s: 30,
    }
}

fn read(token: &str, provider: &Provider) -> Result<Identity, TokenError> {
    rules().verify(token, &Keys::read(&provider.jwks()).unwrap(), Timestamp(NOW_S * 1_000))
}

#[test]
fn a_good_token_names_its_holder_and_the_holders_roles() {
    let provider = Provider::new("k1");
    let identity = read(&provider.token(&json!({})), &provider).unwrap();
    assert_eq!((identity.name.as_str(), identity.roles_in_words()), ("alice@example.com", "operator".to_owned()));
    let identity =
        read(&provider.token(&json!({ "groups": "leads", "aud": "failoverd", "nbf": null })), &provider).unwrap();
    assert_eq!(identity.roles_in_words(), "admin");
    let identity = read(&provider.token(&json!({ "groups": ["lunch"] })), &provider).unwrap();
    assert_eq!(identity.roles_in_words(), "no role");
}

#[test]
fn nobody_goes_by_a_mail_address_that_the_provider_has_not_verified() {
    let provider = Provider::new("k1");
    for (verified, taken) in [(json!(true), true), (json!(false), false), (json!("true"), true), (json!(null), false)] {
        let read = read(&provider.token(&json!({ "email_verified": verified })), &provider);
        assert_eq!(read.is_ok(), taken, "{verified}");
    }
}

#[test]
fn every_claim_is_checked() {
    let provider = Provider::new("k1");
    let refused = |change: Value| read(&provider.token(&change), &provider).unwrap_err();
    assert_eq!(refused(json!({ "exp": NOW_S - 30 })), TokenError::Expired);
    assert_eq!(refused(json!({ "nbf": NOW_S + 31 })), TokenError::TooEarly);
    for change in [json!({ "exp": null }), json!({ "exp": "never" }), json!({ "nbf": "now" }), json!({ "email": " " })]
    {
        assert!(matches!(refused(change.clone()), TokenError::Malformed(_)), "{change}");
    }
    for change in
        [json!({ "iss": "https://evil/" }), json!({ "iss": null }), json!({ "aud": "x" }), json!({ "aud": null })]
    {
        assert!(matches!(refused(change.clone()), TokenError::NotForUs(_)), "{change}");
    }
    // Clocks may differ a little.
    assert!(read(&provider.token(&json!({ "exp": NOW_S - 29, "nbf": NOW_S + 30 })), &provider).is_ok());
}

#[test]
fn a_token_cannot_choose_how_it_is_judged() {
    let (provider, other) = (Provider::new("k1"), Provider::new("k1"));
    let claims = json!({ "iss": "https://login.example.com/", "aud": "failoverd", "email": "m", "exp": NOW_S + 60 });
    let headed = |head: Value| read(&provider.sign(&head, &claims), &provider);
    assert!(headed(json!({ "alg": "ES256", "kid": "k1" })).is_ok());
    for alg in ["none", "HS256", "RS256", "es256"] {
        assert_eq!(headed(json!({ "alg": alg, "kid": "k1" })), Err(TokenError::Forged), "{alg}");
    }
    assert_eq!(headed(json!({ "alg": "ES256", "kid": "k2" })), Err(TokenError::UnknownKey));
    assert!(matches!(headed(json!({ "alg": "ES256", "kid": "k1", "crit": ["exp"] })), Err(TokenError::Malformed(_))));
    assert_eq!(read(&other.token(&json!({})), &provider), Err(TokenError::Forged), "another's key of the same name");

    let good = provider.token(&json!({}));
    let (message, _) = good.rsplit_once('.').unwrap();
    assert_eq!(read(&format!("{message}."), &provider), Err(TokenError::Forged));
    for nonsense in ["", ".", "..", "a.b", "a.b.c.d", &"x".repeat(20_000)] {
        assert!(matches!(read(nonsense, &provider), Err(TokenError::Malformed(_))), "{nonsense}");
    }
    let (head, rest) = good.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let other_claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    assert_eq!(read(&format!("{head}.{other_claims}.{signature}"), &provider), Err(TokenError::Forged));
}

/// From RFC 7515, appendix A.2.
#[test]
fn rsa_is_judged_too() {
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pC\
             gNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg66\
             5xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyu\
             XpoQ";
    let jwks = json!({ "keys": [{ "kty": "RSA", "n": n, "e": "AQAB" }] }).to_string();
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnV\
                 lfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU\
                 Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--x\
                 i12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypG\
                 lUPQGe77Rw";
    let keys = Keys::read(jwks.as_bytes()).unwrap();
    let elsewhere = rules().verify(token, &keys, Timestamp(NOW_S * 1_000));
    assert_eq!(elsewhere, Err(TokenError::NotForUs("it is of another issuer")), "its signature is right");
    let forged = token.replace("cC4hiUPoj9E", "cC4hiUPoj9F");
    assert_eq!(rules().verify(&forged, &keys, Timestamp(NOW_S * 1_000)), Err(TokenError::Forged));
}

#[test]
fn what_is_no_key_set_is_refused() {
    assert!(Keys::read(b"<html>").unwrap_err().contains("no JSON Web Key Set"));
    for empty in [
        r#"{"keys":[]}"#,
        r#"{"keys":[{"kty":"EC","crv":"P-521","x":"AA","y":"AA"},{"kty":"RSA","n":"AA","e":"AQAB","use":"enc"}]}"#,
    ] {
        assert!(Keys::read(empty.as_bytes()).unwrap_err().contains("no key for signatures"), "{empty}");
    }
}
