"""Numbers of the desk as they go out, and their schema."""

from datetime import date

from sav.domain.statistics import Spread, Statistics
from sav.http.documents import Answer, Document


class SpreadDocument(Answer):
    """How long something took, in seconds; null where there was nothing."""

    mean: float | None
    median: float | None
    p90: float | None
    count: int


class DayDocument(Answer):
    """What happened on one day of the time zone."""

    date: date
    opened: int
    resolved: int
    closed: int


class AgentNumbersDocument(Answer):
    """An agent's work: the tickets they have now, and those of theirs that were resolved in the span."""

    agent_id: int
    name: str | None
    load: int
    capacity: int | None
    resolved: int


class SatisfactionDocument(Answer):
    """The ratings, from 1 to 5."""

    mean: float | None
    count: int
    distribution: dict[str, int]


class StatisticsDocument(Answer):
    """The numbers of a dashboard. The key of tickets without a category is empty."""

    total: int
    by_status: dict[str, int]
    by_priority: dict[str, int]
    by_category: dict[str, int]
    by_source: dict[str, int]
    per_day: list[DayDocument]
    first_response_seconds: SpreadDocument
    resolution_seconds: SpreadDocument
    agents: list[AgentNumbersDocument]
    satisfaction: SatisfactionDocument
    escalation_rate: float
    reopen_rate: float


def statistics_document(numbers: Statistics) -> Document:
    return {
        "total": numbers.total,
        "by_status": numbers.by_status,
        "by_priority": numbers.by_priority,
        "by_category": numbers.by_category,
        "by_source": numbers.by_source,
        "per_day": [
            {
                "date": day.day.isoformat(),
                "opened": day.opened,
                "resolved": day.resolved,
                "closed": day.closed,
            }
            for day in numbers.per_day
        ],
        "first_response_seconds": _spread_document(numbers.first_response),
        "resolution_seconds": _spread_document(numbers.resolution),
        "agents": [
            {
                "agent_id": agent.agent_id,
                "name": agent.name,
                "load": agent.load,
                "capacity": agent.capacity,
                "resolved": agent.resolved,
            }
            for agent in numbers.agents
        ],
        "satisfaction": {
            "mean": numbers.satisfaction_mean,
            "count": numbers.satisfaction_count,
            "distribution": numbers.satisfaction_distribution,
        },
        "escalation_rate": numbers.escalation_rate,
        "reopen_rate": numbers.reopen_rate,
    }


def _spread_document(spread: Spread) -> Document:
    return {"mean": spread.mean, "median": spread.median, "p90": spread.p90, "count": spread.count}
