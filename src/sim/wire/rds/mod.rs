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

use failoverd_domain::ids::Region;

use self::params::Params;
use super::answer::{Answer, unknown_operation};
use super::api::Operation;
use super::query::{Form, response};
use super::request::WireRequest;
use super::xml::Xml;
use crate::sim::world::{Refusal, World};

/// XML namespace of everything that is answered.
const NAMESPACE: &str = "http://rds.amazonaws.com/doc/2014-10-31/";

/// One call: the Region whose API was asked, and what it brought along.
struct Asked<'a> {
    region: &'a Region,
    params: Params,
}

/// What goes inside `<OPERATIONResult>`, or a refusal.
type Inside = Result<Vec<Xml>, Refusal>;

/// One operation of the API, and what does it.
type Entry = (Operation, fn(&mut World, &Asked<'_>) -> Inside);

/// All belong to the control plane.
const OPERATIONS: &[Entry] = &[
    (Operation::read("DescribeGlobalClusters"), clusters::describe_globals),
    (Operation::change("CreateGlobalCluster"), clusters::create_global),
    (Operation::change("DeleteGlobalCluster"), clusters::delete_global),
    (Operation::change("RemoveFromGlobalCluster"), clusters::remove_from_global),
    (Operation::change("SwitchoverGlobalCluster"), clusters::switchover),
    (Operation::change("FailoverGlobalCluster"), clusters::failover),
    (Operation::read("DescribeDBClusters"), clusters::describe),
    (Operation::change("CreateDBCluster"), clusters::create),
    (Operation::change("ModifyDBCluster"), clusters::modify),
    (Operation::change("DeleteDBCluster"), clusters::delete),
    (Operation::read("DescribeDBInstances"), instances::describe),
    (Operation::change("CreateDBInstance"), instances::create),
    (Operation::change("CreateDBInstanceReadReplica"), instances::create_replica),
    (Operation::change("ModifyDBInstance"), instances::modify),
    (Operation::change("PromoteReadReplica"), instances::promote),
    (Operation::change("RebootDBInstance"), instances::reboot),
    (Operation::change("DeleteDBInstance"), instances::delete),
    (Operation::read("DescribeDBClusterSnapshots"), around::snapshots),
    (Operation::read("DescribeEvents"), around::events),
    (Operation::read("ListTagsForResource"), around::list_tags),
    (Operation::change("AddTagsToResource"), around::add_tags),
    (Operation::change("RemoveTagsFromResource"), around::remove_tags),
    (Operation::read("DescribeAccountAttributes"), around::account_attributes),
];

pub(super) fn operation(request: &WireRequest) -> Result<Operation, Refusal> {
    let form = Form::of(request);
    let name = form.get("Action").unwrap_or_default();
    let found = OPERATIONS.iter().find(|(operation, _)| operation.name == name);
    found.map(|(operation, _)| *operation).ok_or_else(|| unknown_operation(name))
}

pub(super) fn act(world: &mut World, request: &WireRequest, operation: Operation) -> Result<Answer, Refusal> {
    let found = OPERATIONS.iter().find(|(known, _)| *known == operation);
    let (_, act) = found.ok_or_else(|| unknown_operation(operation.name))?;
    let asked = Asked { region: &request.region, params: Params::new(Form::of(request)) };
    let inside = act(world, &asked)?;
    Ok(response(NAMESPACE, operation.name, |result| result.children(inside)))
}

/// Deleting asks for a final snapshot unless told not to.
fn check_final_snapshot(params: &Params, name: &str, is_asked_for: bool) -> Result<(), Refusal> {
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
