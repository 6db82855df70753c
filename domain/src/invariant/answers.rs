//! I9: Route 53's answer changes only after a committed entry that says so.

use std::collections::BTreeMap;

use super::Violation;
use crate::fleet::FleetState;
use crate::ids::{Region, ServiceName};

/// Remembers which Region each service's answer named.
#[derive(Clone, Debug, Default)]
pub struct AnswerWatch {
    named: BTreeMap<ServiceName, Region>,
}

/// I9: `answer` is the Region that Route 53's answer for `service` names now. It may change only to the Region that
/// the newest committed state says serves; callers ask while settled, or while daemons answering the newest entry
/// outnumber those that answer an older one.
pub fn answer_follows_entries(
    watch: &mut AnswerWatch,
    newest: &FleetState,
    service: &ServiceName,
    answer: &Region,
) -> Option<Violation> {
    let primary = &newest.services.get(service)?.primary;
    let before = watch.named.insert(service.clone(), answer.clone());
    match before {
        Some(before) if &before != answer && answer != primary => Some(Violation::new(
            "I9",
            format!(
                "the answer of {service} changed from {before} to {answer}, but {primary} serves by the newest entry"
            ),
        )),
        _ => None,
    }
}
