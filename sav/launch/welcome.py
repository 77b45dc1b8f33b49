"""What `sav up` says when it is ready: where it is, who one can be, and commands to copy and paste."""

import shlex
import time
from dataclasses import dataclass
from typing import Literal

from sav.http.authentication import mint_token
from sav.settings import Settings

TOKEN_HOURS = 12
SECONDS_AN_HOUR = 3600


@dataclass(frozen=True, slots=True)
class _Person:
    role: Literal["customer", "agent", "admin"]
    user_id: int
    email: str
    name: str


PEOPLE = (
    _Person("customer", 1, "camille@example.com", "Camille"),
    _Person("agent", 7, "alex@example.com", "Alex"),
    _Person("admin", 99, "dominique@example.com", "Dominique"),
)

_TOUR = """\
api() {{
  curl -sS -H 'Content-Type: application/json' -H "Authorization: Bearer $1" "{url}$2" "${{@:3}}"; echo
}}
TICKET=$(api $CUSTOMER /tickets -d '{{"subject": "My parcel never came", "description": "Since May."}}' \\
  | grep -o '"id": *[0-9]*' | head -1 | tr -dc 0-9); echo "ticket $TICKET"
api $AGENT /agents/me/availability -X PUT -d '{{"available": true}}'
api $AGENT "/tickets?status=open"
api $AGENT /tickets/$TICKET/assign -d '{{"agent_id": 7}}'
api $AGENT /tickets/$TICKET/messages -d '{{"content": "We are looking for it."}}'
api $AGENT /tickets/$TICKET/history
"""


def welcome(settings: Settings) -> str:
    """The whole text. Without `JWT_SECRET` it has neither tokens nor the tour that needs them."""
    url = own_url(settings)
    lines = [
        "",
        f"{settings.APP_NAME} is ready.",
        "",
        f"  Address        {url}",
        f"  Documentation  {url}/docs",
        f"  Data           {settings.SAV_DATA_DIR.absolute()}",
        "",
    ]
    if settings.JWT_SECRET is None:
        return "\n".join([*lines, f"Sign in with a token of {settings.jwks_url}. Stop with Ctrl-C.", ""])
    lines.append(f"Tokens, good for {TOKEN_HOURS} hours, to paste into another terminal (bash or zsh):")
    lines.append("")
    lines += [f"{person.role.upper()}={_token(settings, person)}" for person in PEOPLE]
    lines += ["", "A tour, to paste after them:", "", _TOUR.format(url=url).rstrip()]
    if settings.SAV_BROKER == "embedded":
        lines.append(f"tail {shlex.quote(str(settings.SAV_DATA_DIR.absolute() / 'events.jsonl'))}")
    return "\n".join([*lines, "", "Stop with Ctrl-C.", ""])


def own_url(settings: Settings) -> str:
    """Where this machine reaches the service."""
    host = own_address(settings)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.APP_PORT}"


def own_address(settings: Settings) -> str:
    """The address to reach ourselves at: "everywhere" is one to listen on, not one to call."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.APP_HOST, settings.APP_HOST)  # noqa: S104


def _token(settings: Settings, person: _Person) -> str:
    if settings.JWT_SECRET is None:
        raise ValueError("tokens are signed with JWT_SECRET")
    return mint_token(
        secret=settings.JWT_SECRET.get_secret_value(),
        user_id=person.user_id,
        role=person.role,
        email=person.email,
        name=person.name,
        lifetime_seconds=TOKEN_HOURS * SECONDS_AN_HOUR,
        now=time.time(),
        issuer=settings.JWT_ISSUER,
        audience=settings.JWT_AUDIENCE,
    )
