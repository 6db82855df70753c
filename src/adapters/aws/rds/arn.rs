//! ARNs of RDS: `arn:aws:rds:REGION:ACCOUNT:cluster:ID`.

use failoverd_domain::ids::Region;

/// The Region that an ARN names.
pub(super) fn region_of(arn: &str) -> Option<Region> {
    arn.split(':').nth(3).filter(|region| !region.is_empty()).map(Region::from)
}

/// The identifier at an ARN's end; what is no ARN is an identifier itself.
pub(super) fn identifier_of(arn: &str) -> &str {
    if arn.starts_with("arn:") { arn.splitn(7, ':').nth(6).unwrap_or_default() } else { arn }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_tells_region_and_identifier() {
        let arn = "arn:aws:rds:eu-west-1:123456789012:cluster:shop-euw1";
        assert_eq!((region_of(arn), identifier_of(arn)), (Some("eu-west-1".into()), "shop-euw1"));
        assert_eq!((region_of("shop"), identifier_of("shop")), (None, "shop"));
        assert_eq!(region_of("arn:aws:rds::123456789012:global-cluster:shop"), None);
    }
}
