"""Tests of XML that may be hostile."""

# ruff: noqa: E501 - samples are as long as they are

from __future__ import annotations

import pytest

from router.importing.draft import ImportProblem, Place
from router.importing.markup import parse

LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE a [<!ENTITY l "lol"><!ENTITY l2 "&l;&l;&l;&l;&l;&l;&l;&l;&l;&l;">]>
<a>&l2;</a>"""


def test_elements() -> None:
    root = parse(
        "x.xml",
        b'<!DOCTYPE a SYSTEM "a.dtd">\n<m:a xmlns:m="u">\n<b c=" 1 ">t<!-- no -->u</b><property name="p">v</property></m:a>',
    )
    assert root.name == "m:a"
    (b,) = root.all("b")
    assert (b.place, b.get("c"), b.get("d", "e"), b.text) == (Place("x.xml", 3), "1", "e", "tu")
    assert (root.first("b"), root.first("z")) == ("tu", "")
    assert root.properties()["p"].text == "v"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (LAUGHS, "x.xml:2: defines entities"),
        (b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>', "x.xml:1: defines entities"),
        (b'<!DOCTYPE a [<!ENTITY % p SYSTEM "http://x/">%p;]><a/>', "defines entities"),
        (b'<!DOCTYPE a SYSTEM "a.dtd"><a>&e;</a>', "has no child"),
        (b"<a>" * 1000, "x.xml:1: is nested too deeply"),
        (b"<a>\n<b></a>", "x.xml:2: is not XML: mismatched tag"),
        (b"", "is not XML: no element found"),
        (b'<?xml version="1.0" encoding="none-such"?><a/>', "is not XML"),
        (b"<a>\xff</a>", "is not XML"),
    ],
)
def test_what_is_refused(content: bytes, reason: str) -> None:
    if reason == "has no child":  # what a DTD that is not read may define is left out
        assert parse("x.xml", content).text == ""
        return
    with pytest.raises(ImportProblem, match=reason):
        parse("x.xml", content)
