"""How the emulated Cryptlex API says no."""

from __future__ import annotations

DUPLICATE = "DUPLICATE_FIELD_VALUE"  # the only machine code the vendor publishes


class ApiError(Exception):
    """Becomes an answer with this status and the body ``{"message", "code"}``."""

    def __init__(self, status: int, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


def invalid(message: str) -> ApiError:
    """400: the request is malformed or asks for what cannot be done."""
    return ApiError(400, message)


def not_found(what: str) -> ApiError:
    """404: no such thing in this account."""
    return ApiError(404, f"{what} not found.")
