"""nginx, HAProxy and Caddy in front of a ropeway server: it finds the right client address, whatever the client itself writes.

NGINX, HAPROXY, CADDY and BEHIND_PROXY name the programs; what they print goes to the file that PROXIES_LOG names, else nowhere.
The client connects from 127.0.0.2 and the proxies from 127.0.0.1, which is what the server trusts.
"""

import asyncio
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time
import unittest

import websockets.asyncio.client
from websockets.exceptions import InvalidStatus

CLIENT = "127.0.0.2"
PROXY = "127.0.0.1"
CLAIM = "6.6.6.6"

# On an idle machine nothing here takes a second. A test that reaches this limit has found a hang.
DEADLINE = 30

NGINX = """
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://{upstream};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            {lines}
        }}
    }}
}}
"""

HAPROXY = """
global
    log stderr local0
defaults
    mode http
    timeout connect 30s
    timeout client 30s
    timeout server 30s
    timeout tunnel 30s
frontend all
    bind 127.0.0.1:{port}
    {lines}
    default_backend ropeway
backend ropeway
    server one {upstream}
"""


CADDY = """
{{
    admin off
    auto_https off
}}
http://127.0.0.1:{port} {{
    bind 127.0.0.1
    reverse_proxy {upstream}
    {lines}
}}
"""


class Process:
    """A program that runs while a `with` block does."""

    def __init__(self, *command, env=None):
        with open(os.environ.get("PROXIES_LOG", os.devnull), "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, env=env
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


class Server(Process):
    """The ropeway server."""

    def __init__(self, *options):
        super().__init__(os.environ["BEHIND_PROXY"], *options)
        announced = self.process.stdout.readline()
        address = re.search(r"(?:http://([^/\s]+)|(unix)://(\S+))", announced)
        if address is None:
            self.__exit__()
            raise AssertionError(f"the server announced no address but {announced!r}")
        self.address = address[1] or f"unix:{address[3]}:"


class Proxy(Process):
    """nginx, HAProxy or Caddy on a free port. It is started again if another program has taken the port."""

    def __init__(self, kind, upstream, lines):
        for _ in range(5):
            self.directory = tempfile.TemporaryDirectory()
            self.port = free_port()
            config = pathlib.Path(self.directory.name, "config")
            settings = {"dir": self.directory.name, "port": self.port, "upstream": upstream}
            config.write_text(kind.format(lines="\n    ".join(lines), **settings))
            if kind is NGINX:
                super().__init__(os.environ["NGINX"], "-p", self.directory.name, "-e", "stderr", "-c", str(config))
            elif kind is HAPROXY:
                super().__init__(os.environ["HAPROXY"], "-db", "-f", str(config))
            else:
                # Its files go nowhere else.
                home = {name: self.directory.name for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
                command = (os.environ["CADDY"], "run", "--adapter", "caddyfile", "--config", str(config))
                super().__init__(*command, env=os.environ | home)
            if self.listens():
                return
            self.__exit__()
        raise AssertionError("the proxy does not listen; the log says why")

    def listens(self):
        """Waits until it accepts connections or has ended. Returns whether it accepts them."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection((PROXY, self.port), timeout=DEADLINE).close()
                return True
            except OSError:
                time.sleep(0.02)
        return False

    def __exit__(self, *_):
        super().__exit__()
        self.directory.cleanup()


def free_port():
    with socket.create_server((PROXY, 0)) as listener:
        return listener.getsockname()[1]


async def told(port, headers=(), origin=None):
    """Returns what the server tells a client behind the proxy: the client's address, and the host it asked for."""
    async with asyncio.timeout(DEADLINE):
        async with websockets.asyncio.client.connect(
            f"ws://{PROXY}:{port}/",
            proxy=None,
            origin=origin,
            additional_headers=list(headers),
            local_addr=(CLIENT, 0),
        ) as connection:
            return (await connection.recv()).split(" ")


class Behind(unittest.IsolatedAsyncioTestCase):
    options = ()

    def setUp(self):
        self.server = self.enterContext(Server(*self.options))

    def behind(self, kind, *lines):
        return self.enterContext(Proxy(kind, self.server.address, lines)).port

    async def client(self, port, *claims, header="X-Forwarded-For"):
        client, _ = await told(port, [(header, claim) for claim in claims])
        return client


class Nginx(Behind):
    async def test_an_appended_address_is_the_client_whatever_the_client_wrote(self):
        port = self.behind(NGINX, "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;")
        self.assertEqual(await self.client(port), CLIENT)
        self.assertEqual(await self.client(port, CLAIM), CLIENT)
        self.assertEqual(await self.client(port, CLAIM, f"{CLAIM}, {PROXY}"), CLIENT)
        self.assertEqual(await self.client(port, 'unknown, ", x'), CLIENT)

    async def test_an_address_that_is_written_anew_is_the_client(self):
        port = self.behind(NGINX, "proxy_set_header X-Forwarded-For $remote_addr;")
        self.assertEqual(await self.client(port), CLIENT)
        self.assertEqual(await self.client(port, CLAIM), CLIENT)

    async def test_without_a_line_the_proxy_is_the_client_and_a_claim_is_believed(self):
        # The proxy passes on the header that the client wrote, and the server cannot tell. The documentation warns of this.
        port = self.behind(NGINX)
        self.assertEqual(await self.client(port), PROXY)
        self.assertEqual(await self.client(port, CLAIM), CLAIM)

    async def test_a_page_of_the_proxys_host_may_connect_and_no_other(self):
        port = self.behind(
            NGINX,
            "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
            "proxy_set_header X-Forwarded-Host $http_host;",
            "proxy_set_header X-Forwarded-Proto $scheme;",
        )
        page = f"http://{PROXY}:{port}"
        self.assertEqual(await told(port, origin=page), [CLIENT, page])
        for origin in ("https://evil.example", f"https://{PROXY}:{port}", f"http://{self.server.address}"):
            with self.subTest(origin=origin), self.assertRaises(InvalidStatus) as refused:
                await told(port, origin=origin)
            self.assertEqual(refused.exception.response.status_code, 403)


class Haproxy(Behind):
    async def test_a_line_of_its_own_is_the_client_also_behind_lines_of_the_clients(self):
        port = self.behind(HAPROXY, "option forwardfor")
        self.assertEqual(await self.client(port), CLIENT)
        self.assertEqual(await self.client(port, CLAIM), CLIENT)
        self.assertEqual(await self.client(port, CLAIM, f"{CLAIM}, {PROXY}"), CLIENT)

    async def test_an_address_that_is_written_anew_is_the_client(self):
        port = self.behind(HAPROXY, "http-request set-header X-Forwarded-For %[src]")
        self.assertEqual(await self.client(port), CLIENT)
        self.assertEqual(await self.client(port, CLAIM, CLAIM), CLIENT)

    async def test_without_a_line_the_proxy_is_the_client_and_a_claim_is_believed(self):
        port = self.behind(HAPROXY)
        self.assertEqual(await self.client(port), PROXY)
        self.assertEqual(await self.client(port, CLAIM), CLAIM)


class Caddy(Behind):
    async def test_it_says_who_the_client_is_by_itself_whatever_the_client_wrote(self):
        port = self.behind(CADDY)
        self.assertEqual(await self.client(port), CLIENT)
        self.assertEqual(await self.client(port, CLAIM), CLIENT)
        self.assertEqual(await self.client(port, CLAIM, f"{CLAIM}, {PROXY}"), CLIENT)

    async def test_a_page_of_the_proxys_host_may_connect_and_no_other(self):
        port = self.behind(CADDY)
        page = f"http://{PROXY}:{port}"
        claims = [("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "https")]
        self.assertEqual(await told(port, claims, origin=page), [CLIENT, page])
        for origin in ("https://evil.example", f"https://{PROXY}:{port}"):
            with self.subTest(origin=origin), self.assertRaises(InvalidStatus) as refused:
                await told(port, claims, origin=origin)
            self.assertEqual(refused.exception.response.status_code, 403)


class Forwarded(Behind):
    options = ("--forwarded",)

    async def test_the_standard_header_is_read_and_the_other_is_not(self):
        line = 'http-request add-header Forwarded for=%[src];host=\\"%[req.hdr(host)]\\";proto=http'
        port = self.behind(HAPROXY, line)
        page = f"http://{PROXY}:{port}"
        claims = [("Forwarded", f"for={CLAIM};host=evil.example"), ("X-Forwarded-For", CLAIM)]
        self.assertEqual(await told(port, claims, origin=page), [CLIENT, page])
        self.assertEqual(await self.client(port, 'for="6.6.6.6', header="Forwarded"), CLIENT)


class UnixSocket(Behind):
    def setUp(self):
        directory = self.enterContext(tempfile.TemporaryDirectory())
        self.options = ("--unix", f"{directory}/socket")
        super().setUp()

    async def test_whoever_connects_to_the_socket_is_the_proxy(self):
        port = self.behind(NGINX, "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;")
        self.assertEqual(await self.client(port, CLAIM), CLIENT)


if __name__ == "__main__":
    unittest.main()
