"""What the theme gives to its own pages only, for those that are shown without its site, such as "no such page"."""

from __future__ import annotations

from collections.abc import Mapping

from django import template
from unfold.settings import get_config
from unfold.utils import convert_color

register = template.Library()


@register.simple_tag
def theme_colors() -> Mapping[str, str]:
    """The theme's colors by the names of their CSS variables, such as ``primary-600``."""
    return {
        f"{name}-{weight}": convert_color(value)
        for name, weights in get_config()["COLORS"].items()
        for weight, value in weights.items()
    }
