//! A request as a service sees it: signed for a Region, with its query and body in hand.

use axum::body::Bytes;
use axum::http::{HeaderMap, Method};
use chrono::NaiveDateTime;
use failoverd_domain::ids::Region;
use failoverd_domain::time::Timestamp;

use super::api::Api;

/// How the access keys of daemons begin; the Region follows.
const DAEMON: &str = "failoverd.";

/// The access key id with which the daemon of a Region signs, so that faults between Regions find its calls. Any other
/// key is a stranger's, whom no fault between Regions concerns.
#[must_use]
pub fn caller_key(region: &Region) -> String {
    format!("{DAEMON}{region}")
}

/// A call on its way in.
#[derive(Clone, Debug)]
pub(super) struct WireRequest {
    pub(super) method: Method,
    /// Percent-decoded.
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) api: Api,
    pub(super) region: Region,
    pub(super) access_key: String,
}

/// What a credential's scope says: `KEY/DATE/REGION/SERVICE/aws4_request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) access_key: String,
    pub(super) region: Region,
    pub(super) service: String,
}

impl Scope {
    /// Out of the header `Authorization`, or out of the query of a presigned URL.
    pub(super) fn of(headers: &HeaderMap, query: &[(String, String)]) -> Option<Self> {
        let header = headers.get("authorization").and_then(|value| value.to_str().ok());
        let signed = header.and_then(|header| header.split_once("Credential=")).map(|(_, rest)| rest);
        let signed = signed.map(|rest| rest.split([',', ' ']).next().unwrap_or_default().to_owned());
        let presigned = || query.iter().find(|(key, _)| key == "X-Amz-Credential").map(|(_, value)| value.clone());
        let credential = signed.or_else(presigned)?;
        // From the end: an access key may hold anything.
        let mut parts = credential.rsplitn(5, '/');
        let (_, service, region, _, key) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        Some(Self { access_key: key.to_owned(), region: region.into(), service: service.to_owned() })
    }
}

impl WireRequest {
    /// The daemon that asks, if it is one; whoever assumed a role is still who they were.
    pub(super) fn caller(&self) -> Option<Region> {
        let rest = self.access_key.strip_prefix(DAEMON)?;
        Some(Region::from(rest.split('/').next().unwrap_or(rest)))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// When it was signed, as its header says.
    pub(super) fn signed_at(&self) -> Option<Timestamp> {
        let said = NaiveDateTime::parse_from_str(self.header("x-amz-date")?, "%Y%m%dT%H%M%SZ").ok()?;
        Some(Timestamp::from_utc(said.and_utc()))
    }

    /// A parameter of the query; present without a value is empty.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is a number.
    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.parameter(name).and_then(|value| value.parse().ok())
    }

    /// The path's segments.
    pub(super) fn segments(&self) -> Vec<&str> {
        self.path.split('/').filter(|segment| !segment.is_empty()).collect()
    }
}

/// `a=1&b` as pairs.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes()).map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_tells_key_region_and_service() {
        let mut headers = HeaderMap::new();
        let signed = "AWS4-HMAC-SHA256 Credential=failoverd.eu-west-1/20260101/us-east-1/route53/aws4_request, SignedHeaders=host, Signature=x";
        headers.insert("authorization", signed.parse().unwrap());
        let scope = Scope::of(&headers, &[]).unwrap();
        assert_eq!((scope.access_key.as_str(), scope.service.as_str()), ("failoverd.eu-west-1", "route53"));
        assert_eq!(scope.region, "us-east-1".into());
        let presigned = [("X-Amz-Credential".to_owned(), "AKIA/20260101/eu-west-1/s3/aws4_request".to_owned())];
        assert_eq!(Scope::of(&HeaderMap::new(), &presigned).unwrap().region, "eu-west-1".into());
        assert_eq!(Scope::of(&HeaderMap::new(), &[]), None);
    }
}
