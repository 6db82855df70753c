//! Looks at a service's names for whoever verifies an answer: this daemon itself, or the one that leads.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;
use std::time::Duration;

use failoverd_domain::fleet::FleetState;
use failoverd_domain::route53::RecordType;
use failoverd_domain::service::{PublicRecord, ServiceSpec, Signal, Weight};
use failoverd_domain::traffic::{Heard, LookUp, NameProbe, NameSeen, Question, Sighting, questions, through_name};
use futures_util::StreamExt;
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

/// What could not even be tried says nothing against the service and is left out.
async fn probes(world: &World, specs: &[&ServiceSpec], deadline: Instant) -> Vec<NameProbe> {
    let each = specs.iter().copied().flat_map(probes_through).map(|(record, signal)| async move {
        let heard = timeout_at(deadline, world.dns.ask(&record.name, RecordType::A)).await.ok()?.ok()?;
        let address: IpAddr = heard.values.first()?.parse().ok()?;
        let (good, detail) =
            match timeout_at(deadline, world.prober.through(&signal.probe, &record.name, address)).await {
                Ok(Ok(seen)) => (true, seen),
                Ok(Err(NotGood::Bad(seen))) => (false, seen),
                Ok(Err(NotGood::Unknown(_))) => return None,
                // Cut off before its own limit: nobody can tell.
                Err(_) => return None,
            };
        Some(NameProbe {
            name: record.name.clone(),
            signal: signal.name.clone(),
            good,
            detail: format!("{address}: {detail}"),
        })
    });
    let each: Vec<_> = each.collect();
    iter(each).buffered(AT_ONCE).filter_map(std::future::ready).collect().await
}
