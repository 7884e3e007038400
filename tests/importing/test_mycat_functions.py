"""Tests of MyCat's partition functions as ours."""

from __future__ import annotations

from datetime import date

import pytest

from router.importing.draft import Block, Items, Node, Place
from router.importing.markup import Element
from router.importing.mycat_functions import Rule, spread

SHARDS = ("d0", "d1", "d2")


def keys(kind: str, file: str = "", shards: str = "", **given: str) -> tuple[dict[str, Node], str]:
    place = Place("rule.xml", 1)
    properties = {name: Element("property", place, {}, text) for name, text in given.items()}
    if file:
        properties["mapFile"] = Element("property", place, {}, "map.txt")
    rule = Rule(place, "id", f"io.mycat.route.function.{kind}", properties)
    found = spread(rule, "a-rule", tuple(shards) or SHARDS, {"map.txt": file.encode()} if file else {})
    return found.keys.entries, "; ".join(text for text, _ in found.said)


def plain(node: Node) -> object:
    return {key: plain(each) for key, each in node.entries.items()} if isinstance(node, Block) else node


def test_mod() -> None:
    assert keys("PartitionByMod", count="3")[0] == {"function": "mod"}
    assert keys("PartitionByMod", count="2")[0] == {"function": "mod", "shards": Items("d0", "d1")}


def test_ranges_include_their_ends_and_the_first_counts() -> None:
    found, _ = keys(
        "AutoPartitionByLong",
        "# K=1000, M=10000\n0-500M=0\n500M-1000M1=1\n\n2K - 3K=0\n10000002-10000002=2",
        defaultNode="2",
    )
    assert plain(found["ranges"]) == {"d0": [0, 5000001], "d1": [5000001, 10000002], "d2": [10000002, 10000003]}
    assert found["default"] == "d2"


def test_list() -> None:
    found, _ = keys("PartitionByFileMap", "10=0\n20=1\n-5=0\nDEFAULT_NODE=1")
    assert plain(found["values"]) == {"d0": [10, -5], "d1": [20]}
    assert found["default"] == "d1"
    found, _ = keys("PartitionByFileMap", "DE=0\n010=1", type="1", defaultNode="-1")
    assert plain(found["values"]) == {"d0": ["DE"], "d1": ["010"]}
    assert "default" not in found


@pytest.mark.parametrize(
    "kind", ["PartitionByMurmurHash", "PartitionByJumpConsistentHash", "PartitionByLong", "PartitionByString"]
)
def test_what_only_spreads_keys_has_to_be_moved(kind: str) -> None:
    found, text = keys(kind)
    assert "function" not in found, "a draft that is taken as it stands is refused, and finds no empty tables"
    assert "python" in found
    assert "ALL ROWS HAVE BEEN MOVED" in text


def test_periods() -> None:
    assert keys("PartitionByMonth", sBeginDate="2015-03-01")[0] == {"function": "month", "start": date(2015, 3, 1)}
    found, _ = keys("PartitionByMonth", sBeginDate="2015-03-01", sEndDate="2015-04-01")
    assert found["shards"] == Items("d0", "d1")
    assert keys("PartitionByMonth", shards="abcdefghijkl")[0]["start"] == date(1970, 1, 1)
    assert keys("PartitionByDate", sBeginDate="2014-01-01", sPartionDay="1")[0]["function"] == "day"
    assert keys("PartitionByDate", sBeginDate="2014-01-06", sPartionDay="7")[0]["function"] == "week"


@pytest.mark.parametrize(
    ("kind", "file", "given", "reason"),
    [
        ("PartitionByPattern", "", {}, "no function like PartitionByPattern"),
        ("PartitionByMod", "", {"count": "4"}, "more than the table's 3"),
        ("PartitionByMod", "", {"count": "x"}, "count='x'"),
        ("AutoPartitionByLong", "", {"mapFile": "none"}, "'none' is not in the folder"),
        ("AutoPartitionByLong", "0-1", {}, "a line without ="),
        ("AutoPartitionByLong", "# empty", {}, "is empty"),
        ("AutoPartitionByLong", "0=1", {}, "interval '0'"),
        ("AutoPartitionByLong", "0-x=1", {}, "number 'x'"),
        ("AutoPartitionByLong", "0-1=9", {}, "data node number '9' of 3"),
        ("AutoPartitionByLong", "5-6=1\n0-9=2", {}, "lies around another one"),
        ("AutoPartitionByLong", "0-1=1\n5-6=1", {}, "two intervals for d1"),
        ("PartitionByFileMap", "x=1", {}, "is no number"),
        ("PartitionByFileMap", "1=1\n1=2", {}, "given twice"),
        ("PartitionByMonth", "", {}, "12 months, and 3"),
        ("PartitionByMonth", "", {"sBeginDate": "20150101"}, "date '20150101'"),
        ("PartitionByMonth", "", {"sBeginDate": "2015-01-01", "sEndDate": "2016-01-01"}, "13 months"),
        ("PartitionByDate", "", {"sBeginDate": "2014-01-01", "sPartionDay": "10"}, "periods of 10 days"),
        ("PartitionByDate", "", {"sBeginDate": "2014-01-01", "sPartionDay": "7"}, "from a Wednesday on"),
        ("PartitionByDate", "", {"sBeginDate": "2014-01-01", "sEndDate": "2014-02-01"}, "sEndDate with"),
        ("PartitionByDate", "", {"sBeginDate": "2014-01-01", "sNaturalDay": "1"}, "sNaturalDay"),
    ],
)
def test_what_is_not_the_same_to_the_last_key_cannot_be_loaded(
    kind: str, file: str, given: dict[str, str], reason: str
) -> None:
    found, text = keys(kind, file, **given)
    assert found == {"python": "to_do.shards:a_rule"}
    assert reason in text
