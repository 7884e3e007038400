"""The image and the compose file, as far as they can be tried without a container engine.

The compose file is checked against the schema of the Compose Specification, and against the files it mounts. What it
runs in the database containers, and the router's configuration, are tried on real servers.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft201909Validator
from ruamel.yaml import YAML

from router.sandbox import MariaDBServer
from router.sandbox.process import remove_directory, scratch_directory
from tests.clients.ways import missing, program
from tests.deploy.tools import ROOT
from tests.fix_router import RunningRouter

COMPOSE_FILE = ROOT / "docker-compose.yml"
TEXT = COMPOSE_FILE.read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = YAML(typ="safe").load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE_GO = "github.com/compose-spec/compose-go/v2@v2.9.0"  # the reference implementation, which has the schema
PASSWORDS = {
    name: f"{name.lower()} '\\ secret" for name in ("APP_PASSWORD", "MONITOR_PASSWORD", "REPLICATION_PASSWORD")
}


def compose_schema() -> Any:
    command = [program("go"), "mod", "download", "-json", COMPOSE_GO]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd="/")
    if done.returncode != 0:
        missing(f"{COMPOSE_GO} cannot be fetched: {done.stderr}{done.stdout}")
    folder = Path(json.loads(done.stdout)["Dir"])
    return json.loads((folder / "schema/compose-spec.json").read_text(encoding="utf-8"))


# --- the compose file -------------------------------------------------------------------------------------------------


def test_it_is_a_compose_file() -> None:
    compose = Draft201909Validator(compose_schema())
    compose.validate(COMPOSE)
    assert list(compose.iter_errors({**COMPOSE, "services": {"router": {"imgae": "x"}}}))


def test_it_has_everything() -> None:
    assert set(SERVICES) == {"primary", "replica", "shard0", "shard1", "router", "prometheus", "grafana"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service(name: str) -> None:
    service = SERVICES[name]
    image, _, tag = service["image"].partition(":")
    assert image
    assert re.search(r"\d+\.\d+\.\d+", tag), "pinned"
    assert service["healthcheck"]["test"][0] == "CMD"
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith("."):
            assert (ROOT / source).exists(), source
            assert volume.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]
    for other, condition in service.get("depends_on", {}).items():
        assert other in SERVICES
        assert condition == {"condition": "service_healthy"}
    assert service.get("secrets", []) == [each for each in service.get("secrets", []) if each in COMPOSE["secrets"]]


def test_secrets_come_from_the_environment_only() -> None:
    asked = set(re.findall(r"\$\{(\w+):\?set it in \.env\}", TEXT))
    assert len(re.findall(r"\$\{", TEXT)) == len(re.findall(r"\$\{\w+:\?set it in \.env\}", TEXT)), "none has a default"
    example = (ROOT / "deploy/compose/env.example").read_text(encoding="utf-8")
    assert dict.fromkeys(asked, "") == dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE))
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            assert value.startswith("${") or "PASSWORD" not in key


def test_dashboards_are_mounted_where_grafana_looks() -> None:
    [provider] = YAML(typ="safe").load((ROOT / "deploy/grafana/provisioning/dashboards/router.yml").read_text())[
        "providers"
    ]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]


def test_prometheus_finds_the_router_and_its_password() -> None:
    [job] = YAML(typ="safe").load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    [scraped] = job["static_configs"]
    assert scraped["targets"] == ["router:8307"]
    [secret] = SERVICES["prometheus"]["secrets"]
    assert job["basic_auth"]["password_file"] == f"/run/secrets/{secret}"
    assert COMPOSE["secrets"][secret] == {"environment": "ADMIN_PASSWORD"}
    assert job["basic_auth"]["username"] in routes()["admin"]["users"]


def test_env_files_are_not_committed() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text().split()


# --- what it runs -----------------------------------------------------------------------------------------------------


def routes(**environ: str) -> dict[str, Any]:
    """The router's configuration with references filled in (here by name where nothing is given)."""
    text = (ROOT / "deploy/compose/routes.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = YAML(typ="safe").load(text)

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: fill(each) for key, each in value.items()}
        if isinstance(value, list):
            return [fill(each) for each in value]
        if isinstance(value, str) and (reference := re.fullmatch(r"\$\{env:(\w+)(?::-(.*))?\}", value)):
            return environ.get(reference[1], reference[2] or reference[1])
        return value

    return {key: fill(value) for key, value in found.items()}


@pytest.fixture
def servers() -> Iterator[dict[str, MariaDBServer]]:
    """The four servers as the compose file starts and initialises them."""
    directory = scratch_directory()
    names = ("primary", "replica", "shard0", "shard1")
    try:
        with contextlib.ExitStack() as stack:
            found = {}
            for number, name in enumerate(names, start=1):
                options = [each for each in SERVICES[name]["command"] if each.startswith("--read-only")]
                found[name] = MariaDBServer(directory, server_id=number, name=name, options=options)
                stack.callback(found[name].close)
                found[name].launch()
            for name, server in found.items():
                server.wait_ready()
                initialise(server, SERVICES[name]["environment"], found["primary"].port)
            found["replica"].execute("START SLAVE")  # in the container, the server is started anew
            yield found
    finally:
        remove_directory(directory)


def initialise(server: MariaDBServer, environment: dict[str, str], source: int) -> None:
    """As the image does: run what is in /docker-entrypoint-initdb.d, beside the server."""
    given = {"ROLE": environment["ROLE"], "SOURCE_HOST": "127.0.0.1", "SOURCE_PORT": str(source)}
    commands = server.directory / "commands"
    commands.mkdir()
    client = commands / "mariadb"
    client.write_text(f'#!/bin/sh\nexec {program("mariadb")} --no-defaults --socket={server.socket} "$@"\n')
    client.chmod(0o755)
    place = {"PATH": f"{commands}:{os.environ['PATH']}"}
    script = ROOT / "deploy/compose/init.sh"
    done = subprocess.run(
        [str(script)], env={**PASSWORDS, **given, **place}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_stack_of_the_compose_file(
    servers: dict[str, MariaDBServer], start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    places = {name.upper(): f"127.0.0.1:{server.port}" for name, server in servers.items()}
    settings = routes(**PASSWORDS, **places)
    settings["listeners"] = ["127.0.0.1:0"]
    settings["admin"]["http"] = "127.0.0.1:0"
    router = start_router(settings)
    main = router.gateway.topology.groups["main"]
    assert main.primary is not None
    assert main.primary.name == "primary"
    with router.connect(database="shop") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(20))")
        cursor.execute("INSERT INTO customers VALUES " + ", ".join(f"({number}, 'x')" for number in range(20)))
        cursor.execute("SELECT COUNT(*), MAX(id) FROM customers")
        assert cursor.fetchall() == ((20, 19),)
        cursor.execute("CREATE TABLE settings (a INT PRIMARY KEY)")
        cursor.execute("INSERT INTO settings VALUES (7)")
    shares = [servers[name].value("SELECT COUNT(*) FROM shop.customers") for name in ("shard0", "shard1")]
    assert sum(shares) == 20
    assert all(shares)
    replica = servers["replica"]
    assert replica.wait_for_gtids(servers["primary"].gtids(), 10), replica.replica_status()
    assert replica.value("SELECT a FROM shop.settings") == 7


def test_another_role_is_refused() -> None:
    done = subprocess.run(
        ["sh", "-c", f"mariadb() {{ cat >/dev/null; }}; . {ROOT}/deploy/compose/init.sh"],
        env={**PASSWORDS, "ROLE": "king", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert "ROLE is primary or replica" in done.stderr


# --- the image --------------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in text.splitlines()) if word]


def test_the_image_is_slim_and_pinned() -> None:
    bases = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert len(bases) == 2
    assert set(bases) == {"python:3.11-slim-bookworm"}
    [final] = [index for index, (word, rest) in enumerate(instructions()) if word == "FROM" and " AS " not in rest]
    last = dict(instructions()[final:])
    assert last["USER"] == "10001:10001"
    assert "/livez" in last["HEALTHCHECK"]
    assert last["ENTRYPOINT"] == '["router"]'
    assert [word for word, _ in instructions()[final:]].count("COPY") == 1
    assert not [rest for word, rest in instructions() if word == "ARG" or "PASSWORD" in rest or "TOKEN" in rest]


def test_the_image_installs_what_the_checkout_does() -> None:
    [version] = re.findall(r"uv==([\d.]+)", DOCKERFILE)
    assert f"uv_version={version}\n" in (ROOT / "deploy/setup.sh").read_text(encoding="utf-8")


def test_what_is_copied_is_there_and_let_in() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists()
                assert f"!{source}" in ignored


class _Livez(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/livez" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def http_server() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Livez) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(10)


def test_the_health_check_finds_a_router_that_lives() -> None:
    [check] = [rest for word, rest in instructions() if word == "HEALTHCHECK"]
    command = json.loads(check[check.index("[") :])
    assert command[:2] == ["python", "-c"]
    with http_server() as port:
        for path, status in (("/livez", 0), ("/elsewhere", 1)):
            environ = {**os.environ, "ROUTER_LIVEZ": f"http://127.0.0.1:{port}{path}"}
            done = subprocess.run([sys.executable, *command[1:]], env=environ, capture_output=True, timeout=30)
            assert done.returncode == status, done.stderr
