"""A running LicenseSpring sandbox whose exchanges are held against the OpenAPI document when the test is over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from licensing_integration.sandbox.licensespring import LicenseSpringOptions, LicenseSpringSandbox, RecordedRequest
from tests.license_servers.clock import Clock
from tests.license_servers.licensespring.openapi_contract import assert_valid_record
from tests.license_servers.licensespring.sandbox_client import API_KEY, PRODUCTS, Api

# Documented, but not in the document.
_NOT_IN_THE_DOCUMENT = ("/reset_bulk/", "/set_password/")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def box(clock: Clock) -> Iterator[LicenseSpringSandbox]:
    """A running sandbox; afterwards everything it was asked and answered is held against the OpenAPI document."""
    options = LicenseSpringOptions(default_order="oldest_first")
    with LicenseSpringSandbox(api_key=API_KEY, products=PRODUCTS, options=options, clock=clock) as sandbox:
        yield sandbox
        for record in sandbox.requests:
            if _is_in_the_document(record):
                assert_valid_record(record)


@pytest.fixture
def options(box: LicenseSpringSandbox) -> LicenseSpringOptions:
    return box.options


def _is_in_the_document(record: RecordedRequest) -> bool:
    """The document says nothing of unknown paths and methods, of a refused query, of infrastructure and its pages."""
    is_refused_query = record.method == "GET" and record.status == 400
    is_infrastructure = record.status in (502, 503) or record.raw_response.startswith(b"<")
    is_listed = bool(record.template) and not record.template.endswith(_NOT_IN_THE_DOCUMENT)
    return is_listed and record.status != 405 and not is_refused_query and not is_infrastructure


@pytest.fixture
def api(box: LicenseSpringSandbox) -> Iterator[Api]:
    client = Api(box)
    yield client
    client.session.close()
