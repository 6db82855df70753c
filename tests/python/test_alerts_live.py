"""A real Prometheus reads the three daemons of a sandbox through an outage: metrics, rules and pictures are what they should be.

With PICTURES=1 the pictures of docs/ are drawn anew; there is one more drill then.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

import yaml

import chart
import promql

# Below those that Linux gives to whoever connects, and beside those of the other tests.
BASE = 9_400
GRPC, OPS, PROMETHEUS = [[BASE + offset + nth for nth in (1, 2, 3)] for offset in (0, 200)] + [BASE + 390]
TOOLS = chart.TARGET / "tools"
ALERTS = chart.CHART / "files" / "alerts.yaml"
# The board and the rows of it that are drawn.
PICTURES = {
    "fleet": ("fleet.json", ""),
    "service": ("service.json", "Now,What is seen,Would it move?,Data"),
    "drills": ("drills.json", "Now,Over time"),
}
# What the end of us-east-1 must raise, and what its return must end.
RAISED = {"FailoverdServiceBreach", "FailoverdRunOpen", "FailoverdDaemonGone", "FailoverdStandbyDown", "FailoverdRegionNotSurvivable"}
ENDED = {"FailoverdServiceBreach", "FailoverdRunOpen", "FailoverdDaemonGone", "FailoverdStandbyDown"}


def quick(rules):
    """The rules with what is to wait minutes waiting seconds, so that an outage of a minute is enough. Nothing else is changed: the
    expressions are those that are shipped."""
    unit = {"s": 1, "m": 60, "h": 3600}
    for group in rules["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            if "for" in rule:
                seconds = int(rule["for"][:-1]) * unit[rule["for"][-1]]
                rule["for"] = f"{min(seconds // 60, 15)}s"
    return rules


def get(port, path, **parameters):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
        return answer.read().decode()


def query(expression):
    return json.loads(get(PROMETHEUS, "/api/v1/query", query=expression))["data"]["result"]


def firing():
    return {found["metric"]["alertname"] for found in query('ALERTS{alertstate="firing"}')}


def until(what, look, patience_s=300):
    """Looks until it is so; the last thing seen is told when it never is."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            seen = look()
        except (OSError, ValueError) as error:
            seen = error
        if seen is True:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: {seen!r}")
        time.sleep(0.25)


def failoverctl(*arguments):
    servers = ",".join(f"http://127.0.0.1:{port}" for port in GRPC)
    return subprocess.run(
        [chart.BINARIES / "failoverctl", "--server", servers, *arguments], cwd=chart.ROOT, capture_output=True, text=True, timeout=360
    )


class OutageTest(unittest.TestCase):
    def setUp(self):
        for tool in ("prometheus", "promtool"):
            chart.need(TOOLS / tool, "`make tools` installs it")
        self.folder = tempfile.TemporaryDirectory(prefix="prometheus-")
        self.addCleanup(self.folder.cleanup)

    def started(self, name, *command):
        """A process that is asked to stop, then made to, when the test ends."""
        log = pathlib.Path(self.folder.name, f"{name}.log")
        with open(log, "w") as file:
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)

        def stop():
            process.send_signal(signal.SIGINT if name == "sandbox" else signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

        self.addCleanup(stop)
        return log

    def prometheus(self):
        folder = pathlib.Path(self.folder.name)
        (folder / "alerts.yaml").write_text(yaml.safe_dump(quick(yaml.safe_load(ALERTS.read_text()))))
        targets = [f"127.0.0.1:{port}" for port in OPS]
        (folder / "prometheus.yml").write_text(yaml.safe_dump({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(folder / "alerts.yaml")],
            "scrape_configs": [{"job_name": "failoverd", "honor_labels": True, "static_configs": [{"targets": targets}]}],
        }))
        return self.started(
            "prometheus", TOOLS / "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{PROMETHEUS}",
        )

    def check_metrics(self):
        for port in OPS:
            ran = subprocess.run([TOOLS / "promtool", "check", "metrics"], input=get(port, "/metrics"), capture_output=True, text=True)
            with self.subTest(port):
                self.assertEqual((ran.returncode, ran.stdout + ran.stderr), (0, ""))

    def check_names(self):
        """What the page says, and Prometheus read, is the same: of what a healthy fleet with one service has."""
        labels, _ = promql.documented((chart.ROOT / "docs" / "metrics.md").read_text())
        read = {found["metric"]["__name__"] for found in query('count by (__name__) ({__name__=~"failoverd_.+"})')}
        self.assertEqual(read - set(labels), set(), "served, and docs/metrics.md does not have them")

    def check_pictures(self, begun, ended, *names):
        kept = chart.ROOT / "docs" / "pictures"
        for name in names:
            board, rows = PICTURES[name]
            out = pathlib.Path(self.folder.name, f"{name}.svg")
            subprocess.run(
                [chart.ROOT / "tools" / "panels", chart.CHART / "dashboards" / board, f"http://127.0.0.1:{PROMETHEUS}", out, "--rows", rows,
                 "--from", str(begun), "--to", str(ended), "--var", f"fleet={self.fleet}", "--var", "service=checkout"],
                check=True, timeout=120,
            )
            self.assertTrue("eu-west-1" in out.read_text() or "checkout" in out.read_text(), f"{name} shows nothing")
            if "PICTURES" in os.environ:
                kept.mkdir(exist_ok=True)
                (kept / f"dashboard-{name}.svg").write_text(out.read_text())

    def practise(self, *drills):
        applied = failoverctl("apply", "-f", "examples/drills.yaml", "--yes")
        self.assertEqual(applied.returncode, 0, applied.stdout + applied.stderr)
        for drill in drills:
            ran = failoverctl("drill", "run", drill, "--wait", "--yes")
            self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
            until(f"{drill} passed, and Prometheus tells it", lambda: [
                found["metric"]["verdict"] for found in query(f'failoverd:drill_last_verdict{{drill="{drill}"}} == 1')] == ["passed"])
        until("the service is steady again", lambda: firing() == set() or firing())

    def test_an_outage_raises_its_alerts_and_its_end_ends_them(self):
        self.started("sandbox", chart.BINARIES / "failoverctl", "sandbox", "up", "--port-base", str(BASE))
        until("all daemons serve metrics and know a leader", lambda: all(
            re.search(r"^failoverd_consensus_has_leader\{.*\} 1$", get(port, "/metrics"), re.MULTILINE) for port in OPS) or "not yet")
        applied = failoverctl("apply", "-f", "examples/checkout.yaml", "--yes")
        self.assertEqual(applied.returncode, 0, applied.stdout + applied.stderr)
        log = self.prometheus()
        begun = time.time()
        until("the service is settled, and Prometheus tells it", lambda: [
            found["value"][1] for found in query('failoverd:service_settled{service="checkout"}')] == ["1"] or log.read_text()[-500:])
        self.fleet = query("failoverd:daemon_tells")[0]["metric"]["fleet"]
        until("all three are read and believed", lambda: len(query("up == 1")) == len(query("failoverd:daemon_tells")) == 3)
        until("nothing is wrong", lambda: firing() == set() or firing())
        self.check_metrics()
        self.check_names()

        self.practise("checkout-simulated", *(["checkout-now"] if "PICTURES" in os.environ else []))
        self.check_pictures(begun, time.time(), "drills")

        broken = failoverctl("sandbox", "break", "us-east-1")
        self.assertEqual(broken.returncode, 0, broken.stderr)
        raised = set()

        def all_raised():
            raised.update(firing())
            return raised >= RAISED or f"raised so far {sorted(raised)}"

        until("the outage raises its alerts", all_raised)
        (serving,) = query('failoverd:service_serving{service="checkout"} == 1')
        self.assertEqual(serving["metric"]["region"], "eu-west-1")
        pages = [found["metric"]["alertname"] for found in query('ALERTS{alertstate="firing", severity="page"}')]
        self.assertEqual(pages, ["FailoverdDaemonGone"], "once it has moved, the lost daemon is all that pages, and once")

        self.check_pictures(begun, time.time(), "fleet", "service")

        healed = failoverctl("sandbox", "heal", "us-east-1")
        self.assertEqual(healed.returncode, 0, healed.stderr)
        until("its end ends them", lambda: not (firing() & ENDED) or firing() & ENDED)
        self.check_metrics()


if __name__ == "__main__":
    unittest.main()
