"""What operators may ask before they do it: where a statement would go, and what a reload would change."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from pathlib import Path

from router.config.differences import Difference, differences
from router.config.findings import did_you_mean
from router.config.loader import load
from router.config.models import RouterConfig
from router.errors import ConfigError, NoSuchName, Problem
from router.planner.catalog import Catalog
from router.planner.explaining import Explained, explained


def explain(
    config: RouterConfig, catalog: Catalog, sql: str, user: str, schema: str | None, client: str | None
) -> Explained:
    """As EXPLAIN ROUTE of that user, who is in his default schema unless another one is given.

    ``client`` is an address, for rules. Raises NoSuchName, and ValueError for what is no address.
    """
    check(config, user, client)
    return explained(catalog, sql, user, schema or config.users[user].default_schema, client)


def check(config: RouterConfig, user: str, client: str | None) -> None:
    """Whether there is such a user, and the client is an address. Raises NoSuchName, ValueError."""
    if user not in config.users:
        raise NoSuchName(f"no user is called '{user}'{did_you_mean(user, config.users)}")
    if client is not None:
        try:
            ip_address(client)
        except ValueError:
            raise ValueError("client must be an IP address") from None


async def read_again(path: Path | None) -> RouterConfig:
    """The file as it is now. Raises ConfigError."""
    if path is None:
        raise ConfigError([Problem("-", 1, 1, "", "the configuration is not from a file")])
    return await asyncio.to_thread(load, path)


async def changes(config: RouterConfig, path: Path | None) -> list[Difference]:
    """What a reload would change; nothing is done. Raises ConfigError."""
    return differences(config, await read_again(path))
