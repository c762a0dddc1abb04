"""How often an order's page may be asked for.

Counted in the memory of each web process: a refused request costs no database, file or network access, but several
processes let through as many times the rate. That is enough. What keeps keys from strangers is the token; this keeps
the database free for deliveries. docs/order-page.md weighs it against counting in one place.
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv6Address, IPv6Network, ip_address

from django.core.cache import caches
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from licensing_integration import conf

# A subscriber has a network of this many leading bits to itself, and may call from any address in it.
IPV6_SUBSCRIBER_BITS = 64


class _OrderPageThrottle(SimpleRateThrottle):
    def __init__(self) -> None:
        super().__init__()
        self.cache = caches["order_page"]

    def get_rate(self) -> str:
        return conf.order_page().rate


class AddressThrottle(_OrderPageThrottle):
    """Per client address, before anything else: whoever guesses is slowed down."""

    def get_cache_key(self, request: Request, view: APIView) -> str:
        return f"address:{client_network(request)}"


class ReferenceThrottle(_OrderPageThrottle):
    """Per order, from wherever: a link that went round. Only for who may see the order, else a stranger could keep its
    buyer out."""

    def get_cache_key(self, request: Request, view: APIView) -> str:
        order = f"{view.kwargs['store']}/{view.kwargs['reference']}"
        return f"reference:{hashlib.sha256(order.encode()).hexdigest()}"


def client_network(request: Request) -> str:
    """Where a request came from: an IPv4 address, or an IPv6 subscriber's network. Behind a proxy of ours it is what
    that proxy wrote last; what stands before it, anybody may have written."""
    addresses = [request.META.get("REMOTE_ADDR", "")]
    if conf.trusts_forwarded_for():
        addresses.insert(0, request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip())
    return next((network for text in addresses if (network := _network(text))), "unknown")


def _network(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), IPV6_SUBSCRIBER_BITS), strict=False))
