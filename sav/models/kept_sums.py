"""Which of the kept sums may be read: older versions of this program, beside it, do not know all of them."""

from dataclasses import dataclass
from typing import Any

import peewee

from sav.domain.statistics import Cell
from sav.models.tables import DeskCount, WiderCount

TURN, BUCKETS_TURN = Cell("load", -1, ""), Cell("load", -2, "")
"""Rows beside all sums: how often they were changed, and how often by who knows the buckets of durations."""


@dataclass(frozen=True, slots=True)
class KeptUp:
    """Whether these sums, too, are of every ticket that was counted."""

    wider: bool
    buckets: bool


def kept_up() -> KeptUp:
    """What may be read, in this state of the database."""
    same_turn = (WiderCount.kind == DeskCount.kind) & (WiderCount.slot == DeskCount.slot)
    rows: Any = (
        DeskCount.select(DeskCount.slot, DeskCount.tickets, WiderCount.tickets)
        .join(WiderCount, peewee.JOIN.LEFT_OUTER, on=same_turn)
        .where(DeskCount.kind == TURN.kind, DeskCount.slot < 0)
        .tuples()
    )
    turns = {slot: (turn, wider_turn) for slot, turn, wider_turn in rows}
    turn, wider_turn = turns.get(TURN.slot, (None, None))
    bucket_turn, _ = turns.get(BUCKETS_TURN.slot, (None, None))
    return KeptUp(wider=turn == wider_turn, buckets=turn == bucket_turn)
