//! Who may call what: one line for every call that is served. The door asks nothing else.
//!
//! Peers may read, because a daemon knows all that anyway, and `failoverctl` inside a pod uses the daemon's certificate.

use super::Role::{self, Admin, Approver, Operator, Peer, Viewer};

/// Who may call something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody who gets a connection.
    Anybody,
    /// Whoever has one of these roles.
    Any(&'static [Role]),
}

const READ: Who = Who::Any(&[Viewer, Operator, Approver, Admin, Peer]);
const OPERATE: Who = Who::Any(&[Operator, Admin]);
const APPROVE: Who = Who::Any(&[Approver, Admin]);
const ADMINISTER: Who = Who::Any(&[Admin]);
const AS_A_PEER: Who = Who::Any(&[Peer]);

/// Every call that is served, by its path without the first slash.
pub const TABLE: &[(&str, Who)] = &[
    ("failoverd.v1.StatusService/GetFleet", READ),
    ("failoverd.v1.StatusService/ListServices", READ),
    ("failoverd.v1.StatusService/GetService", READ),
    ("failoverd.v1.StatusService/ListRuns", READ),
    ("failoverd.v1.StatusService/GetRun", READ),
    ("failoverd.v1.StatusService/GetSwitches", READ),
    ("failoverd.v1.StatusService/ListHistory", READ),
    ("failoverd.v1.StatusService/VerifyHistory", READ),
    ("failoverd.v1.StatusService/GetReport", READ),
    ("failoverd.v1.StatusService/Plan", READ),
    ("failoverd.v1.StatusService/ExplainRoute", READ),
    ("failoverd.v1.StatusService/GetIamPolicy", READ),
    ("failoverd.v1.StatusService/ListDrills", READ),
    ("failoverd.v1.StatusService/GetDrill", READ),
    ("failoverd.v1.StatusService/GetDrillRun", READ),
    ("failoverd.v1.StatusService/WatchDrillRun", READ),
    ("failoverd.v1.StatusService/WatchFleet", READ),
    ("failoverd.v1.StatusService/WatchRun", READ),
    ("failoverd.v1.ControlService/Export", READ),
    ("failoverd.v1.ControlService/ShowLogFilter", OPERATE),
    ("failoverd.v1.ControlService/SetLogFilter", OPERATE),
    ("failoverd.v1.ControlService/Failover", OPERATE),
    ("failoverd.v1.ControlService/Failback", OPERATE),
    ("failoverd.v1.ControlService/AbortRun", OPERATE),
    ("failoverd.v1.ControlService/RetryStep", OPERATE),
    ("failoverd.v1.ControlService/SkipStep", OPERATE),
    ("failoverd.v1.ControlService/Pause", OPERATE),
    ("failoverd.v1.ControlService/Resume", OPERATE),
    ("failoverd.v1.ControlService/RunDrill", OPERATE),
    ("failoverd.v1.ControlService/CancelDrill", OPERATE),
    ("failoverd.v1.ControlService/ApproveRun", APPROVE),
    ("failoverd.v1.ControlService/Apply", ADMINISTER),
    ("failoverd.v1.ControlService/Delete", ADMINISTER),
    ("failoverd.v1.ControlService/DeleteDrill", ADMINISTER),
    // Turns traffic without moving data: what a plan would look after, nobody does.
    ("failoverd.v1.ControlService/SetSwitch", ADMINISTER),
    ("failoverd.v1.FleetService/ListDaemons", READ),
    ("failoverd.v1.FleetService/ReplaceDaemon", ADMINISTER),
    // Holds the tokens of the switches.
    ("failoverd.v1.FleetService/BackUp", ADMINISTER),
    ("failoverd.v1.FleetService/ConfirmService", ADMINISTER),
    ("failoverd.v1.FleetService/AddDaemon", ADMINISTER),
    ("failoverd.v1.FleetService/RemoveDaemon", ADMINISTER),
    // Whoever carries a signed request need be nobody: what counts is in the signatures (api/glass.rs).
    ("failoverd.v1.BreakGlassService/Prepare", Who::Anybody),
    ("failoverd.v1.BreakGlassService/Submit", Who::Anybody),
    ("failoverd.v1.PeerService/Raft", AS_A_PEER),
    ("failoverd.v1.PeerService/Share", AS_A_PEER),
    ("failoverd.v1.PeerService/FetchEvents", AS_A_PEER),
    ("failoverd.v1.PeerService/Forward", AS_A_PEER),
    ("failoverd.v1.PeerService/LookUp", AS_A_PEER),
    ("grpc.health.v1.Health/Check", Who::Anybody),
    ("grpc.health.v1.Health/Watch", Who::Anybody),
    ("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", READ),
    ("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", READ),
];

/// Who may call that path; `None`: nothing is served there.
#[must_use]
pub fn who_may(path: &str) -> Option<Who> {
    let call = path.strip_prefix('/')?;
    TABLE.iter().find(|(name, _)| *name == call).map(|(_, who)| *who)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::api::proto::DESCRIPTORS;

    fn calls_in(descriptors: &[u8]) -> Vec<String> {
        let files = FileDescriptorSet::decode(descriptors).unwrap().file;
        let services = files.iter().flat_map(|file| file.service.iter().map(move |service| (file.package(), service)));
        let calls = services.flat_map(|(package, service)| {
            service.method.iter().map(move |call| format!("{package}.{}/{}", service.name(), call.name()))
        });
        calls.collect()
    }

    #[test]
    fn every_call_of_the_protos_is_in_the_table_and_nothing_else_is() {
        let served = [
            DESCRIPTORS,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let served: BTreeSet<String> = served.into_iter().flat_map(calls_in).collect();
        let told: BTreeSet<String> = TABLE.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(told.len(), TABLE.len(), "a call is in the table twice");
        assert_eq!(served.symmetric_difference(&told).collect::<Vec<_>>(), Vec::<&String>::new());
    }

    #[test]
    fn nothing_that_changes_is_open_to_those_who_only_read() {
        for (name, who) in
            TABLE.iter().filter(|(name, _)| name.contains("ControlService") && !name.ends_with("/Export"))
        {
            let Who::Any(roles) = who else { panic!("{name} is open to everybody") };
            assert!(!roles.contains(&Viewer) && !roles.contains(&Peer), "{name}");
        }
    }
}
