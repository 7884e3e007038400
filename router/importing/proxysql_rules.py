"""ProxySQL's query rules as rules: theirs are exceptions to one hostgroup per user, ours to reads on replicas.

Theirs go on behind a match unless ``apply`` is set, and the last destination wins; ours stop at the first match. So a
rule without ``apply`` that names a destination goes behind those that may overrule it. The usual pair that splits reads
and writes is the router's default; it is left out at the end of the rules, where nothing comes behind it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from router.config.values import format_duration
from router.importing.draft import Block, Draft, Items
from router.importing.patterns import Usual, digest_of, regex_of, usual
from router.importing.proxysql_groups import Target
from router.importing.tables import Row, Tables

# Columns without which the rule would do something else: it is left out as a whole.
_CHANGES = {
    "flagOUT": "chains (flagIN, flagOUT) are not available",
    "replace_pattern": "statements are not rewritten",
    "proxy_addr": "rules do not know the address that was connected to",
    "proxy_port": "rules do not know the port that was connected to",
    "digest": "ProxySQL's hash of a statement cannot be turned back; write the statement itself as `when.digest`",
    "OK_msg": "no statement is answered by a rule",
    "next_query_flagIN": "chains (flagIN, flagOUT) are not available",
}
# Columns that can be left away from a rule; True: somebody should know.
_LOSSES = {
    "cache_ttl": ("results are not cached", True),
    "delay": ("statements are not delayed", True),
    "mirror_flagOUT": ("copies are not looked at by other rules", True),
    "attributes": ("attributes are not understood", True),
    "retries": ("the router repeats proven reads by itself", False),
    "reconnect": ("the router connects again by itself", False),
    "multiplex": ("the router finds out itself when a session must keep its server", False),
    "sticky_conn": ("the router finds out itself when a session must keep its server", False),
    "log": ("single rules are not logged; `limits.digests` counts statements", False),
    "gtid_from_hostgroup": ("`reads.consistency: session`, the default, does this for all reads", False),
}
# Columns that keep a rule from matching everybody's statements.
_NARROW = ("username", "schemaname", "client_addr")


@dataclass(frozen=True, slots=True)
class Homes:
    """Where users' statements go without rules, and names that rules may use."""

    users: Mapping[str, Target]
    main: Target
    schemas: frozenset[str]
    groups: int


class _LeftOut(Exception):
    """A rule that cannot be carried over."""


def rules(tables: Tables, targets: Mapping[int, Target], homes: Homes, draft: Draft) -> None:
    """Fill ``rules`` of the draft."""
    out = draft.root.items("rules")
    rows = _in_order(tables, out, draft)
    rows, left = _without_usual(rows, targets, homes)
    for row in rows:
        _rule(row, rows, targets, homes, draft, out)
    for row, kind in left:
        text = f"{_called(row)}: {kind.value}: that is the router's default, so there is no rule for it"
        draft.remark(out, row.place, text, todo=False)
    split = any(kind is Usual.READS for _, kind in left) or any(
        usual(row) is Usual.READS and not any(row.text(key) for key in _NARROW) for row in rows
    )
    if not split:
        _reads_stay(targets, tables, out, draft)


def _called(row: Row) -> str:
    comment = f" ({row.text('comment')})" if row.text("comment") else ""
    pattern = row.text("match_digest") or row.text("match_pattern")
    return f"query rule {row.text('rule_id', '?')}{comment}{' ' + repr(pattern) if pattern else ''}"


def _in_order(tables: Tables, out: Items, draft: Draft) -> list[Row]:
    """The rules that are in force, in the order in which the first match is the one that counts."""
    rows = sorted(tables.of("mysql_query_rules"), key=lambda row: row.number("rule_id", 1 << 31))
    active: list[Row] = []
    for row in rows:
        if not row.number("active"):
            draft.remark(out, row.place, f"{_called(row)} is not active: left out", todo=False)
        elif row.number("flagIN"):
            text = f"{_called(row)} is left out: chains (flagIN, flagOUT) are not available"
            draft.remark(out, row.place, text)
        else:
            active.append(row)
    ordered: list[Row] = []
    for row in reversed(active):
        # What only mirrors does not end the search, and an error is final.
        behind = not row.number("apply") and row.text("destination_hostgroup") and not row.text("error_msg")
        if behind and ordered:
            if row.number("timeout") or row.text("mirror_hostgroup"):
                text = (
                    f"{_called(row)}: no `apply`, and more than a destination: it stands behind the rules it let pass"
                )
                draft.remark(out, row.place, text)
            ordered.append(row)
        else:
            ordered.insert(0, row)
    return ordered


def _without_usual(
    rows: list[Row], targets: Mapping[int, Target], homes: Homes
) -> tuple[list[Row], list[tuple[Row, Usual]]]:
    """Rules but for those at the end that say what the router does anyway, and these."""
    kept = list(rows)
    left: list[tuple[Row, Usual]] = []
    wanted = {Usual.READS: "replica", Usual.LOCKING: "primary", Usual.WRITES: "primary", Usual.ALL: "primary"}
    while kept:
        row = kept[-1]
        kind = usual(row)
        target = targets.get(row.number("destination_hostgroup", -1))
        plain = not any(row.text(key) for key in (*_NARROW, "error_msg", *_CHANGES)) and not any(
            row.number(key) for key in ("timeout", "cache_ttl", "delay")
        )
        if kind is None or target is None or not plain or row.text("mirror_hostgroup"):
            break
        everywhere = {homes.main.group, *(home.group for home in homes.users.values())}
        if (
            everywhere != {target.group}
            or target.role not in (None, wanted[kind])
            or (kind is Usual.ALL and any(each is Usual.READS for _, each in left))
        ):
            break
        left.insert(0, (kept.pop(), kind))
    return kept, left


def _reads_stay(targets: Mapping[int, Target], tables: Tables, out: Items, draft: Draft) -> None:
    """ProxySQL sends a read to a reader because of a rule only; the router does so by itself."""
    paired = sorted({target.group for target in targets.values() if target.role == "replica"})
    if not paired:
        return
    out.append(
        Block(name="other-reads", when=Block(flow=True, statement="select"), send_to=Block(flow=True, role="primary"))
    )
    out.comments.setdefault(len(out) - 1, []).append(
        "No rule of ProxySQL sent all reads to the readers, so they stay on the primary. Without this rule they"
        " are split."
    )


# -- one rule --------------------------------------------------------------------------------------------------


def _rule(row: Row, rows: Sequence[Row], targets: Mapping[int, Target], homes: Homes, draft: Draft, out: Items) -> None:
    try:
        for column, reason in _CHANGES.items():
            if row.text(column) not in ("", "0") or (column == "flagOUT" and row.text(column)):
                raise _LeftOut(reason)
        rule = Block(name=_name(row, out))
        when = _when(row, homes)
        if when:
            rule["when"] = when
        if row.text("error_msg"):
            rule["reject"] = row.text("error_msg")
        else:
            _actions(row, rule, rows, targets, homes, draft, out)
    except _LeftOut as error:
        draft.remark(out, row.place, f"{_called(row)} is left out: {error}")
        return
    for column, (reason, todo) in _LOSSES.items():
        if row.text(column) not in ("", "0", "{}") or (column == "multiplex" and row.text(column) == "0"):
            text = f"{_called(row)}: {column}={row.text(column)}: {reason}"
            draft.remark(out, row.place, text, todo=todo)
    if row.text("match_digest") and "regex" in when:
        text = f"{_called(row)}: `regex` is searched in the text as sent, with literals and comments"
        draft.remark(out, row.place, text, todo=False)
    if row.text("comment"):
        out.comment(row.text("comment"))
    out.append(rule)


def _name(row: Row, out: Items) -> str:
    taken = {rule["name"] for rule in out if isinstance(rule, Block)}
    name, number = f"proxysql-{row.text('rule_id') or len(out) + 1}", 1
    while name in taken:
        number += 1
        name = f"proxysql-{row.text('rule_id') or len(out) + 1}-{number}"
    return name


def _when(row: Row, homes: Homes) -> Block:
    when = Block(flow=True)
    if row.text("username"):
        if row.text("username") not in homes.users:
            raise _LeftOut(f"there is no user {row.text('username')!r}")
        when["user"] = row.text("username")
    if row.text("schemaname"):
        if homes.schemas and row.text("schemaname") not in homes.schemas:
            raise _LeftOut(f"there is no schema {row.text('schemaname')!r}")
        when["schema"] = row.text("schemaname")
    if row.text("client_addr") not in ("", "%"):
        when["client"] = _network(row.text("client_addr"))
    if row.text("match_digest") or row.text("match_pattern"):
        digest = digest_of(row)
        try:
            when["digest" if digest else "regex"] = digest or regex_of(row)
        except ValueError as error:
            raise _LeftOut(str(error)) from None
    return when


def _network(text: str) -> str:
    """``10.1.%`` as a network. Raises _LeftOut."""
    parts = text.split(".")
    if parts[-1] == "%" and 1 < len(parts) <= 4 and all(part.isdecimal() for part in parts[:-1]):
        text = ".".join([*parts[:-1], *["0"] * (5 - len(parts))]) + f"/{8 * (len(parts) - 1)}"
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise _LeftOut(f"client_addr {text!r} is no address and no network") from None


def _actions(
    row: Row,
    rule: Block,
    rows: Sequence[Row],
    targets: Mapping[int, Target],
    homes: Homes,
    draft: Draft,
    out: Items,
) -> None:
    last = row is rows[-1]
    sent: Target | None = None
    if row.text("destination_hostgroup"):
        sent = targets.get(row.number("destination_hostgroup", -1))
        if sent is None:
            raise _LeftOut(f"there is no server in hostgroup {row.text('destination_hostgroup')}")
        rule["send_to"] = _send_to(sent, homes)
    if row.number("timeout") > 0:
        rule["timeout"] = format_duration(row.number("timeout") / 1000)
        if not row.number("apply") and not row.text("destination_hostgroup") and not last:
            draft.remark(
                out, row.place, f"{_called(row)}: a rule with a timeout ends the search: move it, or add to others"
            )
    if row.text("mirror_hostgroup"):
        target = targets.get(row.number("mirror_hostgroup", -1))
        if target is None or homes.groups == 1 or (sent is not None and sent.group == target.group):
            reason = "mirror_hostgroup: copies go to another group only"
            draft.remark(out, row.place, f"{_called(row)}: {reason}")
        else:
            rule["mirror"] = target.group
            text = "only proven reads are copied; `mirror: {writes: true}` for others"
            draft.remark(out, row.place, f"{_called(row)}: {text}", todo=usual(row) is not Usual.READS)
    if "send_to" not in rule and row.number("apply") and not last:
        # It keeps those behind it from matching.
        home = homes.users.get(row.text("username")) if row.text("username") else homes.main
        if home is None or (not row.text("username") and any(each != homes.main for each in homes.users.values())):
            raise _LeftOut("its statements go to the hostgroup of whichever user it is")
        rule["send_to"] = _send_to(home, homes)
    if not any(key in rule for key in ("send_to", "timeout", "mirror")):
        raise _LeftOut("there is nothing in it that the router does")


def _send_to(target: Target, homes: Homes) -> Block:
    send_to = Block(flow=True)
    if homes.groups > 1 or target.role is None:
        send_to["group"] = target.group
    if target.role is not None:
        send_to["role"] = target.role
    return send_to
