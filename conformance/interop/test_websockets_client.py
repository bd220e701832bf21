"""The PyPI package `websockets` as a client of `ropeway serve`."""

import asyncio
import os
import unittest

from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus

from ropeway import Server, connected

MIB = 1 << 20


class Echo(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Server())

    def url(self, path="/echo"):
        return self.server.ws(path)

    async def echoes(self, connection, message):
        await connection.send(message)
        self.assertEqual(await connection.recv(), message)

    async def test_text_and_binary_come_back_as_what_they_were(self):
        for path in ("/", "/echo"):
            async with connected(self.url(path)) as connection:
                for message in ("hello", "grüß Gott, 🚡", b"\x00\xff\x80", "", b""):
                    await self.echoes(connection, message)

    async def test_messages_around_the_borders_of_the_length_encodings_come_back(self):
        async with connected(self.url()) as connection:
            for length in (125, 126, 127, 65535, 65536, 65537, MIB):
                await self.echoes(connection, os.urandom(length))

    async def test_a_fragmented_message_comes_back_whole(self):
        async with connected(self.url()) as connection:
            await connection.send(["eine ", "S", "eilbahn", "", " 🚡"])
            self.assertEqual(await connection.recv(), "eine Seilbahn 🚡")
            await connection.send([b"a" * 70_000, b"", b"b" * 70_000])
            self.assertEqual(await connection.recv(), b"a" * 70_000 + b"b" * 70_000)

    async def test_a_ping_is_answered_with_its_payload(self):
        async with connected(self.url()) as connection:
            for payload in (b"", b"are you there?", b"x" * 125):
                await (await connection.ping(payload))

    async def test_a_pong_that_answers_nothing_is_ignored(self):
        async with connected(self.url()) as connection:
            await connection.pong(b"heartbeat")
            await self.echoes(connection, "still here")

    async def test_a_burst_of_a_thousand_messages_comes_back_in_order(self):
        messages = [f"message {number}" for number in range(1000)]
        async with connected(self.url()) as connection:
            async def send():
                for message in messages:
                    await connection.send(message)
            sending = asyncio.create_task(send())
            self.assertEqual([await connection.recv() for _ in messages], messages)
            await sending

    async def test_the_close_code_comes_back(self):
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
            async with connected(self.url()) as connection:
                await connection.close(code, "bis später")
                self.assertEqual(connection.close_code, code)

    async def test_of_offered_subprotocols_none_is_chosen(self):
        async with connected(self.url(), subprotocols=["chat", "superchat"]) as connection:
            self.assertIsNone(connection.subprotocol)

    async def test_text_that_is_no_utf_8_is_closed_with_1007(self):
        with self.assertRaises(ConnectionClosedError) as closed:
            async with connected(self.url()) as connection:
                await connection.send(b"caf\xe9", text=True)
                await connection.recv()
        self.assertEqual(closed.exception.rcvd.code, 1007)
        self.assertTrue(closed.exception.rcvd.reason, "the reason says what was wrong")

    async def test_a_browser_of_another_site_is_refused(self):
        same = f"http://{self.server.authority}"
        async with connected(self.url(), origin=same) as connection:
            await self.echoes(connection, "same origin")
        with self.assertRaises(InvalidStatus) as refused:
            async with connected(self.url(), origin="https://evil.example"):
                pass
        self.assertEqual(refused.exception.response.status_code, 403)


class Rooms(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Server())

    async def test_a_broadcast_reaches_everyone_and_the_sender(self):
        url = self.server.ws("/broadcast")
        async with connected(url) as one, connected(url) as two, connected(url) as three:
            for sender, message in ((one, "to all"), (two, b"\x00\x01"), (three, "x" * 100_000)):
                await sender.send(message)
                for receiver in (one, two, three):
                    self.assertEqual(await receiver.recv(), message)

    async def test_one_that_left_is_no_hindrance_to_the_others(self):
        url = self.server.ws("/broadcast")
        async with connected(url) as stays:
            async with connected(url) as leaves:
                await leaves.send("hello")
                self.assertEqual(await stays.recv(), "hello")
            await stays.send("bye")
            self.assertEqual(await stays.recv(), "bye")


    async def test_in_the_chat_each_message_has_a_name(self):
        url = self.server.ws("/chat")
        async with connected(f"{url}?name=Heidi") as heidi, connected(f"{url}?name=Peter") as peter:
            await heidi.send("Good morning")
            await peter.send("Grüezi 🚡")
            for connection in (heidi, peter):
                said = set()
                while said != {"Heidi: Good morning", "Peter: Grüezi 🚡"}:
                    message = await connection.recv()
                    if not message.startswith("* "):  # who came and went
                        said.add(message)


class Compressed(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.off = cls.enterClassContext(Server())
        cls.takeover = cls.enterClassContext(Server("--deflate", "takeover"))

    async def extensions_of_an_echo(self, url, **options):
        """The extensions that were agreed on, after messages of several kinds came back."""
        async with connected(url, **options) as connection:
            for _ in range(3):
                for message in ("ropeway " * 5000, os.urandom(100_000), "", "x", b"\x00" * MIB):
                    await connection.send(message)
                    self.assertEqual(await connection.recv(), message)
            await connection.send(["ein", "zwei", "drei" * 1000])
            self.assertEqual(await connection.recv(), "einzwei" + "drei" * 1000)
            return connection.response.headers.get("Sec-WebSocket-Extensions", "")

    async def test_compression_is_off_unless_asked_for(self):
        self.assertEqual(await self.extensions_of_an_echo(self.off.ws("/echo")), "")

    async def test_on_deflate_no_context_is_taken_over(self):
        extensions = await self.extensions_of_an_echo(self.off.ws("/deflate"))
        self.assertIn("permessage-deflate", extensions)
        self.assertIn("server_no_context_takeover", extensions)
        self.assertIn("client_no_context_takeover", extensions)

    async def test_with_takeover_the_context_is_kept(self):
        extensions = await self.extensions_of_an_echo(self.takeover.ws("/echo"))
        self.assertIn("permessage-deflate", extensions)
        self.assertNotIn("no_context_takeover", extensions)

    async def test_a_client_without_compression_gets_none(self):
        for url in (self.off.ws("/deflate"), self.takeover.ws("/echo")):
            self.assertEqual(await self.extensions_of_an_echo(url, compression=None), "")


class Shutdown(unittest.IsolatedAsyncioTestCase):
    async def test_ctrl_c_closes_every_connection_with_1001_and_ends_with_0(self):
        with Server() as server:
            async with connected(server.ws("/echo")) as one, connected(server.ws("/broadcast")) as two:
                await one.send("last words")
                self.assertEqual(await one.recv(), "last words")
                server.interrupt()
                for connection in (one, two):
                    with self.assertRaises(ConnectionClosedOK) as closed:
                        await connection.recv()
                    self.assertEqual(closed.exception.rcvd.code, 1001)
            self.assertEqual(server.wait(), (0, ""), "it ends well, and prints nothing but the line with its URL")
