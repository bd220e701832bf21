"""Plain HTTP and broken handshakes on the port of `ropeway serve`: each gets a proper HTTP answer that names the fault."""

import base64
import hashlib
import http.client
import os
import socket
import unittest

from ropeway import DEADLINE, Server

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the key of RFC 6455 section 1.3
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}
TEXT_HI = bytes([0x81, 0x82, 0, 0, 0, 0]) + b"Hi"  # a masked text frame; the key of zeros leaves it readable


class Answer:
    """One response, read to its end."""

    def __init__(self, connection: socket.socket, method: str):
        response = http.client.HTTPResponse(connection, method=method)
        response.begin()
        self.status = response.status
        self.headers = response.headers
        self.body = b"" if self.status == 101 else response.read()

    @property
    def text(self) -> str:
        return self.body.decode()


class Http(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Server())

    def open(self) -> socket.socket:
        connection = socket.create_connection((self.server.host, self.server.port), timeout=DEADLINE)
        self.addCleanup(connection.close)
        return connection

    def head(self, method="GET", path="/echo", headers=(), version="HTTP/1.1") -> bytes:
        headers = headers.items() if isinstance(headers, dict) else headers
        lines = [f"{method} {path} {version}", f"Host: {self.server.authority}"]
        lines += [f"{name}: {value}" for name, value in headers]
        return "\r\n".join(lines + ["", ""]).encode()

    def answer_to(self, request: bytes, method="GET") -> Answer:
        connection = self.open()
        connection.sendall(request)
        return Answer(connection, method)

    def request(self, method="GET", path="/echo", headers=(), **options) -> Answer:
        return self.answer_to(self.head(method, path, headers, **options), method)

    def assert_refused(self, answer: Answer, status: int, named: str) -> None:
        self.assertEqual(answer.status, status, answer.body)
        self.assertIn(named.lower(), answer.text.lower(), "the body names the fault")

    # Plain requests.

    def test_the_page_is_served_at_the_root(self):
        answer = self.request(path="/")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.headers["Content-Type"].startswith("text/html"))
        self.assertEqual(int(answer.headers["Content-Length"]), len(answer.body))
        self.assertIn("<html", answer.text)

    def test_head_is_the_page_without_the_page(self):
        answer = self.request("HEAD", "/")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.body, b"")
        self.assertEqual(answer.headers["Content-Length"], self.request(path="/").headers["Content-Length"])

    def test_what_is_not_there_is_404(self):
        self.assertEqual(self.request(path="/nowhere").status, 404)

    def test_an_echo_without_an_upgrade_is_426(self):
        answer = self.request(path="/echo")
        self.assert_refused(answer, 426, "websocket")
        self.assertEqual(answer.headers["Upgrade"], "websocket")
        # RFC 9110 section 7.8: a sender of Upgrade must also send the connection option of that name.
        self.assertIn("upgrade", answer.headers["Connection"].lower())

    # Upgrades.

    def test_the_accept_value_is_the_one_of_the_rfc(self):
        answer = self.request(headers=UPGRADE)
        self.assertEqual(answer.status, 101)
        self.assertEqual(answer.headers["Sec-WebSocket-Accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        self.assertEqual(answer.headers["Upgrade"], "websocket")
        self.assertEqual(answer.headers["Connection"].lower(), "upgrade")
        self.assertNotIn("Sec-WebSocket-Protocol", answer.headers)
        self.assertNotIn("Sec-WebSocket-Extensions", answer.headers)

    def test_the_accept_value_of_a_random_key_is_right(self):
        key = base64.b64encode(os.urandom(16)).decode()
        answer = self.request(headers=UPGRADE | {"Sec-WebSocket-Key": key})
        digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        self.assertEqual(answer.headers["Sec-WebSocket-Accept"], base64.b64encode(digest).decode())

    def test_the_upgrade_may_be_one_of_several_options_in_any_case(self):
        headers = UPGRADE | {"Upgrade": "h2c, WebSocket", "Connection": "keep-alive, uPgrAde"}
        self.assertEqual(self.request(headers=headers).status, 101)

    def test_a_head_in_single_bytes_is_as_good_as_one_in_one_piece(self):
        connection = self.open()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in self.head(headers=UPGRADE):
            connection.sendall(bytes([byte]))
        self.assertEqual(Answer(connection, "GET").status, 101)

    def test_a_frame_that_came_along_with_the_head_is_answered(self):
        connection = self.open()
        connection.sendall(self.head(headers=UPGRADE) + TEXT_HI)
        received = b""
        while not received.endswith(b"\x81\x02Hi"):
            more = connection.recv(4096)
            self.assertTrue(more, f"the server ended the connection after {received!r}")
            received += more
        self.assertTrue(received.startswith(b"HTTP/1.1 101 "))

    # Broken upgrades.

    def test_an_upgrade_by_post_is_405_and_get_is_allowed(self):
        answer = self.request("POST", headers=UPGRADE | {"Content-Length": "0"})
        self.assert_refused(answer, 405, "GET")
        self.assertEqual(answer.headers["Allow"], "GET")

    def test_a_key_that_is_not_16_bytes_in_base64_is_400(self):
        for key in ("", "short", base64.b64encode(bytes(15)).decode(), base64.b64encode(bytes(17)).decode(), "!" * 24):
            with self.subTest(key=key):
                self.assert_refused(self.request(headers=UPGRADE | {"Sec-WebSocket-Key": key}), 400, "Sec-WebSocket-Key")

    def test_a_missing_key_and_two_keys_are_400(self):
        without = [pair for pair in UPGRADE.items() if pair[0] != "Sec-WebSocket-Key"]
        self.assert_refused(self.request(headers=without), 400, "Sec-WebSocket-Key")
        self.assert_refused(self.request(headers=[*UPGRADE.items(), ("Sec-WebSocket-Key", KEY)]), 400, "Sec-WebSocket-Key")

    def test_another_version_is_426_and_13_is_named(self):
        for version in ("8", "12", "14", "013"):
            with self.subTest(version=version):
                answer = self.request(headers=UPGRADE | {"Sec-WebSocket-Version": version})
                self.assert_refused(answer, 426, "13")
                self.assertEqual(answer.headers["Sec-WebSocket-Version"], "13")

    def test_an_upgrade_without_the_connection_option_is_no_upgrade(self):
        answer = self.request(headers=UPGRADE | {"Connection": "keep-alive"})
        self.assertIn(answer.status, (400, 426))
        self.assertIn("connection", answer.text.lower())

    def test_a_request_without_a_host_is_400(self):
        head = self.head(headers=UPGRADE).replace(f"Host: {self.server.authority}\r\n".encode(), b"")
        self.assert_refused(self.answer_to(head), 400, "Host")

    def test_http_1_0_cannot_upgrade(self):
        answer = self.request(headers=UPGRADE, version="HTTP/1.0")
        self.assertIn(answer.status, (400, 426, 505))
        self.assertIn("1.1", answer.text)

    def test_another_site_is_403(self):
        for origin in ("https://evil.example", "null"):
            with self.subTest(origin=origin):
                self.assert_refused(self.request(headers=UPGRADE | {"Origin": origin}), 403, "origin")

    def test_a_path_that_speaks_no_websocket_is_404(self):
        self.assertEqual(self.request(path="/nowhere", headers=UPGRADE).status, 404)

    def test_what_is_no_http_at_all_is_400(self):
        for garbage in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"hello\r\n\r\n", b"GET /echo\r\n\r\n"):
            with self.subTest(garbage=garbage):
                self.assertEqual(self.answer_to(garbage).status, 400)

    # Limits.

    def test_a_head_above_16_kib_is_431(self):
        self.assertEqual(self.request(headers=UPGRADE | {"Cookie": "x" * 17 * 1024}).status, 431)

    def test_more_than_100_headers_are_431(self):
        # Four headers of the upgrade and `Host` make five.
        filling = [(f"X-{number}", "x") for number in range(95)]
        self.assertEqual(self.request(headers=[*UPGRADE.items(), *filling]).status, 101)
        filling.append(("X-one-too-many", "x"))
        self.assertEqual(self.request(headers=[*UPGRADE.items(), *filling]).status, 431)

    def test_half_a_head_is_408_when_the_time_for_the_handshake_is_over(self):
        with Server("--handshake-timeout", "1") as server:
            with socket.create_connection((server.host, server.port), timeout=DEADLINE) as connection:
                connection.sendall(b"GET /echo HTTP/1.1\r\nHost: ")
                self.assertEqual(Answer(connection, "GET").status, 408)
                self.assertEqual(connection.recv(1), b"", "and the connection is over")
