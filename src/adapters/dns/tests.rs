//! Against small servers on this machine; everything is bounded by the client's own limits.

use std::net::SocketAddr;

use failoverd_domain::route53::RecordType;
use failoverd_domain::traffic::Heard;
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_proto::rr::{Name, RData, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::AuthoritativeDns;
use crate::ports::Dns;

fn data_for(name: &str, question: &str) -> Vec<RData> {
    match (name, question) {
        ("api.example.com.", "A") => vec![RData::A(A::new(192, 0, 2, 20)), RData::A(A::new(192, 0, 2, 10))],
        ("api.example.com.", "AAAA") => vec![RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))],
        ("www.example.com.", "CNAME") => vec![RData::CNAME(CNAME(Name::from_ascii("API.example.com.").unwrap()))],
        ("_failoverd.checkout.example.com.", "TXT") => {
            vec![RData::TXT(TXT::new(vec!["fleet=F generation=1 ".to_owned(), "epoch=2 index=3".to_owned()]))]
        }
        ("many.example.com.", "A") => (0..100).map(|last| RData::A(A::new(192, 0, 2, last))).collect(),
        _ => Vec::new(),
    }
}

fn answer(question: &[u8], may_truncate: bool) -> Vec<u8> {
    let asked = Message::from_vec(question).unwrap();
    let query = asked.queries[0].clone();
    let mut answer = asked.clone();
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.authoritative = true;
    let name = query.name().to_ascii().to_lowercase();
    let data = data_for(&name, &query.query_type().to_string());
    match name.as_str() {
        "refused.example.com." => answer.metadata.response_code = ResponseCode::Refused,
        "nobody.example.com." => answer.metadata.response_code = ResponseCode::NXDomain,
        "many.example.com." if may_truncate => answer.metadata.truncation = true,
        _ => {
            answer.answers = (data.into_iter().zip(0..))
                .map(|(data, n)| Record::from_rdata(query.name().clone(), 30 + 15 * (n % 2), data))
                .collect()
        }
    }
    answer.to_vec().unwrap()
}

async fn over_tcp(mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut question = vec![0; usize::from(length)];
        stream.read_exact(&mut question).await?;
        let answer = answer(&question, false);
        stream.write_u16(u16::try_from(answer.len()).unwrap()).await?;
        stream.write_all(&answer).await?;
    }
}

/// One port for UDP and TCP; another one is tried when somebody else has its TCP half.
pub(super) async fn both() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

/// A server on one port, UDP and TCP.
pub(super) async fn server() -> (SocketAddr, JoinSet<()>) {
    let (udp, tcp) = both().await;
    let address = udp.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut question = [0; 4096];
        while let Ok((length, from)) = udp.recv_from(&mut question).await {
            let _ = udp.send_to(&answer(&question[..length], true), from).await;
        }
    });
    tasks.spawn(async move {
        while let Ok((stream, _)) = tcp.accept().await {
            let _ = over_tcp(stream).await;
        }
    });
    (address, tasks)
}

#[tokio::test]
async fn an_answer_says_how_long_it_may_be_kept() {
    let (address, _tasks) = server().await;
    let dns = AuthoritativeDns::new(&[address]).unwrap();
    let heard = dns.ask("api.example.com", RecordType::A).await.unwrap();
    assert_eq!((heard.ttl_s, heard.values.len()), (45, 2), "the longest of its records");
}

#[tokio::test]
async fn values_come_sorted_and_bare() {
    let (address, _tasks) = server().await;
    let dns = AuthoritativeDns::new(&[address]).unwrap();
    let ask = async |name: &str, record_type| dns.ask(name, record_type).await.map(|heard| heard.values);
    assert_eq!(ask("api.example.com", RecordType::A).await.unwrap(), ["192.0.2.10", "192.0.2.20"]);
    assert_eq!(ask("api.example.com.", RecordType::Aaaa).await.unwrap(), ["2001:db8::1"]);
    assert_eq!(ask("www.example.com", RecordType::Cname).await.unwrap(), ["api.example.com"]);
    let fence = ask("_failoverd.checkout.example.com", RecordType::Txt).await.unwrap();
    assert_eq!(fence, ["fleet=F generation=1 epoch=2 index=3"]);
}

#[tokio::test]
async fn no_such_name_and_no_such_type_are_empty_answers() {
    let (address, _tasks) = server().await;
    let dns = AuthoritativeDns::new(&[address]).unwrap();
    assert_eq!(dns.ask("nobody.example.com", RecordType::A).await, Ok(Heard::default()));
    assert_eq!(dns.ask("www.example.com", RecordType::Txt).await, Ok(Heard::default()));
}

#[tokio::test]
async fn a_refusal_is_an_error_and_not_an_empty_answer() {
    let (address, _tasks) = server().await;
    let dns = AuthoritativeDns::new(&[address]).unwrap();
    let error = dns.ask("refused.example.com", RecordType::A).await.unwrap_err();
    assert!(error.starts_with("refused.example.com A: "), "{error}");
}

#[tokio::test]
async fn a_cut_answer_is_asked_again_over_tcp() {
    let (address, _tasks) = server().await;
    let dns = AuthoritativeDns::new(&[address]).unwrap();
    assert_eq!(dns.ask("many.example.com", RecordType::A).await.unwrap().values.len(), 100);
}

#[tokio::test]
async fn a_silent_server_is_passed_over_and_silence_alone_is_an_error() {
    let (silent, _silent_tcp) = both().await;
    let (address, _tasks) = server().await;
    let both = AuthoritativeDns::new(&[silent.local_addr().unwrap(), address]).unwrap();
    assert_eq!(both.ask("api.example.com", RecordType::A).await.unwrap().values.len(), 2);
    let alone = AuthoritativeDns::new(&[silent.local_addr().unwrap()]).unwrap();
    assert!(alone.ask("api.example.com", RecordType::A).await.is_err());
    assert!(AuthoritativeDns::new(&[]).is_err());
}

#[tokio::test]
async fn nothing_is_remembered() {
    let (address, mut tasks) = server().await;
    let dns = AuthoritativeDns::new(&[address]).unwrap();
    assert!(dns.ask("api.example.com", RecordType::A).await.is_ok());
    assert!(dns.ask("nobody.example.com", RecordType::A).await.is_ok());
    tasks.shutdown().await;
    assert!(dns.ask("api.example.com", RecordType::A).await.is_err());
    assert!(dns.ask("nobody.example.com", RecordType::A).await.is_err());
}
