"""Where registered customers are written to, learned from whoever says so."""

from datetime import datetime

import peewee

from sav.domain.addresses import is_address
from sav.domain.email_addresses import mailbox
from sav.models.database import is_duplicate, retry_deadlocks, transaction
from sav.models.tables import Contact

NAME_LENGTH = 255


@retry_deadlocks
def remember_contact(*, user_id: int, email: str, name: str | None, now: datetime) -> None:
    """Notes an address that is certainly the user's; one that can be none is left out."""
    with transaction():
        learn_contact(user_id=user_id, email=email, name=name, now=now)


def learn_contact(
    *, user_id: int, email: str, name: str | None, now: datetime, only_if_unknown: bool = False
) -> None:
    """The same within the caller's transaction; `only_if_unknown` for an address that nobody has verified."""
    email, name = email.strip(), name and name[:NAME_LENGTH]
    if not is_address(email):
        return
    known: Contact | None = Contact.get_or_none(Contact.user_id == user_id)
    if known is None:
        _insert(user_id, email, name, now)
    elif not only_if_unknown and (known.email, known.name) != (email, name or known.name):
        fresh = {"email": email, "name": name or known.name, "updated_at": now}
        Contact.update(**fresh).where(Contact.user_id == user_id).execute()


def prove_contact(*, user_id: int, email: str, only_if_unknown: bool = False) -> None:
    """Notes, in the caller's transaction, that a known contact's address was verified to be theirs.

    It is theirs alone from now on: whoever had proven it before has it no more. With `only_if_unknown`, when
    nobody knows since when it is theirs, nothing changes that was noted of the address or of the contact.
    """
    proven = mailbox(email)
    noted = (Contact.user_id == user_id) & Contact.verified_email.is_null(False)
    if only_if_unknown and Contact.select().where((Contact.verified_email == proven) | noted).exists():
        return
    Contact.update(verified_email=None).where(
        Contact.verified_email == proven, Contact.user_id != user_id
    ).execute()
    Contact.update(verified_email=proven).where(Contact.user_id == user_id).execute()


def _insert(user_id: int, email: str, name: str | None, now: datetime) -> None:
    try:
        Contact.insert(user_id=user_id, email=email, name=name, updated_at=now).execute()
    except peewee.IntegrityError as error:
        # Another request of theirs has just said it.
        if not is_duplicate(error):
            raise
