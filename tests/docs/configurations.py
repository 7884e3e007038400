"""The configurations that pages show: whole, or as pieces that are put onto a small one."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from router.config.models import RouterConfig
from router.sandbox import ReplicaSet, Server
from router.wire.scramble import make_sha2_crypt
from tests.config.certificates import write_certificate
from tests.docs.blocks import Block, blocks

# What pages take from their environment.
ENVIRON = {
    "APP_PASSWORD": ReplicaSet.USERS["app"],
    "MONITOR_PASSWORD": ReplicaSet.USERS["router"],
    "SERVER_PASSWORD": ReplicaSet.USERS["app"],
    "REPORTING_PASSWORD": "reporting-secret",
    "ADMIN_PASSWORD": "admin-secret",
    "OPS_PASSWORD": "ops-secret",
    "COLLECTOR_TOKEN": "collector-secret",
    "APP_CLIENT_PASSWORD": "app-secret",  # of what `router import mycat` writes
}
KEYS = {field.alias or name for name, field in RouterConfig.model_fields.items()}
# Files that pages name: certificates, and secrets.
CERTIFICATES = ("server", "db-ca", "client-ca")
SECRETS = ("reporting", "app")
# What pieces are put onto, where no page before them says otherwise.
BASE = """
listeners: [127.0.0.1:3307]
groups:
  main: {servers: [{name: db1, address: 10.0.0.1:3306}, {name: db2, address: 10.0.0.2:3306}]}
users:
  app: {password: "${env:APP_PASSWORD}"}
"""
# Pages whose pieces speak of more than that.
MORE = {
    "docs/how-to/rules.md": """
groups: {analytics: {servers: [10.0.3.1:3306]}, staging: {servers: [10.0.4.1:3306]}}
users: {reporting: {password: x}}
schemas: {shop: {group: main}}
""",
    "docs/explanation/sharding.md": """
groups: {shard0: {servers: [10.0.1.1:3306]}, shard1: {servers: [10.0.2.1:3306]}}
""",
}
Document = dict[str, Any]


def read(text: str) -> Any:
    """YAML as plain values."""
    return YAML(typ="safe").load(text)


def written(document: Document) -> str:
    """A document as YAML."""
    out = io.StringIO()
    YAML(typ="safe").dump(document, out)
    return out.getvalue()


def is_whole(block: Block) -> bool:
    """Whether a block is a configuration by itself."""
    document = read(block.text)
    return isinstance(document, dict) and {"groups", "users"} <= document.keys()


def document_at(block: Block) -> Document:
    """The configuration that a reader of the page has when he has come to this block."""
    document = _merged(read(BASE), read(MORE.get(block.page, "{}")))
    for each in blocks(block.page):
        if each.language == "yaml" and not each.file:
            document = read(each.text) if is_whole(each) else _merged(document, piece(each))
        if each == block:
            return document
    raise LookupError(f"{block} is no block of its page")


def piece(block: Block) -> Document:
    """A piece of a configuration, at the place where it belongs."""
    found = read(block.text)
    for key in reversed(block.place.split(".") if block.place else []):
        found = {key: found}
    assert isinstance(found, dict), f"{block}: what is it a part of? Say so above it: <!-- in: schemas.shop -->"
    unknown = found.keys() - KEYS
    assert not unknown, f"{block}: {sorted(unknown)}: no keys of a configuration; <!-- in: … --> tells their place"
    return found


def _merged(document: Document, more: Document) -> Document:
    result = dict(document)
    for key, value in more.items():
        old = result.get(key)
        if key == "users":  # each by itself: a hash takes the place of a password
            result[key] = {**(old or {}), **value}
        else:
            result[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def with_files(text: str, folder: Path) -> str:
    """The text of a configuration whose files are in ``folder``; what is left out of a hash (``…``) is there."""
    for name in CERTIFICATES:
        if not (folder / f"{name}.pem").exists():
            write_certificate(folder / f"{name}.pem", folder / f"{name}.key")
    for name in SECRETS:
        (folder / name).write_text(f"{name}-secret\n", encoding="ascii")
    text = re.sub(r"\$A\$005\$…", make_sha2_crypt(b"example", b"twenty_bytes_of_salt"), text)
    return text.replace("/run/secrets/", f"{folder}/")


def in_front_of(document: Document, groups: Mapping[str, Sequence[Server]], ports: Mapping[str, int]) -> Document:
    """The same configuration on this machine: its groups are these servers, its addresses these ports (0: any).

    Servers of the document that are too many are left out. ``ports`` are those of ``client``, ``http`` and ``mysql``.
    """
    result = dict(document)
    result["listeners"] = [f"127.0.0.1:{ports['client']}"]
    admin = dict(document.get("admin") or {})
    admin["http"] = f"127.0.0.1:{ports['http']}"
    if "mysql" in admin:
        admin["mysql"] = f"127.0.0.1:{ports['mysql']}"
    result["admin"] = admin
    result["groups"] = {
        name: _group(group, groups[name]) for name, group in document["groups"].items() if name in groups
    }
    return result


def _group(group: Document, servers: Sequence[Server]) -> Document:
    named = [each if isinstance(each, dict) else {"name": each, "address": each} for each in group["servers"]]
    places = [{**each, "address": f"127.0.0.1:{server.port}"} for each, server in zip(named, servers, strict=False)]
    monitor = {"user": ReplicaSet.monitor_user, "password": ReplicaSet.USERS["router"], "interval": "200ms"}
    return {**group, "servers": places, "monitor": monitor}
