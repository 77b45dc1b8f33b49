"""What doing each effect means: a plain table, and its rows as Dramatiq's actors."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import dramatiq

from sav.actors.publish_event import Publish, publish_ticket_events
from sav.domain.subscriptions import PUBLISH_EVENT
from sav.operations.housekeeping import HOUSEKEEPING, keep_house

Effect = Callable[[int], None]
"""Does what a ticket owes (0: what the desk owes as a whole), once, however often it is called."""


def effect_table(*, publish: Publish) -> dict[str, Effect]:
    """Every effect by its name; `publish` is where events go."""
    return {
        PUBLISH_EVENT: lambda ticket_id: publish_ticket_events(ticket_id, publish=publish),
        HOUSEKEEPING: lambda _: keep_house(now=datetime.now(UTC)),
    }


def declare_actors(broker: dramatiq.Broker, effects: Mapping[str, Effect], *, queue_name: str) -> None:
    """Makes each effect an actor of the same name, which takes a ticket's id."""
    for name, effect in effects.items():
        dramatiq.actor(actor_name=name, queue_name=queue_name, broker=broker)(effect)
