//! How fast each source address asks, in memory of one size: no number of addresses makes it grow.
//!
//! Every address has two cells of a fixed table, chosen by hashes whose keys nobody outside knows, and is refused only if
//! both are used up. So two addresses can share one cell by chance without harm, and nobody can aim at another's.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Cells; a power of two. Half a mebibyte.
const CELLS: usize = 1 << 16;
/// How much of its rate a source that was quiet may use at once: checkers of one Region may come all together.
const BURST: Duration = Duration::from_secs(5);
const SECOND_NS: u64 = 1_000_000_000;

/// Who is counted together: an IPv4 address, or the /64 that one machine may choose its IPv6 addresses from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::api) struct Source(IpAddr);

impl Source {
    pub(in crate::api) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// Where a source is counted.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct Cells([usize; 2]);

/// How fast everybody asks. Each cell holds when it would be all used up, ns after the start (a generic cell rate).
pub(in crate::api) struct Rates {
    cells: Box<[AtomicU64]>,
    keys: [RandomState; 2],
    began: Instant,
}

impl Rates {
    pub(in crate::api) fn new() -> Self {
        let cells = (0..CELLS).map(|_| AtomicU64::new(0)).collect();
        Self { cells, keys: [RandomState::new(), RandomState::new()], began: Instant::now() }
    }

    pub(in crate::api) fn cells_of(&self, source: Source) -> Cells {
        #[expect(clippy::cast_possible_truncation, reason = "the lowest bits are what is wanted")]
        let cell = |key: &RandomState| key.hash_one(source) as usize % CELLS;
        Cells([cell(&self.keys[0]), cell(&self.keys[1])])
    }

    /// Whether the source may do one thing more now, at so many a second. If so, it is counted.
    pub(in crate::api) fn admits(&self, cells: Cells, per_second: u64) -> bool {
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let burst = BURST.as_secs() * SECOND_NS;
        let each = (SECOND_NS / per_second.max(1)).max(1);
        let [first, second] = cells.0.map(|cell| &self.cells[cell]);
        let has_room =
            |cell: &AtomicU64| cell.load(Ordering::Relaxed).saturating_sub(now).saturating_add(each) <= burst;
        if !has_room(first) && !has_room(second) {
            return false;
        }
        for cell in [first, second] {
            let counted = |used: u64| Some(used.max(now).saturating_add(each).min(now.saturating_add(burst)));
            // Never refused: the closure always gives a value.
            let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::of(text.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_has_its_rate_and_a_burst() {
        let rates = Rates::new();
        let cells = rates.cells_of(source("192.0.2.1"));
        let used = (0..1_000).filter(|_| rates.admits(cells, 10)).count();
        assert_eq!(used, 50, "five seconds of ten");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!((0..1_000).filter(|_| rates.admits(cells, 10)).count(), 20);
        // Somebody else is not concerned.
        assert!(rates.admits(rates.cells_of(source("192.0.2.2")), 10));
        // A switch more: the new rate holds at once.
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!((0..1_000).filter(|_| rates.admits(cells, 100)).count() >= 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_floods_refuse_hardly_anybody_else() {
        let rates = Rates::new();
        for number in 0..1_000_u32 {
            let cells = rates.cells_of(Source::of(IpAddr::V4((0x0A00_0000 + number).into())));
            while rates.admits(cells, 10) {}
        }
        let strangers = (0..1_000_u32).map(|number| Source::of(IpAddr::V4((0xC000_0200 + number).into())));
        let refused = strangers.filter(|source| !rates.admits(rates.cells_of(*source), 10)).count();
        assert!(refused <= 10, "{refused} of 1000");
    }

    #[test]
    fn addresses_of_one_machine_are_one_source() {
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }
}
