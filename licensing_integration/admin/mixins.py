"""What the console's lists and pages share: read-only rows, capped counts, and actions that ask before they act."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.db.models import DateField, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin

from licensing_integration.admin.actions import (
    MOST_AT_ONCE,
    Choice,
    PageAction,
    is_id,
    read_ids,
    refusals_of,
    run_each,
)
from licensing_integration.services import search

# Lists count no further: beyond this, people search and filter.
MOST_COUNTED = 2_000


class CappedPaginator(Paginator):
    """Counts at most ``MOST_COUNTED`` rows, newest first, so that a list of millions opens as fast as an empty one."""

    template_name = "admin/licensing_integration/pagination.html"

    @cached_property
    def count(self) -> int:
        return min(self._found, MOST_COUNTED)

    @property
    def is_capped(self) -> bool:
        return self._found > MOST_COUNTED

    @cached_property
    def _found(self) -> int:
        """One more than is counted tells that there are more."""
        return self.object_list.values("pk")[: MOST_COUNTED + 1].count()

    def page(self, number: int | str) -> Page:
        """The ids first: else what belongs to the rows of all pages before would be fetched, to be thrown away."""
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        ids = list(self.object_list.values_list("pk", flat=True)[first : first + self.per_page])
        return self._get_page(self.object_list.filter(pk__in=ids), number, self)


class SearchMixin(ModelAdmin):
    """The search box finds by exact ids on indexed columns, see ``services.search``."""

    search_fields: ClassVar = ("pk",)  # only makes the box appear
    search_help_text = (
        "E-mail address, order id or reference, subscription id, license key (whole, or its last six characters or "
        "more), or event id. Exact matches only."
    )
    nothing_found_hint = (
        "What is searched for is compared whole: see whether a character is missing or one too many. Customers are "
        "found by e-mail address, not by name."
    )
    found: ClassVar[Callable[[search.Hits], Collection[int]]]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        return queryset.filter(pk__in=type(self).found(search.find(search_term))), False


class ActingAdmin(ModelAdmin):
    """Actions on the rows' pages and in the list, each with a page that says what it will do before it does it."""

    page_actions: ClassVar[tuple[PageAction, ...]] = ()
    # What the user needs, beside the action's own permission, to act on several rows at once.
    many_permission = ""

    def get_urls(self) -> list[URLPattern]:
        one, many = self.admin_site.admin_view(self.action_view), self.admin_site.admin_view(self.many_view)
        own = []
        for action in self.page_actions:
            extra = {"action": action}
            own.append(path(f"<int:object_id>/{action.name}/", one, extra, name=self._url_name(action.name)))
            own.append(path(f"many/{action.name}/", many, extra, name=self._url_name(f"{action.name}_many")))
        return [*own, *super().get_urls()]

    def buttons(self, request: HttpRequest, row: Model) -> list[dict[str, Any]]:
        """What this user may do to the row now."""
        return [
            {"label": action.label, "url": self.action_url(action.name, row), "is_danger": action.is_danger}
            for action in self.page_actions
            if action.is_permitted(request) and not action.why_not(row)
        ]

    def row_title(self, row: Any) -> str:
        """What the row is called on its own pages."""
        return str(row)

    def title_among_others(self, row: Any) -> str:
        """What tells the row apart from others that are acted on together with it."""
        return self.row_title(row)

    def action_url(self, name: str, row: Model) -> str:
        return reverse(f"{self.admin_site.name}:{self._url_name(name)}", args=[row.pk])

    def row_url(self, row: Model) -> str:
        return reverse(f"{self.admin_site.name}:{self._url_name('change')}", args=[row.pk])

    def list_url(self, query: str = "") -> str:
        """``query``: its filters, search and page, as they stood in its address; it can lead nowhere else."""
        query = QueryDict(query).urlencode()
        return reverse(f"{self.admin_site.name}:{self._url_name('changelist')}") + (f"?{query}" if query else "")

    def _context(self, request: HttpRequest, row: Model | None) -> dict[str, Any]:
        context = {**self.admin_site.each_context(request), "opts": self.opts, "row": row, "list_url": self.list_url()}
        return context if row is None else {**context, "title": self.row_title(row), "row_url": self.row_url(row)}

    def _url_name(self, what: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{what}"

    # --- the list ----------------------------------------------------------------------------------------------------

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only what the filters beside the list write into the address. With others somebody could guess a key letter
        by letter, or ask for what no index answers."""
        return any(lookup in self._parameters_of(entry) for entry in self.list_filter)

    def _parameters_of(self, entry: Any) -> Collection[str]:
        if not isinstance(entry, str):
            return [entry.parameter_name]
        if isinstance(self.opts.get_field(entry), DateField):
            return [f"{entry}__gte", f"{entry}__lt"]
        return [entry, f"{entry}__exact"]

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """What was chosen in the list and is no id at all is left out."""
        sent = request.POST.copy()
        sent.setlist(ACTION_CHECKBOX_NAME, [text for text in sent.getlist(ACTION_CHECKBOX_NAME) if is_id(text)])
        request.POST = sent
        return super().response_action(request, queryset)

    # --- actions -----------------------------------------------------------------------------------------------------

    def action_view(self, request: HttpRequest, object_id: int, action: PageAction) -> HttpResponse:
        """The confirmation page of an action on one row, and the action itself."""
        self._require(request, action)
        row = self.get_object(request, str(object_id))
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(object_id))
        return self._act(request, action, [row], is_sent=request.method == "POST")

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The list's actions: those of the rows' pages, for whoever may act on several rows at once."""
        actions = super().get_actions(request)
        if self._may_act_on_many(request):
            offered = [action for action in self.page_actions if action.is_bulk and action.is_permitted(request)]
            actions |= {
                action.name: (_asking_about_many(action), action.name, f"{action.label}…") for action in offered
            }
        return actions

    def for_actions(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The list's rows with everything that the actions' ``why_not`` and ``preview`` look at, for no row anew."""
        return rows.defer(None)

    def many_view(self, request: HttpRequest, action: PageAction) -> HttpResponse:
        """Do it to exactly the rows whose confirmation page was shown, whatever the list holds by now."""
        self._require(request, action)
        if not (action.is_bulk and self._may_act_on_many(request)):
            raise PermissionDenied
        ids = read_ids(request.POST.get("ids", ""))
        if request.method != "POST" or not 0 < len(ids) <= MOST_AT_ONCE:
            return HttpResponseRedirect(self.list_url())
        rows = list(self.for_actions(self.get_queryset(request)).filter(pk__in=ids).order_by("pk"))
        return self._act(request, action, rows, is_sent=True, list_query=request.POST.get("list_query", ""))

    def ask_about_many(self, request: HttpRequest, action: PageAction, rows: QuerySet[Any]) -> HttpResponse | None:
        """The confirmation page for rows chosen in the list."""
        chosen = list(self.for_actions(rows).order_by("pk")[: MOST_AT_ONCE + 1])
        if len(chosen) > MOST_AT_ONCE:
            self.message_user(
                request, f"That is more than {MOST_AT_ONCE} rows; take them in smaller lots.", messages.ERROR
            )
            return None
        return self._act(request, action, chosen, is_sent=False, list_query=request.GET.urlencode())

    def _act(
        self,
        request: HttpRequest,
        action: PageAction,
        rows: Sequence[Any],
        *,
        is_sent: bool,
        list_query: str | None = None,
    ) -> HttpResponse:
        """``list_query``: what stood in the address of the list in which the rows were chosen, and to which it leads
        back; ``None`` for one row on its own page."""
        choice = Choice.of(action, rows)
        back = self.row_url(rows[0]) if list_query is None else self.list_url(list_query)
        if not choice.rows:
            self._warn_of(request, choice.left_out, is_one=list_query is None)
            return HttpResponseRedirect(back)
        form_class = (len(choice.rows) > 1 and action.form_for_many) or action.form
        form = form_class(request.POST if is_sent else None, initial=dict(action.initial(choice.rows)))
        is_only_asking = action.is_foreseeable and "foresee" in request.POST
        if form.is_valid() and not is_only_asking and self._do(request, action, choice, form):
            return HttpResponseRedirect(back)
        return TemplateResponse(
            request,
            "admin/licensing_integration/confirm.html",
            self._confirm_context(request, action, choice, form=form, list_query=list_query),
        )

    def _do(self, request: HttpRequest, action: PageAction, choice: Choice, form: forms.Form) -> bool:
        """Do it, and tell what was done and what was not. Returns ``False`` where it was meant for one row and could
        not be done: then the form, which may mend that, says why."""
        outcome = run_each(action, choice.rows, user_id=request.user.pk, values=form.cleaned_data)
        if len(choice.rows) == 1 and outcome.failed:
            form.add_error(None, outcome.failed[0][1])
            return False
        for sentence in outcome.done:
            self.message_user(request, sentence, messages.SUCCESS)
        self._warn_of(request, [*outcome.failed, *choice.left_out])
        return True

    def _warn_of(self, request: HttpRequest, refused: Sequence[tuple[Any, str]], *, is_one: bool = False) -> None:
        """Tell to which rows it was not done, and why not; ``is_one``: on the row's own page, which names it."""
        named = [(self.title_among_others(row), refusal) for row, refusal in refused]
        for sentence in [refusal for _, refusal in named] if is_one else refusals_of(named):
            self.message_user(request, sentence, messages.WARNING)

    def _confirm_context(
        self, request: HttpRequest, action: PageAction, choice: Choice, *, form: forms.Form, list_query: str | None
    ) -> dict[str, Any]:
        row, is_one = choice.rows[0], list_query is None
        return {
            **self._context(request, row if is_one else None),
            "title": action.label,
            "action": action,
            "left_out": [(self.title_among_others(one), refusal) for one, refusal in choice.left_out],
            "preview": _preview(action, choice.rows, form),
            "form": form,
            "post_url": self.action_url(action.name, row)
            if is_one
            else reverse(f"{self.admin_site.name}:{self._url_name(f'{action.name}_many')}"),
            "ids": ",".join(str(one.pk) for one in choice.rows),
            "list_query": list_query or "",
            "back_url": self.row_url(row) if list_query is None else self.list_url(list_query),
            "row_title": self.row_title(row) if is_one else "",
            "titles": [] if is_one else [self.title_among_others(one) for one in choice.rows],
        }

    def _require(self, request: HttpRequest, action: PageAction) -> None:
        if not (self.has_view_permission(request) and action.is_permitted(request)):
            raise PermissionDenied

    def _may_act_on_many(self, request: HttpRequest) -> bool:
        return bool(self.many_permission) and bool(request.user.has_perm(self.many_permission))


class ReadOnlyAdmin(ActingAdmin):
    """Rows nobody adds, edits or deletes here, not even superusers. Each has a page with action buttons, and the list
    has the same actions for several rows."""

    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = CappedPaginator
    actions: ClassVar = ()
    page_template: str
    empty_sentence = ""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    # --- the page of a row -------------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The row's page. There is no form on it, so nothing can be posted to it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return self.page(request, row, extra_context)

    def page(self, request: HttpRequest, row: Model, extra_context: Mapping[str, Any] | None = None) -> HttpResponse:
        """The page of one row, with the buttons this user may press."""
        context = {
            **self._context(request, row),
            "buttons": self.buttons(request, row),
            **self.page_context(request, row),
            **(extra_context or {}),
        }
        return TemplateResponse(request, self.page_template, context)

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the page's template shows beside the row."""
        return {}


def _asking_about_many(action: PageAction) -> Callable[..., HttpResponse | None]:
    def _ask(model_admin: ActingAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return model_admin.ask_about_many(request, action, queryset)

    return _ask


def _preview(action: PageAction, rows: Sequence[Any], form: forms.Form) -> Sequence[str]:
    if action.foresee is None or not form.is_bound or not form.is_valid():
        return action.preview(rows)
    return action.foresee(rows, form.cleaned_data)
