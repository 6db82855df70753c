//! Who may do what, beside what certificates say by themselves.

use std::collections::BTreeMap;
use std::path::PathBuf;

use failoverd_domain::glass::Enrolment;
use failoverd_domain::manifest::field::Field;
use failoverd_domain::manifest::names;

use super::fleet_wide;

/// Roles that a rule can give. A peer is known by its Region alone.
const ROLES: [(&str, &str); 4] =
    [("viewer", "viewer"), ("operator", "operator"), ("approver", "approver"), ("admin", "admin")];
/// Where in a certificate a rule can look.
const PLACES: [&str; 5] = ["uri", "dns", "email", "ou", "cn"];
const MOST_RULES: usize = 256;
const DEFAULT_LEEWAY_MS: u64 = 60_000;
const MOST_LEEWAY_MS: u64 = 300_000;

/// Who may do what, beside what certificates say by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Whose certificates give which roles.
    pub rules: Vec<AccessRule>,
    /// Whose tokens are taken, if anybody's.
    pub oidc: Option<Oidc>,
    /// Whose signatures break the glass, if most daemons' files say so.
    pub break_glass: Option<Enrolment>,
}

/// An identity provider whose tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oidc {
    /// `iss` of its tokens.
    pub issuer: String,
    /// What must be among `aud`.
    pub audience: String,
    /// Where its keys are.
    pub keys: OidcKeys,
    /// The claim with its holder's groups or roles.
    pub role_claim: String,
    /// The claim with the name on record.
    pub name_claim: String,
    /// Which of the role claim's words give which role.
    pub roles: BTreeMap<String, &'static str>,
    /// How far clocks may differ, milliseconds.
    pub leeway_ms: u64,
}

/// Where the keys of an identity provider are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OidcKeys {
    /// `https://…`
    Url(String),
    /// A file that somebody else keeps fresh.
    File(PathBuf),
}

/// Whoever has that in its certificate has that role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// `viewer`, `operator`, `approver` or `admin`.
    pub role: &'static str,
    /// `uri`, `dns`, `email`, `ou` or `cn`.
    pub place: &'static str,
    /// What must stand there; one `*` stands for one character or more that are not `/`.
    pub pattern: String,
}

/// Reads `access`.
pub(super) fn read(field: &Field<'_>) -> Option<Access> {
    let keys = field.mapping()?;
    let rules = keys.or("rules", Vec::new(), |field| rules(&field));
    let oidc = keys.maybe("oidc", |field| oidc(&field));
    let break_glass = keys.maybe("break_glass", |field| fleet_wide::break_glass(&field));
    keys.finish();
    Some(Access { rules: rules?, oidc: oidc?, break_glass: break_glass? })
}

fn oidc(field: &Field<'_>) -> Option<Oidc> {
    let keys = field.mapping()?;
    let issuer = keys.need("issuer", |field| field.text());
    let audience = keys.need("audience", |field| field.text());
    let url = keys.maybe("jwks_url", |field| https(&field));
    let file = keys.maybe("jwks_file", |field| field.text());
    let role_claim = keys.or("role_claim", "groups".to_owned(), |field| field.text());
    let name_claim = keys.or("name_claim", "email".to_owned(), |field| field.text());
    let roles = keys.need("roles", |field| {
        let given =
            field.mapping()?.all().into_iter().map(|(word, role)| Some((word.to_owned(), role.choice(&ROLES)?)));
        let given: Vec<Option<_>> = given.collect();
        let roles: BTreeMap<_, _> = given.into_iter().collect::<Option<_>>()?;
        if roles.is_empty() { field.refuse("gives nobody a role: write WORD: ROLE") } else { Some(roles) }
    });
    let leeway_ms = keys.or("leeway", DEFAULT_LEEWAY_MS, |field| match field.duration_ms()? {
        ms if ms <= MOST_LEEWAY_MS => Some(ms),
        _ => field.refuse("must be 5m or less"),
    });
    keys.finish();
    let keys = match (url?, file?) {
        (Some(url), None) => OidcKeys::Url(url),
        (None, Some(file)) => OidcKeys::File(PathBuf::from(file)),
        _ => return field.refuse("needs one of jwks_url and jwks_file"),
    };
    Some(Oidc {
        issuer: issuer?,
        audience: audience?,
        keys,
        role_claim: role_claim?,
        name_claim: name_claim?,
        roles: roles?,
        leeway_ms: leeway_ms?,
    })
}

/// Who could answer in its place would decide who is an administrator.
fn https(field: &Field<'_>) -> Option<String> {
    let url = field.text()?;
    match names::check_http_url(&url) {
        Ok(()) if url.starts_with("https://") => Some(url),
        Ok(()) => field.refuse("must begin with https://"),
        Err(why) => field.refuse(why),
    }
}

fn rules(field: &Field<'_>) -> Option<Vec<AccessRule>> {
    let rules = field.each(|field| rule(&field))?;
    if rules.len() > MOST_RULES {
        return field.refuse(format!("has {} rules; at most {MOST_RULES} are read", rules.len()));
    }
    Some(rules)
}

fn rule(field: &Field<'_>) -> Option<AccessRule> {
    let keys = field.mapping()?;
    let role = keys.need("role", |field| field.choice(&ROLES));
    let places: Vec<_> = PLACES.iter().filter_map(|place| Some((*place, keys.get(place)?))).collect();
    keys.finish();
    let [(place, pattern)] = places.as_slice() else {
        return field.refuse(format!("must look at exactly one of {}", PLACES.join(", ")));
    };
    let pattern = self::pattern(pattern);
    Some(AccessRule { role: role?, place, pattern: pattern? })
}

fn pattern(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    match text.matches('*').count() {
        0 => Some(text),
        1 if text.len() > 1 => Some(text),
        1 => field.refuse("would be everybody: write more than a *"),
        _ => field.refuse("has more than one *: one stands for one character or more that are not /"),
    }
}
