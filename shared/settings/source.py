"""The sources of the settings: files and the environment, each read into one tree.

Reading a source never raises. It collects all problems, so that Mamba can report them together.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import cast, get_args

import yaml
from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import BaseModel

from shared.settings.names import (
    DELIMITER,
    PREFIX,
    Key,
    all_keys,
    child_type,
    closest_key,
    dotted,
    is_compound,
    is_nested,
    type_of,
    variable_name,
)
from shared.settings.renamed import RENAMED
from shared.settings.tree import Tree, children, get_value, is_tree, pop_value, set_value
from shared.settings.yaml_text import read_yaml_text

#: Variables with names that are standard among OpenAI clients. Those of one key must agree.
_OPENAI_VARIABLES: Mapping[Key, tuple[str, ...]] = {
    ("openai", "api_key"): ("OPENAI_API_KEY",),
    ("openai", "base_url"): ("OPENAI_BASE_URL", "OPENAI_API_BASE_URL", "OPENAI_API_BASE"),
    ("openai", "organization"): ("OPENAI_ORG_ID", "OPENAI_ORGANIZATION"),
    ("openai", "project"): ("OPENAI_PROJECT_ID",),
}
#: The value that Kubernetes sets in `MAMBA_SERVER_PORT` for a service named mamba-server.
_SERVICE_LINK = re.compile(r"^(tcp|udp|sctp)://")
_NOT_UTF_8 = "it is not UTF-8 text; save it as UTF-8"
#: Names of variables that programs accept, in any casing.
_NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
#: Quoted file content in a YAML parser's message, which may contain secrets.
_QUOTED = re.compile(r"'[^'<][^']+'")


@dataclass(frozen=True)
class SettingsProblem:
    """A problem with one setting or a combination of settings, and where it was set."""

    subject: str
    text: str
    source: str = ""

    def __str__(self) -> str:
        prefix = f"{self.subject}: " if self.subject else ""
        return f"{prefix}{self.text}" + (f" ({self.source})" if self.source else "")


@dataclass
class SettingsSource:
    """One file, or the environment."""

    #: The path for display; empty for the environment.
    file: str = ""
    tree: Tree = field(default_factory=dict[str, object])
    #: The variable that sets each key; empty for YAML.
    variables: dict[Key, str] = field(default_factory=dict[Key, str])
    #: The original name of each key that was set by it.
    renamed: dict[Key, Key] = field(default_factory=dict[Key, Key])
    problems: list[SettingsProblem] = field(default_factory=list[SettingsProblem])

    def origin(self, key: Key) -> str | None:
        """Return where this source sets a key, or None if it does not."""
        if get_value(self.tree, key) is None:
            return None
        return _describe_origin(self._variable(key), self.file)

    def key_name(self, key: Key) -> str:
        """Return the key in the spelling of this source."""
        return variable_name(key) if self.variables else dotted(key)

    def _variable(self, key: Key) -> str:
        for length in range(len(key), 0, -1):
            if name := self.variables.get(key[:length]):
                return name
        inner = sorted(name for k, name in self.variables.items() if k[: len(key)] == key)
        return inner[0] if inner else ""


def read_yaml(root: type[BaseModel], path: Path) -> SettingsSource:
    """Read a YAML file of sections; a missing file is empty."""
    source = SettingsSource(file=str(path))
    try:
        content: object = read_yaml_text(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return source
    except OSError as error:
        source.problems.append(SettingsProblem(str(path), f"cannot be read: {error.strerror}"))
        return source
    except (yaml.YAMLError, ValueError) as error:
        source.problems.append(SettingsProblem(str(path), f"cannot be read: {_yaml_reason(error)}"))
        return source
    tree = _normalize(content, root)
    if is_tree(tree):
        source.tree = tree
    elif content is not None:
        source.problems.append(
            SettingsProblem(str(path), "must contain sections, such as `server: {port: 8000}`")
        )
    return _validated(source, root)


def read_env_file(root: type[BaseModel], path: Path, shown: str) -> SettingsSource:
    """Read a file of variables, ignoring those of other programs."""
    try:
        text = path.read_text(encoding="utf-8-sig") if path.exists() else ""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else _NOT_UTF_8
        return SettingsSource(
            file=shown, problems=[SettingsProblem(shown, f"cannot be read: {reason}")]
        )
    if problems := [SettingsProblem(shown, text) for text in _invalid_lines(text)]:
        return SettingsSource(file=shown, problems=problems)
    found = dotenv_values(stream=StringIO(text))
    return read_variables(root, {name: value or "" for name, value in found.items()}, file=shown)


def _invalid_lines(text: str) -> Iterator[str]:
    """Describe the lines of a file of variables that its parser would skip."""
    for binding in parse_stream(StringIO(text)):
        is_variable = binding.value is not None and _NAME.fullmatch(binding.key or "")
        is_blank = binding.key is None and not binding.error
        if not is_variable and not is_blank:
            before = binding.original.string[: -len(binding.original.string.lstrip())]
            line = binding.original.line + before.count("\n")
            yield f"line {line} must be NAME=value, with a quotation mark at both ends or at none"


def read_variables(
    root: type[BaseModel], environment: Mapping[str, str], *, file: str = ""
) -> SettingsSource:
    """Read the variables that name a section or contain `__`. Empty variables count as unset."""
    source = SettingsSource(file=file)
    for name, key in _mamba_variables(root, environment, source):
        source.variables[key] = name
        # Files with CRLF and copied values add white space.
        _set(source, root, key, environment[name].strip())
    return _validated(source, root)


def _mamba_variables(
    root: type[BaseModel], environment: Mapping[str, str], source: SettingsSource
) -> Iterator[tuple[str, Key]]:
    """Yield variables and their keys in ascending precedence."""
    found = {
        name: _key_of(name)
        for name, value in environment.items()
        if name.upper().startswith(PREFIX) and value.strip()
    }
    for key, names in _OPENAI_VARIABLES.items():
        present = [name for name in names if environment.get(name, "").strip()]
        if len({environment[name].strip() for name in present}) > 1:
            text = f"differs from {present[1]}. Both set {dotted(key)}. Keep one of them."
            source.problems.append(SettingsProblem(present[0], text, source.file))
        if present:
            yield present[0], key
    for name, key in sorted(found.items(), key=lambda pair: (len(pair[1]), pair[0].isupper())):
        if len(key) > 1 or type_of(root, key) is not None:
            yield name, key
        elif correct_name := _correct_underscores(root, name, environment[name]):
            source.problems.append(_unknown(name, correct_name, source.file))


def _key_of(name: str) -> Key:
    return tuple(name.upper().removeprefix(PREFIX).lower().split(DELIMITER))


def _correct_underscores(root: type[BaseModel], name: str, value: str) -> str | None:
    if _SERVICE_LINK.match(value):
        return None
    flat = name.upper()
    return next(
        (v for v in map(variable_name, all_keys(root)) if v.replace("__", "_") == flat), None
    )


def _set(source: SettingsSource, root: type[BaseModel], key: Key, text: str) -> None:
    name, annotation = source.variables[key], type_of(root, key)
    if annotation is None and key not in RENAMED:
        close = closest_key(root, key)
        hint = variable_name(close) if close and close != key else None
        source.problems.append(_unknown(name, hint, source.file))
    elif annotation is None or not is_compound(annotation) or _is_plain_text(annotation, text):
        set_value(source.tree, key, text)
    else:
        try:
            set_value(source.tree, key, _normalize(json.loads(text), annotation))
        except (ValueError, RecursionError) as error:
            position = error.pos + 1 if isinstance(error, json.JSONDecodeError) else 1
            reason = f"must be JSON (syntax error at character {position})"
            source.problems.append(
                SettingsProblem(dotted(key), reason, _describe_origin(name, source.file))
            )


def _is_plain_text(annotation: object, text: str) -> bool:
    """Return whether the text is the only value of a setting that can also hold a list."""
    return str in get_args(annotation) and not text.lstrip().startswith(("[", "{"))


def _validated(source: SettingsSource, root: type[BaseModel]) -> SettingsSource:
    """Replace original names by current ones, and move unknown keys to the problems."""
    for old in RENAMED:
        _rename(source, old)
    for key in list(_unknown_keys(source.tree, root)):
        origin = source.origin(key) or ""
        close = closest_key(root, key)
        source.problems.append(_unknown(dotted(key), dotted(close) if close else None, origin))
        pop_value(source.tree, key)
    return source


def _rename(source: SettingsSource, old: Key) -> None:
    new, write = RENAMED[old]
    if (value := pop_value(source.tree, old)) is None:
        return
    name = source.variables.pop(old, "")
    if get_value(source.tree, new) is not None:
        text = (
            f"is another name of {source.key_name(new)}. Both are set. Keep {source.key_name(new)}."
        )
        source.problems.append(
            SettingsProblem(dotted(old), text, _describe_origin(name, source.file))
        )
        return
    set_value(source.tree, new, write(value))
    source.renamed[new] = old
    if name:
        source.variables[new] = name


def _unknown(subject: str, suggestion: str | None, origin: str) -> SettingsProblem:
    hint = f"; did you mean {suggestion}?" if suggestion else ""
    return SettingsProblem(subject, f"unknown setting{hint}", origin)


def _unknown_keys(tree: Tree, annotation: object, parent: Key = ()) -> Iterator[Key]:
    for name, value in tree.items():
        inner = child_type(annotation, name)
        if inner is None:
            yield (*parent, name)
        elif is_nested(inner):
            yield from _unknown_keys(children(value), inner, (*parent, name))


def _normalize(content: object, annotation: object) -> object:
    """Return the content with string keys and without empty sections (`openai:`)."""
    if isinstance(content, list):
        return [
            _normalize(row, child_type(annotation, "0")) for row in cast("list[object]", content)
        ]
    if not isinstance(content, dict):
        return content
    named = {str(name): value for name, value in cast("dict[object, object]", content).items()}
    return {
        name: _normalize(value, child_type(annotation, name))
        for name, value in named.items()
        if value is not None or not is_nested(child_type(annotation, name))
    }


def _describe_origin(name: str, file: str) -> str:
    return f"{name} in {file}" if name and file else name or file


def _yaml_reason(error: Exception) -> str:
    """Describe the error and its position without quoting the file."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        problem = _QUOTED.sub("…", error.problem or "it is not valid YAML")
        return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"
    if isinstance(error, UnicodeError):
        return _NOT_UTF_8
    return "it is not valid YAML"
