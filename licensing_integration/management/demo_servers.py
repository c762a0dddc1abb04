"""The pretend license servers the demonstration may run with: how each is set up, and what differs in its licenses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from licensing_integration.management.demo_story import Endings
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.emulator import Emulator
from licensing_integration.sandbox.licensespring import LicenseSpringSandbox


@dataclass(frozen=True, kw_only=True)
class DemoServer:
    """``name``: of the license server in the configuration and in mappings.

    ``make_product``: the id of a new product, from its short code and whether it is sold by subscription.
    ``product_attribute``: the custom attribute that names a license product.
    """

    name: str
    sandbox: Emulator
    access_token: str
    make_product: Callable[[str, bool], str]
    product_attribute: str
    endings: Endings

    def variables(self) -> dict[str, str]:
        """The configuration of the product for this license server."""
        prefix = self.name.upper()
        return {
            "LICENSE_SERVERS": self.name,
            f"{prefix}_ACCESS_TOKEN": self.access_token,
            f"{prefix}_WEB_API_BASE_URL": self.sandbox.base_url,
            f"{prefix}_REQUEST_LIMIT": "0",  # months in a second: a real account would make the story wait
        }


def _cryptlex() -> DemoServer:
    sandbox = CryptlexSandbox()

    def make_product(short_code: str, is_subscription: bool) -> str:
        return str(sandbox.add_product(name=_title(short_code))["id"])

    return DemoServer(
        name="cryptlex",
        sandbox=sandbox,
        access_token=sandbox.access_token,
        make_product=make_product,
        product_attribute="CRYPTLEX_PRODUCT_ID",
        endings=Endings(subscription="3 absent", refunded="1 suspended"),
    )


def _licensespring() -> DemoServer:
    sandbox = LicenseSpringSandbox()

    def make_product(short_code: str, is_subscription: bool) -> str:
        kind = "subscription" if is_subscription else "perpetual"
        made = sandbox.add_product(short_code=short_code, name=_title(short_code), default_license_type=kind)
        return str(made["short_code"])

    return DemoServer(
        name="licensespring",
        sandbox=sandbox,
        access_token=sandbox.api_key,
        make_product=make_product,
        product_attribute="product_short_code",
        # Its licenses cannot be deleted; and a product that follows its guide follows its policies: a refund is told.
        endings=Endings(subscription="3 suspended until {until}", refunded="1 active"),
    )


def _title(short_code: str) -> str:
    return short_code.replace("-", " ").title()


DEMO_SERVERS: dict[str, Callable[[], DemoServer]] = {"cryptlex": _cryptlex, "licensespring": _licensespring}
