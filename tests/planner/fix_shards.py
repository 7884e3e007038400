"""A small sharded shop for tests of the planner."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from router.config.loader import loads
from router.planner.binding import Both, TextValues, bind
from router.planner.catalog import Catalog
from router.planner.keys import KeyKind, KeyType
from router.planner.plan import Bound, Plan, Sharded
from router.planner.planner import PlanContext, Planner
from router.planner.routes import Values
from router.planner.spreading import Ids
from router.planner.tables import Column, Definition, ShardedSchema
from router.sql.lexer import LexMode

SHOP = """
groups:
  main: {servers: ["10.0.0.1:3306"]}
  g0: {servers: ["10.0.0.2:3306"]}
  g1: {servers: ["10.0.0.3:3306"]}
  g2: {servers: ["10.0.0.4:3306"]}
users:
  app: {password: x}
schemas:
  shop:
    group: main
    shards: {s0: {group: g0}, s1: {group: g1}, s2: {group: g2, database: shop_2}}
    transactions: single
    tables:
      customers: {shard_by: id, function: mod}
      orders: {shard_by: customer_id, with: customers}
      items: {shard_by: customer_id, with: customers}
      prices: {shard_by: [country, id], function: hash}
      events: {shard_by: day, function: month, start: 2024-01}
      levels: {shard_by: n, function: range, ranges: {s0: [null, 0], s1: [0, 100], s2: [100, null]}}
      places: {shard_by: code, function: list, values: {s0: [DE, FR], s1: [US]}}
      logs: {shard_by: customer_id, with: customers}
      regions: {broadcast: true}
      tags: {broadcast: true}
      tokens: {broadcast: true}
      strange: {shard_by: data, function: hash}
      carts: {shard_by: id, function: mod}
      cart_items: {shard_by: cart_id, with: carts}
      sizes: {broadcast: true}
    ids: {carts.id: {generator: snowflake}, cart_items.id: {generator: segment}, sizes.id: {generator: segment}}
"""
INT = KeyType(KeyKind.INTEGER, -(2**31), 2**31 - 1)
LONG = KeyType(KeyKind.INTEGER, -(2**63), 2**63 - 1)
TEXT = KeyType(KeyKind.TEXT, high=40, collation="utf8mb4_bin", ordered=True)
FOLDED = KeyType(
    KeyKind.TEXT,
    high=40,
    collation="utf8mb4_general_ci",
    fold={code: ord(chr(code).lower()) for code in range(0x20, 0x7F)},
)
DAY = KeyType(KeyKind.DATE)


_TYPES = {KeyKind.INTEGER: "int", KeyKind.TEXT: "varchar", KeyKind.DATE: "date", KeyKind.DECIMAL: "decimal"}


def definition(**columns: KeyType | None) -> Definition:
    """Columns of these types; None is a type that cannot be a key."""
    return Definition(
        {
            name: Column(name, "json" if key is None else _TYPES[key.kind], key, nullable=False, length=40)
            for name, key in columns.items()
        }
    )


def counted(table: Definition, name: str) -> Definition:
    """The table with an AUTO_INCREMENT column of this name, which is its primary key."""
    column = replace(table.columns[name], auto_increment=True)
    return replace(table, columns={**table.columns, name: column}, unique=(frozenset({name}),))


def unsteady(table: Definition, name: str) -> Definition:
    """The table with a column whose default is an expression, and several unique keys."""
    column = replace(table.columns[name], unsteady=True)
    return replace(table, columns={**table.columns, name: column}, ambiguous=True)


DEFINITIONS = {
    "shop": {
        "customers": definition(id=INT, name=TEXT, region=INT),
        "orders": definition(id=INT, customer_id=INT, total=INT),
        "items": definition(id=INT, customer_id=INT, order_id=INT),
        "prices": definition(id=INT, country=TEXT, price=INT),
        "events": definition(id=INT, day=DAY),
        "levels": definition(n=INT),
        "places": definition(code=FOLDED, name=TEXT),
        "logs": counted(definition(id=INT, customer_id=INT, text=TEXT), "id"),
        "regions": replace(definition(id=INT, name=TEXT), unique=(frozenset({"id"}),)),
        "tags": counted(definition(id=INT, name=TEXT), "id"),
        "tokens": unsteady(definition(id=INT, token=TEXT), "token"),
        "strange": definition(data=None),
        "carts": definition(id=LONG, name=TEXT),
        "cart_items": counted(definition(id=LONG, cart_id=LONG, name=TEXT), "id"),
        "sizes": counted(definition(id=INT, name=TEXT), "id"),
    }
}


def shop_catalog(definitions: Any = DEFINITIONS, transactions: str = "single") -> Catalog:
    """The catalog of the shop."""
    text = SHOP.replace("transactions: single", f"transactions: {transactions}")
    return Catalog.build(loads(text, environ={}), 1, definitions)


def shop_schema() -> ShardedSchema:
    """The shop's schema."""
    return shop_catalog().sharded["shop"]


def shop_planner(transactions: str = "single") -> Planner:
    """A planner for the shop."""
    return Planner(shop_catalog(transactions=transactions))


class Counting:
    """Ids from 100 on."""

    def __init__(self) -> None:
        self.next = 100
        self.asked: list[tuple[str, int]] = []

    def take(self, table: str, count: int) -> list[int]:
        """The next ones."""
        self.asked.append((table, count))
        self.next += count
        return list(range(self.next - count, self.next))


def written(
    sql: str, transactions: str = "best_effort", values: Values | None = None, ids: Ids | None = None
) -> Plan | Bound:
    """The plan of one execution of a statement in the shop."""
    text, mode = sql.encode(), LexMode()
    plan = shop_planner(transactions).plan(text, shop_context())
    if not isinstance(plan, Sharded):
        return plan
    literals = TextValues(text, mode)
    return bind(plan, literals if values is None else Both(values, literals), text, mode, ids or Counting())


def shop_context(schema: str | None = "shop") -> PlanContext:
    """A session in the shop."""
    return PlanContext("app", schema, LexMode())
