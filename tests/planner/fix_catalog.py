"""Small configurations for tests of the planner."""

from __future__ import annotations

from router.config.loader import loads
from router.planner.catalog import Catalog
from router.planner.planner import PlanContext, Planner
from router.sql.lexer import LexMode

ONE_GROUP = """
groups:
  main: {servers: ["10.0.0.1:3306", "10.0.0.2:3306"]}
users:
  app: {password: x}
  shop: {password: x, schemas: [shop, stock]}
  reader: {password: x, read_only: true}
"""

TWO_GROUPS = """
groups:
  main: {servers: ["10.0.0.1:3306", "10.0.0.2:3306"]}
  analytics: {servers: ["10.0.1.1:3306"], reads: {from: primary}}
users:
  app: {password: x}
  shop: {password: x, schemas: [shop]}
schemas:
  shop: {group: main}
  stock: {group: main}
  events: {group: analytics}
"""


def catalog_of(text: str, generation: int = 1) -> Catalog:
    """The catalog of a configuration file's text."""
    return Catalog.build(loads(text, environ={}), generation)


def planner_of(text: str = ONE_GROUP) -> Planner:
    """A planner for a configuration file's text."""
    return Planner(catalog_of(text))


def context(user: str = "app", schema: str | None = None, client: str | None = None) -> PlanContext:
    """A session's circumstances."""
    return PlanContext(user, schema, LexMode(), client)
