"""Drives the simulated DynamoDB with boto3, as a stranger would."""

import time
import unittest
from decimal import Decimal

import boto3
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

from stranger import ACCOUNT, WireTest, client, named, settings, turn

USE1, EUW1, USW2, USE2 = "us-east-1", "eu-west-1", "us-west-2", "us-east-2"
STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
STRONG = {"MultiRegionConsistency": "STRONG"}


class DynamodbTest(WireTest):
    @classmethod
    def setUpClass(cls):
        regions = (USE1, EUW1, USW2, USE2)
        cls.at = {region: client("dynamodb", region) for region in regions}
        cls.resource = {region: boto3.resource("dynamodb", region_name=region, **settings()) for region in regions}

    def describe(self, region, table):
        return self.at[region].describe_table(TableName=table)["Table"]

    def active(self, region, table):
        def is_active():
            found = self.describe(region, table)
            replicas = {replica["ReplicaStatus"] for replica in found.get("Replicas", [])}
            return found if found["TableStatus"] == "ACTIVE" and replicas <= {"ACTIVE"} else None

        return self.until(f"{table} is active", is_active)

    def gone(self, region, table):
        def is_gone():
            try:
                self.describe(region, table)
            except self.at[region].exceptions.ResourceNotFoundException:
                return True

        self.until(f"{table} is gone", is_gone)

    def make(self, region=USE1, name=None, sort=False, stream=True, **more):
        name = name or named("table")
        attributes = [{"AttributeName": "pk", "AttributeType": "S"}]
        schema = [{"AttributeName": "pk", "KeyType": "HASH"}]
        if sort:
            attributes.append({"AttributeName": "sk", "AttributeType": "N"})
            schema.append({"AttributeName": "sk", "KeyType": "RANGE"})
        if stream:
            more["StreamSpecification"] = STREAM
        more.setdefault("BillingMode", "PAY_PER_REQUEST")
        self.at[region].create_table(
            TableName=name, AttributeDefinitions=attributes, KeySchema=schema, **more
        )
        self.active(region, name)
        return name

    def replicate(self, table, *regions):
        for region in regions:
            self.at[USE1].update_table(TableName=table, ReplicaUpdates=[{"Create": {"RegionName": region}}])
            self.active(USE1, table)

    def item(self, region, table, pk="k", **more):
        return self.at[region].get_item(TableName=table, Key={"pk": {"S": pk}}, **more).get("Item")

    def put(self, region, table, pk="k", **attributes):
        self.at[region].put_item(TableName=table, Item={"pk": {"S": pk}, **attributes})


class Tables(DynamodbTest):
    def test_a_table_is_made_described_listed_and_deleted(self):
        name = named("orders")
        made = self.at[USE1].create_table(
            TableName=name,
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "B"},
            ],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            ProvisionedThroughput={"ReadCapacityUnits": 3, "WriteCapacityUnits": 2},
            Tags=[{"Key": "team", "Value": "shop"}],
        )["TableDescription"]
        self.assertEqual(made["TableStatus"], "CREATING")
        self.refused("ResourceNotFoundException", self.at[USE1].scan, TableName=name)
        found = self.active(USE1, name)
        self.assertEqual(found["TableArn"], f"arn:aws:dynamodb:{USE1}:{ACCOUNT}:table/{name}")
        self.assertEqual(found["ProvisionedThroughput"]["ReadCapacityUnits"], 3)
        self.assertNotIn("StreamSpecification", found)
        self.assertNotIn("GlobalTableVersion", found)
        self.assertEqual([key["KeyType"] for key in found["KeySchema"]], ["HASH", "RANGE"])
        self.assertEqual(self.describe(USE1, found["TableArn"])["TableName"], name)
        self.assertLess(abs(found["CreationDateTime"].timestamp() - time.time()), 60)
        pages = self.at[USE1].get_paginator("list_tables").paginate(PaginationConfig={"PageSize": 1})
        self.assertIn(name, [table for page in pages for table in page["TableNames"]])
        self.assertNotIn(name, self.at[EUW1].list_tables()["TableNames"])
        deleted = self.at[USE1].delete_table(TableName=name)["TableDescription"]
        self.assertEqual(deleted["TableStatus"], "DELETING")
        self.refused("ResourceInUseException", self.at[USE1].delete_table, TableName=name)
        self.gone(USE1, name)
        self.refused("ResourceNotFoundException", self.at[USE1].delete_table, TableName=name)

    def test_what_is_no_table_is_refused(self):
        name = self.make()
        create = self.at[USE1].create_table
        attribute = {"AttributeName": "pk", "AttributeType": "S"}
        hash_key = {"AttributeName": "pk", "KeyType": "HASH"}
        fine = {"AttributeDefinitions": [attribute], "KeySchema": [hash_key], "BillingMode": "PAY_PER_REQUEST"}
        self.refused("ResourceInUseException", create, TableName=name, **fine)
        other = named("bad")
        for change in (
            {"AttributeDefinitions": []},
            {"AttributeDefinitions": [attribute, {"AttributeName": "x", "AttributeType": "S"}]},
            {"KeySchema": [{"AttributeName": "pk", "KeyType": "RANGE"}]},
            {"BillingMode": "PROVISIONED"},
            {"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}},
            {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}},
        ):
            self.refused("ValidationException", create, TableName=other, **{**fine, **change})
        self.refused("ValidationException", create, TableName="a b c", **fine)
        self.refused("ResourceNotFoundException", self.at[USE1].describe_table, TableName=other)
        self.refused("UnknownOperationException", self.at[USE1].list_backups)

    def test_streams_and_billing_change_one_at_a_time(self):
        name = self.make(stream=False)
        update = self.at[USE1].update_table
        self.refused("ValidationException", update, TableName=name)
        self.refused("ValidationException", update, TableName=name, StreamSpecification=STREAM, BillingMode="PAY_PER_REQUEST")
        found = update(TableName=name, StreamSpecification=STREAM)["TableDescription"]
        self.assertEqual(found["StreamSpecification"], STREAM)
        self.assertTrue(found["LatestStreamArn"].startswith(found["TableArn"] + "/stream/"))
        self.refused("ValidationException", update, TableName=name, StreamSpecification=STREAM)
        units = {"ReadCapacityUnits": 7, "WriteCapacityUnits": 7}
        found = update(TableName=name, BillingMode="PROVISIONED", ProvisionedThroughput=units)["TableDescription"]
        self.assertEqual(found["ProvisionedThroughput"]["WriteCapacityUnits"], 7)
        found = update(TableName=name, StreamSpecification={"StreamEnabled": False})["TableDescription"]
        self.assertNotIn("StreamSpecification", found)

    def test_time_to_live_tags_backups_and_limits(self):
        name = self.make(Tags=[{"Key": "team", "Value": "shop"}])
        dynamodb = self.at[USE1]
        ttl = lambda: dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        self.assertEqual(ttl()["TimeToLiveStatus"], "DISABLED")
        wanted = {"Enabled": True, "AttributeName": "expires"}
        dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=wanted)
        self.assertEqual((ttl()["TimeToLiveStatus"], ttl()["AttributeName"]), ("ENABLED", "expires"))
        self.refused("ValidationException", dynamodb.update_time_to_live, TableName=name, TimeToLiveSpecification=wanted)
        arn = self.describe(USE1, name)["TableArn"]
        dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": "cost", "Value": "1"}])
        dynamodb.untag_resource(ResourceArn=arn, TagKeys=["team"])
        self.assertEqual(dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"], [{"Key": "cost", "Value": "1"}])
        self.refused("AccessDeniedException", dynamodb.list_tags_of_resource, ResourceArn=arn.replace(USE1, EUW1))
        self.refused("ResourceNotFoundException", dynamodb.list_tags_of_resource, ResourceArn=arn + "x")
        backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        self.assertEqual(backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"], "DISABLED")
        self.refused("TableNotFoundException", dynamodb.describe_continuous_backups, TableName=name + "x")
        self.assertGreater(dynamodb.describe_limits()["TableMaxReadCapacityUnits"], 0)


class Replicas(DynamodbTest):
    def test_replicas_come_and_go_one_at_a_time_with_their_items(self):
        name = self.make()
        self.put(USE1, name)
        update = self.at[USE1].update_table
        create = lambda region: [{"Create": {"RegionName": region}}]
        found = update(TableName=name, ReplicaUpdates=create(EUW1))["TableDescription"]
        self.assertEqual((found["TableStatus"], found["Replicas"][0]["ReplicaStatus"]), ("UPDATING", "CREATING"))
        self.assertEqual(self.describe(EUW1, name)["TableStatus"], "CREATING")
        self.refused("ResourceInUseException", update, TableName=name, ReplicaUpdates=create(USW2))
        self.refused("ResourceNotFoundException", self.at[EUW1].get_item, TableName=name, Key={"pk": {"S": "k"}})
        found = self.active(USE1, name)
        self.assertEqual((found["GlobalTableVersion"], found["MultiRegionConsistency"]), ("2019.11.21", "EVENTUAL"))
        self.assertEqual(self.describe(EUW1, name)["Replicas"], [{"RegionName": USE1, "ReplicaStatus": "ACTIVE"}])
        self.assertEqual(self.item(EUW1, name), {"pk": {"S": "k"}})
        self.refused("ValidationException", update, TableName=name, ReplicaUpdates=create(EUW1))
        self.refused("ValidationException", update, TableName=name, ReplicaUpdates=create(USW2) + create(USE2))
        self.refused("ValidationException", update, TableName=name, StreamSpecification={"StreamEnabled": False})
        delete = lambda region: [{"Delete": {"RegionName": region}}]
        self.refused("ReplicaNotFoundException", update, TableName=name, ReplicaUpdates=delete(USW2))
        found = update(TableName=name, ReplicaUpdates=delete(EUW1))["TableDescription"]
        self.assertEqual((found["TableStatus"], found["Replicas"][0]["ReplicaStatus"]), ("UPDATING", "DELETING"))
        self.assertEqual(self.describe(EUW1, name)["TableStatus"], "DELETING")
        self.refused("ResourceInUseException", update, TableName=name, ReplicaUpdates=delete(EUW1))
        self.gone(EUW1, name)
        self.assertNotIn("Replicas", self.active(USE1, name))
        self.make(EUW1, name)
        self.assertIsNone(self.item(EUW1, name), "a new table of that name has nothing of the old one")

    def test_replicas_need_streams_and_a_free_name(self):
        name = self.make(stream=False)
        create = [{"Create": {"RegionName": EUW1}}]
        message = self.refused("ValidationException", self.at[USE1].update_table, TableName=name, ReplicaUpdates=create)
        self.assertIn("NEW_AND_OLD_IMAGES", message)
        self.at[USE1].update_table(TableName=name, StreamSpecification=STREAM)
        self.make(EUW1, name)
        message = self.refused("ValidationException", self.at[USE1].update_table, TableName=name, ReplicaUpdates=create)
        self.assertIn("already existed", message)

    def test_items_replicate_both_ways_and_the_last_writer_wins(self):
        name = self.make()
        self.replicate(name, EUW1)
        number = lambda n: {"n": {"N": str(n)}}
        self.put(USE1, name, **number(1))
        self.until("the item arrives", lambda: self.item(EUW1, name))
        turn("cut", caller=EUW1, region=USE1)
        try:
            self.put(USE1, name, **number(2))
            time.sleep(0.01)
            self.put(EUW1, name, **number(3))
            self.assertEqual(self.item(USE1, name)["n"], {"N": "2"})
        finally:
            turn("mend", caller=EUW1, region=USE1)
        self.until("the later write wins", lambda: self.item(USE1, name)["n"] == {"N": "3"})
        self.assertEqual(self.item(EUW1, name)["n"], {"N": "3"})
        self.at[EUW1].delete_item(TableName=name, Key={"pk": {"S": "k"}})
        self.until("the deletion arrives", lambda: self.item(USE1, name) is None)

    def test_a_deleted_replica_leaves_the_others(self):
        name = self.make()
        self.replicate(name, EUW1)
        self.at[EUW1].delete_table(TableName=name)
        self.gone(EUW1, name)
        self.assertNotIn("GlobalTableVersion", self.active(USE1, name))


class Strong(DynamodbTest):
    def strong(self, name):
        updates = [{"Create": {"RegionName": USW2}}]
        witness = [{"Create": {"RegionName": USE2}}]
        made = self.at[USE1].update_table(TableName=name, ReplicaUpdates=updates, GlobalTableWitnessUpdates=witness, **STRONG)
        self.assertEqual(made["TableDescription"]["GlobalTableWitnesses"][0]["WitnessStatus"], "CREATING")
        return self.active(USE1, name)

    def test_three_regions_agree_at_once_and_two_are_enough(self):
        name = self.make(stream=False)
        found = self.strong(name)
        self.assertEqual(found["MultiRegionConsistency"], "STRONG")
        self.assertEqual(found["GlobalTableWitnesses"], [{"RegionName": USE2, "WitnessStatus": "ACTIVE"}])
        self.put(USE1, name, n={"N": "1"})
        self.assertEqual(self.item(USW2, name, ConsistentRead=True)["n"], {"N": "1"})
        turn("isolate", region=USW2)
        try:
            self.put(USE1, name, n={"N": "2"})
            key = {"pk": {"S": "k"}}
            self.refused("InternalServerError", self.at[USW2].get_item, 500, TableName=name, Key=key, ConsistentRead=True)
            self.refused("InternalServerError", self.at[USW2].put_item, 500, TableName=name, Item=key)
            self.assertEqual(self.item(USW2, name)["n"], {"N": "1"}, "an eventual read is an old one")
        finally:
            turn("rejoin", region=USW2)
        self.assertEqual(self.item(USW2, name, ConsistentRead=True)["n"], {"N": "2"})

    def test_a_strong_table_begins_empty_in_one_region_set_and_ends_whole(self):
        name = self.make(stream=False)
        update = self.at[USE1].update_table
        create = lambda *regions: [{"Create": {"RegionName": region}} for region in regions]
        self.refused("ValidationException", update, TableName=name, ReplicaUpdates=create(USW2), **STRONG)
        self.refused("ValidationException", update, TableName=name, ReplicaUpdates=create(USW2, EUW1), **STRONG)
        self.refused("ValidationException", update, TableName=name, GlobalTableWitnessUpdates=create(USW2))
        self.put(USE1, name)
        self.refused("ValidationException", update, TableName=name, ReplicaUpdates=create(USW2, USE2), **STRONG)
        self.at[USE1].delete_item(TableName=name, Key={"pk": {"S": "k"}})
        update(TableName=name, ReplicaUpdates=create(USW2, USE2), **STRONG)
        self.active(USE1, name)
        ttl = {"Enabled": True, "AttributeName": "expires"}
        self.refused("ValidationException", self.at[USE1].update_time_to_live, TableName=name, TimeToLiveSpecification=ttl)
        delete = lambda *regions: [{"Delete": {"RegionName": region}} for region in regions]
        self.refused("ValidationException", update, TableName=name, ReplicaUpdates=delete(USW2))
        self.refused("ValidationException", self.at[USW2].delete_table, TableName=name)
        update(TableName=name, ReplicaUpdates=delete(USW2, USE2))
        self.gone(USW2, name)
        self.assertNotIn("MultiRegionConsistency", self.active(USE1, name))


class Legacy(DynamodbTest):
    def test_a_global_table_of_2017_is_made_and_recognised(self):
        name = self.make()
        group = [{"RegionName": USE1}, {"RegionName": EUW1}]
        create = self.at[USE1].create_global_table
        self.refused("TableNotFoundException", create, GlobalTableName=name, ReplicationGroup=group)
        self.refused("GlobalTableNotFoundException", self.at[USE1].describe_global_table, GlobalTableName=name)
        self.make(EUW1, name)
        made = create(GlobalTableName=name, ReplicationGroup=group)["GlobalTableDescription"]
        self.assertEqual(made["GlobalTableArn"], f"arn:aws:dynamodb::{ACCOUNT}:global-table/{name}")
        self.refused("GlobalTableAlreadyExistsException", create, GlobalTableName=name, ReplicationGroup=group)
        found = self.at[EUW1].describe_global_table(GlobalTableName=name)["GlobalTableDescription"]
        self.assertEqual({replica["RegionName"] for replica in found["ReplicationGroup"]}, {USE1, EUW1})
        listed = self.at[USE1].list_global_tables(RegionName=EUW1)["GlobalTables"]
        self.assertIn(name, [table["GlobalTableName"] for table in listed])
        self.assertEqual(self.at[USE1].list_global_tables(RegionName=USW2)["GlobalTables"], [])
        self.assertNotIn("Replicas", self.describe(USE1, name))
        updates = [{"Create": {"RegionName": USW2}}]
        message = self.refused("ValidationException", self.at[USE1].update_table, TableName=name, ReplicaUpdates=updates)
        self.assertIn("2017.11.29", message)
        self.put(USE1, name)
        self.until("items replicate", lambda: self.item(EUW1, name))

    def test_tables_that_are_not_alike_do_not_become_one(self):
        name = self.make()
        self.make(EUW1, name, sort=True)
        group = [{"RegionName": USE1}, {"RegionName": EUW1}]
        create = self.at[USE1].create_global_table
        self.refused("ValidationException", create, GlobalTableName=name, ReplicationGroup=group)
        self.refused("ValidationException", create, GlobalTableName=name, ReplicationGroup=group[1:])


class Items(DynamodbTest):
    def test_every_type_comes_back_as_it_was_written(self):
        table = self.resource[USE1].Table(self.make())
        item = {
            "pk": "k",
            "text": "é \u2028 \"",
            "number": Decimal("12345678901234567890.123456789"),
            "bytes": b"\x00\xff",
            "flag": True,
            "nothing": None,
            "list": ["a", Decimal(1), {"deep": [b"x"]}],
            "texts": {"a", "b"},
            "numbers": {Decimal(1), Decimal("2.5")},
        }
        table.put_item(Item=item)
        found = table.get_item(Key={"pk": "k"}, ConsistentRead=True)["Item"]
        found["bytes"] = bytes(found["bytes"])
        found["list"][2]["deep"] = [bytes(found["list"][2]["deep"][0])]
        self.assertEqual(found, item)
        projected = table.get_item(
            Key={"pk": "k"}, ProjectionExpression="#t, #l[1]", ExpressionAttributeNames={"#t": "text", "#l": "list"}
        )["Item"]
        self.assertEqual(projected, {"text": item["text"], "list": [Decimal(1)]})
        self.assertNotIn("Item", table.get_item(Key={"pk": "other"}))
        table.put_item(Item={"pk": "n", "n": Decimal("1E3")})
        self.assertEqual(self.item(USE1, table.name, "n")["n"], {"N": "1000"})

    def test_conditions_hold_back_writes(self):
        name = self.make()
        dynamodb = self.at[USE1]

        def canary(version):
            dynamodb.put_item(
                TableName=name,
                Item={"pk": {"S": "k"}, "version": {"N": str(version)}},
                ConditionExpression="attribute_not_exists(#k) OR #v < :v",
                ExpressionAttributeNames={"#k": "pk", "#v": "version"},
                ExpressionAttributeValues={":v": {"N": str(version)}},
            )

        canary(9)
        canary(10)
        for old in (9, 10):
            self.refused("ConditionalCheckFailedException", lambda: canary(old))
        self.assertEqual(self.item(USE1, name)["version"], {"N": "10"})
        table = self.resource[USE1].Table(name)
        lost = Attr("pk").exists() & (Attr("version").eq(11) | Attr("version").between(1, 5))
        self.refused("ConditionalCheckFailedException", table.delete_item, Key={"pk": "k"}, ConditionExpression=lost)
        kept = Attr("version").is_in([10, 11]) & Attr("pk").begins_with("k") & ~Attr("x").exists()
        gone = table.delete_item(Key={"pk": "k"}, ConditionExpression=kept, ReturnValues="ALL_OLD")["Attributes"]
        self.assertEqual(gone["version"], 10)
        canary(1)

    def test_what_is_no_item_is_refused(self):
        name = self.make(sort=True)
        dynamodb = self.at[USE1]
        put = lambda item: self.refused("ValidationException", dynamodb.put_item, TableName=name, Item=item)
        self.assertIn("Missing the key sk", put({"pk": {"S": "k"}}))
        self.assertIn("Type mismatch", put({"pk": {"S": "k"}, "sk": {"S": "1"}}))
        self.assertIn("empty string", put({"pk": {"S": ""}, "sk": {"N": "1"}}))
        put({"pk": {"S": "k"}, "sk": {"N": "one"}})
        put({"pk": {"S": "k"}, "sk": {"N": "1"}, "x": {}})
        put({"pk": {"S": "k"}, "sk": {"N": "1"}, "x": {"S": "x" * 500_000}})
        self.refused("ValidationException", dynamodb.get_item, TableName=name, Key={"pk": {"S": "k"}})
        key = {"pk": {"S": "k"}, "sk": {"N": "1"}}
        self.refused("ResourceNotFoundException", dynamodb.get_item, TableName=name + "x", Key=key)
        for expression in ("pk =", "pk ~ :v", "#no = :v", "pk = :no"):
            self.refused(
                "ValidationException",
                dynamodb.put_item,
                TableName=name,
                Item=key,
                ConditionExpression=expression,
                ExpressionAttributeValues={":v": {"S": "k"}},
            )
        message = self.refused(
            "ValidationException",
            dynamodb.put_item,
            TableName=name,
            Item=key,
            ConditionExpression="attribute_not_exists(pk)",
            ExpressionAttributeValues={":v": {"S": "k"}},
        )
        self.assertIn("unused", message)

    def test_updates_change_parts_of_items(self):
        table = self.resource[USE1].Table(self.make())
        update = lambda **more: table.update_item(Key={"pk": "k"}, **more)
        made = update(
            UpdateExpression="SET #n = if_not_exists(#n, :zero) + :one, tags = :tags",
            ExpressionAttributeNames={"#n": "count"},
            ExpressionAttributeValues={":zero": 0, ":one": 1, ":tags": {"a"}},
            ReturnValues="ALL_NEW",
        )["Attributes"]
        self.assertEqual(made, {"pk": "k", "count": 1, "tags": {"a"}})
        again = update(
            UpdateExpression="ADD #n :one, tags :more REMOVE nothing",
            ExpressionAttributeNames={"#n": "count"},
            ExpressionAttributeValues={":one": 1, ":more": {"b"}},
            ReturnValues="UPDATED_NEW",
        )["Attributes"]
        self.assertEqual(again, {"count": 2, "tags": {"a", "b"}})
        old = update(UpdateExpression="DELETE tags :a", ExpressionAttributeValues={":a": {"a"}}, ReturnValues="UPDATED_OLD")
        self.assertEqual(old["Attributes"], {"tags": {"a", "b"}})
        values = {":x": "x"}
        self.refused("ValidationException", update, UpdateExpression="SET pk = :x", ExpressionAttributeValues=values)
        self.refused("ValidationException", update, UpdateExpression="SET a.b = :x", ExpressionAttributeValues=values)
        self.refused(
            "ConditionalCheckFailedException",
            update,
            UpdateExpression="SET other = :x",
            ConditionExpression="attribute_exists(other)",
            ExpressionAttributeValues=values,
        )
        self.assertNotIn("other", table.get_item(Key={"pk": "k"})["Item"])

    def test_items_are_read_page_by_page(self):
        name = self.make(sort=True)
        table = self.resource[USE1].Table(name)
        for pk in ("a", "b"):
            for sk in (10, 9, 1, -1):
                table.put_item(Item={"pk": pk, "sk": sk, "even": sk % 2 == 0})
        scans = self.at[USE1].get_paginator("scan").paginate(TableName=name, PaginationConfig={"PageSize": 3})
        self.assertEqual(sum(page["Count"] for page in scans), 8)
        even = table.scan(FilterExpression=Attr("even").eq(True), Select="COUNT")
        self.assertEqual((even["Count"], even["ScannedCount"]), (2, 8))
        self.assertNotIn("Items", even)
        query = lambda condition, **more: table.query(KeyConditionExpression=condition, **more)
        found = query(Key("pk").eq("a"))
        self.assertEqual([int(item["sk"]) for item in found["Items"]], [-1, 1, 9, 10])
        found = query(Key("pk").eq("a") & Key("sk").between(0, 9), ScanIndexForward=False, ProjectionExpression="sk")
        self.assertEqual(found["Items"], [{"sk": 9}, {"sk": 1}])
        pages = self.at[USE1].get_paginator("query").paginate(
            TableName=name,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": "b"}},
            PaginationConfig={"PageSize": 3},
        )
        self.assertEqual([[item["sk"]["N"] for item in page["Items"]] for page in pages], [["-1", "1", "9"], ["10"]])
        message = self.refused("ValidationException", query, condition=Key("sk").eq(1))
        self.assertIn("missed key schema element", message)
        self.refused("ValidationException", query, condition=Key("pk").eq("a"), IndexName="by-even")
        self.refused("ValidationException", table.scan, FilterExpression="even =")

    def test_faults_at_the_door_have_dynamodbs_shape(self):
        name = self.make()
        turn("throttle", region=USE1, service="dynamodb", on=True)
        try:
            self.refused("ThrottlingException", self.at[USE1].describe_table, TableName=name)
        finally:
            turn("throttle", region=USE1, service="dynamodb", on=False)
        self.describe(USE1, name)

    def test_a_daemon_is_told_of_expired_credentials_and_of_what_it_may_not(self):
        name = self.make()
        daemon = client("dynamodb", USE1, key=f"failoverd.{USE1}")
        daemon.describe_table(TableName=name)
        for fault, code in (
            (("expire_credentials", {}), "ExpiredTokenException"),
            (("deny", {"iam_action": "dynamodb:DescribeTable"}), "AccessDeniedException"),
        ):
            action, more = fault
            turn(action, caller=USE1, on=True, **more)
            try:
                with self.assertRaises(ClientError) as refusal:
                    daemon.describe_table(TableName=name)
                self.assertEqual(refusal.exception.response["Error"]["Code"], code)
            finally:
                turn(action, caller=USE1, on=False, **more)
        daemon.describe_table(TableName=name)


if __name__ == "__main__":
    unittest.main()
