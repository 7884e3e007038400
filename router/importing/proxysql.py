"""The configuration of ProxySQL – its admin database as SQL, or `proxysql.cnf` – as a draft of ours.

Hostgroups are in ``proxysql_groups``, query rules in ``proxysql_rules``; here are listeners, limits, users, databases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from router.config.checks import is_password_hash
from router.config.values import Address, format_duration
from router.importing.draft import Block, Draft, Items, Place, decoded
from router.importing.libconfig import read_libconfig
from router.importing.proxysql_groups import Target, groups
from router.importing.proxysql_rules import Homes, rules
from router.importing.tables import Row, Tables, read_sql

_SQL = re.compile(r"\s*(--|/\*!|(insert|replace|create|pragma|begin|set|load|update|delete|drop)\b)", re.IGNORECASE)
_CARRIED = frozenset(
    {"mysql-interfaces", "mysql-max_connections", "mysql-max_allowed_packet", "mysql-wait_timeout"}
    | {"mysql-monitor_username", "mysql-monitor_password", "mysql-monitor_read_only_interval"}
)
# Variables that change what clients see, with what makes no difference.
_WEIGHTY = {
    "mysql-init_connect": ("", "statements for new connections are not available"),
    "mysql-have_ssl": ("false", "TLS towards clients needs `listeners.*.tls` with certificate and key"),
    "mysql-default_query_timeout": ("36000000", "there is no timeout for all statements: rules have `timeout`"),
    "mysql-query_rules_fast_routing_algorithm": ("1", ""),
}
# So many mistakes are told one by one.
_MOST_UNREAD = 100
_USELESS = frozenset({"mysql_collations", "debug_levels", "debug_filters", "global_settings", "sqlite_sequence"})
_KNOWN = frozenset(
    {"mysql_servers", "mysql_users", "mysql_query_rules", "mysql_replication_hostgroups", "mysql_galera_hostgroups"}
    | {"mysql_group_replication_hostgroups", "mysql_aws_aurora_hostgroups", "mysql_query_rules_fast_routing"}
)


def import_proxysql(files: Sequence[tuple[str, bytes]]) -> Draft:
    """The draft of a configuration from files by name. Raises ImportProblem when there is nothing to convert."""
    tables = Tables()
    for name, content in files:
        text = decoded(name, content)
        read = read_sql if name.endswith(".sql") or _SQL.match(text) else read_libconfig
        read(name, text, tables)
    draft = Draft("ProxySQL, " + ", ".join(name for name, _ in files))
    _settings(tables, draft)
    targets = groups(tables, draft)
    users = [row for row in tables.of("mysql_users") if row.text("username") and row.number("frontend", 1)]
    main = _main(users, targets)
    schemas = _schemas(tables, users, targets, main, draft)
    homes = {row.text("username"): targets.get(row.number("default_hostgroup"), main) for row in _active(users)}
    _users(users, tables, targets, schemas, draft)
    known = Homes(homes or {"app": main}, main, schemas, len({target.group for target in targets.values()}))
    rules(tables, targets, known, draft)
    _user_defaults(users, known, draft)
    _rest(tables, draft)
    if not draft.root.items("rules") and not draft.root.items("rules").comments:
        del draft.root.entries["rules"]
    return draft


def _active(users: Sequence[Row]) -> list[Row]:
    """The rows of users that may log in, each name once."""
    return list({row.text("username"): row for row in users if row.number("active", 1)}.values())


def _main(users: Sequence[Row], targets: Mapping[int, Target]) -> Target:
    """Where most users are at home."""
    homes = [target for row in _active(users) if (target := targets.get(row.number("default_hostgroup")))]
    return max(homes, key=homes.count) if homes else targets[min(targets)]


def _settings(tables: Tables, draft: Draft) -> None:
    place, interfaces = tables.variables.get("mysql-interfaces", (Place("", 0), ""))
    for text in filter(None, (part.strip() for part in interfaces.split(";"))):
        try:
            address = str(Address.parse(f"unix:{text}" if text.startswith("/") else text))
        except ValueError as error:
            draft.remark(draft.root.block("limits"), place, f"mysql-interfaces: {text!r} {error}")
            continue
        listeners = draft.root.items("listeners")
        if address not in listeners and address != "127.0.0.1:8307":
            listeners.append(address)
    for variable, key in (("max_connections", "max_connections"), ("max_allowed_packet", "max_allowed_packet")):
        _, value = tables.variables.get(f"mysql-{variable}", (place, ""))
        if value.isdecimal() and int(value[:12]) > 0:
            draft.root.block("limits")[key] = int(value[:12])
    _, value = tables.variables.get("mysql-wait_timeout", (place, ""))
    if value.isdecimal() and int(value[:12]):
        draft.root.block("limits")["idle_timeout"] = format_duration(int(value[:12]) / 1000)


# -- users and databases ---------------------------------------------------------------------------------------


def _users(
    users: Sequence[Row], tables: Tables, targets: Mapping[int, Target], schemas: frozenset[str], draft: Draft
) -> None:
    out = draft.root.block("users")
    active = _active(users)
    for row in users:
        if not row.number("active", 1):
            draft.remark(out, row.place, f"user {row.text('username')!r} is not active: left out", todo=False)
    for row in active:
        name = row.text("username")
        user = Block()
        out[name] = user
        if row.text("comment"):
            out.comment(row.text("comment"), name)
        _password(row, tables, user, draft)
        schema = row.text("default_schema")
        if schema:
            user["default_schema"] = schema
        if row.number("schema_locked") and schema:
            user["schemas"] = Items(schema)
        if 0 < row.number("max_connections") != 10_000:
            user["max_connections"] = row.number("max_connections")
        _lost(row, out, name, targets, draft)
    if not active:
        place = Place(draft.origin, 1)
        draft.remark(out, place, "there are no mysql_users: `app` stands for yours", key="app")
        out["app"] = Block(flow=True, password=draft.password("app", "of user 'app'"))


def _password(row: Row, tables: Tables, user: Block, draft: Draft) -> None:
    name, password = row.text("username"), row.text("password")
    backend = next(
        (each for each in tables.of("mysql_users") if each.text("username") == name and not each.number("frontend", 1)),
        None,
    )
    if is_password_hash(password):
        user["password_hash"] = password
        user["backend"] = Block(
            flow=True, password=draft.password(name, f"of {name!r} on the servers (only its hash is known)")
        )
        return
    user["password"] = draft.password(name, f"of user {name!r}")
    if backend is not None and backend.text("password") != password:
        user["backend"] = Block(flow=True, password=draft.password(f"{name}_backend", f"of {name!r} on the servers"))
    if not password:
        draft.remark(user, row.place, f"user {name!r} has no password; the router wants one", key="password")


def _lost(row: Row, out: Block, name: str, targets: Mapping[int, Target], draft: Draft) -> None:
    if row.number("default_hostgroup") not in targets:
        text = f"user {name!r}: there is no server in its default_hostgroup {row.text('default_hostgroup', '0')}"
        draft.remark(out, row.place, text, key=name)
    if row.number("use_ssl"):
        draft.remark(out, row.place, f"user {name!r}: use_ssl: add `listeners.*.tls`, then `tls: required`", key=name)
    if row.text("attributes") not in ("", "{}"):
        draft.remark(out, row.place, f"user {name!r}: attributes are not understood", key=name)
    if row.number("fast_forward"):
        text = f"user {name!r}: fast_forward is not needed: answers are relayed as they come"
        draft.remark(out, row.place, text, key=name, todo=False)
    if row.text("transaction_persistent") == "0":
        text = f"user {name!r}: transaction_persistent=0: a transaction always stays on its server here"
        draft.remark(out, row.place, text, key=name, todo=False)


def _schemas(
    tables: Tables, users: Sequence[Row], targets: Mapping[int, Target], main: Target, draft: Draft
) -> frozenset[str]:
    """Fill ``schemas`` where several groups need it; the names in it."""
    if len({target.group for target in targets.values()}) == 1:
        return frozenset()
    out = draft.root.block("schemas")
    first = tables.of("mysql_servers")[0].place
    text = "ProxySQL does not know the databases: list all that clients may see, each with the group it lives in"
    placed: dict[str, str] = {}
    for row in tables.of("mysql_query_rules_fast_routing"):
        target = targets.get(row.number("destination_hostgroup", -1))
        if row.text("username") or row.number("flagIN") or target is None or not row.text("schemaname"):
            why = f"fast routing of {row.text('username')!r}, {row.text('schemaname')!r} is left out: write a rule"
            draft.remark(out, row.place, why)
        else:
            placed.setdefault(row.text("schemaname"), target.group)
    for row in _active(users):
        if row.text("default_schema"):
            placed.setdefault(row.text("default_schema"), targets.get(row.number("default_hostgroup"), main).group)
    for row in tables.of("mysql_query_rules"):
        if row.text("schemaname") and row.number("active"):
            placed.setdefault(row.text("schemaname"), main.group)
    for name, group in (placed or {"app": main.group}).items():
        out[name] = Block(flow=True, group=group)
    draft.remark(out, first, text, key=next(iter(out.entries)))
    return frozenset(out.entries)


def _user_defaults(users: Sequence[Row], homes: Homes, draft: Draft) -> None:
    """Rules for users who are at home elsewhere than most."""
    out = draft.root.items("rules")
    for row in _active(users):
        name = row.text("username")
        home = homes.users[name]
        if home.group != homes.main.group or (home.role == "replica" and home.role != homes.main.role):
            send_to = Block(flow=True, group=home.group)
            if home.role == "replica":
                send_to["role"] = home.role
            before = next(
                (n for n, rule in enumerate(out) if isinstance(rule, Block) and rule["name"] == "other-reads"), len(out)
            )
            out.comments = {n + (n >= before): texts for n, texts in out.comments.items()}
            out.comments.setdefault(before, []).append(
                f"default_hostgroup {row.text('default_hostgroup', '0')} of {name!r}"
            )
            out.insert(before, Block(name=f"home-of-{name}", when=Block(flow=True, user=name), send_to=send_to))


# -- the rest --------------------------------------------------------------------------------------------------


def _rest(tables: Tables, draft: Draft) -> None:
    """Say of everything that was not looked at that it was not."""
    more = len(tables.unread) - _MOST_UNREAD
    if more > 0:
        draft.remark(draft.root, tables.unread[_MOST_UNREAD][0], f"not understood: {more} more statements from here on")
    for place, reason in tables.unread[:_MOST_UNREAD]:
        draft.remark(draft.root, place, f"not understood: {reason}")
    for table, rows in sorted(tables.rows.items()):
        if table in _KNOWN or table in _USELESS or table.startswith(("runtime_", "stats_", "history_")):
            continue
        draft.remark(draft.root, rows[0].place, f"table {table} ({len(rows)} rows) is not carried over")
    if tables.of("mysql_query_rules_fast_routing") and "schemas" not in draft.root:
        place = tables.of("mysql_query_rules_fast_routing")[0].place
        draft.remark(draft.root, place, "mysql_query_rules_fast_routing: there is one group only", todo=False)
    others: list[str] = []
    for name, (place, value) in sorted(tables.variables.items()):
        usual, text = _WEIGHTY.get(name, (value, ""))
        if text and value.lower() not in (usual, "0"):
            draft.remark(draft.root, place, f"{name}={value}: {text}")
        elif name not in _CARRIED:
            others.append(name)
    if others:
        place = tables.variables[others[0]][0]
        text = f"{len(others)} settings have no counterpart, or are not needed: {', '.join(others)}"
        draft.remark(draft.root, place, text, todo=False)
