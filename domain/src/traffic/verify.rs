//! Whether the zone's name servers give the right answer, as every daemon sees it: what daemons ask, how their answers
//! are judged, and what goes on record.
//!
//! A daemon that cannot be asked says nothing, for or against: its Region may be the one that is dead. It is named.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::naming::internal_name;
use crate::ids::{Region, ServiceName, SignalName};
use crate::route53::RecordType;
use crate::service::{Routing, ServiceSpec};
use crate::time::Timestamp;

/// How often a weighted name is asked: a Region that still had a quarter of the weight would show with 99 in 100.
const WEIGHTED_ASKS: u32 = 16;
/// A daemon that was given a wrong answer and then none at all counts as one that cannot be asked after so long.
const EXCUSED_AFTER_MS: u64 = 10_000;
/// Values of one answer that are told.
const MOST_TOLD: usize = 4;

/// One answer of an authoritative server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Values, sorted; empty when there is no answer.
    pub values: Vec<String>,
    /// How long caches may keep it, seconds; the longest of its records.
    pub ttl_s: u32,
}

/// What a daemon is asked to look at. It asks what follows from the manifest as it has it, and nothing else: a daemon is
/// nobody's resolver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookUp {
    /// The service whose names are looked at.
    pub service: ServiceName,
    /// Not the names, but the service through its names.
    #[serde(default)]
    pub through: bool,
}

/// One question to the zone's authoritative servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Name.
    pub name: String,
    /// Type.
    pub record_type: RecordType,
    /// For an internal name: the Region that answers by it. A public name has none.
    pub region: Option<Region>,
    /// The public name that it belongs to.
    pub public: String,
    /// How often it is asked: chance decides where there are weights.
    pub times: u32,
}

/// What a daemon was answered to one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameSeen {
    /// The question.
    pub question: Question,
    /// Every answer, or why there is none.
    pub heard: Result<Vec<Heard>, String>,
}

/// What a daemon saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// By question.
    #[serde(default)]
    pub names: Vec<NameSeen>,
    /// The service through its names, where that was asked.
    #[serde(default)]
    pub probes: Vec<NameProbe>,
}

/// A probe of the service through a public name, to an address that the zone's servers answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameProbe {
    /// The public name.
    pub name: String,
    /// The signal that says how to ask.
    pub signal: SignalName,
    /// Whether what came back was good.
    pub good: bool,
    /// What was seen.
    pub detail: String,
}

/// On record: what one daemon saw when a step verified the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerSeen {
    /// The daemon.
    pub daemon: Region,
    /// Regions whose answers it was given.
    #[serde(default)]
    pub answered_by: Vec<Region>,
    /// Milliseconds from the flip to the first look since which every answer was right; known as exactly as the looks are
    /// close together.
    #[serde(default)]
    pub after_ms: Option<u64>,
    /// For so many seconds after the verdict caches may still give the old answer.
    #[serde(default)]
    pub tail_s: Option<u64>,
    /// Why it could not be asked.
    #[serde(default)]
    pub not_asked: Option<String>,
    /// The service through its names.
    #[serde(default)]
    pub probes: Vec<NameProbe>,
}

/// What daemons ask about a service: each public name, and by each Region's internal name what that Region answers.
#[must_use]
pub fn questions(spec: &ServiceSpec) -> Vec<Question> {
    let mut questions = Vec::new();
    for record in &spec.traffic.records {
        let question = |name: String, region: Option<&Region>, times| Question {
            name,
            record_type: record.record_type,
            region: region.cloned(),
            public: record.name.clone(),
            times,
        };
        let times = if record.routing == Routing::Weighted { WEIGHTED_ASKS } else { 1 };
        questions.push(question(record.name.clone(), None, times));
        let internal = |region| question(internal_name(region, &record.name), Some(region), 1);
        questions.extend(record.targets.keys().map(internal));
    }
    questions
}

/// One daemon's look, or why it could not be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The daemon.
    pub daemon: Region,
    /// When it was heard, by the clock of the one who asked.
    pub at: Timestamp,
    /// What it saw.
    pub saw: Result<Sighting, String>,
}

/// What all looks so far come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Right wherever it could be asked.
    Right(Vec<AnswerSeen>),
    /// Somebody is given another answer: who, which, and what was wanted.
    Wrong(String),
    /// Not even the daemon that judges could ask.
    CannotTell(String),
}

/// What is wanted of the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The questions.
    pub questions: Vec<Question>,
    /// The Regions that may answer.
    pub regions: Vec<Region>,
    /// The daemon that judges: what it cannot see itself it does not vouch for.
    pub judge: Region,
    /// When the switch was turned.
    pub flipped_at: Timestamp,
}

/// Remembers, over looks, since when each daemon is given the right answer.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    daemons: BTreeMap<Region, Memory>,
}

#[derive(Clone, Debug, Default)]
struct Memory {
    right_since: Option<Timestamp>,
    answered_by: BTreeSet<Region>,
    /// The longest that any answer may be kept, old or new.
    ttl_s: u32,
    /// What was wrong when it last answered, and when that was.
    wrong: Option<(Timestamp, String)>,
    not_asked: Option<String>,
}

impl Watch {
    /// Takes one look of every daemon.
    pub fn take(&mut self, wanted: &Wanted, looks: &[Looked]) -> Verdict {
        for look in looks {
            let memory = self.daemons.entry(look.daemon.clone()).or_default();
            let judged = match &look.saw {
                Ok(sighting) => {
                    memory.ttl_s = memory.ttl_s.max(longest_ttl(sighting));
                    judge(wanted, sighting)
                }
                Err(why) => Judged::NoAnswer(why.clone()),
            };
            memory.note(look.at, judged);
        }
        if let Some(why) = self.daemons.get(&wanted.judge).and_then(|memory| memory.not_asked.clone()) {
            return Verdict::CannotTell(why);
        }
        let asked = self.daemons.iter().filter(|(_, memory)| memory.not_asked.is_none());
        let wrong = asked.filter_map(|(daemon, memory)| Some(format!("{daemon}: {}", memory.wrong.as_ref()?.1)));
        let wrong: Vec<String> = wrong.collect();
        if !wrong.is_empty() {
            return Verdict::Wrong(wrong.join("; "));
        }
        let now = looks.iter().map(|look| look.at).max().unwrap_or_default();
        Verdict::Right(self.daemons.iter().map(|(daemon, memory)| memory.on_record(daemon, wanted, now)).collect())
    }
}

impl Memory {
    fn note(&mut self, at: Timestamp, judged: Judged) {
        self.not_asked = None;
        match judged {
            Judged::Right(by) => {
                self.wrong = None;
                self.answered_by = by;
                self.right_since.get_or_insert(at);
            }
            Judged::Wrong(what) => {
                self.wrong = Some((at, what));
                self.right_since = None;
            }
            // One lost packet excuses nobody who was given a wrong answer a moment ago.
            Judged::NoAnswer(_) if self.wrong.as_ref().is_some_and(|(told, _)| at.since(*told) < EXCUSED_AFTER_MS) => {}
            Judged::NoAnswer(why) => self.not_asked = Some(why),
        }
    }

    fn on_record(&self, daemon: &Region, wanted: &Wanted, now: Timestamp) -> AnswerSeen {
        let since = self.right_since;
        let left_ms = |since: Timestamp| (u64::from(self.ttl_s) * 1_000).saturating_sub(now.since(since));
        // Who saw the right answer and cannot be asked any more has still seen it.
        let not_asked = self.not_asked.clone().filter(|_| since.is_none());
        AnswerSeen {
            daemon: daemon.clone(),
            answered_by: if since.is_some() { self.answered_by.iter().cloned().collect() } else { Vec::new() },
            after_ms: since.map(|since| since.since(wanted.flipped_at)),
            tail_s: since.map(|since| left_ms(since).div_ceil(1_000)),
            not_asked: not_asked.map(|why| match &self.wrong {
                Some((_, wrong)) => format!("{why}; before that {wrong}"),
                None => why,
            }),
            probes: Vec::new(),
        }
    }
}

fn longest_ttl(sighting: &Sighting) -> u32 {
    let heard = sighting.names.iter().filter_map(|seen| seen.heard.as_ref().ok()).flatten();
    heard.map(|heard| heard.ttl_s).max().unwrap_or(0)
}

/// What one look comes to.
enum Judged {
    Right(BTreeSet<Region>),
    Wrong(String),
    NoAnswer(String),
}

fn judge(wanted: &Wanted, sighting: &Sighting) -> Judged {
    let (mut by, mut unanswered) = (BTreeSet::new(), None);
    for question in wanted.questions.iter().filter(|question| question.region.is_none()) {
        let answers = match heard(sighting, question) {
            Ok(answers) => answers,
            Err(why) => {
                unanswered.get_or_insert(why);
                continue;
            }
        };
        let mut regions: Vec<(&Region, Result<&[Heard], String>)> = wanted
            .questions
            .iter()
            .filter(|other| other.public == question.name && other.record_type == question.record_type)
            .filter_map(|other| Some((other.region.as_ref()?, heard(sighting, other))))
            .collect();
        // Two Regions that answer the same are both right.
        regions.sort_by_key(|(region, _)| !wanted.regions.contains(region));
        for answer in answers {
            match whose(answer, &regions) {
                Some(region) if wanted.regions.contains(region) => {
                    by.insert(region.clone());
                }
                found => match not_wanted(wanted, question, answer, found, &regions) {
                    Judged::NoAnswer(why) => {
                        unanswered.get_or_insert(why);
                    }
                    wrong => return wrong,
                },
            }
        }
    }
    unanswered.map_or(Judged::Right(by), Judged::NoAnswer)
}

fn heard<'a>(sighting: &'a Sighting, question: &Question) -> Result<&'a [Heard], String> {
    let same =
        |seen: &&NameSeen| seen.question.name == question.name && seen.question.record_type == question.record_type;
    match sighting.names.iter().find(same).map(|seen| &seen.heard) {
        Some(Ok(heard)) if !heard.is_empty() => Ok(heard),
        Some(Err(why)) => Err(why.clone()),
        _ => Err(format!("{} was not asked there: it has another manifest", question.name)),
    }
}

/// The Region that an answer is of: the one that answers just that by its internal name. A load balancer of many
/// addresses answers some of them in turn, so failing that, one that shares any.
fn whose<'a>(answer: &Heard, regions: &[(&'a Region, Result<&[Heard], String>)]) -> Option<&'a Region> {
    let of = |fits: &dyn Fn(&Heard) -> bool| {
        let of_region = |(region, own): &(&'a Region, Result<&[Heard], String>)| {
            own.as_ref().is_ok_and(|own| own.iter().any(fits)).then_some(*region)
        };
        regions.iter().find_map(of_region)
    };
    if answer.values.is_empty() {
        return None;
    }
    of(&|own| own.values == answer.values).or_else(|| of(&|own| own.values.iter().any(|it| answer.values.contains(it))))
}

/// A wrong answer, unless nobody could say what would have been right.
fn not_wanted(
    wanted: &Wanted,
    question: &Question,
    answer: &Heard,
    found: Option<&Region>,
    regions: &[(&Region, Result<&[Heard], String>)],
) -> Judged {
    let (mut right, mut unknown) = (Vec::new(), None);
    for (region, own) in regions.iter().filter(|(region, _)| wanted.regions.contains(region)) {
        match own {
            Ok(own) => right.push(format!("{} ({region})", values(own.first()))),
            Err(why) => unknown = Some(why.clone()),
        }
    }
    if let Some(why) = unknown.filter(|_| found.is_none() && !answer.values.is_empty()) {
        return Judged::NoAnswer(why);
    }
    let got = match (answer.values.is_empty(), found) {
        (true, _) => "has no answer".to_owned(),
        (false, Some(region)) => format!("answers {} ({region})", values(Some(answer))),
        (false, None) => format!("answers {}, which is no Region's", values(Some(answer))),
    };
    Judged::Wrong(format!("{} {got}; wanted: {}", question.name, right.join(" or ")))
}

fn values(heard: Option<&Heard>) -> String {
    let values = heard.map(|heard| heard.values.as_slice()).unwrap_or_default();
    let told = values.iter().take(MOST_TOLD).cloned().collect::<Vec<_>>().join(" ");
    match values.len().saturating_sub(MOST_TOLD) {
        0 if told.is_empty() => "nothing".to_owned(),
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

/// What was seen, for people: `answers eu-west-1 from eu-west-1 after 1.2 s, from us-west-2 after 1.4 s; us-east-1 not
/// asked (unreachable); caches may hold the old answer 60 s more`.
#[must_use]
pub fn sentence(seen: &[AnswerSeen]) -> String {
    let mut parts = Vec::new();
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for one in seen {
        let Some(after_ms) = one.after_ms else { continue };
        let by = one.answered_by.iter().map(Region::as_str).collect::<Vec<_>>().join(" and ");
        let from = format!("from {} after {}", one.daemon, in_seconds(after_ms));
        match groups.iter_mut().find(|(of, _)| *of == by) {
            Some((_, froms)) => froms.push(from),
            None => groups.push((by, vec![from])),
        }
    }
    parts.extend(groups.into_iter().map(|(by, froms)| format!("answers {by} {}", froms.join(", "))));
    let not_asked = |one: &AnswerSeen| Some(format!("{} not asked ({})", one.daemon, one.not_asked.as_ref()?));
    parts.extend(seen.iter().filter_map(not_asked));
    if let Some(tail_s) = seen.iter().filter_map(|one| one.tail_s).max() {
        parts.push(match tail_s {
            0 => "caches hold the old answer no more".to_owned(),
            tail_s => format!("caches may hold the old answer {tail_s} s more"),
        });
    }
    parts.extend(warning(seen));
    parts.join("; ")
}

/// What a person must look at although the answer is right: traffic has moved, and the service is not well there.
#[must_use]
pub fn warning(seen: &[AnswerSeen]) -> Option<String> {
    let bad = seen.iter().flat_map(|one| {
        let bad = one.probes.iter().filter(|probe| !probe.good);
        bad.map(|probe| format!("{} by {} from {}: {}", probe.name, probe.signal, one.daemon, probe.detail))
    });
    let bad: Vec<String> = bad.collect();
    (!bad.is_empty()).then(|| {
        format!("WARNING: traffic has moved, but the service does not answer well by its name: {}", bad.join(", "))
    })
}

fn in_seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
