//! Which services may share one switch.

use std::collections::BTreeMap;

use crate::ids::{ServiceName, SwitchGroup};
use crate::service::ServiceSpec;

/// Why these services cannot share the switches that they name, if so: one sentence for each group.
#[must_use]
pub fn unfit_groups<'a>(specs: impl IntoIterator<Item = &'a ServiceSpec>) -> BTreeMap<SwitchGroup, String> {
    let mut groups: BTreeMap<SwitchGroup, BTreeMap<&ServiceName, &ServiceSpec>> = BTreeMap::new();
    for spec in specs {
        groups.entry(spec.switch_group()).or_default().insert(&spec.name, spec);
    }
    let unfit = |(group, specs): (SwitchGroup, BTreeMap<_, &ServiceSpec>)| {
        let why = why_unfit(&group, &specs.into_values().collect::<Vec<_>>())?;
        Some((group, why))
    };
    groups.into_iter().filter_map(unfit).collect()
}

fn why_unfit(group: &SwitchGroup, specs: &[&ServiceSpec]) -> Option<String> {
    if specs.len() < 2 {
        return None;
    }
    let Some(lead) = specs.iter().find(|spec| spec.name.as_str() == group.as_str()) else {
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        return Some(format!(
            "{} share the switch {group}, and none of them is called {group}: name the switch after the service whose signals, policy and data decide when all move",
            names.join(", ")
        ));
    };
    let others = || specs.iter().filter(|spec| spec.name != lead.name);
    if let Some((spec, difference)) = others().find_map(|spec| Some((spec, difference(spec, lead)?))) {
        return Some(format!(
            "{} shares the switch {group} with {}, which has another {difference}: services of one switch move together, so these must be equal",
            spec.name, lead.name
        ));
    }
    let with_data = others().find(|spec| !spec.data.is_empty())?;
    Some(format!(
        "{} shares the switch of {} and has data of its own, which would have to move before traffic does: give it a switch of its own, or list the data in {}",
        with_data.name, lead.name, lead.name
    ))
}

fn difference(one: &ServiceSpec, other: &ServiceSpec) -> Option<&'static str> {
    if one.pattern != other.pattern {
        Some("pattern")
    } else if one.regions != other.regions {
        Some("list of Regions (their order counts)")
    } else if one.role_arn != other.role_arn {
        Some("role_arn")
    } else if one.traffic.switch != other.traffic.switch {
        Some("kind of switch")
    } else {
        None
    }
}
