"""Is this process alive, and can the system do its work? For load balancers, containers and monitors.

No authentication, so nothing is told that an outsider should not know.
"""

from __future__ import annotations

import logging

from django.core.cache import cache
from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from licensing_integration.services import workers

logger = logging.getLogger(__name__)

MIGRATED_KEY = "licensing_integration.migrated"
OK = "ok"


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """This process answers. Asks nothing of the database: a restart of ours would not mend it."""
    return JsonResponse({"status": OK})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """200 when events can be received and worked on; otherwise 503, and each part says what it lacks."""
    try:
        parts = _parts()
    except DatabaseFailure:
        logger.warning("The database does not answer.", exc_info=True)
        connection.close()
        parts = {"database": "The database does not answer. Check that it runs and that DATABASE_URL is right."}
    is_ready = all(state == OK for state in parts.values())
    return JsonResponse({"status": OK if is_ready else "not ready", **parts}, status=200 if is_ready else 503)


def _parts() -> dict[str, str]:
    """Each part of the system: ``ok``, or a sentence. What cannot be asked without an earlier part is left out."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    migrations = _migrations()
    if migrations != OK:
        return {"database": OK, "migrations": migrations}
    return {"database": OK, "migrations": OK, "worker": _worker()}


def _migrations() -> str:
    """Only the good answer is remembered: code and its migrations do not change while a process runs."""
    if cache.get(MIGRATED_KEY):
        return OK
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return "Tables are not up to date. Run: python manage.py migrate"
    cache.set(MIGRATED_KEY, True, timeout=None)
    return OK


def _worker() -> str:
    if workers.count_alive():
        return OK
    return "No worker has reported for a minute, events are stored but not worked on. Run: python manage.py worker"
