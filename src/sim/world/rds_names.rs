//! Identifiers and ARNs of RDS, and the words in which it refuses a wrong one.

use failoverd_domain::ids::Region;

use super::ACCOUNT;
use super::refusal::Refusal;

/// A security group that lets clients in: what a new database gets.
pub const OPEN_GROUP: &str = "sg-0defa017000000000";
/// A security group that lets nobody in and is there from the start.
pub const CLOSED_GROUP: &str = "sg-0fe0ce00000000000";

/// ARN of a DB instance.
#[must_use]
pub fn instance_arn(region: &Region, id: &str) -> String {
    format!("arn:aws:rds:{region}:{ACCOUNT}:db:{id}")
}

/// ARN of a DB cluster.
#[must_use]
pub fn cluster_arn(region: &Region, id: &str) -> String {
    format!("arn:aws:rds:{region}:{ACCOUNT}:cluster:{id}")
}

/// ARN of a global cluster.
#[must_use]
pub fn global_arn(id: &str) -> String {
    format!("arn:aws:rds::{ACCOUNT}:global-cluster:{id}")
}

/// Region, kind (`db`, `cluster` …) and identifier of an ARN of RDS in this account.
#[must_use]
pub fn parse_arn(arn: &str) -> Option<(Region, &str, &str)> {
    let rest = arn.strip_prefix("arn:aws:rds:")?;
    let (region, rest) = rest.split_once(':')?;
    let (kind, id) = rest.strip_prefix(ACCOUNT)?.strip_prefix(':')?.split_once(':')?;
    Some((Region::from(region), kind, id))
}

/// An identifier as RDS stores it: lower case.
pub fn new_identifier(parameter: &str, id: &str) -> Result<String, Refusal> {
    let id = id.to_ascii_lowercase();
    let starts_well = id.starts_with(|c: char| c.is_ascii_lowercase());
    let known = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if starts_well && known && id.len() <= 63 && !id.ends_with('-') && !id.contains("--") {
        return Ok(id);
    }
    let message = format!(
        "The parameter {parameter} is not a valid identifier. Identifiers must begin with a letter; must contain only \
         ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive hyphens."
    );
    Err(Refusal::new("InvalidParameterValue", message))
}

/// Security group identifiers as a call may give them.
pub(super) fn check_groups(groups: &[String]) -> Result<(), Refusal> {
    match groups.iter().find(|group| !group.starts_with("sg-")) {
        None => Ok(()),
        Some(group) => Err(Refusal::new("InvalidParameterValue", format!("Invalid security group, groupId= {group}."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_read_as_they_are_written() {
        let region = Region::from("eu-west-1");
        assert_eq!(parse_arn(&instance_arn(&region, "orders")), Some((region.clone(), "db", "orders")));
        assert_eq!(parse_arn(&cluster_arn(&region, "gc-euw1")), Some((region, "cluster", "gc-euw1")));
        assert_eq!(
            parse_arn(&global_arn("gc")).map(|(region, kind, _)| (region.as_str().len(), kind)),
            Some((0, "global-cluster"))
        );
        assert_eq!(parse_arn("arn:aws:rds:eu-west-1:999999999999:db:orders"), None, "another account");
        assert_eq!(new_identifier("DBInstanceIdentifier", "Orders-1").unwrap(), "orders-1");
        for wrong in ["", "1orders", "orders-", "or--ders", "or_ders"] {
            assert_eq!(new_identifier("DBInstanceIdentifier", wrong).unwrap_err().code, "InvalidParameterValue");
        }
    }
}
