//! DynamoDB tables: made where the manifest says how, streams turned on, replicas added one at a time. None is deleted.

use failoverd_domain::data::store::{Consistency, TableKind};
use failoverd_domain::fleet::ServiceState;
use failoverd_domain::ids::Region;
use failoverd_domain::service::NewTable;

use super::copies::Mend;
use super::{Settler, Unsettled};

impl Settler {
    /// The next thing that a table lacks.
    pub(super) async fn table_lacks<'a>(
        &self,
        service: &'a ServiceState,
        table: &'a str,
        replicas: &'a [Region],
        create: Option<&'a NewTable>,
    ) -> Result<Option<Mend<'a>>, Unsettled> {
        let found = match self.world_of(service).tables.describe(&service.primary, table).await {
            Ok(found) => found,
            Err(error) if error.code == "ResourceNotFoundException" => {
                let create = create.ok_or(Unsettled::Call(error))?;
                return Ok(Some(Mend::CreateTable { table, create }));
            }
            Err(error) => return Err(error.into()),
        };
        let wanted = if replicas.is_empty() { &service.spec.regions } else { replicas };
        let missing = wanted.iter().find(|region| !found.replicas.contains_key(*region));
        let Some(region) = missing else { return Ok(None) };
        if found.kind == TableKind::Legacy {
            return Err(Unsettled::Stuck(format!(
                "{table} is a global table of version 2017.11.29: upgrade it to 2019.11.21 in DynamoDB's console before a replica is added in {region}"
            )));
        }
        if found.consistency == Consistency::Strong {
            return Err(Unsettled::Stuck(format!(
                "{table} is strongly consistent: its Regions were chosen when it was made, and {region} is not one of them"
            )));
        }
        if !found.is_active {
            // One change at a time: the next round looks again.
            return Err(Unsettled::Yield(format!("{table} is being changed")));
        }
        if !found.streams {
            return Ok(Some(Mend::EnableStreams { table }));
        }
        Ok(Some(Mend::AddReplica { table, region }))
    }
}
