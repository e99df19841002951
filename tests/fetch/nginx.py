"""A real nginx on loopback, with the good and bad habits of servers."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

USER, PASSWORD = "reader", "secret"

_CONFIG = """
{user}
daemon off; master_process off; pid {home}/pid; error_log {home}/error.log;
events {{ worker_connections 512; }}
http {{
  log_format plain '$uri $status $body_bytes_sent $server_port';
  access_log {home}/access.log plain;
  client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;
  uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;
  default_type application/octet-stream; sendfile on;
  server {{
    listen 127.0.0.1:{port};
    {tls}
    root {root};
    location /ranges/ {{ alias {root}/; }}
    location /mirror/ {{ alias {root}/; }}
    location /slow/ {{ alias {root}/; limit_rate {slow}; }}
    location /headless/ {{ alias {root}/; if ($request_method = HEAD) {{ return 405; }} }}
    location /whole/ {{ alias {root}/; max_ranges 0; }}
    location /whole-slow/ {{ alias {root}/; max_ranges 0; limit_rate 1m; }}
    location /auth/ {{ alias {root}/; auth_basic archives; auth_basic_user_file {home}/users; }}
    location /cookie/ {{ alias {root}/; if ($cookie_session != letmein) {{ return 302 /page.html; }} }}
    location /header/ {{ alias {root}/; if ($http_x_key != letmein) {{ return 403; }} }}
    location /page.html {{ default_type text/html; return 200 "<!DOCTYPE html><title>Log in</title>"; }}
    location /sneaky/ {{ return 200 "\\n<html><body>Log in</body></html>"; }}
    location /moved/ {{ rewrite ^/moved/(.*)$ http://127.0.0.1:{port}/ranges/$1 redirect; }}
    location /elsewhere/ {{ rewrite ^/elsewhere/(.*)$ http://localhost:{port}/echo/$1 redirect; }}
    location /echo/ {{ alias {root}/; if ($http_x_key) {{ return 418; }} }}
    location /status/401/ {{ return 401; }}
    location /status/403/ {{ return 403; }}
    location /status/416/ {{ return 416; }}
    location /status/500/ {{ return 500; }}
    location /status/503/ {{ return 503; }}
  }}
}}
"""


class Nginx:
    """A server of the files in `root`; `log()` says what it gave to whom.

    With a certificate, a file of a key and its chain, it speaks TLS on `tls_port` too.
    """

    def __init__(self, home: Path, *, slow: str = "512k", certificate: Path | None = None) -> None:
        self.root = home / "root"
        self.root.mkdir(parents=True)
        self._home = home
        self._read = 0
        self.port = free_port()
        self.tls_port = free_port()
        user = "user root;" if os.geteuid() == 0 else ""
        tls = (
            f"listen 127.0.0.1:{self.tls_port} ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate};"
        )
        words = {"user": user, "home": home, "port": self.port, "root": self.root, "slow": slow}
        (home / "nginx.conf").write_text(_CONFIG.format(**words, tls=tls if certificate else ""))
        (home / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        command = [
            program("nginx", "nginx-light"),
            "-p",
            str(home),
            "-c",
            str(home / "nginx.conf"),
            "-e",
            str(home / "error.log"),
        ]
        self._process = subprocess.Popen(command)
        self._await()

    def url(self, habit: str, name: str, *, host: str = "127.0.0.1") -> str:
        """Return the URL of a file under one habit of the server."""
        return f"http://{host}:{self.port}/{habit}/{name}"

    def sent(self) -> int:
        """Return the bytes that nginx handed to its sockets since the last call: what a network would carry."""
        return sum(int(line.split()[2]) for line in self.log())

    def log(self) -> list[str]:
        """Return the lines of the access log since the last call."""
        time.sleep(0.1)  # a line is written when its connection has ended
        with open(self._home / "access.log") as file:
            file.seek(self._read)
            lines = file.read()
            self._read = file.tell()
        return lines.splitlines()

    def close(self) -> None:
        """Stop."""
        self._process.terminate()
        self._process.wait(10)

    def _await(self) -> None:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self._process.poll() is None, (self._home / "error.log").read_text()
                time.sleep(0.02)
            else:
                return


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str, package: str) -> str:
    """Return the path of a program of the system; without it a test is skipped, but not under CI."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if not found:
        assert "CI" not in os.environ, f"these tests need {name}: install the package {package}"
        pytest.skip(f"no {name} on this machine (package {package})")
    return found
