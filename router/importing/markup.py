"""XML of a stranger, read without anything dangerous: an element tree with the line of each element.

The expat of the standard library, told to refuse what configuration files have no use for: entities of their own (and
so all "billion laughs"), depth without end. `<!DOCTYPE … SYSTEM "…">` is in every file of MyCat; what it names is
not fetched. defusedxml would refuse just the same, but has no lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from router.importing.draft import ImportProblem, Place

_DEPTH = 32


@dataclass(slots=True)
class Element:
    """An element: its name, attributes, the text right in it, and what is inside."""

    name: str
    place: Place
    attributes: dict[str, str]
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def get(self, attribute: str, default: str = "") -> str:
        """An attribute's value, without spaces around it."""
        return self.attributes.get(attribute, default).strip()

    def all(self, name: str) -> Iterator[Element]:
        """The children called ``name``."""
        return (child for child in self.children if child.name == name)

    def first(self, name: str) -> str:
        """The text of the first child called ``name``; empty when there is none."""
        return next((child.text.strip() for child in self.all(name)), "")

    def properties(self) -> dict[str, Element]:
        """``<property name="x">…`` by name."""
        return {child.get("name"): child for child in self.all("property")}


def parse(name: str, content: bytes) -> Element:
    """The root of a file called ``name``. Raises ImportProblem, with the line."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    root = Element("", Place(name, 1), {})
    open_elements = [root]

    def refuse(*_: object) -> None:
        raise ImportProblem(Place(name, parser.CurrentLineNumber), "defines entities, which are not read")

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(open_elements) > _DEPTH:
            raise ImportProblem(Place(name, parser.CurrentLineNumber), "is nested too deeply")
        element = Element(tag, Place(name, parser.CurrentLineNumber), attributes)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(_: str) -> None:
        open_elements.pop()

    def text(data: str) -> None:
        open_elements[-1].text += data

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.EntityDeclHandler = refuse
    parser.UnparsedEntityDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise ImportProblem(Place(name, error.lineno), f"is not XML: {expat.ErrorString(error.code)}") from None
    except (ValueError, LookupError) as error:
        raise ImportProblem(name, f"is not XML: {error}") from None
    return root.children[0]
