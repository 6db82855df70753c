//! Hosted zones: records as the API holds them, and as the name servers have them some time later.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use failoverd_domain::ids::{HealthCheckId, Region};
use failoverd_domain::route53::{Answer, Change, Place, Query, RecordSet, RecordType, answer};

use super::faults::{ROUTE53_REGION, Service};
use super::refusal::Refusal;
use super::{SimulatedAws, World, zone_rules};
use crate::ports::{Quota, ZoneInfo};

/// Name, type and set identifier: what tells record sets apart.
pub(super) type Key = (String, RecordType, Option<String>);

/// One hosted zone.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Without a trailing dot.
    pub name: String,
    /// `Z…`.
    pub id: String,
    /// Regions by latency, for askers of unknown place.
    pub regions: Vec<Region>,
    /// Answered inside VPCs only; nobody outside gets an answer.
    pub private: bool,
    pub(super) records: BTreeMap<Key, RecordSet>,
    /// The same as they are listed.
    listing: Arc<Vec<RecordSet>>,
    /// What the name servers have.
    visible: Arc<Vec<RecordSet>>,
    pending: VecDeque<Pending>,
    /// Newest change that all name servers have.
    in_sync_up_to: u64,
}

#[derive(Clone, Debug)]
struct Pending {
    change: u64,
    due_ms: u64,
    records: Arc<Vec<RecordSet>>,
}

/// What a name server says to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The name lies in no zone here.
    NotAuthoritative,
    /// No such name; the zone's apex comes along.
    NoSuchName(String),
    /// The name exists; values may be empty. The zone's apex comes along.
    Found(String, Answer),
}

/// Lower case, no trailing dot.
pub(super) fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

pub(super) fn is_within(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|head| head.is_empty() || head.ends_with('.'))
}

pub(super) fn key_of(set: &RecordSet) -> Key {
    (canonical(&set.name), set.record_type, set.set_identifier.clone())
}

impl Zone {
    pub(super) fn advance(&mut self, now_ms: u64) {
        while self.pending.front().is_some_and(|pending| pending.due_ms <= now_ms) {
            if let Some(pending) = self.pending.pop_front() {
                self.visible = pending.records;
                self.in_sync_up_to = pending.change;
            }
        }
    }

    /// Record sets as the API lists them.
    pub fn records(&self) -> impl Iterator<Item = &RecordSet> {
        self.records.values()
    }

    /// As the API lists them, to be shared.
    pub fn listing(&self) -> Arc<Vec<RecordSet>> {
        self.listing.clone()
    }

    fn knows(&self, name: &str) -> bool {
        let below = format!(".{name}");
        self.visible.iter().any(|set| set.name == name || set.name.ends_with(&below))
    }

    pub(super) fn is(&self, name_or_id: &str) -> bool {
        self.id == name_or_id.trim_start_matches("/hostedzone/") || self.name == canonical(name_or_id)
    }
}

impl World {
    /// The zone of that name or id.
    pub fn zone(&self, name_or_id: &str) -> Result<&Zone, Refusal> {
        self.zones.values().find(|zone| zone.is(name_or_id)).ok_or_else(|| no_such_zone(name_or_id))
    }

    /// All zones, by name.
    pub fn zones(&self) -> impl Iterator<Item = &Zone> {
        self.zones.values()
    }

    /// Makes a zone with its NS and SOA records, known to the name servers at once.
    pub fn create_zone(&mut self, name: &str, regions: &[Region]) -> String {
        let name = canonical(name);
        if let Some(zone) = self.zones.get(&name) {
            return zone.id.clone();
        }
        let id = format!("Z{:012X}", self.draws.next_u64() & 0xFFFF_FFFF_FFFF);
        let records: BTreeMap<Key, RecordSet> =
            apex_records(&name).into_iter().map(|set| (key_of(&set), set)).collect();
        let listing: Arc<Vec<RecordSet>> = Arc::new(records.values().cloned().collect());
        let (regions, pending) = (regions.to_vec(), VecDeque::new());
        let zone = Zone {
            name: name.clone(),
            id: id.clone(),
            regions,
            private: false,
            records,
            visible: listing.clone(),
            listing,
            pending,
            in_sync_up_to: self.changes,
        };
        self.zones.insert(name, zone);
        id
    }

    /// As [`Self::create_zone`], but private to some VPC.
    pub fn create_private_zone(&mut self, name: &str) -> String {
        let id = self.create_zone(name, &[]);
        self.zones.values_mut().filter(|zone| zone.id == id).for_each(|zone| zone.private = true);
        id
    }

    /// The public zone of that name: a client that is after public names takes no other.
    pub fn public_zone(&self, name: &str) -> Result<&Zone, Refusal> {
        let zone = self.zone(name)?;
        if zone.private {
            let message = format!("{name} is a private hosted zone: Route 53's checkers decide only in public ones");
            return Err(Refusal::new("NoSuchHostedZone", message));
        }
        Ok(zone)
    }

    /// The zone of that name, and how full it is ("Quotas on records").
    pub fn zone_info(&self, zone: &str) -> Result<ZoneInfo, Refusal> {
        let zone = self.zone(zone)?;
        let records = Quota { used: u64::try_from(zone.records.len()).unwrap_or(u64::MAX), limit: 10_000 };
        Ok(ZoneInfo { name: zone.name.clone(), id: zone.id.clone(), records })
    }

    /// `DeleteHostedZone`: only an empty one.
    pub fn delete_zone(&mut self, zone: &str) -> Result<(), Refusal> {
        let found = self.zone(zone)?;
        if found.records.len() > 2 {
            let message =
                "The specified hosted zone contains non-required resource record sets and so cannot be deleted.";
            return Err(Refusal::new("HostedZoneNotEmpty", message));
        }
        let name = found.name.clone();
        self.zones.remove(&name);
        Ok(())
    }

    /// `ListResourceRecordSets`.
    pub fn list_records(&self, zone: &str) -> Result<Vec<RecordSet>, Refusal> {
        Ok(self.zone(zone)?.records.values().cloned().collect())
    }

    /// `ChangeResourceRecordSets`: all or nothing. Returns the change's id.
    pub fn change_records(&mut self, zone: &str, changes: &[Change]) -> Result<String, Refusal> {
        let name = self.zone(zone)?.name.clone();
        if self.faults.prior_requests > 0 {
            self.faults.prior_requests -= 1;
            let message = "The request was rejected because Route 53 was still processing a prior request.";
            return Err(Refusal::later("PriorRequestNotComplete", message));
        }
        let zone = self.zones.get(&name).ok_or_else(|| no_such_zone(&name))?;
        let records = zone_rules::apply(zone, changes, &|check: &HealthCheckId| self.checks.exists(check))?;
        self.changes += 1;
        let change = self.changes;
        let due_ms = self.now_ms + self.timing.dns_propagation_ms;
        let listing: Arc<Vec<RecordSet>> = Arc::new(records.values().cloned().collect());
        if let Some(zone) = self.zones.get_mut(&name) {
            zone.records = records;
            zone.listing = listing.clone();
            zone.pending.push_back(Pending { change, due_ms, records: listing });
        }
        let arguments = zone_rules::describe(&name, changes);
        self.note(Service::Route53, "ChangeResourceRecordSets", &ROUTE53_REGION.into(), arguments, true);
        self.advance(self.now());
        Ok(format!("C{change:010}"))
    }

    /// `GetChange`: whether the change is INSYNC.
    pub fn change_in_sync(&self, change: &str) -> Result<bool, Refusal> {
        let number = change.trim_start_matches("/change/").strip_prefix('C').and_then(|n| n.parse::<u64>().ok());
        let number = number.filter(|n| (1..=self.changes).contains(n));
        let number = number
            .ok_or_else(|| Refusal::new("NoSuchChange", format!("A change with the ID {change} does not exist.")))?;
        let pending = |zone: &Zone| zone.pending.iter().any(|pending| pending.change == number);
        Ok(!self.zones.values().any(pending))
    }

    /// What the name servers answer now. `from` is the asker's place; without one, the zone's own order of Regions.
    pub fn resolve(&mut self, name: &str, record_type: RecordType, from: Option<Place>) -> Resolution {
        let name = canonical(name);
        let public = self.zones.values().filter(|zone| !zone.private);
        let best = public.filter(|zone| is_within(&name, &zone.name)).max_by_key(|zone| zone.name.len());
        let Some(zone) = best else { return Resolution::NotAuthoritative };
        let draw = self.draws.next_u32();
        let from = from.unwrap_or_else(|| Place { regions_by_latency: zone.regions.clone(), ..Place::default() });
        let query = Query { name, record_type, from, draw };
        let answer = answer(&zone.visible, &|check| self.check_is_healthy(check), &query);
        let exists = answer.record_type.is_some() || !answer.considered.is_empty() || zone.knows(&query.name);
        let apex = zone.name.clone();
        if exists { Resolution::Found(apex, self.with_addresses(answer)) } else { Resolution::NoSuchName(apex) }
    }

    /// The Region that an address is in: the one whose own record leads there. Names of those are `fo-REGION.NAME`.
    #[must_use]
    pub fn region_at(&self, address: IpAddr) -> Option<Region> {
        let text = address.to_string();
        let leads_there = |set: &&RecordSet| match &set.alias {
            Some(alias) => {
                let balancer = self.load_balancers.get(&canonical(&alias.dns_name));
                balancer.is_some_and(|addresses| addresses.contains(&address))
            }
            None => set.values.contains(&text),
        };
        let records = self.zones.values().flat_map(|zone| zone.visible.iter());
        records.filter(leads_there).find_map(|set| {
            let own = set.name.strip_prefix("fo-")?;
            Some(Region::from(own.split_once('.')?.0))
        })
    }

    /// Route 53 answers an alias to a load balancer with the load balancer's addresses; an unknown one has none.
    fn with_addresses(&self, mut answer: Answer) -> Answer {
        if let Some(alias) = &answer.alias {
            let addresses = self.load_balancers.get(&canonical(&alias.dns_name)).map(Vec::as_slice).unwrap_or_default();
            let fits = |address: &&std::net::IpAddr| match answer.record_type {
                Some(RecordType::A) => address.is_ipv4(),
                Some(RecordType::Aaaa) => address.is_ipv6(),
                _ => false,
            };
            answer.values = addresses.iter().filter(fits).map(ToString::to_string).collect();
        }
        answer
    }
}

impl SimulatedAws {
    /// Makes a hosted zone; `regions` is the order of latency for askers of unknown place. Returns its id.
    pub fn create_zone(&self, name: &str, regions: &[Region]) -> String {
        self.with(|world| world.create_zone(name, regions))
    }
}

fn no_such_zone(zone: &str) -> Refusal {
    Refusal::new("NoSuchHostedZone", format!("No hosted zone found with ID: {zone}"))
}

fn apex_records(zone: &str) -> [RecordSet; 2] {
    let set = |record_type, ttl_s, values| RecordSet::simple(zone, record_type, ttl_s, values);
    let servers: Vec<String> =
        ["com", "net", "org", "co.uk"].iter().enumerate().map(|(n, tld)| format!("ns-{n}.awsdns-0{n}.{tld}")).collect();
    let soa = format!("{}. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400", servers[0]);
    [set(RecordType::Ns, 172_800, servers), set(RecordType::Soa, 900, vec![soa])]
}
