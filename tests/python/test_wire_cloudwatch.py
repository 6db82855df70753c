"""Drives the simulated CloudWatch with boto3, as a stranger would, in each of the three ways that clients speak."""

import copy
import time
import unittest
import uuid
from datetime import datetime, timedelta, timezone

import boto3
import botocore.session

from stranger import ACCOUNT, WireTest, client, turn

USE1, EUW1, USW2 = "us-east-1", "eu-west-1", "us-west-2"


def speaking(protocol):
    """A session whose CloudWatch clients speak one protocol only."""
    session = botocore.session.Session()
    loader = session.get_component("data_loader")
    load = loader.load_service_model

    def load_service_model(service, kind, *more, **named):
        model = load(service, kind, *more, **named)
        if (service, kind) == ("cloudwatch", "service-2"):
            model = copy.deepcopy(model)
            model["metadata"].update(protocol=protocol, protocols=[protocol])
        return model

    loader.load_service_model = load_service_model
    return boto3.Session(botocore_session=session)


def now():
    return datetime.now(timezone.utc)


def dimensions(**named):
    return [{"Name": name, "Value": value} for name, value in named.items()]


def query(namespace, metric, stat="Maximum", period=60, name="q", unit=None, **named):
    series = {"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions(**named)}
    wanted = {"Metric": series, "Period": period, "Stat": stat}
    if unit:
        wanted["Unit"] = unit
    return {"Id": name, "MetricStat": wanted}


class CloudwatchTest(WireTest):
    @classmethod
    def setUpClass(cls):
        cls.at = {region: client("cloudwatch", region) for region in (USE1, EUW1, USW2)}

    def setUp(self):
        self.namespace = f"shop-{uuid.uuid4().hex[:8]}"

    def put(self, metric, value, at=None, region=USE1, **more):
        datum = {"MetricName": metric, "Timestamp": at or now(), **more}
        if value is not None:
            datum["Value"] = value
        self.at[region].put_metric_data(Namespace=self.namespace, MetricData=[datum])

    def data(self, *queries, region=USE1, minutes=180, **more):
        end = now() + timedelta(minutes=5)
        return self.at[region].get_metric_data(
            MetricDataQueries=list(queries), StartTime=end - timedelta(minutes=minutes), EndTime=end, **more
        )

    def values(self, *arguments, region=USE1, **more):
        return self.data(query(*arguments, **more), region=region)["MetricDataResults"][0]["Values"]


def whole_minute(minutes_ago):
    return (now() - timedelta(minutes=minutes_ago)).replace(second=0, microsecond=0)


class Data(CloudwatchTest):
    def test_points_come_newest_first_by_period_and_statistic(self):
        # Taken once: a minute, or a day, may end while this runs.
        present = whole_minute(0)
        oldest, middle, newest = (present - timedelta(minutes=ago) for ago in (30, 20, 10))
        points = {oldest: (1, 3), middle: (5,), newest: (7, 8, 9)}
        for minute, values in points.items():
            for second, value in enumerate(values):
                self.put("latency", value, minute + timedelta(seconds=second), Unit="Seconds")
        stats = ("Average", "Sum", "Minimum", "Maximum", "SampleCount", "p50")
        found = self.data(*(query(self.namespace, "latency", stat, name=f"q{n}") for n, stat in enumerate(stats)))
        self.assertEqual([result["StatusCode"] for result in found["MetricDataResults"]], ["Complete"] * 6)
        by_stat = {stat: result["Values"] for stat, result in zip(stats, found["MetricDataResults"])}
        expected = {
            "Average": [8, 5, 2],
            "Sum": [24, 5, 4],
            "Minimum": [7, 5, 1],
            "Maximum": [9, 5, 3],
            "SampleCount": [3, 1, 2],
            "p50": [8, 5, 1],
        }
        self.assertEqual(by_stat, expected)
        result = found["MetricDataResults"][0]
        self.assertEqual(result["Timestamps"], [newest, middle, oldest])
        self.assertEqual(result["Label"], "latency")
        rising = self.data(query(self.namespace, "latency"), ScanBy="TimestampAscending")["MetricDataResults"][0]
        self.assertEqual(rising["Values"], [3, 5, 9])
        self.assertEqual(self.values(self.namespace, "latency", unit="Seconds"), [9, 5, 3])
        self.assertEqual(self.values(self.namespace, "latency", unit="Count"), [])
        # Days begin at midnight, UTC.
        highest = {}
        for minute, values in points.items():
            highest[minute.date()] = max(highest.get(minute.date(), 0), *values)
        self.assertEqual(self.values(self.namespace, "latency", period=86_400), list(highest.values())[::-1])
        self.assertEqual(self.values(self.namespace, "latency", Other="dimension"), [])
        self.assertEqual(self.values(self.namespace, "latency", region=EUW1), [])

    def test_statistics_of_one_series(self):
        at = whole_minute(10)
        self.put("latency", 2, at, Unit="Seconds", Dimensions=dimensions(b="2", a="1"))
        self.put("latency", 4, at, Unit="Seconds", Dimensions=dimensions(a="1", b="2"))
        asked = {
            "Namespace": self.namespace,
            "MetricName": "latency",
            "Dimensions": dimensions(b="2", a="1"),
            "StartTime": now() - timedelta(hours=1),
            "EndTime": now(),
            "Period": 60,
        }
        get = self.at[USE1].get_metric_statistics
        found = get(Statistics=["Average", "SampleCount"], **asked)
        self.assertEqual(found["Label"], "latency")
        point = {"Timestamp": at, "Average": 3.0, "SampleCount": 2.0, "Unit": "Seconds"}
        self.assertEqual(found["Datapoints"], [point])
        found = get(ExtendedStatistics=["p99"], **asked)
        self.assertEqual(found["Datapoints"][0]["ExtendedStatistics"], {"p99": 4.0})
        self.refused("MissingParameter", get, **asked)
        self.refused("ValidationError", get, Statistics=["Sum"], **{**asked, "Period": 61})
        self.refused("ValidationError", get, Statistics=["Sum"], **{**asked, "EndTime": asked["StartTime"]})

    def test_several_values_and_sets_count_as_what_they_stand_for(self):
        at = whole_minute(5)
        self.put("size", None, at, Values=[1.0, 10.0], Counts=[3.0, 1.0])
        self.put("size", None, at, StatisticValues={"SampleCount": 2, "Sum": 5, "Minimum": 0, "Maximum": 5})
        for stat, value in (("SampleCount", 6), ("Sum", 18), ("Minimum", 0), ("Maximum", 10)):
            self.assertEqual(self.values(self.namespace, "size", stat), [value])

    def test_pages_hold_as_many_points_as_are_wanted(self):
        present = whole_minute(0)
        for minute in range(1, 6):
            self.put("a", minute, present - timedelta(minutes=minute))
            self.put("b", minute * 10, present - timedelta(minutes=minute))
        queries = [query(self.namespace, metric, name=metric) for metric in ("a", "none", "b")]
        pages, more = [], {}
        while True:
            found = self.data(*queries, MaxDatapoints=4, **more)
            pages.append([(r["Id"], r["StatusCode"], r["Values"]) for r in found["MetricDataResults"]])
            if "NextToken" not in found:
                break
            more = {"NextToken": found["NextToken"]}
        self.assertEqual(pages[0], [("a", "PartialData", [1, 2, 3, 4]), ("none", "Complete", [])])
        self.assertEqual(pages[1], [("a", "Complete", [5]), ("b", "PartialData", [10, 20, 30])])
        self.assertEqual(pages[2], [("b", "Complete", [40, 50])])
        self.refused("InvalidNextToken", lambda: self.data(*queries, NextToken="elsewhere"))

    def test_what_cannot_be_asked_or_put_is_refused(self):
        get = lambda *queries: self.refused("ValidationError", lambda: self.data(*queries))
        self.assertIn("500", get(*(query("a", "b", name=f"q{n}") for n in range(501))))
        self.assertIn("Duplicate", get(query("a", "b"), query("a", "c")))
        get(query("a", "b", name="Q"))
        get(query("a", "b", stat="tm99"))
        get(query("a", "b", period=7))
        get({"Id": "e", "Expression": "1 + 1"})
        put = self.at[USE1].put_metric_data
        fine = {"MetricName": "m", "Value": 1.0}
        self.refused("InvalidParameterValue", put, Namespace="AWS/RDS", MetricData=[fine])
        self.refused("InvalidParameterValue", put, Namespace="n", MetricData=[{**fine, "Timestamp": now() - timedelta(days=15)}])
        self.refused("InvalidParameterValue", put, Namespace="n", MetricData=[fine] * 1_001)
        self.refused("InvalidParameterCombination", put, Namespace="n", MetricData=[{**fine, "Values": [1.0]}])
        self.refused("MissingParameter", put, Namespace="n", MetricData=[{"MetricName": "m"}])
        uneven = {"MetricName": "m", "Values": [1.0, 2.0], "Counts": [1.0]}
        self.refused("InvalidParameterValue", put, Namespace=self.namespace, MetricData=[fine, uneven])
        self.assertEqual(self.at[USE1].list_metrics(Namespace=self.namespace)["Metrics"], [], "all of it or nothing")
        self.refused("UnknownOperationException", self.at[USE1].list_dashboards)

    def test_much_comes_compressed(self):
        data = [{"MetricName": f"metric-{n:04}", "Value": float(n), "Dimensions": dimensions(Part="x" * 100)} for n in range(600)]
        self.at[USE1].put_metric_data(Namespace=self.namespace, MetricData=data)
        pages = list(self.at[USE1].get_paginator("list_metrics").paginate(Namespace=self.namespace))
        self.assertEqual([len(page["Metrics"]) for page in pages], [500, 100])
        self.assertEqual(self.values(self.namespace, "metric-0599", Part="x" * 100), [599])

    def test_metrics_are_listed_by_name_and_dimension(self):
        self.put("a", 1, Dimensions=dimensions(Service="x", Region="r"))
        self.put("a", 1, Dimensions=dimensions(Service="y"))
        self.put("b", 1)
        listed = lambda **more: self.at[USE1].list_metrics(Namespace=self.namespace, **more)["Metrics"]
        self.assertEqual(len(listed()), 3)
        self.assertEqual(len(listed(MetricName="a")), 2)
        found = listed(Dimensions=[{"Name": "Service", "Value": "x"}])
        self.assertEqual([sorted(d["Name"] for d in metric["Dimensions"]) for metric in found], [["Region", "Service"]])
        self.assertEqual(len(listed(Dimensions=[{"Name": "Service"}])), 2)


class Emitted(CloudwatchTest):
    """What AWS itself emits, where it documents it."""

    def lag(self, region, *arguments, **named):
        return next(iter(self.values(*arguments, region=region, **named)), None)

    def test_a_tables_latency_is_told_by_the_sending_region(self):
        dynamodb, table = client("dynamodb", USE1), f"orders-{uuid.uuid4().hex[:8]}"
        dynamodb.create_table(
            TableName=table,
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        active = lambda: dynamodb.describe_table(TableName=table)["Table"]["TableStatus"] == "ACTIVE"
        self.until("the table is there", active)
        dynamodb.update_table(TableName=table, ReplicaUpdates=[{"Create": {"RegionName": EUW1}}])
        self.until("the replica is there", active)
        names = {"TableName": table, "ReceivingRegion": EUW1}
        latency = lambda region: self.lag(region, "AWS/DynamoDB", "ReplicationLatency", **names)
        self.until("a figure is there", lambda: latency(USE1))
        self.assertEqual(latency(USE1), 200)
        self.assertIsNone(latency(EUW1))
        turn("break_region", region=EUW1)
        try:
            dynamodb.put_item(TableName=table, Item={"pk": {"S": "k"}})
            self.until("the lag grows while the other side is dead", lambda: latency(USE1) > 1_000)
        finally:
            turn("heal_region", region=EUW1)

    def test_databases_are_told_by_the_region_that_lags(self):
        name = uuid.uuid4().hex[:8]
        rds, away = client("rds", USE1), client("rds", EUW1)
        rds.create_global_cluster(GlobalClusterIdentifier=f"gc-{name}", Engine="aurora-postgresql")
        for at, region in ((rds, USE1), (away, EUW1)):
            cluster = f"c-{name}-{region}"
            at.create_db_cluster(
                DBClusterIdentifier=cluster, Engine="aurora-postgresql", GlobalClusterIdentifier=f"gc-{name}"
            )
            status = lambda: at.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0]["Status"]
            self.until("the cluster is there", lambda: status() == "available")
        lag = lambda region, source: self.lag(
            region,
            "AWS/RDS",
            "AuroraGlobalDBReplicationLag",
            DBClusterIdentifier=f"c-{name}-{EUW1}",
            SourceRegion=source,
        )
        self.assertEqual(self.until("a figure is there", lambda: lag(EUW1, USE1)), 120)
        self.assertIsNone(lag(USE1, USE1))

    def test_a_dead_region_emits_nothing(self):
        rds, away = client("rds", USW2), client("rds", USE1)
        source, replica = (f"{kind}-{uuid.uuid4().hex[:8]}" for kind in ("source", "replica"))
        rds.create_db_instance(
            DBInstanceIdentifier=source,
            Engine="postgres",
            DBInstanceClass="db.r6g.large",
            AllocatedStorage=20,
            MasterUsername="admin1",
            MasterUserPassword="password1",
            BackupRetentionPeriod=1,
        )
        status = lambda at, name: at.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]["DBInstanceStatus"]
        self.until("the source is there", lambda: status(rds, source) == "available")
        away.create_db_instance_read_replica(
            DBInstanceIdentifier=replica,
            SourceDBInstanceIdentifier=f"arn:aws:rds:{USW2}:{ACCOUNT}:db:{source}",
            SourceRegion=USW2,
        )
        self.until("the replica is there", lambda: status(away, replica) == "available")
        asked = query("AWS/RDS", "ReplicaLag", DBInstanceIdentifier=replica)
        newest = lambda: self.data(asked, region=USE1, minutes=15)["MetricDataResults"][0]
        found = self.until("a figure is there", lambda: newest()["Values"] and newest())
        self.assertEqual(found["Values"][0], 0.15)
        turn("break_region", region=USE1)
        # A dead Region cannot be asked either: what it told is looked at afterwards.
        broken = now()
        time.sleep(3)
        healed = now()
        turn("heal_region", region=USE1)
        times = newest()["Timestamps"]
        margin = timedelta(seconds=1.1)
        self.assertEqual([at for at in times if broken + margin < at < healed - margin], [])
        self.until("it goes on", lambda: newest()["Timestamps"][0] >= healed - margin)


class Alarms(CloudwatchTest):
    def alarm(self, name=None, region=USE1, **more):
        name = name or f"{self.namespace}-alarm"
        wanted = {
            "Namespace": self.namespace,
            "MetricName": "errors",
            "Statistic": "Maximum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 5.0,
            "ComparisonOperator": "GreaterThanThreshold",
        }
        self.at[region].put_metric_alarm(AlarmName=name, **{**wanted, **more})
        return name

    def view(self, name, region=USE1):
        return self.at[region].describe_alarms(AlarmNames=[name])["MetricAlarms"][0]

    def state(self, name, state, region=USE1):
        return self.until(f"{name} is {state}", lambda: self.view(name, region)["StateValue"] == state)

    def test_an_alarm_comes_back_as_it_was_put(self):
        more = {
            "AlarmDescription": "too many",
            "ActionsEnabled": False,
            "AlarmActions": [f"arn:aws:sns:{USE1}:{ACCOUNT}:people"],
            "OKActions": [],
            "InsufficientDataActions": [],
            "Dimensions": dimensions(Service="shop"),
            "EvaluationPeriods": 3,
            "DatapointsToAlarm": 2,
            "TreatMissingData": "ignore",
        }
        name = self.alarm(**more)
        found = self.view(name)
        for field, value in more.items():
            self.assertEqual(found[field], value, field)
        self.assertEqual((found["Threshold"], found["Period"], found["Statistic"]), (5.0, 60, "Maximum"))
        self.assertEqual(found["AlarmArn"], f"arn:aws:cloudwatch:{USE1}:{ACCOUNT}:alarm:{name}")
        self.assertEqual(found["StateValue"], "INSUFFICIENT_DATA")
        self.alarm(name, Threshold=7.0)
        self.assertEqual(self.view(name)["Threshold"], 7.0)

    def test_alarms_are_found_by_name_prefix_and_state(self):
        names = [self.alarm(f"{self.namespace}-{n}") for n in range(3)]
        describe = self.at[USE1].describe_alarms
        found = lambda **more: [alarm["AlarmName"] for alarm in describe(**more)["MetricAlarms"]]
        self.assertEqual(found(AlarmNames=names[1:]), names[1:])
        pages = self.at[USE1].get_paginator("describe_alarms").paginate(
            AlarmNamePrefix=self.namespace, PaginationConfig={"PageSize": 2}
        )
        self.assertEqual([[a["AlarmName"] for a in page["MetricAlarms"]] for page in pages], [names[:2], names[2:]])
        self.at[USE1].set_alarm_state(AlarmName=names[0], StateValue="OK", StateReason="drill")
        self.assertEqual(found(AlarmNamePrefix=self.namespace, StateValue="OK"), names[:1])
        self.assertEqual(found(AlarmNamePrefix=self.namespace, AlarmTypes=["CompositeAlarm"]), [])
        self.at[USE1].delete_alarms(AlarmNames=names[:2])
        self.assertEqual(found(AlarmNamePrefix=self.namespace), names[2:])
        self.refused("ResourceNotFound", self.at[USE1].delete_alarms, 404, AlarmNames=[names[2], names[0]])
        self.assertEqual(found(AlarmNamePrefix=self.namespace), names[2:])

    def test_data_moves_alarms(self):
        name = self.alarm()
        self.put("errors", 3)
        self.state(name, "OK")
        self.put("errors", 6)
        self.state(name, "ALARM")
        self.assertIn("Threshold Crossed", self.view(name)["StateReason"])
        average = self.alarm(f"{name}-average", Statistic="Average", Threshold=4.5, ComparisonOperator="LessThanOrEqualToThreshold")
        self.state(average, "ALARM")

    def test_two_of_three_periods(self):
        name = self.alarm(EvaluationPeriods=3, DatapointsToAlarm=2)
        for minute, value in ((2, 6), (1, 1)):
            self.put("errors", value, whole_minute(minute))
        self.state(name, "OK")
        self.put("errors", 9)
        self.state(name, "ALARM")

    def test_missing_data_is_treated_as_wanted(self):
        names = {kind: self.alarm(f"{self.namespace}-{kind}", TreatMissingData=kind) for kind in ("missing", "breaching", "notBreaching")}
        for kind, state in (("breaching", "ALARM"), ("notBreaching", "OK"), ("missing", "INSUFFICIENT_DATA")):
            self.state(names[kind], state)

    def test_a_state_set_by_hand_stays_until_data_comes(self):
        name = self.alarm()
        for state in ("ALARM", "OK", "INSUFFICIENT_DATA", "ALARM"):
            self.at[USE1].set_alarm_state(AlarmName=name, StateValue=state, StateReason="drill")
            found = self.view(name)
            self.assertEqual((found["StateValue"], found["StateReason"]), (state, "drill"))
        self.put("errors", 0)
        self.state(name, "OK")
        self.refused(
            "ResourceNotFound", self.at[USE1].set_alarm_state, 404, AlarmName=name + "x", StateValue="OK", StateReason="r"
        )

    def test_what_is_no_alarm_is_refused(self):
        refused = lambda code="ValidationError", **more: self.refused(code, lambda: self.alarm(**more))
        refused(Period=45)
        refused(EvaluationPeriods=2, DatapointsToAlarm=3)
        refused(TreatMissingData="whatever")
        refused(ComparisonOperator="LessThanLowerThreshold")
        refused("InvalidParameterCombination", ExtendedStatistic="p99")
        self.assertEqual(self.at[USE1].describe_alarms(AlarmNamePrefix=self.namespace)["MetricAlarms"], [])

    def test_an_alarm_on_a_figure_of_the_fleet(self):
        name = self.alarm(Namespace="failoverd", MetricName="Lag", Dimensions=dimensions(Service=self.namespace))
        datum = {"MetricName": "Lag", "Dimensions": dimensions(Service=self.namespace), "Value": 60.0}
        self.at[USE1].put_metric_data(Namespace="failoverd", MetricData=[datum])
        self.state(name, "ALARM")

    def test_a_check_of_route_53_keeps_what_it_makes_of_missing_data(self):
        # What it then makes of it is seen through DNS: the world's own tests look there.
        for insufficient in ("LastKnownStatus", "Healthy", "Unhealthy"):
            config = {
                "Type": "CLOUDWATCH_METRIC",
                "AlarmIdentifier": {"Region": USE1, "Name": self.alarm()},
                "InsufficientDataHealthStatus": insufficient,
            }
            create = client("route53", USE1).create_health_check
            made = create(CallerReference=uuid.uuid4().hex, HealthCheckConfig=config)["HealthCheck"]
            self.assertEqual(made["HealthCheckConfig"]["InsufficientDataHealthStatus"], insufficient)


class Protocols(CloudwatchTest):
    """The same calls in each way of writing."""

    def test_every_operation_in_every_protocol(self):
        for protocol in ("smithy-rpc-v2-cbor", "json", "query"):
            with self.subTest(protocol=protocol):
                cloudwatch = client("cloudwatch", EUW1, session=speaking(protocol))
                self.assertEqual(cloudwatch.meta.service_model.resolved_protocol, protocol)
                self.round(cloudwatch, f"{self.namespace}-{protocol}")

    def round(self, cloudwatch, namespace):
        at = whole_minute(3)
        named = dimensions(Service="shop & co", Region=EUW1)
        data = [
            {"MetricName": "errors", "Dimensions": named, "Timestamp": at, "Value": 1.5, "Unit": "Count"},
            {"MetricName": "errors", "Dimensions": named, "Timestamp": at, "Values": [2.0, 3.0], "Counts": [1.0, 2.0], "Unit": "Count"},
        ]
        cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
        window = {"StartTime": at - timedelta(minutes=5), "EndTime": now()}
        series = {"Namespace": namespace, "MetricName": "errors", "Dimensions": named}
        asked = {"Id": "q", "MetricStat": {"Metric": series, "Period": 60, "Stat": "Sum"}, "ReturnData": True}
        found = cloudwatch.get_metric_data(MetricDataQueries=[asked], **window)["MetricDataResults"][0]
        self.assertEqual((found["Timestamps"], found["Values"]), ([at], [9.5]))
        found = cloudwatch.get_metric_statistics(Period=60, Statistics=["Maximum"], **series, **window)["Datapoints"]
        self.assertEqual(found, [{"Timestamp": at, "Maximum": 3.0, "Unit": "Count"}])
        listed = cloudwatch.list_metrics(Namespace=namespace)["Metrics"]
        self.assertEqual(len(listed), 1)
        self.assertCountEqual(listed[0]["Dimensions"], named)
        alarm = f"{namespace}-alarm"
        rule = {"Period": 60, "EvaluationPeriods": 1, "Threshold": 2.5, "ComparisonOperator": "LessThanThreshold"}
        cloudwatch.put_metric_alarm(AlarmName=alarm, Statistic="Sum", ActionsEnabled=False, **series, **rule)
        cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a <drill>")
        found = cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]
        self.assertEqual((found["StateValue"], found["StateReason"]), ("ALARM", "a <drill>"))
        self.assertEqual((found["Threshold"], found["ActionsEnabled"]), (2.5, False))
        self.assertLess(abs(found["StateUpdatedTimestamp"] - now()), timedelta(minutes=1))
        cloudwatch.delete_alarms(AlarmNames=[alarm])
        self.refused("ResourceNotFound", cloudwatch.delete_alarms, 404, AlarmNames=[alarm])
        bad = {**asked, "MetricStat": {**asked["MetricStat"], "Period": 61}}
        self.refused("ValidationError", cloudwatch.get_metric_data, MetricDataQueries=[bad], **window)
        turn("throttle", region=EUW1, service="cloudwatch", on=True)
        try:
            self.refused("Throttling", cloudwatch.list_metrics)
        finally:
            turn("throttle", region=EUW1, service="cloudwatch", on=False)


if __name__ == "__main__":
    unittest.main()
