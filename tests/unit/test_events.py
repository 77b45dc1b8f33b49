"""The catalogue of facts, against the contract's list of events (§5)."""

import dataclasses
import inspect
import re
from typing import Any, get_type_hints

import pytest

from sav.domain import events, subscriptions
from sav.domain.effects import PUBLISH_EVENT
from sav.domain.events import CATALOGUE, INTERNAL, PUBLISHED, PUBLISHED_NAMES, Fact

# CONTRACT §5, copied by hand.
CONTRACT = {
    "ticket.created": ["subject", "priority", "category", "source"],
    "ticket.assigned": ["agent_id", "previous_agent_id", "assigned_by", "reason"],
    "ticket.resolved": ["agent_id", "resolution_seconds"],
    "ticket.closed": ["closed_by", "reason"],
    "ticket.message.new": ["message_id", "author_role"],
    "ticket.escalated": ["priority", "reason", "waited_seconds"],
    "ticket.satisfaction.received": ["rating"],
}
# What the contract names as free text: everything else is a number, an id or one of a few words.
FREE_TEXT = {
    ("ticket.created", "subject"),
    ("ticket.created", "category"),
    ("ticket.assigned", "reason"),
    ("ticket.closed", "reason"),
    ("ticket.escalated", "reason"),
}
SECRETIVE = re.compile(
    r"content|text|body|description|internal|note|comment|resolution$|token|secret|password|e?mail|contact|url"
)


def all_facts() -> list[type[Fact]]:
    classes = [member for _, member in inspect.getmembers(events, inspect.isclass)]
    return [member for member in classes if issubclass(member, Fact) and member is not Fact]


def field_names(fact: type[Fact]) -> list[str]:
    return [field.name for field in dataclasses.fields(fact)]


def test_the_published_events_are_the_contracts() -> None:
    assert {fact.name: field_names(fact) for fact in PUBLISHED} == CONTRACT
    assert set(CONTRACT) == PUBLISHED_NAMES


def test_every_fact_is_in_the_catalogue_once() -> None:
    facts = all_facts()
    assert len(facts) > len(PUBLISHED)
    assert set(facts) == set(CATALOGUE.values())
    assert len({fact.name for fact in facts}) == len(facts) == len(PUBLISHED) + len(INTERNAL)


def test_every_fact_has_its_line_of_subscriptions() -> None:
    assert set(subscriptions.SUBSCRIPTIONS) == set(CATALOGUE)
    for name, effects in subscriptions.SUBSCRIPTIONS.items():
        assert len(set(effects)) == len(effects), name


@pytest.mark.parametrize("fact", CATALOGUE.values(), ids=lambda fact: fact.name)
def test_a_fact_leaves_the_service_exactly_when_it_is_published(fact: type[Fact]) -> None:
    leaves = PUBLISH_EVENT in subscriptions.SUBSCRIPTIONS[fact.name]
    assert leaves == (fact in PUBLISHED)


@pytest.mark.parametrize("fact", CATALOGUE.values(), ids=lambda fact: fact.name)
def test_no_fact_has_a_field_for_what_must_not_be_told(fact: type[Fact]) -> None:
    assert [name for name in field_names(fact) if SECRETIVE.search(name)] == []


@pytest.mark.parametrize("fact", PUBLISHED, ids=lambda fact: fact.name)
def test_a_published_field_takes_free_text_only_where_the_contract_says_so(fact: type[Fact]) -> None:
    for name in field_names(fact):
        takes_text = str in _alternatives(get_type_hints(fact)[name])
        assert takes_text == ((fact.name, name) in FREE_TEXT), name


def test_facts_are_in_the_past_tense_of_a_ticket_and_explained() -> None:
    for fact in CATALOGUE.values():
        assert re.fullmatch(r"ticket(\.[a-z_]+)+", fact.name)
        assert (fact.__doc__ or "").endswith("."), fact


def test_a_fact_cannot_be_changed() -> None:
    fact = events.SatisfactionReceived(rating=5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        fact.rating = 1  # type: ignore[misc]


def _alternatives(hint: Any) -> set[Any]:
    """The plain types of a union; the words of a `Literal` are no free text."""
    return set(getattr(hint, "__args__", ())) | {hint}
