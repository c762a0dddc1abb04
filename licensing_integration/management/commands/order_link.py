"""``manage.py order_link``: the address at which a customer sees the keys of an order."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from licensing_integration import conf
from licensing_integration.exceptions import ConfigurationProblem
from licensing_integration.services.order_access import address_of
from licensing_integration.services.order_page import is_known


class Command(BaseCommand):
    help = "Prints the address of an order's page, with its token. Whoever has it sees the keys of that order."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("store", help="name of the store, as in STORES")
        parser.add_argument("order", help="the store's id of the order; put -- before one that begins with -")

    def handle(self, *args: Any, **options: Any) -> None:
        store, reference = options["store"], options["order"]
        if conf.store(store) is None:
            raise CommandError(f"No store named '{store}'. There are: {', '.join(conf.stores())}.")
        if not conf.order_page().is_on:
            raise CommandError("Order pages are switched off: ORDER_PAGES=false.")
        try:
            self.stdout.write(address_of(store, reference))
        except ConfigurationProblem as error:
            raise CommandError(str(error)) from error
        if not is_known(store, reference):
            self.stderr.write(
                "No order with this id is known yet; the page will say that it is being prepared. "
                "What is needed is the store's id of the order, not the reference its customer sees."
            )
