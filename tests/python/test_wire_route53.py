"""Drives the simulated Route 53 with boto3, as a stranger would."""

import unittest

from botocore.exceptions import ConnectionClosedError, HTTPClientError

from stranger import WireTest, client, named, turn

ADDRESS = [{"Value": "192.0.2.1"}]


def change(action, **record):
    return {"Action": action, "ResourceRecordSet": record}


def plain(name, kind="A", values=("192.0.2.1",), ttl=60, **more):
    return {"Name": name, "Type": kind, "TTL": ttl, "ResourceRecords": [{"Value": value} for value in values], **more}


class Route53Test(WireTest):
    @classmethod
    def setUpClass(cls):
        cls.dns = client("route53", "us-east-1")

    def zone(self, name=None):
        name = name or f"{named('zone')}.example"
        made = self.dns.create_hosted_zone(Name=name, CallerReference=named("made"))
        return name, made["HostedZone"]["Id"]

    def change(self, zone, *changes):
        answer = self.dns.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": list(changes)})
        return answer["ChangeInfo"]

    def no_change(self, zone, *changes, code="InvalidChangeBatch"):
        before = self.records(zone)
        batch = {"Changes": list(changes)}
        words = self.refused(code, self.dns.change_resource_record_sets, HostedZoneId=zone, ChangeBatch=batch)
        self.assertEqual(self.records(zone), before, "a refused batch changes nothing")
        return words

    def records(self, zone, **more):
        pages = self.dns.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone, **more)
        return [found for page in pages for found in page["ResourceRecordSets"]]

    def check(self, **config):
        config.setdefault("Type", "HTTP")
        if config["Type"] not in ("CALCULATED", "CLOUDWATCH_METRIC"):
            config.setdefault("FullyQualifiedDomainName", "shop.example")
            config.setdefault("Port", 80)
        made = self.dns.create_health_check(CallerReference=named("check"), HealthCheckConfig=config)
        return made["HealthCheck"]


class Zones(Route53Test):
    def test_a_zone_is_made_found_and_deleted(self):
        name, zone = self.zone()
        found = self.dns.get_hosted_zone(Id=zone)
        self.assertEqual((found["HostedZone"]["Name"], found["HostedZone"]["Config"]["PrivateZone"]), (f"{name}.", False))
        self.assertTrue(found["DelegationSet"]["NameServers"])
        listed = self.dns.list_hosted_zones_by_name(DNSName=name, MaxItems="1")
        self.assertEqual([one["Id"] for one in listed["HostedZones"]], [zone])
        everywhere = self.dns.get_paginator("list_hosted_zones").paginate(PaginationConfig={"PageSize": 1})
        self.assertIn(zone, [one["Id"] for page in everywhere for one in page["HostedZones"]])
        kinds = {record["Type"] for record in self.records(zone)}
        self.assertEqual(kinds, {"NS", "SOA"})
        self.change(zone, change("CREATE", **plain(f"a.{name}")))
        self.refused("HostedZoneNotEmpty", self.dns.delete_hosted_zone, Id=zone)
        self.change(zone, change("DELETE", **plain(f"a.{name}")))
        self.dns.delete_hosted_zone(Id=zone)
        self.assertIn(zone.split("/")[-1], self.refused("NoSuchHostedZone", self.dns.get_hosted_zone, status=404, Id=zone))

    def test_a_zone_of_a_vpc_is_private(self):
        name, vpc = f"{named('inside')}.example", {"VPCRegion": "us-east-1", "VPCId": "vpc-0a1b2c3d"}
        made = self.dns.create_hosted_zone(Name=name, CallerReference=named("made"), VPC=vpc)
        self.assertTrue(self.dns.get_hosted_zone(Id=made["HostedZone"]["Id"])["HostedZone"]["Config"]["PrivateZone"])
        self.refused(
            "InvalidInput", self.dns.create_hosted_zone, Name=f"other.{name}", CallerReference=named("made"),
            HostedZoneConfig={"PrivateZone": True},
        )

    def test_zones_are_listed_by_name_from_a_name_on(self):
        stem = named("order")
        for name in ["c", "a", "b"]:
            self.zone(f"{name}.{stem}.example")
        listed = self.dns.list_hosted_zones_by_name(DNSName=f"a.{stem}.example", MaxItems="2")
        self.assertEqual([one["Name"] for one in listed["HostedZones"]], [f"a.{stem}.example.", f"b.{stem}.example."])
        self.assertTrue(listed["IsTruncated"])
        self.assertEqual(listed["NextDNSName"], f"c.{stem}.example.")

    def test_limits_are_told(self):
        name, zone = self.zone()
        self.change(zone, change("CREATE", **plain(f"a.{name}")))
        of_zone = self.dns.get_hosted_zone_limit(Type="MAX_RRSETS_BY_ZONE", HostedZoneId=zone)
        self.assertEqual((of_zone["Limit"]["Value"], of_zone["Count"]), (10_000, 3))
        of_account = self.dns.get_account_limit(Type="MAX_HEALTH_CHECKS_BY_OWNER")
        self.assertEqual(of_account["Count"], self.dns.get_health_check_count()["HealthCheckCount"])


class Records(Route53Test):
    def test_a_change_is_pending_until_every_name_server_has_it(self):
        name, zone = self.zone()
        made = self.change(zone, change("CREATE", **plain(f"a.{name}")))
        self.assertEqual(made["Status"], "PENDING")
        self.until("in sync", lambda: self.dns.get_change(Id=made["Id"])["ChangeInfo"]["Status"] == "INSYNC")
        self.refused("NoSuchChange", self.dns.get_change, status=404, Id="C0DOESNOTEXIST")

    def test_records_of_every_policy_come_back_as_they_were_written(self):
        name, zone = self.zone()
        gate = self.check()["Id"]
        inside = {"HostedZoneId": zone.split("/")[-1], "DNSName": f"plain.{name}.", "EvaluateTargetHealth": True}
        outside = {
            "HostedZoneId": "Z35SXDOTRQ7X7K", "DNSName": "shop-1.us-east-1.elb.amazonaws.com.", "EvaluateTargetHealth": False,
        }
        written = [
            plain(f"plain.{name}.", values=("192.0.2.1", "192.0.2.2")),
            plain(f"text.{name}.", "TXT", ('"two words"', '"and more"')),
            plain(f"six.{name}.", "AAAA", ("2001:db8::1",)),
            plain(f"mail.{name}.", "MX", ("10 mail.example.",)),
            plain(f"www.{name}.", "CNAME", ("shop.example",)),
            plain(f"pair.{name}.", SetIdentifier="one", Failover="PRIMARY", HealthCheckId=gate),
            {"Name": f"pair.{name}.", "Type": "A", "SetIdentifier": "two", "Failover": "SECONDARY", "AliasTarget": inside},
            plain(f"heavy.{name}.", SetIdentifier="one", Weight=0),
            plain(f"heavy.{name}.", SetIdentifier="two", Weight=255),
            plain(f"near.{name}.", SetIdentifier="us", Region="us-east-1"),
            plain(f"near.{name}.", SetIdentifier="eu", Region="eu-west-1"),
            plain(f"place.{name}.", SetIdentifier="all", GeoLocation={"CountryCode": "*"}),
            plain(f"place.{name}.", SetIdentifier="eu", GeoLocation={"ContinentCode": "EU"}),
            plain(f"place.{name}.", SetIdentifier="de", GeoLocation={"CountryCode": "DE"}),
            plain(f"place.{name}.", SetIdentifier="ca", GeoLocation={"CountryCode": "US", "SubdivisionCode": "CA"}),
            plain(f"many.{name}.", SetIdentifier="one", MultiValueAnswer=True),
            {"Name": f"balancer.{name}.", "Type": "A", "AliasTarget": outside},
            plain(f"\\052.{name}."),
        ]
        self.change(zone, *[change("CREATE", **record) for record in written])
        kept = [record for record in self.records(zone) if record["Type"] not in ("NS", "SOA")]
        def key(record):
            return record["Name"], record["Type"], record.get("SetIdentifier", "")
        self.assertEqual(sorted(kept, key=key), sorted(written, key=key))

    def test_records_are_listed_from_a_name_type_and_identifier_on(self):
        name, zone = self.zone()
        made = [plain(f"w.{name}.", SetIdentifier=f"s{at}", Weight=1) for at in range(5)]
        self.change(zone, *[change("CREATE", **record) for record in made])
        start = {"StartRecordName": f"w.{name}", "StartRecordType": "A", "StartRecordIdentifier": "s2"}
        page = self.dns.list_resource_record_sets(HostedZoneId=zone, MaxItems="2", **start)
        self.assertEqual([one["SetIdentifier"] for one in page["ResourceRecordSets"]], ["s2", "s3"])
        self.assertEqual((page["IsTruncated"], page["NextRecordIdentifier"]), (True, "s4"))
        self.assertEqual(len(self.records(zone, PaginationConfig={"PageSize": 2})), 7)
        self.refused(
            "InvalidInput", self.dns.list_resource_record_sets, HostedZoneId=zone, StartRecordType="A",
        )

    def test_an_answer_is_tested_from_where_it_is_asked(self):
        name, zone = self.zone()
        made = self.change(
            zone,
            change("CREATE", **plain(f"p.{name}", SetIdentifier="all", GeoLocation={"CountryCode": "*"})),
            change("CREATE", **plain(
                f"p.{name}", values=("192.0.2.2",), SetIdentifier="eu", GeoLocation={"ContinentCode": "EU"},
            )),
        )
        self.until("in sync", lambda: self.dns.get_change(Id=made["Id"])["ChangeInfo"]["Status"] == "INSYNC")

        def answer(record, **more):
            found = self.dns.test_dns_answer(HostedZoneId=zone, RecordName=record, RecordType="A", **more)
            return found["ResponseCode"], found["RecordData"]

        self.assertEqual(answer(f"p.{name}"), ("NOERROR", ["192.0.2.1"]))
        self.assertEqual(answer(f"p.{name}", EDNS0ClientSubnetIP="198.18.6.0"), ("NOERROR", ["192.0.2.2"]))
        self.assertEqual(answer(f"p.{name}", ResolverIP="198.18.5.9"), ("NOERROR", ["192.0.2.2"]))
        self.assertEqual(answer(f"none.{name}"), ("NXDOMAIN", []))
        self.refused(
            "InvalidInput", self.dns.test_dns_answer, HostedZoneId=zone, RecordName="a.elsewhere.example", RecordType="A",
        )

    def test_a_batch_is_all_or_nothing_and_deletes_exactly(self):
        name, zone = self.zone()
        mark = plain(f"mark.{name}", "TXT", ('"index=1"',))
        self.change(zone, change("CREATE", **mark))
        stale = plain(f"mark.{name}", "TXT", ('"index=0"',))
        newer = plain(f"mark.{name}", "TXT", ('"index=2"',))
        words = self.no_change(
            zone, change("DELETE", **stale), change("CREATE", **newer), change("CREATE", **plain(f"a.{name}")),
        )
        self.assertIn("values provided do not match the current values", words)
        self.assertIn("already exists", self.no_change(zone, change("CREATE", **newer)))
        self.assertIn("not found", self.no_change(zone, change("DELETE", **plain(f"gone.{name}"))))
        self.change(zone, change("DELETE", **mark), change("CREATE", **newer))
        self.change(zone, change("UPSERT", **stale))
        texts = [one["ResourceRecords"][0]["Value"] for one in self.records(zone) if one["Type"] == "TXT"]
        self.assertEqual(texts, ['"index=0"'])

    def test_what_contradicts_itself_is_refused(self):
        name, zone = self.zone()
        two = {"SetIdentifier": "one"}
        alias = {"HostedZoneId": zone.split("/")[-1], "DNSName": f"none.{name}", "EvaluateTargetHealth": False}
        hundred = [plain(f"a.{name}", SetIdentifier=f"s{at}", Weight=1) for at in range(100)]

        def to(record, target, zone=alias["HostedZoneId"]):
            return {"Name": record, "Type": "A", "AliasTarget": {**alias, "DNSName": target, "HostedZoneId": zone}}

        with_ttl = {"Name": f"a.{name}", "Type": "A", "TTL": 60, "AliasTarget": {**alias, "HostedZoneId": "Z35SXDOTRQ7X7K"}}
        for words, *records in [
            ("not a valid IPv4 address", plain(f"a.{name}", values=("192.0.2.300",))),
            ("not a valid IPv6 address", plain(f"a.{name}", "AAAA", values=("192.0.2.3",))),
            ("not permitted in zone", plain("a.elsewhere.example")),
            ("not permitted at apex", plain(name, "CNAME", ("shop.example",))),
            ("conflicts with other records", plain(f"a.{name}"), plain(f"a.{name}", "CNAME", ("shop.example",))),
            ("must not have a TTL", with_ttl),
            ("that target was not found", {"Name": f"a.{name}", "Type": "A", "AliasTarget": alias}),
            ("missing its TTL", {"Name": f"a.{name}", "Type": "A", "ResourceRecords": ADDRESS}),
            ("creates a CNAME or alias loop", to(f"a.{name}", f"a.{name}")),
            ("creates a CNAME or alias loop", to(f"a.{name}", f"b.{name}"), to(f"b.{name}", f"c.{name}"), to(f"c.{name}", f"a.{name}")),
            ("creates a CNAME or alias loop", plain(f"a.{name}", "CNAME", (f"b.{name}",)), plain(f"b.{name}", "CNAME", (f"a.{name}",))),
            ("that target was not found", to(f"a.{name}", f"six.{name}"), plain(f"six.{name}", "AAAA", ("2001:db8::1",))),
            ("that target was not found", {**to(f"a.{name}", "lb.elb.amazonaws.com", zone="Z35SXDOTRQ7X7K"), "Type": "CNAME"}),
            ("does not lie within the target zone", to(f"a.{name}", "lb.elb.amazonaws.com")),
            ("not permitted as an alias", {**to(f"a.{name}", f"b.{name}"), "Type": "NS"}, plain(f"b.{name}", "NS", ("ns.example.",))),
            ("already exists", plain(f"a.{name}", **two, Weight=1), plain(f"a.{name}", **two, Weight=2)),
            ("Exceeded limit on number of weighted RRSets", *hundred, plain(f"a.{name}", SetIdentifier="more", Weight=1)),
            ("set identifier", plain(f"a.{name}", Weight=1)),
            ("set identifier", plain(f"a.{name}", **two)),
            ("does not exist", plain(f"a.{name}", HealthCheckId="00000000-0000-0000-0000-000000000000")),
            ("PRIMARY", plain(f"a.{name}", **two, Failover="PRIMARY"),
             plain(f"a.{name}", SetIdentifier="two", Failover="PRIMARY")),
            ("another routing policy", plain(f"a.{name}", **two, Weight=1),
             plain(f"a.{name}", SetIdentifier="two", Failover="PRIMARY")),
            ("geolocation", plain(f"a.{name}", **two, GeoLocation={"ContinentCode": "EU"}),
             plain(f"a.{name}", SetIdentifier="two", GeoLocation={"ContinentCode": "EU"})),
            ("region", plain(f"a.{name}", **two, Region="us-east-1"),
             plain(f"a.{name}", SetIdentifier="two", Region="us-east-1")),
        ]:
            with self.subTest(words):
                self.assertIn(words, self.no_change(zone, *[change("CREATE", **record) for record in records]))
        heavy = change("CREATE", **plain(f"a.{name}", **two, Weight=256))
        self.assertIn("maxInclusive '255'", self.no_change(zone, heavy, code="InvalidInput"))
        many = [change("CREATE", **plain(f"r{at}.{name}")) for at in range(1_001)]
        self.assertIn("limit of 1000", self.no_change(zone, *many))
        long = '"' + "x" * 250 + '"'
        texts = [change("CREATE", **plain(f"t{at}.{name}", "TXT", (long,) * 10)) for at in range(13)]
        self.assertIn("limit of 32000", self.no_change(zone, *texts))
        self.refused(
            "NoSuchHostedZone", self.dns.change_resource_record_sets, status=404, HostedZoneId="Z0NOTHERE",
            ChangeBatch={"Changes": [change("CREATE", **plain(f"a.{name}"))]},
        )


class HealthChecks(Route53Test):
    def test_checks_of_every_kind_come_back_as_they_were_made(self):
        child = self.check()["Id"]
        endpoint = {"FullyQualifiedDomainName": "shop.example", "ResourcePath": "/s", "RequestInterval": 10, "FailureThreshold": 1}
        for config in [
            {"Type": "HTTP", "Port": 8080, **endpoint},
            {"Type": "HTTPS", "Port": 443, "EnableSNI": True, **endpoint},
            {"Type": "HTTP_STR_MATCH", "Port": 80, "SearchString": "switch=on", **endpoint},
            {"Type": "HTTPS_STR_MATCH", "Port": 443, "SearchString": "switch=off", "Inverted": True, **endpoint},
            {"Type": "HTTP", "Port": 80, "IPAddress": "192.0.2.7", "FullyQualifiedDomainName": "shop.example"},
            {"Type": "TCP", "Port": 5432, "IPAddress": "192.0.2.7", "Disabled": True},
            {"Type": "CALCULATED", "ChildHealthChecks": [child], "HealthThreshold": 0},
            {"Type": "CALCULATED", "ChildHealthChecks": [child], "HealthThreshold": 1, "Inverted": True},
            {
                "Type": "CLOUDWATCH_METRIC", "AlarmIdentifier": {"Region": "us-east-1", "Name": "orders"},
                "InsufficientDataHealthStatus": "LastKnownStatus",
            },
        ]:
            with self.subTest(config["Type"]):
                made = self.dns.create_health_check(CallerReference=named("kind"), HealthCheckConfig=config)
                self.assertIn(made["HealthCheck"]["Id"], made["Location"])
                kept = self.dns.get_health_check(HealthCheckId=made["HealthCheck"]["Id"])["HealthCheck"]
                self.assertEqual(kept["HealthCheckVersion"], 1)
                for name, value in config.items():
                    self.assertEqual(kept["HealthCheckConfig"][name], value, name)
        count = self.dns.get_health_check_count()["HealthCheckCount"]
        pages = self.dns.get_paginator("list_health_checks").paginate(PaginationConfig={"PageSize": 3})
        self.assertGreaterEqual(len({one["Id"] for page in pages for one in page["HealthChecks"]}), min(count, 10))

    def test_a_reference_makes_one_check(self):
        reference, config = named("once"), {"Type": "TCP", "IPAddress": "192.0.2.7", "Port": 5432}
        first = self.dns.create_health_check(CallerReference=reference, HealthCheckConfig=config)["HealthCheck"]
        again = self.dns.create_health_check(CallerReference=reference, HealthCheckConfig=config)["HealthCheck"]
        self.assertEqual(first["Id"], again["Id"])
        self.refused(
            "HealthCheckAlreadyExists", self.dns.create_health_check, status=409, CallerReference=reference,
            HealthCheckConfig={**config, "Port": 5433},
        )

    def test_a_check_is_changed_at_the_version_that_was_read(self):
        made = self.check(Type="HTTP_STR_MATCH", SearchString="ok")
        changed = self.dns.update_health_check(
            HealthCheckId=made["Id"], HealthCheckVersion=1, FullyQualifiedDomainName="other.example", Port=81,
            ResourcePath="/new", SearchString="fine", FailureThreshold=2, Inverted=True,
        )["HealthCheck"]
        config = changed["HealthCheckConfig"]
        self.assertEqual(changed["HealthCheckVersion"], 2)
        self.assertEqual(
            (config["FullyQualifiedDomainName"], config["Port"], config["SearchString"], config["Inverted"]),
            ("other.example", 81, "fine", True),
        )
        self.refused(
            "HealthCheckVersionMismatch", self.dns.update_health_check, status=409, HealthCheckId=made["Id"],
            HealthCheckVersion=1, Port=82,
        )
        children = [self.check()["Id"] for _ in range(3)]
        parent = self.check(Type="CALCULATED", ChildHealthChecks=children[:2], HealthThreshold=2)
        changed = self.dns.update_health_check(
            HealthCheckId=parent["Id"], ChildHealthChecks=children, HealthThreshold=3,
        )["HealthCheck"]["HealthCheckConfig"]
        self.assertEqual((sorted(changed["ChildHealthChecks"]), changed["HealthThreshold"]), (sorted(children), 3))

    def test_a_check_goes_when_nothing_counts_it(self):
        child = self.check()["Id"]
        parent = self.check(Type="CALCULATED", ChildHealthChecks=[child], HealthThreshold=1)["Id"]
        self.refused("HealthCheckInUse", self.dns.delete_health_check, HealthCheckId=child)
        self.dns.delete_health_check(HealthCheckId=parent)
        self.dns.delete_health_check(HealthCheckId=child)
        self.refused("NoSuchHealthCheck", self.dns.get_health_check, status=404, HealthCheckId=child)
        self.refused("NoSuchHealthCheck", self.dns.update_health_check, status=404, HealthCheckId=child, Port=1)

    def test_what_cannot_be_a_check_is_refused(self):
        nested = self.check(Type="CALCULATED", ChildHealthChecks=[self.check()["Id"]], HealthThreshold=1)["Id"]
        for config in [
            {"Type": "HTTP", "Port": 80},
            {"Type": "HTTP", "FullyQualifiedDomainName": "shop.example", "RequestInterval": 20},
            {"Type": "HTTP_STR_MATCH", "FullyQualifiedDomainName": "shop.example"},
            {"Type": "TCP", "FullyQualifiedDomainName": "shop.example"},
            {"Type": "CALCULATED", "ChildHealthChecks": ["00000000-0000-0000-0000-000000000000"], "HealthThreshold": 1},
            {"Type": "CALCULATED", "ChildHealthChecks": [nested], "HealthThreshold": 1},
            {"Type": "CLOUDWATCH_METRIC"},
        ]:
            with self.subTest(config):
                self.refused(
                    "InvalidInput", self.dns.create_health_check, CallerReference=named("bad"), HealthCheckConfig=config,
                )

    def test_what_checkers_saw_is_told(self):
        made = self.check(Type="TCP", IPAddress="192.0.2.7", Port=5432)
        seen = self.dns.get_health_check_status(HealthCheckId=made["Id"])["HealthCheckObservations"]
        self.assertGreaterEqual(len(seen), 3)
        self.assertTrue(seen[0]["StatusReport"]["Status"].startswith("Success"))

    def test_tags_of_checks_and_zones(self):
        check, (_, zone) = self.check()["Id"], self.zone()
        for kind, one in [("healthcheck", check), ("hostedzone", zone.split("/")[-1])]:
            tags = [{"Key": "Name", "Value": "p"}, {"Key": "fleet", "Value": "prod"}]
            self.dns.change_tags_for_resource(ResourceType=kind, ResourceId=one, AddTags=tags)
            self.dns.change_tags_for_resource(ResourceType=kind, ResourceId=one, RemoveTagKeys=["Name"])
            kept = self.dns.list_tags_for_resource(ResourceType=kind, ResourceId=one)["ResourceTagSet"]
            self.assertEqual(kept["Tags"], [{"Key": "fleet", "Value": "prod"}])
            many = self.dns.list_tags_for_resources(ResourceType=kind, ResourceIds=[one])["ResourceTagSets"]
            self.assertEqual([found["ResourceId"] for found in many], [one])


class Faults(Route53Test):
    def test_throttling_and_earlier_changes_have_route_53s_words(self):
        name, zone = self.zone()
        turn("throttle", region="us-east-1", service="route53", on=True)
        try:
            self.refused("Throttling", self.dns.list_health_checks)
        finally:
            turn("throttle", region="us-east-1", service="route53", on=False)
        turn("hold_up_changes", count=1)
        batch = {"Changes": [change("CREATE", **plain(f"a.{name}"))]}
        self.refused(
            "PriorRequestNotComplete", self.dns.change_resource_record_sets, HostedZoneId=zone, ChangeBatch=batch,
        )
        self.dns.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)

    def test_a_lost_answer_has_had_its_effect(self):
        name, zone = self.zone()
        turn("lose_answers", region="us-east-1", service="route53", count=1)
        with self.assertRaises((ConnectionClosedError, HTTPClientError)):
            self.change(zone, change("CREATE", **plain(f"a.{name}")))
        self.assertIn(f"a.{name}.", [record["Name"] for record in self.records(zone)])


if __name__ == "__main__":
    unittest.main()
