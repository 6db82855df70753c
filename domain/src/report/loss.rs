//! Data: what was promised before beside what was measured after.

use super::model::{StoreLoss, Within};
use crate::data::loss::Loss;

/// `quoted` are the bounds with the reasons that they were given with.
pub fn stores(losses: &[Loss], quoted: &[Loss], rpo_ms: Option<u64>, is_over: bool) -> Vec<StoreLoss> {
    let store = |loss: &Loss| {
        let quote = quoted.iter().find(|quote| quote.store == loss.store);
        let within = match (loss.measured, rpo_ms) {
            (Some(lost), Some(most)) if lost <= most => Within::Kept,
            (Some(_), Some(_)) => Within::Missed,
            _ => Within::Unknown,
        };
        // Until the receipt the reason is still the quote's: it says nothing of what was measured.
        let is_quote = quote.is_some_and(|quote| quote.reason == loss.reason) && loss.measured.is_none();
        let reason = match (is_quote, is_over) {
            (false, _) => loss.reason.clone(),
            (true, false) => "not measured yet".to_owned(),
            (true, true) => "this history holds no receipt of it".to_owned(),
        };
        StoreLoss {
            store: loss.store.clone(),
            bound: quote.map_or(loss.bound, |quote| quote.bound),
            bound_reason: quote.map(|quote| quote.reason.clone()),
            measured: loss.measured,
            unit: loss.unit,
            reason,
            within,
        }
    };
    losses.iter().map(store).collect()
}
