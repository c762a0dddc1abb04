"""A running Cryptlex sandbox whose every exchange is held against the OpenAPI document when the test is over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from licensing_integration.sandbox.cryptlex import CryptlexSandbox, RecordedRequest
from tests.license_servers.clock import Clock
from tests.license_servers.cryptlex.openapi_contract import assert_valid_record
from tests.license_servers.cryptlex.sandbox_client import MONTHLY, PERPETUAL, PRODUCT, TOKEN, Api


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def box(clock: Clock) -> Iterator[CryptlexSandbox]:
    """A running sandbox; afterwards everything it was asked and answered is held against the OpenAPI document."""
    templates = [{"id": MONTHLY, "name": "Monthly", "interval": "P1M"}, {"id": PERPETUAL, "name": "Perpetual"}]
    products = [{"id": PRODUCT, "name": "App", "template_id": MONTHLY}]
    with CryptlexSandbox(access_token=TOKEN, products=products, templates=templates, clock=clock) as sandbox:
        yield sandbox
        for record in sandbox.requests:
            if _is_in_the_document(record):
                assert_valid_record(record)


def _is_in_the_document(record: RecordedRequest) -> bool:
    """The document says nothing of unknown paths and methods, of a refused query, of infrastructure and its pages."""
    is_refused_query = record.method == "GET" and record.status == 400
    is_infrastructure = record.status in (502, 503) or record.raw_response.startswith(b"<")
    return bool(record.template) and record.status != 405 and not is_refused_query and not is_infrastructure


@pytest.fixture
def api(box: CryptlexSandbox) -> Iterator[Api]:
    client = Api(box)
    yield client
    client.session.close()
