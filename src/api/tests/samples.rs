//! gRPC of every format that was ever spoken: its messages say today what they said, and no name or number has moved.

use std::collections::BTreeMap;

use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorSet};

use super::proto::forward_response::Result as Forwarded;
use super::*;
use crate::consensus::tests::samples::keeper;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples");

/// Everything in a set of protos by its full name, and what must stay as it is: types, numbers, who streams.
fn declared(descriptors: &[u8]) -> BTreeMap<String, String> {
    let set = FileDescriptorSet::decode(descriptors).unwrap();
    let mut all = BTreeMap::new();
    for file in set.file.iter().filter(|file| file.package() == "failoverd.v1") {
        for service in &file.service {
            for method in &service.method {
                let streams = (method.client_streaming(), method.server_streaming());
                let shape = format!("{} -> {} {streams:?}", method.input_type(), method.output_type());
                all.insert(format!("{}.{}", service.name(), method.name()), shape);
            }
        }
        for message in &file.message_type {
            fields("", message, &mut all);
        }
        for enumeration in &file.enum_type {
            for value in &enumeration.value {
                all.insert(format!("{}.{}", enumeration.name(), value.name()), value.number().to_string());
            }
        }
    }
    all
}

fn fields(outer: &str, message: &DescriptorProto, all: &mut BTreeMap<String, String>) {
    let name = format!("{outer}{}", message.name());
    for field in &message.field {
        let shape = format!("{} {:?} {:?} {}", field.number(), field.label(), field.r#type(), field.type_name());
        all.insert(format!("{name}.{}", field.name()), shape);
    }
    for inner in &message.nested_type {
        fields(&format!("{name}."), inner, all);
    }
}

#[test]
fn no_name_or_number_of_grpc_has_moved() {
    for samples in keeper::all(ROOT) {
        let stored = declared(&samples.kept("descriptors.bin", || proto::DESCRIPTORS.to_vec()));
        let today = declared(proto::DESCRIPTORS);
        assert!(stored.len() > 300, "{} names", stored.len());
        for (name, shape) in &stored {
            assert_eq!(today.get(name), Some(shape), "{name}: older daemons and clients know it otherwise");
        }
        if samples.is_newest() {
            let new: Vec<_> = today.keys().filter(|name| !stored.contains_key(*name)).collect();
            assert!(new.is_empty(), "not among the samples yet: {new:?}; tests/samples/README.md");
        }
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// One of each message between daemons, by its name in the proto.
fn said() -> Vec<(&'static str, Vec<u8>)> {
    let entry = failoverd_domain::fleet::Entry::new(
        fake::NOW,
        Actor::Daemon("eu-west-1".into()),
        Command::Pause { service: None },
    );
    let applied = failoverd_domain::fleet::Applied {
        index: failoverd_domain::ids::LogIndex(8),
        events: fake::events(1),
        result: Err(Rejection::new("STALE_EPOCH", "epoch 3 is over")),
    };
    let asked = LookUp { service: "checkout".into(), through: true };
    let sighting = failoverd_domain::traffic::Sighting::default();
    let not_leader = proto::NotLeader { leader: Some("eu-west-1".to_owned()) };
    let forwarded = |result| proto::ForwardResponse { result: Some(result) }.encode_to_vec();
    vec![
        ("RaftRequest", proto::RaftRequest { message: b"{}".to_vec() }.encode_to_vec()),
        ("RaftResponse", proto::RaftResponse { message: b"[]".to_vec() }.encode_to_vec()),
        ("ShareRequest", proto::ShareRequest { report: json(&report("eu-west-1")) }.encode_to_vec()),
        ("ShareResponse", proto::ShareResponse {}.encode_to_vec()),
        ("FetchEventsRequest", proto::FetchEventsRequest { from_seq: 300, limit: 7 }.encode_to_vec()),
        (
            "FetchEventsResponse",
            proto::FetchEventsResponse { events: fake::events(2).iter().map(json).collect() }.encode_to_vec(),
        ),
        ("ForwardRequest", proto::ForwardRequest { entry: json(&entry) }.encode_to_vec()),
        ("ForwardResponse-applied", forwarded(Forwarded::Applied(json(&applied)))),
        ("ForwardResponse-not-leader", forwarded(Forwarded::NotLeader(not_leader))),
        ("ForwardResponse-unknown", forwarded(Forwarded::Unknown("no majority".to_owned()))),
        ("ForwardResponse-fatal", forwarded(Forwarded::Fatal("no room".to_owned()))),
        ("LookUpRequest", proto::LookUpRequest { asked: json(&asked) }.encode_to_vec()),
        ("LookUpResponse", proto::LookUpResponse { sighting: json(&sighting) }.encode_to_vec()),
    ]
}

#[test]
fn stored_messages_between_daemons_say_what_they_said() {
    for samples in keeper::all(ROOT) {
        for (name, today) in said() {
            let stored = samples.kept(&format!("peer/{name}.bin"), || today.clone());
            assert_eq!(said_by(name, &stored), said_by(name, &today), "{name}");
        }
        let kinds = declared(proto::DESCRIPTORS);
        let asked = kinds.keys().filter(|name| name.starts_with("PeerService.")).count();
        assert_eq!(asked, 5, "a call between daemons without a sample");
    }
}

/// What a message says, by today's code: payloads as what they are, not as bytes.
fn said_by(name: &str, bytes: &[u8]) -> String {
    fn of<T: serde::de::DeserializeOwned + std::fmt::Debug>(json: &[u8]) -> String {
        format!("{:?}", serde_json::from_slice::<T>(json).unwrap())
    }
    match name {
        "RaftRequest" => format!("{:?}", proto::RaftRequest::decode(bytes).unwrap()),
        "RaftResponse" => format!("{:?}", proto::RaftResponse::decode(bytes).unwrap()),
        "ShareRequest" => of::<failoverd_domain::health::Report>(&proto::ShareRequest::decode(bytes).unwrap().report),
        "ShareResponse" => format!("{:?}", proto::ShareResponse::decode(bytes).unwrap()),
        "FetchEventsRequest" => format!("{:?}", proto::FetchEventsRequest::decode(bytes).unwrap()),
        "FetchEventsResponse" => {
            let events = proto::FetchEventsResponse::decode(bytes).unwrap().events;
            events.iter().map(|event| of::<failoverd_domain::fleet::HistoryEvent>(event)).collect()
        }
        "ForwardRequest" => of::<failoverd_domain::fleet::Entry>(&proto::ForwardRequest::decode(bytes).unwrap().entry),
        "LookUpRequest" => of::<LookUp>(&proto::LookUpRequest::decode(bytes).unwrap().asked),
        "LookUpResponse" => {
            of::<failoverd_domain::traffic::Sighting>(&proto::LookUpResponse::decode(bytes).unwrap().sighting)
        }
        _ => match proto::ForwardResponse::decode(bytes).unwrap().result.unwrap() {
            Forwarded::Applied(applied) => of::<failoverd_domain::fleet::Applied>(&applied),
            other => format!("{other:?}"),
        },
    }
}
