"""Types of settings that become HTTP headers or URLs of requests to model servers."""

import re
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

from shared.header_text import CharacterRule, problem_in
from shared.settings.sections.address import check_host

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Paths that the client adds to the base URL.
_CHAT_PATH = re.compile(r"(/chat)?/completions/*$")
#: Templates and examples that were not replaced: `${KEY}`, `$KEY`, `{{ key }}`, `<key>`.
_PLACEHOLDER = re.compile(r"\$\w+|(\$?\{|<).*(\}|>)")


def _check_key(key: SecretStr) -> SecretStr:
    if _PLACEHOLDER.fullmatch(key.get_secret_value()):
        raise ValueError("The value is a placeholder. Replace it with the key.")
    if problem := problem_in(key.get_secret_value(), CharacterRule.KEY):
        raise ValueError(f"The key must consist of visible ASCII characters. {problem}")
    return key


def _check_header(value: SecretStr) -> SecretStr:
    _check_text(value.get_secret_value())
    return value


def _check_text(value: str) -> str:
    if problem := problem_in(value, CharacterRule.HEADER):
        raise ValueError(f"A header must consist of ASCII characters in one line. {problem}")
    return value


def _check_header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(
            "The name of a header must consist of ASCII letters, digits and hyphens. Remove others."
        )
    return name


def _normalize(url: object) -> object:
    """Strip what users copy along with a base URL: white space, slashes, the path of chats."""
    if not isinstance(url, str):
        return url
    text = url.strip()
    _check_base_url(text)
    parts = urlsplit(text)
    path = _CHAT_PATH.sub("", parts.path.rstrip("/")).rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def _check_base_url(url: str) -> None:
    check_host(url)
    if not re.match(r"https?://", url, re.IGNORECASE):
        raise ValueError("The URL must start with https:// or http://, as in http://host:8000/v1.")
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("The URL has no host. Write it as http://host:8000/v1.")
    if "@" in parts.netloc:
        raise ValueError(
            "The URL must not contain a login. Remove it, and set the header Authorization to "
            "`Basic` and the Base64 form of user:password in `headers`."
        )
    if parts.fragment:
        raise ValueError("The URL must not contain a fragment. Remove # and what follows it.")
    if parts.query and not parse_qsl(parts.query):
        raise ValueError("The query of the URL must have the form ?name=value.")


#: A key that is sent as a header.
ApiKey = Annotated[SecretStr, AfterValidator(_check_key)]
HeaderName = Annotated[str, AfterValidator(_check_header_name)]
HeaderValue = Annotated[SecretStr, AfterValidator(_check_header)]
#: The value of a header that is no secret.
HeaderText = Annotated[str, AfterValidator(_check_text)]
#: The URL that requests of a model server start with. It may have a query.
BaseUrl = Annotated[str, BeforeValidator(_normalize)]
