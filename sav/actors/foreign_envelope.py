"""Foreign bytes become a known event, or poison with a reason."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from sav.domain.foreign_events import (
    ForeignFact,
    OrderIssue,
    Person,
    ProductIssue,
    UserDeleted,
    UserRegistered,
    priority_of_severity,
)
from sav.domain.meaning import Meaning
from sav.domain.occasion import is_sane_request_id
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
    model_config = ConfigDict(
        # What the validator below asks for, for those who only read the schema.
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
                for name in ("user_id", "email")
            ]
        }
    )

    user_id: Annotated[UserId | None, Meaning("The customer. Or give `email`.", example=1)] = None
    email: Annotated[
        Email | None, Meaning("Somebody without an account, or unknown here.", example="camille@example.com")
    ] = None

    @model_validator(mode="after")
    def _somebody(self) -> "_AboutPerson":
        if self.user_id is None and self.email is None:
            raise ValueError("user_id or email is required")
        return self

    @property
    def person(self) -> Person:
        return Person(user_id=self.user_id, email=self.email)


class _OrderIssue(_AboutPerson):
    """Something is wrong with an order: opens a ticket, or adds a message to the one about the same issue."""

    order_id: Annotated[Reference, Meaning("The order.", example=5012)]
    issue_type: Annotated[
        Annotated[Line, Field(max_length=100)] | None,
        Meaning("What is wrong. Another report of the same order and type finds its ticket.", example="lost"),
    ] = None
    subject: Annotated[
        Annotated[Line, Field(max_length=255)] | None,
        Meaning("The ticket's subject, else made from order and type.", example="My parcel never came"),
    ] = None
    description: Annotated[
        Text | None, Meaning("What the customer says, else the subject.", example="It was due in May.")
    ] = None
    priority: Annotated[Priority | None, Meaning("How urgent it is.", example="high")] = None

    def fact(self) -> OrderIssue:
        title = f"Order {self.order_id}: {self.issue_type or 'issue'}"
        return OrderIssue(
            person=self.person,
            order_id=self.order_id,
            issue_type=self.issue_type,
            subject=self.subject or title,
            description=self.description or self.subject or title,
            priority=self.priority or "normal",
        )


class _ProductIssue(_AboutPerson):
    """Something is wrong with a product: opens a ticket."""

    product_id: Annotated[Reference, Meaning("The product.", example="SKU-77")]
    description: Annotated[Text, Meaning("What the customer says.", example="The handle is broken.")]
    severity: Annotated[
        Annotated[Line, Field(max_length=50)] | None,
        Meaning(
            "`critical` makes the ticket urgent, `major` high, `minor` low; others normal.", example="major"
        ),
    ] = None

    def fact(self) -> ProductIssue:
        return ProductIssue(
            person=self.person,
            product_id=self.product_id,
            description=self.description,
            priority=priority_of_severity(self.severity),
        )


class _UserRegistered(_Data):
    """Somebody has an account now: gets the guest tickets of their e-mail address, if it is verified."""

    user_id: Annotated[UserId, Meaning("The new user.", example=1)]
    email: Annotated[Email, Meaning("Their e-mail address.", example="camille@example.com")]
    email_verified: Annotated[
        bool | None,
        Meaning("Whether they have shown that it is theirs; else nothing is linked.", example=True),
    ] = None
    name: Annotated[
        Annotated[Line, Field(max_length=255)] | None, Meaning("Their name.", example="Camille")
    ] = None

    def fact(self) -> UserRegistered:
        return UserRegistered(
            user_id=self.user_id, email=self.email, email_verified=self.email_verified is True, name=self.name
        )


class _UserDeleted(_Data):
    """Somebody's account is gone: all that is known of them here is erased."""

    user_id: Annotated[UserId, Meaning("The user who is gone.", example=1)]
    email: Annotated[
        Email | None,
        Meaning(
            "Their e-mail address, when what was written under it without an account must go, too.",
            example="camille@example.com",
        ),
    ] = None
    email_verified: Annotated[
        bool | None,
        Meaning("`false` when nobody has shown that it is theirs; then it is left alone.", example=True),
    ] = None

    def fact(self) -> UserDeleted:
        return UserDeleted(user_id=self.user_id, email=None if self.email_verified is False else self.email)


DATA_OF: dict[str, type[_OrderIssue] | type[_ProductIssue] | type[_UserRegistered] | type[_UserDeleted]] = {
    "order.issue": _OrderIssue,
    "product.issue_reported": _ProductIssue,
    "user.registered": _UserRegistered,
    "user.deleted": _UserDeleted,
}
"""Every event that is consumed, and what its data must hold."""


def _sane_request_id(given: object) -> object:
    # It helps whoever reads the logs; an event is not refused for it.
    return given if is_sane_request_id(given) else None


class ForeignEnvelope(_Data):
    """What other services wrap their events in."""

    event: Annotated[Annotated[Line, Field(max_length=64)], Meaning("The event's name.", example=None)]
    data: Annotated[dict[str, Any], Meaning("What happened.", example=None)]
    timestamp: Annotated[
        str | None, Meaning("When it happened, RFC 3339.", example="2026-01-15T09:30:00Z")
    ] = None
    id: Annotated[
        Annotated[Line, Field(max_length=255)] | int | None,
        Meaning(
            "The same for every copy of the event, and for no other.",
            example="0d4b3c1e-6f0a-4f1b-9a75-1a8e6a1c2f10",
        ),
    ] = None
    request_id: Annotated[
        Annotated[str | None, BeforeValidator(_sane_request_id)],
        Meaning("The request that caused it, to follow it by.", example="shop-7f3a"),
    ] = None


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
    envelope = _validated(ForeignEnvelope, content, "no envelope")
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


def _dedup_key(envelope: ForeignEnvelope, message_id: str | None, content: Any) -> str:
    if envelope.id is not None:
        identity = f"id\n{envelope.id}"
    elif message_id:
        identity = f"message_id\n{message_id}"
    else:
        identity = "envelope\n" + orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()
    return hashlib.sha256(identity.encode()).hexdigest()
