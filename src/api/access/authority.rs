//! For tests: an authority that is made up on the spot, and what it signs.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType, date_time_ymd, string,
};

/// An authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
pub struct Issued {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// For somebody with these alternative names: URIs, addresses of mail, IP addresses, and else DNS names.
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.sign(Self::params(names))
    }

    /// The same, over since the year 2001.
    pub fn issue_expired(&self, names: &[&str]) -> Issued {
        let mut params = Self::params(names);
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
        self.sign(params)
    }

    /// The same, until that many seconds after 1970.
    #[allow(dead_code, reason = "for tests with real processes")]
    pub fn issue_until(&self, names: &[&str], end_s: u64) -> Issued {
        let mut params = Self::params(names);
        params.not_after = date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(end_s);
        self.sign(params)
    }

    fn params(names: &[&str]) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "somebody");
        params.subject_alt_names = names.iter().map(|name| alternative(name)).collect();
        params
    }

    fn sign(&self, params: CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        Issued { cert: cert.pem(), key: key.serialize_pem() }
    }
}

fn alternative(name: &str) -> SanType {
    let text = || string::Ia5String::try_from(name).unwrap();
    match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) if name.contains("://") => SanType::URI(text()),
        Err(_) if name.contains('@') => SanType::Rfc822Name(text()),
        Err(_) => SanType::DnsName(text()),
    }
}
