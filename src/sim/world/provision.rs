//! The AWS resources that a manifest takes for granted, made in one go, never changed once they are there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use failoverd_domain::ids::Region;
use failoverd_domain::service::{Canary, Endpoint, Fence, ServiceSpec, Store, StoreKind};

use super::SimulatedAws;
use super::zones::canonical;

impl SimulatedAws {
    /// Makes the hosted zone and the stores of a service, where they are missing: cluster members with one
    /// instance each, the first Region writing; a DB instance with a read replica in each other Region; tables (canary tables too) with replicas everywhere; versioned buckets with rules.
    pub fn provision(&self, spec: &ServiceSpec) {
        self.create_zone(&spec.traffic.hosted_zone, &spec.regions);
        self.provision_load_balancers(spec);
        for store in &spec.data {
            self.provision_store(store, &spec.regions);
        }
    }

    /// Each gets an address of its own, out of those that are for documentation.
    fn provision_load_balancers(&self, spec: &ServiceSpec) {
        let targets = spec.traffic.records.iter().flat_map(|record| record.targets.values());
        let aliases = targets.filter_map(|target| match &target.endpoint {
            Endpoint::Alias(alias) => Some(&alias.dns_name),
            Endpoint::Values(_) => None,
        });
        for name in aliases {
            self.with(|world| {
                let last = u8::try_from(world.load_balancers.len() % 250).unwrap_or(0) + 1;
                let address = IpAddr::from([203, 0, 113, last]);
                world.load_balancers.entry(canonical(name)).or_insert_with(|| vec![address]);
            });
        }
    }

    fn provision_store(&self, store: &Store, regions: &[Region]) {
        match &store.kind {
            StoreKind::Aurora { global_cluster, clusters } => {
                self.create_global_cluster(global_cluster, &in_order(clusters, regions));
            }
            StoreKind::Rds { instances, .. } => self.provision_instances(&in_order(instances, regions)),
            StoreKind::Dynamodb { table, .. } => self.create_table(table, regions),
            StoreKind::S3 { buckets, bidirectional, .. } => {
                self.provision_buckets(&in_order(buckets, regions), *bidirectional)
            }
        }
        if let Some(Canary::Table { table }) = &store.canary {
            self.create_table(table, regions);
        }
        if let Some(Fence::SecurityGroup(groups)) = &store.fence {
            groups.values().for_each(|group| self.close_group(group));
        }
    }

    fn provision_instances(&self, instances: &[(Region, String)]) {
        let Some(((region, writer), others)) = instances.split_first() else { return };
        self.make_instance(region, writer, None);
        for (to, replica) in others {
            self.make_instance(to, replica, Some((region, writer)));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use failoverd_domain::service::{
        Automation, HealthSpec, Objectives, OnDoubt, Pattern, Policy, SwitchTransport, Traffic,
    };

    use super::*;
    use crate::sim::world::test_ground::{euw1, use1, world};

    fn store(name: &str, kind: StoreKind, canary: Option<Canary>) -> Store {
        Store { name: name.into(), kind, canary, fence: None }
    }

    fn spec() -> ServiceSpec {
        let named =
            |suffix: &str| BTreeMap::from([(use1(), format!("{suffix}-use1")), (euw1(), format!("{suffix}-euw1"))]);
        let aurora = StoreKind::Aurora { global_cluster: "shop".into(), clusters: named("shop") };
        let ledger = StoreKind::Rds { instances: named("ledger"), rebuild: true };
        let table =
            StoreKind::Dynamodb { table: "Carts".into(), ensure_replicas: true, replicas: vec![], create: None };
        let buckets =
            StoreKind::S3 { buckets: named("pictures"), bidirectional: true, role_arn: None, time_control: false };
        ServiceSpec {
            name: "shop".into(),
            labels: BTreeMap::new(),
            pattern: Pattern::ActivePassive,
            regions: vec![use1(), euw1()],
            role_arn: None,
            follows: None,
            objectives: Objectives { rto_ms: 1, rpo_ms: 1 },
            policy: Policy {
                failover: Automation::Automatic,
                announce_ms: 0,
                cooldown_ms: 0,
                restore_pause_ms: 300_000,
                loss_over_budget: OnDoubt::Approval,
                unfenced: OnDoubt::Approval,
                freeze: vec![],
                require_drill_within_ms: None,
            },
            health: HealthSpec { breach_after_ms: 1, recover_after_ms: 1, signals: vec![] },
            traffic: Traffic {
                hosted_zone: "shop.example".into(),
                switch: SwitchTransport::Http,
                switch_group: None,
                records: vec![],
            },
            data: vec![
                store("db", aurora, None),
                store("ledger", ledger, None),
                store("carts", table, Some(Canary::Table { table: "canary".into() })),
                store("pictures", buckets, None),
            ],
        }
    }

    #[tokio::test(start_paused = true)]
    async fn everything_a_manifest_names_is_there_and_stays_as_it_is() {
        let aws = world();
        aws.provision(&spec());
        let cluster = || aws.with(|w| w.describe_cluster(&euw1(), "shop")).unwrap();
        assert_eq!(cluster().writer(), Some(&use1()), "the service's first Region writes");
        assert!(cluster().members.values().all(|member| member.instances == 1 && member.in_sync));
        let replica = aws.with(|w| w.instance(&euw1(), "ledger-euw1")).unwrap();
        assert_eq!(replica.replica_of, Some("arn:aws:rds:us-east-1:123456789012:db:ledger-use1".into()));
        assert!(replica.is_available() && replica.backup_days > 0, "ready to be promoted: {replica:?}");
        assert_eq!(aws.with(|w| w.describe_table(&euw1(), "canary")).unwrap().replicas.len(), 2);
        assert_eq!(aws.with(|w| w.describe_table(&euw1(), "Carts")).unwrap().replicas.len(), 2);
        let reverse = aws.with(|w| w.describe_bucket(&euw1(), "pictures-euw1")).unwrap();
        assert!(reverse.versioning && reverse.replicates_to("pictures-use1"), "{reverse:?}");
        assert_eq!(aws.with(|w| w.list_records("shop.example")).unwrap().len(), 2, "NS and SOA");
        aws.set_instances("shop", &euw1(), 0);
        aws.provision(&spec());
        assert_eq!(cluster().members[&euw1()].instances, 0);
    }
}
