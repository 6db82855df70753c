//! Readiness checks.

use failoverd_domain::health::SeenCheck;
use failoverd_domain::health::readiness::{Verdict, names};

use crate::api::proto;

/// Checks, all of them.
#[must_use]
pub fn checks(seen: &[SeenCheck]) -> Vec<proto::Check> {
    seen.iter().map(check).collect()
}

/// Checks that a list shows: those that are not ready, and drift of any kind.
#[must_use]
pub fn urgent(seen: &[SeenCheck]) -> Vec<proto::Check> {
    let is_urgent = |check: &&SeenCheck| {
        check.verdict == Verdict::NotReady || check.name == names::RECORDS_DRIFT && check.verdict != Verdict::Ready
    };
    seen.iter().filter(is_urgent).map(check).collect()
}

/// How many there are of each verdict.
#[must_use]
pub fn readiness(seen: &[SeenCheck]) -> proto::Readiness {
    let count =
        |verdict| u32::try_from(seen.iter().filter(|check| check.verdict == verdict).count()).unwrap_or(u32::MAX);
    proto::Readiness {
        ready: count(Verdict::Ready),
        note: count(Verdict::Note),
        unknown: count(Verdict::Unknown),
        not_ready: count(Verdict::NotReady),
    }
}

fn check(seen: &SeenCheck) -> proto::Check {
    proto::Check {
        name: seen.name.clone(),
        store: seen.store.as_ref().map(ToString::to_string),
        region: seen.region.as_ref().map(ToString::to_string),
        verdict: verdict(seen.verdict).into(),
        reason: seen.reason.clone(),
        age_ms: seen.age_ms,
        observer: seen.observer.to_string(),
    }
}

const fn verdict(verdict: Verdict) -> proto::CheckVerdict {
    match verdict {
        Verdict::Ready => proto::CheckVerdict::Ready,
        Verdict::Note => proto::CheckVerdict::Note,
        Verdict::Unknown => proto::CheckVerdict::Unknown,
        Verdict::NotReady => proto::CheckVerdict::NotReady,
    }
}
