"""The blocks of a page as they are found."""

from __future__ import annotations

from tests.docs.blocks import blocks_of, commands, looks_like, pages

PAGE = """# Title

<!-- in: schemas.shop -->
```yaml
  a: 1
```

<!-- file: x.txt -->

```console
$ router one \\
    --two
said
# three
```
words
```
plain
```
"""


def test_blocks() -> None:
    yaml, console, plain = blocks_of("p.md", PAGE)
    assert (yaml.language, yaml.text, yaml.place, yaml.line, yaml.follows) == (
        "yaml",
        "  a: 1\n",
        "schemas.shop",
        5,
        None,
    )
    assert (console.file, console.place, console.follows) == ("x.txt", "", yaml)
    assert (plain.language, plain.text, plain.follows) == ("", "plain\n", None)
    assert [(command.text, command.printed) for command in commands(console)] == [
        ("router one \\\n    --two", "said\n"),
        ("three", ""),
    ]


def test_what_is_shown_and_what_is_real() -> None:
    assert looks_like("ready in … s\n  done", "ready in 4.8 s\ndone\n")
    assert not looks_like("ready in … s", "ready in 4.8 s\ndone\n")
    assert not looks_like("a.c", "abc")


def test_there_are_pages() -> None:
    assert {"README.md", "docs/reference/configuration.md"} <= set(pages())
