"""Renders the chart with the real Helm, for the suites that judge what comes out."""

import functools
import json
import os
import pathlib
import subprocess
import tempfile

import jsonschema
import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "failoverd"
EXAMPLES = {path.stem: path for path in sorted((CHART / "examples").glob("*.yaml"))}
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
HELM = TARGET / "tools" / "helm"
BINARIES = pathlib.Path(os.environ.get("BINARIES") or TARGET / "debug")
# The oldest Kubernetes that the chart takes, one between, and the newest whose schemas are there.
KUBERNETES = ("1.30", "1.33", "1.37")


def need(path, how):
    """Fails in one line where something is not there: a suite that skips itself tests nothing."""
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: {how}")


_HOME = tempfile.TemporaryDirectory(prefix="helm-")


@functools.cache
def environment():
    home = _HOME.name
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HELM_", "KUBE"))}
    return kept | {f"HELM_{kind}_HOME": home for kind in ("CACHE", "CONFIG", "DATA")} | {"KUBECONFIG": "/dev/null"}


def merged(base, over):
    """`over` on `base`, level by level; None takes a field away."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    whole = {key: merged(base.get(key), value) for key, value in over.items()}
    return {key: value for key, value in (base | whole).items() if value is not None}


def values_of(example, over=None):
    return merged(yaml.safe_load(EXAMPLES[example].read_text()), over or {})


def helm(*arguments, values):
    """Helm's exit code and what it said on stdout and stderr."""
    need(HELM, "`make tools` installs it")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values, file)
        file.flush()
        ran = subprocess.run(
            [HELM, *arguments, "--values", file.name], env=environment(), capture_output=True, text=True, timeout=60
        )
    return ran.returncode, ran.stdout, ran.stderr


def lint(values):
    code, out, err = helm("lint", "--strict", str(CHART), values=values)
    return code == 0, out + err


class Refused(Exception):
    """Helm did not render; says what it said."""


def text_of(values, release="failoverd", namespace="failoverd", operator=True):
    """Of a cluster with Prometheus' operator, or without."""
    return _text(json.dumps(values), release, namespace, operator)


@functools.cache
def _text(values, release, namespace, operator):
    apis = ["--api-versions", "monitoring.coreos.com/v1"] if operator else []
    code, out, err = helm("template", release, str(CHART), "--namespace", namespace, *apis, values=json.loads(values))
    if code:
        raise Refused(err)
    return out


def rendered(values, **names):
    """All manifests, by kind and name."""
    documents = [document for document in yaml.safe_load_all(text_of(values, **names)) if document]
    by_name = {(document["kind"], document["metadata"]["name"]): document for document in documents}
    assert len(by_name) == len(documents), "two manifests have the same kind and name"
    return by_name


def one(manifests, kind):
    (found,) = (manifest for (is_kind, _), manifest in manifests.items() if is_kind == kind)
    return found


def daemon_of(manifests):
    """The container that is the daemon."""
    (container,) = one(manifests, "StatefulSet")["spec"]["template"]["spec"]["containers"]
    return container


def config_of(manifests):
    """The daemon's file as the ConfigMap has it."""
    (text,) = (m["data"]["failoverd.yaml"] for (kind, _), m in manifests.items() if kind == "ConfigMap" and "failoverd.yaml" in m["data"])
    return text


@functools.cache
def _custom(kind):
    return json.loads((ROOT / "tests" / "python" / "schemas" / f"{kind.lower()}.json").read_text())


@functools.cache
def _fault(text, version):
    manifest = json.loads(text)
    try:
        if manifest["apiVersion"].split("/")[0].endswith(("cert-manager.io", "monitoring.coreos.com")):
            jsonschema.validate(manifest, _custom(manifest["kind"]))
        else:
            kubernetes_validate.validate(manifest, version, strict=True)
    except jsonschema.ValidationError as error:
        return f"{manifest['kind']} {manifest['metadata']['name']} for {version}: {'.'.join(map(str, error.path))}: {error.message}"
    return None


def faults(manifest):
    """What the strict schemas of each Kubernetes have against it."""
    text = json.dumps(manifest, sort_keys=True)
    return [fault for version in KUBERNETES if (fault := _fault(text, version))]


def pods(manifests):
    """Every pod that the manifests would make, by the name of what makes it."""
    for (kind, name), manifest in manifests.items():
        if kind == "Pod":
            yield name, manifest["spec"]
        elif "template" in manifest.get("spec", {}):
            yield name, manifest["spec"]["template"]["spec"]


# https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
}


def _of_pod(pod):
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield f"{field} is set"
    for volume in pod.get("volumes", []):
        for kind in volume.keys() - {"name"} - _VOLUMES:
            yield f"volume {volume['name']} is {kind}"
    security = pod.get("securityContext", {})
    for sysctl in security.get("sysctls", []):
        if sysctl["name"] not in _SYSCTLS:
            yield f"sysctl {sysctl['name']}"


def _of_container(container, of_pod):
    own = container.get("securityContext", {})
    both = {**of_pod, **own}
    capabilities = own.get("capabilities", {})
    if both.get("runAsNonRoot") is not True:
        yield "may run as root"
    if both.get("runAsUser") == 0:
        yield "runs as user 0"
    if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "has no seccomp profile"
    if both.get("appArmorProfile", {"type": "RuntimeDefault"})["type"] not in ("RuntimeDefault", "Localhost"):
        yield "has no AppArmor profile"
    if both.get("seLinuxOptions", {}).keys() & {"user", "role"}:
        yield "sets an SELinux user or role"
    if both.get("windowsOptions", {}).get("hostProcess"):
        yield "is a host process"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "may escalate privileges"
    if own.get("privileged"):
        yield "is privileged"
    if own.get("procMount", "Default") != "Default":
        yield "has another /proc"
    if "ALL" not in capabilities.get("drop", []):
        yield "keeps capabilities"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "adds capabilities"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "has a port of the host"
    # Beyond the standard: this chart's own promises.
    if own.get("readOnlyRootFilesystem") is not True:
        yield "can write to its root"
    if "memory" not in container.get("resources", {}).get("limits", {}):
        yield "has no memory limit"


def insecurities(pod):
    """What the restricted profile of Pod Security has against a pod, and what this chart promises beyond it."""
    found = list(_of_pod(pod))
    if pod.get("automountServiceAccountToken") is not False:
        found.append("has a token of the cluster's API")
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in pod.get(kind, []):
            found += [f"{container['name']}: {what}" for what in _of_container(container, pod.get("securityContext", {}))]
    return found
