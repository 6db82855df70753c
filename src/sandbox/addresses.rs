//! Where everything of a sandbox listens: one number moves it all.

use std::net::{Ipv4Addr, SocketAddr};

/// gRPC of the first daemon is one above.
pub const DEFAULT_PORT_BASE: u16 = 7400;

/// 7432 for 7400.
const POSTGRES: u16 = 32;
const SWITCH: u16 = 100;
const OPS: u16 = 200;
const ENDPOINT: u16 = 300;
const AWS: u16 = 400;
/// The name server's port lies below the base: 7053 for 7400.
const DNS_BELOW: u16 = 347;

/// Where everything of a sandbox listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    base: u16,
}

impl Addresses {
    /// Ports around `base`.
    ///
    /// # Errors
    /// When some of them would not be ports.
    pub fn around(base: u16) -> Result<Self, String> {
        if (1024 + DNS_BELOW..=u16::MAX - AWS).contains(&base) {
            Ok(Self { base })
        } else {
            Err(format!("port base {base} leaves no room: choose {} to {}", 1024 + DNS_BELOW, u16::MAX - AWS))
        }
    }

    /// What they lie around.
    #[must_use]
    pub const fn base(self) -> u16 {
        self.base
    }

    fn at(self, offset: u16, daemon: usize) -> SocketAddr {
        let nth = u16::try_from(daemon).unwrap_or(0) + 1;
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.base + offset + nth))
    }

    /// gRPC of the n-th daemon, counted from 0.
    #[must_use]
    pub fn grpc(self, daemon: usize) -> SocketAddr {
        self.at(0, daemon)
    }

    /// Switch endpoint of the n-th daemon.
    #[must_use]
    pub fn switch(self, daemon: usize) -> SocketAddr {
        self.at(SWITCH, daemon)
    }

    /// Health and readiness of the n-th daemon.
    #[must_use]
    pub fn ops(self, daemon: usize) -> SocketAddr {
        self.at(OPS, daemon)
    }

    /// The services' endpoint in the n-th Region.
    #[must_use]
    pub fn endpoint(self, region: usize) -> SocketAddr {
        self.at(ENDPOINT, region)
    }

    /// The simulated AWS, for now its fault switches only.
    #[must_use]
    pub fn aws(self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.base + AWS))
    }

    /// The private Postgres, unless somebody else has that port: one that was given to whoever asked could be somebody's
    /// when the server is started again.
    #[must_use]
    pub fn postgres(self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.base + POSTGRES))
    }

    /// The name server.
    #[must_use]
    pub fn dns(self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.base - DNS_BELOW))
    }
}
