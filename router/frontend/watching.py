"""One command on its way to one server and back: what happens to it is told to a trace.

Nothing of this is in the way of commands that nobody watches: their plan and what forwards their answer are their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from router.engine.executor import Executor
from router.engine.trace import Trace
from router.planner.observed import Observed
from router.planner.plan import Relay


class Write(Protocol):
    """Takes bytes of an answer."""

    def __call__(self, data: bytes) -> None:
        """Some of them."""


class _Watched(Observed):
    """Counts as ``real`` does, and tells when the statement has ended."""

    __slots__ = ("_ended", "_real")
    _real: Observed | None

    def __init__(self, real: Observed | None, ended: Callable[[], None]) -> None:
        if isinstance(real, _Watched):
            real = real._real  # an execution that was traced has been run again
        if real is not None:
            self.kind, self.slow = real.kind, real.slow
        else:
            self.slow = float("inf")
        self._real = real
        self._ended = ended

    def add(self, bucket: int, seconds: float, now: float, rows: int, *, failed: bool) -> None:
        """See ``Observed``."""
        if self._real is not None:
            self._real.add(bucket, seconds, now, rows, failed=failed)
        self._ended()


def take_answer(executor: Executor, frames: bytes, write: Write, take: Write) -> None:
    """The answer to the command in ``frames`` goes to ``take``, those to others go to ``write`` as always."""

    def forward(data: bytes) -> None:
        if executor.frame is frames:
            take(data)
        else:
            executor.forward = write
            write(data)

    executor.forward = forward


class Watch:
    """Tells ``trace``; ``plan`` is to be run instead of the one that was given, with the command in ``frames``.

    ``write`` is where answers go. Over with the answer, or when ``end`` is called.
    """

    __slots__ = ("_executor", "_frames", "_leg", "_over", "_trace", "_write", "plan")

    def __init__(self, executor: Executor, trace: Trace, plan: Relay, frames: bytes, write: Write) -> None:
        self._executor = executor
        self._trace = trace
        self._frames = frames
        self._write = write
        self._leg = executor.leasing.trace = trace.leg(plan)
        self._over = False
        self.plan = replace(plan, observed=_Watched(plan.observed, self._answered))
        take_answer(executor, frames, write, self._came)

    def _came(self, data: bytes) -> None:
        self._leg.came()
        self._write(data)

    def _answered(self) -> None:
        """The server's answer is complete. Not the first one, perhaps: transactions are run again."""
        executor = self._executor
        server, connection = executor.held, executor.connection
        if not self._over and executor.frame is self._frames and server is not None and connection is not None:
            self._leg.behind = executor.leasing.awaits is not None
            self._leg.on(server, connection)
            self._leg.ended(connection)
        self.end()

    def end(self) -> None:
        """Nothing more will be heard of the command."""
        if self._over:
            return
        self._over = True
        executor, leg = self._executor, self._leg
        leg.waits.end()
        server, connection = executor.held, executor.connection
        if not leg.last and server is not None and connection is not None and connection.busy:
            leg.on(server, connection)  # its answer is not for this client any more
            leg.broke()
        if executor.leasing.trace is leg:
            executor.leasing.trace = None
            executor.forward = self._write
        if leg.server is not None:
            # It was sent when all waits were over; nobody has told when that was.
            leg.sent = executor.started + sum(wait.seconds for wait in leg.waits.found)
        self._trace.end()
