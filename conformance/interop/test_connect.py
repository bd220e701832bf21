"""`ropeway connect` as a filter in a pipe, against servers of the PyPI package `websockets`: its output, and its exit
codes (0 closed with 1000 or 1001, 2 connect failed, 3 refused, 4 protocol error, 5 timeout, 6 another close code)."""

import asyncio
import contextlib
import pathlib
import ssl
import unittest

from websockets.asyncio.server import serve

from ropeway import connect

TLS = pathlib.Path(__file__).parent / "tls"


async def echo(connection):
    async for message in connection:
        await connection.send(message)


@contextlib.asynccontextmanager
async def serving(handler, scheme="ws", **options):
    """Runs a server on a free port and yields its URL."""
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@contextlib.asynccontextmanager
async def raw_server(handler):
    """A server that does not speak WebSocket: it sends only the bytes that the handler writes."""
    async def close_after(reader, writer):
        await handler(reader, writer)
        writer.close()
    async with await asyncio.start_server(close_after, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def free_port():
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        return server.sockets[0].getsockname()[1]


class Connect(unittest.IsolatedAsyncioTestCase):
    def assert_ended(self, ended, code):
        self.assertEqual(ended.code, code, ended)

    # 0: closed with 1000 or 1001.

    async def test_lines_become_messages_and_replies_become_lines(self):
        async with serving(echo) as url:
            ended = await connect(url, "one\nzwei\n🚡\n")
        self.assert_ended(ended, 0)
        self.assertEqual(ended.stdout, "one\nzwei\n🚡\n")

    async def test_a_thousand_lines_come_back_before_it_ends(self):
        lines = "".join(f"line {number}\n" for number in range(1000))
        async with serving(echo) as url:
            ended = await connect(url, lines)
        self.assert_ended(ended, 0)
        self.assertEqual(ended.stdout, lines)

    async def test_at_the_end_of_an_empty_input_it_closes_with_1000(self):
        codes = []
        async def handler(connection):
            await connection.wait_closed()
            codes.append(connection.close_code)
        async with serving(handler) as url:
            self.assert_ended(await connect(url, ""), 0)
        self.assertEqual(codes, [1000])

    async def test_a_server_that_goes_away_is_a_good_end(self):
        async def handler(connection):
            await connection.send("shutting down")
            await connection.close(1001)
        async with serving(handler) as url:
            ended = await connect(url)
        self.assert_ended(ended, 0)
        self.assertEqual(ended.stdout, "shutting down\n")

    # 2: connect failed.

    async def test_nobody_listening_is_2(self):
        ended = await connect(f"ws://127.0.0.1:{await free_port()}/")
        self.assert_ended(ended, 2)
        self.assertIn("refused", ended.stderr)

    # 3: handshake refused.

    async def test_a_refused_handshake_is_3_with_status_and_body(self):
        def refuse(connection, _request):
            return connection.respond(403, "members only\n")
        async with serving(echo, process_request=refuse) as url:
            ended = await connect(url, "hello\n")
        self.assert_ended(ended, 3)
        self.assertIn("403", ended.stderr)
        self.assertIn("members only", ended.stderr)
        self.assertEqual(ended.stdout, "")

    async def test_a_web_server_that_knows_no_websocket_is_3(self):
        async def handler(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<p>hello</p>\n")
            await writer.drain()
        async with raw_server(handler) as url:
            ended = await connect(url)
        self.assert_ended(ended, 3)
        self.assertIn("200", ended.stderr)

    # 4: protocol error.

    async def test_a_reserved_opcode_is_4_and_the_server_hears_1002(self):
        codes = []
        async def handler(connection):
            await connection.send("good so far")
            connection.transport.write(b"\x83\x00")
            await connection.wait_closed()
            codes.append(connection.close_code)
        async with serving(handler) as url:
            ended = await connect(url)
        self.assert_ended(ended, 4)
        self.assertEqual(ended.stdout, "good so far\n", "what came whole before the violation is not lost")
        self.assertEqual(codes, [1002])

    async def test_a_masked_frame_from_a_server_is_4(self):
        async def handler(connection):
            connection.transport.write(b"\x81\x82\x00\x00\x00\x00Hi")
            await connection.wait_closed()
        async with serving(handler) as url:
            self.assert_ended(await connect(url), 4)

    # 5: timeout.

    async def test_a_server_that_never_answers_is_5(self):
        async def handler(reader, _writer):
            await reader.read()  # until the client leaves
        async with raw_server(handler) as url:
            self.assert_ended(await connect(url, None, "--timeout", "0.5"), 5)

    # 6: another close code.

    async def test_another_close_code_is_6_with_code_and_reason(self):
        async def handler(connection):
            await connection.close(4321, "closing time")
        async with serving(handler) as url:
            ended = await connect(url)
        self.assert_ended(ended, 6)
        self.assertIn("4321", ended.stderr)
        self.assertIn("closing time", ended.stderr)

    # Options.

    async def test_headers_origin_and_subprotocol_reach_the_server(self):
        seen = {}
        async def handler(connection):
            seen.update(connection.request.headers.raw_items())
            seen["chosen"] = connection.subprotocol
        options = ("-H", "X-Cabin: 7", "-H", "Authorization: Bearer abc", "--origin", "https://example.org",
                   "--subprotocol", "v2.ropeway")
        async with serving(handler, subprotocols=["v1.ropeway", "v2.ropeway"]) as url:
            self.assert_ended(await connect(url, "", *options), 0)
        seen = {name.lower(): value for name, value in seen.items()}
        self.assertEqual(seen["x-cabin"], "7")
        self.assertEqual(seen["authorization"], "Bearer abc")
        self.assertEqual(seen["origin"], "https://example.org")
        self.assertEqual(seen["chosen"], "v2.ropeway")

    async def test_compression_is_offered_unless_told_not_to(self):
        for options, offered in (((), True), (("--no-deflate",), False)):
            seen = []
            async def handler(connection):
                seen.append("permessage-deflate" in connection.request.headers.get("Sec-WebSocket-Extensions", ""))
                await echo(connection)
            line = "ropeway " * 1000 + "\n"
            async with serving(handler) as url:
                ended = await connect(url, line, *options)
            self.assert_ended(ended, 0)
            self.assertEqual((seen, ended.stdout), ([offered], line))


class Tls(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(TLS / "server.pem", TLS / "server.key")

    async def end_of(self, *options):
        async with serving(echo, scheme="wss", ssl=self.context) as url:
            return await connect(url, "over TLS\n", *options)

    async def test_an_authority_that_is_named_is_trusted(self):
        ended = await self.end_of("--cacert", str(TLS / "authority.pem"))
        self.assertEqual((ended.code, ended.stdout), (0, "over TLS\n"), ended)

    async def test_with_k_no_certificate_is_checked(self):
        ended = await self.end_of("-k")
        self.assertEqual((ended.code, ended.stdout), (0, "over TLS\n"), ended)

    async def test_an_unknown_authority_is_a_failed_connect(self):
        # The server's own error is expected.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        ended = await self.end_of()
        self.assertEqual(ended.code, 2, ended)
        self.assertIn("certificate", ended.stderr.lower())
