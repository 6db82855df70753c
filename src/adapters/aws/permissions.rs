//! Who we are (STS), and whether we may (IAM's own simulation of our policies).

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_iam::types::PolicyEvaluationDecisionType as Verdict;
use failoverd_domain::ids::Region;
use tokio::sync::OnceCell;

use super::account::{Account, Ask, GLOBAL};
use super::budget::Kind;
use crate::ports::{Action, Call, Identity, Permissions};

/// STS and IAM of one account.
pub(super) struct Principals {
    account: Arc<Account>,
    global: Region,
    /// The ARN of the user or role behind the identity; it does not change while we are who we are.
    principal: OnceCell<String>,
}

impl Principals {
    pub(super) fn new(account: Arc<Account>) -> Self {
        Self { account, global: GLOBAL.into(), principal: OnceCell::new() }
    }

    /// The ARN that IAM simulates for: a session is told by its role, whose path only IAM knows.
    async fn find_principal(&self) -> Call<String> {
        let identity = self.identity().await?;
        let Some(role) = role_name(&identity.arn) else { return Ok(identity.arn) };
        let ask = Ask::read("iam", "GetRole", &self.global);
        let sending = self.account.iam(&self.global, Kind::Read).await.get_role().role_name(role).send();
        match self.account.call(ask, sending).await {
            Ok(found) if found.role().is_some() => Ok(found.role().map_or("", |role| role.arn()).to_owned()),
            // Without the right to look it up the path is taken for none.
            _ => Ok(format!("arn:{}:iam::{}:role/{role}", identity.partition, identity.account)),
        }
    }
}

/// The role of `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
fn role_name(arn: &str) -> Option<&str> {
    arn.split(':').nth(5)?.strip_prefix("assumed-role/")?.split('/').next()
}

#[async_trait]
impl Permissions for Principals {
    async fn identity(&self) -> Call<Identity> {
        let home = self.account.home();
        let ask = Ask::read("sts", "GetCallerIdentity", home);
        let sending = self.account.sts(home, Kind::Read).await.get_caller_identity().send();
        let found = self.account.call(ask, sending).await?;
        let arn = found.arn().unwrap_or_default().to_owned();
        let partition = arn.split(':').nth(1).unwrap_or("aws").to_owned();
        Ok(Identity { account: found.account().unwrap_or_default().to_owned(), arn, partition })
    }

    async fn denied(&self, actions: &[Action]) -> Call<Vec<(Action, String)>> {
        let principal = self.principal.get_or_try_init(|| self.find_principal()).await?;
        let mut by_resource: BTreeMap<&str, Vec<&Action>> = BTreeMap::new();
        for action in actions {
            by_resource.entry(&action.resource).or_default().push(action);
        }
        let client = self.account.iam(&self.global, Kind::Read).await;
        let mut denied = Vec::new();
        for (resource, actions) in by_resource {
            let mut marker = None;
            loop {
                let ask = Ask::read("iam", "SimulatePrincipalPolicy", &self.global);
                let request = client
                    .simulate_principal_policy()
                    .policy_source_arn(principal)
                    .set_action_names(Some(actions.iter().map(|action| action.name.clone()).collect()))
                    .set_marker(marker.take());
                let request = if resource == "*" { request } else { request.resource_arns(resource) };
                let page = self.account.call(ask, request.send()).await?;
                for result in page.evaluation_results() {
                    let verdict = result.eval_decision();
                    let action = actions.iter().find(|action| action.name == result.eval_action_name());
                    if let (Some(action), true) = (action, verdict != &Verdict::Allowed) {
                        denied.push(((*action).clone(), verdict.as_str().to_owned()));
                    }
                }
                match page.marker().filter(|_| page.is_truncated()) {
                    Some(next) => marker = Some(next.to_owned()),
                    None => break,
                }
            }
        }
        Ok(denied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_told_by_its_role() {
        assert_eq!(role_name("arn:aws:sts::123456789012:assumed-role/failoverd/us-east-1"), Some("failoverd"));
        assert_eq!(role_name("arn:aws:iam::123456789012:user/me"), None);
    }
}
