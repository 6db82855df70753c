//! Losses in words.

use super::loss::Loss;

impl Loss {
    /// One phrase for people: `orders-db: at most 1200 ms, measured 300 ms (canary)`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let bound = self.bound.map_or_else(|| "bound unknown".to_owned(), |bound| format!("at most {bound} ms"));
        let measured = self.measured.map_or_else(String::new, |measured| format!(", measured {measured} ms"));
        format!("{}: {bound}{measured} ({})", self.store, self.reason)
    }
}
