"""What PostgreSQL knows of our tables."""

from __future__ import annotations

from typing import Any


def forget_statistics(cursor: Any) -> None:
    """As if the tables had never been analyzed: PostgreSQL, in the background, may have found them nearly empty."""
    ours = "SELECT oid FROM pg_class WHERE relname LIKE 'licensing_integration_%'"
    cursor.execute(f"DELETE FROM pg_statistic WHERE starelid IN ({ours})")
    cursor.execute(f"UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid IN ({ours}) AND relkind = 'r'")
