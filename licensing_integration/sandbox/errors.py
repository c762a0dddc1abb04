"""How an emulated service says no."""

from __future__ import annotations


class ApiError(Exception):
    """Becomes an error answer with this status; each sandbox writes the body in the form of its service.

    ``code``: the machine code of the body; ``field``: the member or parameter that is wrong. ``None`` where there is
    none.
    """

    def __init__(self, status: int, message: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.field = field


def invalid(message: str) -> ApiError:
    """400: the request is malformed or asks for what cannot be done."""
    return ApiError(400, message)


def not_found(what: str) -> ApiError:
    """404: no such thing in this account."""
    return ApiError(404, f"{what} not found.")
