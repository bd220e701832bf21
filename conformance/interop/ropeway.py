"""Runs the binary under test: `ropeway serve` in the background, `ropeway connect` to its end.

ROPEWAY names the binary. What it logs goes to the file that ROPEWAY_LOG names, else nowhere.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import typing

import websockets.asyncio.client

# On an idle machine nothing here takes a second. A test that reaches this limit has found a hang.
DEADLINE = 30


def binary() -> str:
    return os.environ.get("ROPEWAY", "ropeway")


def log() -> typing.IO[bytes]:
    return open(os.environ.get("ROPEWAY_LOG", os.devnull), "ab")


class Server:
    """`ropeway serve` on a free port, while a `with` block runs."""

    def __init__(self, *options: str):
        command = [binary(), "serve", "--listen", "127.0.0.1:0", *options]
        with log() as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        self.announcement = self.process.stdout.readline().decode()
        address = re.search(r"http://([^/\s]+)", self.announcement)
        if address is None:
            self.kill()
            raise AssertionError(f"`{' '.join(command)}` announced no URL but {self.announcement!r}")
        self.authority = address[1]
        self.host, port = self.authority.rsplit(":", 1)
        self.port = int(port)

    def ws(self, path: str) -> str:
        return f"ws://{self.authority}{path}"

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def wait(self) -> tuple[int, str]:
        """Waits for its end. Returns the exit status, and all that it printed after its URL."""
        rest, _ = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, rest.decode()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@contextlib.asynccontextmanager
async def connected(url: str, **options):
    """A connection of `websockets`. Everything done with it has to be done within the deadline."""
    async with asyncio.timeout(DEADLINE):
        async with websockets.asyncio.client.connect(url, proxy=None, max_size=None, **options) as connection:
            yield connection


class Ended(typing.NamedTuple):
    code: int
    stdout: str
    stderr: str


async def connect(url: str, stdin: str | None = None, *options: str) -> Ended:
    """Runs `ropeway connect` in a pipe: it reads `stdin` to the end. Without `stdin` its input stays open."""
    process = await asyncio.create_subprocess_exec(
        binary(), "connect", url, *options,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE):
            stdout, stderr = await process.communicate(None if stdin is None else stdin.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return Ended(process.returncode, stdout.decode(), stderr.decode())
