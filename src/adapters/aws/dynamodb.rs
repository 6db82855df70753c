//! DynamoDB global tables of version 2019.11.21, and the canary items in them.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GlobalTables.html>

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::types as aws;
use failoverd_domain::data::store::{Consistency, GlobalTable, ReplicaStatus, TableKind};
use failoverd_domain::ids::Region;
use failoverd_domain::service::{KeyAttribute, KeyType, NewTable};
use tokio::sync::Mutex;

use super::account::{Account, Ask};
use super::budget::Kind;
use crate::ports::{Call, CallError, GlobalTables};

const SERVICE: &str = "dynamodb";
/// The version of global tables that is worked with.
const CURRENT: &str = "2019.11.21";
/// Where a canary's version stands.
const VERSION: &str = "version";

/// DynamoDB of one account, in every Region.
pub(super) struct Dynamodb {
    account: Arc<Account>,
    /// Name of each canary table's partition key, which does not change in a table's life.
    keys: Mutex<BTreeMap<(Region, String), String>>,
}

const fn read<'a>(operation: &'static str, region: &'a Region) -> Ask<'a> {
    Ask::read(SERVICE, operation, region)
}

const fn action<'a>(operation: &'static str, region: &'a Region) -> Ask<'a> {
    Ask::action(SERVICE, operation, region)
}

/// A builder that lacks something: a mistake of ours, never sent.
fn unbuilt(ask: Ask<'_>) -> impl FnOnce(aws_sdk_dynamodb::error::BuildError) -> CallError + '_ {
    move |error| ask.refuse("ValidationException", error.to_string())
}

impl Dynamodb {
    pub(super) fn new(account: Arc<Account>) -> Self {
        Self { account, keys: Mutex::default() }
    }

    async fn client(&self, region: &Region, kind: Kind) -> aws_sdk_dynamodb::Client {
        self.account.dynamodb(region, kind).await
    }

    async fn table(&self, region: &Region, table: &str) -> Call<aws::TableDescription> {
        let ask = read("DescribeTable", region);
        let sending = self.client(region, Kind::Read).await.describe_table().table_name(table).send();
        let found = self.account.call(ask, sending).await.map_err(|error| match error.code.as_str() {
            "ResourceNotFoundException" => CallError {
                message: format!("there is no table {table} in this account and Region: create it, correct the name, or name the role_arn of its account"),
                ..error
            },
            _ => error,
        })?;
        found.table.ok_or_else(|| ask.refuse("ResourceNotFoundException", format!("there is no table {table}")))
    }

    /// Whether the table is a global table of 2017, which `DescribeTable` does not always say.
    async fn is_legacy(&self, region: &Region, described: &aws::TableDescription, table: &str) -> bool {
        match described.global_table_version() {
            Some(version) => version != CURRENT,
            None if described.replicas().is_empty() => {
                let sending =
                    self.client(region, Kind::Read).await.describe_global_table().global_table_name(table).send();
                self.account.call(read("DescribeGlobalTable", region), sending).await.is_ok()
            }
            None => false,
        }
    }

    async fn update_replicas(&self, asked_in: &Region, table: &str, update: aws::ReplicationGroupUpdate) -> Call<()> {
        let client = self.client(asked_in, Kind::Action).await;
        let sending = client.update_table().table_name(table).replica_updates(update).send();
        self.account.call(action("UpdateTable", asked_in), sending).await.map(drop)
    }

    async fn key_name(&self, region: &Region, table: &str) -> Call<String> {
        let mut keys = self.keys.lock().await;
        let at = (region.clone(), table.to_owned());
        if let Some(name) = keys.get(&at) {
            return Ok(name.clone());
        }
        let described = self.table(region, table).await?;
        let schema = described.key_schema();
        let hash = schema.iter().find(|key| key.key_type() == &aws::KeyType::Hash).map(|key| key.attribute_name());
        let text = described.attribute_definitions().iter().any(|attribute| {
            Some(attribute.attribute_name()) == hash && attribute.attribute_type() == &aws::ScalarAttributeType::S
        });
        match hash.filter(|_| text && schema.len() == 1) {
            Some(name) => {
                keys.insert(at, name.to_owned());
                Ok(name.to_owned())
            }
            None => Err(read("DescribeTable", region).refuse(
                "ValidationException",
                format!("{table} cannot hold canaries: it needs a partition key of type S and no sort key"),
            )),
        }
    }

    /// Writes a canary's version unless a newer one is there.
    pub(super) async fn put_version(&self, region: &Region, table: &str, key: &str, version: u64) -> Call<()> {
        let name = self.key_name(region, table).await?;
        let client = self.client(region, Kind::Action).await;
        let sending = client
            .put_item()
            .table_name(table)
            .item(&name, aws::AttributeValue::S(key.to_owned()))
            .item(VERSION, aws::AttributeValue::N(version.to_string()))
            .condition_expression("attribute_not_exists(#key) OR #version < :version")
            .expression_attribute_names("#key", &name)
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":version", aws::AttributeValue::N(version.to_string()))
            .send();
        self.account.call(action("PutItem", region), sending).await.map(drop)
    }

    /// The version that a Region's copy shows.
    pub(super) async fn get_version(&self, region: &Region, table: &str, key: &str) -> Call<Option<u64>> {
        let name = self.key_name(region, table).await?;
        let client = self.client(region, Kind::Read).await;
        let sending = client.get_item().table_name(table).key(name, aws::AttributeValue::S(key.to_owned())).send();
        let found = self.account.call(read("GetItem", region), sending).await?;
        let version = found.item().and_then(|item| item.get(VERSION)).and_then(|value| value.as_n().ok());
        Ok(version.and_then(|version| version.parse().ok()))
    }
}

fn from_aws(described: &aws::TableDescription, asked_in: &Region, legacy: bool) -> GlobalTable {
    let own = match described.table_status() {
        Some(aws::TableStatus::Creating) => ReplicaStatus::Creating,
        Some(aws::TableStatus::Deleting) => ReplicaStatus::Deleting,
        Some(aws::TableStatus::Active | aws::TableStatus::Updating) => ReplicaStatus::Active,
        _ => ReplicaStatus::Inaccessible,
    };
    // AWS lists the replicas of the other Regions, or of all.
    let mut replicas: BTreeMap<Region, ReplicaStatus> = BTreeMap::from([(asked_in.clone(), own)]);
    for replica in described.replicas() {
        if let Some(region) = replica.region_name() {
            replicas.insert(region.into(), status_from_aws(replica.replica_status()));
        }
    }
    let streams = described.stream_specification().is_some_and(|stream| {
        stream.stream_enabled() && stream.stream_view_type() == Some(&aws::StreamViewType::NewAndOldImages)
    });
    let strong = described.multi_region_consistency() == Some(&aws::MultiRegionConsistency::Strong);
    GlobalTable {
        table: described.table_name().unwrap_or_default().to_owned(),
        kind: match replicas.len() {
            _ if legacy => TableKind::Legacy,
            0 | 1 => TableKind::Single,
            _ => TableKind::Global,
        },
        consistency: if strong { Consistency::Strong } else { Consistency::Eventual },
        witness: described.global_table_witnesses().iter().find_map(|witness| witness.region_name().map(Region::from)),
        streams,
        is_active: described.table_status() == Some(&aws::TableStatus::Active),
        replicas,
    }
}

fn status_from_aws(status: Option<&aws::ReplicaStatus>) -> ReplicaStatus {
    match status {
        Some(aws::ReplicaStatus::Creating) => ReplicaStatus::Creating,
        Some(aws::ReplicaStatus::CreationFailed) => ReplicaStatus::Failed,
        Some(aws::ReplicaStatus::Deleting) => ReplicaStatus::Deleting,
        Some(aws::ReplicaStatus::RegionDisabled) => ReplicaStatus::RegionDisabled,
        Some(aws::ReplicaStatus::Active | aws::ReplicaStatus::Updating) | None => ReplicaStatus::Active,
        Some(_) => ReplicaStatus::Inaccessible,
    }
}

const fn type_to_aws(kind: KeyType) -> aws::ScalarAttributeType {
    match kind {
        KeyType::String => aws::ScalarAttributeType::S,
        KeyType::Number => aws::ScalarAttributeType::N,
        KeyType::Binary => aws::ScalarAttributeType::B,
    }
}

#[async_trait]
impl GlobalTables for Dynamodb {
    async fn describe(&self, asked_in: &Region, table: &str) -> Call<GlobalTable> {
        let described = self.table(asked_in, table).await?;
        let legacy = self.is_legacy(asked_in, &described, table).await;
        Ok(from_aws(&described, asked_in, legacy))
    }

    async fn create(&self, region: &Region, table: &str, new: &NewTable) -> Call<()> {
        let ask = action("CreateTable", region);
        let client = self.client(region, Kind::Action).await;
        let mut request = client.create_table().table_name(table).billing_mode(aws::BillingMode::PayPerRequest);
        let keys = [(Some(&new.partition_key), aws::KeyType::Hash), (new.sort_key.as_ref(), aws::KeyType::Range)];
        for (attribute, key_type) in keys.into_iter().filter_map(|(key, kind)| Some((key?, kind))) {
            let KeyAttribute { name, kind } = attribute;
            let defined = aws::AttributeDefinition::builder().attribute_name(name).attribute_type(type_to_aws(*kind));
            let element = aws::KeySchemaElement::builder().attribute_name(name).key_type(key_type);
            request = request.attribute_definitions(defined.build().map_err(unbuilt(ask))?);
            request = request.key_schema(element.build().map_err(unbuilt(ask))?);
        }
        let sending = request.stream_specification(streams(ask)?).send();
        self.account.call(ask, sending).await.map(drop)
    }

    async fn enable_streams(&self, region: &Region, table: &str) -> Call<()> {
        let ask = action("UpdateTable", region);
        let client = self.client(region, Kind::Action).await;
        let sending = client.update_table().table_name(table).stream_specification(streams(ask)?).send();
        self.account.call(ask, sending).await.map(drop)
    }

    async fn add_replica(&self, asked_in: &Region, table: &str, region: &Region) -> Call<()> {
        let create = aws::CreateReplicationGroupMemberAction::builder().region_name(region.as_str()).build();
        let create = create.map_err(unbuilt(action("UpdateTable", asked_in)))?;
        self.update_replicas(asked_in, table, aws::ReplicationGroupUpdate::builder().create(create).build()).await
    }

    async fn remove_replica(&self, asked_in: &Region, table: &str, region: &Region) -> Call<()> {
        let delete = aws::DeleteReplicationGroupMemberAction::builder().region_name(region.as_str()).build();
        let delete = delete.map_err(unbuilt(action("UpdateTable", asked_in)))?;
        self.update_replicas(asked_in, table, aws::ReplicationGroupUpdate::builder().delete(delete).build()).await
    }
}

fn streams(ask: Ask<'_>) -> Call<aws::StreamSpecification> {
    let streams = aws::StreamSpecification::builder().stream_enabled(true);
    streams.stream_view_type(aws::StreamViewType::NewAndOldImages).build().map_err(unbuilt(ask))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> aws::builders::TableDescriptionBuilder {
        aws::TableDescription::builder().table_name("Orders").table_status(aws::TableStatus::Active)
    }

    fn replica(region: &str, status: aws::ReplicaStatus) -> aws::ReplicaDescription {
        aws::ReplicaDescription::builder().region_name(region).replica_status(status).build()
    }

    #[test]
    fn the_asked_region_is_a_replica_too() {
        let described = table()
            .replicas(replica("eu-west-1", aws::ReplicaStatus::Creating))
            .replicas(replica("ap-southeast-1", aws::ReplicaStatus::RegionDisabled))
            .build();
        let found = from_aws(&described, &"us-east-1".into(), false);
        let of = |region: &str| found.replicas[&Region::from(region)];
        assert_eq!(of("us-east-1"), ReplicaStatus::Active);
        assert_eq!(of("eu-west-1"), ReplicaStatus::Creating);
        assert_eq!(of("ap-southeast-1"), ReplicaStatus::RegionDisabled);
        assert_eq!((found.kind, found.streams, found.is_active), (TableKind::Global, false, true));
    }

    #[test]
    fn strong_tables_and_those_of_2017_are_recognised() {
        let witness = aws::GlobalTableWitnessDescription::builder().region_name("us-west-2").build();
        let strong =
            table().multi_region_consistency(aws::MultiRegionConsistency::Strong).global_table_witnesses(witness);
        let found = from_aws(&strong.build(), &"us-east-1".into(), false);
        assert_eq!((found.consistency, found.witness), (Consistency::Strong, Some("us-west-2".into())));
        assert_eq!(from_aws(&table().build(), &"us-east-1".into(), true).kind, TableKind::Legacy);
        assert_eq!(from_aws(&table().build(), &"us-east-1".into(), false).kind, TableKind::Single);
    }
}
