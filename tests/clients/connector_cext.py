"""Runs the scenarios of ``connector.py`` with the C extension: a line of JSON on standard output for every step.

A process of its own, which loads the extension before anything else can load the system's OpenSSL: the one that comes
with the extension is newer. The only argument is the way, as JSON.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing

import _mysql_connector
import mysql.connector

from tests.clients.connector import SCENARIOS, Connector
from tests.clients.dbapi import ask
from tests.clients.ways import Way, exact


def main(argument: str) -> None:
    """Run everything that can be run."""
    way = Way(settle=lambda: None, **json.loads(argument))
    # Reading a further result raises the extension's own error.
    driver = Connector(pure=False, error=(mysql.connector.Error, _mysql_connector.MySQLInterfaceError))
    for scenario in SCENARIOS:
        with closing(driver.connect(way, database=None)) as connection:
            ask(connection, f"DROP DATABASE IF EXISTS {way.database}")
            ask(connection, f"CREATE DATABASE {way.database} CHARACTER SET utf8mb4")
        for label, value in scenario(driver, way):
            print(json.dumps([f"{scenario.__name__}: {label}", exact(value)]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
