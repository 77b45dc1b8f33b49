"""What people call their files, made harmless: one name to show, and one for the key in the store."""

import re
import unicodedata

LONGEST_NAME = 255
"""Characters of the name that is shown."""
LONGEST_KEY_NAME = 100
"""Characters of the name that is part of a key."""
LONGEST_EXTENSION = 20
NAMELESS = "file"

# Control characters, line breaks, and what changes the direction or shape of the text around it.
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_UNFIT_FOR_KEYS = re.compile(r"[^A-Za-z0-9._-]+")


def shown_name(name: str) -> str:
    """The name without any path, without characters that nobody sees, and cut where the extension stays."""
    last = re.split(r"[/\\]", name)[-1]
    seen = "".join(c for c in last if unicodedata.category(c) not in _UNSEEN)
    words = " ".join(seen.split())
    return _cut(words if words.strip(". ") else NAMELESS, LONGEST_NAME)


def key_name(name: str) -> str:
    """The name in letters, digits, `.`, `_` and `-`, which begins with neither of the signs."""
    plain = unicodedata.normalize("NFKD", shown_name(name)).encode("ascii", "ignore").decode()
    # No two dots in a row: a key must not even look as if it led out of its place.
    fit = re.sub(r"\.{2,}", ".", _UNFIT_FOR_KEYS.sub("_", plain)).strip("._-")
    stem, dot, extension = fit.rpartition(".")
    if not dot and plain.strip("_-").startswith("."):
        # Nothing but its extension could be written with these letters.
        return _cut(f"{NAMELESS}.{fit}" if fit else NAMELESS, LONGEST_KEY_NAME)
    return _cut(f"{stem.rstrip('._-') or NAMELESS}.{extension}" if dot else fit or NAMELESS, LONGEST_KEY_NAME)


def object_key(*, ticket_id: int, attachment_id: int, file_name: str) -> str:
    """Where a file is kept in the store."""
    return f"tickets/{ticket_id}/{attachment_id}/{key_name(file_name)}"


def _cut(name: str, longest: int) -> str:
    if len(name) <= longest:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem or len(extension) > LONGEST_EXTENSION:
        return name[:longest]
    return stem[: longest - len(extension) - 1] + dot + extension
