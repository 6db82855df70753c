//! RDS: Aurora global clusters, instances with cross-Region replicas, and fences by security group.

mod arn;
mod aurora;
mod fences;
mod instances;

use std::sync::Arc;

use failoverd_domain::ids::Region;

use super::account::{Account, Ask};
use super::budget::Kind;

/// RDS's name in calls.
const SERVICE: &str = "rds";

/// RDS of one account, in every Region.
pub(super) struct Rds {
    account: Arc<Account>,
}

impl Rds {
    pub(super) const fn new(account: Arc<Account>) -> Self {
        Self { account }
    }

    async fn client(&self, region: &Region, kind: Kind) -> aws_sdk_rds::Client {
        self.account.rds(region, kind).await
    }
}

const fn read<'a>(operation: &'static str, region: &'a Region) -> Ask<'a> {
    Ask::read(SERVICE, operation, region)
}

const fn action<'a>(operation: &'static str, region: &'a Region) -> Ask<'a> {
    Ask::action(SERVICE, operation, region)
}
