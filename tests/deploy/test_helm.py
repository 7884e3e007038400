"""The Helm chart: rendered with Go's own templates, and held against the schemas of Kubernetes.

Helm is neither in Debian nor quick to build; where it is installed, it must agree. No cluster has seen the chart.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from ruamel.yaml import YAML

from router.config.loader import loads
from router.sandbox.process import cache_directory, made_once
from tests.clients.programs import build
from tests.clients.test_go import go_version, version_of
from tests.clients.ways import missing, program
from tests.deploy.tools import DEPLOY

CHART = DEPLOY / "helm/mysql-query-router"
RENDERER = Path(__file__).parent / "helm"
BUILD_TIMEOUT = 110.0
DEFAULTS: dict[str, Any] = YAML(typ="safe").load((CHART / "values.yaml").read_text(encoding="utf-8"))
KUBERNETES_VALIDATE = "1.37.0"  # a package that brings the schemas of several versions of Kubernetes
VERSIONS = ("1.30.0", "1.33.0", "1.37.0")
# Kind → its schema; a ServiceMonitor is the Prometheus operator's.
SCHEMAS = {
    "ConfigMap": "configmap-v1",
    "Secret": "secret-v1",
    "Service": "service-v1",
    "Deployment": "deployment-apps-v1",
    "PodDisruptionBudget": "poddisruptionbudget-policy-v1",
    "NetworkPolicy": "networkpolicy-networking-v1",
}
EVERYTHING: dict[str, Any] = {
    "secretEnv": {"values": {"APP_PASSWORD": "a", "MONITOR_PASSWORD": 7, "ADMIN_PASSWORD": "yes", "ADMIN_USER": "p"}},
    "tlsSecret": "certificates",
    "imagePullSecrets": [{"name": "registry"}],
    "service": {"annotations": {"a": "b"}},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "networkPolicy": {
        "enabled": True,
        "clients": [{"podSelector": {"matchLabels": {"app": "shop"}}}],
        "monitoring": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        "egress": [{"ports": [{"port": 3306, "protocol": "TCP"}]}],
    },
    "podAnnotations": {"x": "1"},
    "podLabels": {"y": "2"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "k", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
}
WAYS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "everything": EVERYTHING,
    "a secret that exists": {"secretEnv": {"existing": "passwords"}, "serviceMonitor": {"enabled": True}},
    "no secret": {"secretEnv": {"create": False}, "podDisruptionBudget": {"enabled": False}},
    "nobody may come": {"networkPolicy": {"enabled": True}},
}

Render = Callable[[dict[str, Any]], dict[str, list[dict[str, Any]]]]


def merged(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Values as Helm merges them."""
    found = copy.deepcopy(defaults)
    for key, value in given.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = merged(found[key], value) if both else value
    return found


def documents(text: str) -> list[dict[str, Any]]:
    return [each for each in YAML(typ="safe").load_all(text) if each]


@pytest.fixture(scope="session")
def binary(tmp_path_factory: pytest.TempPathFactory) -> str:
    go = program("go")
    if go_version(version_of(go)) < go_version((RENDERER / "go.mod").read_text(encoding="ascii")):
        pytest.skip("the renderer of the chart needs a newer Go")
    target = tmp_path_factory.mktemp("helm") / "render"
    command = [go, "build", "-mod=readonly", "-buildvcs=false", "-o", str(target), "."]
    if problem := build(command, RENDERER, BUILD_TIMEOUT, {**os.environ, "CGO_ENABLED": "0"}):
        missing(problem)
    return str(target)


@pytest.fixture(scope="session")
def render(binary: str) -> Render:
    """From values to objects by kind."""

    def work(given: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
        values = json.dumps(merged(DEFAULTS, given))
        done = subprocess.run([binary, str(CHART)], input=values, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        files: dict[str, str] = json.loads(done.stdout)
        found: dict[str, list[dict[str, Any]]] = {}
        for name, text in files.items():
            for each in documents(text) if name != "NOTES.txt" else []:
                found.setdefault(each["kind"], []).append(each)
        return found

    return work


@pytest.fixture(scope="session")
def schemas() -> Path:
    """The folder with a folder of schemas for each version of Kubernetes."""

    def fetch(directory: Path) -> None:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command = [*pip, f"--dest={directory}", f"kubernetes-validate=={KUBERNETES_VALIDATE}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
        if done.returncode != 0:
            missing(f"no schemas of Kubernetes: {done.stderr.strip()[-500:]}")
        [wheel] = directory.glob("*.whl")
        with zipfile.ZipFile(wheel) as packed:
            wanted = [name for name in packed.namelist() if any(f"/v{each}-local-strict/" in name for each in VERSIONS)]
            packed.extractall(directory, wanted)
        wheel.unlink()

    place = made_once(cache_directory() / f"kubernetes-schemas-{KUBERNETES_VALIDATE}", fetch)
    return place / "kubernetes_validate/kubernetes-json-schema"


def validator(folder: Path, kind: str) -> Draft202012Validator:
    def retrieve(uri: str) -> Resource[Any]:
        path = folder / uri.rpartition("/")[2]
        contents = json.loads(path.read_text(encoding="utf-8"))
        return DRAFT202012.create_resource(contents)

    registry: Registry[Any] = Registry(retrieve=retrieve)  # type: ignore[call-arg]
    return Draft202012Validator({"$ref": f"{SCHEMAS[kind]}.json"}, registry=registry)


# --- objects ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("way", WAYS)
def test_kubernetes_knows_every_field(render: Render, schemas: Path, way: str, version: str) -> None:
    folder = schemas / f"v{version}-local-strict"
    for kind, objects in render(WAYS[way]).items():
        for each in objects if kind in SCHEMAS else []:
            problems = [f"{error.json_path}: {error.message}" for error in validator(folder, kind).iter_errors(each)]
            assert not problems, f"{kind}: {problems}"


def test_a_wrong_field_would_be_noticed(render: Render, schemas: Path) -> None:
    [deployment] = render({})["Deployment"]
    deployment["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    assert list(validator(schemas / f"v{VERSIONS[0]}-local-strict", "Deployment").iter_errors(deployment))


@pytest.mark.parametrize("way", WAYS)
def test_helm_agrees(render: Render, way: str, tmp_path: Path) -> None:
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("helm is not installed")
    values = tmp_path / "values.yaml"
    values.write_text(json.dumps(WAYS[way]), encoding="utf-8")
    options = ["--values", str(values), "--kube-version", "1.33.0"]
    for command in (["lint", str(CHART), *options], ["template", "here", str(CHART), "--namespace", "there", *options]):
        done = subprocess.run([helm, *command], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    theirs = sorted(json.dumps(each, sort_keys=True) for each in documents(done.stdout))
    ours = sorted(json.dumps(each, sort_keys=True) for objects in render(WAYS[way]).values() for each in objects)
    assert ours == theirs


# --- what they say ----------------------------------------------------------------------------------------------------


def test_by_default(render: Render) -> None:
    found = render({})
    assert {kind: len(objects) for kind, objects in found.items()} == {
        "ConfigMap": 1,
        "Secret": 1,
        "Deployment": 1,
        "Service": 2,
        "PodDisruptionBudget": 1,
    }


def test_selectors_find_the_pods(render: Render) -> None:
    found = render(EVERYTHING)
    [deployment] = found["Deployment"]
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        *(service["spec"]["selector"] for service in found["Service"]),
        found["PodDisruptionBudget"][0]["spec"]["selector"]["matchLabels"],
        found["NetworkPolicy"][0]["spec"]["podSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= labels
    monitored = found["ServiceMonitor"][0]["spec"]["selector"]["matchLabels"].items()
    [admin] = [each for each in found["Service"] if monitored <= each["metadata"]["labels"].items()]
    [port] = admin["spec"]["ports"]
    assert found["ServiceMonitor"][0]["spec"]["endpoints"][0]["port"] == port["name"]


def test_names_lead_somewhere(render: Render) -> None:
    found = render(EVERYTHING)
    [deployment] = found["Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert pod["volumes"][0]["configMap"]["name"] == found["ConfigMap"][0]["metadata"]["name"]
    assert container["envFrom"][0]["secretRef"]["name"] == found["Secret"][0]["metadata"]["name"]
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for service in found["Service"] for port in service["spec"]["ports"]} == ports
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in ports


def test_probes(render: Render) -> None:
    [deployment] = render({})["Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["securityContext"]["runAsNonRoot"] is True
    config = loads(DEFAULTS["config"], "routes.yaml", dict.fromkeys(asked(DEFAULTS["config"]), "x"))
    assert pod["terminationGracePeriodSeconds"] > config.limits.drain_timeout + DEFAULTS["preStopSeconds"]


def asked(config: str) -> list[str]:
    return re.findall(r"\$\{env:(\w+)\}", config)


def test_the_configuration_is_one_and_arrives_unchanged(render: Render) -> None:
    [configmap] = render({})["ConfigMap"]
    text = configmap["data"]["routes.yaml"]
    assert text == DEFAULTS["config"]
    config = loads(text, "routes.yaml", dict.fromkeys(asked(text), "x"))
    [listener] = config.listeners
    [deployment] = render({})["Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [listener.address.port, config.admin.http.port]
    assert set(asked(text)) <= set(EVERYTHING["secretEnv"]["values"])


def test_another_configuration_makes_other_pods(render: Render) -> None:
    def pods(**given: Any) -> dict[str, str]:
        [deployment] = render(given)["Deployment"]
        annotations: dict[str, str] = deployment["spec"]["template"]["metadata"]["annotations"]
        return annotations

    assert pods() != pods(config="groups: {}")
    assert pods() != pods(secretEnv={"values": {"APP_PASSWORD": "b"}})


def test_values_of_secrets_are_text(render: Render) -> None:
    [secret] = render(EVERYTHING)["Secret"]
    assert secret["stringData"] == {key: str(value) for key, value in EVERYTHING["secretEnv"]["values"].items()}


def test_a_policy_without_peers_lets_nobody_in(render: Render) -> None:
    [policy] = render(WAYS["nobody may come"])["NetworkPolicy"]
    assert policy["spec"]["ingress"] == []
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    [policy] = render({"networkPolicy": {"enabled": True, "monitoring": [{"podSelector": {}}]}})["NetworkPolicy"]
    assert [rule["ports"][0]["port"] for rule in policy["spec"]["ingress"]] == ["admin"]


def test_values_have_a_schema() -> None:
    """Helm itself holds values against it, so that a misspelled key is told."""
    text: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    schema = Draft7Validator(text)
    for given in WAYS.values():
        schema.validate(merged(DEFAULTS, given))
    mistakes: list[dict[str, Any]] = [{"replicas": 2}, {"config": {"groups": {}}}, {"secretEnv": {"secret": "x"}}]
    for wrong in mistakes:
        assert list(schema.iter_errors(merged(DEFAULTS, wrong))), wrong
    assert set(DEFAULTS) == set(text["properties"]) - {"global"}
