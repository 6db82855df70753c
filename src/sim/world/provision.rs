//! The AWS resources that a manifest takes for granted, made in one go.

use std::collections::BTreeMap;

use failoverd_domain::ids::Region;
use failoverd_domain::service::{Canary, ServiceSpec, Store, StoreKind};

use super::SimulatedAws;

impl SimulatedAws {
    /// Makes the hosted zone and the stores of a service, where they are missing: cluster members with one instance
    /// each, the first Region writing; tables (canary tables too) with replicas everywhere; versioned buckets with rules.
    pub fn provision(&self, spec: &ServiceSpec) {
        self.create_zone(&spec.traffic.hosted_zone, &spec.regions);
        for store in &spec.data {
            self.provision_store(store, &spec.regions);
        }
    }

    fn provision_store(&self, store: &Store, regions: &[Region]) {
        match &store.kind {
            StoreKind::Aurora { global_cluster, clusters } => {
                self.create_global_cluster(global_cluster, &in_order(clusters, regions));
            }
            StoreKind::Dynamodb { table, .. } => self.create_table(table, regions),
            StoreKind::S3 { buckets, bidirectional, .. } => {
                self.provision_buckets(&in_order(buckets, regions), *bidirectional)
            }
        }
        if let Some(Canary::Table { table }) = &store.canary {
            self.create_table(table, regions);
        }
    }

    fn provision_buckets(&self, buckets: &[(Region, String)], bidirectional: bool) {
        for (region, bucket) in buckets {
            self.create_bucket(region, bucket, true);
        }
        let Some(((_, first), others)) = buckets.split_first() else { return };
        for (_, other) in others {
            self.set_rule(first, other);
            if bidirectional {
                self.set_rule(other, first);
            }
        }
    }
}

/// The service's order of Regions decides who is first.
fn in_order(named: &BTreeMap<Region, String>, regions: &[Region]) -> Vec<(Region, String)> {
    let listed = regions.iter().filter_map(|region| named.get(region).map(|name| (region.clone(), name.clone())));
    let others = named.iter().filter(|(region, _)| !regions.contains(region));
    listed.chain(others.map(|(region, name)| (region.clone(), name.clone()))).collect()
}
