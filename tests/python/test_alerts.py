"""Alerts and dashboards: Prometheus takes them, every alert fires in a case, and they ask for metrics that exist.

promtool is Prometheus' own (`tools/prometheus`); which metrics there are is what docs/metrics.md says, and tests/it/metrics.rs
compares that page with what daemons serve. How alerts fire on a real fleet: test_alerts_live.py.
"""

import concurrent.futures
import json
import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

import yaml

import chart
import promql

PROMTOOL = chart.TARGET / "tools" / "promtool"
ALERTS = chart.CHART / "files" / "alerts.yaml"
CASES = sorted((chart.ROOT / "tests" / "promtool").glob("*.yaml"))
DASHBOARDS = sorted((chart.CHART / "dashboards").glob("*.json"))
RUNBOOK = (chart.ROOT / "docs" / "runbook.md").read_text()
METRICS, WORDS = promql.documented((chart.ROOT / "docs" / "metrics.md").read_text())
# Labels whose words the page does not list: they come from manifests, or from docs/runbook.md.
FREE = {"fleet", "daemon", "service", "region", "failover", "pattern", "check", "alertname", "alertstate", "severity", "version"}
SOME = {"$fleet": "prod", "$service": "checkout", "$__rate_interval": "1m"}


def setUpModule():
    chart.need(PROMTOOL, "`make tools` installs it")
    chart.need(chart.BINARIES / "failoverctl", "`cargo build --bins` makes it")


def groups():
    return yaml.safe_load(ALERTS.read_text())["groups"]


def alerts():
    return {rule["alert"]: rule for group in groups() for rule in group["rules"] if "alert" in rule}


def promtool(*arguments):
    ran = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, timeout=300)
    return ran.returncode == 0, ran.stdout + ran.stderr


def look_at_matcher(metric, label, value):
    """A word of a fixed list must be one of that list."""
    if label in FREE or value.startswith("$"):
        return
    known = WORDS.get(metric.replace("failoverd:", "failoverd_", 1), set())
    for word in value.split("|"):
        if re.fullmatch(r"[a-z-]+", word) and word not in known:
            raise promql.Wrong(f"{metric} is never {label}={word!r}: docs/metrics.md has {sorted(known)}")


def known_metrics():
    """What daemons serve, what the rules record, in order, and what Prometheus says of alerts."""
    metrics, said = dict(METRICS), {"alertname", "alertstate", "severity"}
    for group in groups():
        for rule in group["rules"]:
            labels = promql.Parser(rule["expr"], metrics, look_at_matcher).labels()
            if "record" in rule:
                metrics[rule["record"]] = labels
            else:
                said |= labels
    metrics["ALERTS"] = said
    return metrics


def slug(heading):
    """The anchor that a heading of Markdown gets."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def commands(text):
    return [found for found in re.findall(r"`(failoverctl [^`]+)`", text)]


class RulesTest(unittest.TestCase):
    def test_prometheus_takes_them(self):
        good, said = promtool("check", "rules", str(ALERTS))
        self.assertTrue(good, said)

    def test_every_case_comes_out_as_it_says(self):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for case, (good, said) in zip(CASES, pool.map(lambda case: promtool("test", "rules", str(case)), CASES)):
                with self.subTest(case.name):
                    self.assertTrue(good, said[-4000:])

    def test_every_alert_fires_in_a_case_with_its_words_and_is_silent_in_another(self):
        fires, silent = set(), set()
        for case in CASES:
            for test in yaml.safe_load(case.read_text())["tests"]:
                for look in test.get("alert_rule_test", []):
                    if not look["exp_alerts"]:
                        silent.add(look["alertname"])
                    for expected in look["exp_alerts"]:
                        with self.subTest(look["alertname"]):
                            self.assertIn("severity", expected["exp_labels"])
                            self.assertEqual(set(expected["exp_annotations"]), {"summary", "description", "runbook_url"})
                            self.assertNotRegex(json.dumps(expected), r"<no value>|\{\{|error")
                        fires.add(look["alertname"])
        self.assertEqual(fires, set(alerts()), "tests/promtool/ lacks a case that fires, or has one of an alert that is gone")
        self.assertEqual(silent, set(alerts()), "tests/promtool/ lacks a case just below a threshold")

    def test_everything_that_is_asked_for_exists(self):
        metrics = known_metrics()
        for name, rule in alerts().items():
            labels = promql.Parser(rule["expr"], metrics, look_at_matcher).labels()
            used = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
            with self.subTest(name):
                self.assertLessEqual(used, labels | set(rule["labels"]), "its annotations name labels that it does not have")

    def test_one_incident_is_told_once(self):
        # An alert that keeps the labels of a scrape is there once for each daemon that is asked.
        metrics = known_metrics()
        about_a_daemon = {name for name, rule in alerts().items() if "$labels.daemon" in json.dumps(rule["annotations"])}
        for name, rule in alerts().items():
            labels = promql.Parser(rule["expr"], metrics).labels()
            raw = re.findall(r"failoverd_\w+", rule["expr"])
            with self.subTest(name):
                self.assertEqual("daemon" in labels, name in about_a_daemon)
                self.assertTrue(not raw or re.search(r"\bby \(|absent\(", rule["expr"]), "keeps instance, pod and job")

    def test_names_labels_and_words_are_of_one_form(self):
        for name, rule in alerts().items():
            with self.subTest(name):
                self.assertRegex(name, r"^Failoverd[A-Z][A-Za-z]+$")
                self.assertEqual(set(rule["annotations"]), {"summary", "description", "runbook_url"})
                self.assertIn(rule["labels"]["severity"], ("page", "ticket"))
                self.assertLess(len(rule["annotations"]["summary"]), 130)
                self.assertRegex(rule["annotations"]["description"], r"`(failoverctl|kubectl|curl) |/drainz|CloudTrail|docs/|database of that Region")

    def test_the_faults_that_this_looks_for_are_found(self):
        metrics = known_metrics()
        for expression, words in {
            "failoverd_service_setled == 0": "no metric failoverd_service_setled",
            'failoverd_service_phase{phaze="attention"}': "no label phaze",
            'failoverd:service_phase{phase="attentive"}': "never phase='attentive'",
            "max by (servce) (failoverd_service_settled)": "by (servce)",
            "failoverd:service_settled and on (region) failoverd:fleet_paused": "on (region)",
            "failoverd:service_settled == failoverd:fleet_paused": "never match",
            "histogram_quantile(0.9, failoverd_run_rto_seconds_sum)": "without le",
            "rated(failoverd_runs_total[5m])": "no function rated",
            "failoverd_run_rto_seconds": "no metric",
        }.items():
            with self.subTest(expression), self.assertRaises(promql.Wrong) as wrong:
                promql.Parser(expression, metrics, look_at_matcher).labels()
            self.assertIn(words, str(wrong.exception))


class RunbookTest(unittest.TestCase):
    def setUp(self):
        self.anchors = {slug(heading) for heading in re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)}

    def test_every_alert_leads_to_a_section(self):
        for name, rule in alerts().items():
            page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
            with self.subTest(name):
                self.assertEqual(page, "docs/runbook.md")
                self.assertIn(anchor, self.anchors)

    def test_the_table_has_every_alert_and_nothing_else(self):
        table = {name: (severity, anchor) for name, severity, anchor in
                 re.findall(r"^\| `(Failoverd\w+)` \| (page|ticket) \| \[[^]]+\]\(#([^)]+)\) \|$", RUNBOOK, re.MULTILINE)}
        wanted = {name: (rule["labels"]["severity"], rule["annotations"]["runbook_url"].partition("#")[2]) for name, rule in alerts().items()}
        self.assertEqual(table, wanted)

    def test_the_section_names_the_alert(self):
        sections = {slug(part.splitlines()[0]): part for part in re.split(r"^## ", RUNBOOK, flags=re.MULTILINE)[1:]}
        for name, rule in alerts().items():
            with self.subTest(name):
                self.assertIn(f"`{name}`", sections[rule["annotations"]["runbook_url"].partition("#")[2]])

    def test_every_link_of_the_pages_leads_somewhere(self):
        for page in ("runbook.md", "monitoring.md", "install-eks.md", "metrics.md"):
            text = (chart.ROOT / "docs" / page).read_text()
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                if target.startswith("http"):
                    continue
                file, _, anchor = target.partition("#")
                at = (chart.ROOT / "docs" / (file or page)).resolve()
                with self.subTest(page, target=target):
                    self.assertTrue(at.exists())
                    if anchor:
                        self.assertIn(anchor, {slug(heading) for heading in re.findall(r"^#+ (.+)$", at.read_text(), re.MULTILINE)})

    def test_every_command_that_alerts_and_pages_say_exists(self):
        said = {command for rule in alerts().values() for command in commands(rule["annotations"]["description"])}
        self.assertGreater(len(said), 12)
        for page in ("runbook.md", "monitoring.md"):
            text = (chart.ROOT / "docs" / page).read_text()
            said |= {line.partition(" #")[0].partition(" > ")[0].strip() for line in re.findall(r"^failoverctl .*$", text, re.MULTILINE)}
        for command in said:
            typed = re.sub(r"\{\{.*?\}\}", "checkout", command)
            # Whatever stands before --help is parsed first.
            ran = subprocess.run(
                [chart.BINARIES / "failoverctl", *shlex.split(typed)[1:], "--help"], capture_output=True, text=True, timeout=30
            )
            with self.subTest(command):
                self.assertEqual(ran.returncode, 0, ran.stderr)


class DashboardTest(unittest.TestCase):
    UNITS = {"none", "short", "s", "percentunit", "reqps", "dateTimeAsIso"}
    PANELS = {"stat", "timeseries", "table", "state-timeline", "bargauge"}

    def setUp(self):
        self.boards = {path.name: json.loads(path.read_text()) for path in DASHBOARDS}

    def panels(self):
        for name, board in self.boards.items():
            for panel in board["panels"]:
                if panel["type"] != "row":
                    yield f"{name}: {panel['title']}", panel, board

    def test_they_are_three_with_their_variables(self):
        self.assertEqual(set(self.boards), {"fleet.json", "service.json", "drills.json"})
        self.assertEqual(len({board["uid"] for board in self.boards.values()}), 3)
        for name, board in self.boards.items():
            variables = {variable["name"] for variable in board["templating"]["list"]}
            used = set(re.findall(r"\$\{?(\w+)\}?", json.dumps(board["panels"] + board["templating"]["list"]))) - {"__rate_interval", "__all"}
            with self.subTest(name):
                self.assertEqual(used, variables)
                self.assertGreaterEqual(board["schemaVersion"], 39)
                self.assertTrue(all(panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
                                    for panel in board["panels"] if panel["type"] != "row"))

    def test_panels_are_of_today_have_units_and_say_what_they_show(self):
        for name, panel, _ in self.panels():
            with self.subTest(name):
                self.assertIn(panel["type"], self.PANELS)
                self.assertIn(panel["fieldConfig"]["defaults"]["unit"], self.UNITS)
                self.assertGreater(len(panel["description"]), 15)
                self.assertTrue(panel["targets"])

    def test_panels_do_not_overlap(self):
        for name, board in self.boards.items():
            taken, ids = {}, [panel["id"] for panel in board["panels"]]
            self.assertEqual(len(ids), len(set(ids)))
            for panel in board["panels"]:
                at = panel["gridPos"]
                self.assertLessEqual(at["x"] + at["w"], 24)
                for x in range(at["x"], at["x"] + at["w"]):
                    for y in range(at["y"], at["y"] + at["h"]):
                        self.assertNotIn((x, y), taken, f"{name}: {panel['title']} lies on {taken.get((x, y))}")
                        taken[x, y] = panel["title"]

    def test_everything_that_is_asked_for_exists(self):
        metrics = known_metrics()
        for name, panel, _ in self.panels():
            columns = {"Value"} if len(panel["targets"]) == 1 else {f"Value #{target['refId']}" for target in panel["targets"]}
            for target in panel["targets"]:
                with self.subTest(name, expr=target["expr"]):
                    labels = promql.Parser(target["expr"], metrics, look_at_matcher).labels()
                    self.assertLessEqual(set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])), labels)
                    columns |= labels
            for change in panel.get("transformations", []):
                with self.subTest(name):
                    self.assertLessEqual(set(change["options"].get("renameByName", {})), columns)
                    self.assertLessEqual(set(change["options"].get("indexByName", {})), columns)
        for name, board in self.boards.items():
            for variable in board["templating"]["list"]:
                if variable["type"] == "query":
                    metric, of = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
                    self.assertIn(of, promql.Parser(metric, metrics).labels(), name)

    def test_prometheus_takes_every_query(self):
        rules = []
        for _, panel, _ in self.panels():
            for target in panel["targets"]:
                expr = target["expr"]
                for variable, value in SOME.items():
                    expr = expr.replace(variable, value)
                rules.append({"record": f"panel:{len(rules)}", "expr": expr})
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}, file)
            file.flush()
            good, said = promtool("check", "rules", file.name)
        self.assertTrue(good, said)
        self.assertIn(f"{len(rules)} rules found", said)

    def test_every_group_of_metrics_is_on_a_dashboard_or_in_an_alert(self):
        # Not every metric, but nothing that people would look for.
        asked = " ".join(target["expr"] for _, panel, _ in self.panels() for target in panel["targets"]) + ALERTS.read_text()
        for metric in METRICS:
            group = re.match(r"failoverd_[a-z0-9]+", metric)[0]
            self.assertRegex(asked, rf"\b{group}_|\b{group.replace('failoverd_', 'failoverd:')}_", metric)


class ChartTest(unittest.TestCase):
    def rules(self, over=None, **of):
        return chart.one(chart.rendered(chart.values_of("us-east-1", over), **of), "PrometheusRule")

    def test_the_rules_come_through_helm_as_they_are(self):
        own = 'absent(failoverd_build_info{fleet="prod",daemon="us-east-1"})'
        base = "https://git.example.com/failoverd/blob/main/"
        wanted = json.loads(json.dumps(groups()).replace('"docs/runbook.md#', f'"{base}docs/runbook.md#'))
        for group in wanted:
            for rule in group["rules"]:
                rule["expr"] = rule["expr"].replace("absent(failoverd_build_info)", own)
        self.assertEqual(self.rules()["spec"]["groups"], wanted)
        self.assertIn("{{ $labels.service }}", json.dumps(wanted))

    def test_prometheus_takes_what_is_rendered(self):
        for name in chart.EXAMPLES:
            manifests = chart.rendered(chart.values_of(name))
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                yaml.safe_dump(chart.one(manifests, "PrometheusRule")["spec"], file)
                file.flush()
                good, said = promtool("check", "rules", file.name)
            self.assertTrue(good, said)

    def test_values_change_alerts(self):
        over = {"monitoring": {"rules": {
            "labels": {"prometheus": "main"}, "alertLabels": {"team": "sre", "severity": "none"}, "runbookUrl": "https://wiki/failoverd/",
            "overrides": {
                "FailoverdRunOpen": {"enabled": False}, "FailoverdDaemonGone": {"for": "15m", "severity": "ticket"},
                "FailoverdServicePaused": {"enabled": True, "for": "4h"},
            },
        }}}
        rendered = self.rules(over)
        by_name = {rule["alert"]: rule for group in rendered["spec"]["groups"] for rule in group["rules"] if "alert" in rule}
        self.assertEqual(rendered["metadata"]["labels"]["prometheus"], "main")
        self.assertEqual(set(alerts()) - set(by_name), {"FailoverdRunOpen"})
        self.assertEqual((by_name["FailoverdDaemonGone"]["for"], by_name["FailoverdDaemonGone"]["labels"]), ("15m", {"team": "sre", "severity": "ticket"}))
        self.assertEqual(by_name["FailoverdServicePaused"]["for"], "4h")
        self.assertEqual(by_name["FailoverdNoLeader"]["labels"], {"team": "sre", "severity": "page"}, "an alert's own labels stand")
        self.assertEqual(by_name["FailoverdNoLeader"]["annotations"]["runbook_url"], "https://wiki/failoverd/docs/runbook.md#no-leader")

    def test_without_the_operator_or_the_wish_there_is_nothing_of_it(self):
        for over, operator, kinds in (
            ({}, False, set()),
            ({"monitoring": {"serviceMonitor": {"enabled": False}}}, True, {"PrometheusRule"}),
            ({"monitoring": {"rules": {"enabled": False}}}, True, {"ServiceMonitor"}),
        ):
            manifests = chart.rendered(chart.values_of("us-east-1", over), operator=operator)
            self.assertEqual({kind for kind, _ in manifests} & {"PrometheusRule", "ServiceMonitor"}, kinds)
        off = chart.rendered(chart.values_of("us-east-1", {"monitoring": {"dashboards": {"enabled": False}}}))
        self.assertNotIn(("ConfigMap", "failoverd-dashboards"), off)

    def test_the_monitor_finds_one_service_with_the_ops_port_and_keeps_the_label_service(self):
        manifests = chart.rendered(chart.values_of("us-east-1"))
        spec = chart.one(manifests, "ServiceMonitor")["spec"]
        selected = [m for (kind, _), m in manifests.items()
                    if kind == "Service" and spec["selector"]["matchLabels"].items() <= m["metadata"]["labels"].items()]
        self.assertEqual(len(selected), 1, "asked twice, a daemon counts twice")
        (endpoint,) = spec["endpoints"]
        self.assertIn((endpoint["port"], "ops"), [(port["name"], port["targetPort"]) for port in selected[0]["spec"]["ports"]])
        self.assertTrue(endpoint["honorLabels"])
        self.assertEqual(endpoint["path"], "/metrics")

    def test_the_dashboards_come_through_helm_as_they_are(self):
        config = chart.rendered(chart.values_of("us-east-1"))["ConfigMap", "failoverd-dashboards"]
        self.assertEqual(config["metadata"]["labels"]["grafana_dashboard"], "1")
        self.assertEqual({name: json.loads(text) for name, text in config["data"].items()},
                         {f"failoverd-{path.name}": json.loads(path.read_text()) for path in DASHBOARDS})
        self.assertLess(len(json.dumps(config)), 1_000_000, "a ConfigMap holds no more")


if __name__ == "__main__":
    unittest.main()
