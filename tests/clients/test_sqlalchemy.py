"""SQLAlchemy, core and ORM, over PyMySQL, mysqlclient and, with asyncio, aiomysql."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from tests.clients.ways import Step, Way, Ways, library

sa = library("sqlalchemy")

from sqlalchemy import orm  # noqa: E402
from sqlalchemy.dialects import mysql  # noqa: E402
from sqlalchemy.ext.asyncio import create_async_engine  # noqa: E402

DIALECTS = ["pymysql", "mysqldb", "aiomysql"]
DRIVERS = {"mysqldb": "MySQLdb"}

metadata = sa.MetaData()
TYPES = sa.Table(
    "types",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("big", sa.BigInteger),
    sa.Column("ubig", mysql.BIGINT(unsigned=True)),
    sa.Column("price", sa.Numeric(20, 6)),
    sa.Column("ratio", sa.Double),
    sa.Column("flag", sa.Boolean, server_default=sa.true()),
    sa.Column("day", sa.Date),
    sa.Column("moment", mysql.DATETIME(fsp=6), index=True),
    sa.Column("clock", mysql.TIME(fsp=3)),
    sa.Column("name", sa.Unicode(100), nullable=False, unique=True),
    sa.Column("body", mysql.LONGTEXT),
    sa.Column("data", sa.LargeBinary),
    sa.Column("doc", sa.JSON),
    sa.Column("kind", sa.Enum("one", "two", name="kind")),
    sa.Column("tags", mysql.SET("x", "y")),
    sa.Column("bits", mysql.BIT(10)),
)
ROW: dict[str, Any] = {
    "big": -(2**63),
    "ubig": 2**64 - 1,
    "price": Decimal("12345678901234.123456"),
    "ratio": 0.1,
    "flag": False,
    "day": datetime.date(2026, 2, 28),
    "moment": datetime.datetime(2026, 2, 28, 23, 59, 59, 123456),
    "clock": datetime.time(12, 34, 56, 789000),
    "name": "emoji 🐬 100% 'quoted' \\ :colon",
    "body": "ü" * 70_000,
    "data": bytes(range(256)),
    "doc": {"a": [1, 2.5, None, "🐬"]},
    "kind": "two",
    "tags": {"x", "y"},
    "bits": b"\x03\xff",
}


class Base(orm.DeclarativeBase):
    """What is mapped."""


class Author(Base):
    """Has books."""

    __tablename__ = "author"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(50), unique=True)
    books: orm.Mapped[list[Book]] = orm.relationship(back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    """Belongs to its author; ``version`` guards against lost updates, which needs true counts of changed rows."""

    __tablename__ = "book"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    title: orm.Mapped[str] = orm.mapped_column(sa.String(100))
    author_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("author.id"))
    author: orm.Mapped[Author] = orm.relationship(back_populates="books")
    made: orm.Mapped[datetime.datetime] = orm.mapped_column(default=datetime.datetime(2026, 1, 2, 3, 4, 5))
    version: orm.Mapped[int] = orm.mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Engines:
    """Runs synchronous work on a connection of an engine, asyncio's or not."""

    def __init__(self, way: Way, dialect: str) -> None:
        self._runner = asyncio.Runner() if dialect == "aiomysql" else None
        self._url = sa.URL.create(
            f"mysql+{dialect}", way.user, way.password, way.host, way.port, way.database, {"charset": "utf8mb4"}
        )
        self._engines: list[Any] = []

    def make(self, **options: Any) -> Any:
        """A new engine."""
        make = create_async_engine if self._runner else sa.create_engine
        self._engines.append(make(self._url, **options))
        return self._engines[-1]

    def work(self, engine: Any, function: Callable[[Any], Any]) -> Any:
        """``function`` of a connection that is closed afterwards, without a commit."""
        if self._runner is None:
            with engine.connect() as connection:
                return function(connection)

        async def work() -> Any:
            async with engine.connect() as connection:
                return await connection.run_sync(function)

        return self._runner.run(work())

    def close(self) -> None:
        """Close all of them."""
        for engine in self._engines:
            if self._runner is None:
                engine.dispose()
            else:
                self._runner.run(engine.dispose())
        if self._runner is not None:
            self._runner.close()


@contextmanager
def engines(way: Way, dialect: str) -> Iterator[Engines]:
    made = Engines(way, dialect)
    try:
        yield made
    finally:
        made.close()


def refused(function: Callable[[], Any]) -> Any:
    """What kind of error it is and what the driver says."""
    try:
        return function()
    except sa.exc.DBAPIError as error:
        return type(error).__name__, getattr(error.orig, "args", None), error.connection_invalidated


def core(dialect: str, way: Way) -> Iterator[Step]:
    """Tables made, reflected, filled, asked and changed."""
    with engines(way, dialect) as open_engines:
        engine = open_engines.make(pool_pre_ping=True)
        yield from open_engines.work(engine, lambda connection: list(core_steps(connection)))
        yield (
            "another turn",
            open_engines.work(engine, lambda c: c.scalar(sa.select(sa.func.count()).select_from(TYPES))),
        )
        autocommit = open_engines.make(isolation_level="AUTOCOMMIT")
        way.settle()
        yield "read without a transaction", open_engines.work(autocommit, reads)


def core_steps(connection: Any) -> Iterator[Step]:
    dialect = connection.dialect
    yield "dialect", (dialect.server_version_info, dialect.is_mariadb, dialect.default_schema_name)
    metadata.create_all(connection)
    yield "insert", connection.execute(sa.insert(TYPES), ROW).inserted_primary_key
    yield "nulls", connection.execute(sa.insert(TYPES).values(name="nulls")).inserted_primary_key
    many = connection.execute(sa.insert(TYPES), [{"name": f"n{n}", "big": n} for n in range(300)])
    yield "many", many.rowcount
    connection.commit()
    yield "rows", connection.execute(sa.select(TYPES).order_by(TYPES.c.id).limit(3)).all()
    twice = sa.update(TYPES).where(TYPES.c.id < 10).values(price=TYPES.c.id * 2)
    yield "update", connection.execute(twice).rowcount
    yield "matched again, though not changed", connection.execute(twice).rowcount
    upsert = mysql.insert(TYPES).values(name="nulls", big=7)
    yield "upsert", connection.execute(upsert.on_duplicate_key_update(big=upsert.inserted.big + 1)).rowcount
    yield "duplicate", refused(lambda: connection.execute(sa.insert(TYPES).values(name="nulls")))
    yield "no such table", refused(lambda: connection.execute(sa.text("SELECT * FROM nowhere")))
    with connection.begin_nested() as savepoint:
        connection.execute(sa.delete(TYPES))
        savepoint.rollback()
    yield (
        "sums",
        connection.execute(sa.select(sa.func.count(), sa.func.sum(TYPES.c.big), sa.func.avg(TYPES.c.price))).all(),
    )
    connection.commit()
    inspector = sa.inspect(connection)
    yield "tables", inspector.get_table_names()
    for column in inspector.get_columns("types"):
        yield "column", {name: str(value) for name, value in column.items()}
    yield "indexes", inspector.get_indexes("types")
    yield "unique", inspector.get_unique_constraints("types")
    yield "locked", connection.execute(sa.select(TYPES.c.id).where(TYPES.c.name == "n5").with_for_update()).all()
    yield "isolation", connection.get_isolation_level()
    connection.rollback()
    streamed = connection.execution_options(stream_results=True, yield_per=50).execute(
        sa.select(TYPES.c.id, TYPES.c.name)
    )
    yield "streamed", [len(part) for part in streamed.partitions()]
    connection.rollback()


def reads(connection: Any) -> Any:
    seen = [connection.execute(sa.select(TYPES).where(TYPES.c.name == ROW["name"])).all()]
    big = TYPES.c.big
    ranked = sa.select(big, sa.func.row_number().over(order_by=big.desc())).where(big > 290).order_by(big)
    seen.append(connection.execute(ranked).all())
    seen.append(connection.execute(sa.select(TYPES.c.doc["a"][3].as_string()).where(TYPES.c.doc.is_not(None))).all())
    return seen


def objects(dialect: str, way: Way) -> Iterator[Step]:
    """The unit of work, relationships, optimistic locking, nested transactions."""
    with engines(way, dialect) as open_engines:
        engine = open_engines.make()
        yield from open_engines.work(engine, lambda connection: list(object_steps(connection)))
        yield "kept", open_engines.work(engine, lambda c: c.execute(sa.select(Book.title, Book.version)).all())


def object_steps(connection: Any) -> Iterator[Step]:
    Base.metadata.create_all(connection)
    connection.commit()
    with orm.Session(connection) as session:
        ann = Author(name="Ann 🐬", books=[Book(title=f"book {n}") for n in range(5)])
        session.add_all([ann, Author(name="Bob")])
        session.commit()
        yield "ids", (ann.id, [book.id for book in ann.books])
        ann.books[0].title = "changed"
        session.delete(ann.books[4])
        session.flush()
        savepoint = session.begin_nested()
        session.add(Author(name="Bob"))
        with pytest.raises(sa.exc.IntegrityError) as caught:
            session.flush()
        savepoint.rollback()
        yield "within a savepoint", caught.value.orig.args
        session.commit()
        query = sa.select(Author).options(orm.selectinload(Author.books)).order_by(Author.id)
        yield "loaded", [(a.name, [(b.title, b.made, b.version) for b in a.books]) for a in session.scalars(query)]
        joined = sa.select(Author.name, sa.func.count(Book.id)).outerjoin(Book).group_by(Author.id).order_by(Author.id)
        yield "joined", session.execute(joined).all()
        session.rollback()
        book = session.scalars(sa.select(Book).limit(1)).one()
        session.execute(sa.update(Book).values(version=7).execution_options(synchronize_session=False))
        book.title = "too late"
        with pytest.raises(orm.exc.StaleDataError):
            session.flush()
        session.rollback()
        session.execute(sa.insert(Book), [{"title": f"b{n}", "author_id": 2, "version": 1} for n in range(50)])
        yield "count", session.scalar(sa.select(sa.func.count()).select_from(Book))
        session.commit()


def pooled(dialect: str, way: Way) -> Iterator[Step]:
    """Sessions that come from a pool know nothing of each other; a lost connection is replaced after a ping."""
    with engines(way, dialect) as open_engines:
        engine = open_engines.make(pool_size=2, pool_pre_ping=True)
        text = sa.text("SELECT @@time_zone, @@sql_mode, @@autocommit, DATABASE()")

        def state(connection: Any) -> Any:
            return connection.get_isolation_level(), connection.execute(text).all()

        for level in ("READ COMMITTED", "SERIALIZABLE", "AUTOCOMMIT", None):
            chosen = engine.execution_options(isolation_level=level) if level else engine
            yield str(level), open_engines.work(chosen, state)
        wrong = open_engines.make(connect_args={"password": "wrong"})
        yield "refused", refused(lambda: open_engines.work(wrong, lambda connection: None))


@pytest.mark.usefixtures("aiomysql_bytes")
@pytest.mark.filterwarnings("ignore::aiomysql.Warning")
@pytest.mark.parametrize("scenario", [core, objects, pooled])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_sqlalchemy(ways: Ways, dialect: str, scenario: Callable[[str, Way], Iterator[Step]]) -> None:
    library(DRIVERS.get(dialect, dialect))
    ways.compare(partial(scenario, dialect))
