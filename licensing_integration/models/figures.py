"""Figures: what happened on each day, counted once so that the start page never counts."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class DailyFigures(models.Model):
    """The figures of one day in UTC. ``values`` is a ``domain.figures.Figures`` as JSON; those of today and of days
    that are not over for long are counted again from time to time, see ``services.figures``."""

    day = models.DateField(unique=True)
    values = models.JSONField()
    counted_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "daily figures"
        ordering: ClassVar = ["-day"]

    def __str__(self) -> str:
        return f"figures of {self.day}"
