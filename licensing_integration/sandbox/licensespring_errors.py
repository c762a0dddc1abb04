"""How the emulated LicenseSpring API says no. Its error bodies are not uniform."""

from __future__ import annotations

from typing import Any

from licensing_integration.sandbox.errors import ApiError

NOT_EMULATED = "The sandbox does not emulate this."


def wrong_field(field: str, message: str) -> ApiError:
    """400 ``{"field": ["message"]}``: what the API's web framework answers to a body or parameter that is wrong."""
    return ApiError(400, message, field=field)


def refused_order(code: str, message: str, *, status: int = 400) -> ApiError:
    """``{"status", "code", "message"}``: documented for another API of the vendor, with the codes of order creation."""
    return ApiError(status, message, code=code)


def no_such(what: str) -> ApiError:
    """404 ``{"detail"}``."""
    return ApiError(404, f"No {what} matches the given query.")


def error_body(problem: ApiError, *, order_error_shape: str) -> dict[str, Any]:
    """The body for a refusal; ``order_error_shape`` as in ``LicenseSpringOptions``."""
    if problem.field is not None:
        return {problem.field or "non_field_errors": [problem.message]}
    if problem.code is None or order_error_shape == "detail":
        return {"detail": problem.message}
    if order_error_shape == "errors":
        return {"errors": [{"message": problem.message, "value": None}]}
    if order_error_shape == "fields":
        return {"non_field_errors": [problem.message]}
    return {"status": problem.status, "code": problem.code, "message": problem.message}
