"""The command line's side of the ``api``: one request to a running router, as its configuration says where and who."""

from __future__ import annotations

import base64
import http.client
import json
import socket
from typing import Any
from urllib.parse import quote, urlencode

from router.admin.routes import PREFIX
from router.config.models import Admin
from router.errors import OperationFailed


def path_of(*names: str) -> str:
    """The path of something by its names, none of which is more than one piece of it."""
    return PREFIX + "/".join(quote(name, safe="") for name in names)


def not_ready(admin: Admin, within: float) -> str | None:
    """Why the router cannot serve, as ``/readyz`` says; None: it can. Raises OperationFailed."""
    connection = _connection(admin, within)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise OperationFailed(f"no router answers at {admin.http}: {error}") from error
    finally:
        connection.close()
    return None if answer.status == 200 else text


def ask(admin: Admin, method: str, path: str, within: float, **options: str | None) -> dict[str, Any]:
    """What the router answers, within so many seconds. Raises OperationFailed."""
    given = {name: value for name, value in options.items() if value is not None}
    headers = {"Content-Type": "application/json", **_credentials(admin)}
    connection = _connection(admin, within)
    try:
        connection.request(method, f"{path}?{urlencode(given)}" if given else path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise OperationFailed(f"no router answers at {admin.http}: {error}") from error
    finally:
        connection.close()
    if answer.status == 401:
        raise OperationFailed("the router wants other credentials than those of admin.users in this file")
    try:
        found: dict[str, Any] = json.loads(body)
    except ValueError as error:
        raise OperationFailed(f"what answers at {admin.http} is no router of this version") from error
    if answer.status != 200:
        raise OperationFailed("\n".join([str(found.get("error", answer.reason)), *found.get("problems", [])]))
    return found


def _credentials(admin: Admin) -> dict[str, str]:
    for name, user in admin.users.items():
        word = f"{name}:{user.password.get_secret_value()}".encode()
        return {"Authorization": f"Basic {base64.b64encode(word).decode()}"}
    return {}


def _connection(admin: Admin, within: float) -> http.client.HTTPConnection:
    address = admin.http
    if address.path is not None:
        return _OverUnixSocket(address.path, within)
    # One that listens everywhere is reached here.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host or "", address.host or "")
    return http.client.HTTPConnection(host, address.port, timeout=within)


class _OverUnixSocket(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, within: float) -> None:
        super().__init__("localhost", timeout=within)
        self._path = path

    def connect(self) -> None:
        """As HTTPConnection does, elsewhere."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


# -- for people --------------------------------------------------------------------------------------------------------

SERVER_COLUMNS = ("group", "server", "address", "role", "state", "lag", "in use", "pinned", "idle", "waiting")


def server_rows(found: dict[str, Any]) -> list[list[str]]:
    """A row of text for each server, with ``SERVER_COLUMNS`` first."""
    rows = [list(SERVER_COLUMNS)]
    for each in found["servers"]:
        states = [word for word in ("draining", "fenced", "paused") if each[word]]
        state = ", ".join(states) or "up"
        lag = "" if each["lag"] is None else f"{float(each['lag']):g} s"
        counts = [str(each[name]) for name in ("in_use", "pinned", "idle", "waiting")]
        role = "primary" if each["primary"] else each["role"]
        rows.append(
            [each["group"], each["server"], each["address"], role, state if each["up"] else "down", lag, *counts]
        )
    return rows


def told(each: dict[str, Any]) -> str:
    """One line about what was drained, undrained, paused or resumed."""
    if "server" in each:
        name = f"{each['group']}/{each['server']}"
        if not each["draining"]:
            return f"{name} is in use"
        if not each["in_use"]:
            return f"{name} is drained: nobody is held there"
        return f"{name} is draining: {each['in_use']} connections in use, {each['pinned']} of them by idle sessions"
    if not each["paused"]:
        return f"{each['group']} goes on"
    quiet = "is paused: nothing is under way" if not each["active"] else f"is paused, but {each['active']} connections"
    parts = [f"{each['group']} {quiet}" + (" are busy or in transactions" if each["active"] else "")]
    if each["pinned"]:
        parts.append(f"{each['pinned']} kept by idle sessions")
    if each["elsewhere"]:
        parts.append(f"{each['elsewhere']} transactions on other groups may still come")
    return ", ".join(parts)
