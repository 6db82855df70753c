//! An active-active service leaves a Region and comes back, as people in several places see it: each question is a DNS
//! question from a network that stands for a place.

use std::net::SocketAddr;
use std::time::Duration;

use failoverd_domain::fleet::{FleetState, ServicePhase};
use failoverd_domain::ids::{Region, ServiceName};
use failoverd_domain::traffic::{AnswerSeen, sentence};
use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep, timeout};

use crate::sandbox::{Fixture, PATIENCE};

const EAST: &str = "us-east-1";
const WEST: &str = "eu-west-1";
/// Networks of the simulated Internet, by what they stand for.
const GERMANY: &str = "198.18.6.0/24";
const CALIFORNIA: &str = "198.18.3.0/24";
const JAPAN: &str = "198.18.7.0/24";
const BRAZIL: &str = "198.18.8.0/24";
const EVERYWHERE: [&str; 4] = [GERMANY, CALIFORNIA, JAPAN, BRAZIL];

async fn ask(server: SocketAddr, from: &str) -> Vec<String> {
    let mut message = Message::query();
    let name = Name::from_ascii("orders.example.com.").unwrap();
    message.add_query(Query::query(name, RecordType::A));
    let mut edns = Edns::new();
    edns.options_mut().insert(EdnsOption::Subnet(from.parse().unwrap()));
    message.edns = Some(edns);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&message.to_vec().unwrap(), server).await.unwrap();
    let mut buffer = [0; 4096];
    let read = timeout(Duration::from_secs(5), socket.recv(&mut buffer)).await.unwrap().unwrap();
    let answer = Message::from_vec(&buffer[..read]).unwrap();
    let addresses = answer.answers.iter().filter_map(|record| match &record.data {
        RData::A(address) => Some(address.0.to_string()),
        _ => None,
    });
    let mut addresses: Vec<String> = addresses.collect();
    addresses.sort();
    addresses
}

async fn until_answers(server: SocketAddr, places: &[&str], wanted: &[String]) {
    let until = Instant::now() + PATIENCE;
    for place in places {
        loop {
            let answer = ask(server, place).await;
            if answer == wanted {
                break;
            }
            assert!(Instant::now() < until, "{place} is answered {answer:?}, not {wanted:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// By daemon, the Regions that answered it when the newest run of orders was verified.
fn answered(state: &FleetState) -> Vec<(String, Vec<String>)> {
    let of_orders = state.runs.values().filter(|run| run.service == ServiceName::from("orders"));
    let newest = of_orders.max_by_key(|run| run.decided_index).expect("a run of orders");
    let seen: Vec<AnswerSeen> = newest.steps.values().flat_map(|progress| progress.seen.clone()).collect();
    println!("{}: {}", newest.id, sentence(&seen));
    for one in &seen {
        assert!(one.after_ms.is_some() && one.tail_s.is_some() && one.not_asked.is_none(), "{one:?}");
        assert!(one.probes.iter().all(|probe| probe.good), "{one:?}");
        assert!(!one.probes.is_empty(), "the service was asked by its name: {one:?}");
    }
    let by = |one: AnswerSeen| (one.daemon.to_string(), one.answered_by.iter().map(ToString::to_string).collect());
    seen.into_iter().map(by).collect()
}

/// All daemons, each answered by the same Region.
fn all_by(region: &str) -> Vec<(String, Vec<String>)> {
    ["eu-west-1", "us-east-1", "us-west-2"].map(|daemon| (daemon.to_owned(), vec![region.to_owned()])).into()
}

fn phase(state: &FleetState) -> Option<ServicePhase> {
    state.services.get(&ServiceName::from("orders")).map(|found| state.phase(found))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_is_evacuated_and_restored_as_people_in_several_places_see_it() {
    let it = Fixture::up().await;
    it.until("a leader", PATIENCE, |it| it.leader().is_some()).await;
    // As it stands, but for the time that each wave is watched.
    let example = format!("{}/examples/orders-active-active.yaml", env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(example).unwrap();
    let brisk = manifest.replace("failover: manual }", "failover: manual, restore_pause: 4s }");
    assert_ne!(manifest, brisk);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.yaml");
    std::fs::write(&file, brisk).unwrap();
    it.expect(0, &["apply", "-f", file.to_str().unwrap(), "--yes"]).await;
    it.until("orders to be steady", PATIENCE, |it| phase(&it.state()) == Some(ServicePhase::Steady)).await;
    let server = it.addresses.dns();
    let (america, europe) = (ask(server, CALIFORNIA).await, ask(server, GERMANY).await);
    assert!(!america.is_empty() && !europe.is_empty() && america != europe, "{america:?} {europe:?}");
    until_answers(server, &[CALIFORNIA, JAPAN, BRAZIL], &america).await;

    // Who is sent elsewhere is said beforehand, also those who only have the default location.
    let plan = it.json(&["plan", "orders", "--evacuate", EAST]).await;
    let then = |place: &str| {
        let shifts = plan["shifts"].as_array().unwrap();
        shifts.iter().find(|shift| shift["place"] == place).map(|shift| shift["then"][0].clone())
    };
    assert_eq!((then("continent=NA"), then("elsewhere")), (Some(WEST.into()), Some(WEST.into())), "{plan}");
    assert_eq!(plan["steps"][0]["name"], "flip-switch/orders", "off first: {plan}");

    it.until_moved(&["evacuate", EAST, "--service", "orders", "--reason", "quake", "--wait", "--yes"]).await;
    until_answers(server, &EVERYWHERE, &europe).await;
    assert_eq!(answered(&it.state()), all_by(WEST), "every daemon was sent to the Region that is left");
    it.until("the evacuation to be settled", PATIENCE, |it| phase(&it.state()) == Some(ServicePhase::Steady)).await;
    until_answers(server, &EVERYWHERE, &europe).await;
    let service = it.json(&["get", "services", "orders"]).await;
    assert_eq!(service["services"][0]["regions"][0]["role"], "evacuated", "{service}");

    // The last Region that serves stays, whoever asks; and what has left cannot leave.
    let last = it.expect(3, &["evacuate", WEST, "--service", "orders", "--mode", "forced", "--yes"]).await;
    assert!(last.contains("last Region that serves orders"), "{last}");
    let again = it.expect(3, &["evacuate", EAST, "--service", "orders", "--yes"]).await;
    assert!(again.contains("it is evacuated already"), "{again}");
    it.expect(3, &["switch", "set", "orders", WEST, "off", "--yes"]).await;
    it.expect(2, &["evacuate", "mars-north-1", "--yes"]).await;
    until_answers(server, &EVERYWHERE, &europe).await;

    it.until_moved(&["restore", EAST, "--service", "orders", "--wait", "--yes"]).await;
    let said = answered(&it.state());
    let serves = |by: &String| [EAST, WEST].contains(&by.as_str());
    assert!(said.len() == 3 && said.iter().all(|(_, by)| by.len() == 1 && by.iter().all(serves)), "{said:?}");
    // First the smaller part of its people, then, once that was watched, whoever has the default location.
    until_answers(server, &[CALIFORNIA], &america).await;
    assert_eq!(phase(&it.state()), Some(ServicePhase::Returning));
    let described = it.json(&["get", "services", "orders"]).await;
    let share = described["services"][0]["regions"][0]["share"].as_u64();
    assert!(share.is_some_and(|share| share < 100), "{described}");
    let described = it.expect(0, &["describe", "service", "orders"]).await;
    assert!(described.contains(&format!("on ({} %)", share.unwrap_or_default())), "{described}");
    until_answers(server, &[JAPAN, BRAZIL, GERMANY], &europe).await;
    until_answers(server, &[CALIFORNIA, JAPAN, BRAZIL], &america).await;
    until_answers(server, &[GERMANY], &europe).await;
    it.until("the restore to be settled", PATIENCE, |it| phase(&it.state()) == Some(ServicePhase::Steady)).await;

    // The other one, which nobody has as default, too.
    it.until_moved(&["evacuate", WEST, "--wait", "--yes"]).await;
    until_answers(server, &EVERYWHERE, &america).await;
    assert_eq!(answered(&it.state()), all_by(EAST));
    it.until_moved(&["restore", WEST, "--wait", "--yes"]).await;
    until_answers(server, &[GERMANY], &europe).await;
    let state = it.state();
    assert!(state.runs.values().all(|run| run.service != ServiceName::from("orders") || run.state.is_closed()));
    let service = &state.services[&ServiceName::from("orders")];
    assert_eq!(state.serving(service), [&Region::from(EAST), &Region::from(WEST)]);
    let history = it.expect(0, &["history", "--service", "orders"]).await;
    assert!(!history.contains("violation"), "{history}");
    it.sandbox.stop().await;
}
