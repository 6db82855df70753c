//! What settlement would add to a service's stores: tables, streams, replicas, rules. It never takes anything away.

use std::collections::BTreeMap;

use super::store::{Consistency, GlobalTable, TableKind};
use crate::health::readiness::{Fact, NoAnswer};
use crate::ids::Region;
use crate::service::{NewTable, Pattern, ServiceSpec, Store, StoreKind};
use crate::traffic::{Deed, Line};

/// What each Region said of its copy of a store.
pub type Said = BTreeMap<Region, Result<Fact, NoAnswer>>;

/// What would be added to one store of a service that serves from `primary`. What could not be read is not guessed at.
#[must_use]
pub fn additions(spec: &ServiceSpec, primary: &Region, store: &Store, said: &Said) -> Vec<Line> {
    match &store.kind {
        StoreKind::Dynamodb { table, ensure_replicas: true, replicas, create } => {
            let wanted = if replicas.is_empty() { &spec.regions } else { replicas };
            match said.get(primary) {
                Some(Ok(Fact::Table(found))) => to_table(found, wanted),
                Some(Err(no)) if no.is_absence() => {
                    create.as_ref().map_or_else(Vec::new, |new| new_table(primary, table, new, wanted))
                }
                _ => Vec::new(),
            }
        }
        StoreKind::S3 { buckets, bidirectional, .. } => rules(spec, primary, buckets, *bidirectional, said),
        StoreKind::Aurora { .. } | StoreKind::Rds { .. } | StoreKind::Dynamodb { .. } => Vec::new(),
    }
}

/// Replicas of a store that `before` asked for and `after` does not: they stay, and a person should know.
#[must_use]
pub fn left_alone(before: &ServiceSpec, after: &ServiceSpec) -> Vec<String> {
    let regions = |spec: &ServiceSpec, kind: &StoreKind| match kind {
        StoreKind::Dynamodb { replicas, .. } if !replicas.is_empty() => replicas.clone(),
        _ => spec.regions.clone(),
    };
    let mut told = Vec::new();
    for store in &before.data {
        let kept = after.store(&store.name).map(|now| regions(after, &now.kind)).unwrap_or_default();
        for region in regions(before, &store.kind).iter().filter(|region| !kept.contains(region)) {
            told.push(format!(
                "{}/{} is no longer looked after in {region}: the copy there stays as it is, failoverd deletes none",
                before.name, store.name
            ));
        }
    }
    told
}

fn new_table(primary: &Region, table: &str, new: &NewTable, wanted: &[Region]) -> Vec<Line> {
    let sort = new.sort_key.as_ref().map_or_else(String::new, |key| format!(" and {}", key.name));
    let detail = format!("on demand, key {}{sort}, streams of new and old images", new.partition_key.name);
    let made = Line { deed: Deed::Create, resource: format!("table {table} {primary}"), detail };
    let replicas = wanted.iter().filter(|region| *region != primary).map(|region| replica(table, region));
    std::iter::once(made).chain(replicas).collect()
}

fn replica(table: &str, region: &Region) -> Line {
    Line {
        deed: Deed::Create,
        resource: format!("replica {table} {region}"),
        detail: "a replica of the global table; AWS copies what is in it".to_owned(),
    }
}

fn to_table(found: &GlobalTable, wanted: &[Region]) -> Vec<Line> {
    let missing: Vec<&Region> = wanted.iter().filter(|region| !found.replicas.contains_key(*region)).collect();
    // Settlement stops at these two; their checks say why.
    if missing.is_empty() || found.kind == TableKind::Legacy || found.consistency == Consistency::Strong {
        return Vec::new();
    }
    let streams = (!found.streams).then(|| Line {
        deed: Deed::Update,
        resource: format!("table {}", found.table),
        detail: "streams of new and old images on".to_owned(),
    });
    streams.into_iter().chain(missing.into_iter().map(|region| replica(&found.table, region))).collect()
}

/// Whether a Region's bucket is replicated to the others: each of them where rules go both ways; else the first Region's,
/// while it serves.
#[must_use]
pub fn needs_rules(spec: &ServiceSpec, primary: &Region, region: &Region, both_ways: bool) -> bool {
    both_ways || (spec.regions.first() == Some(region) && (spec.pattern == Pattern::ActiveActive || region == primary))
}

fn rules(
    spec: &ServiceSpec,
    primary: &Region,
    buckets: &BTreeMap<Region, String>,
    both_ways: bool,
    said: &Said,
) -> Vec<Line> {
    let mut lines = Vec::new();
    for (source, from) in buckets.iter().filter(|(region, _)| needs_rules(spec, primary, region, both_ways)) {
        let Some(Ok(Fact::Bucket(held))) = said.get(source) else { continue };
        for (target, to) in buckets.iter().filter(|(region, _)| *region != source) {
            if !held.replicates_to(to) {
                let sync = if both_ways { ", with replica modification sync" } else { "" };
                let detail = format!("every object from {source} to {target}{sync}");
                lines.push(Line { deed: Deed::Create, resource: format!("replication-rule {from} {to}"), detail });
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::store::{BucketState, ReplicaStatus};
    use crate::service::{KeyAttribute, KeyType};

    fn spec(kind: StoreKind) -> ServiceSpec {
        let mut spec = crate::health::tests::spec("shop");
        spec.regions = vec!["us-east-1".into(), "eu-west-1".into()];
        spec.data = vec![Store { name: "store".into(), kind, canary: None, fence: None }];
        spec
    }

    fn shown(spec: &ServiceSpec, said: Said) -> Vec<String> {
        let lines = additions(spec, &"us-east-1".into(), &spec.data[0], &said);
        lines.iter().map(|line| format!("{} {}", line.deed.word(), line.resource)).collect()
    }

    fn orders(create: bool) -> StoreKind {
        let partition_key = KeyAttribute { name: "pk".to_owned(), kind: KeyType::String };
        StoreKind::Dynamodb {
            table: "Orders".to_owned(),
            ensure_replicas: true,
            replicas: vec![],
            create: create.then_some(NewTable { partition_key, sort_key: None }),
        }
    }

    fn table(streams: bool, kind: TableKind) -> Said {
        let found = GlobalTable {
            table: "Orders".to_owned(),
            replicas: BTreeMap::from([("us-east-1".into(), ReplicaStatus::Active)]),
            kind,
            consistency: Consistency::Eventual,
            witness: None,
            streams,
            is_active: true,
        };
        Said::from([("us-east-1".into(), Ok(Fact::Table(found)))])
    }

    #[test]
    fn a_table_gets_what_it_lacks() {
        let spec = spec(orders(false));
        assert_eq!(shown(&spec, table(true, TableKind::Single)), ["create replica Orders eu-west-1"]);
        let both = ["update table Orders", "create replica Orders eu-west-1"];
        assert_eq!(shown(&spec, table(false, TableKind::Single)), both);
        assert!(shown(&spec, table(true, TableKind::Legacy)).is_empty());
    }

    #[test]
    fn a_table_that_is_not_there_is_made_only_where_the_manifest_says_how() {
        let no = NoAnswer { code: "ResourceNotFoundException".to_owned(), words: "no table".to_owned() };
        let absent = || Said::from([("us-east-1".into(), Err(no.clone()))]);
        let made = ["create table Orders us-east-1", "create replica Orders eu-west-1"];
        assert_eq!(shown(&spec(orders(true)), absent()), made);
        assert!(shown(&spec(orders(false)), absent()).is_empty());
        let silent = NoAnswer { code: "Timeout".to_owned(), words: "no answer".to_owned() };
        assert!(shown(&spec(orders(true)), Said::from([("us-east-1".into(), Err(silent))])).is_empty());
    }

    #[test]
    fn rules_are_made_both_ways_or_away_from_the_first_region() {
        let buckets =
            BTreeMap::from([("us-east-1".into(), "use1".to_owned()), ("eu-west-1".into(), "euw1".to_owned())]);
        let wanted = |bidirectional: bool| {
            let buckets = buckets.clone();
            spec(StoreKind::S3 { buckets, bidirectional, role_arn: None, time_control: false })
        };
        let bucket = |name: &str| BucketState {
            bucket: name.to_owned(),
            versioning: true,
            rules: vec![],
            has_objects: false,
            pending: None,
            failed: None,
        };
        let said = Said::from([
            ("us-east-1".into(), Ok(Fact::Bucket(bucket("use1")))),
            ("eu-west-1".into(), Ok(Fact::Bucket(bucket("euw1")))),
        ]);
        let both = ["create replication-rule euw1 use1", "create replication-rule use1 euw1"];
        assert_eq!(shown(&wanted(true), said.clone()), both);
        assert_eq!(shown(&wanted(false), said), ["create replication-rule use1 euw1"]);
    }

    #[test]
    fn one_way_rules_lead_away_from_the_first_region_while_it_is_written_there() {
        let (us, eu) = (Region::from("us-east-1"), Region::from("eu-west-1"));
        let pair = spec(orders(false));
        let mut many = pair.clone();
        many.pattern = Pattern::ActiveActive;
        let needs = |spec, primary| [&us, &eu].map(|region| needs_rules(spec, primary, region, false));
        assert_eq!((needs(&pair, &us), needs(&pair, &eu)), ([true, false], [false, false]));
        assert_eq!((needs(&many, &us), needs(&many, &eu)), ([true, false], [true, false]));
        assert!(needs_rules(&pair, &us, &eu, true));
    }

    #[test]
    fn a_region_that_leaves_keeps_its_copy() {
        let (before, mut after) = (spec(orders(false)), spec(orders(false)));
        assert!(left_alone(&before, &after).is_empty());
        after.regions.pop();
        let told = left_alone(&before, &after);
        assert!(told.len() == 1 && told[0].contains("eu-west-1") && told[0].contains("deletes none"), "{told:?}");
        // Where a manifest names the replicas, those count and not the service's Regions.
        let mut named = before.clone();
        let StoreKind::Dynamodb { replicas, .. } = &mut named.data[0].kind else { unreachable!() };
        *replicas = vec!["us-east-1".into(), "ap-south-1".into()];
        let told = left_alone(&named, &before);
        assert!(told.len() == 1 && told[0].contains("ap-south-1"), "{told:?}");
        assert!(left_alone(&before, &named)[0].contains("eu-west-1"));
    }
}
