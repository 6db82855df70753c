//! Health checks of the account: listed once for all, made under a caller reference, tagged.

use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use aws_sdk_route53::operation::create_health_check::CreateHealthCheckError;
use aws_sdk_route53::types::{AccountLimitType, InsufficientDataHealthStatus, Tag, TagResourceType};
use failoverd_domain::route53::{CheckKind, HealthCheck, HealthCheckConfig};
use failoverd_domain::traffic::{MOST_LIVES, reference_for_life, wanted_reference};

use super::checks::{alarm_to_aws, from_aws, to_aws, whole};
use super::{Route53, may_have_happened};
use crate::adapters::aws::budget::Kind;
use crate::adapters::aws::limits::{CHECKS_PAGE, LISTING_AGE};
use crate::ports::{Age, Call, HealthChecks, Quota};

impl Route53 {
    async fn all_checks(&self) -> Call<Vec<HealthCheck>> {
        let client = self.client(Kind::Read).await;
        let mut found = Vec::new();
        let mut marker = None;
        loop {
            let request = client.list_health_checks().max_items(CHECKS_PAGE).set_marker(marker.take());
            let page = self.account.call(self.read("ListHealthChecks"), request.send()).await?;
            found.extend(page.health_checks().iter().filter_map(from_aws));
            match page.next_marker().filter(|_| page.is_truncated()) {
                Some(next) => marker = Some(next.to_owned()),
                None => return Ok(found),
            }
        }
    }

    /// Says on the check whose it is. Ownership does not rest on it (that is the caller reference): a failure is tried
    /// again when checks are next listed.
    async fn tag(&self, id: &str, reference: &str) {
        let tags = tags(reference).into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
        let client = self.client(Kind::Action).await;
        let request = client.change_tags_for_resource().resource_type(TagResourceType::Healthcheck).resource_id(id);
        let sending = request.set_add_tags(Some(tags.collect())).send();
        let tagged = self.account.call(self.action("ChangeTagsForResource"), sending).await;
        let mut untagged = self.untagged.lock().unwrap_or_else(PoisonError::into_inner);
        match tagged {
            Err(error) if error.code != "NoSuchHealthCheck" => {
                tracing::warn!(check = id, %error, "a health check is not tagged yet");
                untagged.insert(id.to_owned(), reference.to_owned());
            }
            _ => drop(untagged.remove(id)),
        }
    }

    async fn tag_what_is_not(&self) {
        let open: Option<(String, String)> = {
            let untagged = self.untagged.lock().unwrap_or_else(PoisonError::into_inner);
            untagged.iter().next().map(|(id, reference)| (id.clone(), reference.clone()))
        };
        if let Some((id, reference)) = open {
            self.tag(&id, &reference).await;
        }
    }
}

/// What a caller reference says, as tags. See `traffic::naming` for its form.
fn tags(reference: &str) -> Vec<(&'static str, String)> {
    let mut tags = vec![("Name", reference.to_owned())];
    let parts: Vec<&str> = reference.split('/').collect();
    if let ["failoverd", fleet, kind, whose, ..] = parts[..] {
        tags.push(("failoverd.dev/fleet", fleet.to_owned()));
        tags.push((if kind == "sw" { "failoverd.dev/switch" } else { "failoverd.dev/service" }, whose.to_owned()));
    }
    tags
}

#[async_trait]
impl HealthChecks for Route53 {
    async fn list(&self, age: Age) -> Call<Arc<Vec<HealthCheck>>> {
        if age == Age::Now {
            self.checks.drop_it();
        }
        self.tag_what_is_not().await;
        self.checks.get(LISTING_AGE, self.all_checks()).await
    }

    async fn create(&self, caller_reference: &str, config: HealthCheckConfig) -> Call<HealthCheck> {
        let ask = self.action("CreateHealthCheck");
        let sent = to_aws(&config).map_err(|why| ask.refuse("InvalidInput", why))?;
        let mut life = 1;
        let made = loop {
            let reference = reference_for_life(caller_reference, life);
            let client = self.client(Kind::Action).await;
            let request = client.create_health_check().caller_reference(reference).health_check_config(sent.clone());
            let made = self.account.try_call(ask, request.send()).await;
            self.checks.drop_it();
            match made {
                Ok(made) => break made.health_check().and_then(from_aws),
                Err((error, Some(CreateHealthCheckError::HealthCheckAlreadyExists(_)))) => {
                    let all = self.all_checks().await?;
                    // Made before, with a configuration that has been changed since: it is the one.
                    if let Some(same) =
                        all.into_iter().find(|check| wanted_reference(&check.caller_reference) == caller_reference)
                    {
                        return Ok(same);
                    }
                    // Deleted, by us or by somebody else, and remembered for days.
                    if life == MOST_LIVES {
                        return Err(error);
                    }
                    life += 1;
                }
                Err((error, _)) => return Err(error),
            }
        };
        let made = made
            .ok_or_else(|| ask.error("UnreadableAnswer", "no health check came back", crate::ports::Effect::Unknown))?;
        self.tag(made.id.as_str(), caller_reference).await;
        Ok(made)
    }

    async fn update(&self, check: &HealthCheck, config: HealthCheckConfig) -> Call<HealthCheck> {
        let ask = self.action("UpdateHealthCheck");
        let client = self.client(Kind::Action).await;
        let request = client
            .update_health_check()
            .health_check_id(check.id.to_string())
            .health_check_version(i64::try_from(check.version).unwrap_or(i64::MAX))
            .inverted(config.inverted)
            .disabled(config.disabled);
        let request = match &config.kind {
            CheckKind::Calculated { children, threshold } => request
                .set_child_health_checks(Some(children.iter().map(ToString::to_string).collect()))
                .health_threshold(whole(*threshold)),
            CheckKind::Endpoint(endpoint) => {
                let request =
                    request.port(i32::from(endpoint.port)).failure_threshold(whole(endpoint.failure_threshold));
                let request = if endpoint.path.is_empty() { request } else { request.resource_path(&endpoint.path) };
                let request = request.set_search_string(endpoint.search.clone());
                match endpoint.host.parse::<std::net::IpAddr>() {
                    Ok(_) => request.ip_address(&endpoint.host),
                    Err(_) => request.fully_qualified_domain_name(&endpoint.host),
                }
            }
            // Named again, the alarm is read again: Route 53 copies its rule.
            CheckKind::Alarm { region, name } => {
                let alarm = alarm_to_aws(region, name).map_err(|why| ask.refuse("InvalidInput", why))?;
                request
                    .alarm_identifier(alarm)
                    .insufficient_data_health_status(InsufficientDataHealthStatus::LastKnownStatus)
            }
            CheckKind::Other(_) => request,
        };
        let updated = self.account.call(ask, request.send()).await;
        self.checks.drop_it();
        let updated = updated?.health_check().and_then(from_aws);
        updated.ok_or_else(|| ask.error("UnreadableAnswer", "no health check came back", crate::ports::Effect::Unknown))
    }

    async fn delete(&self, check: &HealthCheck) -> Call<()> {
        let client = self.client(Kind::Action).await;
        let sending = client.delete_health_check().health_check_id(check.id.to_string()).send();
        let deleted = self.account.call(self.action("DeleteHealthCheck"), sending).await;
        self.checks.drop_it();
        match deleted {
            Err(error) if error.code == "NoSuchHealthCheck" && !may_have_happened(&error) => Ok(()),
            other => other.map(drop),
        }
    }

    async fn quota(&self) -> Call<Quota> {
        let client = self.client(Kind::Read).await;
        let sending = client.get_account_limit().r#type(AccountLimitType::MaxHealthChecksByOwner).send();
        let found = self.account.call(self.read("GetAccountLimit"), sending).await?;
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        let limit = found.limit().map_or(0, aws_sdk_route53::types::AccountLimit::value);
        Ok(Quota { used: count(found.count()), limit: count(limit) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_tells_whose_a_check_is() {
        let of = |reference| tags(reference)[1..].to_vec();
        let tag = |key, value: &str| (key, value.to_owned());
        assert_eq!(
            of("failoverd/prod/sw/shop/us-east-1/p"),
            [tag("failoverd.dev/fleet", "prod"), tag("failoverd.dev/switch", "shop")]
        );
        assert_eq!(of("failoverd/prod/hc/cart/eu-west-1/https")[1], tag("failoverd.dev/service", "cart"));
        assert_eq!(of("somebody's"), []);
    }
}
