//! Route 53's control plane: zones, record sets, health checks. Asked in us-east-1, and never needed to move traffic.

mod checks;
mod health_checks;
mod records;
mod zones;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_route53::error::ProvideErrorMetadata;
use aws_sdk_route53::types::{ChangeBatch, ChangeStatus, HostedZoneLimitType};
use failoverd_domain::ids::Region;
use failoverd_domain::route53::{Change, HealthCheck, RecordSet};
use failoverd_domain::traffic::Load;

use super::account::{Account, Ask, GLOBAL};
use super::budget::Kind;
use super::limits::{LISTING_AGE, RECORDS_PAGE};
use super::shared::Shared;
use crate::ports::{Age, Call, CallError, Effect, Quota, Records, ZoneInfo};
use zones::Zone;

/// Route 53's name in calls.
const SERVICE: &str = "route53";

/// Route 53 of one account.
pub(super) struct Route53 {
    account: Arc<Account>,
    home: Region,
    zones: Mutex<BTreeMap<String, Arc<Zone>>>,
    checks: Shared<Vec<HealthCheck>>,
    /// Checks that were made and could not be tagged yet: id, caller reference.
    untagged: Mutex<BTreeMap<String, String>>,
}

impl Route53 {
    pub(super) fn new(account: Arc<Account>) -> Self {
        let (zones, untagged) = (Mutex::default(), Mutex::default());
        Self { account, home: GLOBAL.into(), zones, checks: Shared::default(), untagged }
    }

    fn read(&self, operation: &'static str) -> Ask<'_> {
        Ask::read(SERVICE, operation, &self.home)
    }

    fn action(&self, operation: &'static str) -> Ask<'_> {
        Ask::action(SERVICE, operation, &self.home)
    }

    async fn client(&self, kind: Kind) -> aws_sdk_route53::Client {
        self.account.route53(&self.home, kind).await
    }

    /// A zone that is gone is looked for anew the next time.
    fn forget_if_gone(&self, zone: &Zone, error: CallError) -> CallError {
        if error.code == "NoSuchHostedZone" {
            self.zones.lock().unwrap_or_else(PoisonError::into_inner).remove(&zone.name);
        }
        error
    }

    async fn all_records(&self, zone: &Zone) -> Call<Vec<RecordSet>> {
        let client = self.client(Kind::Read).await;
        let mut found = Vec::new();
        let mut next = None;
        loop {
            let mut request = client.list_resource_record_sets().hosted_zone_id(&zone.id).max_items(RECORDS_PAGE);
            if let Some((name, record_type, identifier)) = next.take() {
                request = request.start_record_name(name).set_start_record_type(record_type);
                request = request.set_start_record_identifier(identifier);
            }
            let page = self.account.call(self.read("ListResourceRecordSets"), request.send()).await?;
            found.extend(page.resource_record_sets().iter().filter_map(|set| records::from_aws(set, zone)));
            match page.next_record_name().filter(|_| page.is_truncated()) {
                Some(name) => {
                    let identifier = page.next_record_identifier().map(str::to_owned);
                    next = Some((name.to_owned(), page.next_record_type().cloned(), identifier));
                }
                None => return Ok(found),
            }
        }
    }
}

#[async_trait]
impl Records for Route53 {
    async fn zone(&self, zone: &str) -> Call<ZoneInfo> {
        let zone = self.find_zone(zone).await?;
        let client = self.client(Kind::Read).await;
        let request = client.get_hosted_zone_limit().hosted_zone_id(&zone.id);
        let sending = request.r#type(HostedZoneLimitType::MaxRrsetsByZone).send();
        let found = self.account.call(self.read("GetHostedZoneLimit"), sending).await;
        let found = found.map_err(|error| self.forget_if_gone(&zone, error))?;
        let limit = found.limit().map_or(0, aws_sdk_route53::types::HostedZoneLimit::value);
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        Ok(ZoneInfo {
            name: zone.name.clone(),
            id: zone.id.clone(),
            records: Quota { used: count(found.count()), limit: count(limit) },
        })
    }

    async fn list(&self, zone: &str, age: Age) -> Call<Arc<Vec<RecordSet>>> {
        let zone = self.find_zone(zone).await?;
        if age == Age::Now {
            zone.records.drop_it();
        }
        let found = zone.records.get(LISTING_AGE, self.all_records(&zone)).await;
        found.map_err(|error| self.forget_if_gone(&zone, error))
    }

    async fn change(&self, zone: &str, changes: Vec<Change>) -> Call<String> {
        let zone = self.find_zone(zone).await?;
        let ask = self.action("ChangeResourceRecordSets");
        fits(&changes).map_err(|why| ask.refuse("InvalidChangeBatch", why))?;
        let batch: Result<Vec<_>, String> = changes.iter().map(|change| records::to_aws(change, &zone)).collect();
        let batch = batch.map_err(|why| ask.refuse("InvalidInput", why))?;
        let batch = ChangeBatch::builder().comment("failoverd").set_changes(Some(batch)).build();
        let batch = batch.map_err(|error| ask.refuse("InvalidInput", error.to_string()))?;
        let client = self.client(Kind::Action).await;
        let sending = client.change_resource_record_sets().hosted_zone_id(&zone.id).change_batch(batch).send();
        let changed = self.account.try_call(ask, sending).await;
        // Changed, refused because the listing was old, or unknown: in each case it is read anew.
        zone.records.drop_it();
        let changed = changed.map_err(|(error, words)| self.forget_if_gone(&zone, with_messages(error, words)))?;
        let id = changed.change_info().map_or("", |change| change.id());
        Ok(id.trim_start_matches("/change/").to_owned())
    }

    async fn in_sync(&self, change: &str) -> Call<bool> {
        let sending = self.client(Kind::Read).await.get_change().id(change).send();
        let found = self.account.call(self.read("GetChange"), sending).await?;
        Ok(found.change_info().is_some_and(|change| change.status() == &ChangeStatus::Insync))
    }
}

/// Route 53 says what is wrong with each change in a list of its own.
fn with_messages(
    error: CallError,
    words: Option<aws_sdk_route53::operation::change_resource_record_sets::ChangeResourceRecordSetsError>,
) -> CallError {
    use aws_sdk_route53::operation::change_resource_record_sets::ChangeResourceRecordSetsError as Refused;
    match words {
        Some(Refused::InvalidChangeBatch(batch)) if !batch.messages().is_empty() => {
            CallError { message: batch.messages().join("; "), ..error }
        }
        Some(refused) if error.message.is_empty() => {
            CallError { message: refused.message().unwrap_or_default().to_owned(), ..error }
        }
        _ => error,
    }
}

/// Asked before it is sent, so that what Route 53 would refuse costs no call.
fn fits(changes: &[Change]) -> Result<(), String> {
    let load = Load::of(changes);
    if load.fits() { Ok(()) } else { Err(format!("{load}: one batch holds {} at most", Load::MOST)) }
}

/// Whether a failed call may have changed something: then what is known of the listing is not.
const fn may_have_happened(error: &CallError) -> bool {
    matches!(error.effect, Effect::Unknown)
}
