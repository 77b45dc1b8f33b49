"""The numbers counted the slow way: every row, one by one, in plain Python; nothing of `sav` is used."""

import statistics
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

STATUSES = ("open", "assigned", "in_progress", "waiting_customer", "resolved", "closed")
Row = dict[str, Any]


def recount(
    tickets: Sequence[Row],
    roster: Sequence[Row],
    *,
    role: str,
    user_id: int,
    since: datetime | None,
    until: datetime | None,
    zone: ZoneInfo,
    now: datetime,
) -> dict[str, Any]:
    """The document that this caller must get, from all rows of the tables."""
    rows = [row for row in tickets if row["deleted_at"] is None]
    if role == "customer":
        rows = [row for row in rows if row["user_id"] == user_id]

    def within(instant: datetime | None) -> bool:
        return (
            instant is not None and (since is None or instant >= since) and (until is None or instant < until)
        )

    chosen = [row for row in rows if within(row["created_at"])]
    ratings = [row["satisfaction_rating"] for row in chosen if row["satisfaction_rating"] is not None]
    return {
        "total": len(chosen),
        "by_status": every(STATUSES, (row["status"] for row in chosen)),
        "by_priority": every(("low", "normal", "high", "urgent"), (row["priority"] for row in chosen)),
        "by_category": dict(Counter(row["category"] or "" for row in chosen)),
        "by_source": every(("web", "email", "phone", "chat"), (row["source"] for row in chosen)),
        "per_day": [
            {
                "date": day.isoformat(),
                "opened": happened(rows, "created_at", day, zone, within),
                "resolved": happened(rows, "resolved_at", day, zone, within),
                "closed": happened(rows, "closed_at", day, zone, within),
            }
            for day in days(rows, since, until, zone, now)
        ],
        "first_response_seconds": spread(chosen, "first_response_at"),
        "resolution_seconds": spread(chosen, "resolved_at"),
        "agents": agents(rows, roster, role, user_id, within),
        "satisfaction": {
            "mean": float(Fraction(sum(ratings), len(ratings))) if ratings else None,
            "count": len(ratings),
            "distribution": every(("1", "2", "3", "4", "5"), map(str, ratings)),
        },
        "escalation_rate": share([row for row in chosen if row["escalated_at"] is not None], chosen),
        "reopen_rate": share([row for row in chosen if row["reopen_count"] > 0], chosen),
    }


def every(labels: Sequence[str], found: Any) -> dict[str, int]:
    counts = Counter(found)
    assert set(counts) <= set(labels)
    return {label: counts[label] for label in labels}


def share(some: Sequence[Row], of: Sequence[Row]) -> float:
    return float(Fraction(len(some), len(of))) if of else 0.0


def happened(rows: Sequence[Row], column: str, day: date, zone: ZoneInfo, within: Any) -> int:
    return sum(within(row[column]) and row[column].astimezone(zone).date() == day for row in rows)


def days(
    rows: Sequence[Row], since: datetime | None, until: datetime | None, zone: ZoneInfo, now: datetime
) -> list[date]:
    created = [row["created_at"] for row in rows]
    first = (since or min([*created, now])).astimezone(zone).date()
    last_instant = until - timedelta(microseconds=1) if until else max([*created, now])
    last = last_instant.astimezone(zone).date()
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def spread(chosen: Sequence[Row], column: str) -> dict[str, Any]:
    seconds = sorted(
        max(Fraction(0), Fraction((row[column] - row["created_at"]) // timedelta(microseconds=1), 1_000_000))
        for row in chosen
        if row[column] is not None
    )
    if not seconds:
        return {"mean": None, "median": None, "p90": None, "count": 0}
    nine_tenths = statistics.quantiles(seconds, n=10, method="inclusive")[8] if seconds[1:] else seconds[0]
    return {
        "mean": float(sum(seconds) / len(seconds)),
        "median": float(statistics.median(seconds)),
        "p90": float(nine_tenths),
        "count": len(seconds),
    }


def agents(
    rows: Sequence[Row], roster: Sequence[Row], role: str, user_id: int, within: Any
) -> list[dict[str, Any]]:
    if role == "customer":
        return []
    at_work = {row["assigned_to"] for row in rows if row["status"] not in ("resolved", "closed")}
    at_work |= {row["assigned_to"] for row in rows if within(row["resolved_at"])}
    known = {agent["user_id"]: agent for agent in roster}
    ids = (set(known) | at_work) - {None}
    if role == "agent":
        ids &= {user_id}
    return [
        {
            "agent_id": agent_id,
            "name": known[agent_id]["name"] if agent_id in known else None,
            "load": sum(
                row["assigned_to"] == agent_id and row["status"] not in ("resolved", "closed") for row in rows
            ),
            "capacity": known[agent_id]["capacity"] if agent_id in known else None,
            "resolved": sum(row["assigned_to"] == agent_id and within(row["resolved_at"]) for row in rows),
        }
        for agent_id in sorted(ids)
    ]
