"""What sessions share."""

from __future__ import annotations

from router.cluster.topology import Server, Topology
from router.engine.admission import Admission
from router.engine.services import Services
from router.metrics import Counters


def test_what_set_names_does_is_remembered_for_all_sessions_of_a_process() -> None:
    suspects: list[Server] = []
    first, second = (Services(Topology({}), Counters(), suspects.append, str, Admission({})) for _ in range(2))
    first.set_names["10.11 latin1_swedish_ci", b"SET NAMES utf8"] = ("utf8mb3", "utf8mb3", "utf8mb3_general_ci")
    assert second.set_names == {}
