"""nginx and Caddy in front of an API, with the configurations that the documentation recommends."""

import os
import shutil
import socket
from pathlib import Path
from typing import NamedTuple, Self

from tests.support.auth.credentials import P256, certificate
from tests.support.processes import ROOT, ServerProcess, free_port
from tests.support.wait import until

CONFIGURATIONS = ROOT / "deploy" / "proxies"
HOST = "127.0.0.1"
_NGINX = """
daemon off;
user {user};
pid {folder}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/mamba.conf;
}}
"""
_CADDY = """{
	admin off
	auto_https off
	skip_install_trust
}

"""


class Certificate(NamedTuple):
    """The files of a self-signed certificate for 127.0.0.1."""

    path: Path
    key_path: Path

    @classmethod
    def create(cls, folder: Path) -> Self:
        created = cls(folder / "proxy.crt", folder / "proxy.key")
        created.path.write_text(certificate(P256))
        created.key_path.write_text(P256.private_pem)
        return created


class ReverseProxy(ServerProcess):
    """A proxy that serves an API over TLS."""

    def __init__(self, folder: Path, api_port: int) -> None:
        self.port = free_port()
        self.certificate = Certificate.create(folder)
        self._folder = folder
        self._api_port = api_port
        super().__init__(
            *self.command(), env={"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        )

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"

    def command(self) -> tuple[str, ...]:
        """Write the configuration, and return the command that serves it."""
        raise NotImplementedError

    async def ready(self) -> Self:
        async def probe() -> bool:
            assert self.child.poll() is None, self.output
            with socket.socket() as client:
                return client.connect_ex((HOST, self.port)) == 0

        await until(probe)
        return self

    def _configuration(self, name: str) -> str:
        text = (CONFIGURATIONS / name).read_text()
        return text.replace("127.0.0.1:8000", f"127.0.0.1:{self._api_port}")


class NginxProxy(ReverseProxy):
    #: Instead of the configured 60 seconds.
    read_timeout_seconds = 5

    def command(self) -> tuple[str, ...]:
        text = self._configuration("nginx.conf")
        for old, new in (
            ("    listen [::]:443 ssl http2;\n", ""),  # not every test machine has IPv6
            ("listen 443", f"listen {HOST}:{self.port}"),
            ("/etc/ssl/chat.example.com.crt", str(self.certificate.path)),
            ("/etc/ssl/chat.example.com.key", str(self.certificate.key_path)),
            ("proxy_read_timeout 60s", f"proxy_read_timeout {self.read_timeout_seconds}s"),
        ):
            assert old in text
            text = text.replace(old, new)
        (self._folder / "mamba.conf").write_text(text)
        main = self._folder / "nginx.conf"
        user = "root" if os.geteuid() == 0 else "www-data"  # nginx ignores it for other users
        main.write_text(_NGINX.format(folder=self._folder, user=user))
        return (_program("nginx", "/usr/sbin/nginx"), "-c", str(main), "-e", "stderr")


class CaddyProxy(ReverseProxy):
    def command(self) -> tuple[str, ...]:
        site = f"{self.url} {{\n\ttls {self.certificate.path} {self.certificate.key_path}\n"
        text = self._configuration("Caddyfile")
        assert text.count("chat.example.com {\n") == 1
        configuration = self._folder / "Caddyfile"
        configuration.write_text(_CADDY + text.replace("chat.example.com {\n", site))
        return (_program("caddy"), "run", "--config", str(configuration), "--adapter", "caddyfile")


def _program(name: str, path: str = "") -> str:
    """Raises FileNotFoundError if the program is not installed."""
    if found := shutil.which(name) or shutil.which(path):
        return found
    raise FileNotFoundError(f"`make interop` needs {name}. On Debian: apt install nginx caddy")
