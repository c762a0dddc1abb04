"""Fill an empty database as two years of business would: see ``statements`` for what is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management.color import no_style
from django.db import connection

from benchmarks.console import statements
from benchmarks.console.samples import Sample, Samples
from licensing_integration import models
from licensing_integration.services import figures
from licensing_integration.services.roles import ROLES, sync_roles

_VERSIONS = 5
_COLLEAGUES = 20


@dataclass(frozen=True)
class Size:
    """How much there is, by the number of events."""

    events: int

    @property
    def purchases(self) -> int:
        return self.events // 4

    @property
    def entries(self) -> int:
        return 2 * self.events

    def parameters(self, now: datetime) -> dict[str, Any]:
        """Of the statements. What is extreme is as large in small databases, where it fits."""
        return {
            "now": now,
            "events": self.events,
            "purchases": self.purchases,
            "entries": self.entries,
            "many": min(500, self.purchases // 5),
            "bulk": min(500, self.purchases // 5),
            "busy": min(2000, self.events // 5),
            "rare_events": max(self.events // 200, 20),
            "rare_purchases": max(self.purchases // 125, 20),
            "rare_licenses": max(self.purchases // 100, 12),
            "audited": min(5000, self.events // 2),
            "bulk_purchase": statements.BULK_PURCHASE,
            "three_purchase": statements.THREE_PURCHASE,
            "busy_purchase": statements.BUSY_PURCHASE,
        }


def fill(size: Size, samples: Samples) -> None:
    """Make everything. The database holds nothing but what the migrations made."""
    _make_people()
    _make_mappings(samples.mapping_values)
    parameters = size.parameters(datetime.now(UTC))
    with connection.cursor() as cursor:
        cursor.execute(statements.PREPARE)
        for number, sample in enumerate(samples.purchases):
            _keep_sample(cursor, number, sample)
        for statement in _STATEMENTS:
            cursor.execute(statement, parameters)
    _go_on_counting()
    figures.count_days()


@contextmanager
def at_full_speed() -> Iterator[None]:
    """Without checking foreign keys and without keeping indexes meanwhile; then what PostgreSQL does in the background,
    at once. Not inside a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(_INDEXES)
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        yield
        for _, definition in indexes:
            cursor.execute(definition)
        cursor.execute("SET session_replication_role = DEFAULT")
        cursor.execute("VACUUM (ANALYZE)")
        cursor.execute("CHECKPOINT")


_INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
 WHERE schemaname = 'public' AND tablename LIKE 'licensing_integration_%'
   AND indexname NOT IN (SELECT conname FROM pg_constraint)
"""


_STATEMENTS = (
    statements.PLAN_PURCHASES,
    statements.EVENTS,
    statements.LARGE_EVENT,
    statements.PURCHASES,
    statements.ALIASES,
    statements.ITEMS,
    statements.PLAN_SLOTS,
    statements.LINKS,
    statements.PLAN_HISTORY,
    statements.HISTORY,
    statements.BUSY_LICENSE,
    statements.MORE_HISTORY,
    statements.AUDIT,
    statements.REPLAYS,
    statements.REFUSED,
    statements.MAILS,
    statements.USERS_OF_SERVER,
)


def _keep_sample(cursor: Any, number: int, sample: Sample) -> None:
    """Where the statements find it."""
    _insert(cursor, "sample", {"number": number, "store": sample.store, "kind": sample.kind, **sample.columns})
    for event in sample.events:
        _insert(cursor, "sample_event", {"number": number, **asdict(event)})
    for entry in sample.entries:
        _insert(cursor, "sample_entry", {"number": number, **asdict(entry)})


def _insert(cursor: Any, table: str, row: Mapping[str, Any]) -> None:
    places = ", ".join(["%s"] * len(row))
    cursor.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", list(row.values()))


def _make_people() -> None:
    """Somebody in each role, named like it, and colleagues."""
    sync_roles()
    users = get_user_model().objects
    for role in ROLES:
        users.create(username=role.lower(), is_staff=True).groups.add(Group.objects.get(name=role))
    for number in range(_COLLEAGUES):
        users.create(username=f"colleague{number}", is_staff=True)


def _make_mappings(values: Mapping[str, Any]) -> None:
    """Of products 0 to 199, the last fifth Stripe's; each saved several times."""
    mappings = models.ProductMapping.objects.bulk_create(
        models.ProductMapping(
            pk=number + 1,
            store="fastspring" if number < 160 else "stripe",
            store_product=f"product-{number}",
            product_id="prod-1",
            template_id="tmpl-1",
        )
        for number in range(statements.MAPPINGS)
    )
    models.MappingVersion.objects.bulk_create(
        models.MappingVersion(mapping=mapping, number=number, values={**values, "store_product": mapping.store_product})
        for mapping in mappings
        for number in range(1, _VERSIONS + 1)
    )


def _go_on_counting() -> None:
    """The next row gets an id of its own."""
    ours = [value for value in vars(models).values() if isinstance(value, type)]
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), ours):
            cursor.execute(statement)
