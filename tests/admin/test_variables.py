"""System variables of the admin interface."""

from __future__ import annotations

from router.admin.variables import COLLATION, COLLATION_ID, MAX_PACKET, variables
from router.wire.charset import collation


def test_they_fit_the_greeting_and_the_limits() -> None:
    found = variables("8.4.0-x", 7)
    assert (found["version"], found["pseudo_thread_id"]) == ("8.4.0-x", 7)
    assert found["max_allowed_packet"] == MAX_PACKET
    known = collation(COLLATION_ID, "mysql")
    assert known is not None
    assert known.name == COLLATION == found["collation_server"]
    assert all(name == name.lower() for name in found)
