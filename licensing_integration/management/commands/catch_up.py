"""``manage.py catch_up``: fetch at once what stores could not deliver; the worker does it every hour."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from licensing_integration import conf
from licensing_integration.domain.wording import count_of
from licensing_integration.services.catch_up import LONGEST_DAYS, CaughtUp, catch_up, why_not


class Command(BaseCommand):
    help = "Fetch the events that stores could not deliver. What is here already stays as it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("stores", nargs="*", metavar="store", help="names from STORES (default: all)")
        parser.add_argument(
            "--days", type=int, default=LONGEST_DAYS, help="how far back, at most 30 (default: %(default)s)"
        )

    def handle(self, *args: object, **options: Any) -> None:
        names, days = options["stores"] or list(conf.stores()), options["days"]
        _check(names, days=days)
        failed = [name for name in names if not self._is_done(name, days=days, is_wanted=bool(options["stores"]))]
        if failed:
            raise CommandError(f"Not caught up with: {', '.join(failed)}.")

    def _is_done(self, name: str, *, days: int, is_wanted: bool) -> bool:
        """Whether all is well with this store; one that is not set up for it is, unless somebody asked for it."""
        obstacle = why_not(name)
        if obstacle:
            self.stdout.write(f"{name}: skipped. {obstacle}")
            return not is_wanted
        result = catch_up(name, days=days)
        self.stdout.write(_sentence(result))
        return not result.problem


def _check(names: list[str], *, days: int) -> None:
    unknown = [name for name in names if conf.store(name) is None]
    if unknown:
        raise CommandError(f"No store is named {', '.join(unknown)}. There are: {', '.join(conf.stores())}.")
    if not 1 <= days <= LONGEST_DAYS:
        raise CommandError(f"--days must be from 1 to {LONGEST_DAYS}; stores list their events for no longer.")


def _sentence(result: CaughtUp) -> str:
    fetched = count_of(result.pulled, "undelivered event")
    found = f"{result.store}: {fetched} fetched, {result.new} of them new."
    return f"{found} Then it failed: {result.problem}" if result.problem else found
