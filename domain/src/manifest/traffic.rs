//! `spec.traffic`.

use std::collections::BTreeSet;

use super::field::{Field, Mapping};
use super::names;
use super::records::{self, RecordContext};
use crate::ids::{Region, SwitchGroup};
use crate::route53::RecordType;
use crate::service::{Pattern, PublicRecord, SwitchTransport, Traffic};

/// `spec.traffic`; pattern and Regions are absent when they are bad themselves.
#[must_use]
pub fn traffic(field: &Field<'_>, pattern: Option<Pattern>, regions: Option<&[Region]>) -> Option<Traffic> {
    let keys = field.mapping()?;
    let hosted_zone = keys.need("hosted_zone", |field| names::dns_name(&field));
    let switch = keys.or("switch", SwitchTransport::Http, |field| switch(&field));
    let switch_group = keys.maybe("switch_group", |field| names::name(&field));
    refuse_group_without_switch(&keys, switch);
    let context = RecordContext { zone: hosted_zone.as_deref(), pattern, regions };
    let records = keys.need("records", |field| public_records(&field, &context));
    keys.finish();
    Some(Traffic {
        switch: switch?,
        switch_group: switch_group?.map(SwitchGroup::new),
        records: records?,
        hosted_zone: hosted_zone?,
    })
}

fn switch(field: &Field<'_>) -> Option<SwitchTransport> {
    let choices =
        [("http", SwitchTransport::Http), ("cloudwatch", SwitchTransport::Cloudwatch), ("none", SwitchTransport::None)];
    field.choice(&choices)
}

fn refuse_group_without_switch(keys: &Mapping<'_>, switch: Option<SwitchTransport>) {
    if let (Some(SwitchTransport::None), Some(group)) = (switch, keys.get("switch_group")) {
        group.refuse::<()>("shares a switch, but traffic.switch is none: remove one of them");
    }
}

fn public_records(field: &Field<'_>, context: &RecordContext<'_>) -> Option<Vec<PublicRecord>> {
    let mut seen: BTreeSet<(String, RecordType)> = BTreeSet::new();
    let records = field.each(|item| {
        let record = records::record(&item, context)?;
        let clash =
            seen.iter().find(|(name, other)| *name == record.name && records::types_clash(*other, record.record_type));
        if let Some((name, other)) = clash {
            return item.refuse(records::clash_in_words(name, *other, record.record_type));
        }
        seen.insert((record.name.clone(), record.record_type));
        Some(record)
    })?;
    if records.is_empty() {
        return field.refuse("needs at least one record: without one no traffic moves");
    }
    Some(records)
}
