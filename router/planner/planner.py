"""A statement and its circumstances → a plan. Pure: the same input gives the same plan."""

from __future__ import annotations

from dataclasses import replace

from router.planner import ddl, loading, metadata, routing, shards
from router.planner.binding import located
from router.planner.blocks import Unplannable
from router.planner.catalog import Catalog, RuleEntry, UserEntry
from router.planner.merging import Scatter
from router.planner.plan import Described, First, Local, Plan, Refused, Relay, Sharded
from router.planner.routes import Placement
from router.planner.routing import PlanContext
from router.planner.spreading import Spreading
from router.planner.steps import candidates
from router.planner.tables import Shard, ShardedSchema
from router.planner.variants import Variants
from router.sql import own
from router.sql.analyze import analyze
from router.sql.facts import TRANSACTIONAL, Reason, StatementFacts, StatementKind
from router.sql.lexer import tokens_of
from router.wire.errcodes import ErrorCode, mysql_error

__all__ = ["PlanContext", "Planner"]


class Planner:
    """Plans statements for one catalog."""

    __slots__ = ("catalog",)

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def plan(self, sql: bytes, context: PlanContext) -> Plan:
        """The plan of one COM_QUERY or COM_STMT_PREPARE text. Never raises."""
        catalog = self.catalog
        facts = analyze(sql, context.mode)
        if facts.kind is StatementKind.EXPLAIN_ROUTE and facts.explain_route is not None:
            return Local(facts.explain_route, facts)
        if facts.kind is StatementKind.SESSION_STATE or own.asks_gtid(sql):
            return Local(b"", facts)
        if (told := own.told_gtid(sql)) is not None:
            return Local(b"", facts, told=told)
        user = catalog.users.get(context.user)
        if user is None:
            return routing.unknown_user(context, facts)
        refused = routing.check_rights(facts, user, context) or routing.check_hints(catalog, facts)
        if refused is not None:
            return refused
        rule = routing.find_rule(catalog, sql, facts, context) if catalog.rules else None
        if rule is not None and rule.reject is not None:
            return routing.rejected(rule, facts)
        group = (rule.group if rule is not None else None) or facts.hints.group
        if group is None and catalog.sharded:
            sharded = self._sharded(sql, facts, context, rule)
            if sharded is not None:
                return sharded
        place = group if group is not None else routing.find_group(catalog, facts, context.schema)
        if isinstance(place, Refused):
            return place
        plan = routing.default_plan(catalog, place, facts, context.schema)
        if rule is not None:
            plan = routing.apply_rule(rule, plan)
        plan = routing.apply_hints(plan)
        if not catalog.sharded and not catalog.groups[plan.group].shares_transactions:
            return plan
        around = catalog.sharded.get(context.schema or "")
        if around is not None and around.spans and around.group == plan.group:
            plan = replace(plan, spans=True)
        if group is None and (described := self._described(sql, plan, user, context)) is not None:
            return described
        if not shards.names_nothing(sql, facts, context.mode):
            return plan
        # Transactions are kept until it is known which shard they are for.
        concerns = facts.kind in TRANSACTIONAL or any(each.name == "autocommit" for each in facts.assignments)
        return replace(plan, anywhere=True, special=plan.special or concerns)

    def _described(self, sql: bytes, plan: Relay, user: UserEntry, context: PlanContext) -> Described | Refused | None:
        """The plan of a statement that asks which tables there are; None for others."""
        facts = plan.facts
        if facts.multi or facts.has_versioned_comment:
            return None
        here = tuple(
            schema
            for name, schema in self.catalog.sharded.items()
            if self.catalog.group_of(name) == plan.group and (user.schemas is None or name in user.schemas)
        )
        shown = tuple(
            each for each in self.catalog.sharded.values() if user.schemas is None or each.name in user.schemas
        )
        if facts.kind is StatementKind.SHOW:
            if (databases := metadata.asks_of_databases(sql, context.mode)) is not None:
                return Described(plan, databases, (), shown) if shown else None
            found = metadata.asks_of_show(sql, context.mode, context.schema)
            about = () if found is None else tuple(schema for schema in here if schema.name == found[0])
            return None if found is None or not about else Described(plan, found[1], about)
        try:
            asks = metadata.asks_of_select(sql, context.mode, facts)
        except Unplannable as error:
            return _refused(f"not supported on sharded tables: {error.construct}", facts)
        if asks is None:
            return None
        described = Described(plan, asks, here, shown)
        return described if here or "SCHEMATA" in described.views else None

    # -- sharded tables ----------------------------------------------------------------------------------------

    def _sharded(self, sql: bytes, facts: StatementFacts, context: PlanContext, rule: RuleEntry | None) -> Plan | None:
        """The plan of a statement that names sharded tables; None if it names none."""
        schemas = [each for each in self.catalog.sharded.values() if shards.names_tables(each, sql, facts, context)]
        if not schemas:
            return None
        schema = schemas[0]
        try:
            if len(schemas) > 1:
                raise Unplannable(f"tables of databases '{schema.name}' and '{schemas[1].name}' in one statement")
            if facts.hints.shard is not None:
                return self._on_shard(_named(schema, facts.hints.shard), schema, facts, context, rule)
            if facts.kind is StatementKind.EXPLAIN and (found := metadata.explained(sql, context.mode)) is not None:
                return self._explained(found, schema, facts, context, rule)
            if facts.kind in (StatementKind.SHOW, StatementKind.EXPLAIN) and facts.harmless:
                return self._described_by_shard(sql, schema, facts, context, rule)
            if facts.kind is StatementKind.DDL:
                return self._ddl(sql, schema, facts, context, rule)
            if any(each.database != schema.name for each in schema.shards) and context.schema == schema.name:
                _check_where(sql, context)
            if facts.kind is StatementKind.LOAD_DATA:
                return self._load(sql, schema, facts, context, rule)
            placement, several, made = shards.place(schema, sql, facts, context.mode)
            relays = tuple(self._on_shard(each, schema, facts, context, rule) for each in schema.shards)
        except Unplannable as error:
            token = shards.token_of(error, sql, facts, context.mode)
            refused = replace(_refused(f"not supported on sharded tables: {error.construct}", facts), token=token)
            # The plan is for others of its shape too: their literals have other lengths.
            return refused if shards.has_literals(sql, context.mode, token) else located(refused, sql, context.mode)
        if isinstance(several, Unplannable):
            first = self._first(sql, schema, facts, context, rule)
            if first is not None:
                return Sharded(schema.name, placement, relays, _not_now(facts), facts, first=first)
            token = shards.token_of(several, sql, facts, context.mode)
            refused = replace(_several(placement, several, facts), token=token)
            return Sharded(schema.name, placement, relays, refused, facts, made=made)
        if isinstance(several, Spreading):
            return _written(
                schema, Sharded(schema.name, placement, relays, _not_now(facts), facts, None, several, made)
            )
        return Sharded(schema.name, placement, relays, _not_now(facts), facts, several)

    def _first(
        self, sql: bytes, schema: ShardedSchema, facts: StatementFacts, context: PlanContext, rule: RuleEntry | None
    ) -> First | None:
        """The steps of a read in which queries can be asked beforehand; None where that does not help."""
        if facts.kind is not StatementKind.SELECT or not facts.read:
            return None

        def planned(inner: bytes) -> Sharded:
            about = analyze(inner, context.mode)
            if not about.read or about.kind is not StatementKind.SELECT:
                raise Unplannable("a subquery that is not proven to be a read")
            plan = self._sharded(inner, about, context, rule)
            if not isinstance(plan, Sharded):
                raise Unplannable("a subquery that is refused")
            if (
                plan.scatter is None
                and plan.first is None
                and all(each.condition is None for each in plan.placement.routes)
            ):
                raise Unplannable("a subquery that takes several shards")
            return plan

        for steps in candidates(schema, sql, context.mode, planned):
            try:
                placement, several, _ = shards.place(schema, sql, facts, context.mode, steps)
                relays = tuple(self._on_shard(each, schema, facts, context, rule) for each in schema.shards)
            except Unplannable:
                continue
            scatter = several if isinstance(several, Scatter | Variants) else None
            if scatter is None and any(route.condition is None for route in placement.routes):
                continue
            refused = _several(placement, several, facts) if isinstance(several, Unplannable) else _not_now(facts)
            then = Sharded(schema.name, placement, relays, refused, facts, scatter)
            return First(tuple(steps.steps), then, tuple(steps.named))
        return None

    def _described_by_shard(
        self, sql: bytes, schema: ShardedSchema, facts: StatementFacts, context: PlanContext, rule: RuleEntry | None
    ) -> Relay | Described:
        """The tables are the same everywhere: the first shard that has them describes them."""
        shard = schema.shards[shards.first_shard(schema, sql, context.mode)]
        if schema.name not in facts.qualifiers or shard.database == schema.name:
            return self._on_shard(shard, schema, facts, context, rule)
        asks = metadata.renamed(sql, context.mode, facts, schema, shard.database)
        return Described(self._on_shard(shard, schema, facts, context, rule, renamed=True), asks)

    def _explained(
        self,
        found: tuple[bytes, int],
        schema: ShardedSchema,
        facts: StatementFacts,
        context: PlanContext,
        rule: RuleEntry | None,
    ) -> Sharded | Refused:
        """EXPLAIN of a statement, whose literals are all there are: the plan of each shard it is for."""
        if not facts.harmless:
            raise Unplannable("EXPLAIN of this statement")
        inner, first = found
        asked = analyze(inner, context.mode)
        try:
            placement, several, made = shards.place(schema, inner, asked, context.mode)
        except Unplannable as error:
            raise Unplannable(error.construct) from None  # where it stands is known of ``inner`` only
        if made is not None:
            raise Unplannable("EXPLAIN of an INSERT that is to get ids from the router")
        placement = replace(placement, straight=None)  # it is about the inner text alone
        relays = tuple(self._on_shard(each, schema, facts, context, rule) for each in schema.shards)
        plan = Sharded(schema.name, placement, relays, _not_now(facts), facts, explains=first)
        if isinstance(several, Unplannable):
            return replace(plan, refused=_several(placement, several, facts))
        if not isinstance(several, Spreading):
            return replace(plan, scatter=several)
        written = _written(schema, replace(plan, facts=asked, spread=several))
        return replace(written, facts=facts)

    def _ddl(
        self, sql: bytes, schema: ShardedSchema, facts: StatementFacts, context: PlanContext, rule: RuleEntry | None
    ) -> Plan | None:
        """DDL is for every shard that has the table."""
        if facts.multi:
            raise Unplannable("several statements in one")
        spreading = ddl.everywhere(schema, tokens_of(sql, context.mode))
        if spreading is None:
            return None
        relays = tuple(self._on_shard(each, schema, facts, context, rule) for each in schema.shards)
        refused = _refused("DDL of sharded tables cannot be run inside a transaction; COMMIT first", facts)
        return Sharded(schema.name, Placement(()), relays, refused, facts, None, spreading)

    def _load(
        self, sql: bytes, schema: ShardedSchema, facts: StatementFacts, context: PlanContext, rule: RuleEntry | None
    ) -> Sharded | Refused | None:
        """LOAD DATA: each line of the file is for a shard, which nobody knows before it comes."""
        if facts.multi or facts.has_versioned_comment:
            raise Unplannable("LOAD DATA of this form")
        found = loading.loads(schema, sql, context.mode)
        if found is None:
            return None
        if not schema.spans:
            setting = f"`transactions: {schema.transactions}` of schema '{schema.name}'"
            return _refused(f"LOAD DATA on several shards: not with {setting}; set `transactions: best_effort`", facts)
        relays = tuple(self._on_shard(each, schema, facts, context, rule) for each in schema.shards)
        return Sharded(schema.name, Placement(()), relays, _not_now(facts), facts, loads=found)

    def _on_shard(
        self,
        shard: Shard,
        schema: ShardedSchema,
        facts: StatementFacts,
        context: PlanContext,
        rule: RuleEntry | None,
        renamed: bool = False,
    ) -> Relay:
        """The plan as if the shard were all there is; ``renamed``: its database is called by its own name."""
        if not renamed and schema.name in facts.qualifiers and shard.database != schema.name:
            raise Unplannable(f"names with their database, which is '{shard.database}' on shard {shard.name}")
        plan = routing.default_plan(self.catalog, shard.group, facts, context.schema)
        if rule is not None:
            plan = routing.apply_rule(rule, plan)
        plan = routing.apply_hints(plan)
        database = shard.database if context.schema == schema.name else None
        # A write may be split, or get ids: its text is not all there is to it.
        mirror = plan.mirror if facts.read else None
        return replace(plan, shard=shard.name, database=database, spans=schema.spans, mirror=mirror)


def _check_where(sql: bytes, context: PlanContext) -> None:
    if metadata.asks_where_it_is(sql, context.mode):
        raise Unplannable("DATABASE() beside tables whose database has another name on their shard")


def _named(schema: ShardedSchema, name: str) -> Shard:
    for shard in schema.shards:
        if shard.name == name:
            return shard
    raise Unplannable(f"a hint for shard '{name}', while there are {', '.join(each.name for each in schema.shards)}")


def _several(placement: Placement, error: Unplannable, facts: StatementFacts) -> Refused:
    if placement.rows is not None:
        return _refused(f"{error.construct}; insert them one shard at a time", facts)
    advice = f"compare {_keys(placement)} with a value"
    return _refused(f"this statement takes several shards, and not supported there: {error.construct}; {advice}", facts)


def _keys(placement: Placement) -> str:
    keys = {f"{route.table.name}.{', '.join(route.table.columns)}" for route in placement.routes}
    return " and ".join(sorted(keys))


def _written(schema: ShardedSchema, plan: Sharded) -> Sharded | Refused:
    """A write that may take several shards, if the schema's ``transactions`` let it."""
    spread = plan.spread
    assert spread is not None
    if schema.spans or len(schema.shards) == 1:
        return plan
    refused = _one_shard_only(schema, plan.placement, spread, plan.facts)
    # There is no one shard that a write of all copies could turn out to be for.
    return refused if spread.copies else replace(plan, refused=refused, spread=None)


def _one_shard_only(schema: ShardedSchema, placement: Placement, spread: Spreading, facts: StatementFacts) -> Refused:
    """``single`` was chosen; ``xa`` is not there yet."""
    if spread.copies:
        what, advice = f"this {facts.kind.value.upper()} writes every copy of a broadcast table", ""
    elif spread.split:
        what, advice = "rows for several shards in one statement", "insert them one shard at a time, or "
    else:
        what = f"{facts.kind.value.upper()} on several shards"
        advice = f"compare {_keys(placement)} with a value, or "
    setting = f"`transactions: {schema.transactions}` of schema '{schema.name}'"
    taken = ", which is taken for `single` in this version" if schema.transactions == "xa" else ""
    return _refused(f"{what}: not with {setting}{taken}; {advice}set `transactions: best_effort`", facts)


def _not_now(facts: StatementFacts) -> Refused:
    return _refused(
        "this statement takes several shards; it cannot be run inside a transaction, while the session keeps a"
        " connection to one, or with sql_select_limit",
        facts,
    )


def _refused(message: str, facts: StatementFacts) -> Refused:
    return Refused(mysql_error(ErrorCode.NOT_SUPPORTED_YET, f"router: {message}"), Reason.SHARDS, facts)
