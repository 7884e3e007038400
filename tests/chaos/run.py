"""One run: clients work, faults come and go, and at the end the books are compared with the primary.

The seed decides which faults come, on what and for how long, and what the clients do; threads make the rest. A run
that fails prints its seed, the faults around the moment, and the clients' books there.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

import pymysql

from router.sandbox import SandboxError
from router.sandbox.replica_set import wait_until
from tests.chaos.books import Book, Journal, Verdict, compare
from tests.chaos.clients import Client
from tests.chaos.faults import KINDS, Kind, Scene
from tests.chaos.ground import DATABASE, INITIAL, Ground

CLIENTS = 8
AT_A_TIME = 3
# A client that has waited for one statement for longer is stuck.
PATIENCE = 30.0
# Seconds without an error.
CALM = 0.8


@dataclass(slots=True)
class Injected:
    """One fault as it was; ``ended`` is None while it lasts."""

    kind: str
    on: str
    began: float
    seconds: float
    detail: str = ""
    ended: float | None = None
    error: str = ""

    def __str__(self) -> str:
        until = f"{self.ended:.3f}" if self.ended is not None else "?"
        return f"{self.began:8.3f} – {until:>8}  {self.kind} ({self.on}) {self.detail} {self.error}"


@dataclass(slots=True)
class Outcome:
    """What there is to say after a run."""

    seed: int
    flavor: str
    seconds: float
    journal: Journal
    books: list[Book]
    faults: list[Injected] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    failures: list[str] = field(default_factory=list)

    @property
    def fine(self) -> bool:
        """Whether everything was as promised."""
        return self.verdict.fine and not self.journal.wrong and not self.failures

    def wrong(self, kind: str) -> int:
        """How often something was."""
        return sum(each[0] == kind for each in self.journal.wrong)


class Chaos:
    """Faults for a while: at most ``AT_A_TIME`` at once, one more every ``pause`` seconds on average."""

    def __init__(self, ground: Ground, journal: Journal, random: Random, *, pause: float, long: bool) -> None:
        self._ground = ground
        self._journal = journal
        self._random = random
        self._pause = pause
        self._kinds = [each for each in KINDS if (long or not each.long) and each.where(ground)]
        self._claimed: set[str] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.faults: list[Injected] = []
        self.never: list[str] = []

    def go_on(self, seconds: float) -> None:
        """Inject faults for so long, then wait until all are undone."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._one(left)
            time.sleep(min(left, self._random.uniform(0.2, 1.8) * self._pause))
        self._wait_for_all()

    def in_peace(self, chosen: Kind) -> None:
        """Carry out what must not cost any client an error, when nothing else is broken and nobody suffers still."""
        self._wait_for_all()
        with suppress(SandboxError):
            wait_until(lambda: self._journal.now() - self._journal.failed_at > CALM, 20, "that all is calm")
            self._ground.servers.wait_for_replicas(20)
            wait_until(lambda: self._ground.gauge("router_backend_up") == len(self._ground.lines), 20, "all are up")
            fault = Injected(chosen.name, chosen.breaks, self._journal.now(), 0.0)
            scene = Scene(self._ground, Random(self._random.getrandbits(64)), never=self.never)
            failures = self._journal.failures
            self.faults.append(fault)
            self._carry_out(chosen, scene, fault)
            time.sleep(CALM / 2)
            if failures != self._journal.failures:
                self._journal.is_wrong("refused", f"{self._journal.failures - failures} errors during {fault}")

    def _wait_for_all(self) -> None:
        for thread in self._threads:
            thread.join(60)

    def _one(self, left: float) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        (chosen,) = self._random.choices(self._kinds, [each.weight for each in self._kinds])
        if chosen.breaks == "peace":
            self.in_peace(chosen)
            return
        on = self._random.choice(self._subjects(chosen))
        seconds = self._random.uniform(*chosen.seconds)
        scene = Scene(self._ground, Random(self._random.getrandbits(64)), never=self.never)
        with self._lock:
            if len(self._threads) >= AT_A_TIME or self._claims(on) & self._claimed or seconds > max(left, 1):
                return
            self._claimed |= self._claims(on)
        scene.server = next((each for each in self._ground.servers.servers if each.name == on), None)
        fault = Injected(chosen.name, on, self._journal.now(), seconds)
        self.faults.append(fault)
        thread = threading.Thread(target=self._carry_out, args=(chosen, scene, fault), name=chosen.name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _subjects(self, chosen: Kind) -> list[str]:
        replicas = [server.name for server in self._ground.servers.replicas]
        match chosen.breaks:
            case "replica":
                return replicas
            case "primary":
                return [self._ground.primary.name]
            case "any":
                return [self._ground.primary.name, *replicas]
        return [chosen.breaks]

    def _claims(self, on: str) -> set[str]:
        """What nobody else may break in the meantime."""
        if on == "all":
            return {server.name for server in self._ground.servers.servers}
        return set() if on == "nothing" else {on}

    def _carry_out(self, chosen: Kind, scene: Scene, fault: Injected) -> None:
        try:
            with chosen.act(scene):
                time.sleep(fault.seconds)
        except Exception as error:  # noqa: BLE001 - told in the log of faults, which the run looks at
            # A fault that works through the router may meet another one.
            through = chosen.breaks == "nothing" and isinstance(error, pymysql.MySQLError | OSError)
            fault.error = "" if through else f"{type(error).__name__}: {error}"
            fault.detail += f" met {error}" if through else ""
        finally:
            fault.detail = f"{scene.detail} {fault.detail}".strip()
            fault.ended = self._journal.now()
            with self._lock:
                self._claimed -= self._claims(fault.on)


def run(ground: Ground, *, seed: int, seconds: float, pause: float, long: bool = False) -> Outcome:
    """Let clients work for ``seconds`` among faults."""
    journal, stop = Journal(), threading.Event()
    clients = [
        Client(number, ground, journal, seed, stop, keeps_floor=ground.shared) for number in range(1, CLIENTS + 1)
    ]
    chaos = Chaos(ground, journal, Random(seed), pause=pause, long=long)
    outcome = Outcome(seed, ground.servers.flavor, seconds, journal, [client.book for client in clients], chaos.faults)
    for client in clients:
        client.start()
    time.sleep(0.5)
    chaos.go_on(seconds - 0.5)
    for peaceful in (each for each in KINDS if each.breaks == "peace"):
        chaos.in_peace(peaceful)
    # Without faults everybody gets through again.
    time.sleep(1)
    stop.set()
    patience = time.monotonic() + PATIENCE
    for client in clients:
        client.join(max(0.0, patience - time.monotonic()))
        if client.is_alive():
            journal.is_wrong("stuck", f"{client.name} since {client.busy_since}: {client.book.notes[-1:]}")
    outcome.failures += [f"a fault could not be carried out: {each}" for each in chaos.faults if each.error]
    _afterwards(ground, chaos, outcome)
    return outcome


def _afterwards(ground: Ground, chaos: Chaos, outcome: Outcome) -> None:
    """Compare, and see that the router is none the worse."""
    ground.settle()
    columns = "entry, source, target, amount"
    ledger = ground.primary.execute(f"SELECT {columns} FROM {DATABASE}.ledger")
    amounts: dict[int, int] = dict(ground.primary.execute(f"SELECT id, amount FROM {DATABASE}.accounts"))
    outcome.verdict = compare(outcome.books, chaos.never, ledger, amounts, INITIAL)
    if ground.process.poll() is not None:
        outcome.failures.append(f"the router has ended with status {ground.process.returncode}")
        return
    for former in ground.former:
        try:
            former.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            outcome.failures.append("a router from which another has taken over does not end")
    outcome.failures += [
        f"a router from which another has taken over has ended with status {former.returncode}"
        for former in ground.former
        if former.returncode
    ]
    outcome.failures += [f"the router says: {line}" for line in ground.complaints()[:5]]
    try:
        wait_until(ground.quiet, 20, "that no connection of the router is in use")
    except Exception as error:  # noqa: BLE001 - one of the failures to be printed
        outcome.failures.append(f"{error}\n{ground.metrics()}")
    with suppress(pymysql.MySQLError):
        ground.servers.wait_for_replicas(30)


def report(outcome: Outcome) -> str:
    """The figures."""
    verdict, journal = outcome.verdict, outcome.journal
    kinds = Counter(fault.kind for fault in outcome.faults)
    lines = [
        f"{outcome.flavor}, seed {outcome.seed}, {outcome.seconds:.0f} s: {len(outcome.faults)} faults, "
        f"{journal.statements} statements",
        *(f"  {count:5} × {name}" for name, count in kinds.most_common()),
        "writes: "
        + ", ".join(f"{count} {fate.value}" for fate, count in verdict.told.items())
        + f" ({dict(verdict.settled)})",
        f"lost {len(verdict.lost)} · doubled {len(verdict.doubled)} · refused but done {len(verdict.undead)} · "
        f"stale {outcome.wrong('stale')} · desynchronised {outcome.wrong('desynchronised')} · "
        f"torn {outcome.wrong('torn')} · stuck {outcome.wrong('stuck')} · "
        f"errors in a planned switchover {outcome.wrong('refused')}",
        *(_longest(outcome, kind, gap, at) for kind, (gap, at) in journal.longest.items()),
        "errors seen by clients:",
        *(f"  {count:5} × {text}" for text, count in journal.errors.most_common(25)),
    ]
    return "\n".join(lines)


def _longest(outcome: Outcome, kind: str, gap: float, at: float) -> str:
    """The longest time in which nobody got a write or a read through, and what was broken then."""
    during = [fault for fault in outcome.faults if fault.began < at + gap and (fault.ended or at) > at]
    shown = "; ".join(f"{each.kind} ({each.on}, {(each.ended or at) - each.began:.1f} s)" for each in during)
    return f"longest time without a {kind}: {gap:.2f} s, from {at:.2f}: {shown}"


def complaint(outcome: Outcome) -> str:
    """What went wrong, with the faults and the books around it."""
    verdict = outcome.verdict
    parts = [f"seed {outcome.seed}", *outcome.failures, *verdict.balances[:5]]
    for name in ("lost", "doubled", "undead", "strangers"):
        parts += [f"{name}: {entry}" for entry in getattr(verdict, name)[:10]]
    moments = [at for _, at, _ in outcome.journal.wrong]
    parts += [f"{kind} at {at:.3f}: {what}" for kind, at, what in outcome.journal.wrong[:20]]
    for entry in verdict.entries()[:5]:
        for book in outcome.books:
            if found := book.around(entry):
                parts += [f"{book.client} around {entry}:", *found]
                moments += [note.at for note in book.notes if note.entry == entry]
    near = [
        fault for fault in outcome.faults if any(fault.began - 1 <= at <= (fault.ended or at) + 3 for at in moments)
    ]
    parts += ["faults:", *map(str, near or outcome.faults)]
    return "\n".join(parts)
