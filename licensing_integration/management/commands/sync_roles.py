"""``manage.py sync_roles``: the groups Support, Staff and Owner as this version of the product means them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from licensing_integration.services.roles import ROLES, sync_roles


class Command(BaseCommand):
    help = "Creates or updates the groups Support, Staff and Owner. Run it after every upgrade; members stay."

    def handle(self, *args: Any, **options: Any) -> None:
        changed = sync_roles()
        for name in ROLES:
            self.stdout.write(f"Role {name}: {'updated' if name in changed else 'up to date'}")
