"""Statements of one session about what tables there are: the shards are asked first, then the statement is run."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from router.cluster.describing import Descriptions
from router.engine.executor import Executor
from router.errors import BackendError, MySQLError
from router.planner.description import text_of
from router.planner.plan import Described
from router.tasks import spawn

log = structlog.get_logger(__name__)


class Describing:
    """``alive`` tells whether the client is still there, ``refuse`` answers an error."""

    __slots__ = ("_alive", "_descriptions", "_executor", "_refuse")

    def __init__(
        self,
        executor: Executor,
        descriptions: Descriptions,
        alive: Callable[[], bool],
        refuse: Callable[[MySQLError], None],
    ) -> None:
        self._executor = executor
        self._descriptions = descriptions
        self._alive = alive
        self._refuse = refuse

    def run(self, plan: Described, sql: bytes, run: Callable[[bytes], None]) -> None:
        """Have the text that the plan makes of the statement run."""
        executor = self._executor
        mode = executor.session.mode

        async def describe() -> None:
            group = plan.relay.group
            try:
                found = await self._descriptions.of(executor.user, group, plan.schemas, plan.views, plan.shown)
                text = text_of(plan.asks, sql, mode, found.listings, found.flavor)
            except (BackendError, LookupError, TypeError, ValueError) as error:
                # Whatever a server has answered, the client must not wait for ever.
                log.warning("the shards' tables cannot be described", exc_info=error)
                if self._alive():
                    self._refuse(MySQLError(1105, "HY000", f"router: the shards' tables cannot be described: {error}"))
                return
            if self._alive():
                run(text)

        if plan.views:
            spawn(describe(), "describe tables")
        else:
            run(text_of(plan.asks, sql, mode, {}, ""))
