"""Values that a server calls equal never live on different shards, however they are written; proven on real servers.

Each type of key has a table with the key as its primary key. Every spelling of every value is inserted through the
router and into the one database: were two equal values placed on different shards, only the latter would find the
duplicate. Then every spelling is looked for: were a row elsewhere than looked for, only the latter would find it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.differential import data
from tests.differential.compare import Order, Tally
from tests.differential.stage import SHARD_COUNTS, TRUTH, Stage, shard_of

_INTEGERS = (0, 5, 100, 255, 2147483647, 9007199254740993, 18446744073709551615)
_NUMBERS = (
    *("{0}", "'{0}'", "' {0}'", "'{0} '", "'\\t{0}'", "'{0}\\n'", "+{0}", "'+{0}'", "'0{0}'", "00{0}", "{0}.0", "{0}."),
    *("'{0}.0'", "{0}.000", "{0}e0", "'{0}e0'", "{0}E0", "{0}.4", "'{0}.4'", "{0}.5", "'{0}.5'", "'{0}x'", "'0x{0}'"),
    *("-{0}", "'-{0}'", "- -{0}", "-'{0}'", "({0})", "{0} + 0", "'{0}' + 0", "CAST({0} AS CHAR)", "-{0}.0", "'-{0}.0'"),
    *("_latin1'{0}'", "N'{0}'", "'{0}' '0'", "{0}0e-1", "'{0}0e-1'", "{0}.0005", "'.{0}'", ".{0}", '"{0}"'),
)
_ODD_NUMBERS = (
    "TRUE",
    "FALSE",
    "0x05",
    "x'05'",
    "b'101'",
    "''",
    "' '",
    "'abc'",
    "'٥'",
    "~0",
    "1e19",
    "0e0",
    "-0e0",
    "'-0'",
)
_WORDS = ("abc", "a", "", " ", "5", "0", "ss", "K", "i", "x-y", "AE", "a b", "~")
_TEXTS = (
    *("'{0}'", "'{0} '", "'{0}   '", "' {0}'", "'{1}'", "'{1} '", "N'{0}'", "_utf8mb4'{0}'", "_latin1'{0}'", '"{0}"'),
    *(
        "'{0}' '{0}'",
        "CONCAT('{0}', '')",
        "BINARY '{0}'",
        "'{0}\\0'",
        "'{0}\\t'",
        "'{0}\\n'",
        "x'{2}'",
        "0x{2}0",
        "'\\{0}'",
    ),
    *("'{0}' COLLATE utf8mb4_bin", "'-{0}'", "'{0}́'", "'{0}\u00ad'", "'{0}\u200b'", "'{0}\u00a0'", "'{0}\u3000'"),
)
_ODD_TEXTS = (
    "'ß'",
    "'ſſ'",
    "'ä'",
    "'a\u0308'",
    "'K'",
    "'ı'",
    "'İ'",
    "'Æ'",
    "'ａ'",
    "'ａｂｃ'",
    "5",
    "5.0",
    "0",
    "x'ff'",
    "x'c3a4'",
    "'😀'",
)
_MOMENTS = ("2020-02-03", "2020-12-31", "0001-01-01", "9999-12-31", "2020-02-30", "0000-00-00", "2020-00-00")
_DATES = (
    *("'{0}'", "'{0} 00:00:00'", "'{0}T00:00:00'", "'{0} 00:00:00.000'", "'{0} 00:00'", "'{0} 00'", "' {0}'", "'{0} '"),
    *("DATE '{0}'", "TIMESTAMP '{0} 00:00:00'", "'{0} 12:00:00'", "'{0} 12:00:00.0004'", "'{0} 12:00:00.0006'"),
    *("'{0} 12:00:00.5'", "'{0} 23:59:59.9999'", "'{0} 12:00:00.123000'", "'{0} 12:00:00+00:00'", "'{1}'", "{1}"),
    *("{1}120000", "'{1}120000'", "'{0}x'", "'{2}'", "'{3}'", "'{0} 12:00:00.'", "_latin1'{0}'", "'{0}  12:00:00'"),
    *("TIMESTAMP '{0} 12:00:00'", "'{0}-'", "'{0} 1:2:3'", "'{0} 24:00:00'"),
)


def _spellings(name: str) -> Iterator[str]:
    if name in ("int", "tiny", "big", "decimal"):
        yield from (form.format(number) for number in _INTEGERS for form in _NUMBERS)
        yield from _ODD_NUMBERS
    elif name.startswith("date"):
        for moment in _MOMENTS:
            year, month, day = moment.split("-")
            short, loose = f"{year}-{int(month)}-{int(day)}", f"{year}/{month}.{day}"
            yield from (form.format(moment, moment.replace("-", ""), short, loose) for form in _DATES)
    else:
        for word in _WORDS:
            yield from (form.format(word, word.swapcase(), word.encode().hex()) for form in _TEXTS)
        yield from _ODD_TEXTS


@pytest.mark.parametrize("name", data.KEY_COLUMNS)
def test_equal_keys_meet(stage: Stage, name: str) -> None:
    table, count, tally = f"k_{name}", max(SHARD_COUNTS), Tally()
    spellings = list(dict.fromkeys(_spellings(name)))
    databases = [TRUTH, *(shard_of(count, number) for number in range(count))]
    try:
        with stage.session(count) as session:
            for number, spelling in enumerate(spellings):
                session.check(f"INSERT INTO {table} VALUES ({spelling}, {number})", Order(), tally)
            for spelling in spellings:
                session.check(f"SELECT k, v FROM {table} WHERE k = {spelling}", Order(), tally)
    finally:
        data.fill(stage.servers.primary, ((database, table, []) for database in databases))
    print(f"\n{stage.flavor}, key {data.KEY_COLUMNS[name]}: {tally}")
    if tally.wrong:
        pytest.fail("\n".join(["not the same:", *tally.wrong]), pytrace=False)
