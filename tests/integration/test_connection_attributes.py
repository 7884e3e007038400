"""What clients say of themselves at login reaches the server, with the connection that is opened for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from router.sandbox import SandboxUnavailable, start_replica_set
from tests.clients.ways import missing
from tests.fix_router import RunningRouter, settings_for

WHO = (
    "SELECT attr_name, attr_value FROM performance_schema.session_connect_attrs AS a "
    "JOIN information_schema.processlist AS p ON p.id = a.processlist_id WHERE p.user = 'app'"
)


@pytest.mark.parametrize("database", [None, "mysql"])
def test_programs_are_named(
    tmp_path: Path, start_router: Callable[[dict[str, Any]], RunningRouter], database: str | None
) -> None:
    try:
        made = start_replica_set("mariadb", replicas=0, performance_schema=True)
    except SandboxUnavailable as unavailable:
        missing(str(unavailable))
    with made as servers:
        router = start_router(settings_for(servers, tmp_path, pool={"max_connections": 1}))
        with router.connect(program_name="shop ✓", database=database) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT 1")
            named: dict[Any, Any] = dict(servers.primary.execute(WHO))
            assert named["program_name"] == "shop ✓"
            assert named["_client_name"] == "pymysql"
            assert named["_client_ip"] == "127.0.0.1"
        router.stop()
