"""What a browser shows when there is nothing to show. None of these pages can rely on the view that failed."""

from __future__ import annotations

import pytest
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path

FAULTS = {
    "broken": (RuntimeError("a secret"), 500, "Something went wrong here"),
    "suspicious": (SuspiciousOperation("a secret"), 400, "This request could not be read"),
}


def _fail(_request: HttpRequest, fault: str) -> HttpResponse:
    raise FAULTS[fault][0]


urlpatterns = [path("", include("project.urls")), path("fails/<fault>/", _fail)]


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_ours_is_a_page_that_tells_nothing_of_it(fault: str) -> None:
    _, status, title = FAULTS[fault]
    answer = Client(raise_request_exception=False).get(f"/fails/{fault}/")
    assert answer.status_code == status
    _assert_leads_back(answer, title)
    assert "a secret" not in answer.content.decode()


def test_a_page_that_is_not_there_leads_back() -> None:
    answer = Client().get("/nothing-here/")
    assert answer.status_code == 404
    _assert_leads_back(answer, "There is no such page")


@pytest.mark.django_db
def test_a_form_without_its_token_is_told_what_to_do() -> None:
    answer = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "ava", "password": "secret"})
    assert answer.status_code == 403
    _assert_leads_back(answer, "This form was not accepted")


def _assert_leads_back(answer: HttpResponse, title: str) -> None:
    page = answer.content.decode()
    assert f'<h1 class="li-title">{title}</h1>' in page
    assert 'href="/admin/">Go to Start</a>' in page
