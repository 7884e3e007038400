"""Groups, rights, rules and hints, one at a time; whole plans are in cases/*.yaml."""

from __future__ import annotations

import pytest

from router.errors import AccessDenied, Unsupported
from router.planner.plan import Mirror, Plan, Refused, Relay, Role
from router.sql.facts import PinReason, Reason
from tests.planner.fix_catalog import ONE_GROUP, TWO_GROUPS, context, planner_of


def plan(
    sql: str, config: str = ONE_GROUP, user: str = "app", schema: str | None = None, client: str | None = None
) -> Plan:
    return planner_of(config).plan(sql.encode(), context(user, schema, client))


def relay(sql: str, config: str = ONE_GROUP, user: str = "app", schema: str | None = None) -> Relay:
    found = plan(sql, config, user, schema)
    assert isinstance(found, Relay), found
    return found


def refused(sql: str, config: str = ONE_GROUP, user: str = "app", schema: str | None = None) -> Refused:
    found = plan(sql, config, user, schema)
    assert isinstance(found, Refused), found
    return found


# -- groups ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "schema", "group"),
    [
        ("SELECT * FROM t", None, "main"),
        ("SELECT * FROM t", "shop", "main"),
        ("SELECT * FROM t", "events", "analytics"),
        ("SELECT * FROM events.t", "shop", "analytics"),
        ("SELECT * FROM shop.t JOIN stock.u", "events", "main"),
        ("SELECT 1", "events", "analytics"),
        ("INSERT INTO events.t VALUES (1)", None, "analytics"),
        ("SELECT events.x FROM t events", "shop", "main"),
        ("WITH events AS (SELECT 1) SELECT events.x FROM events", "shop", "main"),
        ("SELECT * FROM information_schema.tables", "events", "analytics"),
        ("SELECT * FROM events.t JOIN information_schema.tables", "shop", "analytics"),
        ("CREATE TABLE events.t (a INT, b INT, INDEX (a(10)))", "shop", "analytics"),
        ("CALL events.p()", "shop", "analytics"),
        ("USE events", "shop", "analytics"),
        ("SHOW TABLES FROM events", "shop", "analytics"),
        ("DROP DATABASE events", "shop", "analytics"),
        ("BEGIN", "events", "analytics"),
        ("SELECT a.x FROM events.t a GROUP BY 1 DESC", "shop", "analytics"),
        ("SELECT * FROM elsewhere.t", "events", "main"),
    ],
)
def test_the_databases_decide_the_group(sql: str, schema: str | None, group: str) -> None:
    assert relay(sql, TWO_GROUPS, schema=schema).group == group


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM shop.t JOIN events.t",
        "SELECT * FROM t JOIN events.t",
        "INSERT INTO events.t SELECT * FROM t",
        "SELECT 1; INSERT INTO events.t SELECT * FROM shop.t",
        "RENAME TABLE shop.t TO events.t",
        "SELECT a.x FROM shop.t a, events.u GROUP BY 1 DESC",
    ],
)
def test_no_statement_spans_groups(sql: str) -> None:
    error = refused(sql, TWO_GROUPS, schema="shop").error
    assert isinstance(error, Unsupported)
    assert (error.code, error.sqlstate) == (1235, "42000")
    assert error.message.startswith("router: ")
    for name in ("'shop'", "group main", "'events'", "group analytics"):
        assert name in error.message


# -- rights ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "schema"),
    [
        ("SELECT * FROM t", "shop"),
        ("SELECT * FROM stock.t", "shop"),
        ("SELECT a.x FROM t a JOIN stock.u AS b ON a.i = b.i", "shop"),
        ("SELECT * FROM information_schema.tables", "shop"),
        ("SELECT * FROM INFORMATION_SCHEMA.tables", None),
        ("SELECT 1", None),
        ("USE stock", "shop"),
        ("CREATE VIEW v AS SELECT a.x FROM t a", "shop"),
        ("CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.a = OLD.b", "shop"),
        ("SHOW TABLES FROM stock", "shop"),
    ],
)
def test_databases_a_user_may_use(sql: str, schema: str | None) -> None:
    relay(sql, user="shop", schema=schema)


@pytest.mark.parametrize(
    ("sql", "schema"),
    [
        ("SELECT * FROM x.t", "shop"),
        ("SELECT * FROM `x`.t", "shop"),
        ("SELECT * FROM t, x.u", "shop"),
        ("SELECT (SELECT 1 FROM x.t)", "shop"),
        ("SELECT x.f(1)", "shop"),
        ("SELECT x.t FROM x.t AS x", "shop"),
        ("INSERT INTO t SELECT * FROM x.t", "shop"),
        ("UPDATE x.t SET a=1", "shop"),
        ("CALL x.p()", "shop"),
        ("USE x", "shop"),
        ("SHOW TABLES FROM x", "shop"),
        ("SHOW COLUMNS FROM t FROM x", "shop"),
        ("SHOW CREATE TABLE x.t", "shop"),
        ("DROP DATABASE x", "shop"),
        ("CREATE DATABASE x", "shop"),
        ("DESC x.t", "shop"),
        ("SELECT 1; SELECT * FROM x.t", "shop"),
        ("/*! SELECT * FROM x.t */", "shop"),
        ("SELECT 1 /*!99999 FROM x.t */", "shop"),
        ("SELECT * FROM x.t GROUP BY a DESC", "shop"),
        ("FROB x.t", "shop"),
        ("LOCK TABLES x.t READ", "shop"),
        ("GRANT ALL ON x.* TO u", "shop"),
        ("SELECT * FROM t", "x"),
    ],
)
def test_databases_a_user_may_not_use(sql: str, schema: str) -> None:
    error = refused(sql, user="shop", schema=schema).error
    assert isinstance(error, AccessDenied)
    assert (error.code, error.sqlstate) == (1044, "42000")
    assert error.message == "Access denied for user 'shop'@'%' to database 'x'"


@pytest.mark.parametrize("sql", ["SELECT 1", "SET @a=1", "BEGIN", "COMMIT", "SHOW TABLES", "USE d", "SELECT @@version"])
def test_what_a_read_only_user_may_run(sql: str) -> None:
    relay(sql, user="reader")


@pytest.mark.parametrize(
    "sql", ["DELETE FROM t", "SELECT f(1)", "SET GLOBAL a=1", "CALL p()", "SELECT 1 FOR UPDATE", "x"]
)
def test_what_a_read_only_user_may_not_run(sql: str) -> None:
    error = refused(sql, user="reader").error
    assert (error.code, error.sqlstate) == (1290, "HY000")
    assert "user 'reader' is read-only" in error.message


def test_a_user_who_has_left_the_configuration() -> None:
    assert refused("SELECT 1", user="gone").error.code == 1045


# -- rules -----------------------------------------------------------------------------------------------------


def rules(*lines: str, config: str = TWO_GROUPS) -> str:
    return config + "rules:\n" + "".join(f"  - {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("when", "sql", "matches"),
    [
        ("user: app", "SELECT 1", True),
        ("user: shop", "SELECT 1", False),
        ("schema: shop", "SELECT 1", True),
        ("schema: stock", "SELECT 1", False),
        ("statement: select", "SELECT 1", True),
        ("statement: select", "INSERT INTO t VALUES (1)", False),
        ("statement: ddl", "DROP TABLE t", True),
        ("statement: other", "SHUTDOWN", True),
        ("client: 10.1.0.0/16", "SELECT 1", True),
        ("client: 10.2.0.0/16", "SELECT 1", False),
        ('regex: "(?i)from big_"', "select * FROM big_t", True),
        ('regex: "from big_"', "SELECT 'x' FROM small", False),
        ('digest: "SELECT * FROM orders"', "select  *  from `orders` -- x", True),
        ('digest: "SELECT * FROM orders"', "SELECT * FROM orders LIMIT 1", False),
        ('digest: "SELECT * FROM t WHERE id IN (1)"', "select * from t where id in (1, 2, 3)", True),
        ("user: app, statement: select, schema: shop", "SELECT 1", True),
        ("user: app, statement: insert, schema: shop", "SELECT 1", False),
    ],
)
def test_conditions(when: str, sql: str, matches: bool) -> None:
    config = rules(f"{{name: r, when: {{{when}}}, send_to: {{group: analytics}}}}")
    found = plan(sql, config, schema="shop", client="10.1.2.3")
    assert isinstance(found, Relay)
    assert (found.group, found.rule) == (("analytics", "r") if matches else ("main", None))


def test_the_first_rule_that_matches_wins() -> None:
    config = rules(
        "{name: a, when: {user: shop}, send_to: {group: analytics}}",
        "{name: b, when: {statement: select}, send_to: {role: primary}}",
        "{name: c, when: {statement: select}, reject: 'no'}",
    )
    found = relay("SELECT 1", config)
    assert (found.rule, found.role, found.reason) == ("b", Role.PRIMARY, Reason.RULE)


def test_a_rule_sends_only_proven_reads_to_replicas() -> None:
    config = rules("{name: r, send_to: {role: replica}}")
    assert relay("SELECT 1", config).role is Role.REPLICA
    for sql in ("SELECT f(1)", "DELETE FROM t", "SELECT 1 FOR UPDATE", "SET a=1"):
        found = relay(sql, config)
        assert (found.role, found.reason) == (Role.PRIMARY, Reason.RULE_NOT_READ)


def test_a_rule_may_only_limit_the_time() -> None:
    config = rules(
        "{name: a, when: {statement: select}, timeout: 2s}", "{name: b, send_to: {role: primary}, timeout: 5s}"
    )
    found = relay("SELECT 1", config)
    assert (found.rule, found.role, found.reason, found.timeout) == ("a", Role.REPLICA, Reason.READ, 2.0)
    found = relay("DELETE FROM t", config)
    assert (found.rule, found.role, found.reason, found.timeout) == ("b", Role.PRIMARY, Reason.RULE, 5.0)


def test_a_rule_that_only_mirrors_does_not_end_the_search() -> None:
    config = rules(
        "{name: m, when: {statement: select}, mirror: {group: analytics, percent: 10}}",
        "{name: later, mirror: main}",
        "{name: a, when: {regex: orders}, send_to: {role: primary}, mirror: main}",
        "{name: no, when: {regex: secret}, reject: 'no'}",
    )
    found = relay("SELECT 1", config)
    assert (found.rule, found.role, found.reason, found.special) == ("m", Role.REPLICA, Reason.READ, True)
    assert found.mirror == Mirror("m", "analytics", 10, 16, writes=False), "the first of them"
    found = relay("SELECT 1 FROM orders", config)
    assert (found.rule, found.role, found.reason) == ("a", Role.PRIMARY, Reason.RULE)
    assert found.mirror is not None
    assert found.mirror.rule == "m"
    assert refused("SELECT 1 FROM secret", config).rule == "no"


@pytest.mark.parametrize(
    ("sql", "reads", "writes"),
    [
        ("SELECT 1", True, True),
        ("SHOW TABLES", True, True),
        ("INSERT INTO t VALUES (1)", False, True),
        ("REPLACE INTO t VALUES (1)", False, True),
        ("UPDATE t SET a = 1", False, True),
        ("DELETE FROM t", False, True),
        ("SELECT f(1)", False, False),
        ("SELECT 1 FOR UPDATE", False, False),
        ("SELECT LAST_INSERT_ID()", False, False),
        ("SELECT @a", False, False),
        ("INSERT INTO t VALUES (LAST_INSERT_ID())", False, False),
        ("UPDATE t SET a = @a", False, False),
        ("INSERT INTO t VALUES (1); DELETE FROM t", False, False),
        ("DROP TABLE t", False, False),
        ("CALL p()", False, False),
        ("BEGIN", False, False),
        ("SET a = 1", False, False),
        ("/*+ router(group=analytics) */ SELECT 1", False, False),
        ("/*+ router(replica) */ SELECT f(1)", False, False),
    ],
)
def test_what_is_copied(sql: str, reads: bool, writes: bool) -> None:
    if sql == "SHOW TABLES":
        reads = writes = relay(sql).facts.read
    for settings, copied in (("analytics", reads), ("{group: analytics, writes: true}", writes)):
        found = relay(sql, rules(f"{{name: m, mirror: {settings}}}"))
        assert (found.mirror is not None) is copied


def test_a_statement_is_not_copied_to_where_it_goes() -> None:
    config = rules("{name: m, mirror: main}")
    assert relay("SELECT 1", config).mirror is None
    assert not relay("SELECT 1", config).special
    assert relay("SELECT 1", config, schema="events").mirror is not None
    config = rules("{name: m, send_to: {group: main}, mirror: analytics}")
    assert relay("SELECT 1", config).mirror is not None
    found = relay("/*+ router(group=analytics) */ SELECT 1", config)
    assert (found.group, found.mirror) == ("analytics", None), "a hint beats the rule"


def test_a_rule_overrides_where_reads_come_from() -> None:
    config = rules("{name: r, when: {schema: events}, send_to: {role: replica}}")
    assert relay("SELECT 1", TWO_GROUPS, schema="events").reason is Reason.READS_FROM_PRIMARY
    assert relay("SELECT 1", config, schema="events").role is Role.REPLICA


def test_rejections_say_what_to_do_and_no_hint_gets_around_them() -> None:
    config = rules("{name: no-scan, when: {digest: 'SELECT * FROM t'}, reject: add a WHERE clause}")
    for sql in (
        "SELECT * FROM t",
        "/*+ router(primary) */ SELECT * FROM t",
        "SELECT /*+ router(group=main) */ * FROM t",
    ):
        found = refused(sql, config)
        assert found.error.message == "router: add a WHERE clause (rule 'no-scan')"
        assert (found.error.code, found.rule) == (1148, "no-scan")


def test_rights_come_before_rules() -> None:
    config = rules("{name: r, send_to: {group: analytics}}")
    assert refused("SELECT * FROM events.t", config, user="shop").reason is Reason.ACCESS_DENIED


# -- hints -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "role", "reason"),
    [
        ("/*+ router(primary) */ SELECT 1", Role.PRIMARY, Reason.HINT),
        ("SELECT /*+ router(primary) */ 1", Role.PRIMARY, Reason.HINT),
        ("/*+ router(replica) */ SELECT 1", Role.REPLICA, Reason.HINT),
        ("/*+ router(replica) */ SELECT f(1)", Role.REPLICA, Reason.HINT),
        ("/*+ router(replica) */ SELECT a FROM t GROUP BY a DESC", Role.REPLICA, Reason.HINT),
        ("/*+ router(replica) */ SELECT 1 FOR UPDATE", Role.PRIMARY, Reason.HINT_NOT_READ),
        ("/*+ router(replica) */ SELECT f(1) FOR UPDATE", Role.PRIMARY, Reason.HINT_NOT_READ),
        ("/*+ router(replica) */ DELETE FROM t", Role.PRIMARY, Reason.HINT_NOT_READ),
        ("/*+ router(replica) */ SELECT @a", Role.PRIMARY, Reason.HINT_NOT_READ),
        ("/*+ router(replica) */ SELECT /*! 1 */", Role.PRIMARY, Reason.HINT_NOT_READ),
        ("/*+ router(replica) */ SELECT 1; SELECT 2", Role.PRIMARY, Reason.HINT_NOT_READ),
        ("/*+ router(max_lag=1s) */ SELECT 1", Role.REPLICA, Reason.READ),
    ],
)
def test_hints_for_roles(sql: str, role: Role, reason: Reason) -> None:
    found = relay(sql)
    assert (found.role, found.reason) == (role, reason)


def test_a_vouched_select_is_a_read_in_all_respects() -> None:
    facts = relay("/*+ router(replica) */ SELECT f(1)").facts
    assert facts.read
    assert not facts.pins
    assert relay("SELECT f(1)").facts.pins == {PinReason.ROUTINE}


def test_hints_beat_rules_that_send() -> None:
    config = rules("{name: r, when: {statement: select}, send_to: {group: analytics, role: replica}}")
    found = relay("/*+ router(primary, group=main) */ SELECT 1", config)
    assert (found.group, found.role, found.reason) == ("main", Role.PRIMARY, Reason.HINT)


@pytest.mark.parametrize(
    ("hint", "named"),
    [
        ("group=nowhere", "hint names group 'nowhere', but there are main, analytics"),
        ("shard=s1", "hint names shard 's1', but no schema is sharded"),
        ("master", "router(master) is not known"),
    ],
)
def test_wrong_hints_are_refused(hint: str, named: str) -> None:
    found = refused(f"/*+ router({hint}) */ SELECT 1", TWO_GROUPS)
    assert (found.error.code, found.reason) == (1235, Reason.BAD_HINT)
    assert found.error.message.startswith("router: ")
    assert named in found.error.message


# -- defaults --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "schema", "role"),
    [
        ("SELECT * FROM information_schema.tables", None, Role.REPLICA),
        ("SELECT * FROM Information_Schema.COLUMNS", None, Role.REPLICA),
        ("SELECT * FROM information_schema.processlist", None, Role.PRIMARY),
        ("SELECT * FROM processlist", "information_schema", Role.PRIMARY),
        ("SELECT * FROM columns", "INFORMATION_SCHEMA", Role.REPLICA),
        ("SELECT * FROM performance_schema.threads", None, Role.PRIMARY),
        ("SELECT * FROM threads", "performance_schema", Role.PRIMARY),
        ("SELECT * FROM t JOIN mysql.user", "shop", Role.PRIMARY),
        ("SELECT * FROM processlist", "shop", Role.REPLICA),
        ("EXPLAIN SELECT * FROM sys.processlist", None, Role.PRIMARY),
    ],
)
def test_tables_that_tell_of_one_server(sql: str, schema: str | None, role: Role) -> None:
    found = relay(sql, schema=schema)
    assert found.role is role
    assert found.reason is (Reason.READ if role is Role.REPLICA else Reason.SERVER_TABLE)


def test_reads_from_any_leave_the_choice_to_the_group() -> None:
    config = ONE_GROUP.replace('"10.0.0.2:3306"]}', '"10.0.0.2:3306"], reads: {from: any}}')
    assert relay("SELECT 1", config).role is Role.REPLICA
