"""What AWS itself says of a service before, after and between its moves, asked with boto3.

Usage: failover.py set-up|write|verify ENDPOINT ROUTE53_ENDPOINT [ARGUMENTS]
"""

import sys
import time

import boto3

REGIONS = ["us-east-1", "eu-west-1"]
CLUSTERS = {"us-east-1": "shop-use1", "eu-west-1": "shop-euw1"}
BUCKETS = {"us-east-1": "shop-media-use1", "eu-west-1": "shop-media-euw1"}
ADDRESSES = {"us-east-1": "192.0.2.10", "eu-west-1": "192.0.2.20"}
PATIENCE_S = 60


def client(service, region, endpoint):
    return boto3.client(
        service, region_name=region, endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test"
    )


def until(what, look):
    """Looks until it is so; the last thing seen is told when it never is."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        seen = look()
        if seen is True:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: {seen!r}")
        time.sleep(0.2)


def set_up(aws, _route53):
    engine = "aurora-postgresql"
    client("rds", "us-east-1", aws).create_global_cluster(GlobalClusterIdentifier="shop-global", Engine=engine)
    for region in REGIONS:
        rds = client("rds", region, aws)
        owner = {"MasterUsername": "shop", "MasterUserPassword": "secret-secret"} if region == "us-east-1" else {}
        rds.create_db_cluster(
            DBClusterIdentifier=CLUSTERS[region], Engine=engine, GlobalClusterIdentifier="shop-global",
            VpcSecurityGroupIds=["sg-0a"], **owner,
        )
        rds.create_db_instance(
            DBInstanceIdentifier=f"{CLUSTERS[region]}-1", DBClusterIdentifier=CLUSTERS[region], Engine=engine,
            DBInstanceClass="db.r6g.large",
        )
        s3 = client("s3", region, aws)
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=BUCKETS[region], **place)
        s3.put_bucket_versioning(Bucket=BUCKETS[region], VersioningConfiguration={"Status": "Enabled"})
    dynamodb = client("dynamodb", "us-east-1", aws)
    dynamodb.create_table(
        TableName="failoverd-canary",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    dynamodb.update_table(TableName="failoverd-canary", ReplicaUpdates=[{"Create": {"RegionName": "eu-west-1"}}])


def write(aws, _route53, item):
    """An order, taken where the service serves now."""
    clusters = client("rds", "us-east-1", aws).describe_global_clusters(GlobalClusterIdentifier="shop-global")
    writer = next(member for member in clusters["GlobalClusters"][0]["GlobalClusterMembers"] if member["IsWriter"])
    region = writer["DBClusterArn"].split(":")[3]
    dynamodb = client("dynamodb", region, aws)

    def taken():
        try:
            dynamodb.put_item(TableName="Orders", Item={"id": {"S": item}, "of": {"S": region}})
        except dynamodb.exceptions.ResourceNotFoundException as error:
            return error
        return True

    until("the table that failoverd makes takes an order", taken)


def verify(aws, route53, region, epoch, item):
    rds = client("rds", region, aws)

    def writer():
        members = rds.describe_global_clusters(GlobalClusterIdentifier="shop-global")["GlobalClusters"][0]
        writers = [member["DBClusterArn"] for member in members["GlobalClusterMembers"] if member["IsWriter"]]
        return True if len(writers) == 1 and f":{region}:" in writers[0] else writers

    until("the Aurora writer moved", writer)
    groups = rds.describe_db_clusters(DBClusterIdentifier=CLUSTERS[region])["DBClusters"][0]["VpcSecurityGroups"]
    names = [group["VpcSecurityGroupId"] for group in groups]
    assert not any(name.startswith("sg-0fe0ce") for name in names), f"the writer is fenced: {names}"

    dynamodb = client("dynamodb", region, aws)
    until(
        "the item written before is readable here",
        lambda: "Item" in dynamodb.get_item(TableName="Orders", Key={"id": {"S": item}}) or "no item",
    )

    s3 = client("s3", region, aws)
    canaries = s3.list_objects_v2(Bucket=BUCKETS[region], Prefix=".failoverd/")
    assert [entry["Key"] for entry in canaries.get("Contents", [])] == [".failoverd/shop/media"], canaries

    dns = client("route53", "us-east-1", route53)
    zone = dns.list_hosted_zones_by_name(DNSName="example.com")["HostedZones"][0]["Id"]
    records = dns.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
    sets = [found for page in records for found in page["ResourceRecordSets"]]
    public = {found["SetIdentifier"]: found for found in sets if found["Name"] == "shop.example.com."}
    assert set(public) == set(REGIONS), public
    for name, found in public.items():
        role = "PRIMARY" if name == region else "SECONDARY"
        assert found["Failover"] == role, f"{name} is {found['Failover']}, not {role}"
        assert found["AliasTarget"]["DNSName"] == f"fo-{name}.shop.example.com.", found
        inner = next(inner for inner in sets if inner["Name"] == found["AliasTarget"]["DNSName"])
        assert inner["ResourceRecords"] == [{"Value": ADDRESSES[name]}] and "HealthCheckId" in inner, inner
    fence = next(found for found in sets if found["Name"] == "_failoverd.shop.example.com.")
    value = fence["ResourceRecords"][0]["Value"]
    assert value.startswith(f'"fleet=test generation=0 epoch={epoch} index='), value
    checks = dns.get_paginator("list_health_checks").paginate()
    references = [check["CallerReference"] for page in checks for check in page["HealthChecks"]]
    assert all(reference.startswith("failoverd/test/") for reference in references) and references, references


if __name__ == "__main__":
    part, *arguments = sys.argv[1:]
    {"set-up": set_up, "write": write, "verify": verify}[part](*arguments)
