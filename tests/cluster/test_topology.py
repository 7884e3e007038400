"""Who takes what: primary and readers of a group as servers come, go and change their roles."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from router.cluster.topology import Group, Server, Topology
from router.config.models import RouterConfig
from router.errors import BackendUnavailable
from router.planner.plan import Role
from router.sandbox.tls import make_certificates
from router.session.gtids import Token
from tests.cluster.houses import bring_up, make_group
from tests.fakes import PROFILE, FakeConnector, leased, virtually

P, R = Role.PRIMARY, Role.REPLICA


def group_of_three(**settings: Any) -> Group:
    return make_group("a", "b", "c", **settings)


def readers(group: Group) -> set[str]:
    return {server.name for server in group.readers}


# --- roles ------------------------------------------------------------------------------------------------------------


def test_a_new_group_has_nobody() -> None:
    group = group_of_three()
    assert group.primary is None
    assert group.readers == ()
    assert group.reader() is None
    assert group.profile is None


@pytest.mark.parametrize(
    ("roles", "primary", "replicas", "any_"),
    [
        ((P, R, R), "a", "bc", "abc"),
        ((R, R, P), "c", "ab", "abc"),
        ((P, None, None), "a", "a", "a"),
        ((None, R, R), None, "bc", "bc"),
        ((P, None, R), "a", "c", "ac"),
        ((None, None, None), None, "", ""),
    ],
)
def test_primary_and_readers(roles: tuple[Role | None, ...], primary: str | None, replicas: str, any_: str) -> None:
    for source, expected in (("replicas", replicas), ("any", any_), ("primary", primary or "")):
        group = group_of_three(reads={"from": source})
        bring_up(group, *roles)
        assert (group.primary.name if group.primary else None) == primary
        assert readers(group) == set(expected)


def test_configured_roles_need_no_probe() -> None:
    group = make_group({"name": "a", "role": "primary"}, {"name": "b", "role": "replica"}, "c")
    assert [server.role for server in group.servers] == [P, R, None]
    for server in group.servers:
        server.up = True
    group.refresh()
    assert group.primary is group.servers[0]
    assert readers(group) == {"b"}, "c has not said yet what it is"


def test_never_two_primaries() -> None:
    group = group_of_three()
    bring_up(group, R, P, R)
    first = group.primary
    with capture_logs() as logs:
        bring_up(group, P, P, R)
        assert group.primary is first, "the one we had"
        assert readers(group) == {"c"}, "the other one may be anything"
    assert any("writable" in entry["event"] for entry in logs)
    bring_up(group, P, R, R)
    assert group.primary is group.servers[0]


def test_a_primary_that_comes_back_does_not_take_over() -> None:
    group = group_of_three()
    bring_up(group, P, R, R)
    bring_up(group, None, P, R)
    bring_up(group, P, P, R)
    assert group.primary is group.servers[1]


@given(st.lists(st.tuples(*[st.sampled_from([P, R, None])] * 3), min_size=1, max_size=8))
def test_whatever_happens_the_primary_is_writable_and_stays_while_it_is(
    history: list[tuple[Role | None, Role | None, Role | None]],
) -> None:
    group = group_of_three()
    for roles in history:
        before = group.primary
        bring_up(group, *roles)
        writable = [server for server in group.servers if server.up and server.role is P]
        if before in writable:
            assert group.primary is before
        elif writable:
            assert group.primary in writable
        else:
            assert group.primary is None
        assert all(server.up for server in group.readers)


# --- readers ----------------------------------------------------------------------------------------------------------


def test_readers_take_turns() -> None:
    group = group_of_three()
    bring_up(group, P, R, R)
    chosen = [group.reader() for _ in range(10)]
    assert {server.name for server in chosen if server} == {"b", "c"}


def test_another_reader_after_a_failure() -> None:
    group = group_of_three()
    bring_up(group, P, R, R)
    a, b, c = group.servers
    assert {group.reader(without=b) for _ in range(10)} == {c}
    bring_up(group, P, R, None)
    assert group.reader(without=b) is a, "the primary, before nobody"
    bring_up(group, P, None, None)
    assert group.reader(without=a) is None
    assert group.reader() is a


def test_a_replica_of_weight_0_takes_no_reads_while_the_primary_can() -> None:
    group = make_group("a", {"name": "b", "weight": 0})
    bring_up(group, P, R)
    assert group.reader() is group.servers[0]
    bring_up(group, None, R)
    assert group.reader() is group.servers[1]


def test_the_profile_is_that_of_the_primary_or_of_anybody() -> None:
    group = group_of_three()
    connectors = [server.connector for server in group.servers]
    for connector in connectors:
        assert isinstance(connector, FakeConnector)
    connectors[2].profile = PROFILE
    assert group.profile is PROFILE
    bring_up(group, P, R, R)
    assert group.profile is PROFILE, "the primary has not been read yet"
    other = make_group("x").servers[0].connector
    assert other.profile is None


# --- building ---------------------------------------------------------------------------------------------------------


def build(**main: Any) -> Topology:
    settings = {
        "limits": {"connect_timeout": "7s"},
        "groups": {
            "main": {
                "servers": [
                    "127.0.0.1:3306",
                    "10.0.0.2:3307",
                    {"address": "unix:/run/db.sock", "name": "local", "weight": 5},
                ],
                **main,
            },
            "reports": {"servers": ["[::1]:3308"]},
        },
        "users": {"app": {"password": "x"}},
    }
    return Topology.build(RouterConfig.model_validate(settings))


def test_a_topology_is_built_without_a_connection() -> None:
    topology = build(
        pool={"max_connections": 9, "min_idle": 2, "queue_timeout": "3s", "max_age": "1m"},
    )
    assert [server.name for server in topology.servers()] == ["127.0.0.1:3306", "10.0.0.2:3307", "local", "[::1]:3308"]
    assert [server.group for server in topology.servers()] == ["main", "main", "main", "reports"]
    assert [server.weight for server in topology.groups["main"].servers] == [1, 1, 5]
    pool = topology.groups["main"].servers[0].pool
    assert (pool.max_connections, pool.min_idle, pool.queue_timeout, pool.max_age) == (9, 2, 3.0, 60.0)
    endpoint = pool.connector.endpoint
    assert (endpoint.address.host, endpoint.address.port, endpoint.connect_timeout) == ("127.0.0.1", 3306, 7.0)
    assert not any(server.up for server in topology.servers())
    topology.close()
    assert all(server.pool.closing for server in topology.servers())


@pytest.mark.parametrize(
    ("mode", "local", "remote", "required"),
    [("disabled", False, False, False), ("preferred", False, True, False), ("required", True, True, True)],
)
def test_tls_towards_servers(mode: str, local: bool, remote: bool, required: bool) -> None:
    here, there, unix = build(tls={"mode": mode}).groups["main"].servers
    assert (here.connector.endpoint.tls is not None) is local
    assert (unix.connector.endpoint.tls is not None) is local
    assert (there.connector.endpoint.tls is not None) is remote
    assert there.connector.endpoint.tls_required is required


@pytest.mark.parametrize(
    ("verify", "mode", "hostname"),
    [("none", ssl.CERT_NONE, False), ("ca", ssl.CERT_REQUIRED, False), ("full", ssl.CERT_REQUIRED, True)],
)
def test_verification(verify: str, mode: ssl.VerifyMode, hostname: bool) -> None:
    context = build(tls={"mode": "required", "verify": verify}).groups["main"].servers[1].connector.endpoint.tls
    assert context is not None
    assert context.verify_mode is mode
    assert context.check_hostname is hostname


def test_certificates(tmp_path: Any) -> None:
    made = make_certificates(tmp_path)
    files = {"ca": str(made.ca), "certificate": str(made.certificate), "key": str(made.key)}
    context = build(tls={"mode": "required", **files}).groups["main"].servers[1].connector.endpoint.tls
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1, "only the authority that was named"


# --- lag and fencing --------------------------------------------------------------------------------------------------


def flagged(group: Group, flag: str, *names: str) -> None:
    for server in group.servers:
        setattr(server, flag, server.name in names)
    group.refresh()


@pytest.mark.parametrize("source", ["replicas", "any"])
def test_replicas_that_lag_or_rest_leave_the_readers(source: str) -> None:
    group = group_of_three(reads={"from": source})
    bring_up(group, P, R, R)
    primary = {"a"} if source == "any" else set()
    for flag in ("lagging", "rests"):
        flagged(group, flag, "b")
        assert readers(group) == {"c"} | primary
        flagged(group, flag, "b", "c")
        assert readers(group) == {"a"}
        flagged(group, flag)


def test_without_a_primary_who_was_current_reads() -> None:
    group = group_of_three()
    bring_up(group, None, R, R)
    flagged(group, "lagging", "b", "c")
    flagged(group, "stale", "b")
    assert readers(group) == {"c"}
    flagged(group, "rests", "c")
    assert readers(group) == {"c"}, "there is nobody else"
    flagged(group, "stale", "b", "c")
    assert readers(group) == set()


def test_what_a_server_is_for_its_group() -> None:
    group = group_of_three()
    bring_up(group, P, R, P)
    a, b, c = group.servers
    assert [group.role_of(server) for server in (a, b, c)] == [P, R, None]
    assert [server.fenced for server in (a, b, c)] == [False, False, True]
    a.identity = "u1"
    c.sources = frozenset({("u1", "10.9.9.9", 3306)})
    group.refresh()
    assert (group.role_of(c), c.fenced) == (R, False), "it follows the primary"
    assert readers(group) == {"b", "c"}
    c.sources = frozenset({("", "db.example", 3306)})
    group.refresh()
    assert not c.fenced, "found by its address"
    bring_up(group, None, R, R)
    assert group.role_of(a) is P, "as far as is known"


@given(
    st.lists(st.tuples(*[st.sampled_from([P, R, None])] * 3), min_size=1, max_size=5),
    st.sets(st.sampled_from("abc")),
    st.sets(st.sampled_from("abc")),
)
def test_whatever_happens_nobody_reads_from_a_fenced_server(
    history: list[tuple[Role | None, Role | None, Role | None]], lagging: set[str], stale: set[str]
) -> None:
    group = group_of_three(reads={"from": "any"})
    flagged(group, "lagging", *(lagging | stale))
    flagged(group, "stale", *stale)
    for roles in history:
        bring_up(group, *roles)
        writable = [server for server in group.servers if server.up and server.role is P]
        assert [server for server in writable if not server.fenced] == [group.primary] * bool(writable)
        for server in group.readers:
            assert server.up
            assert not server.fenced
            assert server is group.primary or server.name not in stale


# --- drain and pause --------------------------------------------------------------------------------------------------


@virtually
async def test_a_drained_replica_takes_no_reads() -> None:
    group = group_of_three()
    bring_up(group, P, R, R)
    group.drain(group.servers[1])
    assert readers(group) == {"c"}
    bring_up(group, P, None, R)
    bring_up(group, P, R, R)
    assert readers(group) == {"c"}, "it survives going down and up"
    group.drain(group.servers[2])
    assert readers(group) == {"a"}, "as if no replica were left"
    group.undrain(group.servers[1])
    assert readers(group) == {"b"}


@virtually
async def test_a_drained_primary_takes_nothing_and_is_not_fenced() -> None:
    group = group_of_three()
    bring_up(group, P, R, R)
    old, new, _ = group.servers
    with capture_logs() as logs:
        group.drain(old)
        assert (group.primary, group.elected) == (None, None)
        assert readers(group) == {"b", "c"}
        bring_up(group, P, P, R)
        assert group.primary is new
        assert not old.fenced
    assert [entry for entry in logs if entry["log_level"] in ("warning", "error")] == []
    assert group.role_of(old) is P
    group.undrain(old)
    assert group.primary is new, "back in use, it is one that could be written"
    assert old.fenced


@virtually
async def test_nobody_takes_over_while_somebody_is_held_on_the_primary_that_drains() -> None:
    group = group_of_three()
    bring_up(group, P, R, R)
    old, new, _ = group.servers
    held = await leased(old.pool)
    group.drain(old)
    assert group.primary is None
    assert group.elected is old, "transactions may go on"
    bring_up(group, P, P, R)
    assert (group.primary, group.elected) == (None, old)
    assert readers(group) == {"c"}, "the new one may be anything"
    old.pool.release(held)
    group.refresh()
    assert group.primary is new


@virtually
async def test_a_primary_that_drains_is_left_at_once_when_it_cannot_be_written() -> None:
    group = group_of_three()
    bring_up(group, P, R, R)
    old, new, _ = group.servers
    held = await leased(old.pool)
    group.drain(old)
    bring_up(group, R, P, R)
    assert group.primary is new
    old.pool.discard(held)


@virtually
async def test_a_paused_group_takes_nothing_but_knows_its_primary() -> None:
    for source in ("replicas", "any", "primary"):
        group = group_of_three(reads={"from": source})
        bring_up(group, P, R, R)
        before = (group.primary, readers(group))
        group.pause()
        bring_up(group, P, R, None)
        bring_up(group, P, R, R)
        assert (group.primary, group.readers, group.reader()) == (None, (), None)
        assert group.elected is group.servers[0]
        assert group.role_of(group.servers[0]) is P
        group.resume()
        assert (group.primary, readers(group)) == before


@virtually
async def test_a_promotion_during_a_pause() -> None:
    group = group_of_three()
    bring_up(group, P, R, R)
    group.pause()
    bring_up(group, R, R, R)
    bring_up(group, R, P, R)
    seen: list[Server | None] = []
    group.gate.wait(lambda: seen.append(group.primary))
    group.resume()
    assert seen == [group.servers[1]], "whoever is let in finds everything in order"


@virtually
async def test_who_asks_for_the_router_waits_for_a_primary() -> None:
    group = group_of_three(failover_timeout="2s")
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(BackendUnavailable, match="has no primary"):
        await group.writer()
    assert 2 <= loop.time() - began < 2.2
    asking = asyncio.create_task(group.writer())
    group.pause()
    await asyncio.sleep(10)
    assert not asking.done(), "a pause has its own bound"
    bring_up(group, P, R, R)
    assert await asking is group.servers[0], "what is asked may belong to a transaction, which goes on"


# --- another configuration --------------------------------------------------------------------------------------------


def settings(*names: str, **group: Any) -> RouterConfig:
    servers = [{"name": name, "address": f"{name}.example:3306"} for name in names]
    return RouterConfig.model_validate(
        {"groups": {"main": {"servers": servers, **group}}, "users": {"app": {"password": "x"}}}
    )


def test_servers_that_stay_keep_what_is_known_of_them() -> None:
    topology = Topology.build(settings("a", "b"))
    group = topology.groups["main"]
    bring_up(group, P, R)
    a, b = group.servers
    a.failures = 7
    pool = a.pool
    topology.adopt(Topology.build(settings("a", "c", pool={"max_connections": 3})))
    assert topology.groups["main"] is group
    assert [server.name for server in group.servers] == ["a", "c"]
    assert group.servers[0] is a
    assert (a.failures, a.pool is pool, pool.max_connections) == (7, True, 3)
    assert group.primary is a
    assert readers(group) == {"a"}, "nobody has asked c yet"
    assert b.pool.max_age < 0, "what comes back is closed"


def test_one_of_the_same_name_elsewhere_is_another_server() -> None:
    topology = Topology.build(settings("a"))
    (old,) = topology.groups["main"].servers
    topology.adopt(
        Topology.build(
            RouterConfig.model_validate(
                {
                    "users": {"app": {"password": "x"}},
                    "groups": {"main": {"servers": [{"name": "a", "address": "elsewhere:3306"}]}},
                }
            )
        )
    )
    (new,) = topology.groups["main"].servers
    assert new is not old
    assert new.up is False


def test_a_group_that_is_gone_can_still_be_found() -> None:
    topology = Topology.build(settings("a"))
    gone = topology.groups["main"]
    one = {"groups": {"new": {"servers": ["b:3306"]}}, "users": {"app": {"password": "x"}}}
    topology.adopt(Topology.build(RouterConfig.model_validate(one)))
    assert list(topology.groups) == ["new"]
    assert topology.groups["main"] is gone
    topology.adopt(Topology.build(settings("a")))
    assert topology.groups["main"] is not gone
    with pytest.raises(KeyError):
        topology.groups["never"]


def test_what_was_written_is_known_by_another_name() -> None:
    def of(consistency: str, **groups: str) -> Topology:
        settings = {
            name: {"servers": [f"{host}:1", f"{host}:2"], "reads": {"consistency": consistency}}
            for name, host in groups.items()
        }
        return Topology.build(RouterConfig.model_validate({"groups": settings, "users": {"app": {"password": "x"}}}))

    topology, written = of("eventual", main="a", other="b"), dict[str, Token]()
    old = topology.groups["main"]
    old.wrote(written, "0-1-7")
    assert old.needs(written) is None
    topology.adopt(of("session", new="a", other="b"))
    assert str(topology.groups["new"].needs(written)) == "0-1-7"
    assert topology.groups["other"].needs(written) is None
    old.wrote(written, "0-1-8")
    assert str(topology.groups["new"].needs(written)) == "0-1-8", "a transaction that had begun before"
    topology.adopt(of("global", new="a", other="b"))
    assert str(topology.groups["new"].needs({})) == "0-1-8"
    assert topology.groups["other"].needs({}) is None
    topology.adopt(of("global", new="c", main="d", other="a"))
    assert str(topology.groups["new"].needs({})) == "0-1-8", "as it was"
    assert str(topology.groups["other"].needs({})) == "0-1-8"
    assert str(topology.groups["main"].needs({})) == "0-1-8"
    topology.adopt(of("strong", new="c", main="d", other="a"))
    assert topology.groups["other"].needs(written) is None, "the primary answers"
