"""A cable between a client and a server, for tests that pull it out."""

import asyncio
import socket
import threading
from collections.abc import Coroutine
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
        self._listener: socket.socket | None = None
        self._conversations: set[asyncio.Task[None]] = set()

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
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)

    async def _mend(self) -> None:
        self._flowing.set()
        self._listen()

    async def _black_hole(self) -> None:
        self._flowing.clear()
        self._listen()

    def _listen(self) -> None:
        # Plain sockets: asyncio's own server forgets a connection that it has accepted but not yet announced
        # when it is closed, and the client would wait for ever.
        if self._listener is None:
            self._listener = socket.create_server((self.host, self.port))
            self._listener.setblocking(False)
            self._loop.add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except OSError:  # it has gone again
            return
        client.setblocking(False)
        conversation = self._loop.create_task(self._converse(client))
        self._conversations.add(conversation)
        conversation.add_done_callback(self._conversations.discard)
        # Not in the conversation itself: cancelled before its first step, it would never come to that.
        conversation.add_done_callback(lambda _: client.close())

    async def _converse(self, client: socket.socket) -> None:
        await self._flowing.wait()
        with socket.socket() as server:
            server.setblocking(False)
            try:
                await self._loop.sock_connect(server, self._next_target())
                async with asyncio.TaskGroup() as directions:
                    directions.create_task(self._carry(client, server))
                    directions.create_task(self._carry(server, client))
            except* OSError:
                # One end is gone, or was never there: the other learns it from its connection being closed.
                pass

    def _next_target(self) -> tuple[str, int]:
        return self._target

    async def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        while chunk := await self._loop.sock_recv(source, CHUNK_BYTES):
            await self._flowing.wait()
            await self._loop.sock_sendall(sink, chunk)
        await self._flowing.wait()
        sink.shutdown(socket.SHUT_WR)
