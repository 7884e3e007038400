"""The dashboards: as their description says, and every query of theirs gets data from a real Prometheus.

Grafana itself is not in the registries that the tests use. What it does with a panel is a query to Prometheus' HTTP API
with its variables filled in; that is what is tried here.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pymysql
import pytest
from ruamel.yaml import YAML

from router.sandbox import ReplicaSet, free_port, spawn, stop_process, wait_ready
from tests.deploy.tools import DEPLOY, metric_names, names_in, prometheus
from tests.fix_router import RunningRouter, settings_for

GRAFANA = DEPLOY / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
MODELS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FILES}
TARGETS = [
    (f"{name}: {panel['title']} {target['refId']}", str(target["expr"]))
    for name, model in MODELS.items()
    for panel in model["panels"]
    for target in panel["targets"]
]
PATIENCE = 25.0
ADMIN_PASSWORD = "let me in"
RULES = YAML(typ="safe").load((DEPLOY / "prometheus/rules.yml").read_text(encoding="utf-8"))
RECORDS = [rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule]


def description() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dashboards", GRAFANA / "dashboards.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "dashboards", module)
        spec.loader.exec_module(module)
    return module


# --- the files --------------------------------------------------------------------------------------------------------


def test_the_files_are_up_to_date() -> None:
    """`make docs` writes them."""
    module = description()
    assert {path.stem for path in FILES} == set(module.DASHBOARDS)
    for path in FILES:
        assert path.read_text(encoding="utf-8") == module.text_of(path.stem), path


def test_queries_ask_for_what_there_is() -> None:
    for title, expression in TARGETS:
        names = names_in(filled(expression))
        assert names <= metric_names(), title
        assert names or "up{" in expression, title


@pytest.mark.parametrize("name", MODELS)
def test_a_dashboard_is_whole(name: str) -> None:
    model = MODELS[name]
    assert model["uid"] == f"router-{name}"
    panels = model["panels"]
    assert len({panel["title"] for panel in panels}) == len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]
    used = {
        word
        for panel in panels
        for target in panel["targets"]
        for word in ("$instance", "$group")
        if word in target["expr"]
    }
    assert used <= {f"${variable['name']}" for variable in model["templating"]["list"]}


def test_all_that_happens_is_shown_somewhere() -> None:
    shown = {name for _, expression in TARGETS for name in names_in(filled(expression))}
    shown.add("router_build_info")  # the routers to choose from
    families = {name for name in metric_names() if not name.endswith(("_sum", "_count"))}
    families -= {"router_backend_connect_duration_seconds_bucket"}  # its sum and count are
    assert families <= shown, families - shown


def test_provisioning() -> None:
    yaml = YAML(typ="safe")
    [source] = yaml.load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    [provider] = yaml.load((GRAFANA / "provisioning/dashboards/router.yml").read_text())["providers"]
    assert provider["type"] == "file"


# --- with data --------------------------------------------------------------------------------------------------------


def filled(expression: str) -> str:
    """What Grafana sends: its variables with their values."""
    for variable, value in (("$instance", ".*"), ("$group", ".*"), ("$__rate_interval", "5s")):
        expression = expression.replace(variable, value)
    assert "$" not in expression
    return expression


class Prometheus:
    """A server of its own, which scrapes one router every second."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, **query: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            body = json.load(answer)
        assert body["status"] == "success", body
        return body["data"]

    def has_data(self, expression: str) -> bool:
        """Whether a panel with this query shows something."""
        now = time.time()
        data = self.get("query_range", query=expression, start=f"{now - 10}", end=f"{now}", step="1")
        return any(math.isfinite(float(value)) for series in data["result"] for _, value in series["values"])

    def without_data(self, expressions: dict[str, str], patience: float) -> dict[str, str]:
        """Those that have none even after so many seconds."""
        deadline = time.monotonic() + patience
        while expressions and time.monotonic() < deadline:
            expressions = {name: each for name, each in expressions.items() if not self.has_data(each)}
            threading.Event().wait(0.5)
        return expressions


@contextlib.contextmanager
def running_prometheus(directory: Path, target: str) -> Iterator[Prometheus]:
    """With the files of deploy/prometheus, but quicker and for ``target``."""
    config = YAML(typ="safe").load((DEPLOY / "prometheus/prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(DEPLOY / "prometheus" / name) for name in config["rule_files"]]
    [job] = config["scrape_configs"]
    job["static_configs"] = [{"targets": [target]}]
    password = directory / "password"
    password.write_text(ADMIN_PASSWORD, encoding="utf-8")
    job["basic_auth"]["password_file"] = str(password)
    path = directory / "prometheus.yml"
    path.write_text(json.dumps(config), encoding="utf-8")
    port, log = free_port(), directory / "prometheus.log"
    program = prometheus("prometheus")
    command = [program, f"--config.file={path}", f"--storage.tsdb.path={directory}/data"]
    with log.open("wb") as output:
        process = spawn([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=output, stderr=output)
    try:
        wait_ready(process, port, name="Prometheus", log=log, url=f"http://127.0.0.1:{port}/-/ready")
        yield Prometheus(port)
    finally:
        stop_process(process)


def settings_of(servers: ReplicaSet, directory: Path, admin: int, database: str) -> dict[str, Any]:
    """A replica set with two shards (as two databases of it), and rules."""
    settings = settings_for(servers, directory)
    settings["admin"] = {"http": f"127.0.0.1:{admin}", "users": {"prometheus": {"password": ADMIN_PASSWORD}}}
    shards = {f"s{number}": {"group": "main", "database": f"{database}_{number}"} for number in range(2)}
    tables = {"t": {"shard_by": "id", "function": "mod"}}
    settings["schemas"] = {database: {"group": "main", "shards": shards, "tables": tables}}
    main, replica = settings["groups"]["main"], servers.replicas[0]
    settings["groups"]["copies"] = {
        "servers": [{"name": "copy", "address": f"127.0.0.1:{replica.port}", "role": "replica"}],
        "monitor": main["monitor"],
    }
    settings["rules"] = [
        {"name": "copies", "when": {"statement": "select"}, "mirror": {"group": "copies", "percent": 100}},
        {"name": "theirs", "when": {"digest": "SELECT 5"}, "send_to": {"role": "primary"}},
    ]
    return settings


def work(router: RunningRouter, database: str, stop: threading.Event) -> None:
    """A little of everything that counters count, until told to stop."""
    with contextlib.suppress(pymysql.MySQLError):
        router.connect(password="wrong")
    with router.connect(database=database) as connection, connection.cursor() as cursor:
        cursor.execute("SET @pinned = NOW()")
        number = 0
        with router.connect(database=database) as other, other.cursor() as ordinary:
            while not stop.wait(0.05):
                number += 1
                cursor.execute("SELECT @pinned")
                ordinary.execute(f"INSERT INTO t VALUES ({number}, 'x')")
                for read in ("SELECT * FROM t WHERE id = 1", "SELECT COUNT(*) FROM t", "SELECT 5"):
                    ordinary.execute(read)
                    ordinary.fetchall()
                for wrong in (
                    "SELECT nothing FROM t WHERE id = 1",
                    "SELECT id, COUNT(*) FROM t GROUP BY v WITH ROLLUP",
                ):
                    with contextlib.suppress(pymysql.MySQLError):
                        ordinary.execute(wrong)


@pytest.fixture
def sharded_database(mariadb_set: ReplicaSet, fresh_database: str) -> Iterator[str]:
    names = [f"{fresh_database}_{number}" for number in range(2)]
    for name in names:
        mariadb_set.primary.execute(f"CREATE DATABASE {name}")
        mariadb_set.primary.execute(f"CREATE TABLE {name}.t (id INT PRIMARY KEY, v VARCHAR(20))")
    mariadb_set.wait_for_replicas()
    yield fresh_database
    for name in names:
        mariadb_set.primary.execute(f"DROP DATABASE {name}")


@pytest.mark.slow
def test_every_panel_and_rule_has_data(
    mariadb_set: ReplicaSet,
    sharded_database: str,
    tmp_path: Path,
    start_router: Callable[[dict[str, Any]], RunningRouter],
) -> None:
    admin = free_port()
    router = start_router(settings_of(mariadb_set, tmp_path, admin, sharded_database))
    stop = threading.Event()
    worker = threading.Thread(target=work, args=(router, sharded_database, stop))
    with running_prometheus(tmp_path, f"127.0.0.1:{admin}") as prometheus_server:
        worker.start()
        try:
            wanted = {title: filled(expression) for title, expression in TARGETS}
            wanted |= {record: record for record in RECORDS}
            missing = prometheus_server.without_data(wanted, PATIENCE)
            assert prometheus_server.without_data({"nothing": "router_nothing"}, 0.1), "it would be noticed"
            groups = prometheus_server.get("rules")["groups"]
        finally:
            stop.set()
            worker.join(30)
        assert not missing, "\n".join(f"{title}: {expression}" for title, expression in missing.items())
        unhealthy = [rule["name"] for group in groups for rule in group["rules"] if rule["health"] != "ok"]
        assert not unhealthy
