"""The chart: what it renders is what Kubernetes takes, what the daemon takes, and what was rendered before.

The real Helm renders it (`tools/helm`); manifests are judged by Kubernetes' own schemas (PyPI: kubernetes-validate), strictly.
After a change on purpose: `UPDATE_GOLDEN=1 make chart`, then read the diff.
"""

import copy
import json
import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

import yaml

import chart

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden"
PEM = chart.ROOT / "src" / "api" / "testdata"
SOME_DATABASE = "postgres://failoverd@127.0.0.1:5432/failoverd"
ROLE = "arn:aws:iam::111122223333:role/failoverd"

# Name: example, values over it.
MATRIX = {
    "the witness with a database": (
        "us-west-2-witness",
        {"database": {"url": "postgres://w:p%40ss'\"@db/failoverd"}, "networkPolicy": {"databaseCidrs": ["10.3.0.0/16"]}},
    ),
    "a database's URL in the values": ("us-east-1", {"database": {"url": SOME_DATABASE, "existingSecret": None}}),
    "certificates from a Secret": ("us-east-1", {"tls": {"existingSecret": "mtls", "certManager": None}}),
    "no public endpoint": ("us-east-1", {"config": {"advertise": {"switch": "none"}}, "switch": None}),
    "checkers ask without TLS": (
        "us-east-1",
        {"config": {"advertise": {"switch": {"https": False}}}, "switch": {"tls": {"certificateArn": None}}},
    ),
    "checkers ask at another port": ("us-east-1", {"config": {"advertise": {"switch": {"port": 8443}}}}),
    "TLS ends at the daemon": (
        "us-east-1",
        {"switch": {"tls": {"certificateArn": None, "existingSecret": "switch"}, "service": {"type": "ClusterIP"}}},
    ),
    "no load balancers": (
        "us-east-1",
        {"grpc": {"service": {"type": "ClusterIP"}}, "switch": {"tls": {"certificateArn": ""}, "service": {"type": "ClusterIP"}},
         "config": {"advertise": {"switch": {"https": False, "port": 8080}}}},
    ),
    "source ranges": (
        "us-east-1",
        {"grpc": {"service": {"sourceRanges": ["10.0.0.0/8"]}}, "switch": {"service": {"sourceRanges": ["15.177.0.0/18"]}}},
    ),
    "the role by IRSA": (
        "eu-west-1", {"identity": {"type": "irsa", "roleArn": ROLE}, "serviceAccount": {"annotations": {"a/b": "c"}}},
    ),
    "somebody else's ServiceAccount": ("eu-west-1", {"serviceAccount": {"create": False, "name": "theirs"}}),
    "no network policy": (
        "eu-west-1", {"networkPolicy": {"enabled": False, "peerCidrs": None, "databaseCidrs": None}},
    ),
    "a network policy with more": (
        "eu-west-1",
        {"networkPolicy": {
            "clients": [{"namespaceSelector": {"matchLabels": {"team": "sre"}}}],
            "ops": [{"podSelector": {"matchLabels": {"app": "watcher"}}}],
            "egress": [{"to": [{"ipBlock": {"cidr": "10.9.0.0/16"}}], "ports": [{"port": 8443, "protocol": "TCP"}]}],
            "databasePort": 6432,
        }},
    ),
    "pods with IPv6": ("eu-west-1", {"ipFamily": "IPv6"}),
    "an image by digest": (
        "eu-west-1", {"image": {"digest": "sha256:" + "0" * 64, "pullSecrets": ["one", "two"], "pullPolicy": "Always"}},
    ),
    "drains may evict": ("eu-west-1", {"podDisruptionBudget": {"maxUnavailable": 1}}),
    "five Regions, one URL without a port": (
        "us-east-1",
        {"config": {"peers": {
            "us-east-1": {"url": "https://one.example.internal"},
            "ap-south-1": {"url": "https://four.example.internal:9443", "role": "member"},
            "sa-east-1": {"url": "https://five.example.internal:7443", "role": "witness"},
        }}},
    ),
    "everything that can be set": (
        "us-east-1",
        {
            "config": {
                "switch": {"max_connections": 1000000, "max_connections_per_source": 700000, "max_requests_per_source": 1000},
                "access": {
                    "rules": [{"role": "operator", "uri": "spiffe://corp.example/operator/*"}, {"role": "viewer", "ou": "dashboards"}],
                    "oidc": {"issuer": "https://login.example.com/", "audience": "failoverd", "jwks_url": "https://login.example.com/keys",
                             "role_claim": "groups", "name_claim": "email", "roles": {"sre": "operator"}, "leeway": "30s"},
                },
                "timing": {"heartbeat": "300ms", "election_timeout": "1s500ms", "probe_interval": "5s"},
                "references": {"ap-southeast-2": "https://dynamodb.ap-southeast-2.amazonaws.com/ping"},
                "aws": {
                    "endpoints": {"route53": "https://route53.us-east-1.example.internal"},
                    "name_servers": ["10.1.0.2", "10.1.0.3:5353"],
                },
            },
            "env": [
                {"name": "ORDERS_DSN_US_EAST_1", "valueFrom": {"secretKeyRef": {"name": "orders", "key": "dsn"}}},
                {"name": "AWS_USE_FIPS_ENDPOINT", "value": "true"},
            ],
            "log": "info,failoverd=debug",
            "storage": {"size": "20Gi", "className": "gp3"},
            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
            "podAnnotations": {"example.com/owner": "sre"},
            "podLabels": {"team": "sre"},
            "nodeSelector": {"kubernetes.io/arch": "amd64"},
            "tolerations": [{"key": "critical", "operator": "Exists", "effect": "NoSchedule"}],
            "priorityClassName": "system-cluster-critical",
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}}},
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}],
            "tls": {"certManager": {"dnsNames": ["failoverd.example.com"], "duration": "4320h", "renewBefore": "1440h",
                                    "clients": [{"name": "carol", "roles": ["approver"]}], "clientDuration": "24h"}},
            "terminationGracePeriodSeconds": 60,
            "monitoring": {
                "serviceMonitor": {"interval": "30s", "labels": {"prometheus": "main"}},
                "rules": {"enabled": False, "alertLabels": {"team": "sre"}, "overrides": {"FailoverdRunOpen": {"for": "5m"}}},
                "dashboards": {"enabled": False, "annotations": {"grafana_folder": "failoverd"}},
            },
        },
    ),
}

# Values over us-east-1's that must be refused, and what a person must read then.
WRONG = [
    ({"config": {"fleet": None}}, ["at '/config': missing property 'fleet'"]),
    ({"config": {"region": None}}, ["at '/config': missing property 'region'"]),
    ({"config": {"role": None}}, ["at '/config': missing property 'role'"]),
    ({"config": {"peers": None}}, ["at '/config': missing property 'peers'"]),
    ({"config": {"advertise": None}}, ["at '/config': missing property 'advertise'"]),
    ({"config": {"peers": {"eu-west-1": {"role": None}}}}, ["at '/config/peers/eu-west-1': missing property 'role'"]),
    ({"config": {"peers": {"eu-west-1": {"url": None}}}}, ["at '/config/peers/eu-west-1': missing property 'url'"]),
    ({"config": {"peers": {"eu-west-1": None}}}, ["at '/config/peers': minProperties: got 2, want 3"]),
    ({"config": {"peers": {"eu-west-1": {"url": "http://plain:7443"}}}}, ["/config/peers/eu-west-1/url", "https://"]),
    ({"config": {"peers": {"eu-west-1": {"role": "boss"}}}}, ["/config/peers/eu-west-1/role", "'member', 'witness'"]),
    ({"config": {"fleet": "Prod"}}, ["/config/fleet", "'Prod' does not match"]),
    ({"config": {"region": "ap-south-1"}}, ["config.peers: must name every daemon", "(ap-south-1) included"]),
    ({"config": {"role": "witness"}}, ["config.role: is witness, but config.peers.us-east-1.role is member"]),
    (
        {"config": {"peers": {"eu-west-1": {"role": "witness"}}}},
        ["config.peers: has fewer than two members: there is nowhere to fail over to"],
    ),
    ({"config": {"data_dir": "/tmp"}}, ["at '/config': additional properties 'data_dir' not allowed"]),
    ({"config": {"listen": {}}}, ["additional properties 'listen' not allowed"]),
    ({"config": {"advertise": {"switch": "nothing"}}}, ["/config/advertise/switch", "'none'"]),
    ({"config": {"advertise": {"switch": {"port": 0}}}}, ["/config/advertise/switch/port", "minimum"]),
    ({"config": {"timing": {"heartbeat": "fast"}}}, ["/config/timing/heartbeat", "'fast' does not match"]),
    ({"config": {"aws": {"endpoints": {"ec2": "https://x"}}}}, ["additional properties 'ec2' not allowed"]),
    ({"config": {"switch": {"max_connections": 3}}}, ["/config/switch/max_connections", "minimum: got 3, want 64"]),
    ({"replicas": 3}, ["replicas: 3: a Region has one vote", "would outvote the others", "docs/adr/0013"]),
    ({"replicas": 0}, ["/replicas", "minimum: got 0, want 1"]),
    (
        {"networkPolicy": {"ops": None}},
        ["networkPolicy.ops: is empty: Prometheus would not be let in; name it, or say monitoring.serviceMonitor.enabled: false"],
    ),
    ({"monitoring": {"rules": {"overrides": {"FailoverdRunOpn": {"for": "1m"}}}}}, ["there is no alert FailoverdRunOpn: docs/runbook.md"]),
    ({"monitoring": {"rules": {"overrides": {"FailoverdRunOpen": {"severity": "loud"}}}}}, ["'page', 'ticket'"]),
    ({"monitoring": {"rules": {"overrides": {"FailoverdRunOpen": {"expr": "up"}}}}}, ["additional properties 'expr' not allowed"]),
    ({"monitoring": {"serviceMonitor": {"interval": "often"}}}, ["/monitoring/serviceMonitor/interval", "'often' does not match"]),
    ({"monitoring": {"rules": {"runbookUrl": "wiki"}}}, ["/monitoring/rules/runbookUrl"]),
    ({"monitoring": {"serviceMonitors": {}}}, ["additional properties 'serviceMonitors' not allowed"]),
    ({"replicaCount": 1}, ["additional properties 'replicaCount' not allowed"]),
    ({"image": {"repository": None}}, ["/image/repository", "minLength"]),
    ({"image": {"digest": "latest"}}, ["/image/digest", "sha256"]),
    ({"identity": None}, ["at '/identity': missing property 'type'"]),
    ({"identity": {"type": "keys"}}, ["/identity/type", "'pod-identity', 'irsa'"]),
    ({"identity": {"type": "irsa"}}, ["at '/identity': missing property 'roleArn'"]),
    ({"identity": {"type": "irsa", "roleArn": "failoverd"}}, ["/identity/roleArn", "role/"]),
    ({"identity": {"accessKey": "AKIA"}}, ["additional properties 'accessKey' not allowed"]),
    ({"tls": None}, ["tls: daemons talk over TLS: give existingSecret or certManager.issuer"]),
    ({"tls": {"certManager": {"clients": [{"name": "eve", "roles": ["peer"]}]}}}, ["/tls/certManager/clients/0/roles/0", "'viewer', 'operator'"]),
    ({"tls": {"certManager": {"clients": [{"name": "eve/admin", "roles": ["viewer"]}]}}}, ["/tls/certManager/clients/0/name", "does not match"]),
    ({"config": {"access": {"rules": [{"role": "admin"}]}}}, ["/config/access/rules/0", "minProperties: got 1, want 2"]),
    ({"tls": {"existingSecret": "mtls"}}, ["tls: has both existingSecret and certManager.issuer: give one"]),
    ({"database": {"existingSecret": None}}, ["database: a member keeps the fleet's history"]),
    ({"database": {"url": SOME_DATABASE}}, ["database: has both url and existingSecret.name: give one"]),
    ({"database": {"url": "mysql://db", "existingSecret": None}}, ["/database/url", "postgres"]),
    ({"switch": None}, ["switch.tls: config.advertise.switch is asked over TLS", "or say https: false there"]),
    ({"switch": {"tls": {"existingSecret": "x"}}}, ["switch.tls: has both certificateArn and existingSecret"]),
    ({"config": {"advertise": {"switch": {"https": False}}}}, ["switch.tls: is of no use"]),
    ({"switch": {"service": {"type": "ClusterIP"}}}, ["switch.tls.certificateArn: only a load balancer can show it"]),
    ({"switch": {"service": {"type": "NodePort"}}}, ["/switch/service/type", "'LoadBalancer', 'ClusterIP'"]),
    ({"networkPolicy": {"peerCidrs": None}}, ["networkPolicy.peerCidrs: is empty", "the fleet cannot form"]),
    ({"networkPolicy": {"databaseCidrs": None}}, ["networkPolicy.databaseCidrs: is empty"]),
    ({"networkPolicy": {"peerCidrs": ["10.1.0.0"]}}, ["/networkPolicy/peerCidrs/0", "'10.1.0.0' does not match"]),
    ({"networkPolicy": {"switchCidrs": []}}, ["/networkPolicy/switchCidrs", "minItems: got 0, want 1"]),
    ({"networkPolicy": {"awsCidrs": []}}, ["/networkPolicy/awsCidrs", "minItems: got 0, want 1"]),
    ({"networkPolicy": {"dnsCidrs": []}}, ["/networkPolicy/dnsCidrs", "minItems: got 0, want 1"]),
    ({"env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": "x"}]}, ["env: AWS_SECRET_ACCESS_KEY: no keys"]),
    ({"env": [{"name": "FAILOVERD_ROLE", "value": "x"}]}, ["env: FAILOVERD_ROLE is set by the chart"]),
    ({"terminationGracePeriodSeconds": 30}, ["/terminationGracePeriodSeconds", "minimum: got 30, want 35"]),
    ({"podDisruptionBudget": {"maxUnavailable": 2}}, ["/podDisruptionBudget/maxUnavailable", "one of 0, 1"]),
    ({"storage": {"size": "much"}}, ["/storage/size", "'much' does not match"]),
    ({"ipFamily": "both"}, ["/ipFamily", "'IPv4', 'IPv6'"]),
]


def cases():
    """Name and values of every example and of the matrix."""
    yield from ((name, chart.values_of(name)) for name in chart.EXAMPLES)
    yield from ((name, chart.values_of(*case)) for name, case in MATRIX.items())


def setUpModule():
    chart.need(chart.HELM, "`make tools` installs it")
    chart.need(chart.BINARIES / "failoverd", "`cargo build --bins` makes it")


def quiet_environment(more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAILOVERD_") and name != "RUST_LOG"}
    return kept | more


def checked(manifests, folder):
    """What the real daemon says of the rendered file, with the environment that the pod gives it: code, words."""
    file = pathlib.Path(folder) / "failoverd.yaml"
    text = chart.config_of(manifests)
    for mounted, pem in {"tls.crt": "cert", "tls.key": "key", "ca.crt": "ca"}.items():
        for place in ("tls", "switch-tls"):
            text = text.replace(f"/etc/failoverd/{place}/{mounted}", str(PEM / f"{pem}.pem"))
    file.write_text(text)
    (check,) = chart.one(manifests, "StatefulSet")["spec"]["template"]["spec"]["initContainers"]
    literal = {variable["name"]: variable.get("value", SOME_DATABASE) for variable in check["env"]}
    arguments = [str(file) if argument.startswith("/etc/") else argument for argument in check["args"]]
    ran = subprocess.run(
        [chart.BINARIES / "failoverd", *arguments], env=quiet_environment(literal), capture_output=True, text=True, timeout=30
    )
    return ran.returncode, ran.stdout + ran.stderr


class RenderingTest(unittest.TestCase):
    maxDiff = None

    def test_the_three_examples_are_there(self):
        self.assertEqual(list(chart.EXAMPLES), ["eu-west-1", "us-east-1", "us-west-2-witness"])

    def test_the_linter_has_nothing_against_any_values(self):
        for name, values in cases():
            with self.subTest(name):
                good, said = chart.lint(values)
                self.assertTrue(good, said)
                self.assertNotIn("[WARNING]", said)

    def test_every_manifest_is_what_kubernetes_takes(self):
        for name, values in cases():
            for (kind, of), manifest in chart.rendered(values).items():
                with self.subTest(name, kind=kind, of=of):
                    self.assertEqual(chart.faults(manifest), [])

    def test_the_schemas_would_find_a_misspelt_field(self):
        manifests = chart.rendered(chart.values_of("us-east-1"))
        for kind, path in {
            "StatefulSet": ["spec", "template", "spec"], "Service": ["spec"], "NetworkPolicy": ["spec"], "Certificate": ["spec"],
            "PodDisruptionBudget": ["spec"], "ServiceMonitor": ["spec", "endpoints", 0], "PrometheusRule": ["spec", "groups", 0, "rules", 0],
        }.items():
            manifest = copy.deepcopy(next(m for (is_kind, _), m in manifests.items() if is_kind == kind))
            at = manifest
            for key in path:
                at = at[key]
            at["mispelt"] = {}
            self.assertNotEqual(chart.faults(manifest), [], kind)

    def test_every_pod_is_restricted(self):
        for name, values in cases():
            found = list(chart.pods(chart.rendered(values)))
            self.assertEqual(len(found), 2, "the daemon's and the test's")
            for of, pod in found:
                with self.subTest(name, of=of):
                    self.assertEqual(chart.insecurities(pod), [])

    def test_a_pod_that_is_not_restricted_would_be_found(self):
        good = dict(chart.pods(chart.rendered(chart.values_of("us-east-1"))))["failoverd"]
        spoilt = {
            "hostNetwork": lambda pod: pod.update(hostNetwork=True),
            "hostPath": lambda pod: pod["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
            "as root": lambda pod: pod["securityContext"].update(runAsNonRoot=False),
            "user 0": lambda pod: pod["containers"][0]["securityContext"].update(runAsUser=0),
            "seccomp": lambda pod: pod["securityContext"].pop("seccompProfile"),
            "escalate": lambda pod: pod["initContainers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
            "capabilities": lambda pod: pod["containers"][0]["securityContext"]["capabilities"].update(drop=["NET_RAW"]),
            "write to its root": lambda pod: pod["containers"][0]["securityContext"].pop("readOnlyRootFilesystem"),
            "token": lambda pod: pod.pop("automountServiceAccountToken"),
        }
        for words, spoil in spoilt.items():
            pod = copy.deepcopy(good)
            spoil(pod)
            with self.subTest(words):
                self.assertTrue(any(words in what for what in chart.insecurities(pod)), chart.insecurities(pod))

    def test_the_examples_render_what_they_rendered_before(self):
        # Of the dashboards and the rules, test_alerts.py makes sure that they come through as they are.
        texts = {
            f"{name}.yaml": chart.text_of(chart.merged(values, {"monitoring": {"dashboards": {"enabled": False}}}), operator=False)
            for name, values in cases() if name in chart.EXAMPLES
        }
        everything = chart.values_of(*MATRIX["everything that can be set"])
        texts["everything.yaml"] = chart.text_of(everything, release="second", namespace="resilience")
        _, notes, _ = chart.helm(
            "install", "failoverd", str(chart.CHART), "--namespace", "failoverd", "--dry-run=client",
            values=chart.values_of("us-east-1"),
        )
        texts["notes.txt"] = notes[notes.index("NOTES:"):]
        for name, text in texts.items():
            file = GOLDEN / "chart" / name
            if "UPDATE_GOLDEN" in os.environ:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            with self.subTest(name):
                self.assertEqual(file.read_text() if file.exists() else "", text, "after a change on purpose: UPDATE_GOLDEN=1")


class RefusalTest(unittest.TestCase):
    def test_wrong_values_are_refused_in_words(self):
        for over, words in WRONG:
            with self.subTest(json.dumps(over)):
                with self.assertRaises(chart.Refused) as refused:
                    chart.text_of(chart.values_of("us-east-1", over))
                said = str(refused.exception)
                for word in words:
                    self.assertIn(word, said)
                self.assertNotIn("nil pointer", said)
                self.assertLess(len(said), 700, said)

    def test_all_that_does_not_fit_is_in_one_report(self):
        over = {"config": {"region": "ap-south-1"}, "tls": None, "replicas": 2, "database": {"existingSecret": None}}
        with self.assertRaises(chart.Refused) as refused:
            chart.text_of(chart.values_of("us-east-1", over))
        said = str(refused.exception)
        for words in ["4 of the values", "- replicas:", "- config.peers:", "- tls:", "- database:"]:
            self.assertIn(words, said)

    def test_whatever_is_taken_away_it_renders_or_says_what_is_missing(self):
        def paths(node, path=()):
            for key, value in node.items():
                yield (*path, key)
                if isinstance(value, dict):
                    yield from paths(value, (*path, key))

        whole = chart.values_of("us-east-1")
        defaults = yaml.safe_load((chart.CHART / "values.yaml").read_text())
        for path in paths(chart.merged(defaults, whole)):
            values = copy.deepcopy(whole)
            at = values
            for key in path[:-1]:
                at = at.setdefault(key, {})
            at[path[-1]] = None  # Helm: not even the default
            with self.subTest(".".join(path)):
                try:
                    for manifest in chart.rendered(values).values():
                        self.assertEqual(chart.faults(manifest), [])
                except chart.Refused as refused:
                    self.assertRegex(str(refused), "specifications of the schema|of the values cannot be used")

    def test_nothing_installs_without_values(self):
        with self.assertRaises(chart.Refused) as refused:
            chart.text_of({})
        for word in ["'fleet'", "'region'", "'role'", "'advertise'", "'peers'", "/image/repository", "/identity"]:
            self.assertIn(word, str(refused.exception))


class SchemaTest(unittest.TestCase):
    def setUp(self):
        self.schema = json.loads((chart.CHART / "values.schema.json").read_text())
        self.defaults = yaml.safe_load((chart.CHART / "values.yaml").read_text())

    def test_it_is_strict_everywhere(self):
        def lax(node, path):
            if isinstance(node, dict):
                if "properties" in node and "type" in node and node.get("additionalProperties") is not False:
                    yield path
                for key, value in node.items():
                    yield from lax(value, f"{path}/{key}")
            elif isinstance(node, list):
                for at, value in enumerate(node):
                    yield from lax(value, f"{path}/{at}")

        self.assertEqual(list(lax(self.schema, "")), [])

    def test_every_value_is_shown_in_the_defaults(self):
        self.assertEqual(self.schema["properties"].keys() - {"global"}, self.defaults.keys())

    def test_who_may_be_promoted_and_as_whom_has_no_default(self):
        self.assertEqual(self.defaults["config"], {})
        self.assertEqual(self.defaults["identity"], {})

    def test_the_daemons_own_fields_are_all_there_and_no_others(self):
        owned = {"": {"data_dir", "listen", "tls", "database"}, "switch": {"tls"}}
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "failoverd.yaml"
            file.write_text(chart.config_of(chart.rendered(chart.values_of("us-west-2-witness"))))
            dumped = subprocess.run(
                [chart.BINARIES / "failoverd", "--config", file, "--dump-config"], env=quiet_environment({}), capture_output=True,
                text=True, timeout=30,
            )
        effective = yaml.safe_load(dumped.stdout)
        fields = self.schema["properties"]["config"]["properties"]
        self.assertEqual(effective.keys() - owned[""], fields.keys())
        for group in ("switch", "aws", "timing"):
            self.assertEqual(effective[group].keys() - owned.get(group, set()), fields[group]["properties"].keys(), group)


class FitTest(unittest.TestCase):
    """What one manifest says of another, and of the daemon."""

    def test_the_real_daemon_takes_every_rendered_file(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, values in cases():
                with self.subTest(name):
                    code, said = checked(chart.rendered(values), folder)
                    self.assertEqual((code, "the configuration is good" in said), (0, True), said)

    def test_what_the_schema_cannot_see_the_check_before_the_start_does(self):
        over = {"config": {"timing": {"heartbeat": "2s", "election_timeout": "1s"}}}
        with tempfile.TemporaryDirectory() as folder:
            code, said = checked(chart.rendered(chart.values_of("us-east-1", over)), folder)
        self.assertEqual(code, 2, said)
        self.assertIn("election_timeout must be at least twice the heartbeat", said)

    def test_services_probes_and_policies_name_ports_on_which_the_daemon_listens(self):
        for name, values in cases():
            manifests = chart.rendered(values)
            config = yaml.safe_load(chart.config_of(manifests))
            container = chart.daemon_of(manifests)
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            listens = {key: int(address.rpartition(":")[2]) for key, address in config["listen"].items()}
            with self.subTest(name):
                self.assertEqual(ports, listens)
                for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                    self.assertEqual(container[probe]["httpGet"]["port"], "ops")
                for (kind, _), manifest in manifests.items():
                    if kind == "Service":
                        self.assertTrue(all(port["targetPort"] in ports for port in manifest["spec"]["ports"]))
                    if kind == "NetworkPolicy":
                        let_in = [rule["ports"][0]["port"] for rule in manifest["spec"]["ingress"]]
                        hidden = set() if config["advertise"]["switch"] != "none" else {"switch"}
                        hidden |= set() if values["networkPolicy"].get("ops") else {"ops"}
                        self.assertEqual(let_in, [port for key, port in ports.items() if key not in hidden])

    def test_peers_and_checkers_reach_the_port_that_they_are_told(self):
        for name, values in cases():
            manifests = chart.rendered(values)
            config = yaml.safe_load(chart.config_of(manifests))
            own = config["peers"][config["region"]]["url"]
            _, _, port = own.removeprefix("https://").partition(":")
            switch = config["advertise"]["switch"]
            with self.subTest(name):
                self.assertEqual(manifests["Service", "failoverd"]["spec"]["ports"][0]["port"], int(port or 443))
                if switch == "none":
                    self.assertNotIn(("Service", "failoverd-switch"), manifests)
                else:
                    told = switch.get("port", 443 if switch.get("https", True) else 80)
                    self.assertEqual(manifests["Service", "failoverd-switch"]["spec"]["ports"][0]["port"], told)

    def test_no_rule_of_a_policy_names_nobody_and_so_everybody(self):
        for name, values in cases():
            for (kind, _), manifest in chart.rendered(values).items():
                if kind == "NetworkPolicy":
                    rules = manifest["spec"]["ingress"] + manifest["spec"]["egress"]
                    with self.subTest(name):
                        self.assertTrue(all(rule.get("from") or rule.get("to") for rule in rules))
                        self.assertTrue(all(rule.get("ports") for rule in rules))

    def test_no_service_waits_for_readiness(self):
        # Readiness needs a leader, and a leader needs peers that reach each other.
        for (kind, name), manifest in chart.rendered(chart.values_of("us-east-1")).items():
            if kind == "Service":
                self.assertTrue(manifest["spec"]["publishNotReadyAddresses"], name)

    def test_selectors_find_the_daemon_and_not_the_test(self):
        for name, values in cases():
            manifests = chart.rendered(values)
            daemon = chart.one(manifests, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
            test = chart.one(manifests, "Pod")["metadata"]["labels"]
            selectors = [chart.one(manifests, "StatefulSet")["spec"]["selector"]["matchLabels"]]
            selectors += [m["spec"]["selector"] for (kind, _), m in manifests.items() if kind == "Service"]
            selectors += [chart.one(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]]
            selectors += [
                m["spec"]["podSelector"]["matchLabels"] for (kind, _), m in manifests.items() if kind == "NetworkPolicy"]
            with self.subTest(name):
                for selector in selectors:
                    self.assertLessEqual(selector.items(), daemon.items())
                    self.assertFalse(selector.items() <= test.items(), selector)

    def test_a_secret_stays_out_of_everything_but_the_secret(self):
        values = chart.values_of("us-east-1", {"database": {"url": "postgres://x:hunter2@db/x", "existingSecret": None}})
        holding = [key for key, manifest in chart.rendered(values).items() if "hunter2" in json.dumps(manifest)]
        self.assertEqual(holding, [("Secret", "failoverd-database")])

    def test_a_changed_file_restarts_the_daemon_and_a_changed_chart_version_does_not(self):
        def template(over):
            return chart.one(chart.rendered(chart.values_of("us-east-1", over)), "StatefulSet")["spec"]["template"]

        self.assertNotEqual(template({}), template({"config": {"timing": {"probe_interval": "7s"}}}))
        self.assertEqual(template({}), template({"podDisruptionBudget": {"maxUnavailable": 1}}))
        self.assertNotIn("helm.sh/chart", template({})["metadata"]["labels"])

    def test_the_disk_outlives_the_release_and_the_pod_outlives_the_daemons_own_limit(self):
        spec = chart.one(chart.rendered(chart.values_of("us-east-1")), "StatefulSet")["spec"]
        self.assertEqual(set(spec["persistentVolumeClaimRetentionPolicy"].values()), {"Retain"})
        self.assertEqual(spec["replicas"], 1)
        self.assertGreater(spec["template"]["spec"]["terminationGracePeriodSeconds"], 30)
        (mount,) = (m for m in spec["template"]["spec"]["containers"][0]["volumeMounts"] if m["name"] == "data")
        config = yaml.safe_load(chart.config_of(chart.rendered(chart.values_of("us-east-1"))))
        self.assertTrue(config["data_dir"].startswith(mount["mountPath"] + "/"))

    def test_the_certificate_names_every_address_by_which_the_daemon_is_asked(self):
        for namespace in ("failoverd", "resilience"):
            manifests = chart.rendered(chart.values_of("us-east-1"), namespace=namespace)
            names = manifests["Certificate", "failoverd"]["spec"]["dnsNames"]
            self.assertIn("failoverd.us-east-1.example.internal", names)
            (test,) = chart.one(manifests, "Pod")["spec"]["containers"]
            for container in (chart.daemon_of(manifests), test):
                (server,) = (v["value"] for v in container["env"] if v["name"] == "FAILOVERCTL_SERVER")
                self.assertIn(server.removeprefix("https://").partition(":")[0], names)

    def test_people_get_certificates_that_say_who_they_are_and_the_daemon_one_that_says_where_it_is(self):
        manifests = chart.rendered(chart.values_of("us-east-1"))
        uris = {name: manifest["spec"]["uris"] for (kind, name), manifest in manifests.items() if kind == "Certificate"}
        self.assertEqual(uris["failoverd"], ["failoverd://prod/peer/us-east-1"])
        self.assertEqual(uris["failoverd-client-bob"], ["failoverd://prod/operator/bob", "failoverd://prod/approver/bob"])
        for name in uris.keys() - {"failoverd"}:
            self.assertNotIn("server auth", manifests["Certificate", name]["spec"]["usages"])

    def test_every_region_of_the_examples_is_given_the_same_fleet(self):
        configs = [yaml.safe_load(chart.config_of(chart.rendered(chart.values_of(name)))) for name in chart.EXAMPLES]
        self.assertEqual({config["fleet"] for config in configs}, {"prod"})
        self.assertEqual({config["region"] for config in configs}, set(configs[0]["peers"]))
        for config in configs:
            self.assertEqual(config["peers"], configs[0]["peers"])


class WordsTest(unittest.TestCase):
    """What the guide and the notes after an installation tell people to type is there."""

    def setUp(self):
        self.guide = (chart.ROOT / "docs" / "install-eks.md").read_text()
        self.notes = (GOLDEN / "chart" / "notes.txt").read_text()

    def test_every_command_of_failoverctl_exists_with_its_options(self):
        lines = [line.partition(" #")[0].strip(" &") for line in (self.guide + self.notes).splitlines()]
        commands = {line[line.index("failoverctl ") :].split(" > ")[0] for line in lines if re.match(r"(kubectl .*-- )?failoverctl ", line)}
        self.assertGreater(len(commands), 6)
        for command in commands:
            with self.subTest(command):
                # Whatever stands before --help is parsed first.
                ran = subprocess.run(
                    [chart.BINARIES / "failoverctl", *shlex.split(command)[1:], "--help"], capture_output=True, text=True, timeout=30
                )
                self.assertEqual(ran.returncode, 0, ran.stderr)

    def test_every_value_that_the_guide_names_exists(self):
        schema = json.loads((chart.CHART / "values.schema.json").read_text())
        named = [name.split(".") for name in re.findall(r"`([a-zA-Z0-9_]+(?:\.[a-zA-Z0-9_]+)+)(?::[^`]*)?`", self.guide)]
        named = [path for path in named if path[0] in schema["properties"] and path[-1] not in ("crt", "key")]
        self.assertGreater(len(named), 12)
        for path in named:
            at = schema
            for key in path:
                if "$ref" in at:
                    at = schema["$defs"][at["$ref"].rpartition("/")[2]]
                at = at.get("else", at) if "properties" not in at else at
                self.assertIn(key, at.get("properties", {}), ".".join(path))
                at = at["properties"][key]


if __name__ == "__main__":
    unittest.main()
