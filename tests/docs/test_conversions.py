"""The conversions by hand: what other routers' files say is in ours, and keys lie where they lay."""

from __future__ import annotations

import re
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.nodes import MappingNode

from router.config.models import RouterConfig
from tests.docs.blocks import ROOT, blocks
from tests.docs.configurations import ENVIRON, read

# Their files, by page; YAML or INI.
FILES = {
    "docs/how-to/come-from-shardingsphere.md": "database-sharding.yaml",
    "docs/how-to/come-from-mysql-router.md": "mysqlrouter.conf",
}
TABLES = """
CREATE TABLE t_order (order_id BIGINT PRIMARY KEY, user_id BIGINT NOT NULL);
CREATE TABLE t_order_item (item_id BIGINT PRIMARY KEY, order_id BIGINT, user_id BIGINT NOT NULL);
CREATE TABLE t_address (id BIGINT PRIMARY KEY);
"""


class WithTags(SafeConstructor):
    """ShardingSphere's rules are mappings with a tag; here each has its tag as ``rule``."""


def _rule(loader: WithTags, tag: str, node: MappingNode) -> dict[str, Any]:
    return {"rule": tag, **loader.construct_mapping(node, deep=True)}


WithTags.add_multi_constructor("!", _rule)


def shown(page: str) -> tuple[str, dict[str, Any], str]:
    """Their file, ours as a document, and ours as text."""
    theirs = next(block.text for block in blocks(page) if block.file == FILES[page])
    ours = next(block.text for block in blocks(page) if block.language == "yaml" and not block.file)
    return theirs, read(ours), ours


def test_shardingsphere(tmp_path: Path) -> None:
    text, ours, file = shown("docs/how-to/come-from-shardingsphere.md")
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = WithTags
    theirs = yaml.load(text)
    schema = ours["schemas"][theirs["databaseName"]]
    for name, source in theirs["dataSources"].items():
        place = re.match(r"jdbc:mysql://([^/]+)/(\w+)", source["url"])
        assert place is not None
        shard = schema["shards"][name]
        assert shard["database"] == place[2]
        assert ours["groups"][shard["group"]]["servers"] == [place[1]]
        assert ours["groups"][shard["group"]]["pool"]["max_connections"] == source["maxPoolSize"]
    rules = {rule["rule"].lstrip("!"): rule for rule in theirs["rules"]}
    sharding = rules["SHARDING"]
    for name, table in sharding["tables"].items():
        assert schema["tables"][name]["shard_by"] == table["databaseStrategy"]["standard"]["shardingColumn"]
    for together in sharding["bindingTables"]:
        first, *others = together.split(",")
        assert {schema["tables"][other]["with"] for other in others} == {first}
    assert all(schema["tables"][name] == {"broadcast": True} for name in rules["BROADCAST"]["tables"])
    # ds_${user_id % 2}
    (tmp_path / "routes.yaml").write_text(file, encoding="utf-8")
    (tmp_path / "tables.sql").write_text(TABLES, encoding="utf-8")
    for key in (6, 7):
        sql = f"SELECT * FROM t_order o JOIN t_order_item i ON i.user_id = o.user_id WHERE o.user_id = {key}"
        done = subprocess.run(
            [ROOT / ".venv/bin/router", "explain", "--config", "routes.yaml", "--tables", "tables.sql", sql],
            cwd=tmp_path,
            env=ENVIRON,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()[1:]
        assert [re.findall(r"\bds_\d\b", line) for line in lines] == [[f"ds_{key % 2}"]], done.stdout


def test_mysql_router() -> None:
    text, ours, _ = shown("docs/how-to/come-from-mysql-router.md")
    theirs = ConfigParser()
    theirs.read_string(text)
    split = theirs["routing:bootstrap_rw_split"]
    assert ours["listeners"][0]["address"].endswith(f":{split['bind_port']}")
    assert ours["listeners"][0]["tls"]["mode"] == split["client_ssl_mode"].lower()
    [(name, group)] = ours["groups"].items()
    assert f"//{name}/" in split["destinations"]
    assert group["tls"]["mode"] == split["server_ssl_mode"].lower()
    assert group["reads"]["balance"] == split["routing_strategy"].replace("-", "_")
    assert group["pool"]["max_connections"] == theirs.getint("DEFAULT", "max_idle_server_connections")
    assert ours["limits"]["max_connections"] == theirs.getint("DEFAULT", "max_total_connections")


def test_the_tables_name_keys_that_exist() -> None:
    """What a page calls one of our keys, such as ``pool.max_age`` or ``reads.balance``, is one."""
    schema = RouterConfig.model_json_schema(by_alias=True)
    known = {f"{part.lower()}.{key}" for part, found in schema["$defs"].items() for key in found.get("properties", {})}
    for page in FILES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for part, key in re.findall(r"`(pool|reads|limits|monitor)\.(\w+)(?::[^`]*)?`", text):
            assert f"{part}.{key}" in known, f"{page}: {part}.{key}"
