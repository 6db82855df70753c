"""Drives the simulated S3 with boto3, as a stranger would."""

import hashlib
import os
import time
import unittest
import urllib.error
import urllib.request
import uuid
from datetime import datetime, timedelta, timezone

from botocore.exceptions import ClientError, ConnectionClosedError

from stranger import ACCOUNT, ENDPOINT, WireTest, client, turn

ROLE = f"arn:aws:iam::{ACCOUNT}:role/s3-replication"
USE1, EUW1, USW2 = "us-east-1", "eu-west-1", "us-west-2"


def rule(to, name="all", priority=1, prefix="", status="Enabled", markers="Disabled", **more):
    destination = {"Bucket": f"arn:aws:s3:::{to}", **more.pop("destination", {})}
    return {
        "ID": name,
        "Priority": priority,
        "Filter": {"Prefix": prefix},
        "Status": status,
        "DeleteMarkerReplication": {"Status": markers},
        "Destination": destination,
        **more,
    }


TIME_CONTROL = {
    "ReplicationTime": {"Status": "Enabled", "Time": {"Minutes": 15}},
    "Metrics": {"Status": "Enabled", "EventThreshold": {"Minutes": 15}},
}


class S3Test(WireTest):
    @classmethod
    def setUpClass(cls):
        cls.at = {region: client("s3", region) for region in (USE1, EUW1, USW2)}

    def raw(self, method, path, body=None, region=USE1, **headers):
        """A request that botocore would not send."""
        request = urllib.request.Request(f"{ENDPOINT}/{path}", data=body, method=method)
        credential = f"AKIASTRANGER/20260101/{region}/s3/aws4_request"
        signed = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=x"
        for name, value in {"authorization": signed, **headers}.items():
            request.add_header(name, value)
        return urllib.request.urlopen(request)

    def bucket(self, region=USE1, versioned=True):
        name = f"media-{uuid.uuid4().hex[:12]}"
        place = {} if region == USE1 else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        self.at[region].create_bucket(Bucket=name, **place)
        if versioned:
            self.versioning(region, name)
        return name

    def versioning(self, region, name, status="Enabled"):
        self.at[region].put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})

    def pair(self, *rules, **more):
        source, copy = self.bucket(USE1), self.bucket(EUW1)
        self.replicate(USE1, source, *(rules or (rule(copy, **more),)))
        return source, copy

    def replicate(self, region, source, *rules):
        wanted = {"Role": ROLE, "Rules": list(rules)}
        self.at[region].put_bucket_replication(Bucket=source, ReplicationConfiguration=wanted)

    def head(self, region, bucket, key="k", **more):
        try:
            return self.at[region].head_object(Bucket=bucket, Key=key, **more)
        except ClientError as error:
            self.assertEqual(error.response["Error"]["Code"], "404")
            return None

    def status(self, region, bucket, key="k"):
        found = self.head(region, bucket, key)
        return found and found.get("ReplicationStatus")

    def body(self, region, bucket, key="k", **more):
        return self.at[region].get_object(Bucket=bucket, Key=key, **more)["Body"].read()


class Buckets(S3Test):
    def test_buckets_are_made_found_and_deleted(self):
        began = datetime.now(timezone.utc)
        name = self.bucket(EUW1, versioned=False)
        s3 = self.at[EUW1]
        self.assertEqual(s3.head_bucket(Bucket=name)["BucketRegion"], EUW1)
        self.assertEqual(self.at[USE1].get_bucket_location(Bucket=name)["LocationConstraint"], EUW1)
        self.assertIsNone(self.at[USE1].get_bucket_location(Bucket=self.bucket(USE1))["LocationConstraint"])
        listed = {bucket["Name"]: bucket for bucket in self.at[USE1].list_buckets()["Buckets"]}
        self.assertLess(abs(listed[name]["CreationDate"] - began), timedelta(minutes=1))
        there = self.at[USE1].list_buckets(BucketRegion=EUW1, Prefix=name)["Buckets"]
        self.assertEqual([bucket["Name"] for bucket in there], [name])
        pages = s3.get_paginator("list_buckets").paginate(PaginationConfig={"PageSize": 1})
        self.assertIn(name, [bucket["Name"] for page in pages for bucket in page["Buckets"]])
        place = {"LocationConstraint": EUW1}
        self.refused("BucketAlreadyOwnedByYou", s3.create_bucket, status=409, Bucket=name, CreateBucketConfiguration=place)
        s3.put_object(Bucket=name, Key="k", Body=b"x")
        self.refused("BucketNotEmpty", s3.delete_bucket, status=409, Bucket=name)
        s3.delete_object(Bucket=name, Key="k")
        s3.delete_bucket(Bucket=name)
        self.refused("404", s3.head_bucket, status=404, Bucket=name)
        self.refused("NoSuchBucket", s3.list_objects_v2, status=404, Bucket=name)
        self.refused("NoSuchBucket", s3.get_bucket_versioning, status=404, Bucket=name)

    def test_a_bucket_is_made_where_it_is_asked_for(self):
        name = f"place-{uuid.uuid4().hex[:12]}"
        create = self.at[EUW1].create_bucket
        self.refused("IllegalLocationConstraintException", create, status=400, Bucket=name)
        place = {"LocationConstraint": USW2}
        self.refused("IllegalLocationConstraintException", create, status=400, Bucket=name, CreateBucketConfiguration=place)
        self.at[USE1].create_bucket(Bucket=name, CreateBucketConfiguration=place)
        self.assertEqual(self.at[USW2].head_bucket(Bucket=name)["BucketRegion"], USW2)
        self.refused("InvalidBucketName", self.at[USE1].create_bucket, status=400, Bucket="Not_A_Bucket")
        self.at[USE1].create_bucket(Bucket=self.bucket(USE1))

    def test_a_bucket_elsewhere_says_where(self):
        name = self.bucket(EUW1)
        with self.assertRaises(urllib.error.HTTPError) as moved:
            self.raw("GET", f"{name}?versioning")
        self.assertEqual((moved.exception.code, moved.exception.headers["x-amz-bucket-region"]), (301, EUW1))
        self.assertIn("<Code>PermanentRedirect</Code>", moved.exception.read().decode())
        # botocore follows by itself.
        self.assertEqual(self.at[USE1].get_bucket_versioning(Bucket=name)["Status"], "Enabled")
        self.assertEqual(self.at[USE1].head_bucket(Bucket=name)["BucketRegion"], EUW1)

    def test_the_bucket_may_stand_before_the_host(self):
        name = self.bucket(versioned=False)
        self.raw("PUT", "a/b", b"body", host=f"{name}.s3.{USE1}.amazonaws.com").close()
        self.assertEqual(self.body(USE1, name, "a/b"), b"body")

    def test_versioning_and_tags(self):
        name = self.bucket(versioned=False)
        s3 = self.at[USE1]
        self.assertNotIn("Status", s3.get_bucket_versioning(Bucket=name))
        for status in ("Enabled", "Suspended"):
            self.versioning(USE1, name, status)
            self.assertEqual(s3.get_bucket_versioning(Bucket=name)["Status"], status)
        self.refused("NoSuchTagSet", s3.get_bucket_tagging, status=404, Bucket=name)
        tags = [{"Key": "owner", "Value": "shop"}]
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
        self.assertEqual(s3.get_bucket_tagging(Bucket=name)["TagSet"], tags)
        self.refused("InvalidTag", s3.put_bucket_tagging, status=400, Bucket=name, Tagging={"TagSet": tags * 2})
        s3.delete_bucket_tagging(Bucket=name)
        self.refused("NoSuchTagSet", s3.get_bucket_tagging, status=404, Bucket=name)

    def test_what_is_not_served_says_so(self):
        name = self.bucket()
        s3 = self.at[USE1]
        self.refused("NotImplemented", s3.get_bucket_acl, status=501, Bucket=name)
        self.refused("NotImplemented", s3.get_object_tagging, status=501, Bucket=name, Key="k")
        self.refused("NotImplemented", s3.create_multipart_upload, status=501, Bucket=name, Key="k")
        s3.put_object(Bucket=name, Key="k", Body=b"x")
        self.refused("NotImplemented", s3.copy_object, status=501, Bucket=name, Key="l", CopySource={"Bucket": name, "Key": "k"})
        self.refused("NotImplemented", s3.get_object, status=501, Bucket=name, Key="k", Range="bytes=0-0")


class Objects(S3Test):
    def test_an_object_comes_back_with_what_was_kept_beside_it(self):
        name = self.bucket(versioned=False)
        s3 = self.at[USE1]
        body = bytes(range(256)) * 5_000
        put = s3.put_object(
            Bucket=name,
            Key="a b/ü&?.bin",
            Body=body,
            ContentType="image/png",
            CacheControl="no-store",
            Metadata={"origin": "camera-1"},
        )
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        self.assertEqual(put["ETag"], etag)
        self.assertNotIn("VersionId", put)
        found = s3.get_object(Bucket=name, Key="a b/ü&?.bin")
        self.assertEqual(found["Body"].read(), body)
        head = s3.head_object(Bucket=name, Key="a b/ü&?.bin")
        for answer in (found, head):
            self.assertEqual((answer["ETag"], answer["ContentLength"]), (etag, len(body)))
            self.assertEqual((answer["ContentType"], answer["CacheControl"]), ("image/png", "no-store"))
            self.assertEqual(answer["Metadata"], {"origin": "camera-1"})
            self.assertNotIn("ContentEncoding", answer)
            self.assertNotIn("ReplicationStatus", answer)
            self.assertLess(abs(answer["LastModified"] - datetime.now(timezone.utc)), timedelta(minutes=1))
        self.refused("NoSuchKey", s3.get_object, status=404, Bucket=name, Key="other")
        self.refused("404", s3.head_object, status=404, Bucket=name, Key="other")
        s3.delete_object(Bucket=name, Key="a b/ü&?.bin")
        self.refused("NoSuchKey", s3.get_object, status=404, Bucket=name, Key="a b/ü&?.bin")
        s3.delete_object(Bucket=name, Key="other")

    def test_bodies_in_chunks_with_checksums_are_put_together(self):
        name = self.bucket(versioned=False)
        for algorithm in ("CRC32", "SHA256"):
            for size in (0, 1, 100_000):
                body = os.urandom(size)
                self.at[USE1].put_object(Bucket=name, Key="k", Body=body, ChecksumAlgorithm=algorithm)
                self.assertEqual(self.body(USE1, name), body)

        # As botocore and the other SDKs send it over TLS.
        chunks = b"4\r\nab\r\n\r\n3\r\ncde\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
        headers = {
            "content-encoding": "aws-chunked",
            "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "x-amz-decoded-content-length": "7",
            "x-amz-trailer": "x-amz-checksum-crc32",
        }
        self.raw("PUT", f"{name}/k", chunks, **headers).close()
        self.assertEqual(self.body(USE1, name), b"ab\r\ncde")
        self.assertNotIn("ContentEncoding", self.head(USE1, name))
        with self.assertRaises(urllib.error.HTTPError) as short:
            self.raw("PUT", f"{name}/k", chunks[:9], **headers)
        self.assertIn("<Code>IncompleteBody</Code>", short.exception.read().decode())
        whole = client("s3", USE1, request_checksum_calculation="when_required")
        whole.put_object(Bucket=name, Key="k", Body=b"whole")
        self.assertEqual(self.body(USE1, name), b"whole")

    def test_conditions_hold_back_writes(self):
        name = self.bucket(versioned=False)
        put = lambda body, **more: self.at[USE1].put_object(Bucket=name, Key="k", Body=body, **more)
        first = put(b"1", IfNoneMatch="*")["ETag"]
        refused = {"Bucket": name, "Key": "k", "Body": b"no"}
        self.refused("PreconditionFailed", self.at[USE1].put_object, status=412, IfNoneMatch="*", **refused)
        second = put(b"2", IfMatch=first)["ETag"]
        self.refused("PreconditionFailed", self.at[USE1].put_object, status=412, IfMatch=first, **refused)
        self.assertEqual(self.body(USE1, name, IfMatch=second), b"2")
        self.refused("PreconditionFailed", self.at[USE1].get_object, status=412, Bucket=name, Key="k", IfMatch=first)
        self.refused("NoSuchKey", self.at[USE1].put_object, status=404, Bucket=name, Key="new", Body=b"", IfMatch=first)

    def test_versions_stay_beneath_and_marks_hide_them(self):
        name = self.bucket()
        s3 = self.at[USE1]
        ids = [s3.put_object(Bucket=name, Key="k", Body=body)["VersionId"] for body in (b"1", b"2")]
        self.assertEqual(self.body(USE1, name, VersionId=ids[0]), b"1")
        self.assertEqual(self.head(USE1, name)["VersionId"], ids[1])
        gone = s3.delete_object(Bucket=name, Key="k")
        self.assertTrue(gone["DeleteMarker"])
        self.refused("NoSuchKey", s3.get_object, status=404, Bucket=name, Key="k")
        self.refused("MethodNotAllowed", s3.get_object, status=405, Bucket=name, Key="k", VersionId=gone["VersionId"])
        self.refused("NoSuchVersion", s3.get_object, status=404, Bucket=name, Key="k", VersionId="nothing")
        self.assertEqual(s3.list_objects_v2(Bucket=name)["KeyCount"], 0)
        pages = list(s3.get_paginator("list_object_versions").paginate(Bucket=name, PaginationConfig={"PageSize": 2}))
        self.assertEqual(len(pages), 2)
        markers = [marker for page in pages for marker in page.get("DeleteMarkers", [])]
        versions = [version for page in pages for version in page.get("Versions", [])]
        self.assertEqual([(marker["VersionId"], marker["IsLatest"]) for marker in markers], [(gone["VersionId"], True)])
        self.assertEqual([version["VersionId"] for version in versions], ids[::-1])
        self.assertTrue(s3.delete_object(Bucket=name, Key="k", VersionId=gone["VersionId"])["DeleteMarker"])
        self.assertEqual(self.body(USE1, name), b"2")
        s3.delete_object(Bucket=name, Key="k", VersionId=ids[1])
        self.assertEqual(self.body(USE1, name), b"1")
        self.refused("BucketNotEmpty", s3.delete_bucket, status=409, Bucket=name)
        done = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "k", "VersionId": ids[0]}]})
        self.assertEqual(done["Deleted"], [{"Key": "k", "VersionId": ids[0]}])
        s3.delete_bucket(Bucket=name)

    def test_a_suspended_bucket_has_one_version_without_id(self):
        name = self.bucket()
        s3 = self.at[USE1]
        kept = s3.put_object(Bucket=name, Key="k", Body=b"kept")["VersionId"]
        self.versioning(USE1, name, "Suspended")
        for body in (b"1", b"2"):
            s3.put_object(Bucket=name, Key="k", Body=body)
        versions = s3.list_object_versions(Bucket=name)["Versions"]
        self.assertEqual([version["VersionId"] for version in versions], ["null", kept])
        self.assertEqual(self.body(USE1, name, VersionId="null"), b"2")

    def test_objects_are_listed_page_by_page(self):
        name = self.bucket(versioned=False)
        keys = [f"logs/2026/{n:02}" for n in range(5)] + ["logs/ü 1", "other"]
        for key in keys:
            self.at[USE1].put_object(Bucket=name, Key=key, Body=b"x")
        pages = self.at[USE1].get_paginator("list_objects_v2").paginate(
            Bucket=name, Prefix="logs/", PaginationConfig={"PageSize": 4}
        )
        pages = [[found["Key"] for found in page["Contents"]] for page in pages]
        self.assertEqual(pages, [keys[:4], keys[4:6]])
        grouped = self.at[USE1].list_objects_v2(Bucket=name, Prefix="logs/", Delimiter="/")
        self.assertEqual([group["Prefix"] for group in grouped["CommonPrefixes"]], ["logs/2026/"])
        self.assertEqual([found["Key"] for found in grouped["Contents"]], ["logs/ü 1"])
        after = self.at[USE1].list_objects_v2(Bucket=name, StartAfter="logs/2026/04")["Contents"]
        self.assertEqual([found["Key"] for found in after], keys[5:])
        self.assertEqual((after[0]["Size"], after[0]["ETag"]), (1, f'"{hashlib.md5(b"x").hexdigest()}"'))
        first = self.at[USE1].get_paginator("list_objects").paginate(Bucket=name, PaginationConfig={"PageSize": 3})
        self.assertEqual([found["Key"] for page in first for found in page["Contents"]], keys)


class Replication(S3Test):
    def test_a_configuration_comes_back_as_it_was_put(self):
        source, copy = self.bucket(USE1), self.bucket(EUW1)
        s3 = self.at[USE1]
        get = lambda: s3.get_bucket_replication(Bucket=source)["ReplicationConfiguration"]
        self.refused("ReplicationConfigurationNotFoundError", s3.get_bucket_replication, status=404, Bucket=source)
        whole = rule(
            copy,
            destination={**TIME_CONTROL, "StorageClass": "STANDARD_IA"},
            SourceSelectionCriteria={"ReplicaModifications": {"Status": "Enabled"}},
        )
        tagged = rule(copy, name="tagged", priority=2, status="Disabled")
        tagged["Filter"] = {"And": {"Prefix": "a<b", "Tags": [{"Key": "x", "Value": "y"}]}}
        self.replicate(USE1, source, whole, tagged)
        self.assertEqual(get(), {"Role": ROLE, "Rules": [whole, tagged]})
        unnamed = rule(copy)
        del unnamed["ID"]
        self.replicate(USE1, source, unnamed)
        self.assertTrue(get()["Rules"][0]["ID"])
        old = {"ID": "old", "Prefix": "", "Status": "Enabled", "Destination": {"Bucket": f"arn:aws:s3:::{copy}"}}
        self.replicate(USE1, source, old)
        self.assertEqual(get()["Rules"], [old])
        self.refused(
            "InvalidBucketState", s3.put_bucket_versioning, status=409, Bucket=source, VersioningConfiguration={"Status": "Suspended"}
        )
        s3.delete_bucket_replication(Bucket=source)
        self.refused("ReplicationConfigurationNotFoundError", s3.get_bucket_replication, status=404, Bucket=source)

    def test_what_cannot_replicate_is_refused(self):
        source, copy, plain = self.bucket(USE1), self.bucket(EUW1), self.bucket(EUW1, versioned=False)
        s3 = self.at[USE1]

        def put(*rules, role=ROLE, bucket=source, code="InvalidRequest"):
            wanted = {"Role": role, "Rules": list(rules)}
            return self.refused(code, s3.put_bucket_replication, status=400, Bucket=bucket, ReplicationConfiguration=wanted)

        unversioned = self.bucket(USE1, versioned=False)
        self.assertIn("Versioning must be 'Enabled'", put(rule(copy), bucket=unversioned))
        self.assertIn("must have versioning enabled", put(rule(plain)))
        self.assertIn("must exist", put(rule("nothing-here")))
        self.assertIn("same", put(rule(source)))
        self.assertIn("Role", put(rule(copy), role=""))
        put(rule(copy), role="s3-replication", code="InvalidArgument")
        for field in ("Priority", "DeleteMarkerReplication"):
            partial = rule(copy)
            del partial[field]
            self.assertIn(field, put(partial))
        self.assertIn("priority", put(rule(copy), rule(copy, name="other")))
        self.assertIn("unique", put(rule(copy), rule(copy, priority=2)))
        time_alone = {"ReplicationTime": TIME_CONTROL["ReplicationTime"]}
        self.assertIn("Metrics", put(rule(copy, destination=time_alone)))
        hour = {**TIME_CONTROL, "ReplicationTime": {"Status": "Enabled", "Time": {"Minutes": 60}}}
        self.assertIn("15", put(rule(copy, destination=hour)))
        put(code="MalformedXML")

    def test_objects_arrive_with_the_lag_and_say_how_far_they_are(self):
        source, copy = self.bucket(USE1), self.bucket(EUW1)
        self.at[USE1].put_object(Bucket=source, Key="before", Body=b"x")
        self.replicate(USE1, source, rule(copy))
        put = self.at[USE1].put_object(Bucket=source, Key="k", Body=b"body", ContentType="a/b", Metadata={"m": "n"})
        self.assertEqual(self.status(USE1, source), "PENDING")
        self.assertIsNone(self.head(EUW1, copy))
        found = self.until("the copy is there", lambda: self.head(EUW1, copy))
        self.assertEqual((found["ReplicationStatus"], found["VersionId"]), ("REPLICA", put["VersionId"]))
        self.assertEqual((found["ContentType"], found["Metadata"]), ("a/b", {"m": "n"}))
        self.assertEqual(self.body(EUW1, copy), b"body")
        self.assertEqual(self.status(USE1, source), "COMPLETED")
        self.assertNotIn("ReplicationStatus", self.head(USE1, source, "before"))
        self.assertIsNone(self.head(EUW1, copy, "before"), "a new rule copies nothing that is there already")

    def test_rules_choose_by_prefix_and_tag(self):
        source, copy = self.bucket(USE1), self.bucket(EUW1)
        tagged = rule(copy, name="tagged", priority=2)
        tagged["Filter"] = {"Tag": {"Key": "copy", "Value": "yes"}}
        self.replicate(USE1, source, rule(copy, prefix="a/"), tagged, rule(copy, name="off", priority=3, status="Disabled"))
        for key, more in (("a/1", {}), ("b/1", {}), ("b/2", {"Tagging": "copy=yes"}), ("b/3", {"Tagging": "copy=no"})):
            self.at[USE1].put_object(Bucket=source, Key=key, Body=b"x", **more)
        statuses = [self.status(USE1, source, key) for key in ("a/1", "b/1", "b/2", "b/3")]
        self.assertEqual(statuses, ["PENDING", None, "PENDING", None])
        self.until("both arrive", lambda: self.head(EUW1, copy, "a/1") and self.head(EUW1, copy, "b/2"))
        self.assertEqual([self.head(EUW1, copy, key) for key in ("b/1", "b/3")], [None, None])

    def test_marks_of_deletion_follow_only_where_asked(self):
        for markers in ("Enabled", "Disabled"):
            source, copy = self.pair()
            self.replicate(USE1, source, rule(copy, markers=markers))
            self.at[USE1].put_object(Bucket=source, Key="k", Body=b"x")
            self.until("the copy is there", lambda: self.head(EUW1, copy))
            self.at[USE1].delete_object(Bucket=source, Key="k")
            self.at[USE1].put_object(Bucket=source, Key="last", Body=b"x")
            self.until("what came after is there", lambda: self.head(EUW1, copy, "last"))
            if markers == "Enabled":
                self.until("the mark is there", lambda: self.head(EUW1, copy) is None)
            else:
                time.sleep(0.5)
                self.assertIsNotNone(self.head(EUW1, copy))

    def test_both_ways_make_no_loop(self):
        source, copy = self.pair()
        self.replicate(EUW1, copy, rule(source))
        first = self.at[USE1].put_object(Bucket=source, Key="k", Body=b"1")["VersionId"]
        self.until("it arrives", lambda: self.head(EUW1, copy))
        second = self.at[EUW1].put_object(Bucket=copy, Key="k", Body=b"2")["VersionId"]
        self.until("it comes back", lambda: self.body(USE1, source) == b"2")
        self.assertEqual((self.status(USE1, source), self.status(EUW1, copy)), ("REPLICA", "COMPLETED"))
        versions = self.at[USE1].list_object_versions(Bucket=source)["Versions"]
        self.assertEqual([version["VersionId"] for version in versions], [second, first])

    def test_what_cannot_be_taken_has_failed(self):
        source, copy = self.bucket(USE1), self.bucket(EUW1)
        self.replicate(USE1, source, rule(copy))
        self.versioning(EUW1, copy, "Suspended")
        self.at[USE1].put_object(Bucket=source, Key="k", Body=b"x")
        self.assertEqual(self.status(USE1, source), "FAILED")

    def test_time_control_brings_metrics_in_the_destinations_region(self):
        source, copy = self.pair()
        self.replicate(USE1, source, rule(copy, name="timed", destination=TIME_CONTROL))
        turn("isolate", region=EUW1)
        try:
            self.at[USE1].put_object(Bucket=source, Key="k", Body=b"x" * 500)
            self.at[USE1].put_object(Bucket=source, Key="l", Body=b"x" * 500)
            dimensions = {"SourceBucket": source, "DestinationBucket": copy, "RuleId": "timed"}
            dimensions = [{"Name": name, "Value": value} for name, value in dimensions.items()]

            def newest(region, name):
                now = datetime.now(timezone.utc)
                metric = {"Namespace": "AWS/S3", "MetricName": name, "Dimensions": dimensions}
                query = {"Id": "q", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}}
                found = client("cloudwatch", region).get_metric_data(
                    MetricDataQueries=[query], StartTime=now - timedelta(minutes=15), EndTime=now
                )
                return next(iter(found["MetricDataResults"][0]["Values"]), None)

            self.until("operations are counted", lambda: newest(EUW1, "OperationsPendingReplication") == 2)
            self.assertEqual(newest(EUW1, "BytesPendingReplication"), 1_000)
            self.until("the lag grows", lambda: newest(EUW1, "ReplicationLatency") > 1.5)
            self.assertIsNone(newest(USE1, "ReplicationLatency"))
            self.assertEqual(self.status(USE1, source), "PENDING")
        finally:
            turn("rejoin", region=EUW1)
        self.until("it arrives after all", lambda: self.status(USE1, source) == "COMPLETED")
        self.until("nothing is pending", lambda: newest(EUW1, "OperationsPendingReplication") == 0)

    def test_faults_at_the_door_have_s3s_shape(self):
        name = self.bucket()
        turn("throttle", region=USE1, service="s3", on=True)
        try:
            self.refused("SlowDown", self.at[USE1].list_objects_v2, status=503, Bucket=name)
        finally:
            turn("throttle", region=USE1, service="s3", on=False)
        self.at[USE1].list_objects_v2(Bucket=name)

    def test_a_lost_answer_has_had_its_effect(self):
        name = self.bucket()
        turn("lose_answers", region=USE1, service="s3", count=1)
        with self.assertRaises(ConnectionClosedError):
            self.at[USE1].put_object(Bucket=name, Key="k", Body=b"x")
        self.assertEqual(self.body(USE1, name), b"x")


if __name__ == "__main__":
    unittest.main()
