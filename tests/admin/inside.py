"""What a gateway would give, without one: two servers that exist only as fake connectors, two sessions."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry

from router.admin.asking import explain
from router.admin.state import Inside
from router.cluster.operations import Operations
from router.cluster.topology import Group, Topology
from router.config.models import RouterConfig
from router.log import LogLine
from router.metrics import Counters, ProcessGauges, RouterCollector, ServerGauges
from router.planner.catalog import Catalog
from router.planner.explaining import Explained
from router.planner.plan import Role
from router.session.registry import Glance, Killed
from tests.cluster.houses import bring_up, make_group

SETTINGS: dict[str, Any] = {
    "groups": {"main": {"servers": [{"name": name, "address": f"{name}:3306"} for name in ("a", "b")]}},
    "users": {"app": {"password": "hunter2"}},
    "schemas": {
        "shop": {
            "group": "main",
            "shards": {"s0": {"group": "main", "database": "shop0"}, "s1": {"group": "main"}},
            "tables": {
                "orders": {"shard_by": "id", "function": "hash"},
                "items": {"with": "orders", "shard_by": "order_id"},
                "few": {"shard_by": "id", "function": "hash", "shards": ["s0"]},
            },
        }
    },
    "rules": [
        {"name": "stop", "when": {"user": "app", "statement": "ddl"}, "reject": "not here"},
        {"send_to": {"role": "primary"}, "timeout": "2s"},
    ],
}
IDLE = Glance(7, "app", "10.0.0.1", "shop", "idle", 3.5, (), False, (), None, False, None, None)
BUSY = Glance(
    8,
    "app",
    "10.0.0.2",
    None,
    "running",
    0.25,
    (("main", "a", 77),),
    True,
    ("named_lock",),
    "shop",
    True,
    "SELECT 'x'",
    "SELECT ?",
)


class World:
    """``inside`` is the interface; the rest is what tests look at or change. ``killed``: (id, query only)."""

    def __init__(self, **changes: Any) -> None:
        self.config = RouterConfig.model_validate(SETTINGS)
        self.topology = Topology({"main": make_group("a", "b")})
        bring_up(self.topology.groups["main"], Role.PRIMARY, Role.REPLICA)
        self.counters = Counters()
        self.counters.rule_hits["stop"] = 4
        self.sessions = [IDLE, BUSY]
        self.lines = [LogLine(4, "2026-01-02T03:04:05Z", "info", "router.x", "started", {"port": "3307"})]
        self.lines.append(LogLine(5, "2026-01-02T03:04:06Z", "warning", "router.y", "odd", {}))
        self.changes: list[object] | Exception = ["limits.digests: 1 → 2"]
        self.killed: list[tuple[int, bool]] = []
        registry = CollectorRegistry()
        registry.register(RouterCollector(self.counters, self.gauges))
        given: dict[str, Any] = {
            "config": lambda: self.config,
            "gauges": self.gauges,
            "counters": self.counters,
            "operations": Operations(self.topology, self._look, list),
            "sessions": lambda: self.sessions,
            "kill": self._kill,
            "samples": registry.collect,
            "explain": self._explain,
            "changes": self._changes,
            "lines": lambda: self.lines,
        }
        self.inside = Inside(**(given | changes))

    async def _look(self, group: Group) -> None:
        """Nobody is asked how he is."""

    async def _explain(self, sql: str, user: str, schema: str | None, client: str | None) -> Explained:
        return explain(self.config, Catalog.build(self.config, 0), sql, user, schema, client)

    async def _changes(self) -> list[object]:
        if isinstance(self.changes, Exception):
            raise self.changes
        return self.changes

    async def _kill(self, connection_id: int, query_only: bool) -> Killed:
        if connection_id not in {each.connection_id for each in self.sessions}:
            return Killed.UNKNOWN
        self.killed.append((connection_id, query_only))
        return Killed.DONE

    def gauges(self) -> ProcessGauges:
        """As the gateway's."""
        servers = tuple(
            ServerGauges(
                group="main",
                server=server.name,
                role=server.role or "unknown",
                up=server.up,
                in_use=server.pool.in_use,
                idle=server.pool.idle,
                opening=0,
                waiting=0,
                waits=1,
                wait_seconds=0.5,
                timeouts=2,
                connect_errors=3,
                commands={"query": 5, "ping": 1},
                durations=server.durations,
                failures=4,
                max_connections=50,
            )
            for server in self.topology.groups["main"].servers
        )
        return ProcessGauges("1.2.3", 2, {"named_lock": 1}, 9, 1, 1, servers)
