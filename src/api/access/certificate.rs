//! Whom a certificate names. Whether it is genuine was judged by the handshake; nothing here judges that again.

use std::net::IpAddr;

use failoverd_domain::time::Timestamp;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Longest text of a certificate that is looked at.
const LONGEST: usize = 512;

/// The second that a certificate names as its end is its last: until that is over, it is taken (RFC 5280, 4.1.2.5).
const LAST_SECOND_MS: u64 = 1_000;

/// Whether a certificate that is valid until `expires` is taken no more.
#[must_use]
pub fn has_expired(expires: Timestamp, now: Timestamp) -> bool {
    expires.plus_ms(LAST_SECOND_MS) <= now
}

/// What a certificate says of its holder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// URIs among its alternative names.
    pub uris: Vec<String>,
    /// DNS names among them, in small letters.
    pub dns: Vec<String>,
    /// Addresses of mail among them.
    pub emails: Vec<String>,
    /// IP addresses among them.
    pub ips: Vec<IpAddr>,
    /// Organizational units of the subject.
    pub units: Vec<String>,
    /// Common name of the subject.
    pub common_name: Option<String>,
    /// Until when it is valid.
    pub expires: Timestamp,
}

impl Named {
    /// Reads it.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn read(der: &[u8]) -> Result<Self, String> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let subject = certificate.subject();
        let text = |text: &str| (text.len() <= LONGEST).then(|| text.to_owned());
        let units = subject.iter_organizational_unit().filter_map(|unit| unit.as_str().ok().and_then(text));
        let mut named = Self {
            units: units.collect(),
            common_name: subject.iter_common_name().next().and_then(|name| name.as_str().ok()).and_then(text),
            expires: Timestamp(u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0) * 1_000),
            ..Self::default()
        };
        let alternatives = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
        for name in alternatives.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::URI(uri) => named.uris.extend(text(uri)),
                GeneralName::DNSName(name) => named.dns.extend(text(&name.to_ascii_lowercase())),
                GeneralName::RFC822Name(email) => named.emails.extend(text(email)),
                GeneralName::IPAddress(bytes) => named.ips.extend(address(bytes)),
                _ => {}
            }
        }
        Ok(named)
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    four.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
}
