"""Whether the API credentials work: FastSpring's grant everything or nothing, so one call tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from licensing_integration.exceptions import LicensingIntegrationError
from licensing_integration.stores.base import StoreApi
from licensing_integration.stores.fastspring.catch_up import catch_up

ASKED_ABOUT: Final = timedelta(minutes=1)  # little to answer, and the very call that catching up makes


def check_api(api: StoreApi) -> list[str]:
    """What is wrong with the credentials, in sentences; empty when nothing is. Changes nothing."""
    try:
        next(catch_up(api, datetime.now(UTC) - ASKED_ABOUT), None)
    except LicensingIntegrationError as error:
        return [str(error)]
    return []
