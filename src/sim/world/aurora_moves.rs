//! Switchovers and failovers of Aurora global clusters as time goes on, and members that missed one.
//!
//! "Using switchover or failover in Amazon Aurora Global Database". The write fence of an unplanned failover is best
//! effort: an old writer that nobody reaches goes on taking writes, and those are counted as split brain.

use failoverd_domain::data::store::GlobalCluster;
use failoverd_domain::ids::Region;

use super::Moment;
use super::aurora::{AuroraCluster, LostWrites, Member, Move, Standing};
use super::phases::Then;
use super::rds_events::RdsEvent;

const MOVES: &[&str] = &["global failover"];

impl AuroraCluster {
    pub(super) fn advance(&mut self, moment: Moment<'_>) {
        let linked = |a: &str, b: &str| moment.faults.linked(&a.into(), &b.into());
        let lags = &self.lags_ms;
        let lag_ms = |to: &str| lags.get(to).copied().unwrap_or(moment.timing.aurora_lag_ms);
        self.rows.deliver(moment.now_ms, linked, lag_ms);
        self.end_phases(moment);
        self.finish_move(moment);
        self.heal_members(moment);
    }

    /// An event of the member cluster in a Region. `words` may name the cluster with `{cluster}` and its Region with `{region}`.
    fn say(&mut self, at_ms: u64, region: &Region, id: &'static str, words: &str) {
        let Some(member) = self.members.get(region) else { return };
        let message = words.replace("{cluster}", &member.cluster).replace("{region}", region.as_str());
        self.said.push(RdsEvent::of_cluster(at_ms, region, &member.cluster, id, MOVES, message));
    }

    /// What became of the attempt to stop writes at the storage of `old`. It is recorded there if that can be reached,
    /// else at the new primary, and with the writer's instance: the world knows which that is.
    fn say_of_fence(&mut self, old: &Region, at: &Region, moment: Moment<'_>, stopped: bool) {
        let Some(cluster) = self.members.get(old).map(|member| member.cluster.clone()) else { return };
        let Some(told) = self.members.get(at).map(|member| member.cluster.clone()) else { return };
        let (id, word) = if stopped { ("RDS-EVENT-0390", "succeeded") } else { ("RDS-EVENT-0391", "timed out") };
        let message = format!("Attempt to block writes for DB cluster {cluster} in Region {old} {word}.");
        let categories = &["notification", "global database"];
        self.said.push(RdsEvent::of_instance(moment.now_ms, at, &told, id, categories, message));
    }

    fn end_phases(&mut self, moment: Moment<'_>) {
        let mut gone = Vec::new();
        for (region, member) in self.members.iter_mut().filter(|(region, _)| moment.faults.is_up(region)) {
            while let Some(then) = member.phases.end_one(moment.now_ms) {
                let (id, category, message) = match then {
                    Then::Ready => ("RDS-EVENT-0170", "creation", "DB cluster created."),
                    Then::Gone => {
                        gone.push(region.clone());
                        ("RDS-EVENT-0171", "deletion", "DB cluster deleted.")
                    }
                    Then::Says(id, category, message) => (id, category, message),
                    Then::StandsAlone(_) => {
                        member.accepts_writes = true;
                        continue;
                    }
                    _ => continue,
                };
                let event = RdsEvent::of_cluster(moment.now_ms, region, &member.cluster, id, &[category], message);
                self.said.push(event);
            }
        }
        gone.iter().for_each(|region| drop(self.members.remove(region)));
        while let Some(then) = self.phases.end_one(moment.now_ms) {
            self.gone |= then == Then::Gone;
        }
    }

    /// `SwitchoverGlobalCluster` begins: the writer stops at once.
    pub(super) fn begin_move(&mut self, to: &Region, forced: bool, moment: Moment<'_>) {
        let lasts_ms = if forced { moment.timing.failover_ms } else { moment.timing.switchover_ms };
        self.moving = Some(Move {
            to: to.clone(),
            is_pending: true,
            pending_until_ms: moment.now_ms + lasts_ms / 10,
            ends_ms: moment.now_ms + lasts_ms,
            forced,
            cancelling_until_ms: None,
            told_of_lag: false,
        });
        let Some(old) = self.writer().cloned().filter(|_| !forced) else { return };
        self.set_accepting(&old, false);
        let cluster = self.members.get(to).map(|member| member.cluster.clone()).unwrap_or_default();
        let words = format!("Global switchover to DB cluster {cluster} in Region {to} started.");
        self.say(moment.now_ms, &old, "RDS-EVENT-0181", &words);
        self.say_of_fence(&old, &old, moment, true);
    }

    fn finish_move(&mut self, moment: Moment<'_>) {
        if let Some(moving) = &mut self.moving {
            moving.is_pending &= moment.now_ms < moving.pending_until_ms;
        }
        let Some(under_way) = self.moving.clone() else { return };
        let Some(old) = self.writer().cloned() else { return };
        let to = &under_way.to;
        if let Some(until_ms) = under_way.cancelling_until_ms {
            if until_ms <= moment.now_ms {
                self.moving = None;
                let words = "Global switchover to DB cluster {cluster} in Region {region} is cancelled.";
                self.say(moment.now_ms, to, "RDS-EVENT-0186", words);
            }
        } else if !under_way.forced && !moment.faults.linked(&old, to) {
            // A planned move that cannot go on is put back, and the writer writes again.
            self.set_accepting(&old, true);
            if let Some(moving) = &mut self.moving {
                moving.cancelling_until_ms = Some(moment.now_ms + moment.timing.cancel_ms);
            }
        } else if moment.now_ms < under_way.ends_ms || !moment.faults.is_up(to) {
        } else if under_way.forced {
            self.promote_with_loss(&old, to, moment);
        } else {
            self.finish_switchover(&old, &under_way, moment);
        }
    }

    fn finish_switchover(&mut self, old: &Region, under_way: &Move, moment: Moment<'_>) {
        let to = &under_way.to;
        let undelivered = self.rows.undelivered_to(to.as_str());
        if undelivered.writes > 0 {
            if let Some(moving) = self.moving.as_mut().filter(|moving| !moving.told_of_lag) {
                moving.told_of_lag = true;
                let lag_ms = moment.now_ms - undelivered.oldest_ms.unwrap_or(moment.now_ms);
                let words = format!(
                    "Waiting for data synchronization with the target DB cluster. Current target DB cluster lag behind \
                     the primary DB cluster: {lag_ms} ms."
                );
                self.say(moment.now_ms, old, "RDS-EVENT-0423", &words);
            }
            return;
        }
        self.swap_roles(old, to);
        self.set_accepting(old, false);
        let shut_down = "Old primary DB cluster {cluster} in Region {region} successfully shut down.";
        self.say(moment.now_ms, old, "RDS-EVENT-0182", shut_down);
        let promoted = "New primary DB cluster {cluster} in Region {region} was successfully promoted.";
        self.say(moment.now_ms, to, "RDS-EVENT-0184", promoted);
        let finished = "Global switchover to DB cluster {cluster} in Region {region} finished.";
        self.say(moment.now_ms, to, "RDS-EVENT-0185", finished);
    }

    fn set_accepting(&mut self, region: &Region, accepts: bool) {
        if let Some(member) = self.members.get_mut(region) {
            member.accepts_writes = accepts;
        }
    }

    fn swap_roles(&mut self, old: &Region, to: &Region) {
        self.moving = None;
        if let Some(member) = self.members.get_mut(old) {
            member.is_writer = false;
        }
        if let Some(member) = self.members.get_mut(to) {
            member.is_writer = true;
            member.accepts_writes = true;
            member.standing = Standing::InSync;
            member.stale_view = None;
        }
    }

    fn promote_with_loss(&mut self, old: &Region, to: &Region, moment: Moment<'_>) {
        let mut before = self.describe();
        (before.moving_to, before.status) = (None, "available".to_owned());
        before.members.values_mut().for_each(|member| "available".clone_into(&mut member.status));
        let reached = moment.faults.linked(to, old);
        self.say_of_fence(old, if reached { old } else { to }, moment, reached);
        let undelivered = self.rows.take_flights(old.as_str(), to.as_str());
        self.lost.push(LostWrites { at_ms: moment.now_ms, from: old.clone(), to: to.clone(), undelivered });
        self.swap_roles(old, to);
        for (region, member) in self.members.iter_mut().filter(|(region, _)| *region != to) {
            member.miss(moment.faults.linked(to, region), &before);
        }
        let words = "Global failover to DB cluster {cluster} in Region {region} completed.";
        self.say(moment.now_ms, to, "RDS-EVENT-0238", words);
    }

    /// Members that missed an unplanned failover: found again, fenced, rebuilt.
    fn heal_members(&mut self, moment: Moment<'_>) {
        let Some(writer) = self.writer().cloned() else { return };
        let others: Vec<Region> = self.members.keys().filter(|region| **region != writer).cloned().collect();
        for region in others {
            let linked = moment.faults.linked(&writer, &region);
            let Some(member) = self.members.get_mut(&region) else { continue };
            let before = member.standing;
            member.standing = member.next_standing(linked, moment);
            match (before, member.standing) {
                (before, after) if before == after => {}
                (Standing::Seeding(_), _) => self.rows.rebuild(writer.as_str(), region.as_str()),
                (_, Standing::InSync) => {
                    self.rows.rebuild(writer.as_str(), region.as_str());
                    let words = "Finished resynchronizing members of DB cluster {cluster} in Region {region} after global failover.";
                    self.say(moment.now_ms, &region, "RDS-EVENT-0241", words);
                }
                (before, Standing::Rebuilding(_)) => {
                    if matches!(before, Standing::LateFence(_)) {
                        self.say_of_fence(&region, &region, moment, true);
                    }
                    let words = "Started resynchronizing members of DB cluster {cluster} in Region {region} after global failover.";
                    self.say(moment.now_ms, &region, "RDS-EVENT-0240", words);
                }
                _ => {}
            }
        }
    }
}

impl Member {
    /// Another member was promoted by force; `before` is what this one's Region goes on believing if it was not reached.
    fn miss(&mut self, reached: bool, before: &GlobalCluster) {
        self.stale_view = (!reached).then(|| before.clone());
        self.accepts_writes &= !reached;
        self.standing = Standing::Away;
    }

    fn next_standing(&mut self, linked: bool, moment: Moment<'_>) -> Standing {
        match self.standing {
            Standing::InSync => Standing::InSync,
            Standing::Seeding(until) if linked && until <= moment.now_ms => Standing::InSync,
            Standing::Seeding(until) => Standing::Seeding(until),
            Standing::Away if linked && self.accepts_writes => {
                Standing::LateFence(moment.now_ms + moment.timing.late_fence_ms)
            }
            Standing::Away if linked => self.begin_rebuild(moment.now_ms + moment.timing.rebuild_ms),
            Standing::LateFence(until) if linked && until <= moment.now_ms => {
                self.begin_rebuild(until + moment.timing.rebuild_ms)
            }
            Standing::Rebuilding(until) if linked && until <= moment.now_ms => Standing::InSync,
            standing if linked => standing,
            _ => Standing::Away,
        }
    }

    fn begin_rebuild(&mut self, until_ms: u64) -> Standing {
        self.accepts_writes = false;
        self.stale_view = None;
        Standing::Rebuilding(until_ms)
    }
}
