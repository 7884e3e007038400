"""Terminals at work: the mix of transactions (clause 5.2.3), each repeated until it has met nobody."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable

from tests.tpcc.sessions import Collision, Session
from tests.tpcc.tables import Scale
from tests.tpcc.transactions import Tally, Terminal

# In percent.
MIX = {"new_order": 45, "payment": 43, "order_status": 4, "delivery": 4, "stock_level": 4}
_TRIES = 50


def work(
    connect: Callable[[], Session],
    scale: Scale,
    terminals: int,
    seconds: float,
    *,
    seed: int = 1,
    transactions: float = math.inf,
) -> Tally:
    """Let terminals work side by side for so many seconds, or for so many transactions each.

    Raises what went wrong in any of them.
    """
    ends = time.monotonic() + seconds
    total, failures, lock = Tally(), list[BaseException](), threading.Lock()

    def life(number: int) -> None:
        try:
            with contextlib.closing(connect()) as session:
                terminal = Terminal(session, scale, number % scale.warehouses + 1, seed * 1000 + number)
                while time.monotonic() < ends and not failures and sum(terminal.tally.done.values()) < transactions:
                    _next(terminal)
            with lock:
                total.add(terminal.tally)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failures.append(error)

    threads = [threading.Thread(target=life, args=(number,), daemon=True) for number in range(terminals)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 60)
    if failures:
        raise failures[0]
    assert not any(thread.is_alive() for thread in threads), "a terminal hangs"
    return total


def _next(terminal: Terminal) -> None:
    [name] = terminal.random.choices(list(MIX), list(MIX.values()))
    for _ in range(_TRIES):
        state = terminal.random.getstate()
        try:
            getattr(terminal, name)()
        except Collision:
            terminal.session.run("ROLLBACK")
            terminal.tally.repeated += 1
            # The same once more.
            terminal.random.setstate(state)
            continue
        terminal.tally.done[name] = terminal.tally.done.get(name, 0) + 1
        return
    raise AssertionError(f"{name} met other transactions {_TRIES} times")
