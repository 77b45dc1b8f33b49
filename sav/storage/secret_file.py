"""A secret that is kept in a file: made once, so that what was signed with it outlives a restart."""

import os
import secrets
from pathlib import Path

SECRET_BYTES = 48


def kept_secret(file: Path) -> str:
    """The secret in this file, which is made when it is missing; its directory must be there."""
    if not file.exists():
        # Whole or not at all; and of two who make one at the same moment, both use the first one's.
        draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(SECRET_BYTES))
        try:
            os.link(draft, file)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return file.read_text().strip()
