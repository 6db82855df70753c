//! Ports for what has to be told where it listens, and must find them free again after it was killed. Linux gives the
//! ports from 32768 on to whoever connects, at any moment: these lie below, and no two tests have the same.

use std::net::TcpListener;
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

use failoverd::sandbox::Addresses;

const SINGLE: Range<u16> = 10_000..16_000;
const SANDBOXES: Range<u16> = 16_000..32_000;
/// A sandbox's lie around its base, no farther off than these.
const BELOW: u16 = 350;
const ABOVE: u16 = 450;

/// Ports that nobody has.
pub fn free<const N: usize>() -> [u16; N] {
    static NEXT: AtomicU16 = AtomicU16::new(SINGLE.start);
    std::array::from_fn(|_| {
        loop {
            let port = NEXT.fetch_add(1, Ordering::Relaxed);
            assert!(SINGLE.contains(&port), "all ports from {} to {} were given out", SINGLE.start, SINGLE.end);
            if is_free(port) {
                return port;
            }
        }
    })
}

/// Where a sandbox has room.
pub fn of_sandbox() -> Addresses {
    static NEXT: AtomicU16 = AtomicU16::new(SANDBOXES.start);
    loop {
        let from = NEXT.fetch_add(BELOW + ABOVE, Ordering::Relaxed);
        let until = from + BELOW + ABOVE;
        assert!(until <= SANDBOXES.end, "all ports from {} to {} were given out", SANDBOXES.start, SANDBOXES.end);
        if (from..until).all(is_free) {
            return Addresses::around(from + BELOW).unwrap();
        }
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
