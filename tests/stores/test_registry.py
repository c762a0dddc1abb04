from __future__ import annotations

from pathlib import Path

import pytest

from licensing_integration import stores
from licensing_integration.exceptions import ConfigurationProblem
from licensing_integration.stores.registry import ADAPTERS, adapter_choices, get_adapter


def test_every_folder_is_registered_under_its_name() -> None:
    folders = {path.parent.name for path in Path(stores.__path__[0]).glob("*/__init__.py")}
    assert set(ADAPTERS) == folders
    assert all(slug == adapter.slug for slug, adapter in ADAPTERS.items())


def test_an_unknown_slug_is_a_configuration_problem() -> None:
    assert get_adapter("fastspring").slug == "fastspring"
    with pytest.raises(ConfigurationProblem, match="'fastsprung'"):
        get_adapter("fastsprung")


def test_choices_name_every_adapter() -> None:
    assert ("fastspring", "fastspring") in adapter_choices()
    assert len(adapter_choices()) == len(ADAPTERS)
