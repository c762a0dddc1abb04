"""A shop after LicenseSpring's FastSpring guide: its products are on a LicenseSpring or, by mappings, on a Cryptlex."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import pytest
from pytest_django import Settings

from licensing_integration.domain.outcomes import PolicyPreset
from licensing_integration.domain.servers import ServerKind
from licensing_integration.domain.terms import preset_policies
from licensing_integration.models import ProductMapping
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.fastspring import FastSpringShop
from licensing_integration.sandbox.licensespring import LicenseSpringSandbox
from tests.services.guide.selling import ACCOUNT, Cryptlex, Guide, LicenseSpring
from tests.services.scenario import map_product

KEY = "sandbox.management-key"
PRODUCTS: tuple[dict[str, Any], ...] = (
    {"short_code": "studio", "max_activations": 2, "default_license_type": "perpetual"},
    {
        "short_code": "photon",
        "max_activations": 2,
        "default_license_type": "time-limited",
        "enable_maintenance_period": True,
        "maintenance_duration": "1y",
    },
    {"short_code": "team", "authorization_method": "user", "default_license_type": "subscription"},
)


def licensespring(name: str, box: LicenseSpringSandbox, *, uuid: str) -> dict[str, Any]:
    """A license server as the setting has it."""
    return {
        "name": name,
        "backend": "licensespring",
        "base_url": box.base_url,
        "access_token": KEY,
        "request_limit": 0,
        "uuid": uuid,
    }


@pytest.fixture
def make_spring() -> Iterator[Callable[[], LicenseSpringSandbox]]:
    """Start LicenseSprings with the products, features and custom fields that the tests sell."""
    boxes: list[LicenseSpringSandbox] = []

    def _make() -> LicenseSpringSandbox:
        box = LicenseSpringSandbox(api_key=KEY, products=())
        boxes.append(box)
        for product in PRODUCTS:
            box.add_product(allow_trial=True, **product)
            box.add_custom_field(product=product["short_code"], name="Seats", default_value="1")
            for code in ("pdf", "ocr"):
                box.add_feature(product=product["short_code"], code=code, name=code)
        box.start()
        return box

    yield _make
    for box in boxes:
        box.stop()


OTHER_ACCOUNT = "77c2b1f4-9d0e-4a51-8a3b-5e0c9a6d2b20"


def map_to_cryptlex(product: str, **values: Any) -> None:
    """As the mapping form fills it in when somebody chooses LicenseSpring's guide there."""
    policies = asdict(preset_policies(PolicyPreset.LICENSESPRING, kind=ServerKind.CRYPTLEX))
    del policies["prepared_hours"]
    map_product(product, **{"server": "cryptlex", "product_id": product, **policies, **values})


@pytest.fixture
def guide(
    server: ServerKind, db: None, shop: FastSpringShop, deliver: Callable[..., None], request: pytest.FixtureRequest
) -> Guide:
    """The shop with its products on ``server``."""
    on = request.getfixturevalue(f"on_{server}")
    return Guide(on=on, shop=shop, deliver=deliver)


@pytest.fixture
def on_licensespring(settings: Settings, make_spring: Callable[[], LicenseSpringSandbox]) -> LicenseSpring:
    """The products are named by their attributes alone."""
    box = make_spring()
    settings.LICENSE_SERVERS = [licensespring("spring", box, uuid=ACCOUNT)]
    return LicenseSpring(box)


@pytest.fixture
def on_cryptlex(cryptlex: CryptlexSandbox) -> Cryptlex:
    """The same products with the same attributes, mapped to a template whose licenses last a month."""
    cryptlex.add_template(id="tmpl-1", name="Monthly", interval="P1M")
    for code in ("pdf", "ocr"):
        cryptlex.add_feature(name=code)
    for product in PRODUCTS:
        map_to_cryptlex(product["short_code"])
    return Cryptlex(cryptlex)


@pytest.fixture
def other_account(
    guide: Guide, settings: Settings, make_spring: Callable[[], LicenseSpringSandbox]
) -> Iterator[LicenseSpring | Cryptlex]:
    """A second account with the vendor; on Cryptlex the product ``photon`` is mapped to it."""
    if guide.server is ServerKind.LICENSESPRING:
        box = make_spring()
        settings.LICENSE_SERVERS = [*settings.LICENSE_SERVERS, licensespring("other", box, uuid=OTHER_ACCOUNT)]
        yield LicenseSpring(box)
        return
    with CryptlexSandbox(access_token="sandbox-token", accept_any_product=True) as box:
        other = {**settings.LICENSE_SERVERS[0], "name": "other", "base_url": box.base_url}
        settings.LICENSE_SERVERS = [*settings.LICENSE_SERVERS, other]
        ProductMapping.objects.filter(store_product="photon").update(server="other")
        yield Cryptlex(box)
