"""What a supervisor and its workers say to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from prometheus_client.core import Metric

from router.cluster.following import GroupNews
from router.cluster.operations import Standing
from router.config.models import RouterConfig
from router.log import Setting
from router.metrics import Counters, ProcessGauges
from router.planner.observed import Observed
from router.session.registry import Glance, Numbering

# -- to a worker -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begin:
    """Asked first: serve. ``sockets``: how many come through the other pair, by the names of their addresses.

    ``draining`` are servers as (group, server), ``paused`` groups with the seconds that are left; ``logging`` is how
    the supervisor logs.
    """

    config: RouterConfig
    numbering: Numbering
    news: tuple[GroupNews, ...]
    sockets: Mapping[str, int]
    draining: Sequence[tuple[str, str]]
    paused: Mapping[str, float]
    maintenance: bool
    logging: Setting


@dataclass(frozen=True, slots=True)
class GoBy:
    """Asked: go by this configuration from now on."""

    config: RouterConfig
    news: tuple[GroupNews, ...]
    sockets: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class News:
    """Told: what servers of a group were found to be."""

    group: GroupNews


@dataclass(frozen=True, slots=True)
class Tell:
    """Asked: what the worker tells of itself; the answer is ``Told``. ``sessions``, ``digests``: those as well."""

    sessions: bool = False
    digests: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """One worker's numbers."""

    counters: Counters
    gauges: ProcessGauges
    sessions: tuple[Glance, ...]
    standing: tuple[Standing, ...]
    process: tuple[Metric, ...]
    digests: tuple[Observed, ...] = ()

    def with_digests(self, digests: tuple[Observed, ...]) -> Told:
        """The same, with digests told before."""
        return replace(self, digests=digests)


@dataclass(frozen=True, slots=True)
class Lines:
    """Asked: the lines of the worker's log after this number; the answer is a list of ``LogLine``."""

    after: int


@dataclass(frozen=True, slots=True)
class Explain:
    """Asked: where a statement would go; the answer is ``Explained``."""

    sql: str
    user: str
    schema: str | None
    client: str | None


@dataclass(frozen=True, slots=True)
class Drain:
    """Asked: nothing new for a server; the answer is ``Drained``."""

    group: str
    server: str
    wait: float


@dataclass(frozen=True, slots=True)
class Undrain:
    """Asked: use a server again; the answer is ``Drained``."""

    group: str
    server: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Asked: nothing new begins in the groups; the answer is a list of ``Paused``."""

    groups: tuple[str, ...]
    longest: float
    wait: float


@dataclass(frozen=True, slots=True)
class Resume:
    """Asked: the groups go on; the answer is a list of ``Paused``."""

    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Maintain:
    """Told: whether new logins are refused."""

    on: bool


@dataclass(frozen=True, slots=True)
class Leave:
    """Told: take nobody any more, serve those who are here to their ends, for so many seconds; then end."""

    patience: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Told: end, within so many seconds."""

    drain_timeout: float


# -- to the supervisor, or to another worker ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Suspect:
    """Told: a server has failed a session."""

    group: str
    server: str


@dataclass(frozen=True, slots=True)
class Look:
    """Asked: have the servers of a group say how they are; what they say is told before the answer."""

    group: str


@dataclass(frozen=True, slots=True)
class Kill:
    """Asked, and passed on: end a session, or what it runs; ``user``: only if it is theirs. The answer: ``Killed``."""

    connection_id: int
    query_only: bool
    user: str | None = None


@dataclass(frozen=True, slots=True)
class TablesChanged:
    """Asked, and passed on to the others: DDL has been run; answered when all have looked at the tables again."""
