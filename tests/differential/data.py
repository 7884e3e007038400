"""The tables and rows of the differential tests: made from a fixed seed, the same for every server and run."""

from __future__ import annotations

import random
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from router.planner.keys import KeyKind, KeyType, canonical
from router.planner.sharding import Hash
from router.sandbox import Flavor, Server

SEED = 20140601
CUSTOMERS, ORDERS, ITEMS, CODES = 300, 1000, 2500, 60

Cell = int | float | Decimal | str | bytes | date | datetime | None
Row = tuple[Cell, ...]

# A collation that ignores case and accents and minds spaces at the end, one that minds all; where the server has them.
COLLATIONS: dict[Flavor, dict[str, str]] = {
    "mysql": {"loose": "utf8mb4_0900_ai_ci", "exact": "utf8mb4_0900_bin"},
    "mariadb": {"loose": "utf8mb4_unicode_nopad_ci", "exact": "utf8mb4_nopad_bin"},
}

DEFINITIONS = {
    "customers": """
        id INT PRIMARY KEY,
        name VARCHAR(40) COLLATE utf8mb4_general_ci,
        city VARCHAR(40) COLLATE {loose},
        tag VARCHAR(20) COLLATE {exact},
        region_id INT,
        score DOUBLE,
        balance DECIMAL(12,2),
        points INT UNSIGNED,
        born DATE,
        joined DATETIME,
        seen TIMESTAMP NULL,
        wakes TIME,
        level ENUM('silver', 'gold', 'bronze'),
        flags SET('red', 'blue', 'green'),
        note TEXT,
        photo VARBINARY(8),
        KEY (name), KEY (region_id)""",
    "orders": """
        customer_id INT NOT NULL,
        id BIGINT NOT NULL,
        total DECIMAL(10,2),
        status VARCHAR(10) COLLATE utf8mb4_general_ci,
        created DATETIME,
        discount DOUBLE,
        ref INT,
        PRIMARY KEY (customer_id, id), KEY (id), KEY (status)""",
    "items": """
        customer_id INT NOT NULL,
        order_id BIGINT NOT NULL,
        line INT NOT NULL,
        product VARCHAR(20) COLLATE {loose},
        quantity INT,
        price DECIMAL(8,3),
        shipped DATE,
        PRIMARY KEY (customer_id, order_id, line), KEY (product)""",
    "regions": """
        id INT PRIMARY KEY,
        name VARCHAR(20) COLLATE utf8mb4_general_ci NOT NULL,
        country VARCHAR(2) COLLATE utf8mb4_bin,
        UNIQUE KEY (name)""",
    "codes": """
        code VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY,
        n INT,
        customer_id INT""",
    # One of each of the other functions, and a key of two columns.
    "events": """
        id INT PRIMARY KEY,
        kind VARCHAR(10) COLLATE utf8mb4_general_ci,
        n INT,
        at DATETIME""",
    "levels": """
        id INT NOT NULL,
        step INT NOT NULL,
        score DECIMAL(9,2),
        title VARCHAR(10) COLLATE {exact},
        PRIMARY KEY (id, step)""",
    "places": """
        country CHAR(2) COLLATE utf8mb4_general_ci NOT NULL,
        id INT NOT NULL,
        size INT,
        opened DATE,
        PRIMARY KEY (country, id)""",
    "prices": """
        country CHAR(2) COLLATE utf8mb4_bin NOT NULL,
        id INT NOT NULL,
        price DECIMAL(8,2),
        valid DATE,
        PRIMARY KEY (country, id)""",
    # Not sharded, not broadcast: it lives in the schema's own group.
    "settings": """
        id INT AUTO_INCREMENT PRIMARY KEY,
        name VARCHAR(20) NOT NULL,
        value VARCHAR(20)""",
}
# Types of sharding keys: each has a table of its own, ``k_…``.
KEY_COLUMNS = {
    "int": "INT",
    "tiny": "TINYINT UNSIGNED",
    "big": "BIGINT UNSIGNED",
    "decimal": "DECIMAL(20,3)",
    "general": "VARCHAR(20) COLLATE utf8mb4_general_ci",
    "loose": "VARCHAR(20) COLLATE {loose}",
    "exact": "VARCHAR(20) COLLATE {exact}",
    "bin": "VARCHAR(20) COLLATE utf8mb4_bin",
    "latin": "CHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci",
    "varbinary": "VARBINARY(20)",
    "date": "DATE",
    "datetime": "DATETIME",
    "datetime3": "DATETIME(3)",
}
KEY_TABLES: dict[str, dict[str, Any]] = {f"k_{name}": {"shard_by": "k", "function": "hash"} for name in KEY_COLUMNS}
DEFINITIONS |= {f"k_{name}": f"k {column} PRIMARY KEY, v INT" for name, column in KEY_COLUMNS.items()}
# How the tables are sharded, as a configuration says it.
TABLES: dict[str, dict[str, Any]] = {
    "customers": {"shard_by": "id", "function": "hash"},
    "orders": {"shard_by": "customer_id", "with": "customers"},
    "items": {"shard_by": "customer_id", "with": "customers"},
    "regions": {"broadcast": True},
    "codes": {"shard_by": "code", "function": "hash"},
}
COUNTRIES = ("de", "fr", "us", "at")
LEVELS = (0, 40, 80)  # where the second, third and fourth of four shards begin


def tables_for(count: int) -> dict[str, dict[str, Any]]:
    """How the tables are sharded over ``count`` shards."""
    shards = [f"s{number}" for number in range(count)]
    ends = [None, *LEVELS[: count - 1], None]
    return TABLES | {
        "events": {"shard_by": "id", "function": "mod"},
        "levels": {
            "shard_by": "id",
            "function": "range",
            "ranges": {name: [ends[number], ends[number + 1]] for number, name in enumerate(shards)},
        },
        "places": {
            "shard_by": "country",
            "function": "list",
            "values": {
                name: [each for place, each in enumerate(COUNTRIES) if place % count == number]
                for number, name in enumerate(shards)
            },
        },
        "prices": {"shard_by": ["country", "id"], "function": "hash"},
    }


# Where the key is in a row, and what it is; tables that are missing here have copies everywhere.
INTEGER = KeyType(KeyKind.INTEGER, low=-(2**31), high=2**31 - 1)
# Capital and small letters are one under general_ci; keys of `codes` are ASCII.
CODE = KeyType(KeyKind.TEXT, fold={ordinal: ord(chr(ordinal).upper()) for ordinal in range(0x20, 0x7F)})
KEYS = {"customers": (0, INTEGER), "orders": (0, INTEGER), "items": (0, INTEGER), "codes": (0, CODE)}


def shard_of_row(table: str, row: Row, count: int) -> int | None:
    """Where a row belongs, as the documentation says; None: everywhere."""
    first = row[0]
    match table:
        case "events":
            assert isinstance(first, int)
            return first % count
        case "levels":
            assert isinstance(first, int)
            return sum(first >= bound for bound in LEVELS[: count - 1])
        case "places":
            return COUNTRIES.index(str(first).lower()) % count
        case "prices":
            assert isinstance(first, str)
            assert isinstance(row[1], int)
            return Hash(count).shard((first, row[1]))
    if table not in KEYS:
        return None
    position, of = KEYS[table]
    return Hash(count).shard((_canonical(row[position], of),))


_NAMES = (
    *(
        "Anna",
        "anna",
        "ANNA ",
        "Änne",
        "Anne",
        "Zoë",
        "Zoe",
        "zoe  ",
        "Émile",
        "emile",
        "Emil",
        "",
        " ",
        "ß",
        "ss",
        "Straße",
    ),
    *(
        "O'Neil",
        "müller",
        "Muller",
        "MÜLLER",
        "Øre",
        "Ore",
        "ñandú",
        "nandu",
        "日本",
        "語",
        "a",
        "B",
        "c",
        "Œuvre",
        "x_y",
        "x%y",
    ),
)
_CITIES = (
    "Paris",
    "paris",
    "PARIS",
    "Pàris",
    "Paris ",
    "Köln",
    "Koln",
    "koln",
    "Århus",
    "Aarhus",
    "Z",
    "",
    "😀",
    "😁",
    "İzmir",
)
_TAGS = ("a", "A", "a ", "b", "é", "e", "", "ab", "aB", "~")
_STATUSES = ("new", "New", "NEW", "paid", "sent", "sént", "lost", "")
_PRODUCTS = ("pen", "Pen", "ink", "paper", "PAPER", "pàper", "cup", "desk", "lamp", "")
REGIONS: tuple[Row, ...] = (
    (1, "north", "de"),
    (2, "south", "fr"),
    (3, "east", None),
    (4, "west", "de"),
    (5, "Ödland", "at"),  # nobody lives there
)


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows by table, in the order of the columns."""

    tables: dict[str, list[Row]]

    def of_shard(self, table: str, shard: int, count: int) -> list[Row]:
        """The rows that one of ``count`` shards holds."""
        return [row for row in self.tables[table] if shard_of_row(table, row, count) in (None, shard)]


def _canonical(value: Cell, of: KeyType) -> int | str:
    assert isinstance(value, int | str)
    found = canonical(value, of)
    assert isinstance(found, int | str)
    return found


def make_rows() -> Rows:
    """The same rows every time."""
    chance = random.Random(SEED)
    customers = [_customer(chance, number) for number in range(1, CUSTOMERS + 1)]
    # One customer in five has no orders; some orders belong to nobody.
    buyers = [number for number in range(1, CUSTOMERS + 1) if number % 5] + [0, -7, 1000]
    orders = [_order(chance, number, chance.choice(buyers)) for number in range(1, ORDERS + 1)]
    items: dict[tuple[int, int, int], Row] = {}
    while len(items) < ITEMS:
        owner, order = chance.choice(orders)[:2]
        assert isinstance(owner, int)
        assert isinstance(order, int)
        key = (owner, order, chance.randint(1, 5))
        items[key] = (*key, *_item(chance))
    codes: list[Row] = [
        (f"{chance.choice('abcXYZ')}{number:02}", _maybe(chance, number % 7), _maybe(chance, chance.randint(1, 330)))
        for number in range(CODES)
    ]
    settings: list[Row] = [(number, f"s{number}", _maybe(chance, f"v{number % 4}")) for number in range(1, 11)]
    return Rows(
        {
            "customers": customers,
            "orders": orders,
            "items": list(items.values()),
            "regions": list(REGIONS),
            "codes": codes,
            "settings": settings,
            **_others(chance),
        }
    )


def _others(chance: random.Random) -> dict[str, list[Row]]:
    """Tables of other sharding functions than ``hash``."""
    events: list[Row] = [
        (
            number,
            _maybe(chance, chance.choice(_STATUSES)),
            _maybe(chance, chance.randint(-5, 5)),
            _maybe(chance, datetime(2020, 1, 1) + timedelta(minutes=chance.randint(0, 90_000))),
        )
        for number in range(-20, 140)
    ]
    levels: list[Row] = [
        (
            number,
            step,
            _maybe(chance, Decimal(chance.randint(-9999, 99999)) / 100),
            _maybe(chance, chance.choice(_TAGS)),
        )
        for number in range(-10, 120, 3)
        for step in range(1, chance.randint(2, 5))
    ]
    places: list[Row] = [
        (
            chance.choice([country, country.upper()]),
            number,
            _maybe(chance, chance.randint(1, 9)),
            _maybe(chance, date(2020, 1, 1) + timedelta(days=chance.randint(0, 60))),
        )
        for country in COUNTRIES
        for number in range(30)
    ]
    prices: list[Row] = [
        (
            country,
            number,
            _maybe(chance, Decimal(chance.randint(0, 9999)) / 100),
            _maybe(chance, date(2021, 1, 1) + timedelta(days=chance.randint(0, 30))),
        )
        for country in ("de", "fr", "DE")
        for number in range(40)
    ]
    return {"events": events, "levels": levels, "places": places, "prices": prices}


def _maybe(chance: random.Random, value: Cell, nulls: float = 0.12) -> Cell:
    return None if chance.random() < nulls else value


def _customer(chance: random.Random, number: int) -> Row:
    day = date(1950, 1, 1) + timedelta(days=chance.randint(0, 9000) // 7 * 7)
    moment = datetime(2014, 6, 1) + timedelta(hours=chance.randint(0, 60000))
    return (
        number,
        _maybe(chance, chance.choice(_NAMES)),
        _maybe(chance, chance.choice(_CITIES)),
        _maybe(chance, chance.choice(_TAGS)),
        _maybe(chance, chance.randint(1, 4)),
        # Quarters: sums of doubles are exact in any order.
        _maybe(chance, chance.randint(-40, 200) / 4),
        _maybe(chance, Decimal(chance.randint(-50000, 900000)) / 100),
        _maybe(chance, chance.choice([0, 1, 7, 4294967295, chance.randint(0, 50)])),
        _maybe(chance, day),
        _maybe(chance, moment),
        _maybe(chance, moment + timedelta(days=1)),
        _maybe(chance, f"{chance.choice(['', '-', '1'])}{chance.randint(0, 23):02}:{chance.randint(0, 59):02}:00"),
        _maybe(chance, chance.choice(["silver", "gold", "bronze"])),
        _maybe(chance, chance.choice(["", "red", "blue", "green", "red,blue", "blue,green", "red,blue,green"])),
        _maybe(chance, chance.choice(["lorem", "Lorem ", "ipsum dolor", "", "x" * 300])),
        _maybe(chance, chance.choice([b"", b"\0", b"a", b"A", b"\xff\x00", b"\x80"])),
    )


def _order(chance: random.Random, number: int, owner: int) -> Row:
    return (
        owner,
        number,
        _maybe(chance, Decimal(chance.randint(0, 60000)) / 100),
        _maybe(chance, chance.choice(_STATUSES)),
        _maybe(chance, datetime(2020, 1, 1) + timedelta(minutes=chance.randint(0, 1_500_000))),
        _maybe(chance, chance.choice([0.0, -0.5, 0.25, 0.5, 1e3, 1e-3 * 0 + 2.75])),
        _maybe(chance, chance.randint(1, 320)),
    )


def _item(chance: random.Random) -> Row:
    return (
        _maybe(chance, chance.choice(_PRODUCTS)),
        _maybe(chance, chance.randint(-2, 20)),
        _maybe(chance, Decimal(chance.randint(0, 99999)) / 1000),
        _maybe(chance, date(2020, 1, 1) + timedelta(days=chance.randint(0, 900)), 0.4),
    )


def create_tables(server: Server, flavor: Flavor, database: str, tables: Iterable[str]) -> None:
    """An empty database with these tables."""
    with closing(server.root()) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {database}")
        cursor.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
        for table in tables:
            cursor.execute(f"CREATE TABLE {database}.{table} ({DEFINITIONS[table].format(**COLLATIONS[flavor])})")


def fill(server: Server, content: Iterable[tuple[str, str, list[Row]]]) -> None:
    """Tables, given as (database, table, rows), hold these rows and no others."""
    with closing(server.root()) as connection, connection.cursor() as cursor:
        connection.begin()
        for database, table, rows in content:
            cursor.execute(f"DELETE FROM {database}.{table}")
            if rows:
                marks = ", ".join("(" + ", ".join(["%s"] * len(rows[0])) + ")" for _ in rows)
                cursor.execute(f"INSERT INTO {database}.{table} VALUES {marks}", [cell for row in rows for cell in row])
        connection.commit()
