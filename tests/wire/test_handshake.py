"""The login machine: every plugin against every stored form, refusals that stay refusals."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from router.errors import AccessDenied, MySQLError, ProtocolError
from router.wire.commands import ComChangeUser
from router.wire.constants import Capability
from router.wire.ed25519 import ED25519, ed25519_key, ed25519_sign
from router.wire.handshake import (
    Accepted,
    Credential,
    Login,
    Refused,
    Send,
    ServerHandshake,
    StartTls,
    State,
)
from router.wire.packets import (
    ErrPacket,
    Greeting,
    HandshakeResponse,
    SslRequest,
    decode_ok,
)
from router.wire.scramble import (
    CACHING_SHA2,
    NATIVE_PASSWORD,
    native_hash,
    sha2_digest,
    xor_password,
)
from tests.wire.login_client import CLIENT, KEY, NONCE, OFFERED, PASSWORD, SECOND_NONCE, SHA2_CRYPT, Client, server

PLAIN = Credential(password=PASSWORD)
NATIVE = Credential(native_hash=native_hash(PASSWORD))
DIGEST = Credential(sha2_digest=sha2_digest(PASSWORD))
CRYPT = Credential(sha2_crypt=SHA2_CRYPT)
KEYED = Credential(ed25519_key=ed25519_key(PASSWORD))
BOTH = Credential(native_hash=native_hash(PASSWORD), sha2_crypt=SHA2_CRYPT)


# -- who gets in, and how ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("credential", "plugin", "heard"),
    [
        (PLAIN, CACHING_SHA2, ["fast"]),
        (DIGEST, CACHING_SHA2, ["fast"]),
        (NATIVE, CACHING_SHA2, ["switch mysql_native_password"]),
        (CRYPT, CACHING_SHA2, ["full"]),
        (BOTH, CACHING_SHA2, ["full"]),
        (PLAIN, NATIVE_PASSWORD, []),
        (NATIVE, NATIVE_PASSWORD, []),
        (BOTH, NATIVE_PASSWORD, []),
        (DIGEST, NATIVE_PASSWORD, ["switch caching_sha2_password", "fast"]),
        (CRYPT, NATIVE_PASSWORD, ["switch caching_sha2_password", "full"]),
        (PLAIN, "mysql_clear_password", ["switch caching_sha2_password", "fast"]),
        (NATIVE, "client_ed25519", ["switch mysql_native_password"]),
        (PLAIN, "client_ed25519", ["switch client_ed25519"]),
        (KEYED, "client_ed25519", ["switch client_ed25519"]),
        (KEYED, CACHING_SHA2, ["switch client_ed25519"]),
        (KEYED, NATIVE_PASSWORD, ["switch client_ed25519"]),
        (PLAIN, "", ["switch caching_sha2_password", "fast"]),
    ],
)
def test_the_right_password(credential: Credential, plugin: str, heard: list[str]) -> None:
    machine = server({"app": credential}, secure_transport=True)
    client = Client(PASSWORD, plugin, secure=True).log_in(machine)
    assert client.heard == heard
    assert client.login is not None
    assert machine.state is State.VERIFIED
    assert client.login.password == (PASSWORD if "full" in heard else None)
    assert client.login.auth_plugin == client.plugin


@pytest.mark.parametrize("credential", [PLAIN, NATIVE, DIGEST, CRYPT, BOTH, KEYED, Credential()])
@pytest.mark.parametrize("plugin", [CACHING_SHA2, NATIVE_PASSWORD, "dialog", ED25519])
@pytest.mark.parametrize("password", [b"wrong", b"", PASSWORD + b"x"])
def test_the_wrong_password(credential: Credential, plugin: str, password: bytes) -> None:
    machine = server({"app": credential}, secure_transport=True)
    client = Client(password, plugin, secure=True).log_in(machine)
    assert client.login is None
    assert machine.state is State.REFUSED
    using = "YES" if password or client.plugin == ED25519 else "NO"
    assert client.error == ErrPacket(
        1045, "28000", f"Access denied for user 'app'@'10.0.0.9' (using password: {using})".encode()
    )


@pytest.mark.parametrize("plugin", [CACHING_SHA2, NATIVE_PASSWORD])
@pytest.mark.parametrize(
    "credential",
    [
        Credential(password=b""),
        Credential(native_hash=native_hash(b"")),
        Credential(sha2_digest=sha2_digest(b"")),
    ],
)
def test_an_empty_password(plugin: str, credential: Credential) -> None:
    assert Client(b"", plugin).log_in(server({"app": credential})).login is not None
    assert Client(b"x", plugin).log_in(server({"app": credential})).login is None


@pytest.mark.parametrize("answer", [b"", b"\0"])
@pytest.mark.parametrize(("credential", "accepted"), [(Credential(password=b""), True), (PLAIN, False)])
def test_both_spellings_of_no_password(answer: bytes, credential: Credential, accepted: bool) -> None:
    machine = server({"app": credential})
    machine.greeting()
    response = HandshakeResponse(CLIENT, 0, 45, b"app", answer, None, CACHING_SHA2.encode())
    effects = machine.receive(1, response.encode())
    assert isinstance(effects[-1], Accepted if accepted else Refused)
    assert (machine.state is State.VERIFIED) is accepted


@pytest.mark.parametrize("first", [b"", b"\0", bytes(64), ed25519_sign(PASSWORD, NONCE)])
def test_the_greeting_has_nothing_to_sign(first: bytes) -> None:
    machine = server({"app": PLAIN})
    machine.greeting()
    [switch] = machine.receive(1, HandshakeResponse(CLIENT, 0, 45, b"app", first, None, ED25519.encode()).encode())
    assert isinstance(switch, Send)
    assert switch.data[4:] == b"\xfeclient_ed25519\0" + hmac.digest(b"decoy", NONCE, "sha256")
    assert isinstance(machine.receive(3, ed25519_sign(PASSWORD, NONCE))[-1], Refused)


def test_nobody_signs_in_without_a_secret() -> None:
    """Not with the signature of the empty password either; with it, who has that."""
    for credential, accepted in ((Credential(password=b""), True), (Credential(), False), (NATIVE, False)):
        assert (Client(b"", ED25519).log_in(server({"app": credential})).login is not None) is accepted
    client = Client(PASSWORD, ED25519).log_in(server({}))
    assert client.heard == ["switch client_ed25519", "error 1045"]


def test_mariadbs_capabilities() -> None:
    """Offered and agreed on beside the others; those of a client that is MySQL's mean nothing."""
    ours = OFFERED & ~int(Capability.LONG_PASSWORD) | int(Capability.MARIADB_STMT_BULK_OPERATIONS)
    for capabilities, agreed in ((CLIENT, CLIENT), (CLIENT & ~1, CLIENT | Capability.MARIADB_STMT_BULK_OPERATIONS)):
        machine = server({"app": PLAIN}, capabilities=ours)
        client = Client(PASSWORD, capabilities=int(capabilities))
        [payload] = client.take(machine.greeting())
        greeting = Greeting.decode(payload)
        assert greeting.mariadb_capabilities == 4
        assert greeting.capabilities == ours & 0xFFFFFFFF
        client.nonce = greeting.nonce
        response = replace(HandshakeResponse.decode(client.response()), mariadb_capabilities=0xFF)
        client.talk(machine, response.encode())
        assert client.login is not None
        assert client.login.capabilities == agreed & ~int(Capability.LONG_PASSWORD)


def test_a_user_without_any_secret_never_gets_in() -> None:
    for password in (b"", b"\0", PASSWORD):
        assert Client(password, secure=True).log_in(server({"app": Credential()}, secure_transport=True)).login is None


def test_native_greeting() -> None:
    machine = server({"app": PLAIN}, default_plugin=NATIVE_PASSWORD)
    greeting = Greeting.decode(machine.greeting()[4:])
    assert greeting.auth_plugin == NATIVE_PASSWORD.encode()
    client = Client(PASSWORD, "dialog").log_in(server({"app": PLAIN}, default_plugin=NATIVE_PASSWORD))
    assert client.heard == ["switch mysql_native_password"]
    assert client.login is not None


# -- full authentication -----------------------------------------------------------------------------------------------


def test_full_authentication_over_rsa() -> None:
    client = Client(PASSWORD).log_in(server({"app": CRYPT}, rsa=KEY))
    assert client.heard == ["full", "key"]
    assert client.login is not None
    assert client.login.password == PASSWORD
    assert Client(b"wrong").log_in(server({"app": CRYPT}, rsa=KEY)).login is None


def at_full(**changes: Any) -> ServerHandshake:
    machine = server({"app": CRYPT}, **changes)
    machine.greeting()
    response = HandshakeResponse(CLIENT, 0, 45, b"app", bytes(32), None, CACHING_SHA2.encode())
    machine.receive(1, response.encode())
    assert machine.state is State.FULL
    return machine


def test_a_client_that_has_the_key_already() -> None:
    machine = at_full(rsa=KEY)
    encrypted = KEY.encrypt_with(KEY.public_pem(), xor_password(PASSWORD + b"\0", NONCE))
    assert isinstance(machine.receive(3, encrypted)[-1], Accepted)


@pytest.mark.parametrize("payload", [PASSWORD + b"\0", b"", b"\x02", b"x" * 256])
def test_no_password_in_clear_over_plain_tcp(payload: bytes) -> None:
    machine = at_full()
    assert isinstance(machine.receive(3, payload)[-1], Refused)
    if payload != b"\x02":
        machine = at_full(rsa=KEY)
        assert isinstance(machine.receive(3, payload)[-1], Refused)


@pytest.mark.parametrize("payload", [PASSWORD, b"", b"\0", b"\x02"])
def test_clear_passwords_end_with_nul(payload: bytes) -> None:
    machine = at_full(secure_transport=True)
    assert isinstance(machine.receive(3, payload)[-1], Refused)
    assert machine.state is State.REFUSED


# -- unknown users -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plugin", [CACHING_SHA2, NATIVE_PASSWORD, "dialog"])
@pytest.mark.parametrize("password", [b"", b"guess"])
def test_an_unknown_user_looks_like_a_known_one(plugin: str, password: bytes) -> None:
    known = Client(password, plugin).log_in(server({"app": PLAIN}))
    unknown = Client(password, plugin).log_in(server({}))
    assert unknown.heard == known.heard
    assert unknown.error == known.error
    assert unknown.cause == "unknown user"


def test_guessing_the_decoy_is_of_no_use() -> None:
    decoy = hmac.digest(b"decoy", b"app", "sha256")
    for plugin in (CACHING_SHA2, NATIVE_PASSWORD):
        client = Client(decoy, plugin).log_in(server({}))
        assert client.login is None
        assert client.error is not None
        assert client.heard == ["error 1045"]


# -- TLS ---------------------------------------------------------------------------------------------------------------


def start_tls(machine: ServerHandshake, client: Client) -> None:
    [greeting] = client.take(machine.greeting())
    client.nonce = Greeting.decode(greeting).nonce
    request = SslRequest(client.capabilities | Capability.SSL, 1 << 24, 45)
    assert machine.receive(1, request.encode()) == [StartTls()]
    client.sequence = 2


def test_tls_makes_the_transport_secure() -> None:
    machine = server({"app": CRYPT}, tls_available=True, tls_required=True)
    client = Client(PASSWORD, capabilities=CLIENT | Capability.SSL, secure=True)
    start_tls(machine, client)
    assert machine.state is State.TLS
    assert not machine.secure
    with pytest.raises(ProtocolError, match="waiting for TLS"):
        machine.receive(2, client.response())
    machine.tls_established()
    assert machine.secure
    client.talk(machine, client.response())
    assert client.heard == ["full"]
    assert client.login is not None


def test_tls_is_not_started_twice() -> None:
    machine = server({"app": PLAIN}, tls_available=True)
    client = Client(PASSWORD)
    start_tls(machine, client)
    machine.tls_established()
    with pytest.raises(ProtocolError):
        machine.tls_established()
    client.talk(machine, SslRequest(CLIENT | Capability.SSL, 0, 45).encode())
    assert client.heard == ["error 1043"]


def test_tls_that_was_not_offered() -> None:
    machine = server({"app": PLAIN})
    assert not Greeting.decode(machine.greeting()[4:]).capabilities & Capability.SSL
    effects = machine.receive(1, SslRequest(CLIENT | Capability.SSL, 0, 45).encode())
    assert isinstance(effects[-1], Refused)
    assert machine.state is State.REFUSED
    with pytest.raises(ProtocolError):
        machine.tls_established()


def test_tls_required_is_said_before_any_password_is_looked_at() -> None:
    def lookup(username: str) -> Credential | None:
        raise AssertionError("looked up")

    machine = server({}, tls_available=True, tls_required=True, lookup=lookup)
    client = Client(PASSWORD).log_in(machine)
    assert client.heard == ["error 3159"]
    assert client.error is not None
    assert client.error.sqlstate == "HY000"


def test_a_unix_socket_satisfies_tls_required() -> None:
    machine = server({"app": PLAIN}, tls_available=True, tls_required=True, secure_transport=True)
    assert Client(PASSWORD).log_in(machine).login is not None


def test_announcing_tls_without_starting_it() -> None:
    client = Client(PASSWORD, capabilities=CLIENT | Capability.SSL).log_in(server({"app": PLAIN}, tls_available=True))
    assert client.heard == ["error 1043"]


@pytest.mark.parametrize("password", [PASSWORD, b"wrong"])
def test_a_user_who_must_come_by_tls(password: bytes) -> None:
    """Right and wrong passwords can't be told apart: nothing but the common error goes out."""
    credential = Credential(password=PASSWORD, require_tls=True)
    client = Client(password).log_in(server({"app": credential}, tls_available=True))
    assert client.heard == ["full", "error 1045"]
    client = Client(password, secure=True)
    machine = server({"app": credential}, tls_available=True)
    start_tls(machine, client)
    machine.tls_established()
    client.talk(machine, client.response())
    assert (client.login is not None) is (password == PASSWORD)


# -- refusals ----------------------------------------------------------------------------------------------------------


def refused_by_password() -> ServerHandshake:
    machine = server({"app": PLAIN})
    Client(b"wrong").log_in(machine)
    return machine


def refused_by_caller() -> ServerHandshake:
    machine = server({"app": PLAIN})
    machine.greeting()
    machine.refuse(MySQLError(1040, "08004", "Too many connections"))
    return machine


def refused_after_proof() -> ServerHandshake:
    machine = server({"app": PLAIN})
    Client(PASSWORD).log_in(machine)
    machine.refuse(MySQLError(1049, "42000", "Unknown database 'x'"))
    return machine


@pytest.mark.parametrize("refuse", [refused_by_password, refused_by_caller, refused_after_proof])
def test_nothing_leads_out_of_a_refusal(refuse: Callable[[], ServerHandshake]) -> None:
    machine = refuse()
    client = Client(PASSWORD, nonce=NONCE)
    steps: list[Callable[[], object]] = [
        lambda: machine.receive(1, client.response()),
        lambda: machine.receive(2, client.response()),
        lambda: machine.receive(3, client.scramble()),
        lambda: machine.welcome(2),
        lambda: machine.change_user(ComChangeUser(b"app").encode(CLIENT), 0, SECOND_NONCE),
        lambda: machine.tls_established(),
        lambda: machine.refuse(MySQLError(1045, "28000", "again")),
    ]
    for step in steps:
        with pytest.raises(ProtocolError):
            step()
        assert machine.state is State.REFUSED


def test_a_refusal_in_place_of_the_greeting() -> None:
    """Frame 0 and no SQLSTATE: the client does not know yet which protocol we speak."""
    [send, refused] = server({}).refuse(MySQLError(1040, "08004", "Too many connections"))
    assert send == Send(bytes.fromhex("17000000 ff 1004") + b"Too many connections")
    assert isinstance(refused, Refused)


def test_a_refusal_after_the_proof_takes_the_place_of_ok() -> None:
    machine = server({"app": PLAIN})
    client = Client(PASSWORD, NATIVE_PASSWORD).log_in(machine)
    client.react(machine.refuse(MySQLError(1049, "42000", "Unknown database 'x'")))
    assert client.error == ErrPacket(1049, "42000", b"Unknown database 'x'")


@pytest.mark.parametrize("sequence", [0, 2, 255])
def test_frames_out_of_order(sequence: int) -> None:
    machine = server({"app": PLAIN})
    machine.greeting()
    client = Client(PASSWORD, nonce=NONCE)
    effects = machine.receive(sequence, client.response())
    assert isinstance(effects[-1], Refused)
    assert effects[-1].error.code == 1156
    assert machine.state is State.REFUSED


@pytest.mark.parametrize("payload", [b"", b"\0", b"\xff\xff", b"\x00\x82" + bytes(20), bytes(32), b"\xff" * 32])
def test_malformed_responses(payload: bytes) -> None:
    machine = server({"app": PLAIN})
    machine.greeting()
    effects = machine.receive(1, payload)
    assert isinstance(effects[-1], Refused)
    assert effects[-1].error.code in (1043, 1251)
    assert machine.state is State.REFUSED


def test_clients_of_before_4_1_are_told_so() -> None:
    machine = server({"app": PLAIN})
    machine.greeting()
    [send, refused] = machine.receive(1, bytes.fromhex("8524 ffff00") + b"app\0oldhash\0")
    assert isinstance(send, Send)
    assert send.data[4:7] == b"\xff\xe3\x04"
    assert b"#" not in send.data
    assert isinstance(refused, Refused)
    assert refused.error.code == 1251


def test_clients_without_secure_connection_are_told_so() -> None:
    client = Client(PASSWORD, capabilities=int(Capability.PROTOCOL_41 | Capability.LONG_PASSWORD))
    client.plugin = ""
    assert client.log_in(server({"app": PLAIN})).heard == ["error 1251"]


@pytest.mark.parametrize(
    ("credential", "heard"), [(PLAIN, []), (NATIVE, []), (DIGEST, ["error 1251"]), (CRYPT, ["error 1251"])]
)
def test_clients_without_plugins_are_native(credential: Credential, heard: list[str]) -> None:
    capabilities = int(CLIENT & ~Capability.PLUGIN_AUTH)
    client = Client(PASSWORD, NATIVE_PASSWORD, capabilities=capabilities).log_in(server({"app": credential}))
    assert client.heard == heard
    assert (client.login is not None) is (not heard)


# -- what is learned ---------------------------------------------------------------------------------------------------


def test_the_login_says_who_came() -> None:
    client = Client(PASSWORD, database=b"shop", username="jörg", capabilities=CLIENT | Capability.LOCAL_FILES)
    client.log_in(server({"jörg": PLAIN}))
    assert client.login == Login(
        username="jörg",
        database="shop",
        capabilities=int(CLIENT | Capability.CONNECT_WITH_DB),
        collation_id=45,
        attributes={"program_name": "test"},
        max_packet=1 << 24,
        auth_plugin=CACHING_SHA2,
    )


def test_a_name_that_is_no_utf8_comes_back_as_it_was() -> None:
    machine = server({})
    machine.greeting()
    response = HandshakeResponse(CLIENT, 0, 45, b"\xffx", bytes(20), None, NATIVE_PASSWORD.encode())
    [send, refused] = machine.receive(1, response.encode())
    assert isinstance(send, Send)
    assert b"user '\xffx'@" in send.data
    assert isinstance(refused, Refused)


def test_the_greeting() -> None:
    machine = server({}, tls_available=True, capabilities=0)
    data = machine.greeting()
    assert data[3] == 0
    greeting = Greeting.decode(data[4:])
    assert (greeting.server_version, greeting.connection_id, greeting.nonce) == ("8.0.36-router", 7, NONCE)
    assert greeting.auth_plugin == b"caching_sha2_password"
    wanted = Capability.PROTOCOL_41 | Capability.SECURE_CONNECTION | Capability.PLUGIN_AUTH | Capability.SSL
    assert greeting.capabilities == wanted


@pytest.mark.parametrize("nonce", [b"", bytes(20), bytes(range(1, 22)), b"x" * 19])
def test_nonces_that_no_client_could_read(nonce: bytes) -> None:
    with pytest.raises(ValueError, match="nonce"):
        server({}, nonce=nonce)


@pytest.mark.parametrize(
    "forms", [{"native_hash": b"short"}, {"sha2_digest": bytes(20)}, {"sha2_crypt": "$A$005$short"}]
)
def test_credentials_that_can_not_be(forms: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Credential(**forms)


def test_welcome() -> None:
    machine = server({"app": PLAIN})
    with pytest.raises(ProtocolError):
        machine.welcome(2)
    client = Client(PASSWORD).log_in(machine)
    [payload] = client.take(machine.welcome(0x4002, b"\x01\x05\x04shop"))
    assert decode_ok(payload, machine.capabilities).status == 2
    assert machine.state is State.COMMANDS
    with pytest.raises(ProtocolError):
        machine.receive(0, b"\x0e")
    with pytest.raises(ProtocolError):
        machine.welcome(2)


# -- COM_CHANGE_USER ---------------------------------------------------------------------------------------------------


def logged_in(users: dict[str, Credential], capabilities: int = CLIENT) -> tuple[ServerHandshake, Client]:
    plugin = CACHING_SHA2 if capabilities & Capability.PLUGIN_AUTH else NATIVE_PASSWORD
    machine = server(users, secure_transport=True)
    client = Client(PASSWORD, plugin, capabilities=capabilities, secure=True).log_in(machine)
    client.take(machine.welcome(2))
    client.login = None
    client.heard = []
    return machine, client


def change(machine: ServerHandshake, client: Client, username: str, password: bytes, plugin: str) -> Client:
    client.username, client.password, client.plugin = username, password, plugin
    command = ComChangeUser(
        username.encode(), client.scramble(), b"db2", 33, plugin.encode(), {b"program_name": b"other"}
    )
    client.sequence = 1
    payload = client.react(machine.change_user(command.encode(client.capabilities), 0, SECOND_NONCE))
    return client.talk(machine, payload)


@pytest.mark.parametrize("plugin", [CACHING_SHA2, NATIVE_PASSWORD])
def test_change_user_asks_again_with_a_new_nonce(plugin: str) -> None:
    """By the greeting's plugin, whichever the command names: libmariadb names the native one always."""
    machine, client = logged_in({"app": PLAIN, "boss": Credential(password=b"boss")})
    change(machine, client, "boss", b"boss", plugin)
    assert client.nonce == SECOND_NONCE
    assert client.heard == [f"switch {CACHING_SHA2}", "fast"]
    assert client.login == Login("boss", "db2", int(CLIENT), 33, {"program_name": "other"}, 1 << 24, CACHING_SHA2)
    [payload] = client.take(machine.welcome(2))
    assert decode_ok(payload, CLIENT).status == 2
    change(machine, client, "app", PASSWORD, plugin)
    assert client.login is not None
    assert client.login.username == "app"


def test_change_user_to_a_native_hash_keeps_the_nonce_of_the_greeting() -> None:
    """libmariadb answers that one in mysql_change_user(), whatever the switch says."""
    machine, client = logged_in({"app": PLAIN, "boss": NATIVE})
    first = client.nonce
    change(machine, client, "boss", PASSWORD, NATIVE_PASSWORD)
    assert client.nonce == first
    assert client.heard == [f"switch {NATIVE_PASSWORD}"]
    assert client.login is not None


@pytest.mark.parametrize("credential", [NATIVE, CRYPT, KEYED])
def test_change_user_to_stored_forms(credential: Credential) -> None:
    machine, client = logged_in({"app": PLAIN, "boss": credential})
    assert change(machine, client, "boss", PASSWORD, CACHING_SHA2).login is not None


def test_change_user_by_ed25519() -> None:
    machine, client = logged_in({"app": PLAIN, "boss": Credential(password=b"boss")})
    change(machine, client, "boss", b"boss", ED25519)
    assert client.heard == [f"switch {ED25519}"]
    assert client.nonce == hmac.digest(b"decoy", SECOND_NONCE, "sha256")
    assert client.login is not None


@pytest.mark.parametrize("username", ["app", "nobody"])
def test_a_refused_change_of_user_is_final(username: str) -> None:
    machine, client = logged_in({"app": PLAIN})
    change(machine, client, username, b"wrong", CACHING_SHA2)
    assert client.heard == ["switch caching_sha2_password", "full", "error 1045"]
    assert machine.state is State.REFUSED


def test_a_refusal_can_be_taken_back() -> None:
    machine, client = logged_in({"app": PLAIN, "boss": Credential(password=b"boss")})
    with pytest.raises(ProtocolError, match="nothing to go on with"):
        machine.resume()
    change(machine, client, "boss", b"wrong", CACHING_SHA2)
    assert client.login is None
    machine.resume()
    assert machine.state is State.COMMANDS
    assert change(machine, client, "boss", b"boss", CACHING_SHA2).login is not None
    client.take(machine.welcome(2))
    client.sequence = 1
    client.react(machine.change_user(ComChangeUser(b"app").encode(CLIENT), 0, SECOND_NONCE, tired=True))
    assert client.error == ErrPacket(1047, "08S01", b"Unknown command")


def test_a_refused_login_is_never_taken_back() -> None:
    machine = server({"app": PLAIN})
    Client(b"wrong").log_in(machine)
    with pytest.raises(ProtocolError, match="nothing to go on with"):
        machine.resume()


def test_change_user_of_a_client_without_plugins() -> None:
    capabilities = int(CLIENT & ~Capability.PLUGIN_AUTH)
    machine, client = logged_in({"app": PLAIN, "boss": Credential(password=b"boss")}, capabilities)
    assert change(machine, client, "boss", b"boss", NATIVE_PASSWORD).login is not None
    assert client.heard == []


def test_change_user_malformed_or_out_of_place() -> None:
    machine, _ = logged_in({"app": PLAIN})
    with pytest.raises(ProtocolError, match="COM_CHANGE_USER"):
        machine.change_user(b"\x0e", 0, SECOND_NONCE)
    effects = machine.change_user(b"\x11no end", 0, SECOND_NONCE)
    assert isinstance(effects[-1], Refused)
    with pytest.raises(ProtocolError):
        server({}).change_user(b"\x11app\0\0\0", 0, SECOND_NONCE)


def test_errors_have_the_class_their_catchers_look_for() -> None:
    machine = server({"app": PLAIN})
    machine.greeting()
    machine.receive(1, Client(b"wrong", nonce=NONCE).response())
    refused = machine.receive(3, b"wrong\0")[-1]
    assert isinstance(refused, Refused)
    assert type(refused.error) is AccessDenied
