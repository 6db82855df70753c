//! Everything of AWS as ports, as one role.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::account::Account;
use super::canaries::AllCanaries;
use super::cloudwatch::Cloudwatch;
use super::dynamodb::Dynamodb;
use super::permissions::Principals;
use super::rds::Rds;
use super::route53::Route53;
use super::s3::S3;
use crate::adapters::postgres::CanaryRows;
use crate::ports::{Dns, Prober, Roles, World};

/// What does not depend on the role.
#[derive(Clone)]
pub struct Outside {
    /// DNS.
    pub dns: Arc<dyn Dns>,
    /// Probes.
    pub prober: Arc<dyn Prober>,
    /// The process's variables: the DSNs of canary rows are among them.
    pub variables: Arc<BTreeMap<String, String>>,
}

/// Roles that were assumed once; their clients and budgets are kept.
struct Assumed {
    account: Arc<Account>,
    outside: Outside,
    rows: Arc<CanaryRows>,
    worlds: Mutex<BTreeMap<String, World>>,
}

impl Roles for Assumed {
    fn assuming(&self, role_arn: &str) -> World {
        let mut worlds = self.worlds.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || assemble(&self.account.assuming(role_arn), &self.outside, &self.rows);
        worlds.entry(role_arn.to_owned()).or_insert_with(made).clone()
    }
}

/// AWS as ports, as the daemon's own role. Nothing is asked before the first call.
#[must_use]
pub fn world(account: &Arc<Account>, outside: &Outside) -> World {
    assemble(account, outside, &Arc::new(CanaryRows::default()))
}

fn assemble(account: &Arc<Account>, outside: &Outside, rows: &Arc<CanaryRows>) -> World {
    let route53 = Arc::new(Route53::new(account.clone()));
    let rds = Arc::new(Rds::new(account.clone()));
    let dynamodb = Arc::new(Dynamodb::new(account.clone()));
    let s3 = Arc::new(S3::new(account.clone()));
    let canaries =
        AllCanaries::new(dynamodb.clone(), s3.clone(), rows.clone(), account.home().clone(), outside.variables.clone());
    let cloudwatch = Arc::new(Cloudwatch::new(account.clone(), s3.clone()));
    World {
        records: route53.clone(),
        health_checks: route53,
        aurora: rds.clone(),
        instances: rds.clone(),
        fences: rds,
        tables: dynamodb,
        canaries: Arc::new(canaries),
        metrics: cloudwatch.clone(),
        alarms: cloudwatch,
        buckets: s3,
        permissions: Arc::new(Principals::new(account.clone())),
        roles: Arc::new(Assumed {
            account: account.clone(),
            outside: outside.clone(),
            rows: rows.clone(),
            worlds: Mutex::default(),
        }),
        dns: outside.dns.clone(),
        prober: outside.prober.clone(),
    }
}
