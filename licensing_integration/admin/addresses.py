"""Addresses of the console's lists, filtered, and of rows' pages, and who may open them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse


def list_url(model: type[Model], **filters: Any) -> str:
    """The list of a model's rows, with these filters."""
    return _with(_page(model, "changelist"), filters)


def row_url(model: type[Model], pk: int) -> str:
    """The page of one row."""
    return _page(model, "change", pk)


def add_url(model: type[Model], **values: Any) -> str:
    """The empty form of a new row, with these values filled in."""
    return _with(_page(model, "add"), values)


def may(request: HttpRequest, verb: str, model: type[Model]) -> bool:
    """Whether the user may ``view``, ``add`` … rows of this model."""
    options = model._meta
    return bool(request.user.has_perm(f"{options.app_label}.{verb}_{options.model_name}"))


def _page(model: type[Model], what: str, *ids: int) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{what}", args=ids)


def _with(address: str, values: dict[str, Any]) -> str:
    return f"{address}?{urlencode(values)}" if values else address
