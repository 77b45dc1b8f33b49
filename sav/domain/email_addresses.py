"""When two e-mail addresses are one mailbox."""

import string

_SMALL = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def mailbox(email: str) -> str:
    """The address to compare by: without space around it, in small letters.

    Letters beyond ASCII are left alone. To a database josé@… may be jose@…, and to Unicode the Kelvin sign is
    a K; to a mail server they are somebody else, who must not be given another one's tickets.
    """
    return email.strip().translate(_SMALL)
