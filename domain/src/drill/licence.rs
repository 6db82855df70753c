//! The licence of a passed drill: what lets a service fail over by itself where its manifest asks for one.

use sha2::{Digest, Sha256};

use crate::fleet::{Licence, ServiceState};
use crate::ids::{DrillRunId, Region};
use crate::service::{Pattern, ServiceSpec};
use crate::time::Timestamp;

/// Whether a service may fail over by itself as far as drills go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LicenceStanding {
    /// Its manifest asks for none.
    NotRequired,
    /// A drill licenses it.
    Held {
        /// Which.
        drill: DrillRunId,
        /// Until when.
        until: Timestamp,
    },
    /// No drill does: automatic became approval.
    Lapsed {
        /// Since when, if one ever did.
        since: Option<Timestamp>,
        /// Why.
        why: String,
    },
}

/// What a move of a service rests on: pattern, Regions, records and stores. A drill says nothing any more about a
/// service of which these have changed.
#[must_use]
pub fn fingerprint(spec: &ServiceSpec) -> String {
    let parts = (spec.pattern, &spec.regions, &spec.traffic, &spec.data);
    let bytes = serde_json::to_vec(&parts).unwrap_or_default();
    Sha256::digest(&bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The licence of a move from `from` to `to`. Of a service that several Regions serve, any drill that left `from` counts.
#[must_use]
pub fn licence_of(now: Timestamp, service: &ServiceState, from: &Region, to: &Region) -> LicenceStanding {
    let Some(within_ms) = service.spec.policy.require_drill_within_ms else { return LicenceStanding::NotRequired };
    let is_way = |licence: &&Licence| {
        &licence.from == from && (service.spec.pattern == Pattern::ActiveActive || &licence.to == to)
    };
    let print = fingerprint(&service.spec);
    let of_way: Vec<&Licence> = service.licences.iter().filter(is_way).collect();
    let days = within_ms / 86_400_000;
    let within = if days > 0 { format!("{days} days") } else { format!("{} s", within_ms / 1_000) };
    let Some(newest) = of_way.iter().max_by_key(|licence| licence.at) else {
        let why = format!("no drill from {from} to {to} has been passed; one within {within} is required");
        return LicenceStanding::Lapsed { since: None, why };
    };
    let fitting = of_way.iter().filter(|licence| licence.fingerprint == print).max_by_key(|licence| licence.at);
    match fitting {
        Some(licence) if licence.at.plus_ms(within_ms) >= now => {
            LicenceStanding::Held { drill: licence.drill.clone(), until: licence.at.plus_ms(within_ms) }
        }
        Some(licence) => {
            let until = licence.at.plus_ms(within_ms);
            let why = format!("drill {} is older than {within}", licence.drill);
            LicenceStanding::Lapsed { since: Some(until), why }
        }
        None => {
            let why = format!(
                "records, stores or Regions have changed since drill {} was passed on {}",
                newest.drill, newest.at
            );
            LicenceStanding::Lapsed { since: None, why }
        }
    }
}
