"""The nine tables of TPC-C (revision 5.11, clause 1.3), small, and what they hold at first (clause 4.3.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from tests.tpcc.sessions import Session, Value

SCHEMA = "tpcc"
# Everything of a warehouse is on one shard; remote payments and remote stock are on two.
SHARDING: dict[str, dict[str, object]] = {
    "warehouse": {"shard_by": "w_id", "function": "mod"},
    **{
        table: {"shard_by": key, "with": "warehouse"}
        for table, key in {
            "district": "d_w_id",
            "customer": "c_w_id",
            "history": "h_w_id",
            "orders": "o_w_id",
            "new_order": "no_w_id",
            "order_line": "ol_w_id",
            "stock": "s_w_id",
        }.items()
    },
    "item": {"broadcast": True},
}
_DISTRICTS_OF_STOCK = ", ".join(f"s_dist_{number:02} CHAR(24) NOT NULL" for number in range(1, 11))
DEFINITIONS = (
    """CREATE TABLE warehouse (
        w_id INT NOT NULL PRIMARY KEY, w_name VARCHAR(10) NOT NULL, w_tax DECIMAL(4,4) NOT NULL,
        w_ytd DECIMAL(12,2) NOT NULL)""",
    """CREATE TABLE district (
        d_id TINYINT NOT NULL, d_w_id INT NOT NULL, d_name VARCHAR(10) NOT NULL, d_tax DECIMAL(4,4) NOT NULL,
        d_ytd DECIMAL(12,2) NOT NULL, d_next_o_id INT NOT NULL, PRIMARY KEY (d_w_id, d_id))""",
    """CREATE TABLE customer (
        c_id INT NOT NULL, c_d_id TINYINT NOT NULL, c_w_id INT NOT NULL, c_first VARCHAR(16) NOT NULL,
        c_last VARCHAR(16) NOT NULL, c_credit CHAR(2) NOT NULL, c_discount DECIMAL(4,4) NOT NULL,
        c_balance DECIMAL(12,2) NOT NULL, c_ytd_payment DECIMAL(12,2) NOT NULL, c_payment_cnt SMALLINT NOT NULL,
        c_delivery_cnt SMALLINT NOT NULL, c_data VARCHAR(500) NOT NULL, PRIMARY KEY (c_w_id, c_d_id, c_id))""",
    "CREATE INDEX customer_name ON customer (c_w_id, c_d_id, c_last, c_first)",
    """CREATE TABLE history (
        h_c_id INT NOT NULL, h_c_d_id TINYINT NOT NULL, h_c_w_id INT NOT NULL, h_d_id TINYINT NOT NULL,
        h_w_id INT NOT NULL, h_date DATETIME NOT NULL, h_amount DECIMAL(6,2) NOT NULL, h_data VARCHAR(24) NOT NULL)""",
    """CREATE TABLE orders (
        o_id INT NOT NULL, o_d_id TINYINT NOT NULL, o_w_id INT NOT NULL, o_c_id INT NOT NULL,
        o_entry_d DATETIME NOT NULL, o_carrier_id TINYINT, o_ol_cnt TINYINT NOT NULL, o_all_local TINYINT NOT NULL,
        PRIMARY KEY (o_w_id, o_d_id, o_id), KEY (o_w_id, o_d_id, o_c_id, o_id))""",
    """CREATE TABLE new_order (
        no_o_id INT NOT NULL, no_d_id TINYINT NOT NULL, no_w_id INT NOT NULL,
        PRIMARY KEY (no_w_id, no_d_id, no_o_id))""",
    """CREATE TABLE order_line (
        ol_o_id INT NOT NULL, ol_d_id TINYINT NOT NULL, ol_w_id INT NOT NULL, ol_number TINYINT NOT NULL,
        ol_i_id INT NOT NULL, ol_supply_w_id INT NOT NULL, ol_delivery_d DATETIME, ol_quantity TINYINT NOT NULL,
        ol_amount DECIMAL(8,2) NOT NULL, ol_dist_info CHAR(24) NOT NULL,
        PRIMARY KEY (ol_w_id, ol_d_id, ol_o_id, ol_number))""",
    f"""CREATE TABLE stock (
        s_i_id INT NOT NULL, s_w_id INT NOT NULL, s_quantity SMALLINT NOT NULL, {_DISTRICTS_OF_STOCK},
        s_ytd INT NOT NULL, s_order_cnt SMALLINT NOT NULL, s_remote_cnt SMALLINT NOT NULL,
        PRIMARY KEY (s_w_id, s_i_id))""",
    """CREATE TABLE item (
        i_id INT NOT NULL PRIMARY KEY, i_name VARCHAR(24) NOT NULL, i_price DECIMAL(5,2) NOT NULL,
        i_data VARCHAR(50) NOT NULL)""",
)
_SYLLABLES = ("BAR", "OUGHT", "ABLE", "PRI", "PRES", "ESE", "ANTI", "CALLY", "ATION", "EING")
_ENTERED = "2026-01-02 03:04:05"
_BATCH = 400
Row = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Scale:
    """How many there are of each; the specification has 10 districts, 3,000 customers and 100,000 items."""

    warehouses: int = 4
    districts: int = 5
    customers: int = 20
    items: int = 100

    @property
    def delivered(self) -> int:
        """How many of a district's first orders, one for each customer, have been delivered."""
        return self.customers * 7 // 10


def last_name(number: int) -> str:
    """Clause 4.3.2.3; customers share a name with those of ten numbers further on."""
    number %= 10
    return _SYLLABLES[number // 4] + _SYLLABLES[number % 4] + _SYLLABLES[number]


def create(session: Session) -> None:
    """Make the tables, on every shard."""
    for definition in DEFINITIONS:
        session.run(definition)


def fill(session: Session, scale: Scale, random: Random) -> None:
    """Insert the first rows, those of several shards in one statement."""
    for table, rows in _contents(scale, random).items():
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]
            marks = ", ".join(["(" + ", ".join(["%s"] * len(batch[0])) + ")"] * len(batch))
            session.run(f"INSERT INTO {table} VALUES {marks}", *(value for row in batch for value in row))


def _contents(scale: Scale, random: Random) -> dict[str, list[Row]]:
    ten = Decimal("10.00")
    rows: dict[str, list[Row]] = {table: [] for table in SHARDING}
    rows["item"] = [(it, f"item {it}", Decimal(random.randint(100, 10000)) / 100, "") for it in _numbers(scale.items)]
    for w in _numbers(scale.warehouses):
        rows["warehouse"].append((w, f"W{w}", _rate(random), ten * scale.customers * scale.districts))
        for it in _numbers(scale.items):
            info = [f"stock {w} {it} {number}".ljust(24, "x") for number in _numbers(10)]
            rows["stock"].append((it, w, random.randint(10, 100), *info, 0, 0, 0))
        for d in _numbers(scale.districts):
            next_order = scale.customers + 1
            rows["district"].append((d, w, f"D{d}", _rate(random), ten * scale.customers, next_order))
            for c in _numbers(scale.customers):
                credit = "BC" if random.random() < 0.1 else "GC"
                name = (f"first {c}", last_name(c))
                rows["customer"].append((c, d, w, *name, credit, _rate(random), -ten, ten, 1, 0, "about " * 20))
                rows["history"].append((c, d, w, d, w, _ENTERED, ten, "at first"))
            for table, row in _orders(scale, random, w, d):
                rows[table].append(row)
    return rows


def _orders(scale: Scale, random: Random, w: int, d: int) -> Iterator[tuple[str, Row]]:
    """One order of each customer; the last three in ten wait for their delivery."""
    for o, c in enumerate(random.sample(_numbers(scale.customers), scale.customers), start=1):
        old = o <= scale.delivered
        lines = random.randint(5, 15)
        yield "orders", (o, d, w, c, _ENTERED, random.randint(1, 10) if old else None, lines, 1)
        if not old:
            yield "new_order", (o, d, w)
        for line in _numbers(lines):
            amount = Decimal(0) if old else Decimal(random.randint(1, 999999)) / 100
            it = random.randint(1, scale.items)
            yield "order_line", (o, d, w, line, it, w, _ENTERED if old else None, 5, amount, "y" * 24)


def _numbers(count: int) -> range:
    return range(1, count + 1)


def _rate(random: Random) -> Decimal:
    return Decimal(random.randint(0, 2000)) / 10000
