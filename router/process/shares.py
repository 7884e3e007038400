"""What each of several workers may use: its part of the limits, so that together they keep to the configuration.

Connections to servers are divided without rest. Of clients each worker may have its part rounded up, because the
kernel, which divides those who come, does not count. `consistency: global` would need every worker to know what the
others have written: their reads go to the primary instead.
"""

from __future__ import annotations

import os

from router.config.models import Group, RouterConfig, User


def worker_count(config: RouterConfig) -> int:
    """How many workers there are to be; ``auto``: one for each processor that this process may use."""
    return len(os.sched_getaffinity(0)) if config.workers == "auto" else int(config.workers)


def share_of(config: RouterConfig, number: int, count: int) -> RouterConfig:
    """The configuration for worker ``number`` of ``count``."""
    limits = config.limits.model_copy(update={"max_connections": _up(config.limits.max_connections, count)})
    groups = {name: _group(group, number, count) for name, group in config.groups.items()}
    users = {name: _user(user, count) for name, user in config.users.items()}
    return config.model_copy(update={"limits": limits, "groups": groups, "users": users})


def _group(group: Group, number: int, count: int) -> Group:
    pool, reads = group.pool, group.reads
    most, least = _part(pool.max_connections, number, count), _part(pool.min_idle, number, count)
    if reads.consistency == "global":
        reads = reads.model_copy(update={"consistency": "strong"})
    pool = pool.model_copy(update={"max_connections": max(1, most), "min_idle": least})
    return group.model_copy(update={"pool": pool, "reads": reads})


def _user(user: User, count: int) -> User:
    if user.max_connections is None:
        return user
    return user.model_copy(update={"max_connections": _up(user.max_connections, count)})


def _part(total: int, number: int, count: int) -> int:
    return total // count + (number < total % count)


def _up(total: int, count: int) -> int:
    return -(-total // count)
