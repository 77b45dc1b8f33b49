"""The languages that the desk writes to people in."""

from typing import Literal

Locale = Literal["fr", "en"]
