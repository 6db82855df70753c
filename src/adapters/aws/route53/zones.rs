//! Hosted zones by name.

use std::sync::{Arc, PoisonError};

use failoverd_domain::route53::{RecordSet, plain_name};

use super::Route53;

use crate::adapters::aws::budget::Kind;
use crate::adapters::aws::shared::Shared;
use crate::ports::Call;

/// Zones of one name that a page shows; more than a few are a riddle anyway.
const PAGE: i32 = 100;

/// A public hosted zone.
#[derive(Debug)]
pub(super) struct Zone {
    /// Without a trailing dot.
    pub(super) name: String,
    /// `Z…`.
    pub(super) id: String,
    pub(super) records: Shared<Vec<RecordSet>>,
}

impl Route53 {
    /// The public zone of that name, remembered once it was found.
    pub(super) async fn find_zone(&self, name: &str) -> Call<Arc<Zone>> {
        let name = plain_name(name);
        if let Some(zone) = self.zones.lock().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Ok(zone.clone());
        }
        let ask = self.read("ListHostedZonesByName");
        let sending = self.client(Kind::Read).await.list_hosted_zones_by_name().dns_name(&name).max_items(PAGE).send();
        let page = self.account.call(ask, sending).await?;
        let named: Vec<_> = page.hosted_zones().iter().filter(|zone| plain_name(zone.name()) == name).collect();
        let is_private = |zone: &&&aws_sdk_route53::types::HostedZone| {
            zone.config().is_some_and(aws_sdk_route53::types::HostedZoneConfig::private_zone)
        };
        let public: Vec<_> = named.iter().filter(|zone| !is_private(zone)).collect();
        let refuse = |why: String| Err(ask.refuse("NoSuchHostedZone", why));
        match public.as_slice() {
            [zone] => {
                let id = zone.id().trim_start_matches("/hostedzone/").to_owned();
                let zone = Arc::new(Zone { name: name.clone(), id, records: Shared::default() });
                let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(zones.entry(name).or_insert(zone).clone())
            }
            [] if named.is_empty() => refuse(format!(
                "the account has no hosted zone {name}: create it, correct traffic.hosted_zone, or name the role_arn of the account that has it"
            )),
            [] => refuse(format!("{name} is a private hosted zone: Route 53's checkers decide only in public ones")),
            several => refuse(format!(
                "the account has {} public hosted zones {name}: only one of them is delegated; delete the others",
                several.len()
            )),
        }
    }
}
