"""LicenseSpring exchanges held against ``openapi.yaml``; see ``OpenApiDocument``."""

from __future__ import annotations

from pathlib import Path

from tests.license_servers.openapi_document import OpenApiDocument

DOCUMENT = OpenApiDocument(Path(__file__).with_name("openapi.yaml"))

assert_valid_exchange = DOCUMENT.assert_valid_exchange
assert_valid_record = DOCUMENT.assert_valid_record
assert_valid_request = DOCUMENT.assert_valid_request
is_valid_request = DOCUMENT.is_valid_request
