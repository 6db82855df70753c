//! Faults: each can be inflicted and taken back.

use std::fmt;

use failoverd_domain::ids::Region;
use failoverd_domain::route53::RecordType;

use super::ground::Ground;
use super::manifest::PUBLIC_NAME;
use super::whole::{EU_WEST, REGIONS, SERVICE, SPREAD, SimulatedFleet, US_EAST, region};
use crate::sim::world::{Draws, Resolution, Service};

/// Something that goes wrong for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The Region dies, its daemon too.
    RegionLoss(Region),
    /// The daemon dies.
    Crash(Region),
    /// Nothing gets from the first daemon to the second; nor from its Region's network to the other Region.
    OneWay(Region, Region),
    /// The two daemons do not reach each other.
    Pair(Region, Region),
    /// Nothing outside reaches the Region, and it reaches nothing.
    Isolated(Region),
    /// Nothing outside reaches the Region; its daemon is heard by the others and hears nobody.
    Deaf(Region),
    /// The Region's daemon sees neither the other's endpoints nor its APIs, but the daemons talk.
    Blind(Region, Region),
    /// No other daemon sees the Region's endpoints or APIs any more, but the world outside does.
    LooksDead(Region),
    /// What the first asks of the second arrives, but no answer comes back.
    LostReplies(Region, Region),
    /// The next calls that change something take effect, their answers are lost.
    LostAnswers(Region, Service),
    /// Route 53's API.
    Route53Api,
    /// Every call is throttled.
    Throttled(Region, Service),
    /// Calls take long.
    Slow(Region, Service),
    /// The service is away.
    ServiceAway(Region, Service),
    /// The Region's control planes are away.
    ControlPlane(Region),
    /// The database of the history is away.
    History(Region),
    /// The service's endpoints are bad.
    Endpoint(Region),
    /// The other service's endpoints are bad.
    SpreadEndpoint(Region),
    /// The clock of the Region's machine is so many milliseconds from where it was.
    ClockJump(Region, i64),
    /// The daemon has no DNS.
    NoDns(Region),
    /// The daemon's credentials are expired.
    Expired(Region),
    /// The daemon's role may no longer do something.
    Denied(Region, &'static str),
    /// Route 53 refuses the next changes: an earlier one is not complete.
    PriorRequest,
    /// The daemon's name server has not heard of the newest answer.
    OldAnswer(Region),
    /// The line between the two comes and goes, on grounds that have lines.
    Flapping(Region, Region),
    /// What the two send each other is on its way until the fault is over, and then arrives.
    Held(Region, Region),
    /// The line between the two is slow.
    SlowLine(Region, Region),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Fault {
    /// Its name, without where.
    #[must_use]
    pub fn kind(&self) -> String {
        let whole = self.to_string();
        whole.split('(').next().unwrap_or_default().to_owned()
    }

    /// A fault of a line.
    #[must_use]
    pub fn of_a_line(draws: &mut Draws) -> Self {
        let any = pick(draws, &REGIONS);
        let other = another(draws, &any);
        match below(draws, 3) {
            0 => Self::Flapping(any, other),
            1 => Self::Held(any, other),
            _ => Self::SlowLine(any, other),
        }
    }

    /// Any fault; those that matter most come more often.
    #[must_use]
    pub fn drawn(draws: &mut Draws) -> Self {
        let any = pick(draws, &REGIONS);
        let other = another(draws, &any);
        let member = pick(draws, &[US_EAST, EU_WEST]);
        let service = SERVICES[below(draws, SERVICES.len())];
        match below(draws, 37) {
            0..=3 => Self::RegionLoss(member),
            4..=7 => Self::Crash(any),
            8..=9 => Self::OneWay(any, other),
            10..=11 => Self::Pair(any, other),
            12 => Self::Isolated(any),
            13 => Self::LooksDead(member),
            14 => Self::Blind(any, other),
            15 => Self::LostReplies(any, other),
            16..=17 => Self::LostAnswers(if service == Service::Route53 { region(US_EAST) } else { member }, service),
            18..=19 => Self::Route53Api,
            20 => Self::Throttled(if service == Service::Route53 { region(US_EAST) } else { member }, service),
            21 => Self::Slow(member, service),
            22 => Self::ServiceAway(member, service),
            23 => Self::ControlPlane(member),
            24..=25 => Self::History(member),
            26 => Self::Endpoint(member),
            27 => [Self::Endpoint(member.clone()), Self::SpreadEndpoint(member)][below(draws, 2)].clone(),
            28 => Self::NoDns(any),
            29 => Self::Deaf(any),
            30..=31 => Self::ClockJump(any, jump(draws)),
            32..=33 => Self::Denied(any, ACTIONS[below(draws, ACTIONS.len())]),
            34 => Self::PriorRequest,
            35 => Self::OldAnswer(any),
            _ => Self::Expired(any),
        }
    }
}

const SERVICES: [Service; 7] = [
    Service::Rds,
    Service::Rds,
    Service::Route53,
    Service::Database,
    Service::Dynamodb,
    Service::Cloudwatch,
    Service::S3,
];

/// What a role may lose: whatever changes something in a run or in settlement.
const ACTIONS: [&str; 6] = [
    "rds:FailoverGlobalCluster",
    "rds:SwitchoverGlobalCluster",
    "rds:PromoteReadReplica",
    "rds:ModifyDBCluster",
    "rds:ModifyDBInstance",
    "route53:ChangeResourceRecordSets",
];

/// So many changes of records are refused one after the other.
const PRIOR_REQUESTS: u32 = 3;

/// Seconds or hours, back or forth; short ones and long ones alike.
fn jump(draws: &mut Draws) -> i64 {
    const SIZES: [i64; 5] = [1_500, 12_000, 90_000, 600_000, 3 * 3_600_000];
    let size = SIZES[below(draws, SIZES.len())];
    if below(draws, 2) == 0 { size } else { -size }
}

/// A number below `limit`.
#[must_use]
pub(super) fn below(draws: &mut Draws, limit: usize) -> usize {
    usize::try_from(draws.next_u64() % (limit as u64)).unwrap_or(0)
}

pub(super) fn pick(draws: &mut Draws, names: &[&str]) -> Region {
    region(names[below(draws, names.len())])
}

fn another(draws: &mut Draws, than: &Region) -> Region {
    let others: Vec<&str> = REGIONS.into_iter().filter(|name| *name != than.as_str()).collect();
    pick(draws, &others)
}

impl<G: Ground> SimulatedFleet<G> {
    /// Makes it so.
    pub async fn inflict(&mut self, fault: &Fault) {
        self.judge.tell(format!("fault: {fault}"));
        self.judge.tally(|tally| tally.figures.fault(fault));
        match fault {
            Fault::RegionLoss(at) => self.break_region(at).await,
            Fault::Crash(at) => self.crash(at).await,
            _ => self.set_fault(fault, true),
        }
    }

    /// Takes it back.
    pub async fn take_back(&mut self, fault: &Fault) {
        self.judge.tell(format!("over: {fault}"));
        match fault {
            Fault::RegionLoss(at) => self.heal_region(at).await,
            // The daemon of a Region that is down has nowhere to run.
            Fault::Crash(at) if !self.aws.is_up(at) => {}
            Fault::Crash(at) => self.start(at).await,
            _ => self.set_fault(fault, false),
        }
    }

    /// What the service's name is answered now.
    fn told(&self) -> Option<Vec<String>> {
        match self.aws.with(|world| world.resolve(PUBLIC_NAME, RecordType::A, None)) {
            Resolution::Found(_, answer) => Some(answer.values),
            _ => None,
        }
    }

    fn set_fault(&self, fault: &Fault, on: bool) {
        let (aws, ground) = (&self.aws, &self.ground);
        let cut = |from: &Region, to: &Region| ground.set_cut(from, to, on);
        let unseen = |from: &Region, to: &Region| if on { aws.cut(from, to) } else { aws.mend(from, to) };
        match fault {
            Fault::RegionLoss(_) | Fault::Crash(_) => {}
            Fault::OneWay(a, b) => {
                cut(a, b);
                unseen(a, b);
            }
            Fault::Pair(a, b) => {
                cut(a, b);
                cut(b, a);
            }
            Fault::Isolated(at) if on => self.isolate(at),
            Fault::Isolated(at) => self.rejoin(at),
            Fault::Deaf(at) => {
                if on {
                    aws.isolate(at)
                } else {
                    aws.rejoin(at)
                }
                REGIONS.map(region).iter().filter(|from| *from != at).for_each(|from| cut(from, at));
            }
            Fault::Blind(a, b) => unseen(a, b),
            Fault::LooksDead(at) => {
                REGIONS.map(region).iter().filter(|from| *from != at).for_each(|from| unseen(from, at))
            }
            Fault::LostReplies(a, b) => ground.set_replies_lost(a, b, on),
            Fault::LostAnswers(at, service) => aws.lose_next_answers(at, *service, if on { 2 } else { 0 }),
            Fault::Route53Api if on => aws.break_route53_api(),
            Fault::Route53Api => aws.heal_route53_api(),
            Fault::Throttled(at, service) => aws.throttle(at, *service, on),
            Fault::Slow(at, service) => aws.slow(at, *service, if on { 1_500 } else { 0 }),
            Fault::ServiceAway(at, service) if on => aws.break_service(at, *service),
            Fault::ServiceAway(at, service) => aws.heal_service(at, *service),
            Fault::ControlPlane(at) if on => aws.break_control_plane(at),
            Fault::ControlPlane(at) => aws.heal_control_plane(at),
            Fault::History(at) => self.set_history_away(at, on),
            Fault::Endpoint(at) => aws.set_endpoint(at, &SERVICE.into(), !on),
            Fault::SpreadEndpoint(at) => aws.set_endpoint(at, &SPREAD.into(), !on),
            Fault::ClockJump(at, by_ms) => self.homes[at].machine.set(if on { *by_ms } else { -by_ms }),
            Fault::NoDns(at) => aws.set_dns_reachable(at, !on),
            Fault::Expired(at) => aws.expire_credentials(at, on),
            Fault::Denied(at, action) => aws.deny(at, action, on),
            Fault::PriorRequest => aws.hold_up_changes(if on { PRIOR_REQUESTS } else { 0 }),
            Fault::OldAnswer(at) => {
                let told = self.told().filter(|_| on);
                let values: Option<Vec<&str>> = told.as_ref().map(|values| values.iter().map(String::as_str).collect());
                aws.set_old_answer(at, PUBLIC_NAME, values.as_deref());
            }
            Fault::Flapping(..) | Fault::Held(..) | Fault::SlowLine(..) => ground.set_line(fault, on),
        }
    }
}
