"""The body of a request, read with an end to our patience."""

import time

import falcon

from sav.domain.errors import SavError

SILENCE_SECONDS = 20
"""How long a client may send nothing at all."""
PIECE_BYTES = 64 * 1024
DISCARDED_BYTES = 128 * 1024 * 1024
DISCARDING_SECONDS = 60
"""How much of a body that is refused is read and thrown away, so that its sender gets to hear the answer."""
STRANGERS_DISCARDED_BYTES = 1024 * 1024
STRANGERS_DISCARDING_SECONDS = 5
"""The same for whoever has shown no token that is good: they get less of our time."""


class BodyTooSlow(SavError):
    """The body did not arrive in time; send it again over a better connection."""

    code = "upload_too_slow"


class HungUp(Exception):
    """The client has closed the connection in the middle of a body."""


class RequestBody:
    """What is left of a request's body, for so many seconds."""

    def __init__(self, req: falcon.Request, *, seconds: float) -> None:
        chunked = req.content_length is None and req.get_header("Transfer-Encoding") is not None
        # Without a length, the server ends the stream where the last chunk ends.
        self._stream = req.stream if chunked else req.bounded_stream
        self._give_up_at = time.monotonic() + seconds
        # gunicorn's: its own timeouts end no read.
        self._socket = req.env.get("gunicorn.socket")

    def read(self, size: int) -> bytes:
        """Up to so many bytes; raises `BodyTooSlow` or `HungUp`."""
        left = self._give_up_at - time.monotonic()
        if left <= 0:
            raise BodyTooSlow
        try:
            if self._socket is not None:
                self._socket.settimeout(min(left, SILENCE_SECONDS))
            piece: bytes = self._stream.read(size)
        except TimeoutError:
            raise BodyTooSlow from None
        except OSError:
            raise HungUp from None
        finally:
            if self._socket is not None:
                self._socket.settimeout(None)
        return piece


def discard(req: falcon.Request, *, of_stranger: bool) -> None:
    """Reads what is left of a body that is refused, within bounds: while bytes of theirs wait unread, a
    client that still sends would find the connection broken, and not our answer."""
    most = STRANGERS_DISCARDED_BYTES if of_stranger else DISCARDED_BYTES
    if (req.content_length or 0) > most:
        return
    body = RequestBody(req, seconds=STRANGERS_DISCARDING_SECONDS if of_stranger else DISCARDING_SECONDS)
    try:
        while most > 0 and (piece := body.read(PIECE_BYTES)):
            most -= len(piece)
    except (BodyTooSlow, HungUp):
        # Nobody is there any more to hear anything.
        return
