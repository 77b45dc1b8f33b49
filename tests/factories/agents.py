"""Members of the roster."""

from typing import Any

from sav.models.tables import Agent
from tests.factories.tickets import WRITTEN_AT


def make_agent(user_id: int = 7, **fields: Any) -> Agent:
    """A stored agent: active, not available, with room for twenty tickets."""
    return Agent.create(
        **{
            "user_id": user_id,
            "name": f"Agent {user_id}",
            "email": f"agent-{user_id}@example.com",
            "capacity": 20,
            "categories": [],
            "created_at": WRITTEN_AT,
            "updated_at": WRITTEN_AT,
            **fields,
        }
    )
