"""``python -m tests.chaos.witness PORT PASSWORD DATABASE FILE``: one well-behaved client, in a process of its own.

It reads and writes one after the other until it is terminated. Every line of FILE is the time of a statement's end
(monotonic clock), its duration in seconds, and what was wrong with the answer, if anything.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pymysql
from pymysql.connections import Connection

# A rest between statements: it is to measure, not to load.
REST = 0.002


def statements(connection: Connection) -> Iterator[str]:
    """Run them; each yields what was wrong, or nothing."""
    with connection.cursor() as cursor:
        for number in count(1):
            cursor.execute("UPDATE witness SET n = %s WHERE id = 1", (number,))
            yield "" if cursor.rowcount == 1 else f"{cursor.rowcount} rows updated"
            cursor.execute("SELECT %s, n FROM witness WHERE id = 1", (f"nonce {number}",))
            row = cursor.fetchone()
            yield "" if row == (f"nonce {number}", number) else f"{row} instead of {number}"
            cursor.execute("BEGIN")
            cursor.execute("SELECT id FROM witness ORDER BY id")
            rows = cursor.fetchall()
            cursor.execute("COMMIT")
            yield "" if rows == ((1,), (2,), (3,)) else f"rows {rows}"


def main() -> None:
    """Until it is terminated, or the connection is lost (which is written down too)."""
    port, password, database, file = sys.argv[1:]
    connection = pymysql.connect(
        host="127.0.0.1", port=int(port), user="app", password=password, database=database, autocommit=True
    )
    with Path(file).open("w", encoding="utf-8", buffering=1) as out:
        began = time.monotonic()
        try:
            for wrong in statements(connection):
                now = time.monotonic()
                out.write(f"{now:.6f}\t{now - began:.6f}\t{wrong}\n")
                time.sleep(REST)
                began = time.monotonic()
        except pymysql.MySQLError as error:
            out.write(f"{time.monotonic():.6f}\t0\tdisconnected: {error!r}\n")


if __name__ == "__main__":
    main()
