"""Django: migrations, the ORM, transactions and the sessions of its own applications, over mysqlclient."""

from __future__ import annotations

from collections.abc import Iterator

from tests.clients.ways import Step, Way, Ways, library, python_program


def application(way: Way) -> Iterator[Step]:
    return python_program("tests.clients.django_app", way)


def test_django(ways_to_primary: Ways) -> None:
    library("django")
    library("MySQLdb")
    ways_to_primary.compare(application)
