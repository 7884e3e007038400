"""DDL on sharded tables: which tables a statement makes, changes or drops. It is for every shard that has them.

Read from tokens, since the parser knows little of DDL. What is not certain is Unplannable.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from router.planner.routes import Unplannable
from router.planner.spreading import Spreading
from router.planner.tables import ShardedSchema, ShardedTable
from router.sql.lexer import Token, TokenKind

_NAMES = frozenset({TokenKind.WORD, TokenKind.QUOTED})
_CREATES = frozenset({"UNIQUE", "FULLTEXT", "SPATIAL"})
_MOVES = frozenset({"DROP", "CHANGE", "MODIFY", "RENAME", "CONVERT"})


def everywhere(schema: ShardedSchema, tokens: Sequence[Token]) -> Spreading | None:
    """How to run it on the shards; None when it is about other tables. Raises Unplannable."""
    names = targets(tokens)
    tables = [schema.find(name) for name in names]
    if not any(tables):
        return None
    sharded = [table for table in tables if table is not None]
    if len(sharded) < len(tables) or len({table.shards for table in sharded}) > 1:
        raise Unplannable(f"tables of several places ({', '.join(names)}) in one statement")
    for table in sharded:
        _check(table, tokens)
    return Spreading(ddl=True, shards=sharded[0].shards)


def targets(tokens: Sequence[Token]) -> list[str]:
    """The tables that a DDL statement makes, changes or drops, without their database. Raises Unplannable."""
    words = _Words(tokens)
    verb = words.next()
    if verb == "TRUNCATE":
        words.skip("TABLE")
        return [words.name()]
    if verb == "ALTER":
        words.skip("ONLINE", "IGNORE")
        if words.next() == "TABLE":
            words.skip("IF", "EXISTS")
            return [words.name()]
    elif verb == "CREATE":
        return _created(words)
    elif verb == "DROP":
        what = words.next()
        words.skip("IF", "EXISTS")
        if what in ("TABLE", "TABLES"):
            return words.names()
        if what == "INDEX":
            words.name()
            words.until("ON")
            return [words.name()]
    raise Unplannable("DDL of this kind")


def _created(words: _Words) -> list[str]:
    words.skip("OR", "REPLACE")
    what = words.next()
    if what == "TEMPORARY":
        raise Unplannable("a temporary table of this name")
    if what in _CREATES:
        what = words.next()
    if what == "INDEX":
        words.skip("IF", "NOT", "EXISTS")
        words.name()
        words.until("ON")
        return [words.name()]
    if what != "TABLE":
        raise Unplannable("DDL of this kind")
    words.skip("IF", "NOT", "EXISTS")
    name = words.name()
    if "SELECT" in words.rest() or "VALUES" in words.rest():
        raise Unplannable("CREATE TABLE … SELECT")
    return [name]


def _check(table: ShardedTable, tokens: Sequence[Token]) -> None:
    """ALTER must not move rows to other shards, nor the table away. Raises Unplannable."""
    if tokens[0].text != "ALTER":
        return
    texts = [token.text for token in tokens]
    keys = {name.upper() for name in table.columns}
    named = {token.text.strip('`"').upper() for token in tokens if token.kind in _NAMES}
    moves = _MOVES.intersection(texts)
    if moves and keys & named:
        raise Unplannable(f"{' and '.join(sorted(moves))} in ALTER TABLE together with '{table.columns[0]}', its key")
    if "CONVERT" in moves and keys:
        raise Unplannable("ALTER TABLE … CONVERT TO CHARACTER SET, which may change which keys are equal")
    for text, following in itertools.pairwise(texts):
        if text == "RENAME" and following not in ("COLUMN", "INDEX", "KEY"):
            raise Unplannable("ALTER TABLE … RENAME")


class _Words:
    """Tokens, one after the other."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def next(self) -> str:
        """The next word."""
        if self._at >= len(self._tokens) or self._tokens[self._at].kind is not TokenKind.WORD:
            raise Unplannable("DDL of this form")
        self._at += 1
        return self._tokens[self._at - 1].text

    def skip(self, *words: str) -> None:
        """Pass these words, if they are there."""
        for word in words:
            if self._at < len(self._tokens) and self._tokens[self._at].text == word:
                self._at += 1

    def until(self, word: str) -> None:
        """Behind the next such word."""
        while self.next_text() != word:
            pass

    def next_text(self) -> str:
        """The next token, whatever it is."""
        if self._at >= len(self._tokens):
            raise Unplannable("DDL of this form")
        self._at += 1
        return self._tokens[self._at - 1].text

    def name(self) -> str:
        """A name, its database left out."""
        for _ in range(2):
            if self._at >= len(self._tokens) or self._tokens[self._at].kind not in _NAMES:
                raise Unplannable("DDL of this form")
            token = self._tokens[self._at]
            self._at += 1
            if self._at < len(self._tokens) and self._tokens[self._at].text == ".":
                self._at += 1
                continue
            break
        return token.text.strip('`"').replace("``", "`").lower()

    def names(self) -> list[str]:
        """Names between commas, to the end."""
        found = [self.name()]
        while self._at < len(self._tokens) and self._tokens[self._at].text == ",":
            self._at += 1
            found.append(self.name())
        if set(self.rest()) - {"RESTRICT", "CASCADE"}:
            raise Unplannable("DDL of this form")
        return found

    def rest(self) -> Iterator[str]:
        """What is left."""
        return (token.text for token in self._tokens[self._at :])
