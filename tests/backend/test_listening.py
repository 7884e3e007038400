"""Sockets that clients come to: opened once, given out as duplicates, shared among workers, handed on."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from router.backend.listening import Sockets, shown
from router.config.values import Address

ANY = Address("127.0.0.1", 0)


def reaches(address: str) -> bool:
    """Whether somebody listens there."""
    try:
        if address.startswith("unix:"):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(address.removeprefix("unix:"))
        else:
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), 5).close()
    except OSError:
        return False
    return True


async def test_a_socket_stays_when_its_duplicates_are_closed() -> None:
    sockets = Sockets()
    (first,) = await sockets.open("a", ANY)
    address = shown([first])
    first.close()
    assert reaches(address)
    (again,) = await sockets.open("a", ANY)
    assert shown([again]) == address
    again.close()
    sockets.close("a")
    assert not reaches(address)
    sockets.close("a")


async def test_one_address_of_a_name_is_enough_to_be_in_use() -> None:
    sockets, others = Sockets(), Sockets(2)
    (taken,) = await sockets.open("a", ANY)
    port = taken.getsockname()[1]
    for wanted in (
        Sockets().open("b", Address("127.0.0.1", port)),
        others.open_for_workers("b", Address("127.0.0.1", port)),
    ):
        with pytest.raises(OSError, match=f"cannot listen at 127.0.0.1:{port}: address already in use"):
            await wanted
    taken.close()
    sockets.close_all()


async def test_ipv6_is_shown_in_brackets() -> None:
    sockets = Sockets()
    (only,) = await sockets.open("a", Address("::1", 0))
    assert shown([only]) == f"[::1]:{only.getsockname()[1]}"
    only.close()
    sockets.close_all()


async def test_every_worker_has_a_socket_of_its_own_at_one_port() -> None:
    sockets = Sockets(3)
    await sockets.open_for_workers("a", ANY)
    shares = [sockets.share("a", number) for number in range(3)]
    assert [len(share) for share in shares] == [1, 1, 1]
    assert len({each.fileno() for share in shares for each in share}) == 3
    assert len({shown(share) for share in shares}) == 1
    # Those of the supervisor alone are one.
    (own,) = await sockets.open("admin", ANY)
    own.close()
    assert len(sockets.share("admin", 0)) == 1
    sockets.close_all()


async def test_fewer_or_more_than_workers_are_shared(tmp_path: Path) -> None:
    two = Sockets(2)
    await two.open_for_workers("a", ANY)
    given = dict(two)
    three = Sockets(3, given)
    await three.open_for_workers("a", ANY)
    assert [three.share("a", number) for number in range(3)] == [given["a"][0], given["a"][1], given["a"][0]]
    one = Sockets(1, given)
    taken = await one.open("a", ANY)
    assert len(taken) == 2, "whoever waits at either is served"
    for each in taken:
        each.close()
    await two.open_for_workers("u", Address(path=f"{tmp_path}/s"))
    assert two.share("u", 0) == two.share("u", 1)
    two.close_all()


async def test_files_of_unix_sockets(tmp_path: Path) -> None:
    path = tmp_path / "s"
    address = Address(path=str(path))
    old = Sockets()
    (first,) = await old.open("u", address, 0o700)
    assert (path.stat().st_mode & 0o777, shown([first])) == (0o700, f"unix:{path}")
    first.close()
    # A new process that gives up leaves the file to the old one, and the other way round once it has taken over.
    given = {"u": [[each.dup() for each in old.share("u", 0)]]}
    failed = Sockets(1, given)
    (_,) = copies = await failed.open("u", address)
    copies[0].close()
    failed.close_all()
    assert reaches(f"unix:{path}")
    new = Sockets(1, {"u": [[each.dup() for each in old.share("u", 0)]]})
    (taken,) = await new.open("u", address)
    new.take_over()
    old.hand_on()
    old.close_all()
    assert reaches(f"unix:{path}")
    taken.close()
    new.close_all()
    assert not path.exists()


async def test_what_nobody_wants_of_what_was_given_is_closed() -> None:
    old = Sockets()
    (first,) = await old.open("a", ANY)
    address = shown([first])
    new = Sockets(1, dict(old))
    first.close()
    new.take_over()
    assert not reaches(address)


async def test_a_file_in_the_place_of_a_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("mine")
    with pytest.raises(OSError):
        await Sockets().open("u", Address(path=str(path)))
    assert path.read_text() == "mine"
