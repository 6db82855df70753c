//! Readiness checks as one daemon holds them: the newest sheet of every observer about everything looked at.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::readiness::{Sheet, Verdict};
use crate::ids::{Region, ServiceName, StoreName};
use crate::time::Timestamp;

/// A sheet this old is forgotten, milliseconds: nobody looks there any more.
const KEEP_MS: u64 = 60 * 60_000;
/// A look that was answered counts before a newer one that was not, as long as it is this young, milliseconds.
const STANDS_MS: u64 = 60_000;

/// One check as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenCheck {
    /// What it is called.
    pub name: String,
    /// Store; absent for what concerns the whole service.
    pub store: Option<StoreName>,
    /// Region; absent for what has none.
    pub region: Option<Region>,
    /// The answer.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// How old the look is, milliseconds.
    pub age_ms: u64,
    /// Whose look it is.
    pub observer: Region,
}

type Key = (String, Option<StoreName>, Option<Region>);
type Held = BTreeMap<Key, (Timestamp, Sheet)>;

/// Things that one observer may have sheets of; beyond it no new ones are taken until old ones are forgotten.
const MOST_THINGS: usize = 65_536;

/// One observer's sheets by service. A matrix is copied whenever somebody holds it while a report arrives: what did not
/// change is shared.
#[derive(Clone, Debug, Default)]
pub(super) struct Sheets(HashMap<ServiceName, Arc<Held>>);

impl Sheets {
    /// Takes sheets in that arrived now.
    pub(super) fn take(&mut self, at: Timestamp, sheets: Vec<Sheet>) {
        let mut room = MOST_THINGS.saturating_sub(self.0.values().map(|held| held.len()).sum());
        if room < sheets.len() {
            self.0.retain(|_, held| held.values().any(|(looked_at, _)| at.since(*looked_at) < KEEP_MS));
        }
        for sheet in sheets {
            let known = self.0.contains_key(&sheet.service);
            if room == 0 && !known {
                continue;
            }
            let held = Arc::make_mut(self.0.entry(sheet.service.clone()).or_default());
            held.retain(|_, (looked_at, _)| at.since(*looked_at) < KEEP_MS);
            let key = (sheet.topic.clone(), sheet.store.clone(), sheet.region.clone());
            if !held.contains_key(&key) {
                if room == 0 {
                    continue;
                }
                room -= 1;
            }
            held.insert(key, (at.minus_ms(sheet.age_ms), sheet));
        }
    }
}

/// The best sheet about each thing, as checks.
pub(super) fn newest(now: Timestamp, service: &ServiceName, all: &BTreeMap<Region, Sheets>) -> Vec<SeenCheck> {
    let mut looks: BTreeMap<&Key, Vec<(u64, &Region, &Sheet)>> = BTreeMap::new();
    for (observer, sheets) in all {
        for (key, (looked_at, sheet)) in sheets.0.get(service).into_iter().flat_map(|held| held.iter()) {
            looks.entry(key).or_default().push((now.since(*looked_at), observer, sheet));
        }
    }
    let mut seen = Vec::new();
    for (_, mut looks) in looks {
        looks.sort_by_key(|(age_ms, ..)| *age_ms);
        let answered = looks.iter().find(|(age_ms, _, sheet)| *age_ms <= STANDS_MS && is_answered(sheet));
        let Some((age_ms, observer, sheet)) = answered.or(looks.first()).filter(|(age_ms, ..)| *age_ms < KEEP_MS)
        else {
            continue;
        };
        seen.extend(sheet.checks.iter().map(|check| SeenCheck {
            name: check.name.clone(),
            store: sheet.store.clone(),
            region: sheet.region.clone(),
            verdict: check.verdict,
            reason: check.reason.clone(),
            age_ms: *age_ms,
            observer: (*observer).clone(),
        }));
    }
    seen.sort_by(|a, b| (&a.store, &a.region, &a.name).cmp(&(&b.store, &b.region, &b.name)));
    seen
}

fn is_answered(sheet: &Sheet) -> bool {
    sheet.checks.iter().any(|check| check.verdict != Verdict::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::readiness::{Check, names};

    const NOW: Timestamp = Timestamp(10_000_000);

    fn sheet(region: &str, verdict: Verdict, age_ms: u64) -> Sheet {
        let check = Check { name: names::REPLICA_PRESENT.to_owned(), verdict, reason: "seen".to_owned() };
        Sheet {
            service: "shop".into(),
            topic: names::topics::COPY.to_owned(),
            store: Some("db".into()),
            region: Some(region.into()),
            age_ms,
            checks: vec![check],
        }
    }

    fn all(of: &[(&str, Sheet)]) -> BTreeMap<Region, Sheets> {
        let mut all: BTreeMap<Region, Sheets> = BTreeMap::new();
        for (observer, sheet) in of {
            all.entry((*observer).into()).or_default().take(NOW, vec![sheet.clone()]);
        }
        all
    }

    #[test]
    fn the_newest_look_that_was_answered_counts() {
        let seen = |all: &BTreeMap<Region, Sheets>, now: Timestamp| {
            let seen = newest(now, &"shop".into(), all);
            seen.iter().map(|it| (it.observer.to_string(), it.verdict, it.age_ms)).collect::<Vec<_>>()
        };
        let looks = all(&[
            ("a", sheet("eu-west-1", Verdict::Ready, 5_000)),
            ("b", sheet("eu-west-1", Verdict::Unknown, 100)),
            ("c", sheet("eu-west-1", Verdict::NotReady, 9_000)),
        ]);
        assert_eq!(seen(&looks, NOW), [("a".to_owned(), Verdict::Ready, 5_000)]);
        let later = NOW.plus_ms(STANDS_MS);
        assert_eq!(seen(&looks, later), [("b".to_owned(), Verdict::Unknown, STANDS_MS + 100)]);
        assert!(newest(NOW, &"other".into(), &looks).is_empty());
        assert!(seen(&looks, NOW.plus_ms(KEEP_MS)).is_empty(), "what nobody looks at any more is forgotten");
    }

    #[test]
    fn one_observer_has_so_many_things_and_no_more_until_old_ones_are_forgotten() {
        let of =
            |n: usize| Sheet { service: ServiceName::new(format!("s{n}")), ..sheet("eu-west-1", Verdict::Ready, 0) };
        let held = |sheets: &Sheets| sheets.0.values().map(|held| held.len()).sum::<usize>();
        let mut sheets = Sheets::default();
        sheets.take(NOW, (0..MOST_THINGS - 1).map(of).collect());
        sheets.take(NOW, vec![of(MOST_THINGS - 1), of(MOST_THINGS)]);
        assert_eq!(held(&sheets), MOST_THINGS);
        // Nothing that is new, but what is known is renewed.
        let elsewhere = Sheet { region: Some("us-east-1".into()), ..of(0) };
        let renewed = Sheet { checks: vec![], ..of(0) };
        sheets.take(NOW.plus_ms(1), vec![of(MOST_THINGS), elsewhere, renewed]);
        assert_eq!(held(&sheets), MOST_THINGS);
        assert!(sheets.0[&ServiceName::from("s0")].values().all(|(_, sheet)| sheet.checks.is_empty()));
        sheets.take(NOW.plus_ms(KEEP_MS), vec![of(MOST_THINGS)]);
        assert_eq!(held(&sheets), 1, "the one that was looked at since");
        sheets.take(NOW.plus_ms(KEEP_MS), vec![of(MOST_THINGS)]);
        assert_eq!(held(&sheets), 2);
    }

    #[test]
    fn a_newer_sheet_replaces_the_older_one_whole() {
        let mut sheets = Sheets::default();
        sheets.take(NOW, vec![sheet("eu-west-1", Verdict::NotReady, 0), sheet("us-east-1", Verdict::Ready, 0)]);
        let bare = Sheet { checks: vec![], ..sheet("eu-west-1", Verdict::Ready, 0) };
        sheets.take(NOW.plus_ms(1_000), vec![bare]);
        let seen = newest(NOW.plus_ms(1_000), &"shop".into(), &BTreeMap::from([("a".into(), sheets)]));
        let regions: Vec<_> = seen.iter().map(|check| check.region.clone().unwrap().to_string()).collect();
        assert_eq!(regions, ["us-east-1"]);
    }
}
