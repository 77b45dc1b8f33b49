"""A cable between a client and a server, for tests that pull it out."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from functools import partial
from types import TracebackType
from typing import Self

from tests.servers.ports import LOOPBACK, free_port

CHUNK_BYTES = 65_536
COMMAND_TIMEOUT_SECONDS = 5.0


class Cable:
    """A TCP proxy: give the client `cable.host` and `cable.port` in place of the server's own.

    It carries everything until told otherwise, and the port stays the same whatever happens to it.
    """

    def __init__(self, target_host: str, target_port: int) -> None:
        self.host = LOOPBACK
        self.port = free_port()
        self._target = (target_host, target_port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"cable-{self.port}", daemon=True)
        self._flowing = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()
        self._cuts = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.mend()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Drop every connection and refuse new ones, as if the server's process had died."""
        self._do(self._cut())

    def mend(self) -> None:
        """Carry again. What a black hole held back arrives now; connections that were cut stay cut."""
        self._do(self._mend())

    def black_hole(self) -> None:
        """Keep connections, accept new ones, and forward nothing: the silence of a lost network."""
        self._do(self._black_hole())

    def _do(self, command: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(command, self._loop).result(COMMAND_TIMEOUT_SECONDS)

    async def _cut(self) -> None:
        self._cuts += 1
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)

    async def _mend(self) -> None:
        self._flowing.set()
        await self._listen()

    async def _black_hole(self) -> None:
        self._flowing.clear()
        await self._listen()

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(
                partial(self._accept, self._cuts), self.host, self.port
            )

    def _accept(self, cuts: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if cuts != self._cuts:  # the kernel had accepted it before the cut, and we hear of it only now
            writer.transport.abort()
            return
        conversation = self._loop.create_task(self._converse(reader, writer))
        self._conversations.add(conversation)

        # Not in the conversation itself: cancelled before its first step, it would never come to that.
        def hang_up(ended: asyncio.Task[None]) -> None:
            self._conversations.discard(ended)
            writer.transport.abort()

        conversation.add_done_callback(hang_up)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        # An end that is gone, or was never there, is told to the other by the closing of its connection.
        with contextlib.suppress(OSError):
            server_reader, server_writer = await asyncio.open_connection(*self._target)
            try:
                await asyncio.gather(self._carry(reader, server_writer), self._carry(server_reader, writer))
            finally:
                server_writer.transport.abort()

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while chunk := await source.read(CHUNK_BYTES):
            await self._flowing.wait()
            sink.write(chunk)
            await sink.drain()
        await self._flowing.wait()
        sink.write_eof()
