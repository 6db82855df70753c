//! A real DNS server over UDP and TCP that answers authoritatively as the simulated Route 53 does.
//!
//! It knows nothing but the simulated zones: other names are REFUSED. It never makes up an address. Where somebody asks
//! from is told by EDNS client subnet (RFC 7871), as Route 53 takes it: `dig +subnet=198.18.6.0/24` asks from Germany.

use std::net::SocketAddr;
use std::time::Duration;

use failoverd_domain::route53::{Answer, Place, RecordType};
use hickory_proto::op::{Edns, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::rdata::{CNAME, NS, SOA, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType as WireType};
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::net::{TcpListener, UdpSocket};

use super::world::{Resolution, SimulatedAws, place_of};

/// Idle TCP connections are closed after this long.
const TCP_TIMEOUT: Duration = Duration::from_secs(5);
const TCP_BUFFER: usize = 128;
/// DNS flag day 2020.
const MAX_UDP_BYTES: u16 = 1_232;
/// Networks that stand for places are so long.
const NETWORK_BITS: u8 = 24;
/// A TXT string holds at most so many bytes; longer values are sent as several strings.
const TXT_STRING_BYTES: usize = 255;

/// A name server of the simulated Route 53. It answers from the moment it is bound until it is dropped.
pub struct DnsServer {
    server: Server<Route53Answers>,
    address: SocketAddr,
}

impl DnsServer {
    /// Binds UDP and TCP on the same port; port 0 takes a free one.
    pub async fn bind(aws: SimulatedAws, address: SocketAddr) -> std::io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        let address = tcp.local_addr()?;
        let udp = UdpSocket::bind(address).await?;
        let mut server = Server::new(Route53Answers { aws });
        server.register_socket(udp);
        server.register_listener(tcp, TCP_TIMEOUT, TCP_BUFFER);
        Ok(Self { server, address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs until it fails or is dropped.
    pub async fn run(mut self) -> std::io::Result<()> {
        self.server.block_until_done().await.map_err(std::io::Error::other)
    }
}

struct Route53Answers {
    aws: SimulatedAws,
}

/// What goes into one response.
struct Reply {
    code: ResponseCode,
    answers: Vec<Record>,
    soa: Vec<Record>,
}

impl Reply {
    const fn bare(code: ResponseCode) -> Self {
        Self { code, answers: Vec::new(), soa: Vec::new() }
    }
}

impl Route53Answers {
    fn reply(&self, name: &Name, asked: WireType, from: Option<Place>) -> Reply {
        let text = name.to_ascii();
        // A type that the simulation does not hold is like a type that the name does not have, except that a CNAME
        // answers for it too.
        let record_type = known_type(asked).unwrap_or(RecordType::Cname);
        let (apex, code, answers) = match self.aws.with(|world| world.resolve(&text, record_type, from)) {
            Resolution::NotAuthoritative => return Reply::bare(ResponseCode::Refused),
            Resolution::NoSuchName(apex) => (apex, ResponseCode::NXDomain, Vec::new()),
            Resolution::Found(apex, answer) => (apex, ResponseCode::NoError, records(name, &answer)),
        };
        let soa = if answers.is_empty() { self.soa(&apex) } else { Vec::new() };
        Reply { code, answers, soa }
    }

    fn soa(&self, apex: &str) -> Vec<Record> {
        match (self.aws.with(|world| world.resolve(apex, RecordType::Soa, None)), Name::from_ascii(apex)) {
            (Resolution::Found(_, answer), Ok(name)) => records(&name, &answer),
            _ => Vec::new(),
        }
    }
}

#[async_trait::async_trait]
impl RequestHandler for Route53Answers {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut handle: R) -> ResponseInfo {
        let subnet = request.edns.as_ref().and_then(subnet);
        let from = subnet.and_then(|subnet| place_of(subnet.addr()));
        let reply = match request.request_info() {
            Ok(asked) if request.metadata.op_code == OpCode::Query && asked.query.query_class() == DNSClass::IN => {
                self.reply(asked.query.original().name(), asked.query.query_type(), from)
            }
            Ok(_) => Reply::bare(ResponseCode::NotImp),
            Err(_) => Reply::bare(ResponseCode::FormErr),
        };
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = reply.code;
        metadata.authoritative = matches!(reply.code, ResponseCode::NoError | ResponseCode::NXDomain);
        let edns = request.edns.as_ref().map(edns_reply);
        let mut builder = MessageResponseBuilder::from_message_request(request);
        if let Some(edns) = &edns {
            builder.edns(edns);
        }
        let response = builder.build(metadata, &reply.answers, [], &reply.soa, []);
        handle.send_response(response).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "dns answer could not be sent");
            ResponseInfo::from(hickory_proto::op::Header { metadata, counts: Default::default() })
        })
    }
}

/// An asker that speaks EDNS is answered in it, with as much room as it offers (at most what passes unfragmented).
fn edns_reply(asked: &Edns) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(asked.max_payload().clamp(512, MAX_UDP_BYTES));
    if let Some(mut subnet) = subnet(asked) {
        // The answer holds for that network, or for everybody.
        subnet.set_scope_prefix(if place_of(subnet.addr()).is_some() { NETWORK_BITS } else { 0 });
        edns.options_mut().insert(EdnsOption::Subnet(subnet));
    }
    edns
}

/// The network that the question comes from.
fn subnet(asked: &Edns) -> Option<ClientSubnet> {
    match asked.option(EdnsCode::Subnet) {
        Some(EdnsOption::Subnet(subnet)) => Some(*subnet),
        _ => None,
    }
}

const fn known_type(asked: WireType) -> Option<RecordType> {
    Some(match asked {
        WireType::A => RecordType::A,
        WireType::AAAA => RecordType::Aaaa,
        WireType::CNAME => RecordType::Cname,
        WireType::TXT => RecordType::Txt,
        WireType::NS => RecordType::Ns,
        WireType::SOA => RecordType::Soa,
        _ => return None,
    })
}

/// A value that does not parse is left out: Route 53 would not have taken it.
fn records(name: &Name, answer: &Answer) -> Vec<Record> {
    let Some(record_type) = answer.record_type else { return Vec::new() };
    let values = answer.values.iter().filter_map(|value| rdata(record_type, value));
    values.map(|rdata| Record::from_rdata(name.clone(), answer.ttl_s, rdata)).collect()
}

fn rdata(record_type: RecordType, value: &str) -> Option<RData> {
    let fully_qualified = |name: &str| Name::from_ascii(format!("{}.", name.trim_end_matches('.'))).ok();
    Some(match record_type {
        RecordType::A => RData::A(value.parse().ok()?),
        RecordType::Aaaa => RData::AAAA(value.parse().ok()?),
        RecordType::Cname => RData::CNAME(CNAME(fully_qualified(value)?)),
        RecordType::Ns => RData::NS(NS(fully_qualified(value)?)),
        RecordType::Txt => RData::TXT(TXT::from_bytes(value.as_bytes().chunks(TXT_STRING_BYTES).collect())),
        RecordType::Soa => soa(value)?,
        // Held for whoever looks through the API; nobody asks the simulated name servers for them.
        _ => return None,
    })
}

fn soa(value: &str) -> Option<RData> {
    let mut fields = value.split_whitespace();
    let (mname, rname) = (Name::from_ascii(fields.next()?).ok()?, Name::from_ascii(fields.next()?).ok()?);
    let mut number = || fields.next()?.parse::<u32>().ok();
    let serial = number()?;
    let mut seconds = || number()?.try_into().ok();
    Some(RData::SOA(SOA::new(mname, rname, serial, seconds()?, seconds()?, seconds()?, number()?)))
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
