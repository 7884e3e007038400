"""What parts are given by the configuration, as far as the gateway's tests do not show it."""

from __future__ import annotations

from typing import Any

from router.backend.connector import BackendUser
from router.config.models import RouterConfig
from router.wiring import monitor_accounts

SETTINGS: dict[str, Any] = {
    "groups": {
        "main": {"servers": ["127.0.0.1:1"]},
        "watched": {"servers": ["127.0.0.1:1"], "monitor": {"user": "watcher", "password": "w"}},
    },
    "users": {"first": {"password": "1"}, "second": {"password": "2"}},
    "schemas": {"blog": {"group": "watched"}},
}


def test_probes_use_the_monitor_account_or_the_first_user() -> None:
    accounts = monitor_accounts(RouterConfig.model_validate(SETTINGS))
    assert accounts == {"main": BackendUser("first", "1"), "watched": BackendUser("watcher", "w")}
