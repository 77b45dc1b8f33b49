"""The root of every error a caller can provoke; each rule defines its own beside itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: `field` is its path in the body or query (`tags.3`), `code` is stable."""

    field: str
    code: str
    message: str


class SavError(Exception):
    """Something went wrong that the caller should hear about."""

    code: ClassVar[str] = "error"

    def __init__(self, detail: str | None = None, *, fields: Sequence[FieldError] = ()) -> None:
        super().__init__(detail or self.public_sentence())
        self.detail = detail or self.public_sentence()
        self.fields = tuple(fields)

    @classmethod
    def public_sentence(cls) -> str:
        """The first sentence of the class's docstring: what the caller is told."""
        return (cls.__doc__ or "").strip().split("\n", 1)[0]


class NotFound(SavError):
    """There is nothing here, or nothing that you may see."""

    code = "not_found"


class Forbidden(SavError):
    """Your role may not do this."""

    code = "forbidden"


class StaleVersion(SavError):
    """The resource has changed since you read it; read it again and repeat your change."""

    code = "stale_version"

    def __init__(self, *, current_revision: str) -> None:
        super().__init__()
        self.current_revision = current_revision


class Conflict(SavError):
    """The resource's state does not allow this."""

    code = "conflict"


class Invalid(SavError):
    """Some fields are not valid; `errors` names each of them."""

    code = "invalid"
