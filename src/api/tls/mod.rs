//! TLS from PEM texts: mutual between daemons and their callers, one-sided for Route 53's checkers. What a listener shows
//! and whom it trusts can be exchanged while it serves.

mod dial;
mod live;
mod pem;

pub use dial::Dial;
pub use live::{Callers, LiveSwitch, LiveTls};
pub use pem::{CallerPem, TlsPem, switch_tls};
