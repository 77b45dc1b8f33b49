"""The languages that the desk writes to people in."""

from typing import Literal, get_args

Locale = Literal["fr", "en"]
LOCALES: tuple[Locale, ...] = get_args(Locale)
