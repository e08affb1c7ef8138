"""SSL_CERT_FILE makes the model client trust a private certificate authority."""

import asyncio
import os
import ssl
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

REQUEST = """
import asyncio, sys
from worker.models.openai_client import open_client

async def main():
    client = open_client(sys.argv[1], api_key=None, headers={}, timeout=10, connect_timeout=10)
    async with client:
        print([model.id async for model in client.models.list()])

asyncio.run(main())
"""
ANSWER = b'{"object":"list","data":[{"id":"m","object":"model","created":0,"owned_by":"o"}]}'


@pytest.mark.parametrize(("variable", "output"), [("SSL_CERT_FILE", "['m']"), ("OTHER", "")])
async def test_model_client_trusts_the_given_authority(
    tmp_path: Path, variable: str, output: str
) -> None:
    bundle = write_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(bundle, tmp_path / "key.pem")

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", REQUEST, f"https://127.0.0.1:{port}/v1"),
            env={**os.environ, variable: str(bundle)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, errors = await child.communicate()

    assert printed.decode().strip() == output, errors.decode()
    assert output or b"CERTIFICATE_VERIFY_FAILED" in errors


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(ANSWER)}"
    writer.write(f"{head}\r\nconnection: close\r\n\r\n".encode() + ANSWER)
    await writer.drain()
    writer.close()


def write_certificate(folder: Path) -> Path:
    """Write a self-signed certificate of 127.0.0.1 and its key, and return the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "private")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    (folder / "key.pem").write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    bundle = folder / "bundle.pem"
    bundle.write_bytes(certificate.public_bytes(encoding))
    return bundle
