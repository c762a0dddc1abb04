"""Features by their codes: on Cryptlex a feature of the account has the code as its name, and a license is entitled to
it by an entry of its own. A feature that the account does not have is a metadata entry instead.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from licensing_integration.license_servers.cryptlex.client import CryptlexClient
from licensing_integration.license_servers.cryptlex.values import text


class FeatureCatalog:
    """The features of one account. Asked for anew each time: there are few, and they are seldom needed."""

    def __init__(self, client: CryptlexClient) -> None:
        self._client = client
        self._seen: frozenset[str] | None = None

    def ids_of(self, codes: Collection[str]) -> Mapping[str, str]:
        """Code → feature id, of those that exist. No codes make no call."""
        if not codes:
            return {}
        ids = {text(feature, "name"): text(feature, "id") for feature in self._client.list_features()}
        self._seen = frozenset(ids)
        return {code: ids[code] for code in codes if code in ids}

    def seen_missing(self, codes: Collection[str]) -> list[str]:
        """Those that did not exist when last looked for; makes no call."""
        return [code for code in codes if self._seen is not None and code not in self._seen]


def entitle(client: CryptlexClient, license_id: str, *, features: Mapping[str, str]) -> bool:
    """Entitle a license to features (code → id) it does not have yet; whether there were any."""
    present = {text(known, "featureId") for known in client.list_entitlements(license_id)}
    missing = [feature_id for feature_id in features.values() if feature_id not in present]
    for feature_id in missing:
        client.create_entitlement(license_id, feature_id=feature_id)
    return bool(missing)


def withdraw(client: CryptlexClient, license_id: str, *, codes: Collection[str]) -> bool:
    """Take features from a license; whether it had any of them."""
    present = [known for known in client.list_entitlements(license_id) if text(known, "featureName") in codes]
    for known in present:
        client.delete_entitlement(license_id, entitlement_id=text(known, "id"))
    return bool(present)
