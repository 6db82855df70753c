//! The RDS API: Query protocol, version 2014-10-31, for Aurora global clusters, DB instances and what surrounds them.
//!
//! Parameters that nothing here depends on (engine options, passwords, windows …) are taken and do nothing. A final
//! snapshot is refused rather than promised: there are no snapshots but those of unplanned failovers.

mod around;
mod cluster_shapes;
mod clusters;
mod instances;
mod params;
mod shapes;
mod xml;

use failoverd_domain::ids::Region;

use self::params::Params;
use self::xml::Xml;
use crate::sim::world::{Refusal, World};

/// XML namespace of everything that is answered.
pub(super) const NAMESPACE: &str = "http://rds.amazonaws.com/doc/2014-10-31/";

/// One call: the Region whose API was asked, and what it brought along.
struct Asked<'a> {
    region: &'a Region,
    params: Params<'a>,
}

/// What goes inside `<OperationResult>`, or a refusal.
type Answer = Result<Xml, Refusal>;

/// One operation of the API. All belong to the control plane.
pub(super) struct Operation {
    /// AWS's name.
    pub(super) name: &'static str,
    /// Whether it changes anything.
    pub(super) mutates: bool,
    /// Whether its answer has a result.
    pub(super) has_result: bool,
    act: fn(&mut World, &Asked<'_>) -> Answer,
}

const fn read(name: &'static str, act: fn(&mut World, &Asked<'_>) -> Answer) -> Operation {
    Operation { name, mutates: false, has_result: true, act }
}

const fn change(name: &'static str, act: fn(&mut World, &Asked<'_>) -> Answer) -> Operation {
    Operation { name, mutates: true, has_result: true, act }
}

const fn silent(name: &'static str, act: fn(&mut World, &Asked<'_>) -> Answer) -> Operation {
    Operation { name, mutates: true, has_result: false, act }
}

const OPERATIONS: &[Operation] = &[
    read("DescribeGlobalClusters", clusters::describe_globals),
    change("CreateGlobalCluster", clusters::create_global),
    change("DeleteGlobalCluster", clusters::delete_global),
    change("RemoveFromGlobalCluster", clusters::remove_from_global),
    change("SwitchoverGlobalCluster", clusters::switchover),
    change("FailoverGlobalCluster", clusters::failover),
    read("DescribeDBClusters", clusters::describe),
    change("CreateDBCluster", clusters::create),
    change("ModifyDBCluster", clusters::modify),
    change("DeleteDBCluster", clusters::delete),
    read("DescribeDBInstances", instances::describe),
    change("CreateDBInstance", instances::create),
    change("CreateDBInstanceReadReplica", instances::create_replica),
    change("ModifyDBInstance", instances::modify),
    change("PromoteReadReplica", instances::promote),
    change("RebootDBInstance", instances::reboot),
    change("DeleteDBInstance", instances::delete),
    read("DescribeDBClusterSnapshots", around::snapshots),
    read("DescribeEvents", around::events),
    read("ListTagsForResource", around::list_tags),
    silent("AddTagsToResource", around::add_tags),
    silent("RemoveTagsFromResource", around::remove_tags),
    read("DescribeAccountAttributes", around::account_attributes),
];

/// The operation of that name.
pub(super) fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

impl Operation {
    /// Does it in a Region; what goes inside `<OperationResult>`.
    pub(super) fn act(&self, world: &mut World, region: &Region, form: &[(String, String)]) -> Result<String, Refusal> {
        (self.act)(world, &Asked { region, params: Params::new(form) }).map(Xml::finish)
    }
}

/// HTTP status of a refusal, as the service's model has it.
pub(super) fn http_status(code: &str) -> u16 {
    match code {
        "ExpiredToken" | "DBClusterQuotaExceededFault" => 403,
        _ if code.contains("NotFound") => 404,
        _ => 400,
    }
}

/// Deleting asks for a final snapshot unless told not to.
fn check_final_snapshot(params: &Params<'_>, name: &str, is_asked_for: bool) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal::new("InvalidParameterCombination", message));
    match (params.flag("SkipFinalSnapshot")?, params.get(name)) {
        (true, Some(_)) => refuse(format!("{name} can not be specified when deleting with SkipFinalSnapshot.")),
        (false, None) if is_asked_for => refuse(format!("{name} is required unless SkipFinalSnapshot is specified.")),
        (false, Some(_)) => refuse(format!("{name}: final snapshots are not simulated; set SkipFinalSnapshot.")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
