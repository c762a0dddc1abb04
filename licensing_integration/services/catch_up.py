"""catch up: fetch the events a store could not deliver, and put them into the inbox like all others.

A store gives up on a delivery after hours or days, but lists its events for a month. Whatever is there already stays as
it is, so fetching the same event again, or while it is being delivered, is harmless.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from licensing_integration import conf
from licensing_integration.exceptions import ConfigurationProblem, LicensingIntegrationError
from licensing_integration.services.connections import adapter_of, store_api, store_config
from licensing_integration.services.receive import Receipt, store_events

logger = logging.getLogger(__name__)

LONGEST_DAYS = 30  # both FastSpring and Stripe list their events for that long


@dataclass(frozen=True, kw_only=True)
class CaughtUp:
    """What one store listed: ``pulled`` events, ``new`` ones among them. ``problem``: the sentence that says why it
    ended early, empty if it did not. What was stored before stays."""

    store: str
    pulled: int
    new: int
    problem: str = ""


def _never() -> bool:
    return False


def catch_up_stores(*, days: float = LONGEST_DAYS, should_stop: Callable[[], bool] = _never) -> Sequence[CaughtUp]:
    """Every store that is set up for it, one after the other; the failure of one does not stop the others."""
    names = [name for name in conf.stores() if not why_not(name)]
    return [catch_up(name, days=days, should_stop=should_stop) for name in names if not should_stop()]


def catch_up(store_name: str, *, days: float = LONGEST_DAYS, should_stop: Callable[[], bool] = _never) -> CaughtUp:
    """Fetch what the store could not deliver in the last ``days``. ``should_stop`` is asked after every page.

    Errors of the store and of the configuration are told in the result; only those of our own database are raised.
    """
    pulled, new, problem = 0, 0, ""
    try:
        for receipt in _pull(store_name, since=timezone.now() - timedelta(days=days), should_stop=should_stop):
            pulled, new = pulled + receipt.events, new + receipt.new
    except (OperationalError, InterfaceError):
        raise  # no store is to blame, and no other store would fare better
    except LicensingIntegrationError as error:
        problem = str(error)
        logger.warning("not caught up: %s", problem, extra={"store": store_name, "error": type(error).__name__})
    except Exception as error:
        problem = f"An error of ours stopped this ({type(error).__name__}); the log has the details."
        logger.exception("not caught up", extra={"store": store_name, "error": type(error).__name__})
    if new:
        logger.info("events caught up with", extra={"store": store_name, "events": pulled, "new": new})
    return CaughtUp(store=store_name, pulled=pulled, new=new, problem=problem)


def why_not(store_name: str) -> str:
    """Why this store is left out, as a sentence that says what to configure; empty if it is set up, be it wrongly."""
    try:
        adapter, api = adapter_of(store_name), store_api(store_name)
    except ConfigurationProblem:
        return ""  # somebody meant to set it up, so catching up fails and says why
    if adapter.catch_up is None:
        return f"Store adapter '{adapter.slug}' cannot list events that were not delivered."
    if api is None:
        prefix = conf.prefix_of(store_name)
        variables = ["API_USERNAME", "API_PASSWORD"] if adapter.api_needs_username else ["API_KEY"]
        names = " and ".join(f"{prefix}_{variable}" for variable in variables)
        return f"Without API credentials nothing can be fetched from it; set {names}."
    return ""


def _pull(store_name: str, *, since: datetime, should_stop: Callable[[], bool]) -> Iterator[Receipt]:
    """Fetch page by page and store each before the next is asked for; no transaction spans a request.

    Yields a receipt for each event, each id once.
    """
    store, adapter, api = store_config(store_name), adapter_of(store_name), store_api(store_name)
    if adapter.catch_up is None or api is None:
        raise ConfigurationProblem(why_not(store_name))
    seen: set[str] = set()  # pages may overlap
    for page in adapter.catch_up(api, since):
        unseen = {event.external_id: event for event in page if event.external_id not in seen}
        seen.update(unseen)
        for event in unseen.values():
            # One by one: a statement with several rows and a delivery of the same events in another order could each
            # wait for the other's row. It also gives each event a job of its own, so all workers share the backlog.
            yield store_events([event], store=store, adapter=adapter, are_delivered=False)
        if should_stop():
            return
