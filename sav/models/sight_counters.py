"""How often what somebody may see has changed: advanced by each write, read before each kept answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sav.models.database import before_commit, database, execute_later, is_sqlite


def advance_counters(slots: Iterable[int]) -> None:
    """Advances these counters at the end of the running transaction: one statement for all of them."""
    before_commit(_advance, slots)


def counted_changes(slots: Sequence[range]) -> int:
    """How often what these counters stand for has changed, as of the last commit.

    They only grow, and are read at one instant: an equal sum means that none of them has moved.
    """
    sign = "?" if is_sqlite() else "%s"
    within = " OR ".join([f"slot BETWEEN {sign} AND {sign}"] * len(slots))
    row = database.execute_sql(
        f"SELECT SUM(changes) FROM sight_counters WHERE {within}",  # noqa: S608 - signs alone
        [bound for part in slots for bound in (part[0], part[-1])],
    ).fetchone()
    return int(row[0] or 0)


def _advance(slots: Collection[int]) -> None:
    # In one order for all, lest two transactions wait for each other.
    ordered = sorted(slots)
    rows = ", ".join([f"({'?' if is_sqlite() else '%s'}, 1)"] * len(ordered))
    exists = "ON CONFLICT (slot) DO" if is_sqlite() else "ON DUPLICATE KEY"
    execute_later(
        f"INSERT INTO sight_counters (slot, changes) VALUES {rows} "  # noqa: S608 - signs alone
        f"{exists} UPDATE {'SET ' if is_sqlite() else ''}changes = changes + 1",
        ordered,
    )
