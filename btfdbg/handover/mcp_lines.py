"""The Model Context Protocol's standard input: each line that is no message has its answer.

Owns what happens to a client's nonsense, and at the input's end. The SDK drops nonsense: a request
with an id and a wrong version, or parameters that are a list, is never answered, and its client
waits for ever. At the end of the input it leaves what it was about to answer: of requests that a
script pipes in, the last ones. A line has a bound here, too; the SDK takes one of any length.

Facts: JSON-RPC 2.0, section 5.1 (codes; an id that is not known is null); the SDK's
``mcp.server.stdio`` (2.3): a line is a message.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mcp.server.mcpserver import MCPServer

MAX_LINE = 1 << 20
"""Bytes of a line: a request is a path, a name and some numbers."""
_LAST_ANSWERS = 60
"""Seconds that an answer may take after the input's end."""
_PARSE_ERROR = -32700
_INVALID_REQUEST = -32600


def refusal(line: bytes) -> tuple[int, str, str | int | None]:
    """
    Why a line is no message of JSON-RPC: code, words, and the id to answer.

    >>> refusal(b"hello")
    (-32700, 'no JSON', None)
    >>> refusal(b'{"jsonrpc": "1.0", "id": 7, "method": "ping"}')
    (-32600, 'no request of JSON-RPC 2.0', 7)
    """
    if len(line) >= MAX_LINE and not line.endswith(b"\n"):
        return _INVALID_REQUEST, f"a line of more than {MAX_LINE} bytes", None
    try:
        said: Any = json.loads(line)
    except (ValueError, RecursionError):
        return _PARSE_ERROR, "no JSON", None
    name = said.get("id") if isinstance(said, dict) else None
    known = isinstance(name, str) or (isinstance(name, int) and not isinstance(name, bool))
    return _INVALID_REQUEST, "no request of JSON-RPC 2.0", name if known else None


class _Lines:
    """Lines of a client; the last one stays at hand."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.last = b""

    def _next(self) -> bytes:
        line = self._stream.readline(MAX_LINE)
        rest = line
        while len(rest) >= MAX_LINE and not rest.endswith(b"\n"):  # what is too long is not kept
            rest = self._stream.readline(MAX_LINE)
        return line

    async def __aiter__(self) -> AsyncIterator[str]:
        from anyio import to_thread

        while True:
            self.last = await to_thread.run_sync(self._next, abandon_on_cancel=True)
            if not self.last:
                return
            if self.last.strip():
                yield self.last.decode("utf-8", errors="replace")


class _Answered:
    """
    The SDK's streams, both as one: what is no message is answered here, and the input ends when
    all that was asked has its answer.
    """

    def __init__(self, messages: Any, answers: Any, lines: _Lines) -> None:
        self._messages, self._answers, self._lines = messages, answers, lines
        self._asked: set[str | int] = set()

    async def __aenter__(self) -> _Answered:
        return self

    async def __aexit__(self, *what: Any) -> None:
        await self._messages.aclose()
        await self._answers.aclose()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._messages, name)

    def __aiter__(self) -> _Answered:
        return self

    async def __anext__(self) -> Any:
        import anyio

        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def receive(self) -> Any:
        import anyio
        from mcp.shared.message import SessionMessage
        from mcp.types import ErrorData, JSONRPCError

        while True:
            try:
                got = await self._messages.receive()
            except anyio.EndOfStream:
                with anyio.move_on_after(_LAST_ANSWERS):
                    while self._asked:
                        await anyio.sleep(0.01)
                raise
            if not isinstance(got, Exception):
                self._note(got.message)
                return got
            code, words, name = refusal(self._lines.last)
            error = JSONRPCError(jsonrpc="2.0", id=name, error=ErrorData(code=code, message=words))
            await self._answers.send(SessionMessage(error))

    def _note(self, message: Any) -> None:
        name = getattr(message, "id", None)
        method = getattr(message, "method", None)
        if method == "notifications/cancelled":  # of which there is no answer
            self._asked.discard((message.params or {}).get("requestId"))
        elif method is not None and name is not None:
            self._asked.add(name)

    async def send(self, answer: Any) -> None:
        await self._answers.send(answer)
        self._asked.discard(getattr(answer.message, "id", None))


def run(server: MCPServer) -> None:
    """Serve on standard input and output until the input ends."""
    import anyio

    lowlevel = getattr(server, "_lowlevel_server", None)
    if lowlevel is None:  # another SDK: as it does it by itself
        server.run("stdio")
        return
    anyio.run(_serve, lowlevel)


async def _serve(lowlevel: Any) -> None:
    from mcp.server.stdio import stdio_server

    lines = _Lines(_own_input())
    stdin: Any = lines  # what it needs of a file: lines, one by one
    async with stdio_server(stdin=stdin) as (messages, answers):
        both = _Answered(messages, answers, lines)
        await lowlevel.run(both, both, lowlevel.create_initialization_options())


def _own_input() -> BinaryIO:
    """Standard input for ourselves; what runs in a tool finds an empty one, as in the SDK."""
    stream = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)
    return stream
