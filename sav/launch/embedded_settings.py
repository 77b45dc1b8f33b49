"""The settings of `sav up`: those of the environment, and defaults that need no other server.

The defaults apply only where the environment says nothing. Whoever names a database, a broker, an S3 store
or an authentication service gets it, also from `sav up`.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from sav.launch.cannot_start import CannotStart
from sav.settings import Settings, load_settings
from sav.storage.secret_file import kept_secret

# The default, and the variables any of which says that it is not wanted.
_DEFAULTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("DB_CONNECTION", "sqlite", ("DB_CONNECTION", "DB_HOST")),
    ("SAV_BROKER", "embedded", ("SAV_BROKER", "RABBITMQ_HOST")),
    ("SAV_STORAGE", "disk", ("SAV_STORAGE", "MINIO_ENDPOINT")),
)
_KEY_SOURCES = ("JWT_SECRET", "JWT_JWKS_URL", "AUTH_SERVICE_URL")

SECRET_FILE = "jwt_secret"  # noqa: S105 - a file's name


def embedded_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Reads the environment as `sav up` does; makes `SAV_DATA_DIR/jwt_secret` when a secret is needed.

    Raises `InvalidSettings` with every wrong variable at once, before anything is written, or `CannotStart`.
    """
    said = {name.upper() for name, value in environment.items() if value}
    defaults = {name: value for name, value, unless in _DEFAULTS if said.isdisjoint(unless)}
    settings = load_settings(**defaults)
    if said.isdisjoint(_KEY_SOURCES):
        return load_settings(**defaults, JWT_SECRET=_kept_secret(settings.SAV_DATA_DIR))
    return settings


def make_data_directory(directory: Path) -> None:
    """Makes `SAV_DATA_DIR` when it is missing; raises `CannotStart` when nothing can be written there."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if os.access(directory, os.W_OK | os.X_OK):
            return
        problem = "no permission to write there"
    except OSError as error:
        problem = error.strerror or str(error)
    raise CannotStart(
        f"The data directory {directory} cannot be used: {problem}. Choose another one with SAV_DATA_DIR."
    )


def _kept_secret(directory: Path) -> str:
    """The secret of this data directory: made once, so that tokens outlive a restart."""
    file = directory / SECRET_FILE
    if not file.exists():
        make_data_directory(directory)
    return kept_secret(file)
