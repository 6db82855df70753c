"""The AWS side of the reference set-ups in examples/: what their owners have, and what failoverd makes of it.

Usage: examples.py set-up|verify ENDPOINT ROUTE53_ENDPOINT
"""

import sys

from failover import client, until

REGIONS = ["us-east-1", "eu-west-1"]
ENDS = {"us-east-1": "use1", "eu-west-1": "euw1"}
REPLICATED = ["uploads", "inference-uploads", "inference-models"]
OWN_TABLES = ["Sessions", "Results", "failoverd-canary"]
ORDERS_REGIONS = {"us-east-1", "eu-west-1", "ap-southeast-1"}


def set_up(aws, _route53):
    for region in REGIONS:
        s3 = client("s3", region, aws)
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        for name in REPLICATED:
            bucket = f"{name}-{ENDS[region]}"
            s3.create_bucket(Bucket=bucket, **place)
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    dynamodb = client("dynamodb", "us-east-1", aws)
    for name in OWN_TABLES:
        dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
    # The others get their second Region from failoverd; canaries must have it before.
    dynamodb.update_table(TableName="failoverd-canary", ReplicaUpdates=[{"Create": {"RegionName": "eu-west-1"}}])
    client("rds", "us-east-1", aws).create_db_instance(
        DBInstanceIdentifier="legacy-db", Engine="postgres", DBInstanceClass="db.t4g.medium", AllocatedStorage=20,
        MasterUsername="app", MasterUserPassword="secret-secret", BackupRetentionPeriod=7,
    )


def table_is_in(aws, name, regions):
    found = client("dynamodb", "us-east-1", aws).describe_table(TableName=name)["Table"]
    assert found["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES", found
    status = {replica["RegionName"]: replica.get("ReplicaStatus") for replica in found.get("Replicas", [])}
    there = {"us-east-1", *(region for region, is_ in status.items() if is_ == "ACTIVE")}
    return True if there == regions else status


def verify_data(aws):
    until("Orders is in three Regions", lambda: table_is_in(aws, "Orders", ORDERS_REGIONS))
    for name in ["Sessions", "Results"]:
        until(f"{name} is in both Regions", lambda name=name: table_is_in(aws, name, set(REGIONS)))
    client("dynamodb", "us-east-1", aws).put_item(TableName="Orders", Item={"pk": {"S": "order-1"}})
    there = client("dynamodb", "ap-southeast-1", aws)
    until("an order arrives", lambda: "Item" in there.get_item(TableName="Orders", Key={"pk": {"S": "order-1"}}) or "no")

    for name in REPLICATED:
        for region, other in [REGIONS, REGIONS[::-1]]:
            def replicates(name=name, region=region, other=other):
                s3 = client("s3", region, aws)
                try:
                    rules = s3.get_bucket_replication(Bucket=f"{name}-{ENDS[region]}")
                except s3.exceptions.ClientError as error:
                    return error
                targets = [
                    rule["Destination"]["Bucket"]
                    for rule in rules["ReplicationConfiguration"]["Rules"]
                    if rule["Status"] == "Enabled"
                ]
                return True if targets == [f"arn:aws:s3:::{name}-{ENDS[other]}"] else targets

            until(f"{name} is replicated from {region}", replicates)


def verify_traffic(route53):
    dns = client("route53", "us-east-1", route53)
    zone = dns.list_hosted_zones_by_name(DNSName="example.com")["HostedZones"][0]["Id"]
    pages = dns.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
    sets = [found for page in pages for found in page["ResourceRecordSets"]]

    def of(name):
        return [found for found in sets if found["Name"] == f"{name}.example.com."]

    places = {tuple(sorted(found["GeoLocation"].items())): found["SetIdentifier"].split()[0] for found in of("orders")}
    assert places == {
        (("ContinentCode", "NA"),): "us-east-1",
        (("CountryCode", "*"),): "us-east-1",
        (("ContinentCode", "EU"),): "eu-west-1",
    }, places
    for found in of("orders"):
        assert found["AliasTarget"]["EvaluateTargetHealth"], found
    for name in ["app", "inference"]:
        roles = {found["SetIdentifier"]: found["Failover"] for found in of(name)}
        assert roles == {"us-east-1": "PRIMARY", "eu-west-1": "SECONDARY"}, roles
    balancers = {found["AliasTarget"]["DNSName"] for found in sets if ".elb.amazonaws.com" in str(found)}
    assert balancers == {
        "orders-use1-123456.us-east-1.elb.amazonaws.com.", "orders-euw1-123456.eu-west-1.elb.amazonaws.com.",
    }, balancers


def verify(aws, route53):
    verify_data(aws)
    verify_traffic(route53)


if __name__ == "__main__":
    part, *arguments = sys.argv[1:]
    {"set-up": set_up, "verify": verify}[part](*arguments)
