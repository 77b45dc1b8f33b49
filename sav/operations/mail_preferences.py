"""Who wants no more mails of a kind."""

from datetime import datetime

import peewee

from sav.domain.addresses import same_spelling
from sav.domain.notifications import NON_ESSENTIAL, MailKind
from sav.domain.signed_tokens import address_hash, unsubscribe_token
from sav.models.database import is_duplicate, retry_deadlocks, transaction
from sav.models.tables import MailPreference


@retry_deadlocks
def unsubscribe(*, hash_of_address: str, now: datetime) -> None:
    """Stops every mail to this address that is not essential; asking again changes nothing."""
    for kind in sorted(NON_ESSENTIAL):
        try:
            with transaction():
                MailPreference.insert(address_hash=hash_of_address, kind=kind, created_at=now).execute()
        except peewee.IntegrityError as error:
            if not is_duplicate(error):
                raise


def wants(address: str, kind: MailKind, *, secret: bytes) -> bool:
    """Whether mails of this kind may be sent to this address."""
    hashed = address_hash(same_spelling(address), secret=secret)
    query = MailPreference.select().where(MailPreference.address_hash == hashed, MailPreference.kind == kind)
    return kind not in NON_ESSENTIAL or not query.exists()


def unsubscribe_token_for(address: str, *, secret: bytes) -> str:
    """The token of the link that stops them."""
    return unsubscribe_token(secret=secret, address_hash=address_hash(same_spelling(address), secret=secret))
