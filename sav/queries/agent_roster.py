"""The roster of agents."""

from sav.domain.errors import NotFound
from sav.models.tables import Agent
from sav.queries.pages import Page, PageRequest, page_by_key


def list_agents(*, page: PageRequest) -> Page[Agent]:
    """One page of the roster, by user id."""
    return page_by_key(Agent.select(), Agent.user_id, page)


def one_agent(user_id: int | None) -> Agent:
    """A member of the roster; raises `NotFound`."""
    agent: Agent | None = Agent.get_or_none(Agent.user_id == user_id)
    if agent is None:
        raise NotFound
    return agent
