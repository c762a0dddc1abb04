"""License users in the emulated LicenseSpring API: who may use a license of a user-based product, and who manages."""

from __future__ import annotations

import secrets
from typing import Any

from licensing_integration.sandbox.errors import ApiError
from licensing_integration.sandbox.licensespring_call import Call, find, shown_data
from licensing_integration.sandbox.licensespring_errors import wrong_field
from licensing_integration.sandbox.licensespring_store import COMPANY_ID, LicenseRecord, Seat
from licensing_integration.sandbox.records import Record


def list_users(call: Call) -> Any:
    return call.page(call.store.users, show=shown_data, is_delayed=True)


def get_user(call: Call) -> Any:
    return find(call.store.users, call.id).data


def update_user(call: Call) -> Any:
    user = find(call.store.users, call.id)
    user.data.update({name: call.body[name] for name in ("first_name", "last_name") if name in call.body})
    call.store.touch(user)
    return user.data


def set_password(call: Call) -> Any:
    user = find(call.store.users, call.id)
    user.data.update(is_initial_password=False, initial_password=None)
    call.store.touch(user)
    return {"message": "Password set."}


def assign_user(call: Call) -> Any:
    """Answers with the password of a new user, readable for anybody who logs the answer."""
    record, body = _user_based(call), call.body
    seat = _seat_of(record, body["email"])
    if seat is not None:
        return _assigned_again(call)
    _check_room(record, wanted=1)
    names = {name: body[name] for name in ("first_name", "last_name", "phone_number") if name in body}
    user, password = ensure_user(call, email=body["email"], password=body.get("password"), **names)
    seat = add_seat(
        call,
        record,
        user=user,
        is_manager=body.get("is_manager", False),
        max_activations=body.get("max_activations"),
    )
    seat.total_activations = body.get("total_activations", 0)
    _changed(call, record, "License user assigned.")
    return {"message": "License assigned.", "new_password": password}


def assign_users(call: Call) -> Any:
    """Whoever has the license already stays as before."""
    record = _user_based(call)
    wanted = {entry["email"].lower(): entry for entry in call.body["emails"]}
    new = [entry for entry in wanted.values() if _seat_of(record, entry["email"]) is None]
    _check_room(record, wanted=len(new))
    answers = []
    for entry in wanted.values():
        user, password = ensure_user(call, email=entry["email"])
        if entry in new:
            add_seat(call, record, user=user, is_manager=entry.get("is_manager", False))
        answers.append({"email": entry["email"], "new_user": password is not None, "password": password})
    _changed(call, record, "License users assigned.")
    return answers


def unassign_user(call: Call) -> Any:
    record, body = _user_based(call), call.body
    if len(body) != 1:
        raise wrong_field("", "Exactly one of license_user_id and license_user_email is required.")
    if "license_user_id" in body:
        seat = record.seats.get(body["license_user_id"])
    else:
        seat = _seat_of(record, body["license_user_email"])
    if seat is None:
        raise ApiError(400, "The user is not assigned to this license.")
    del record.seats[seat.user.id]
    seat.user.data["total_licenses"] -= 1
    _changed(call, record, "License user unassigned.")
    return {"message": "User unassigned."}


def set_users_activations(call: Call) -> Any:
    record = _user_based(call)
    unknown = [user_id for user_id in call.body if int(user_id) not in record.seats]
    if unknown:
        raise wrong_field(unknown[0], "The user is not assigned to this license.")
    for user_id, wanted in call.body.items():
        seat = record.seats[int(user_id)]
        seat.max_activations = wanted.get("max_activations", seat.max_activations)
        if wanted.get("reset_total_activations"):
            seat.total_activations = 0
    _changed(call, record, "Activations of license users set.")
    return {"message": "Activations set."}


def ensure_user(call: Call, *, email: str, password: str | None = None, **names: str) -> tuple[Record, str | None]:
    """The license user with this address, and the first password in clear text if it is a new one."""
    found = call.store.users.found_by("true_email", email.lower())
    if found:
        return found[0], None
    first_password = password or secrets.token_urlsafe(9)
    data = {
        **call.store.head(has_small_id=True),
        "email": f"{email}|{COMPANY_ID}",  # why the service adds a suffix is not documented
        "true_email": email,
        "first_name": "",
        "last_name": "",
        "phone_number": "",
        **names,
        "is_active": True,
        "is_manager": False,
        "is_initial_password": True,
        "initial_password": first_password,
        "total_licenses": 0,
        "customer_accounts": [],
        "last_login": None,
    }
    return call.store.users.add(Record(data=data, stored_at=call.store.now)), first_password


def add_seat(
    call: Call, record: LicenseRecord, *, user: Record, is_manager: bool, max_activations: int | None = None
) -> Seat:
    """Give the user the license; the caller has checked that there is room."""
    seat = Seat(user=user, is_manager=is_manager, max_activations=max_activations)
    record.seats[user.id] = seat
    user.data["total_licenses"] += 1
    user.data["is_manager"] = user.data["is_manager"] or is_manager
    return seat


def _user_based(call: Call) -> LicenseRecord:
    record = call.license()
    if not record.product.is_user_based:
        raise ApiError(400, "The product of this license is key-based.")
    return record


def _seat_of(record: LicenseRecord, email: str) -> Seat | None:
    seats = record.seats.values()
    return next((seat for seat in seats if seat.user.data["true_email"].lower() == email.lower()), None)


def _assigned_again(call: Call) -> Any:
    if call.options.assign_twice_status != 200:
        raise ApiError(call.options.assign_twice_status, "The user is assigned to this license already.")
    return {"message": "License assigned.", "new_password": None}


def _check_room(record: LicenseRecord, *, wanted: int) -> None:
    most = record.data["max_license_users"]
    if most and len(record.seats) + wanted > most:
        raise ApiError(400, "The license has no room for more users.")


def _changed(call: Call, record: LicenseRecord, text: str) -> None:
    call.store.licenses.index(record)
    call.store.touch(record)
    call.store.note(record, text)
