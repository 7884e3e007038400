"""What parts of a process are given, as the configuration says: accounts, room, TLS."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from router.backend.connector import BackendUser
from router.cluster.gate import Gate
from router.cluster.topology import Topology
from router.config.models import RouterConfig
from router.frontend.auth import backend_user
from router.frontend.listener import tls_context
from router.metrics import Counters

if TYPE_CHECKING:
    from router.spans import Spans


def recorder_of(config: RouterConfig, counters: Counters) -> Spans | None:
    """Who takes recordings of statements. What it needs is an extra, and takes its time to load."""
    if config.tracing is None:
        return None
    from router.spans import Spans

    return Spans(config.tracing, counters)


def room_of(config: RouterConfig, topology: Topology) -> tuple[dict[str, int], dict[str, Gate]]:
    """Group → connections to each of its servers, and the gate that new statements go through."""
    connections = {name: group.pool.max_connections for name, group in config.groups.items()}
    return connections, {name: group.gate for name, group in topology.groups.items()}


def tls_for_operators(config: RouterConfig) -> tuple[ssl.SSLContext, bool] | None:
    """For operators: as the first listener with a certificate has it, and whether it is required there."""
    for listener in config.listeners:
        if (context := tls_context(listener)) is not None and listener.tls is not None:
            return context, listener.tls.mode == "required"
    return None


def monitor_accounts(config: RouterConfig) -> dict[str, BackendUser]:
    """Group → account for probes: its own, or the first user of the file."""
    name, user = next(iter(config.users.items()))
    fallback = backend_user(name, user)
    accounts = {}
    for group, settings in config.groups.items():
        monitor = settings.monitor
        if monitor.user is None:
            accounts[group] = fallback
        else:
            password = monitor.password.get_secret_value() if monitor.password is not None else ""
            accounts[group] = BackendUser(monitor.user, password)
    return accounts


def reader_accounts(config: RouterConfig) -> dict[str, BackendUser]:
    """Sharded schema → account that reads its table definitions: the first user who may use all of it."""
    accounts = {}
    for schema in (name for name, each in config.schemas.items() if each.shards):
        for name, user in config.users.items():
            if user.schemas is None or schema in user.schemas:
                accounts[schema] = backend_user(name, user)
                break
    return accounts
