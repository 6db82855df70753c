"""Three daemons from the three rendered examples form a fleet, and the image's file system starts one of them.

What the chart renders is used as it is; only addresses and folders are replaced by this machine's.
"""

import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import yaml

import chart
from test_chart import PEM, quiet_environment

# Nobody listens there: history and AWS are away, which stops no fleet from forming.
NOBODY = "127.0.0.1:9"
ELSEWHERE = {
    "FAILOVERD_AWS__ENDPOINT_URL": f"http://{NOBODY}",
    "FAILOVERD_AWS__NAME_SERVERS": f"[{NOBODY}]",
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
}


def setUpModule():
    chart.need(chart.HELM, "`make tools` installs it")
    for program in ("failoverd", "failoverctl"):
        chart.need(chart.BINARIES / program, "`cargo build --bins` makes it")


# Below those that Linux gives to whoever connects: a daemon that starts again finds its own free.
PORTS = iter(range(8_000, 9_000))


def free_ports(count):
    return list(itertools.islice(filter(is_free, PORTS), count))


def is_free(port):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def within(seconds, what, look):
    """What `look` gives as soon as it gives something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)
    return found


def asked(port, path, scheme="http"):
    """Status and body; None without an answer. Like Route 53's checkers, it checks no certificate."""
    context = ssl._create_unverified_context() if scheme == "https" else None
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), *([urllib.request.HTTPSHandler(context=context)] if context else [])
    )
    try:
        with opener.open(f"{scheme}://127.0.0.1:{port}{path}", timeout=2) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return None


def addressed(text, ports):
    """The rendered file with the addresses of this machine; `ports` by Region: grpc, switch, ops."""
    config = yaml.safe_load(text)
    own = ports[config["region"]]
    config["listen"] = {name: f"127.0.0.1:{port}" for name, port in own.items()}
    for region, peer in config["peers"].items():
        peer["url"] = f"https://127.0.0.1:{ports[region]['grpc']}"
    config["references"] = {"far-away-1": f"http://127.0.0.1:{own['ops']}/livez"}
    return config


def ports_of(regions):
    return {region: dict(zip(("grpc", "switch", "ops"), free_ports(3))) for region in regions}


def lay_pems(folder):
    """The Secret of a certificate, as a folder."""
    folder.mkdir(parents=True)
    for name, pem in {"tls.crt": "cert", "tls.key": "key", "ca.crt": "ca"}.items():
        shutil.copy(PEM / f"{pem}.pem", folder / name)


def status_of(pid):
    return dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


class Daemon:
    """One daemon out of a rendered example, on this machine."""

    def __init__(self, manifests, ports, folder):
        self.container = chart.daemon_of(manifests)
        self.pod = chart.one(manifests, "StatefulSet")["spec"]["template"]["spec"]
        config = addressed(chart.config_of(manifests), ports)
        self.region, self.ports = config["region"], ports[config["region"]]
        self.folder = folder / self.region
        # Each mount of the pod is a folder here.
        self.tls = self.folder / "tls"
        lay_pems(self.tls)
        lay_pems(self.folder / "switch-tls")
        text = yaml.safe_dump(config)
        text = text.replace("/etc/failoverd/", f"{self.folder}/").replace("/var/lib/failoverd", f"{self.folder}/disk")
        self.file = self.folder / "config" / "failoverd.yaml"
        self.file.parent.mkdir()
        self.file.write_text(text)
        self.log = self.folder / "log"
        self.process = None

    def start(self):
        database = f"postgres://x@{NOBODY}/x"
        environment = {variable["name"]: variable.get("value", database) for variable in self.container["env"]}
        arguments = [argument.replace("/etc/failoverd/", f"{self.folder}/") for argument in self.container["args"]]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [chart.BINARIES / "failoverd", *arguments], env=quiet_environment(environment | ELSEWHERE), stdout=log, stderr=log
            )

    def probe(self, name):
        """What the kubelet would get."""
        get = self.container[name]["httpGet"]
        return asked(self.ports[get["port"]], get["path"])

    def readiness(self):
        answer = self.probe("readinessProbe")
        return json.loads(answer[1]) if answer and answer[0] == 200 else None

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class FleetTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="chart-fleet-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.manifests = {name: chart.rendered(chart.values_of(name)) for name in chart.EXAMPLES}
        regions = [yaml.safe_load(chart.config_of(manifests))["region"] for manifests in self.manifests.values()]
        ports = ports_of(regions)
        self.daemons = [Daemon(manifests, ports, self.folder) for manifests in self.manifests.values()]
        for daemon in self.daemons:
            self.addCleanup(daemon.stop)

    def command_of_the_test_pod(self, daemon):
        """`helm test`'s pod, sent to a daemon on this machine."""
        pod = chart.one(self.manifests["us-east-1"], "Pod")["spec"]["containers"][0]
        environment = {variable["name"]: variable["value"] for variable in pod["env"]}
        environment["FAILOVERCTL_SERVER"] = f"https://127.0.0.1:{daemon.ports['grpc']}"
        for name, value in environment.items():
            environment[name] = value.replace("/etc/failoverd/tls", str(daemon.tls))
        command = [chart.BINARIES / pod["command"][0], *pod["args"]]
        return subprocess.run(command, env=quiet_environment(environment), capture_output=True, text=True, timeout=30)

    def as_exec_would(self, daemon, *arguments):
        """`kubectl exec … -- failoverctl …`: only the port is this machine's."""
        environment = {variable["name"]: variable.get("value", "") for variable in daemon.container["env"]}
        environment = {name: value for name, value in environment.items() if name.startswith("FAILOVERCTL_")}
        environment["FAILOVERCTL_SERVER"] = environment["FAILOVERCTL_SERVER"].replace("7443", str(daemon.ports["grpc"]))
        for name, value in environment.items():
            environment[name] = value.replace("/etc/failoverd/tls", str(daemon.tls))
        command = [chart.BINARIES / "failoverctl", *arguments]
        return subprocess.run(command, env=quiet_environment(environment), capture_output=True, text=True, timeout=30)

    def formed(self, daemon):
        ran = self.command_of_the_test_pod(daemon)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return ran if "Fleet prod" in ran.stdout else None

    def test_the_three_examples_form_a_fleet_and_stop_in_time(self):
        first, *others = self.daemons
        first.start()
        within(180, "the first daemon lives", lambda: first.probe("livenessProbe"))
        self.assertEqual(first.probe("startupProbe")[0], 200)
        self.assertEqual(first.probe("livenessProbe")[0], 200)
        code, said = first.probe("readinessProbe")
        self.assertEqual(code, 503, "one of three is no fleet")
        self.assertIn("no leader is known", said)

        second, third = others
        second.start()
        within(180, "two of three have a leader", lambda: first.readiness() and second.readiness())
        third.start()
        leaders = set()
        for daemon in self.daemons:
            try:
                leaders.add(within(180, f"{daemon.region} is ready", daemon.readiness)["leader"])
            except AssertionError as error:
                raise AssertionError(f"{error}\n{daemon.log.read_text()[-3000:]}") from None
        self.assertEqual(len(leaders), 1, "all know one leader")

        ran = self.as_exec_would(self.daemons[0], "status")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        for daemon in self.daemons:
            ran = within(180, f"{daemon.region} knows its fleet", lambda: self.formed(daemon))
            roles = dict(re.findall(r"^((?:us|eu)-[a-z]+-\d)\s+(member|witness)", ran.stdout, re.MULTILINE))
            self.assertEqual(roles, {"us-east-1": "member", "eu-west-1": "member", "us-west-2": "witness"})

        # The witness ends TLS itself, the members have it end in front of them.
        for daemon in self.daemons:
            scheme = "https" if daemon.region == "us-west-2" else "http"
            self.assertEqual(asked(daemon.ports["switch"], "/s/unknown", scheme)[0], 404)

        for daemon in self.daemons:
            used_kb = int(status_of(daemon.process.pid)["VmRSS"].split()[0])
            asks_for_mb = int(daemon.container["resources"]["requests"]["memory"].removesuffix("Mi"))
            self.assertLess(used_kb / 1024, asks_for_mb, f"{daemon.region} needs more than it asks for")

        for daemon in self.daemons:
            began = time.monotonic()
            daemon.process.send_signal(signal.SIGTERM)
            self.assertEqual(daemon.process.wait(daemon.pod["terminationGracePeriodSeconds"]), 0, daemon.log.read_text()[-2000:])
            self.assertLess(time.monotonic() - began, 31)


# Runs a program in the image as a container runtime does: root and configuration read-only, one writable volume.
IN_THE_IMAGE = """
set -e
root=$1 etc=$2 disk=$3 ids=$4; shift 4
mount --make-rprivate /
mount --bind "$root" "$root"
mount --bind "$etc" "$root/etc/failoverd"
mount --bind "$disk" "$root/var/lib/failoverd"
mount -o remount,bind,ro "$root/etc/failoverd"
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs chroot --userspec="$ids" "$root" "$@"
"""


class ImageTest(unittest.TestCase):
    """The file system that the Dockerfile ships, with this machine's own build of the programs."""

    @classmethod
    def setUpClass(cls):
        probed = subprocess.run(
            ["unshare", "--mount", "sh", "-c", "mount --make-rprivate / && mount --bind /tmp /tmp"], capture_output=True, text=True
        )
        if probed.returncode:
            raise unittest.SkipTest(f"this machine does not let the image be tried (needs root, mount and chroot): {probed.stderr}")
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="image-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.root = cls.folder / "root"
        programs = [chart.BINARIES / "failoverd", chart.BINARIES / "failoverctl"]
        subprocess.run([chart.ROOT / "tools" / "rootfs", cls.root, *programs], check=True)
        manifests = chart.rendered(chart.values_of("us-west-2-witness"))
        cls.pod = chart.one(manifests, "StatefulSet")["spec"]["template"]["spec"]
        cls.container = chart.daemon_of(manifests)
        ports = ports_of(["us-east-1", "eu-west-1", "us-west-2"])
        cls.ports = ports["us-west-2"]
        cls.etc, cls.disk = cls.folder / "etc", cls.folder / "disk"
        lay_pems(cls.etc / "tls")
        lay_pems(cls.etc / "switch-tls")
        (cls.etc / "config").mkdir()
        (cls.etc / "config" / "failoverd.yaml").write_text(yaml.safe_dump(addressed(chart.config_of(manifests), ports)))
        cls.user = cls.pod["securityContext"]["runAsUser"]
        cls.disk.mkdir()
        os.chown(cls.disk, cls.user, cls.user)
        for each in [cls.folder, *cls.etc.rglob("*")]:
            each.chmod(0o755 if each.is_dir() else 0o644)

    def start(self, *command, more=None):
        environment = {variable["name"]: variable["value"] for variable in self.container["env"] if "value" in variable}
        ids = f"{self.user}:{self.pod['securityContext']['runAsGroup']}"
        # chroot itself looks for the program in the image's own PATH.
        environment |= ELSEWHERE | (more or {}) | {"PATH": "/usr/bin:/usr/sbin:/bin:/sbin"}
        environment = {name: value for name, value in environment.items() if value is not None}
        return subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", IN_THE_IMAGE, "sh", self.root, self.etc, self.disk, ids, *command],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )

    def run_in_it(self, *command, more=None):
        process = self.start(*command, more=more)
        said, _ = process.communicate(timeout=60)
        return process.returncode, said

    def test_the_check_of_the_init_container_passes_in_it(self):
        (check,) = self.pod["initContainers"]
        code, said = self.run_in_it("/usr/bin/failoverd", *check["args"])
        self.assertEqual((code, "the configuration is good" in said), (0, True), said)

    def test_its_other_program_runs(self):
        code, said = self.run_in_it("failoverctl", "--version")
        self.assertEqual((code, said[:12]), (0, "failoverctl "), said)

    def test_its_root_cannot_be_written(self):
        code, said = self.run_in_it(
            "/usr/bin/failoverd", *self.container["args"], more={"FAILOVERD_DATA_DIR": "/usr/share/data"})
        self.assertEqual(code, 1, said)
        self.assertIn("Read-only file system", said)

    def test_the_daemon_starts_in_it_as_nobody_in_particular_and_stops_in_order(self):
        process = self.start("/usr/bin/failoverd", *self.container["args"])
        try:
            within(180, "it lives", lambda: process.poll() is not None or asked(self.ports["ops"], "/livez"))
            self.assertIsNone(process.poll(), process.poll() is not None and process.stdout.read())
            status = status_of(process.pid)
            self.assertEqual(status["Name"], "failoverd")
            self.assertEqual(set(status["Uid"].split() + status["Gid"].split()), {str(self.user)})
            self.assertEqual(int(status["CapEff"], 16) | int(status["CapPrm"], 16), 0)
            self.assertEqual(status["NoNewPrivs"], "1")
            self.assertTrue((self.disk / "data" / "consensus.redb").exists(), "its disk is the volume")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(31), 0)
        finally:
            process.kill()
            process.communicate()

    def test_it_holds_what_is_needed_and_no_shell(self):
        files = {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}
        self.assertEqual({file for file in files if file.startswith("usr/bin/")}, {"usr/bin/failoverd", "usr/bin/failoverctl"})
        self.assertIn("etc/ssl/certs/ca-certificates.crt", files)
        others = {file for file in files if not re.match(r"usr/bin/|usr/share/doc/|etc/|(usr/)?lib(64)?/.*\.so(\.|$)", file)}
        self.assertEqual(others, set())


class DockerfileTest(unittest.TestCase):
    def setUp(self):
        text = (chart.ROOT / "Dockerfile").read_text()
        code = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ")
        self.lines = code.splitlines()

    def test_it_ships_the_file_system_that_was_tried(self):
        (build,) = (line for line in self.lines if line.startswith("RUN "))
        self.assertIn("cargo build --release --locked", build)
        self.assertRegex(build, r"tools/rootfs /image target/release/failoverd target/release/failoverctl$")
        self.assertIn("COPY --from=build /image /", self.lines)

    def test_it_builds_with_the_compiler_that_the_crate_names_and_ships_nothing_else(self):
        version = re.search(r'^rust-version = "(.*)"', (chart.ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
        bases = [line.split()[1] for line in self.lines if line.startswith("FROM ")]
        self.assertEqual(bases, [f"rust:{version}-slim-bookworm", "scratch"])

    def test_it_runs_as_the_user_that_the_chart_names(self):
        pod = chart.one(chart.rendered(chart.values_of("us-east-1")), "StatefulSet")["spec"]["template"]["spec"]
        security = pod["securityContext"]
        self.assertIn(f"USER {security['runAsUser']}:{security['runAsGroup']}", self.lines)
        self.assertIn('ENTRYPOINT ["/usr/bin/failoverd"]', self.lines)


if __name__ == "__main__":
    unittest.main()
