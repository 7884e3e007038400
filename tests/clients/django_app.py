"""A Django application in one file: run as a program, it prints what it sees as lines of JSON.

The only argument is the way, as JSON. Settings are made before the models, which want them.
"""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import django
from django.conf import settings

from tests.clients.ways import Step, exact

WAY: dict[str, Any] = json.loads(sys.argv[1])
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.mysql",
            "HOST": WAY["host"],
            "PORT": WAY["port"],
            "USER": WAY["user"],
            "PASSWORD": WAY["password"],
            "NAME": WAY["database"],
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {"charset": "utf8mb4"},
        }
    },
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    SECRET_KEY="of the tests",
    USE_TZ=True,
    TIME_ZONE="UTC",
)
django.setup()

from django.contrib.auth.models import Group, User  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import DatabaseError, close_old_connections, connection, models, transaction  # noqa: E402
from django.db.models import Avg, Count, F, Max, Q, Sum, Window  # noqa: E402
from django.db.models.functions import Concat, Lower, RowNumber, TruncMonth  # noqa: E402

# Relations are followed backwards only inside installed applications, which are packages: ours live in somebody else's.
APP = "sessions"


class Shop(models.Model):
    """Has items."""

    name = models.CharField(max_length=50, unique=True)

    class Meta:
        app_label = APP


class Item(models.Model):
    """One of every kind of field."""

    shop = models.ForeignKey(Shop, on_delete=models.CASCADE, related_name="items")
    name = models.CharField(max_length=80, db_index=True)
    price = models.DecimalField(max_digits=12, decimal_places=3)
    ratio = models.FloatField(null=True)
    count = models.PositiveIntegerField(default=0)
    big = models.BigIntegerField(null=True)
    active = models.BooleanField(default=True)
    made = models.DateTimeField()
    day = models.DateField(null=True)
    length = models.DurationField(null=True)
    clock = models.TimeField(null=True)
    text = models.TextField(blank=True)
    raw = models.BinaryField(null=True)
    doc = models.JSONField(default=dict)
    key = models.UUIDField(null=True)
    address = models.GenericIPAddressField(null=True)

    class Meta:
        app_label = APP
        ordering = ("id",)


MADE = datetime.datetime(2026, 1, 31, 23, 59, 59, 123456, tzinfo=datetime.UTC)


def attempt(work: Any) -> Any:
    """What it returns, or the database's error."""
    try:
        return work()
    except DatabaseError as error:
        return type(error).__name__, error.args


def schema() -> Iterator[Step]:
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        editor.create_model(Shop)
        editor.create_model(Item)
    yield "tables", sorted(connection.introspection.table_names())
    with connection.cursor() as cursor:
        yield "columns", connection.introspection.get_table_description(cursor, "sessions_item")
        constraints = connection.introspection.get_constraints(cursor, "sessions_item")
        yield "constraints", sorted(constraints.items())
        cursor.execute("SELECT app, name FROM django_migrations ORDER BY id")
        yield "migrations", cursor.fetchall()
    with connection.schema_editor() as editor:
        field = models.CharField(max_length=10, default="x")
        field.set_attributes_from_name("extra")
        editor.add_field(Shop, field)
        editor.remove_field(Shop, field)
    call_command("migrate", "sessions", "zero", verbosity=0)
    call_command("migrate", verbosity=0)
    yield "server", (connection.mysql_version, connection.mysql_is_mariadb, connection.mysql_server_data)


def writes() -> Iterator[Step]:
    shop = Shop.objects.create(name="Schöner 🐬 Shop")
    other, created = Shop.objects.get_or_create(name="other")
    yield "ids", (shop.pk, other.pk, created, Shop.objects.get_or_create(name="other")[1])
    item = Item.objects.create(
        shop=shop,
        name="100% 'quoted' \\ \"twice\"",
        price=Decimal("123456789.125"),
        ratio=0.1,
        big=-(2**63),
        made=MADE,
        day=MADE.date(),
        length=datetime.timedelta(days=-3, microseconds=5),
        clock=datetime.time(1, 2, 3, 4),
        text="ü" * 70_000,
        raw=bytes(range(256)),
        doc={"a": [1, 2.5, None, "🐬"], "b": {"c": True}},
        key="12345678-1234-5678-1234-567812345678",
        address="2001:db8::1",
    )
    yield "read back", list(Item.objects.filter(pk=item.pk).values_list())
    Item.objects.bulk_create(
        [
            Item(shop=other, name=f"item {n}", price=n, count=n, made=MADE + datetime.timedelta(days=n))
            for n in range(200)
        ],
        batch_size=70,
    )
    yield "bulk", (Item.objects.count(), Item.objects.aggregate(Max("id")))
    changed = list(Item.objects.filter(count__lt=5))
    for one in changed:
        one.price += 1
    yield "bulk_update", Item.objects.bulk_update(changed, ["price"])
    yield "update", Item.objects.filter(count__gte=100).update(price=F("price") * 2)
    yield "matched, not changed", Item.objects.filter(count__gte=100).update(active=True)
    yield "update_or_create", Item.objects.update_or_create(name="item 7", defaults={"count": 70})[1]
    yield "ignored", len(Shop.objects.bulk_create([Shop(name="other"), Shop(name="third")], ignore_conflicts=True))
    yield "shops", list(Shop.objects.values_list("name", flat=True).order_by("name"))
    yield "delete", Item.objects.filter(count__gte=190).delete()
    yield "duplicate", attempt(lambda: Shop.objects.create(name="other"))
    yield "syntax", attempt(lambda: list(Shop.objects.raw("SELEC 1")))


def reads() -> Iterator[Step]:
    items = Item.objects.filter(shop__name="other")
    yield "aggregate", items.aggregate(Sum("price"), Avg("count"), n=Count("id", filter=Q(count__gt=50)))
    by_month = items.annotate(month=TruncMonth("made")).values("month").annotate(n=Count("id")).order_by("month")
    yield "by month", list(by_month)
    yield "by shop", list(Shop.objects.annotate(n=Count("items"), top=Max("items__price")).order_by("id").values_list())
    window = Window(RowNumber(), order_by=F("count").desc())
    yield "window", list(items.annotate(row=window).values_list("name", "row").order_by("row")[:5])
    yield "json", list(Item.objects.filter(doc__b__c=True, doc__a__contains=[1]).values_list("doc", flat=True))
    yield (
        "text",
        list(items.annotate(x=Concat(Lower("name"), "shop__name")).filter(x__icontains="M 19").values_list("x")),
    )
    yield "related", [(i.name, i.shop.name) for i in Item.objects.select_related("shop")[:3]]
    yield "prefetched", [(s.name, len(s.items.all())) for s in Shop.objects.prefetch_related("items").order_by("id")]
    yield "streamed", sum(item.count for item in items.iterator(chunk_size=50))
    yield "excluded", items.exclude(name__startswith="item 1").filter(Q(count=5) | Q(price__lt=3)).count()
    yield "union", list(items.filter(count=1).values_list("name").union(items.filter(count=2).values_list("name")))
    yield "explain", bool(items.explain())


def transactions() -> Iterator[Step]:
    yield "autocommit", (connection.get_autocommit(), connection.in_atomic_block)
    with suppress(ValueError), transaction.atomic():
        Item.objects.all().delete()
        raise ValueError
    yield "rolled back", Item.objects.count()
    with transaction.atomic():
        Shop.objects.create(name="outer")
        with suppress(DatabaseError), transaction.atomic():
            Shop.objects.create(name="inner")
            Shop.objects.create(name="outer")
        yield "inner undone", sorted(Shop.objects.values_list("name", flat=True))
        transaction.on_commit(lambda: print(json.dumps(["on_commit", "''"])))
    with transaction.atomic():
        locked = Item.objects.select_for_update().filter(count__lt=3)
        yield "locked", [item.name for item in locked]
        locked.update(count=F("count") + 1)
        yield "skip locked", Item.objects.select_for_update(skip_locked=True).filter(name="item 9").count()
    yield "counts", list(Item.objects.filter(name__in=["item 0", "item 1"]).values_list("count"))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT @@autocommit, @@transaction_isolation" if not connection.mysql_is_mariadb else "SELECT 1"
        )
        yield "isolation", cursor.fetchall()
        cursor.executemany("INSERT INTO sessions_shop (name) VALUES (%s)", [(f"many {n}",) for n in range(5)])
        yield "executemany", cursor.rowcount
        cursor.execute("SELECT %s, %s", (1, "100%"))
        yield "cursor", cursor.fetchall()


def users() -> Iterator[Step]:
    user = User.objects.create_user("ann", "ann@example.org", "secret")
    user.groups.add(*(Group.objects.create(name=name) for name in ("one", "two")))
    yield "groups", list(User.objects.get(groups__name="two").groups.order_by("name").values_list("name"))
    yield "password", (user.check_password("secret"), user.check_password("wrong"))
    session = SessionStore()
    session["cart"] = [1, 2, 3]
    session.save()
    yield "session", SessionStore(session_key=session.session_key)["cart"]
    for _ in range(3):
        close_old_connections()
        yield "the next request", User.objects.count()
    connection.close()
    yield "a new connection", User.objects.count()


def main() -> None:
    for part in (schema, writes, reads, transactions, users):
        for label, value in part():
            print(json.dumps([f"{part.__name__}: {label}", exact(value)]), flush=True)


if __name__ == "__main__":
    main()
