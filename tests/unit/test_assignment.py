"""Whom the desk chooses: a rule without exceptions, whoever is on the roster."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sav.domain.assignment import (
    Candidate,
    Choice,
    choose_agent,
    exclusion,
    has_room,
)

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
CATEGORIES = ("billing", "delivery", "product")


def agent(agent_id: int, load: int = 0, **fields: object) -> Candidate:
    usual = Candidate(
        agent_id=agent_id,
        active=True,
        available=True,
        capacity=4,
        load=load,
        categories=frozenset(),
        last_assigned_at=None,
    )
    return replace(usual, **fields)  # type: ignore[arg-type]


CANDIDATE = st.builds(
    Candidate,
    agent_id=st.integers(1, 50),
    active=st.booleans() | st.just(True),
    available=st.booleans() | st.just(True),
    capacity=st.integers(0, 5),
    load=st.integers(0, 6),
    categories=st.frozensets(st.sampled_from(CATEGORIES), max_size=2),
    last_assigned_at=st.none() | st.integers(0, 3).map(lambda hours: NOON + timedelta(hours=hours)),
)
ROSTER = st.lists(CANDIDATE, max_size=8, unique_by=lambda candidate: candidate.agent_id)
CATEGORY = st.none() | st.sampled_from(CATEGORIES)


def test_the_least_loaded_gets_it() -> None:
    choice = choose_agent([agent(1, 2), agent(2, 1), agent(3, 3)], category=None)
    assert choice == Choice(agent_id=2, reason="least_loaded", loads={1: 2, 2: 1, 3: 3}, excluded={})
    assert list(choice.loads) == [2, 1, 3], "in their turn"


def test_of_equals_whoever_has_waited_longest_and_first_who_never_had_any() -> None:
    early, late = agent(1, last_assigned_at=NOON), agent(2, last_assigned_at=NOON + timedelta(hours=1))
    never, lower_id = agent(9), agent(8)
    assert choose_agent([late, early], category=None).agent_id == 1
    assert choose_agent([late, early, never], category=None).agent_id == 9
    assert choose_agent([late, early, never, lower_id], category=None).agent_id == 8
    assert choose_agent([late, early], category=None).reason == "least_recently_assigned"


def test_it_says_why_not_the_others() -> None:
    roster = [
        agent(1, active=False, available=False, load=9),
        agent(2, available=False, load=9),
        agent(3, 4, categories=frozenset({"billing"})),
        agent(4, categories=frozenset({"billing"})),
        agent(5, 3),
        agent(6, capacity=0),
    ]
    choice = choose_agent(roster, category="delivery")
    assert choice.agent_id == 5
    assert choice.loads == {5: 3}
    assert choice.excluded == {
        1: "inactive",
        2: "unavailable",
        3: "full",
        4: "other_categories",
        6: "full",
    }


def test_a_ticket_without_a_category_is_not_for_those_who_take_only_some() -> None:
    picky = agent(1, categories=frozenset({"billing"}))
    assert choose_agent([picky], category=None).agent_id is None
    assert choose_agent([picky], category="billing").agent_id == 1
    assert choose_agent([], category="billing") == Choice(agent_id=None, reason=None, loads={}, excluded={})


@given(roster=ROSTER, category=CATEGORY)
def test_whoever_is_chosen_can_take_it_and_nobody_would_have_been_better(
    roster: list[Candidate], category: str | None
) -> None:
    choice = choose_agent(roster, category=category)
    assert choice.loads.keys() | choice.excluded.keys() == {candidate.agent_id for candidate in roster}
    assert not choice.loads.keys() & choice.excluded.keys()
    by_id = {candidate.agent_id: candidate for candidate in roster}
    if choice.agent_id is None:
        assert not choice.loads
        return
    chosen = by_id[choice.agent_id]
    assert chosen.active
    assert chosen.available
    assert chosen.load < chosen.capacity
    assert not chosen.categories or category in chosen.categories
    assert chosen.load == min(choice.loads.values())
    for agent_id, load in choice.loads.items():
        other = by_id[agent_id]
        if load == chosen.load and chosen.last_assigned_at is not None:
            assert other.last_assigned_at is not None
            assert (other.last_assigned_at, agent_id) >= (chosen.last_assigned_at, chosen.agent_id)


@given(roster=ROSTER, category=CATEGORY)
def test_the_order_of_the_roster_changes_nothing(roster: list[Candidate], category: str | None) -> None:
    assert choose_agent(roster, category=category) == choose_agent(roster[::-1], category=category)


@given(roster=ROSTER, tickets=st.lists(CATEGORY, max_size=30))
def test_one_after_the_other_nobody_is_overfilled_and_equals_stay_level(
    roster: list[Candidate], tickets: list[str | None]
) -> None:
    before = {candidate.agent_id: candidate for candidate in roster}
    now = dict(before)
    for number, category in enumerate(tickets):
        chosen = choose_agent(now.values(), category=category).agent_id
        if chosen is not None:
            taken_at = NOON + timedelta(days=1, seconds=number)
            now[chosen] = replace(now[chosen], load=now[chosen].load + 1, last_assigned_at=taken_at)
        else:
            assert all(exclusion(candidate, category=category) for candidate in now.values())
    for agent_id, candidate in now.items():
        assert candidate.load <= max(before[agent_id].load, candidate.capacity)
    # Those who take everything and began alike differ by one at most, until they are full.
    level = [c for c in now.values() if has_room(c) and not c.categories and before[c.agent_id].load == 0]
    loads = sorted(candidate.load for candidate in level)
    assert all(late - early <= 1 for early, late in pairwise(loads))
