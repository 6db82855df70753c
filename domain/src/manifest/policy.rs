//! `spec.objectives` and `spec.policy`.

use super::duration::parse_ms;
use super::field::{Field, Mapping};
use crate::freeze::{check_cron, check_timezone};
use crate::service::{Automation, Freeze, Objectives, OnDoubt, Policy, RESTORE_PAUSE_MS};

const ANNOUNCE_MS: u64 = 30_000;
const COOLDOWN_MS: u64 = 1_800_000;

/// Words for who starts a failover.
pub const AUTOMATION: [(&str, Automation); 3] =
    [("automatic", Automation::Automatic), ("approval", Automation::Approval), ("manual", Automation::Manual)];
/// Words for what a doubt does.
pub const ON_DOUBT: [(&str, OnDoubt); 2] = [("approval", OnDoubt::Approval), ("proceed", OnDoubt::Proceed)];

/// `spec.objectives`.
#[must_use]
pub fn objectives(field: &Field<'_>) -> Option<Objectives> {
    let keys = field.mapping()?;
    let rto_ms = keys.need("rto", |rto| rto.positive_ms());
    let rpo_ms = keys.need("rpo", |rpo| rpo.positive_ms());
    keys.finish();
    Some(Objectives { rto_ms: rto_ms?, rpo_ms: rpo_ms? })
}

/// The policy of a service that declares none: a proven breach proposes, people approve.
#[must_use]
pub fn default_policy() -> Policy {
    Policy {
        failover: Automation::Approval,
        announce_ms: ANNOUNCE_MS,
        cooldown_ms: COOLDOWN_MS,
        restore_pause_ms: RESTORE_PAUSE_MS,
        loss_over_budget: OnDoubt::Approval,
        unfenced: OnDoubt::Approval,
        freeze: Vec::new(),
        require_drill_within_ms: None,
    }
}

/// `spec.policy`; `daemons` is how many the fleet has.
#[must_use]
pub fn policy(field: &Field<'_>, daemons: usize) -> Option<Policy> {
    let keys = field.mapping()?;
    let default = default_policy();
    let failover = keys.or("failover", default.failover, |field| automation(&field, daemons));
    let announce_ms = keys.or("announce", default.announce_ms, |field| field.duration_ms());
    let cooldown_ms = keys.or("cooldown", default.cooldown_ms, |field| field.duration_ms());
    let restore_pause_ms = keys.or("restore_pause", default.restore_pause_ms, |field| field.duration_ms());
    let loss_over_budget = keys.or("loss_over_budget", default.loss_over_budget, |field| field.choice(&ON_DOUBT));
    let unfenced = keys.or("unfenced", default.unfenced, |field| field.choice(&ON_DOUBT));
    let freeze = keys.or("freeze", Vec::new(), |field| field.each(|item| freeze(&item)));
    let require_drill_within_ms = keys.maybe("require_drill_within", |field| field.positive_ms());
    keys.finish();
    Some(Policy {
        failover: failover?,
        announce_ms: announce_ms?,
        cooldown_ms: cooldown_ms?,
        restore_pause_ms: restore_pause_ms?,
        loss_over_budget: loss_over_budget?,
        unfenced: unfenced?,
        freeze: freeze?,
        require_drill_within_ms: require_drill_within_ms?,
    })
}

fn automation(field: &Field<'_>, daemons: usize) -> Option<Automation> {
    let automation = field.choice(&AUTOMATION)?;
    if automation == Automation::Automatic && daemons < 3 {
        return field.refuse(format!(
            "automatic needs a majority that survives the loss of a Region, and this fleet has {daemons} daemons: \
             add a witness in a third Region, or write approval"
        ));
    }
    Some(automation)
}

fn freeze(field: &Field<'_>) -> Option<Freeze> {
    let keys = field.mapping()?;
    let cron = keys.need("cron", |field| checked(&field, check_cron));
    let duration_ms = keys.need("duration", |field| window_ms(&field));
    let timezone = keys.or("timezone", "UTC".to_owned(), |field| checked(&field, check_timezone));
    keys.finish();
    Some(Freeze { cron: cron?, duration_ms: duration_ms?, timezone: timezone? })
}

fn window_ms(field: &Field<'_>) -> Option<u64> {
    let ms = field.positive_ms()?;
    if parse_ms("366d").is_ok_and(|year_ms| ms > year_ms) {
        return field.refuse("is longer than a year: a freeze this long is better said by failoverctl pause");
    }
    Some(ms)
}

/// Text that a check accepts.
pub fn checked(field: &Field<'_>, check: impl FnOnce(&str) -> Result<(), String>) -> Option<String> {
    let text = field.text()?;
    match check(&text) {
        Ok(()) => Some(text),
        Err(why) => field.refuse(why),
    }
}

/// `switch: none` cannot be automatic: changing records is the critical path, and Route 53's control plane may be down (I5).
pub fn refuse_automatic_without_switch(spec: &Mapping<'_>) {
    let switch = spec.field().peek(&["traffic", "switch"]);
    let failover = spec.field().peek(&["policy", "failover"]);
    let (Some(switch), Some(failover)) = (switch, failover) else { return };
    if switch.is_word("none") && failover.is_word("automatic") {
        failover.refuse::<()>(
            "automatic needs a switch: with traffic.switch: none a move waits for Route 53's API, which may be down with \
             the Region (I5); write approval, or traffic.switch: http",
        );
    }
}
