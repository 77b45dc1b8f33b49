"""Foreign bytes become a known event, or poison with a reason."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from sav.domain.foreign_events import (
    ForeignFact,
    OrderIssue,
    Person,
    ProductIssue,
    UserRegistered,
    priority_of_severity,
)
from sav.domain.ticket_lifecycle import Priority

MAX_EVENT_BYTES = 262_144
"""The longest event that is looked into: the longest sensible one is a tenth of that."""

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
UserId = Annotated[int, Field(ge=1, lt=2**63)]
Reference = Annotated[int, Field(ge=0, lt=2**63)] | Annotated[Line, Field(max_length=64)]
Email = Annotated[str, StringConstraints(strip_whitespace=True, max_length=255, pattern=r"^[^@\s]+@[^@\s]+$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"\S")]


class Poison(Exception):
    """A message that nothing can be made of; `reason` is what an operator should read."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ForeignEvent:
    """A well-formed event of another service, and what its duplicates have in common."""

    dedup_key: str
    name: str
    request_id: str | None
    fact: ForeignFact
    text: str


class _Data(BaseModel):
    # Other services may say more than we need to know, but what we need has its type.
    model_config = ConfigDict(strict=True, extra="ignore")


class _AboutPerson(_Data):
    user_id: UserId | None = None
    email: Email | None = None

    @model_validator(mode="after")
    def _somebody(self) -> "_AboutPerson":
        if self.user_id is None and self.email is None:
            raise ValueError("user_id or email is required")
        return self

    @property
    def person(self) -> Person:
        return Person(user_id=self.user_id, email=self.email)


class _OrderIssue(_AboutPerson):
    order_id: Reference
    issue_type: Annotated[Line, Field(max_length=100)] | None = None
    subject: Annotated[Line, Field(max_length=255)] | None = None
    description: Text | None = None
    priority: Priority = "normal"

    def fact(self) -> OrderIssue:
        title = f"Order {self.order_id}: {self.issue_type or 'issue'}"
        return OrderIssue(
            person=self.person,
            order_id=self.order_id,
            issue_type=self.issue_type,
            subject=self.subject or title,
            description=self.description or self.subject or title,
            priority=self.priority,
        )


class _ProductIssue(_AboutPerson):
    product_id: Reference
    description: Text
    severity: Annotated[Line, Field(max_length=50)] | None = None

    def fact(self) -> ProductIssue:
        return ProductIssue(
            person=self.person,
            product_id=self.product_id,
            description=self.description,
            priority=priority_of_severity(self.severity),
        )


class _UserRegistered(_Data):
    user_id: UserId
    email: Email
    email_verified: bool = False
    name: Annotated[Line, Field(max_length=255)] | None = None

    def fact(self) -> UserRegistered:
        return UserRegistered(
            user_id=self.user_id, email=self.email, email_verified=self.email_verified, name=self.name
        )


DATA_OF: dict[str, type[_OrderIssue] | type[_ProductIssue] | type[_UserRegistered]] = {
    "order.issue": _OrderIssue,
    "product.issue_reported": _ProductIssue,
    "user.registered": _UserRegistered,
}
"""Every event that is consumed, and what its data must hold."""


class _Envelope(_Data):
    event: Annotated[Line, Field(max_length=64)]
    data: dict[str, Any]
    timestamp: str | None = None
    id: Annotated[Line, Field(max_length=255)] | None = None
    request_id: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,128}$")] | None = None


def parse_foreign_event(body: bytes, *, message_id: str | None) -> ForeignEvent:
    """The event in a message's body; raises `Poison`.

    Its duplicates share its `id`, else the AMQP `message_id`, else the hash of the envelope.
    """
    if len(body) > MAX_EVENT_BYTES:
        raise Poison(f"longer than {MAX_EVENT_BYTES} bytes: {len(body)}")
    try:
        content = orjson.loads(body)
    except (orjson.JSONDecodeError, RecursionError):
        raise Poison("not JSON in UTF-8") from None
    envelope = _validated(_Envelope, content, "no envelope")
    data_model = DATA_OF.get(envelope.event)
    if data_model is None:
        raise Poison(f"unknown event: {envelope.event}")
    data = _validated(data_model, envelope.data, "data")
    return ForeignEvent(
        dedup_key=_dedup_key(envelope, message_id, content),
        name=envelope.event,
        request_id=envelope.request_id,
        fact=data.fact(),
        text=body.decode(),
    )


def _validated(model: Any, content: Any, what: str) -> Any:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        # Names and reasons, never values: they may be somebody's.
        wrong = (f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['type']}" for item in error.errors())
        raise Poison(f"{what}: {'; '.join(wrong)}") from None


def _dedup_key(envelope: _Envelope, message_id: str | None, content: Any) -> str:
    if envelope.id is not None:
        identity = f"id\n{envelope.id}"
    elif message_id:
        identity = f"message_id\n{message_id}"
    else:
        identity = "envelope\n" + orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()
    return hashlib.sha256(identity.encode()).hexdigest()
