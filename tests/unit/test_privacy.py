"""Whether a text or a document is about a person."""

from typing import Any

import pytest

from sav.domain.privacy import Subject, letter_concerns, text_concerns

LEA = Subject.of(user_id=42, email="lea@x.example")


@pytest.mark.parametrize(
    "text",
    ["lea@x.example", "Léa <LEA@x.example>.", "mailto:lea@x.example", '{"user_id": 42', "userId=42,"],
)
def test_a_text_that_names_them(text: str) -> None:
    assert text_concerns(text, LEA)


@pytest.mark.parametrize(
    "text",
    ["thelea@x.example", "x.lea@x.example", "lea@x.example.org", "lea@x.examples", "user_id 421", "42", ""],
)
def test_a_text_that_names_somebody_else(text: str) -> None:
    assert not text_concerns(text, LEA)


@pytest.mark.parametrize(
    "content",
    [
        {"data": {"userId": 42}},
        {"data": {"user_id": "42"}},
        {"data": {"email": "Léa <lea@x.example>"}},
        {"data": [{"description": "Write to lea@x.example!"}]},
        {"data": '{"user_id": 42}'},
        "lea@x.example",
    ],
)
def test_a_letter_that_nothing_could_be_made_of_names_them(content: Any) -> None:
    assert letter_concerns(content, LEA)


@pytest.mark.parametrize("content", [{"order_id": 42}, {"user_id": 421}, {"a": [None, True, 42]}, None])
def test_a_letter_about_somebody_else(content: Any) -> None:
    assert not letter_concerns(content, LEA)
