//! The name server as a resolver meets it.

use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::ids::Region;
use failoverd_domain::route53::{AliasTarget, Change, Location, Policy, RecordSet};
use failoverd_domain::time::Timestamp;
use hickory_proto::op::{Edns, Message, MessageType, Query};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;
use crate::sim::world::{Timing, TokioClock};

fn set(name: &str, record_type: RecordType, values: &[&str]) -> RecordSet {
    RecordSet::simple(name, record_type, 30, values.iter().map(|v| (*v).to_owned()).collect())
}

fn alias(name: &str, to: &str) -> RecordSet {
    let alias = AliasTarget { dns_name: to.into(), hosted_zone: "ZLB".into(), evaluate_target_health: false };
    RecordSet { ttl_s: None, alias: Some(alias), ..set(name, RecordType::A, &[]) }
}

async fn server() -> DnsServer {
    let clock = Arc::new(TokioClock::starting_at(Timestamp(0)));
    let timing = Timing { dns_propagation_ms: 0, ..Timing::default() };
    let aws = SimulatedAws::new(clock, 1, timing);
    aws.create_zone("example.com", &[Region::from("us-east-1")]);
    aws.set_load_balancer("Alb.amazonaws.com", vec!["192.0.2.7".parse().unwrap()]);
    let long = "x".repeat(300);
    let records = [
        set("a.example.com", RecordType::A, &["192.0.2.1", "192.0.2.2"]),
        set("six.example.com", RecordType::Aaaa, &["2001:db8::1"]),
        set("c.example.com", RecordType::Cname, &["a.example.com"]),
        set("t.example.com", RecordType::Txt, &[&long]),
        set("big.example.com", RecordType::Txt, &[&long, &long, &long]),
        alias("lb.example.com", "alb.amazonaws.com"),
        alias("gone.example.com", "nobody.amazonaws.com"),
    ];
    let changes: Vec<Change> = records.into_iter().map(Change::Create).collect();
    aws.with(|world| world.change_records("example.com", &changes)).unwrap();
    DnsServer::bind(aws, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

fn question(name: &str, record_type: WireType) -> Vec<u8> {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), record_type));
    message.to_vec().unwrap()
}

async fn ask(server: &DnsServer, name: &str, record_type: WireType) -> Message {
    send(server, &question(name, record_type)).await
}

async fn send(server: &DnsServer, question: &[u8]) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(question, server.address()).await.unwrap();
    let mut buffer = [0; 4096];
    let read = timeout(Duration::from_secs(5), socket.recv(&mut buffer)).await.unwrap().unwrap();
    Message::from_vec(&buffer[..read]).unwrap()
}

fn data(message: &Message) -> Vec<String> {
    let mut data: Vec<String> = message.answers.iter().map(|record| record.data.to_string()).collect();
    data.sort();
    data
}

#[tokio::test]
async fn answers_every_type_over_udp_with_authority() {
    let server = server().await;
    let got = ask(&server, "A.Example.com.", WireType::A).await;
    assert_eq!(data(&got), ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(got.metadata.message_type, MessageType::Response);
    assert!(got.metadata.authoritative);
    assert_eq!(got.answers[0].ttl, 30);
    assert_eq!(data(&ask(&server, "six.example.com.", WireType::AAAA).await), ["2001:db8::1"]);
    assert_eq!(data(&ask(&server, "c.example.com.", WireType::A).await), ["a.example.com."]);
    assert_eq!(data(&ask(&server, "t.example.com.", WireType::TXT).await)[0].matches('x').count(), 300);
    assert_eq!(data(&ask(&server, "example.com.", WireType::NS).await).len(), 4);
    assert_eq!(ask(&server, "example.com.", WireType::SOA).await.answers.len(), 1);
}

#[tokio::test]
async fn an_alias_answers_with_the_load_balancers_address_or_nothing() {
    let server = server().await;
    let got = ask(&server, "lb.example.com.", WireType::A).await;
    assert_eq!((data(&got), got.answers[0].ttl), (vec!["192.0.2.7".to_owned()], 60));
    let none = ask(&server, "gone.example.com.", WireType::A).await;
    assert_eq!((none.metadata.response_code, none.answers.len()), (ResponseCode::NoError, 0));
}

#[tokio::test]
async fn says_what_it_does_not_have() {
    let server = server().await;
    assert_eq!(ask(&server, "example.org.", WireType::A).await.metadata.response_code, ResponseCode::Refused);
    let missing = ask(&server, "no.example.com.", WireType::A).await;
    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(missing.authorities.len(), 1, "a negative answer carries the SOA");
    let other_type = ask(&server, "a.example.com.", WireType::MX).await;
    assert_eq!((other_type.metadata.response_code, other_type.answers.len()), (ResponseCode::NoError, 0));
}

#[tokio::test]
async fn answers_over_tcp() {
    let server = server().await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let question = question("a.example.com.", WireType::A);
    stream.write_u16(u16::try_from(question.len()).unwrap()).await.unwrap();
    stream.write_all(&question).await.unwrap();
    let length = timeout(Duration::from_secs(5), stream.read_u16()).await.unwrap().unwrap();
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(data(&Message::from_vec(&answer).unwrap()).len(), 2);
}

#[tokio::test]
async fn an_answer_too_long_for_udp_says_so_unless_the_asker_has_room() {
    let server = server().await;
    assert!(ask(&server, "big.example.com.", WireType::TXT).await.metadata.truncation);
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii("big.example.com.").unwrap(), WireType::TXT));
    let mut edns = Edns::new();
    edns.set_max_payload(1_232);
    message.set_edns(edns);
    let got = send(&server, &message.to_vec().unwrap()).await;
    assert_eq!((got.metadata.truncation, got.answers.len(), got.max_payload()), (false, 3, 1_232));
}

#[tokio::test]
async fn who_asks_from_another_network_is_answered_for_that_place() {
    let clock = Arc::new(TokioClock::starting_at(Timestamp(0)));
    let aws = SimulatedAws::new(clock, 1, Timing { dns_propagation_ms: 0, ..Timing::default() });
    aws.create_zone("example.com", &[Region::from("us-east-1")]);
    let at = |id: &str, place: Location, value: &str| {
        let policy = Policy::Geolocation(place);
        Change::Create(RecordSet {
            set_identifier: Some(id.into()),
            policy,
            ..set("p.example.com", RecordType::A, &[value])
        })
    };
    let changes = [
        at("eu", Location::Continent("EU".into()), "192.0.2.1"),
        at("ca", Location::Subdivision("US".into(), "CA".into()), "192.0.2.2"),
        at("all", Location::Default, "192.0.2.3"),
    ];
    aws.with(|world| world.change_records("example.com", &changes)).unwrap();
    let server = DnsServer::bind(aws, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    for (subnet, value, scope) in
        [("198.18.6.0/24", "192.0.2.1", 24), ("198.18.3.0/24", "192.0.2.2", 24), ("203.0.113.0/24", "192.0.2.3", 0)]
    {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii("p.example.com").unwrap(), WireType::A));
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::Subnet(subnet.parse().unwrap()));
        message.edns = Some(edns);
        let answer = send(&server, &message.to_vec().unwrap()).await;
        assert_eq!(answer.answers[0].data, RData::A(value.parse().unwrap()), "{subnet}");
        let told = super::subnet(answer.edns.as_ref().unwrap()).unwrap();
        assert_eq!(told.scope_prefix(), scope, "{subnet}");
    }
}
