"""ProxySQL's hostgroups as groups: a writer and a reader hostgroup are one group, whose roles the router finds out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from router.config.values import Address, format_duration
from router.importing.draft import Block, Draft, ImportProblem, Items
from router.importing.patterns import Usual, usual
from router.importing.tables import Row, Tables

Role = Literal["primary", "replica"] | None

# Tables that say which hostgroups belong together, with the columns of those that read.
_TOGETHER = {
    "mysql_replication_hostgroups": ("reader_hostgroup",),
    "mysql_group_replication_hostgroups": ("reader_hostgroup", "backup_writer_hostgroup", "offline_hostgroup"),
    "mysql_galera_hostgroups": ("reader_hostgroup", "backup_writer_hostgroup", "offline_hostgroup"),
    "mysql_aws_aurora_hostgroups": ("reader_hostgroup",),
}
_MAX_WEIGHT = 10_000_000


@dataclass(frozen=True, slots=True)
class Target:
    """What a hostgroup has become: a group, and the role of its servers there (None: it was all of the group)."""

    group: str
    role: Role


@dataclass(slots=True)
class _Cluster:
    """Hostgroups that become one group. ``fixed``: who writes was told by nothing but the hostgroup."""

    name: str
    writer: int
    readers: list[int] = field(default_factory=list)
    row: Row | None = None
    table: str = ""
    fixed: bool = False


def groups(tables: Tables, draft: Draft) -> dict[int, Target]:
    """Fill ``groups`` of the draft; what each hostgroup is there."""
    servers: dict[int, list[Row]] = {}
    for row in tables.of("mysql_servers"):
        servers.setdefault(row.number("hostgroup_id"), []).append(row)
    if not servers:
        raise ImportProblem(draft.origin, "there are no mysql_servers in it: nothing to convert")
    targets: dict[int, Target] = {}
    out = draft.root.block("groups")
    for cluster in _clusters(tables, servers):
        rows = [row for number in (cluster.writer, *cluster.readers) for row in servers.get(number, [])]
        if not rows:
            if cluster.row is not None:
                text = f"{cluster.table}: no server in hostgroups {cluster.writer}, {_listed(cluster.readers)}"
                draft.remark(out, cluster.row.place, text)
            continue
        paired = bool(cluster.readers)
        targets[cluster.writer] = Target(cluster.name, "primary" if paired else None)
        targets.update((number, Target(cluster.name, "replica")) for number in cluster.readers)
        out[cluster.name] = _group(cluster, rows, tables, draft, out)
    if not targets:
        raise ImportProblem(draft.origin, "there are no mysql_servers in it: nothing to convert")
    return targets


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _clusters(tables: Tables, servers: dict[int, list[Row]]) -> list[_Cluster]:
    found: list[_Cluster] = []
    taken: set[int] = set()
    for table, columns in _TOGETHER.items():
        for row in tables.of(table):
            writer = row.number("writer_hostgroup")
            readers = [row.number(column, -1) for column in columns]
            readers = [number for number in dict.fromkeys(readers) if number >= 0 and number not in (taken | {writer})]
            if writer in taken or row.text("active", "1") == "0":
                continue
            taken |= {writer, *readers}
            found.append(_Cluster(f"hg{writer}", writer, readers, row, table))
    pair = _pair_of_rules(tables)
    if pair is not None and not taken & set(pair) and set(pair) <= servers.keys():
        taken |= set(pair)
        found.append(_Cluster(f"hg{pair[0]}", pair[0], [pair[1]], fixed=True))
    found += [_Cluster(f"hg{number}", number) for number in servers if number not in taken]
    return sorted(found, key=lambda cluster: cluster.writer)


def _pair_of_rules(tables: Tables) -> tuple[int, int] | None:
    """The hostgroups of the usual two rules, one for locking reads (or the users' own) and one for reads."""
    seen: dict[Usual, int] = {}
    for row in tables.of("mysql_query_rules"):
        kind = usual(row)
        if kind is not None and row.number("active") and row.text("destination_hostgroup"):
            seen.setdefault(kind, row.number("destination_hostgroup"))
    homes = [row.number("default_hostgroup") for row in tables.of("mysql_users")]
    home = max(homes, key=homes.count) if homes else 0
    writer, reader = seen.get(Usual.LOCKING, seen.get(Usual.WRITES, home)), seen.get(Usual.READS)
    return None if reader is None or reader == writer else (writer, reader)


# -- one group -------------------------------------------------------------------------------------------------


def _group(cluster: _Cluster, rows: list[Row], tables: Tables, draft: Draft, out: Block) -> Block:
    group = Block()
    what = f"hostgroup {cluster.writer}" + (
        f" (writer), {_listed(cluster.readers)} (readers)" if cluster.readers else ""
    )
    comment = cluster.row.text("comment") if cluster.row is not None else ""
    out.comment(f"ProxySQL's {what}{': ' + comment if comment else ''}", cluster.name)
    if cluster.fixed:
        text = "nothing but the rules tells who writes and who reads: `role` is fixed; remove it to have it found out"
        draft.remark(out, rows[0].place, text, key=cluster.name, todo=False)
    if cluster.row is not None and cluster.table != "mysql_replication_hostgroups":
        text = f"{cluster.table}: the router goes by read_only and replication status, not by the cluster's own states"
        draft.remark(out, cluster.row.place, text, key=cluster.name)
    _servers(cluster, rows, draft, group)
    _bounds(cluster, rows, draft, group, out)
    _monitor(tables, draft, group, cluster.name)
    return group


def _servers(cluster: _Cluster, rows: list[Row], draft: Draft, group: Block) -> None:
    items = group.items("servers")
    by_address: dict[str, list[Row]] = {}
    for row in rows:
        try:
            port = row.number("port", 3306)
            host = row.text("hostname")
            host = f"[{host}]" if host.count(":") > 1 else host
            address = str(Address.parse(f"{host}:{port}" if port else f"unix:{host}"))
        except ValueError as error:
            draft.remark(items, row.place, f"server {row.text('hostname')!r} {error}")
            continue
        by_address.setdefault(address, []).append(row)
    away = {address for address, same in by_address.items() if all(_is_away(row) for row in same)}
    both = False
    for address, same in by_address.items():
        _said(same, draft, items)
        server = Block(flow=True, address=address)
        numbers = {row.number("hostgroup_id") for row in same}
        both = both or (cluster.writer in numbers and len(numbers) > 1)
        if cluster.fixed:
            writes = cluster.writer in numbers
            server["role"] = "primary" if writes and "primary" not in _roles(items) else "replica"
            if writes and server["role"] == "replica":
                draft.remark(items, same[0].place, f"{address}: a group has one primary; this one only reads now")
        weight = min(max(0, _reader(cluster, same).number("weight", 1)), _MAX_WEIGHT)
        if weight != 1:
            server["weight"] = weight
        if address in away:
            text = f"{address} is {same[0].text('status')}"
            if len(away) < len(by_address):
                draft.remark(items, same[0].place, f"{text}: left out, weight {weight}")
                continue
            draft.remark(items, same[0].place, f"{text}, as are all servers of this group: it stands here nevertheless")
        items.append(server)
    if not items:
        raise ImportProblem(rows[0].place, f"no server of hostgroup {cluster.writer} has an address to connect to")
    if both and not cluster.fixed:
        group.comment("The writer was among the readers, too.", "reads")
        group.block("reads")["from"] = "any"


def _roles(items: Items) -> set[object]:
    return {server["role"] for server in items if isinstance(server, Block) and "role" in server}


def _is_away(row: Row) -> bool:
    return row.text("status", "ONLINE").upper().startswith("OFFLINE")


def _reader(cluster: _Cluster, same: list[Row]) -> Row:
    return next((row for row in same if row.number("hostgroup_id") in cluster.readers), same[0])


def _said(same: list[Row], draft: Draft, items: Items) -> None:
    for row in same:
        if row.text("comment"):
            items.comment(row.text("comment"))
        if row.number("compression"):
            draft.remark(items, row.place, "compression towards servers is not available")
        if row.number("max_latency_ms"):
            text = f"max_latency_ms={row.text('max_latency_ms')}: `reads.balance: fastest` prefers near servers instead"
            draft.remark(items, row.place, text)
        if row.number("gtid_port"):
            text = "gtid_port is not needed: servers tell GTIDs in their answers (`reads.consistency`)"
            draft.remark(items, row.place, text, todo=False)


def _bounds(cluster: _Cluster, rows: list[Row], draft: Draft, group: Block, out: Block) -> None:
    counts = {row.number("max_connections", 1000) for row in rows if row.number("max_connections", 1000) > 0}
    if counts:
        group["pool"] = Block(flow=True, max_connections=min(counts))
    if len(counts) > 1:
        text = f"max_connections differs between servers ({_listed(sorted(counts))}); the least is taken for all"
        draft.remark(out, rows[0].place, text, key=cluster.name)
    lags = {row.number("max_replication_lag") for row in rows if row.number("max_replication_lag") > 0}
    if lags:
        group.block("reads")["max_lag"] = format_duration(min(lags))
    if len(lags) > 1:
        text = f"max_replication_lag differs between servers ({_listed(sorted(lags))}); the least is taken for all"
        draft.remark(out, rows[0].place, text, key=cluster.name)
    tls = {bool(row.number("use_ssl")) for row in rows}
    if True in tls:
        group["tls"] = Block(flow=True, mode="required")
    if len(tls) > 1:
        draft.remark(out, rows[0].place, "use_ssl differs between servers; it is required of all", key=cluster.name)


def _monitor(tables: Tables, draft: Draft, group: Block, name: str) -> None:
    user = tables.variables.get("mysql-monitor_username")
    if user is None or not user[1]:
        return
    monitor = Block(flow=True, user=user[1])
    monitor["password"] = draft.password(user[1], f"of the monitor account {user[1]!r}")
    interval = tables.variables.get("mysql-monitor_read_only_interval")
    if interval is not None and interval[1].isdecimal() and 100 <= int(interval[1][:9]) <= 60_000:
        monitor["interval"] = format_duration(int(interval[1]) / 1000)
    group["monitor"] = monitor
