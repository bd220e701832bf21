"""One participant in a room, for `mixed.test.mjs`: lines on stdin are sent, messages are printed, the end of stdin leaves."""

import asyncio
import sys

from ropeway import connected


async def main(url):
    async with connected(url) as connection:
        print("here", flush=True)

        async def say():
            while line := await asyncio.to_thread(sys.stdin.readline):
                await connection.send(line.rstrip("\n"))
            await connection.close()

        saying = asyncio.create_task(say())
        async for message in connection:
            print(message, flush=True)
        await saying


asyncio.run(main(sys.argv[1]))
