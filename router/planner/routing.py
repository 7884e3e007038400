"""Where a statement may go: the databases it touches, the rights of its user, rules and hints.

The order: rights, the defaults, then rules (the first that matches; a reject is final), then hints. Each step is a
function.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from router.errors import MySQLError
from router.planner.catalog import Catalog, RuleEntry, UserEntry
from router.planner.plan import Mirror, Refused, Relay, Role
from router.sql.builtins import SERVER_SCHEMAS, SHARED_INFORMATION
from router.sql.facts import Reason, StatementFacts, StatementKind
from router.sql.fingerprint import digest_text
from router.sql.lexer import LexMode
from router.wire.errcodes import ErrorCode, mysql_error

_INFORMATION_SCHEMA = "information_schema"
# What is copied besides reads, if a rule says so.
_COPIED = frozenset({StatementKind.INSERT, StatementKind.REPLACE, StatementKind.UPDATE, StatementKind.DELETE})


@dataclass(frozen=True, slots=True)
class PlanContext:
    """What besides its text decides about a statement: ``client`` is an IP address, None for a unix socket."""

    user: str
    schema: str | None
    mode: LexMode
    client: str | None = None


# -- rights ----------------------------------------------------------------------------------------------------


def check_rights(facts: StatementFacts, user: UserEntry, context: PlanContext) -> Refused | None:
    """Refuse databases outside the user's list, and what a read-only user may not run."""
    if user.schemas is not None:
        for schema in sorted(_touched(facts, context.schema)):
            if schema not in user.schemas and schema.lower() != _INFORMATION_SCHEMA:
                message = f"Access denied for user '{context.user}'@'%' to database '{schema}'"
                return Refused(mysql_error(ErrorCode.DB_ACCESS_DENIED, message), Reason.ACCESS_DENIED, facts)
    if user.read_only and not facts.harmless:
        construct = f" ({facts.reason.value}: {facts.detail})" if facts.detail else f" ({facts.reason.value})"
        message = (
            f"router: user '{context.user}' is read-only here and this {facts.kind.value} statement"
            f" is not proven to be a read{construct}"
        )
        return Refused(mysql_error(ErrorCode.OPTION_PREVENTS_STATEMENT, message), Reason.READ_ONLY_USER, facts)
    return None


def _touched(facts: StatementFacts, default: str | None) -> set[str]:
    """Every database the statement names or may name, and the default one where it names tables without."""
    schemas = set(facts.qualifiers)
    if facts.use_schema is not None:
        schemas.add(facts.use_schema)
    for table in facts.tables or ():
        schema = table.schema or default
        if schema is not None:
            schemas.add(schema)
    return schemas


# -- groups ----------------------------------------------------------------------------------------------------


def find_group(catalog: Catalog, facts: StatementFacts, default: str | None) -> str | Refused:
    """The group of the databases a statement touches; refused when there are several."""
    if len(catalog.groups) == 1:
        return catalog.default_group
    if facts.use_schema is not None:
        return catalog.group_of(facts.use_schema)
    places: dict[str, str] = {}  # group → a database there that the statement touches
    for table in facts.tables or ():
        schema = table.schema or default
        if schema is not None and schema.lower() != _INFORMATION_SCHEMA:
            places.setdefault(catalog.group_of(schema), schema)
    # Other names before a dot may be databases, or aliases: only those with a place are taken for databases.
    for name in sorted(facts.qualifiers):
        if name in catalog.schemas:
            places.setdefault(catalog.schemas[name], name)
    if not places:
        return catalog.group_of(default)
    if len(places) == 1:
        return next(iter(places))
    (group, schema), (other_group, other_schema) = list(places.items())[:2]
    message = (
        f"router: one statement cannot use database '{schema}' (group {group}) and database '{other_schema}'"
        f" (group {other_group}): run one statement per group, or place both databases in one group"
    )
    return Refused(mysql_error(ErrorCode.NOT_SUPPORTED_YET, message), Reason.CROSS_GROUP, facts)


# -- rules and hints -------------------------------------------------------------------------------------------


def find_rule(catalog: Catalog, sql: bytes, facts: StatementFacts, context: PlanContext) -> RuleEntry | None:
    """The first rule that matches and says more than that copies are sent, with the first mirror up to there."""
    digest = text = None
    first: RuleEntry | None = None
    for rule in catalog.rules:
        if rule.user is not None and rule.user != context.user:
            continue
        if rule.schema is not None and rule.schema != context.schema:
            continue
        if rule.statement is not None and rule.statement != facts.kind.rule_name:
            continue
        if not rule.from_client(context.client):
            continue
        if rule.digest is not None:
            digest = digest_text(sql, context.mode) if digest is None else digest
            if digest != rule.digest:
                continue
        if rule.regex is not None:
            text = searchable(sql) if text is None else text
            if rule.regex.search(text) is None:
                continue
        if not rule.only_mirrors:
            return rule if first is None else replace(rule, mirror=first.mirror)
        first = first or rule
    return first


def searchable(sql: bytes) -> str:
    """The text that regular expressions of rules are searched in."""
    return sql.decode("utf-8", "replace")


def rejected(rule: RuleEntry, facts: StatementFacts) -> Refused:
    """The answer of a rule that rejects; no hint gets around it."""
    error = mysql_error(ErrorCode.NOT_ALLOWED_COMMAND, f"router: {rule.reject} (rule '{rule.name}')")
    return Refused(error, Reason.RULE, facts, rule.name)


def apply_rule(rule: RuleEntry, plan: Relay) -> Relay:
    """What a rule that sends makes of the default plan. It sends only proven reads to replicas."""
    sends = (rule.role, rule.group, rule.max_lag) != (None, None, None)
    role, reason = rule.role or plan.role, Reason.RULE if sends else plan.reason
    if role is Role.REPLICA and not plan.facts.read:
        role, reason = Role.PRIMARY, Reason.RULE_NOT_READ
    group = rule.group or plan.group
    mirror = rule.mirror if _may_be_copied(rule.mirror, plan.facts, group) else None
    return Relay(
        group,
        role,
        reason,
        plan.facts,
        rule.name,
        special=plan.special or rule.timeout is not None or mirror is not None,
        timeout=rule.timeout,
        max_lag=rule.max_lag,
        mirror=mirror,
    )


def _may_be_copied(mirror: Mirror | None, facts: StatementFacts, group: str) -> bool:
    """Whether a statement that goes to ``group`` means the same elsewhere: it asks for, and leaves, nothing else."""
    if mirror is None or mirror.group == group or facts.multi or facts.looks_back or facts.user_variables or facts.pins:
        return False
    return facts.read or (mirror.writes and facts.kind in _COPIED)


def check_hints(catalog: Catalog, facts: StatementFacts) -> Refused | None:
    """Refuse hints that are wrong, or that name what does not exist."""
    hints = facts.hints
    problem = hints.error
    if problem is None and hints.group is not None and hints.group not in catalog.groups:
        problem = f"hint names group '{hints.group}', but there are {', '.join(catalog.groups)}"
    if problem is None and hints.shard is not None and not catalog.sharded:
        problem = f"hint names shard '{hints.shard}', but no schema is sharded"
    if problem is None:
        return None
    return Refused(mysql_error(ErrorCode.NOT_SUPPORTED_YET, f"router: {problem}"), Reason.BAD_HINT, facts)


def apply_hints(plan: Relay) -> Relay:
    """router(group=…), router(primary), and router(replica) where that cannot do harm.

    For a SELECT whose only flaw is a function or syntax the router does not know, the user vouches.
    """
    facts = plan.facts
    hints = facts.hints
    if hints.max_lag is not None:
        plan = replace(plan, max_lag=hints.max_lag)
    if hints.trace:
        plan = replace(plan, special=True)
    if hints.group is not None:
        mirror = plan.mirror if plan.mirror is None or plan.mirror.group != hints.group else None
        plan = replace(plan, group=hints.group, reason=Reason.HINT, mirror=mirror)
    match hints.role:
        case "primary":
            return replace(plan, role=Role.PRIMARY, reason=Reason.HINT)
        case "replica" if facts.read:
            return replace(plan, role=Role.REPLICA, reason=Reason.HINT)
        case "replica" if facts.vouchable:
            vouched = replace(facts, read=True, harmless=True, reason=Reason.HINT, pins=frozenset())
            return replace(plan, role=Role.REPLICA, reason=Reason.HINT, facts=vouched)
        case "replica":
            return replace(plan, role=Role.PRIMARY, reason=Reason.HINT_NOT_READ)
    return plan


# -- defaults --------------------------------------------------------------------------------------------------


def default_plan(catalog: Catalog, group: str, facts: StatementFacts, schema: str | None) -> Relay:
    """Proven reads to the replicas, everything else to the primary."""
    if not facts.read:
        special = facts.kind is StatementKind.KILL or facts.function == "CONNECTION_ID"
        # SHOW WARNINGS: it may be about a statement that was traced.
        special = special or (facts.kind is StatementKind.SHOW and facts.looks_back)
        return Relay(group, Role.PRIMARY, facts.reason, facts, special=special)
    if catalog.groups[group].reads_from == "primary":
        return Relay(group, Role.PRIMARY, Reason.READS_FROM_PRIMARY, facts)
    if _describes_server(facts, schema):
        return Relay(group, Role.PRIMARY, Reason.SERVER_TABLE, facts)
    return Relay(group, Role.REPLICA, Reason.READ, facts)


def _describes_server(facts: StatementFacts, default: str | None) -> bool:
    """Whether it reads tables that tell of one server rather than of the data."""
    for table in facts.tables or ():
        schema = (table.schema or default or "").lower()
        if schema in SERVER_SCHEMAS or (schema == _INFORMATION_SCHEMA and table.name.upper() not in SHARED_INFORMATION):
            return True
    return False


def unknown_user(context: PlanContext, facts: StatementFacts) -> Refused:
    """The user has left the configuration."""
    error: MySQLError = mysql_error(ErrorCode.ACCESS_DENIED, f"Access denied for user '{context.user}'@'%'")
    return Refused(error, Reason.ACCESS_DENIED, facts)
