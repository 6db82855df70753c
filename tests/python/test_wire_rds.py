"""Drives the simulated RDS with boto3, as a stranger would."""

import datetime
import json
import time
import unittest
import urllib.request

from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from stranger import ACCOUNT, BOUND_S, ENDPOINT, WireTest, client, named, turn

USE1, EUW1, USW2 = "us-east-1", "eu-west-1", "us-west-2"
AURORA = "aurora-postgresql"
OPEN_GROUP, CLOSED_GROUP = "sg-0defa017000000000", "sg-0fe0ce00000000000"


def effects():
    with urllib.request.urlopen(f"{ENDPOINT}/_sim/effects") as answer:
        return json.load(answer)["effects"]


def arn(kind, region, name):
    return f"arn:aws:rds:{region}:{ACCOUNT}:{kind}:{name}"


class RdsTest(WireTest):
    @classmethod
    def setUpClass(cls):
        cls.at = {region: client("rds", region) for region in (USE1, EUW1, USW2)}

    def instance(self, region, name):
        return self.at[region].describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]

    def status(self, region, name):
        try:
            return self.instance(region, name)["DBInstanceStatus"]
        except self.at[region].exceptions.DBInstanceNotFoundFault:
            return "none"

    def cluster(self, region, name):
        return self.at[region].describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]

    def cluster_status(self, region, name):
        try:
            return self.cluster(region, name)["Status"]
        except self.at[region].exceptions.DBClusterNotFoundFault:
            return "none"

    def world(self, region, name):
        return self.at[region].describe_global_clusters(GlobalClusterIdentifier=name)["GlobalClusters"][0]

    def seen_until(self, look, last):
        """The different values that `look` has in turn, up to `last`."""
        seen, ends = [], time.monotonic() + BOUND_S
        while time.monotonic() < ends:
            value = look()
            if not seen or seen[-1] != value:
                seen.append(value)
            if value == last:
                return seen
            time.sleep(0.02)
        self.fail(f"{last!r} did not come in {BOUND_S} s: {seen}")

    def make_instance(self, region, name, **more):
        arguments = {
            "DBInstanceClass": "db.t4g.medium",
            "Engine": "postgres",
            "EngineVersion": "16.4",
            "AllocatedStorage": 50,
            "MasterUsername": "postgres",
            "MasterUserPassword": "not-a-secret",
            **more,
        }
        return self.at[region].create_db_instance(DBInstanceIdentifier=name, **arguments)["DBInstance"]

    def make_global(self, *regions):
        """A global cluster with one instance in each Region, the first one writing."""
        name = named("gc")
        self.at[regions[0]].create_global_cluster(GlobalClusterIdentifier=name, Engine=AURORA, EngineVersion="16.4")
        members = {region: f"{name}-{region}" for region in regions}
        for region, member in members.items():
            self.at[region].create_db_cluster(
                DBClusterIdentifier=member, Engine=AURORA, GlobalClusterIdentifier=name, VpcSecurityGroupIds=[OPEN_GROUP]
            )
            self.at[region].create_db_instance(
                DBInstanceIdentifier=f"{member}-1", DBInstanceClass="db.r6g.large", Engine=AURORA, DBClusterIdentifier=member
            )
            self.seen_until(lambda: self.cluster_status(region, member), "available")
        for region, member in members.items():
            self.seen_until(lambda: self.status(region, f"{member}-1"), "available")
        return name, members

    def events(self, region, source_type, source):
        told = self.at[region].describe_events(SourceType=source_type, SourceIdentifier=source)["Events"]
        return [event["Message"] for event in told]


class Instances(RdsTest):
    def test_an_instance_is_created_backed_up_and_available(self):
        name = named("Orders")
        made = self.make_instance(
            USE1,
            name,
            BackupRetentionPeriod=7,
            MultiAZ=True,
            VpcSecurityGroupIds=[OPEN_GROUP, "sg-0b"],
            Tags=[{"Key": "team", "Value": "a & <b>"}],
        )
        name = name.lower()
        self.assertEqual((made["DBInstanceIdentifier"], made["DBInstanceStatus"]), (name, "creating"))
        self.assertNotIn("Endpoint", made)
        self.assertEqual(self.seen_until(lambda: self.status(USE1, name), "available")[-2:], ["backing-up", "available"])
        found = self.instance(USE1, arn("db", USE1, name))
        self.assertEqual(found["DBInstanceArn"], arn("db", USE1, name))
        self.assertEqual((found["Engine"], found["EngineVersion"], found["DBInstanceClass"]), ("postgres", "16.4", "db.t4g.medium"))
        self.assertEqual((found["BackupRetentionPeriod"], found["MultiAZ"], found["AllocatedStorage"]), (7, True, 50))
        self.assertEqual([group["VpcSecurityGroupId"] for group in found["VpcSecurityGroups"]], [OPEN_GROUP, "sg-0b"])
        self.assertEqual({group["Status"] for group in found["VpcSecurityGroups"]}, {"active"})
        self.assertEqual(found["TagList"], [{"Key": "team", "Value": "a & <b>"}])
        self.assertTrue(found["Endpoint"]["Address"].startswith(f"{name}.") and found["Endpoint"]["Port"] == 5432)
        self.assertIsInstance(found["InstanceCreateTime"], datetime.datetime)
        self.assertTrue(found["DbiResourceId"].startswith("db-"))
        self.assertEqual(found["ReadReplicaDBInstanceIdentifiers"], [])
        self.assertIn("DB instance created.", self.events(USE1, "db-instance", name))
        self.refused("DBInstanceAlreadyExists", self.make_instance, status=400, region=USE1, name=name)

    def test_what_is_wrong_is_refused(self):
        api = self.at[USE1]
        self.refused("DBInstanceNotFound", api.describe_db_instances, status=404, DBInstanceIdentifier="nothing")
        self.refused("DBInstanceNotFound", api.describe_db_instances, status=404, DBInstanceIdentifier=arn("db", EUW1, "x"))
        for call in (api.reboot_db_instance, api.promote_read_replica, api.modify_db_instance):
            self.refused("DBInstanceNotFound", call, status=404, DBInstanceIdentifier="nothing")
        self.refused("InvalidParameterValue", self.make_instance, status=400, region=USE1, name="9lives")
        self.refused("InvalidParameterValue", self.make_instance, status=400, region=USE1, name=named("x"), BackupRetentionPeriod=99)
        self.refused("InvalidParameterValue", self.make_instance, status=400, region=USE1, name=named("x"), VpcSecurityGroupIds=["default"])
        self.refused("InvalidParameterCombination", self.make_instance, status=400, region=USE1, name=named("x"), Engine=AURORA)
        self.refused("DBClusterNotFoundFault", self.make_instance, status=404, region=USE1, name=named("x"), Engine=AURORA, DBClusterIdentifier="none")
        self.refused("InvalidParameterValue", api.describe_db_instances, status=400, Filters=[{"Name": "colour", "Values": ["red"]}])
        self.refused("InvalidParameterValue", api.describe_db_instances, status=400, MaxRecords=5)

    def test_pages_end_with_a_marker(self):
        prefix = named("page")
        names = [f"{prefix}-{number:02}" for number in range(25)]
        for name in names:
            self.make_instance(USW2, name)
        pages = self.at[USW2].get_paginator("describe_db_instances").paginate(PaginationConfig={"PageSize": 20})
        pages = list(pages)
        self.assertGreater(len(pages), 1)
        self.assertLessEqual(max(len(page["DBInstances"]) for page in pages), 20)
        found = [one["DBInstanceIdentifier"] for page in pages for one in page["DBInstances"]]
        self.assertEqual([name for name in found if name.startswith(prefix)], names)
        few = self.at[USW2].describe_db_instances(Filters=[{"Name": "db-instance-id", "Values": [names[3], names[7]]}])
        self.assertEqual([one["DBInstanceIdentifier"] for one in few["DBInstances"]], [names[3], names[7]])

    def test_a_replica_is_promoted_through_a_reboot_and_the_old_primary_put_aside(self):
        primary, replica, aside = named("primary"), named("replica"), named("aside")
        self.make_instance(USE1, primary, BackupRetentionPeriod=7)
        source = arn("db", USE1, primary)
        self.refused(
            "InvalidDBInstanceState",
            self.at[EUW1].create_db_instance_read_replica,
            status=400,
            DBInstanceIdentifier=replica,
            SourceDBInstanceIdentifier=source,
        )
        self.at[USE1].get_waiter("db_instance_available").wait(
            DBInstanceIdentifier=primary, WaiterConfig={"Delay": 1, "MaxAttempts": int(BOUND_S)}
        )
        made = self.at[EUW1].create_db_instance_read_replica(
            DBInstanceIdentifier=replica, SourceDBInstanceIdentifier=source, SourceRegion=USE1, DBInstanceClass="db.r6g.large"
        )["DBInstance"]
        self.assertEqual((made["DBInstanceStatus"], made["DBInstanceClass"]), ("creating", "db.r6g.large"))
        self.assertEqual((made["ReadReplicaSourceDBInstanceIdentifier"], made["BackupRetentionPeriod"]), (source, 0))
        self.seen_until(lambda: self.status(EUW1, replica), "available")
        info = self.instance(EUW1, replica)["StatusInfos"]
        self.assertEqual(info, [{"StatusType": "read replication", "Normal": True, "Status": "replicating"}])
        self.assertEqual(self.instance(USE1, primary)["ReadReplicaDBInstanceIdentifiers"], [arn("db", EUW1, replica)])
        self.refused(
            "InvalidParameterCombination",
            self.at[USE1].modify_db_instance,
            status=400,
            DBInstanceIdentifier=primary,
            BackupRetentionPeriod=0,
            ApplyImmediately=True,
        )

        self.refused("InvalidDBInstanceState", self.at[USE1].promote_read_replica, status=400, DBInstanceIdentifier=primary)
        started = self.at[EUW1].promote_read_replica(DBInstanceIdentifier=replica, BackupRetentionPeriod=3)["DBInstance"]
        self.assertEqual(started["DBInstanceStatus"], "modifying")
        self.refused("InvalidDBInstanceState", self.at[EUW1].promote_read_replica, status=400, DBInstanceIdentifier=replica)
        seen = self.seen_until(lambda: self.status(EUW1, replica), "available")
        self.assertEqual(seen, ["modifying", "rebooting", "available"])
        promoted = self.instance(EUW1, replica)
        self.assertNotIn("ReadReplicaSourceDBInstanceIdentifier", promoted)
        self.assertEqual((promoted.get("StatusInfos", []), promoted["BackupRetentionPeriod"]), ([], 3))
        self.assertEqual(self.instance(USE1, primary)["ReadReplicaDBInstanceIdentifiers"], [])
        self.assertIn("DB instance restarted.", self.events(EUW1, "db-instance", replica))

        # Put aside: its endpoint answers nobody any more, and its name is free for a replica the other way.
        self.at[USE1].modify_db_instance(DBInstanceIdentifier=primary, NewDBInstanceIdentifier=aside, ApplyImmediately=True)
        self.assertEqual(self.seen_until(lambda: self.status(USE1, primary), "none"), ["renaming", "none"])
        self.assertEqual(self.seen_until(lambda: self.status(USE1, aside), "available"), ["rebooting", "available"])
        self.assertEqual(self.instance(USE1, aside)["DBInstanceArn"], arn("db", USE1, aside))
        back = self.at[USE1].create_db_instance_read_replica(
            DBInstanceIdentifier=primary, SourceDBInstanceIdentifier=arn("db", EUW1, replica), SourceRegion=EUW1
        )["DBInstance"]
        self.assertEqual(back["ReadReplicaSourceDBInstanceIdentifier"], arn("db", EUW1, replica))
        self.assertEqual(back["DBInstanceClass"], "db.r6g.large", "as its source")
        self.seen_until(lambda: self.status(USE1, primary), "available")

    def test_a_replica_needs_a_source_with_backups(self):
        bare, copy = named("bare"), named("copy")
        self.make_instance(USE1, bare, BackupRetentionPeriod=0)
        self.assertEqual(self.seen_until(lambda: self.status(USE1, bare), "available"), ["creating", "available"])
        replicate = {"DBInstanceIdentifier": copy, "SourceDBInstanceIdentifier": arn("db", USE1, bare)}
        said = self.refused("InvalidDBInstanceState", self.at[EUW1].create_db_instance_read_replica, status=400, **replicate)
        self.assertTrue(said.startswith("Automated backups are not enabled"), said)
        self.refused(
            "DBInstanceNotFound",
            self.at[EUW1].create_db_instance_read_replica,
            status=404,
            DBInstanceIdentifier=copy,
            SourceDBInstanceIdentifier=arn("db", USE1, "nothing"),
        )
        self.at[USE1].modify_db_instance(DBInstanceIdentifier=bare, BackupRetentionPeriod=7, ApplyImmediately=True)
        seen = self.seen_until(lambda: self.status(USE1, bare), "available")
        self.assertEqual(seen, ["modifying", "backing-up", "available"])
        self.at[EUW1].create_db_instance_read_replica(**replicate)
        self.refused("DBInstanceAlreadyExists", self.at[EUW1].create_db_instance_read_replica, status=400, **replicate)

    def test_a_fence_is_a_swap_of_security_groups(self):
        name = named("fenced")
        self.make_instance(USE1, name, BackupRetentionPeriod=0)
        self.seen_until(lambda: self.status(USE1, name), "available")
        fenced = self.at[USE1].modify_db_instance(
            DBInstanceIdentifier=name, VpcSecurityGroupIds=[CLOSED_GROUP], ApplyImmediately=True
        )["DBInstance"]
        self.assertEqual(fenced["VpcSecurityGroups"], [{"VpcSecurityGroupId": CLOSED_GROUP, "Status": "active"}])
        self.refused("InvalidDBInstanceState", self.at[USE1].reboot_db_instance, status=400, DBInstanceIdentifier=name)
        self.assertEqual(self.seen_until(lambda: self.status(USE1, name), "available"), ["modifying", "available"])
        self.at[USE1].reboot_db_instance(DBInstanceIdentifier=name)
        self.assertEqual(self.seen_until(lambda: self.status(USE1, name), "available"), ["rebooting", "available"])

    def test_changes_wait_for_a_window_unless_told_not_to(self):
        name = named("patient")
        self.make_instance(USE1, name, BackupRetentionPeriod=0)
        self.seen_until(lambda: self.status(USE1, name), "available")
        waiting = self.at[USE1].modify_db_instance(
            DBInstanceIdentifier=name, DBInstanceClass="db.r6g.xlarge", NewDBInstanceIdentifier=f"{name}-b", MultiAZ=True
        )["DBInstance"]
        self.assertEqual((waiting["DBInstanceStatus"], waiting["DBInstanceClass"]), ("available", "db.t4g.medium"))
        pending = waiting["PendingModifiedValues"]
        self.assertEqual((pending["DBInstanceClass"], pending["DBInstanceIdentifier"], pending["MultiAZ"]), ("db.r6g.xlarge", f"{name}-b", True))
        self.at[USE1].modify_db_instance(DBInstanceIdentifier=name, ApplyImmediately=True)
        self.seen_until(lambda: self.status(USE1, f"{name}-b"), "available")
        found = self.instance(USE1, f"{name}-b")
        self.assertEqual((found["DBInstanceClass"], found["MultiAZ"], found["PendingModifiedValues"]), ("db.r6g.xlarge", True, {}))

    def test_deleting_wants_a_word_about_the_last_snapshot(self):
        name = named("doomed")
        api = self.at[USE1]
        self.make_instance(USE1, name, DeletionProtection=True, BackupRetentionPeriod=0)
        self.seen_until(lambda: self.status(USE1, name), "available")
        self.refused("InvalidParameterCombination", api.delete_db_instance, status=400, DBInstanceIdentifier=name)
        doom = {"DBInstanceIdentifier": name, "SkipFinalSnapshot": True}
        self.refused("InvalidParameterCombination", api.delete_db_instance, status=400, **doom)
        api.modify_db_instance(DBInstanceIdentifier=name, DeletionProtection=False, ApplyImmediately=True)
        self.seen_until(lambda: self.status(USE1, name), "available")
        self.assertEqual(api.delete_db_instance(**doom)["DBInstance"]["DBInstanceStatus"], "deleting")
        self.refused("InvalidDBInstanceState", api.delete_db_instance, status=400, **doom)
        self.seen_until(lambda: self.status(USE1, name), "none")
        self.assertIn("DB instance deleted.", self.events(USE1, "db-instance", name))


class Aurora(RdsTest):
    def member(self, region, name, of):
        found = self.world(region, name)["GlobalClusterMembers"]
        return next(member for member in found if f":{of}:" in member["DBClusterArn"])

    def test_a_global_cluster_is_built_switched_over_and_taken_apart(self):
        name, members = self.make_global(USE1, EUW1)
        arns = {region: arn("cluster", region, member) for region, member in members.items()}
        found = self.world(EUW1, name)
        self.assertEqual((found["Status"], found["Engine"], found["EngineVersion"]), ("available", AURORA, "16.4"))
        self.assertEqual(found["GlobalClusterArn"], f"arn:aws:rds::{ACCOUNT}:global-cluster:{name}")
        self.assertNotIn("FailoverState", found)
        writer, reader = self.member(EUW1, name, USE1), self.member(EUW1, name, EUW1)
        self.assertEqual((writer["IsWriter"], writer["Readers"], writer["GlobalWriteForwardingStatus"]), (True, [arns[EUW1]], "unknown"))
        self.assertEqual((reader["IsWriter"], reader["Readers"], reader["GlobalWriteForwardingStatus"]), (False, [], "disabled"))
        self.assertEqual({writer["SynchronizationStatus"], reader["SynchronizationStatus"]}, {"connected"})
        primary, secondary = self.cluster(USE1, members[USE1]), self.cluster(EUW1, members[EUW1])
        self.assertEqual((primary["GlobalClusterIdentifier"], primary["ReadReplicaIdentifiers"]), (name, [arns[EUW1]]))
        self.assertEqual((secondary["ReplicationSourceIdentifier"], secondary["DBClusterArn"]), (arns[USE1], arns[EUW1]))
        self.assertIn("Endpoint", primary)
        self.assertNotIn("Endpoint", secondary)
        self.assertEqual([node["IsClusterWriter"] for node in primary["DBClusterMembers"] + secondary["DBClusterMembers"]], [True, False])
        nodes = self.at[EUW1].describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": [members[EUW1]]}])["DBInstances"]
        self.assertEqual([(node["DBClusterIdentifier"], node["DBInstanceClass"]) for node in nodes], [(members[EUW1], "db.r6g.large")])

        self.refused("DBClusterNotFoundFault", self.at[USE1].switchover_global_cluster, status=404, GlobalClusterIdentifier=name, TargetDbClusterIdentifier=members[EUW1])
        self.refused("InvalidDBClusterStateFault", self.at[USE1].switchover_global_cluster, status=400, GlobalClusterIdentifier=name, TargetDbClusterIdentifier=arns[USE1])
        self.refused("GlobalClusterNotFoundFault", self.at[USE1].switchover_global_cluster, status=404, GlobalClusterIdentifier="none", TargetDbClusterIdentifier=arns[EUW1])
        started = self.at[USE1].switchover_global_cluster(GlobalClusterIdentifier=name, TargetDbClusterIdentifier=arns[EUW1])["GlobalCluster"]
        self.assertEqual((started["Status"], started["FailoverState"]["Status"]), ("switching-over", "pending"))
        self.refused("InvalidGlobalClusterStateFault", self.at[USE1].switchover_global_cluster, status=400, GlobalClusterIdentifier=name, TargetDbClusterIdentifier=arns[EUW1])
        state = lambda: self.world(EUW1, name).get("FailoverState", {"Status": "over"})["Status"]
        self.assertEqual(self.seen_until(lambda: state(), "failing-over")[-1], "failing-over")
        under_way = self.world(EUW1, name)["FailoverState"]
        self.assertEqual((under_way["FromDbClusterArn"], under_way["ToDbClusterArn"]), (arns[USE1], arns[EUW1]))
        self.assertFalse(under_way["IsDataLossAllowed"])
        self.assertEqual(self.cluster_status(USE1, members[USE1]), "switching-over")
        self.seen_until(lambda: state(), "over")
        self.assertTrue(self.member(USE1, name, EUW1)["IsWriter"])
        told = self.events(EUW1, "db-cluster", members[EUW1])
        self.assertIn(f"Global switchover to DB cluster {members[EUW1]} in Region {EUW1} finished.", told)

        self.refused("InvalidGlobalClusterStateFault", self.at[USE1].delete_global_cluster, status=400, GlobalClusterIdentifier=name)
        self.refused("InvalidDBClusterStateFault", self.at[USE1].delete_db_cluster, status=400, DBClusterIdentifier=members[USE1], SkipFinalSnapshot=True)
        self.refused("InvalidGlobalClusterStateFault", self.at[EUW1].remove_from_global_cluster, status=400, GlobalClusterIdentifier=name, DbClusterIdentifier=arns[EUW1])
        for region in (USE1, EUW1):
            left = self.at[region].remove_from_global_cluster(GlobalClusterIdentifier=name, DbClusterIdentifier=arns[region])["GlobalCluster"]
            self.assertNotIn(arns[region], [member["DBClusterArn"] for member in left["GlobalClusterMembers"]])
            self.seen_until(lambda: self.cluster_status(region, members[region]), "available")
            alone = self.cluster(region, members[region])
            self.assertFalse("GlobalClusterIdentifier" in alone or "ReplicationSourceIdentifier" in alone)
            self.refused("InvalidDBClusterStateFault", self.at[region].delete_db_cluster, status=400, DBClusterIdentifier=members[region], SkipFinalSnapshot=True)
            self.at[region].delete_db_instance(DBInstanceIdentifier=f"{members[region]}-1", SkipFinalSnapshot=True)
            self.at[region].delete_db_cluster(DBClusterIdentifier=members[region], SkipFinalSnapshot=True)
            self.assertEqual(self.seen_until(lambda: self.cluster_status(region, members[region]), "none"), ["deleting", "none"])
        self.at[EUW1].delete_global_cluster(GlobalClusterIdentifier=name)
        gone = lambda: name not in [one["GlobalClusterIdentifier"] for one in self.at[EUW1].describe_global_clusters()["GlobalClusters"]]
        self.seen_until(gone, True)
        self.refused("GlobalClusterNotFoundFault", self.at[EUW1].describe_global_clusters, status=404, GlobalClusterIdentifier=name)

    def test_a_forced_failover_makes_the_old_writer_resync(self):
        name, members = self.make_global(USE1, EUW1)
        target = {"GlobalClusterIdentifier": name, "TargetDbClusterIdentifier": arn("cluster", EUW1, members[EUW1])}
        self.refused("InvalidParameterCombination", self.at[EUW1].failover_global_cluster, status=400, **target, AllowDataLoss=True, Switchover=True)
        started = self.at[EUW1].failover_global_cluster(**target, AllowDataLoss=True)["GlobalCluster"]
        self.assertEqual((started["Status"], started["FailoverState"]["IsDataLossAllowed"]), ("failing-over", True))
        self.assertEqual(self.cluster_status(EUW1, members[EUW1]), "failing-over")
        self.seen_until(lambda: self.member(EUW1, name, EUW1)["IsWriter"], True)
        self.seen_until(lambda: self.member(EUW1, name, USE1)["SynchronizationStatus"], "pending-resync")
        back = {"GlobalClusterIdentifier": name, "TargetDbClusterIdentifier": arn("cluster", USE1, members[USE1])}
        self.refused("InvalidDBClusterStateFault", self.at[EUW1].switchover_global_cluster, status=400, **back)
        blocked = f"Attempt to block writes for DB cluster {members[USE1]} in Region {USE1} succeeded."
        self.assertIn(blocked, self.events(USE1, "db-instance", f"{members[USE1]}-1"))
        completed = f"Global failover to DB cluster {members[EUW1]} in Region {EUW1} completed."
        self.assertIn(completed, self.events(EUW1, "db-cluster", members[EUW1]))
        self.seen_until(lambda: self.member(EUW1, name, USE1)["SynchronizationStatus"], "connected")
        # Without a word about data loss it is a switchover.
        again = self.at[EUW1].failover_global_cluster(**back)["GlobalCluster"]
        self.assertEqual((again["Status"], again["FailoverState"]["IsDataLossAllowed"]), ("switching-over", False))
        self.seen_until(lambda: self.member(EUW1, name, USE1)["IsWriter"], True)

    def test_headless_and_mismatched_members_are_not_promoted(self):
        name, members = self.make_global(USE1, EUW1)
        target = {"GlobalClusterIdentifier": name, "TargetDbClusterIdentifier": arn("cluster", EUW1, members[EUW1])}
        self.at[EUW1].delete_db_instance(DBInstanceIdentifier=f"{members[EUW1]}-1", SkipFinalSnapshot=True)
        said = self.refused("InvalidDBClusterStateFault", self.at[EUW1].failover_global_cluster, status=400, **target, AllowDataLoss=True)
        self.assertIn("headless", said)
        self.at[EUW1].create_db_instance(
            DBInstanceIdentifier=f"{members[EUW1]}-2", DBInstanceClass="db.r6g.large", Engine=AURORA, DBClusterIdentifier=members[EUW1]
        )
        self.seen_until(lambda: self.status(EUW1, f"{members[EUW1]}-2"), "available")
        self.at[EUW1].modify_db_cluster(DBClusterIdentifier=members[EUW1], EngineVersion="16.6", ApplyImmediately=True)
        said = self.refused("InvalidDBClusterStateFault", self.at[EUW1].failover_global_cluster, status=400, **target, AllowDataLoss=True)
        self.assertIn("Engine versions", said)

    def test_a_cluster_alone_becomes_global_and_gets_a_secondary(self):
        first, second, name = named("alone"), named("second"), named("grown")
        api = self.at[USE1]
        self.refused("DBClusterNotFoundFault", api.create_global_cluster, status=404, GlobalClusterIdentifier=name, SourceDBClusterIdentifier=arn("cluster", USE1, first))
        self.refused("InvalidParameterCombination", api.create_global_cluster, status=400, GlobalClusterIdentifier=name)
        made = api.create_db_cluster(DBClusterIdentifier=first, Engine=AURORA, EngineVersion="15.8", BackupRetentionPeriod=5)["DBCluster"]
        self.assertEqual((made["Status"], made["BackupRetentionPeriod"]), ("creating", 5))
        self.refused("DBClusterAlreadyExistsFault", api.create_db_cluster, status=400, DBClusterIdentifier=first, Engine=AURORA)
        self.refused("InvalidDBClusterStateFault", api.modify_db_cluster, status=400, DBClusterIdentifier=first, BackupRetentionPeriod=3)
        self.seen_until(lambda: self.cluster_status(USE1, first), "available")
        grown = api.create_global_cluster(GlobalClusterIdentifier=name, SourceDBClusterIdentifier=arn("cluster", USE1, first))["GlobalCluster"]
        self.assertEqual((grown["EngineVersion"], len(grown["GlobalClusterMembers"])), ("15.8", 1))
        self.refused("GlobalClusterAlreadyExistsFault", api.create_global_cluster, status=400, GlobalClusterIdentifier=name, Engine=AURORA)
        join = {"DBClusterIdentifier": second, "Engine": AURORA, "GlobalClusterIdentifier": name}
        self.refused("GlobalClusterNotFoundFault", self.at[EUW1].create_db_cluster, status=404, **{**join, "GlobalClusterIdentifier": "none"})
        self.refused("InvalidParameterCombination", self.at[EUW1].create_db_cluster, status=400, **{**join, "Engine": "aurora-mysql"})
        self.at[EUW1].create_db_cluster(**join, EnableGlobalWriteForwarding=True)
        sync = lambda: self.member(USE1, name, EUW1)["SynchronizationStatus"]
        self.assertEqual(self.seen_until(sync, "connected"), ["pending-resync", "connected"])
        self.assertEqual(self.member(USE1, name, EUW1)["GlobalWriteForwardingStatus"], "enabled")
        here = self.at[EUW1].describe_global_clusters(Filters=[{"Name": "region", "Values": [EUW1]}])["GlobalClusters"]
        self.assertIn(name, [one["GlobalClusterIdentifier"] for one in here])
        by_member = api.describe_global_clusters(Filters=[{"Name": "db-cluster-id", "Values": [arn("cluster", EUW1, second)]}])["GlobalClusters"]
        self.assertEqual([one["GlobalClusterIdentifier"] for one in by_member], [name])
        self.refused("DBClusterNotFoundFault", self.at[USW2].describe_db_clusters, status=404, DBClusterIdentifier=second)

    def test_a_cluster_is_fenced_by_its_security_groups(self):
        name, members = self.make_global(USE1)
        fenced = self.at[USE1].modify_db_cluster(
            DBClusterIdentifier=members[USE1], VpcSecurityGroupIds=[CLOSED_GROUP], ApplyImmediately=True
        )["DBCluster"]
        self.assertEqual(fenced["VpcSecurityGroups"], [{"VpcSecurityGroupId": CLOSED_GROUP, "Status": "active"}])
        self.assertEqual(fenced["Status"], "modifying")
        self.assertEqual(self.instance(USE1, f"{members[USE1]}-1")["VpcSecurityGroups"], fenced["VpcSecurityGroups"])
        self.seen_until(lambda: self.cluster_status(USE1, members[USE1]), "available")
        self.refused(
            "InvalidParameterCombination", self.at[USE1].modify_db_instance, status=400,
            DBInstanceIdentifier=f"{members[USE1]}-1", VpcSecurityGroupIds=[OPEN_GROUP], ApplyImmediately=True,
        )
        self.refused("DBClusterNotFoundFault", self.at[USE1].modify_db_cluster, status=404, DBClusterIdentifier="none")
        found = self.at[USE1].describe_db_clusters(Filters=[{"Name": "db-cluster-id", "Values": [arn("cluster", USE1, members[USE1])]}])
        self.assertEqual([one["DBClusterIdentifier"] for one in found["DBClusters"]], [members[USE1]])


class Around(RdsTest):
    def test_tags_come_and_go(self):
        name = named("tagged")
        api = self.at[USE1]
        self.make_instance(USE1, name, Tags=[{"Key": "one", "Value": "1"}])
        api.create_global_cluster(GlobalClusterIdentifier=name, Engine=AURORA, Tags=[{"Key": "one", "Value": "1"}])
        api.create_db_cluster(DBClusterIdentifier=name, Engine=AURORA, Tags=[{"Key": "one", "Value": "1"}])
        for resource in (arn("db", USE1, name), arn("cluster", USE1, name), f"arn:aws:rds::{ACCOUNT}:global-cluster:{name}"):
            api.add_tags_to_resource(ResourceName=resource, Tags=[{"Key": "two", "Value": ""}, {"Key": "one", "Value": "I"}])
            tags = {tag["Key"]: tag["Value"] for tag in api.list_tags_for_resource(ResourceName=resource)["TagList"]}
            self.assertEqual(tags, {"one": "I", "two": ""})
            api.remove_tags_from_resource(ResourceName=resource, TagKeys=["one", "three"])
            self.assertEqual(api.list_tags_for_resource(ResourceName=resource)["TagList"], [{"Key": "two", "Value": ""}])
        self.assertEqual(self.instance(USE1, name)["TagList"], [{"Key": "two", "Value": ""}])
        self.refused("DBInstanceNotFound", api.list_tags_for_resource, status=404, ResourceName=arn("db", USE1, "nothing"))
        self.refused("DBClusterNotFoundFault", api.list_tags_for_resource, status=404, ResourceName=arn("cluster", USE1, "nothing"))
        self.refused("InvalidParameterValue", api.add_tags_to_resource, status=400, ResourceName="orders", Tags=[{"Key": "a", "Value": "b"}])

    def test_events_are_told_by_source_category_and_time(self):
        name = named("eventful")
        self.make_instance(EUW1, name, BackupRetentionPeriod=0)
        self.seen_until(lambda: self.status(EUW1, name), "available")
        event = self.at[EUW1].describe_events(SourceType="db-instance", SourceIdentifier=name)["Events"][0]
        self.assertEqual((event["SourceType"], event["SourceArn"], event["EventCategories"]), ("db-instance", arn("db", EUW1, name), ["creation"]))
        of_category = lambda category: self.at[EUW1].describe_events(
            SourceType="db-instance", SourceIdentifier=name, EventCategories=[category]
        )["Events"]
        self.assertEqual((len(of_category("creation")), of_category("failover")), (1, []))
        before = event["Date"] - datetime.timedelta(minutes=5)
        old = self.at[EUW1].describe_events(EndTime=before, Duration=10)["Events"]
        self.assertNotIn(name, [one["SourceIdentifier"] for one in old])
        new = self.at[EUW1].describe_events(StartTime=before)["Events"]
        self.assertIn(name, [one["SourceIdentifier"] for one in new])
        self.refused("InvalidParameterCombination", self.at[EUW1].describe_events, status=400, SourceIdentifier=name)
        elsewhere = self.at[USW2].describe_events(SourceType="db-instance", SourceIdentifier=name)["Events"]
        self.assertEqual(elsewhere, [])

    def test_snapshots_are_those_of_unplanned_failovers(self):
        self.assertEqual(self.at[USE1].describe_db_cluster_snapshots(SnapshotType="manual")["DBClusterSnapshots"], [])
        self.refused(
            "DBClusterSnapshotNotFoundFault", self.at[USE1].describe_db_cluster_snapshots, status=404,
            DBClusterSnapshotIdentifier="rds:unplanned-global-failover-none-1",
        )

    def test_the_account_has_quotas(self):
        quotas = {one["AccountQuotaName"]: one for one in self.at[USE1].describe_account_attributes()["AccountQuotas"]}
        self.assertEqual((quotas["DBInstances"]["Max"], quotas["ReadReplicasPerMaster"]["Max"]), (40, 15))

    def test_an_operation_that_is_not_simulated_is_named(self):
        with self.assertRaises(ClientError) as refusal:
            self.at[USE1].describe_db_engine_versions()
        answer = refusal.exception.response
        self.assertEqual(answer["Error"]["Code"], "InvalidAction")
        self.assertIn("DescribeDBEngineVersions", answer["Error"]["Message"])


class Faults(RdsTest):
    """In a Region that no other test uses."""

    HERE = "ap-southeast-2"

    def setUp(self):
        self.api = client("rds", self.HERE, read_timeout=1)

    def test_a_region_that_is_down_or_cut_says_nothing(self):
        turn("break_region", region=self.HERE)
        self.addCleanup(turn, "heal_region", region=self.HERE)
        with self.assertRaises(ReadTimeoutError):
            self.api.describe_db_instances()
        turn("heal_region", region=self.HERE)
        self.api.describe_db_instances()
        turn("cut", caller="eu-south-1", region=self.HERE)
        self.addCleanup(turn, "mend", caller="eu-south-1", region=self.HERE)
        with self.assertRaises(ReadTimeoutError):
            client("rds", self.HERE, key="failoverd.eu-south-1", read_timeout=1).describe_db_instances()
        self.api.describe_db_instances()

    def test_a_control_plane_alone_can_be_away_and_a_service_throttled(self):
        turn("break_control_plane", region=self.HERE)
        self.addCleanup(turn, "heal_control_plane", region=self.HERE)
        with self.assertRaises(ReadTimeoutError):
            self.api.describe_global_clusters()
        turn("heal_control_plane", region=self.HERE)
        turn("throttle", region=self.HERE, service="rds", on=True)
        self.addCleanup(turn, "throttle", region=self.HERE, service="rds", on=False)
        self.refused("Throttling", self.api.describe_global_clusters, status=400)

    def test_a_lost_answer_leaves_its_effect_behind_once(self):
        name = named("lost")
        turn("lose_answers", region=self.HERE, service="rds", count=1)
        create = {"GlobalClusterIdentifier": name, "Engine": AURORA}
        with self.assertRaises(ConnectionClosedError):
            self.api.create_global_cluster(**create)
        self.refused("GlobalClusterAlreadyExistsFault", self.api.create_global_cluster, status=400, **create)
        made = [one for one in effects() if one["operation"] == "CreateGlobalCluster" and one["arguments"] == name]
        self.assertEqual([(one["region"], one["service"], one["changed"]) for one in made], [(self.HERE, "rds", True)])


if __name__ == "__main__":
    unittest.main()
