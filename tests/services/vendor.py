"""Other hands on the license server: its dashboard, or the vendor's own store integration."""

from __future__ import annotations

from typing import Any

import requests

from licensing_integration.sandbox.cryptlex import CryptlexSandbox


class Vendor:
    """The license server by other hands: its dashboard, or the vendor's own store integration."""

    def __init__(self, box: CryptlexSandbox) -> None:
        self.box = box

    def call(self, method: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.box.access_token}"}
        answer = requests.request(method, self.box.base_url + path, headers=headers, timeout=10, **options)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def make(self, *, product: str = "prod-1", **entries: str) -> str:
        """A license with these metadata entries; its id."""
        rows = [{"key": key, "value": value, "viewPermissions": []} for key, value in entries.items()]
        body = {"productId": product, "licenseTemplateId": "tmpl-1", "metadata": rows}
        return str(self.call("POST", "/v3/licenses", json=body)["id"])

    def patch(self, license_id: str, **members: Any) -> None:
        self.call("PATCH", f"/v3/licenses/{license_id}", json=members)

    def delete(self, license_id: str) -> None:
        self.call("DELETE", f"/v3/licenses/{license_id}")
