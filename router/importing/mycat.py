"""The configuration of MyCat 1.6 – `server.xml`, `schema.xml`, `rule.xml` and their map files – as a draft of ours.

Schemas and tables are in ``mycat_schemas``, sharding functions in ``mycat_functions``; here are listeners, data hosts
and users.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from router.config.values import Address, format_duration
from router.importing.draft import Block, Draft, ImportProblem, Items, Place
from router.importing.markup import Element, parse
from router.importing.mycat_functions import Rule
from router.importing.mycat_schemas import Context, data_nodes, schema

_JDBC = re.compile(r"jdbc:(?:mysql|mariadb)://([^/?]+)")
_BALANCE = {"0": "primary", "1": "replicas", "2": "any", "3": "replicas"}
_CARRIED = {"serverPort", "bindIp", "idleTimeout", "sequnceHandlerType", "sequenceHandlerType"}
_USER = {"password", "schemas", "readOnly", "usingDecrypt", "maxCon", "defaultSchema"}


@dataclass(frozen=True, slots=True)
class _Account:
    """Whom MyCat logs in as on a server; the password is compared, never shown."""

    user: str
    password: str


def import_mycat(folder: str, files: Mapping[str, bytes]) -> Draft:
    """The draft made of the files of ``folder`` by name. Raises ImportProblem when there is nothing to convert."""
    for name in ("schema.xml", "server.xml"):
        if name not in files:
            raise ImportProblem(folder, f"there is no {name} in it")
    draft = Draft(f"MyCat, {folder}")
    server, root = parse("server.xml", files["server.xml"]), parse("schema.xml", files["schema.xml"])
    rules = _rules(parse("rule.xml", files["rule.xml"])) if "rule.xml" in files else {}
    system: dict[str, Element] = {}
    for element in server.all("system"):
        system.update(element.properties())
    _settings(system, draft)
    accounts = _groups(root, draft)
    nodes = {name: node for name, node in data_nodes(root).items() if node.host in draft.root.block("groups")}
    found = system.get("sequnceHandlerType") or system.get("sequenceHandlerType")
    context = Context(draft, nodes, rules, files, found.text.strip() if found is not None else "")
    schemas = draft.root.block("schemas")
    for element in root.all("schema"):
        made = schema(element, context)
        if made is not None and element.get("name"):
            schemas[element.get("name")] = made
    if not schemas:
        raise ImportProblem(root.place, "there is no schema whose data nodes exist: nothing to convert")
    _users(server, accounts, draft)
    _rest(server, system, draft)
    return draft


def _rules(root: Element) -> dict[str, Rule]:
    functions = {element.get("name"): element for element in root.all("function")}
    rules: dict[str, Rule] = {}
    for element in root.all("tableRule"):
        for rule in element.all("rule"):
            function = functions.get(rule.first("algorithm"))
            kind = "" if function is None else function.get("class")
            properties = {} if function is None else function.properties()
            rules[element.get("name")] = Rule(element.place, rule.first("columns"), kind, properties)
    return rules


def _settings(system: Mapping[str, Element], draft: Draft) -> None:
    port = system["serverPort"].text.strip() if "serverPort" in system else "8066"
    host = system["bindIp"].text.strip() if "bindIp" in system else "0.0.0.0"
    try:
        draft.root.items("listeners").append(str(Address.parse(f"{host}:{port}")))
    except ValueError as error:
        listeners = draft.root.items("listeners")
        listeners.append("127.0.0.1:3307")
        draft.remark(draft.root, system["serverPort"].place, f"serverPort, bindIp: {error}", key="listeners")
    idle = system["idleTimeout"].text.strip() if "idleTimeout" in system else ""
    if idle.isdecimal() and int(idle[:12]):
        draft.root.block("limits")["idle_timeout"] = format_duration(int(idle[:12]) / 1000)


# -- data hosts ------------------------------------------------------------------------------------------------


def _groups(root: Element, draft: Draft) -> list[tuple[Place, _Account]]:
    """Fill ``groups``; the accounts of all servers."""
    accounts: list[tuple[Place, _Account]] = []
    out = draft.root.block("groups")
    for host in root.all("dataHost"):
        name = host.get("name")
        servers = [*_servers(host)]
        if host.get("dbType", "mysql").lower() not in ("mysql", "mariadb"):
            draft.remark(out, host.place, f"dataHost {name!r}: dbType={host.get('dbType')}: left out")
            continue
        group = Block()
        items = group.items("servers")
        own = [account for element, is_primary in servers if (account := _server(element, is_primary, items, draft))]
        if not items or not name:
            draft.remark(out, host.place, f"dataHost {name!r} has no server: left out")
            continue
        out[name] = group
        accounts += [(servers[0][0].place, account) for account in own]
        _host(host, group, out, draft)
        monitor = own[0].user if own else ""
        if monitor:
            password = draft.password(monitor, f"of the account {monitor!r} on the servers")
            group["monitor"] = Block(flow=True, user=monitor, password=password)
    if not out:
        raise ImportProblem(root.place, "there is no dataHost with a server: nothing to convert")
    return accounts


def _servers(host: Element) -> Iterator[tuple[Element, bool]]:
    """Servers of a data host; True: the first that writes. Others that could write stand by."""
    first = True
    for writer in host.all("writeHost"):
        yield writer, first
        first = False
        for reader in writer.all("readHost"):
            yield reader, False


def _server(element: Element, is_primary: bool, items: Items, draft: Draft) -> _Account | None:
    url = element.get("url")
    jdbc = _JDBC.match(url)
    text = jdbc[1] if jdbc else url
    try:
        address = str(Address.parse(text if ":" in text or not jdbc else f"{text}:3306"))
    except ValueError as error:
        draft.remark(items, element.place, f"{element.name} {element.get('host')!r} {error}")
        return None
    if any(isinstance(each, Block) and each["address"] == address for each in items):
        draft.remark(items, element.place, f"{address} is there twice", todo=False)
        return None
    server = Block(flow=True, address=address)
    names = {each["name"] for each in items if isinstance(each, Block) and "name" in each}
    if element.get("host") and element.get("host") not in names:
        server = Block(flow=True, name=element.get("host"), address=address)
    if is_primary:
        server["role"] = "primary"
    elif element.name == "readHost":
        server["role"] = "replica"
    weight = element.get("weight")
    if weight.isdecimal() and weight != "1" and element.name == "readHost":
        server["weight"] = int(weight[:6])
    items.append(server)
    return _Account(element.get("user"), element.get("password"))


def _host(host: Element, group: Block, out: Block, draft: Draft) -> None:
    name = host.get("name")
    most, least = host.get("maxCon"), host.get("minCon")
    if most.isdecimal() and int(most[:6]):
        pool = Block(flow=True, max_connections=int(most[:6]))
        if least.isdecimal() and 0 < int(least[:6]) <= int(most[:6]):
            pool["min_idle"] = int(least[:6])
        group["pool"] = pool
    reads = _BALANCE.get(host.get("balance", "0"))
    if reads is None:
        draft.remark(out, host.place, f"dataHost {name!r}: balance={host.get('balance')}: see `reads.from`", key=name)
    elif reads != "replicas":
        group.block("reads")["from"] = reads
    threshold, switch = host.get("slaveThreshold"), host.get("switchType", "1")
    if switch == "2" and threshold.isdecimal() and int(threshold[:6]):
        group.block("reads")["max_lag"] = format_duration(int(threshold[:6]))
    if switch == "3":
        draft.remark(
            out, host.place, f"dataHost {name!r}: switchType=3: the router does not watch Galera's states", key=name
        )
    elif switch != "-1" and len(list(host.all("writeHost"))) > 1:
        text = (
            f"dataHost {name!r}: MyCat goes over to the next writeHost by itself; the router goes where a server is "
            "made the primary (remove `role` to have it found out), and makes none itself"
        )
        draft.remark(out, host.place, text, key=name)
    for init in host.all("connectionInitSql"):
        draft.remark(out, init.place, f"dataHost {name!r}: connectionInitSql is not available", key=name)


# -- users -----------------------------------------------------------------------------------------------------


def _users(server: Element, accounts: list[tuple[Place, _Account]], draft: Draft) -> None:
    out = draft.root.block("users")
    first = accounts[0][1] if accounts else None
    others = [place for place, account in accounts if account != first]
    for element in server.all("user"):
        name = element.get("name")
        if not name or name in out:
            draft.remark(out, element.place, f"user {name!r} is there twice, or has no name")
            continue
        user = Block()
        out[name] = user
        user["password"] = draft.password(f"{name}_client", f"of user {name!r} at the router")
        if first is not None and first.user:
            password = draft.password(first.user, f"of the account {first.user!r} on the servers")
            user["backend"] = Block(flow=True, user=first.user, password=password)
        _rights(element, name, user, out, draft)
    if not out:
        draft.remark(out, server.place, "there are no users: `app` stands for yours", key="app")
        out["app"] = Block(flow=True, password=draft.password("app_client", "of user 'app' at the router"))
    if others:
        text = "data hosts have different accounts; a user has one for all servers here, the first is taken"
        draft.remark(draft.root, others[0], text, key="users")


def _rights(element: Element, name: str, user: Block, out: Block, draft: Draft) -> None:
    properties = element.properties()
    values = {key: each.text.strip() for key, each in properties.items()}
    known = draft.root.block("schemas").entries
    wanted = [each.strip() for each in values.get("schemas", "").split(",") if each.strip()]
    schemas = [each for each in dict.fromkeys(wanted) if each in known]
    for each in wanted:
        if each not in known:
            draft.remark(out, element.place, f"user {name!r}: there is no schema {each!r}", key=name)
    if schemas:
        user["schemas"] = Items(*schemas)
    if values.get("defaultSchema") in schemas:
        user["default_schema"] = values["defaultSchema"]
    if values.get("readOnly", "").lower() == "true":
        user["read_only"] = True
    most = values.get("maxCon", "")
    if most.isdecimal() and int(most[:6]):
        user["max_connections"] = int(most[:6])
    if not values.get("password"):
        draft.remark(out, element.place, f"user {name!r} has no password; the router wants one", key=name)
    for key in sorted(values.keys() - _USER):
        draft.remark(out, properties[key].place, f"user {name!r}: property {key!r} has no counterpart", key=name)
    for privileges in element.all("privileges"):
        if privileges.get("check").lower() == "true":
            text = f"user {name!r}: privileges are those of the account on the servers; give each user one of its own"
            draft.remark(out, privileges.place, text, key=name)


# -- the rest --------------------------------------------------------------------------------------------------


def _rest(server: Element, system: Mapping[str, Element], draft: Draft) -> None:
    """Say of everything that was not looked at that it was not."""
    for element in server.children:
        if element.name == "firewall":
            text = (
                "firewall: `users.*.hosts` says where users may come from, a rule with `reject` what they must not do"
            )
            draft.remark(draft.root, element.place, text)
        elif element.name not in ("system", "user"):
            draft.remark(draft.root, element.place, f"<{element.name}> is not carried over")
    others = sorted(system.keys() - _CARRIED)
    if others:
        text = f"{len(others)} settings have no counterpart, or are not needed: {', '.join(others)}"
        draft.remark(draft.root, system[others[0]].place, text, todo=False)
