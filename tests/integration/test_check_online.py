"""``router check --online`` in front of real servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from typer.testing import CliRunner

from router.cli import app
from router.reporting import registry_of
from router.sandbox import ReplicaSet
from tests.fix_router import RunningRouter, settings_for

DATABASES = ("fair", "fair_0", "fair_1")


@pytest.fixture
def fair(server_set: ReplicaSet, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Settings of a schema with two shards, whose tables are all there."""
    primary = server_set.primary
    for database in DATABASES:
        primary.execute(f"DROP DATABASE IF EXISTS {database}")
        primary.execute(f"CREATE DATABASE {database}")
    for database in DATABASES[1:]:
        primary.execute(f"CREATE TABLE {database}.stands (id BIGINT PRIMARY KEY, name VARCHAR(20))")
        primary.execute(f"CREATE TABLE {database}.towns (id INT PRIMARY KEY)")
    server_set.wait_for_replicas()
    settings = settings_for(server_set, tmp_path, reads={"from": "primary"})
    settings["schemas"] = {
        "fair": {
            "group": "main",
            "shards": {f"s{number}": {"group": "main", "database": f"fair_{number}"} for number in (0, 1)},
            "tables": {"stands": {"shard_by": "id", "function": "mod"}, "towns": {"broadcast": True}},
            "ids": {"stands.id": {"generator": "snowflake"}},
        }
    }
    yield settings
    for database in DATABASES:
        primary.execute(f"DROP DATABASE {database}")


def checked(settings: dict[str, Any], path: Path, *options: str) -> tuple[int, str, str]:
    path.write_text(json.dumps(settings, indent=1))
    result = CliRunner().invoke(app, ["check", str(path), "--online", *options])
    return result.exit_code, result.stdout, result.stderr


def test_all_is_well(fair: dict[str, Any], tmp_path: Path, server_set: ReplicaSet) -> None:
    path = tmp_path / "routes.yaml"
    code, out, err = checked(fair, path)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["group", "server", "role", "version", "tls"]
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["main", server.name, "primary" if server is server_set.primary else "replica"] for server in server_set.servers
    ]
    assert lines[5:8] == [
        "table        shards  key        state",
        "fair.stands  s0, s1  id bigint  ok",
        "fair.towns   s0, s1  broadcast  ok",
    ]
    assert lines[-1].startswith(f"{path}: ok: 1 group, 3 servers")
    code, out, _ = checked(fair, path, "--json")
    found = json.loads(out)
    assert (code, found["ok"], found["problems"]) == (0, True, [])
    assert found["servers"][0]["flavor"] == server_set.primary.flavor
    assert found["tables"][0] == {
        "schema": "fair",
        "table": "stands",
        "shards": ["s0", "s1"],
        "key": "id bigint",
        "state": "ok",
    }


def test_what_is_wrong_has_its_place(fair: dict[str, Any], tmp_path: Path, server_set: ReplicaSet) -> None:
    primary = server_set.primary
    primary.execute("ALTER TABLE fair_1.stands ADD COLUMN more INT")
    primary.execute("DROP TABLE fair_1.towns")
    fair["groups"]["main"]["servers"].append({"name": "nobody", "address": "127.0.0.1:1"})
    fair["users"]["stranger"] = {"password": "wrong"}
    path = tmp_path / "routes.yaml"
    code, out, err = checked(fair, path)
    assert code == 1
    text = path.read_text().splitlines()
    told = {}
    for line in err.splitlines():
        place, _, message = line.removeprefix(f"{path}:").partition(": ")
        number, column = map(int, place.split(":"))
        told[message.partition(": ")[0]] = (text[number - 1][column - 1 :].rstrip(",[{: "), message)
    assert told["groups.main.servers.3"][1].startswith("groups.main.servers.3: server nobody: ")
    assert told["users.stranger"][0] == '"stranger"'
    assert "account 'stranger' cannot log in to server" in told["users.stranger"][1]
    assert told["schemas.fair.tables.stands"] == (
        '"stands"',
        "schemas.fair.tables.stands: cannot be used: column 'more' is on shard s1 only",
    )
    assert told["schemas.fair.tables.towns"][1].endswith("there is none on shard s1")
    assert "no answer" in out
    code, out, _ = checked(fair, path, "--json")
    found = json.loads(out)
    assert (code, found["ok"]) == (1, False)
    assert {each["severity"] for each in found["problems"]} == {"error"}


def test_databases_that_are_not_there(fair: dict[str, Any], tmp_path: Path) -> None:
    fair["schemas"]["fair"]["shards"]["s1"]["database"] = "fair_9"
    code, _, err = checked(fair, tmp_path / "routes.yaml")
    assert code == 1
    assert "schemas.fair.shards.s1: there is no database 'fair_9' on server" in err


def test_missing_privileges(fair: dict[str, Any], tmp_path: Path, server_set: ReplicaSet) -> None:
    primary = server_set.primary
    primary.execute("CREATE USER 'small'@'%' IDENTIFIED BY 'small'")
    try:
        primary.execute("GRANT SELECT ON fair.* TO 'small'@'%'")
        primary.execute("GRANT SELECT, INSERT ON fair_0.* TO 'small'@'%'")
        primary.execute("GRANT SELECT ON fair_1.stands TO 'small'@'%'")
        server_set.wait_for_replicas()
        fair["users"] = {"app": fair["users"]["app"], "small": {"password": "small"}}
        code, _, err = checked(fair, tmp_path / "routes.yaml")
        assert code == 0
        assert "users.small: account 'small' has no privileges on towns in 'fair_1' (shard s1) on server" in err
        fair["users"] = {"small": {"password": "small"}}
        code, _, err = checked(fair, tmp_path / "routes.yaml")
        assert code == 1
        assert "schemas.fair.ids: there is no table router_workers, and account 'small' may not create it" in err
        primary.execute(
            "CREATE TABLE fair.router_workers (worker SMALLINT UNSIGNED PRIMARY KEY, owner VARCHAR(64) NOT NULL,"
            " expires BIGINT NOT NULL, reached BIGINT NOT NULL)"
        )
        server_set.wait_for_replicas()
        code, _, err = checked(fair, tmp_path / "routes.yaml")
        assert "schemas.fair.ids: account 'small' cannot write table router_workers: " in err
        primary.execute("GRANT INSERT, UPDATE ON fair.* TO 'small'@'%'")
        assert "schemas.fair.ids" not in checked(fair, tmp_path / "routes.yaml")[2]
    finally:
        primary.execute("DROP USER 'small'@'%'")


def test_differences_are_a_metric(
    fair: dict[str, Any], server_set: ReplicaSet, start_router: Callable[[dict[str, Any]], RunningRouter]
) -> None:
    router = start_router(fair)

    def metric(table: str) -> float:
        text = router.call(lambda gateway: generate_latest(registry_of(gateway.counters, gateway.gauges))).decode()
        (line,) = (each for each in text.splitlines() if each.startswith("router_schema_differences") and table in each)
        return float(line.rpartition(" ")[2])

    assert (metric("stands"), metric("towns")) == (0, 0)
    with router.connect(database="fair") as connection, connection.cursor() as cursor:
        server_set.primary.execute("DROP TABLE fair_1.towns")
        # Any DDL has the tables looked at.
        cursor.execute("ALTER TABLE stands ADD COLUMN more INT")
    assert (metric("stands"), metric("towns")) == (0, 1)
