//! Manifests and pausing. Applying never changes who serves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;

use super::{Context, Draft, Outcome, Rejection};
use crate::drill::DrillSpec;
use crate::fleet::event::EventKind;
use crate::fleet::restored::where_is_it;
use crate::fleet::run::Run;
use crate::fleet::state::{Bit, FleetState, Retired, ServiceState, Settlement, Switch, WHOLE_SHARE};
use crate::ids::{Epoch, Region, ServiceName, SwitchGroup};
use crate::service::{Pattern, ServiceSpec, SwitchTransport};
use crate::switch_groups::unfit_groups;
use crate::traffic::SwitchEndpoint;

/// What Route 53's checkers will ask for: of which group, for the bit of which Region.
type Token = (SwitchGroup, Region, String);

impl FleetState {
    pub(super) fn apply_manifests(
        &mut self,
        context: &mut Context<'_>,
        specs: &[ServiceSpec],
        drills: &[DrillSpec],
        prune: bool,
        tokens: &[Token],
    ) -> Outcome {
        let kept: BTreeSet<&ServiceName> = specs.iter().map(|spec| &spec.name).collect();
        let dropped: Vec<ServiceName> = if prune {
            self.services.keys().filter(|name| !kept.contains(name)).cloned().collect()
        } else {
            Vec::new()
        };
        for name in specs.iter().map(|spec| &spec.name).chain(&dropped) {
            self.nothing_open(name)?;
        }
        for spec in specs {
            self.nothing_moves(&spec.switch_group())?;
        }
        one_of_each(specs)?;
        self.groups_fit(specs, &dropped)?;
        for spec in specs {
            self.fits(spec)?;
            self.has_tokens(spec, tokens)?;
        }
        self.drills_fit(specs, drills, &dropped, prune)?;
        if prune {
            self.drop_drills(context, drills)?;
        }
        for spec in specs {
            self.take_spec(context, spec, tokens)?;
        }
        for name in &dropped {
            self.forget(context, name)?;
        }
        self.take_drills(context, drills)
    }

    /// Whether those that will share a switch can.
    fn groups_fit(&self, specs: &[ServiceSpec], dropped: &[ServiceName]) -> Result<(), Rejection> {
        let named: BTreeSet<&ServiceName> = specs.iter().map(|spec| &spec.name).chain(dropped).collect();
        let kept = self.services.values().map(|service| service.spec.as_ref());
        let then = kept.filter(|spec| !named.contains(&spec.name)).chain(specs);
        match unfit_groups(then).into_values().next() {
            Some(why) => Err(Rejection::new("INVALID_MANIFEST", why)),
            None => Ok(()),
        }
    }

    /// Asked before anything is changed: a refused entry leaves nothing behind.
    fn has_tokens(&self, spec: &ServiceSpec, tokens: &[Token]) -> Result<(), Rejection> {
        let group = spec.switch_group();
        if self.switches.get(&group).is_some_and(|switch| switch.is_for(spec)) {
            return Ok(());
        }
        match bit_owners(spec).iter().find(|owner| token_of(tokens, &group, owner).is_none()) {
            Some(owner) => Err(no_token(&group, owner)),
            None => Ok(()),
        }
    }

    /// What a change of manifest may not do to a service that runs already.
    fn fits(&self, spec: &ServiceSpec) -> Result<(), Rejection> {
        let fits_pattern = match spec.pattern {
            Pattern::ActivePassive => spec.regions.len() == 2 && spec.regions.first() != spec.regions.last(),
            Pattern::ActiveActive => spec.regions.len() >= 2,
        };
        if !fits_pattern {
            let reason = format!("{} Regions do not fit the pattern of {}", spec.regions.len(), spec.name);
            return Err(Rejection::new("INVALID_MANIFEST", reason));
        }
        for region in &spec.regions {
            if !self.members.contains_key(region) {
                return Err(Rejection::new("UNKNOWN_REGION", format!("{region} is not a Region of this fleet")));
            }
        }
        if let Some(service) = self.services.get(&spec.name)
            && service.spec.switch_group() != spec.switch_group()
        {
            let reason = format!("{}: its switch cannot change while it exists (delete the service first)", spec.name);
            return Err(Rejection::new("SWITCH_FIXED", reason));
        }
        self.alarms_can_be_heard(spec)?;
        let is_used = self.services.values().any(|service| service.spec.switch_group() == spec.switch_group());
        if let Some(switch) = self.switches.get(&spec.switch_group())
            && is_used
            && !switch.is_for(spec)
        {
            let reason = format!(
                "{}: pattern and Regions of switch {} cannot change while it exists (delete the service first)",
                spec.name,
                spec.switch_group()
            );
            return Err(Rejection::new("SWITCH_FIXED", reason));
        }
        Ok(())
    }

    /// Route 53 takes a check of an alarm for healthy, and so for on, until it has read the alarm's data
    /// (`InsufficientDataHealthStatus`). Where every daemon's check is new at once, the bit must really be on.
    fn alarms_can_be_heard(&self, spec: &ServiceSpec) -> Result<(), Rejection> {
        let group = spec.switch_group();
        let was = self.of_switch(&group).any(|service| service.spec.traffic.switch == SwitchTransport::Cloudwatch);
        if spec.traffic.switch != SwitchTransport::Cloudwatch || was {
            return Ok(());
        }
        let switch = self.switches.get(&group).filter(|switch| switch.is_for(spec));
        let off = switch.and_then(|switch| switch.bits.iter().find(|(_, bit)| !bit.on));
        match off {
            Some((region, _)) => Err(Rejection::new(
                "SWITCH_FIXED",
                format!(
                    "{}: switch {group} is off for {region}, and Route 53 takes new checks of CloudWatch alarms for on \
                     until it has data: let {region} serve with the switch as it was, then change to cloudwatch",
                    spec.name
                ),
            )),
            None => Ok(()),
        }
    }

    fn take_spec(&mut self, context: &mut Context<'_>, spec: &ServiceSpec, tokens: &[Token]) -> Outcome {
        let group = spec.switch_group();
        // One that a deleted service left behind goes on, unless it is for other Regions.
        if !self.switches.get(&group).is_some_and(|switch| switch.is_for(spec)) {
            let switch = new_switch(context, spec, &group, tokens)?;
            self.switches.insert(group.clone(), switch);
            // Here it is new; the fleet that was lost may have had it, and elsewhere.
            if let Some(restored) = &mut self.restored {
                restored.unconfirmed.insert(group.clone());
            }
        }
        let serving = self.switches.get(&group).and_then(Switch::serving).unwrap_or_else(|| spec.regions[0].clone());
        let unchanged = self.services.get(&spec.name).is_some_and(|service| *service.spec == *spec);
        if unchanged {
            return Ok(None);
        }
        let (at, index) = (context.entry.at, context.index);
        let attention = (!self.is_confirmed(&group)).then(|| where_is_it(&spec.name));
        // A service that was deleted and comes back goes on counting: a run's id is its name in the history, and its
        // records carry its last epoch.
        let retired = self.retired.remove(&spec.name).unwrap_or(Retired { epoch: Epoch(0), runs: 0 });
        let verb = if self.services.contains_key(&spec.name) { "changed" } else { "applied" };
        let service = self.services.entry(spec.name.clone()).or_insert_with(|| ServiceState {
            spec: Arc::new(spec.clone()),
            spec_index: index,
            epoch: retired.epoch.next(),
            chosen: serving.clone(),
            primary: serving,
            primary_since: at,
            paused: false,
            settlement: Settlement::default(),
            runs: retired.runs,
            last_run_at: None,
            attention,
            lost_writes: BTreeMap::new(),
            way_back: None,
            licences: Vec::new(),
            durations: BTreeMap::new(),
        });
        service.settlement.carries_traffic &= service.spec.traffic == spec.traffic;
        service.spec = Arc::new(spec.clone());
        service.spec_index = index;
        let message = format!("manifest of {} {verb}; {} serves", spec.name, service.primary);
        context.say(
            Draft::new(EventKind::Applied, message)
                .service(&spec.name)
                .with(json!({ "epoch": service.epoch, "primary": service.primary, "spec": spec })),
        );
        Ok(None)
    }

    pub(super) fn delete(&mut self, context: &mut Context<'_>, name: &ServiceName) -> Outcome {
        self.nothing_open(name)?;
        self.no_drill_needs(name)?;
        let moved = self.services.get(name).map(|service| self.companions(&service.spec)).unwrap_or_default();
        if !moved.is_empty() {
            let moved: Vec<&str> = moved.into_iter().map(|service| service.spec.name.as_str()).collect();
            let reason = format!("{name} leads the switch of {}: delete them first", moved.join(", "));
            return Err(Rejection::new("LEADS_OTHERS", reason));
        }
        self.forget(context, name)
    }

    fn forget(&mut self, context: &mut Context<'_>, name: &ServiceName) -> Outcome {
        let Some(service) = self.services.remove(name) else {
            return Err(Rejection::new("NO_SUCH_SERVICE", format!("there is no service {name}")));
        };
        self.retired.insert(name.clone(), Retired { epoch: service.epoch, runs: service.runs });
        let message = format!("service {name} forgotten; its records, checks, switch and stores stay as they are");
        context.say(Draft::new(EventKind::Deleted, message).service(name));
        Ok(None)
    }

    /// A service that joins a switch must not join it half-way through a move, whoever of the switch is moving.
    fn nothing_moves(&self, group: &SwitchGroup) -> Result<(), Rejection> {
        let is_of_switch =
            |run: &&Run| self.services.get(&run.service).is_some_and(|service| service.spec.is_of_switch(group));
        match self.runs.values().filter(is_of_switch).find(|run| !run.state.is_closed()) {
            Some(run) => {
                let reason = format!("run {} of switch {group} is open: wait for it or abort it", run.id);
                Err(Rejection::new("RUN_OPEN", reason))
            }
            None => Ok(()),
        }
    }

    fn nothing_open(&self, name: &ServiceName) -> Result<(), Rejection> {
        match self.open_run(name) {
            Some(run) => {
                Err(Rejection::new("RUN_OPEN", format!("run {} of {name} is open: wait for it or abort it", run.id)))
            }
            None => Ok(()),
        }
    }

    pub(super) fn advertise(&mut self, context: &mut Context<'_>, region: &Region, switch: &SwitchEndpoint) -> Outcome {
        let Some(member) = self.members.get_mut(region) else {
            return Err(Rejection::new("UNKNOWN_REGION", format!("{region} is not a Region of this fleet")));
        };
        if member.switch.as_ref() == Some(switch) {
            return Ok(None);
        }
        member.switch = Some(switch.clone());
        self.advertised = context.index;
        // Every service's checks name every daemon's endpoint, so none of them matches any more. What stands in Route 53
        // goes on working all the same: the other daemons' checks still vote.
        for service in self.services.values_mut() {
            service.settlement.is_stale = true;
        }
        let message = format!("{region} answers Route 53's checkers at {}:{}", switch.host, switch.port);
        context.say(Draft::new(EventKind::Fleet, message).region(region));
        Ok(None)
    }

    pub(super) fn pause(&mut self, context: &mut Context<'_>, service: Option<&ServiceName>, paused: bool) -> Outcome {
        let word = if paused { "paused" } else { "resumed" };
        match service {
            None => {
                if !paused {
                    // From here on what is new is new.
                    self.all_places_are_known()?;
                    self.restored = None;
                }
                self.paused = paused;
                context.say(Draft::new(EventKind::Paused, format!("automatic action {word} for the whole fleet")));
            }
            Some(name) => {
                let no_service = || Rejection::new("NO_SUCH_SERVICE", format!("there is no service {name}"));
                if paused {
                    // It would move all the same, with the one that leads.
                    self.moves_by_itself(&self.services.get(name).ok_or_else(no_service)?.spec)?;
                }
                let state = self.services.get_mut(name).ok_or_else(no_service)?;
                state.paused = paused;
                let draft = Draft::new(EventKind::Paused, format!("automatic action {word} for {name}"));
                context.say(draft.service(name));
            }
        }
        Ok(None)
    }
}

impl Switch {
    /// Whether its bits are those that the service needs.
    fn is_for(&self, spec: &ServiceSpec) -> bool {
        self.pattern == spec.pattern && self.regions == spec.regions
    }
}

/// Two manifests of one entry may not claim one name.
fn one_of_each(specs: &[ServiceSpec]) -> Result<(), Rejection> {
    let mut names: BTreeSet<&ServiceName> = BTreeSet::new();
    for spec in specs {
        if !names.insert(&spec.name) {
            return Err(Rejection::new("INVALID_MANIFEST", format!("{} is there twice", spec.name)));
        }
    }
    Ok(())
}

/// The Regions that own a bit of the service's switch: a pair shares the first one's.
fn bit_owners(spec: &ServiceSpec) -> &[Region] {
    match spec.pattern {
        Pattern::ActivePassive => spec.regions.get(..1).unwrap_or_default(),
        Pattern::ActiveActive => &spec.regions,
    }
}

fn token_of(tokens: &[Token], group: &SwitchGroup, owner: &Region) -> Option<String> {
    tokens.iter().find(|(of, region, _)| of == group && region == owner).map(|(.., token)| token.clone())
}

fn no_token(group: &SwitchGroup, owner: &Region) -> Rejection {
    Rejection::new("NO_TOKEN", format!("no token was proposed for switch {group} of {owner}"))
}

/// A new switch starts with the first Region serving (active-passive) or all of them.
fn new_switch(
    context: &Context<'_>,
    spec: &ServiceSpec,
    group: &SwitchGroup,
    tokens: &[Token],
) -> Result<Switch, Rejection> {
    let mut bits = BTreeMap::new();
    for owner in bit_owners(spec) {
        let token = token_of(tokens, group, owner).ok_or_else(|| no_token(group, owner))?;
        bits.insert(
            owner.clone(),
            Bit { on: true, since: context.entry.at, index: context.index, token, share: WHOLE_SHARE },
        );
    }
    Ok(Switch { pattern: spec.pattern, regions: spec.regions.clone(), bits })
}
