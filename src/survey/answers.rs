//! Looks at a service's names for whoever verifies an answer: this daemon itself, or the one that leads.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;
use std::time::Duration;

use failoverd_domain::fleet::FleetState;
use failoverd_domain::health::Status;
use failoverd_domain::route53::RecordType;
use failoverd_domain::service::{ProbeSpec, PublicRecord, ServiceSpec, Signal, Weight};
use failoverd_domain::traffic::{Heard, LookUp, NameProbe, NameSeen, Question, Sighting, questions, through_name};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::iter;
use tokio::time::{Instant, timeout_at};

use crate::ports::{NotGood, World};

/// All questions together: a daemon that cannot tell by then says so, in time to be heard.
pub const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// Questions under way at a time.
const AT_ONCE: usize = 64;

/// Asks the zone's authoritative servers about the names of one service and of those that move with it, as their
/// manifests stand here.
///
/// # Errors
/// The service is not known here.
pub async fn look_up(world: &World, state: &FleetState, asked: &LookUp) -> Result<Sighting, String> {
    let service = state.services.get(&asked.service);
    let service = service.ok_or_else(|| format!("service {} is not known there", asked.service))?;
    let deadline = Instant::now() + LOOK_LIMIT;
    let specs: Vec<&ServiceSpec> = state.moved_together(service).into_iter().map(|moved| moved.spec.as_ref()).collect();
    if asked.through {
        return Ok(Sighting { names: Vec::new(), probes: probes(world, &specs, deadline).await });
    }
    let each: Vec<(usize, Question)> = specs
        .into_iter()
        .flat_map(questions)
        .enumerate()
        .flat_map(|(n, question)| {
            let times = usize::try_from(question.times).unwrap_or(1);
            std::iter::repeat_n((n, question), times)
        })
        .collect();
    let answers = iter(each).map(|(n, question)| async move {
        let ask = || timeout_at(deadline, world.dns.ask(&question.name, question.record_type));
        let mut answer = ask().await;
        // Of many questions one is lost now and then.
        if let Ok(Err(_)) = answer
            && let Ok(Ok(second)) = ask().await
        {
            answer = Ok(Ok(second));
        }
        let limit = LOOK_LIMIT.as_secs();
        let answer = answer.unwrap_or_else(|_| Err(format!("{}: no answer within {limit} s", question.name)));
        (n, question, answer)
    });
    let mut answers = answers.buffer_unordered(AT_ONCE);
    let mut names: BTreeMap<usize, NameSeen> = BTreeMap::new();
    while let Some((n, question, answer)) = answers.next().await {
        match names.entry(n) {
            Entry::Occupied(seen) => add(seen.into_mut(), answer),
            Entry::Vacant(new) => {
                new.insert(NameSeen { question, heard: answer.map(|heard| vec![heard]) });
            }
        }
    }
    Ok(Sighting { names: names.into_values().collect(), probes: Vec::new() })
}

/// One question without an answer leaves nothing to say about its name.
fn add(seen: &mut NameSeen, answer: Result<Heard, String>) {
    match (&mut seen.heard, answer) {
        (Ok(heard), Ok(answer)) => heard.push(answer),
        (Ok(_), Err(why)) => seen.heard = Err(why),
        (Err(_), _) => {}
    }
}

/// The service through its names, where it has signals that can be asked so.
#[must_use]
pub fn probes_through(spec: &ServiceSpec) -> Vec<(&PublicRecord, &Signal)> {
    let records = spec.traffic.records.iter().filter(|record| record.record_type == RecordType::A);
    let with_signals = |record| {
        let required = spec.health.signals.iter().filter(|signal| signal.weight == Weight::Required);
        required.map(move |signal| (record, signal))
    };
    records
        .flat_map(with_signals)
        .filter(|(record, signal)| through_name(&signal.probe, &record.name).is_some())
        .collect()
}

/// How a service answers somebody who asks by its public names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Bad if any name is; unknown where nothing could be asked.
    pub status: Status,
    /// The slowest good answer, milliseconds.
    pub latency_ms: Option<u64>,
    /// What was seen.
    pub detail: String,
}

/// Asks a service by its public names over HTTP, as its users do; `None` where it has no such signal. A dead place is
/// waited for as long as the signal says, and then counts as bad.
pub async fn ask_through(world: &World, spec: &ServiceSpec) -> Option<Answered> {
    let each = probes_through(spec).into_iter();
    let each: Vec<_> = each.filter(|(_, signal)| matches!(signal.probe, ProbeSpec::Http { .. })).collect();
    let longest_ms = each.iter().map(|(_, signal)| signal.probe.timeout_ms()).max()?;
    let deadline = Instant::now() + LOOK_LIMIT + Duration::from_millis(longest_ms);
    let asked = each.into_iter().map(|(record, signal)| async move {
        let started = Instant::now();
        let seen = probe(world, record, signal, deadline).await?;
        Some((seen, u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)))
    });
    let seen: Vec<(NameProbe, u64)> = join_all(asked).await.into_iter().flatten().collect();
    let bad = seen.iter().find(|(seen, _)| !seen.good);
    let latency_ms = seen.iter().filter(|(seen, _)| seen.good).map(|(_, ms)| *ms).max();
    let (status, told) = match (bad, seen.first()) {
        (Some((bad, _)), _) => (Status::Bad, Some(bad)),
        (None, Some((good, _))) => (Status::Good, Some(good)),
        (None, None) => (Status::Unknown, None),
    };
    let detail = told.map(|seen| format!("{}: {}", seen.name, seen.detail));
    let detail = detail.unwrap_or_else(|| "no name server answered with an address in time".to_owned());
    Some(Answered { status, latency_ms: latency_ms.filter(|_| bad.is_none()), detail })
}

/// What could not even be tried says nothing against the service and is left out.
async fn probes(world: &World, specs: &[&ServiceSpec], deadline: Instant) -> Vec<NameProbe> {
    let each = specs.iter().copied().flat_map(probes_through);
    let each: Vec<_> = each.map(|(record, signal)| probe(world, record, signal, deadline)).collect();
    iter(each).buffered(AT_ONCE).filter_map(std::future::ready).collect().await
}

async fn probe(world: &World, record: &PublicRecord, signal: &Signal, deadline: Instant) -> Option<NameProbe> {
    let heard = timeout_at(deadline, world.dns.ask(&record.name, RecordType::A)).await.ok()?.ok()?;
    let address: IpAddr = heard.values.first()?.parse().ok()?;
    let (good, detail) = match timeout_at(deadline, world.prober.through(&signal.probe, &record.name, address)).await {
        Ok(Ok(seen)) => (true, seen),
        Ok(Err(NotGood::Bad(seen))) => (false, seen),
        Ok(Err(NotGood::Unknown(_))) => return None,
        // Cut off before its own limit: nobody can tell.
        Err(_) => return None,
    };
    let (name, signal) = (record.name.clone(), signal.name.clone());
    Some(NameProbe { name, signal, good, detail: format!("{address}: {detail}") })
}
