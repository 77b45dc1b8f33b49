"""Whether RabbitMQ answers, for `/ready`: asked beside the request, which must not wait for it."""

import threading
import time

from sav.actors.amqp import connect
from sav.settings import Settings

FRESH_SECONDS = 5.0
"""How long an answer is believed."""
PATIENCE_SECONDS = 0.5
"""How long a request waits for a new answer; after that the old one counts."""


class BrokerUnavailable(Exception):
    """RabbitMQ did not answer when it was last asked."""


class BrokerProbe:
    """Remembers the last answer, and asks again when somebody wants to know and it is old."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._asking = threading.Lock()
        self._answered = False
        self._asked_at = float("-inf")

    def check(self) -> None:
        """Raises `BrokerUnavailable`; takes `PATIENCE_SECONDS` at most."""
        if time.monotonic() - self._asked_at > FRESH_SECONDS and self._asking.acquire(blocking=False):
            thread = threading.Thread(target=self._ask, name="broker-probe", daemon=True)
            thread.start()
            thread.join(PATIENCE_SECONDS)
        if not self._answered:
            raise BrokerUnavailable

    def _ask(self) -> None:
        try:
            connect(self._settings).close()
            self._answered = True
        except Exception:
            self._answered = False
        finally:
            self._asked_at = time.monotonic()
            self._asking.release()


class NoBroker:
    """The embedded broker is this process: whoever can ask is answered."""

    def check(self) -> None:
        """Never raises."""
