"""The settings' sources: files and the environment, each read into one tree.

A source never raises: what is wrong with it is one of its problems, so that all are told at once.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import yaml
from dotenv import dotenv_values
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

#: The names that the whole field knows.
_OPENAI = {
    "OPENAI_API_KEY": ("openai", "api_key"),
    "OPENAI_API_BASE_URL": ("openai", "base_url"),
}
#: What Kubernetes puts into `MAMBA_SERVER_PORT` beside a service that is called mamba-server.
_SERVICE_LINK = re.compile(r"^(tcp|udp|sctp)://")
#: A YAML parser's words about what it read; the file may hold keys.
_QUOTED = re.compile(r"'[^'<][^']+'")


@dataclass(frozen=True)
class SettingsProblem:
    """What is wrong with one setting, or with how several go together, and where it was set."""

    subject: str
    text: str
    source: str = ""

    def __str__(self) -> str:
        what = f"{self.subject}: " if self.subject else ""
        return f"{what}{self.text}" + (f" ({self.source})" if self.source else "")


@dataclass
class SettingsSource:
    """One file, or the environment."""

    #: The file's path as it is shown; empty for the environment.
    file: str = ""
    tree: Tree = field(default_factory=dict[str, object])
    #: Which variable set a key. None of them in YAML.
    variables: dict[Key, str] = field(default_factory=dict[Key, str])
    #: The keys that were set by an old name, and that name.
    renamed: dict[Key, Key] = field(default_factory=dict[Key, Key])
    problems: list[SettingsProblem] = field(default_factory=list[SettingsProblem])

    def origin(self, key: Key) -> str | None:
        """Where this source sets a key; None if it does not."""
        if get_value(self.tree, key) is None:
            return None
        name = self._variable(key)
        return f"{name} in {self.file}" if name and self.file else name or self.file

    def key_name(self, key: Key) -> str:
        """A key as this source would write it."""
        return variable_name(key) if self.variables else dotted(key)

    def _variable(self, key: Key) -> str:
        for length in range(len(key), 0, -1):
            if name := self.variables.get(key[:length]):
                return name
        inner = sorted(name for k, name in self.variables.items() if k[: len(key)] == key)
        return inner[0] if inner else ""


def read_yaml(root: type[BaseModel], path: Path) -> SettingsSource:
    """A file of sections; one that is not there says nothing."""
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
    named = _named(content, root)
    if is_tree(named):
        source.tree = named
    elif content is not None:
        source.problems.append(
            SettingsProblem(str(path), "must hold sections, such as: server: {port: 1}")
        )
    return _checked(source, root)


def read_env_file(root: type[BaseModel], path: Path, shown: str) -> SettingsSource:
    """A file of variables; those of other programs are let be."""
    try:
        found = dotenv_values(path, encoding="utf-8") if path.exists() else {}
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        return SettingsSource(
            file=shown, problems=[SettingsProblem(shown, f"cannot be read: {reason}")]
        )
    return read_variables(root, {name: value or "" for name, value in found.items()}, file=shown)


def read_variables(
    root: type[BaseModel], environment: Mapping[str, str], *, file: str = ""
) -> SettingsSource:
    """The variables that are ours: a section's, or with `__` in them. An empty one is unset."""
    source = SettingsSource(file=file)
    for name, key in _ours(root, environment, source):
        source.variables[key] = name
        _set(source, root, key, environment[name])
    return _checked(source, root)


def _ours(
    root: type[BaseModel], environment: Mapping[str, str], source: SettingsSource
) -> Iterator[tuple[str, Key]]:
    """Variables and their keys, so ordered that what is to go before comes after."""
    found = {
        name: _key_of(name)
        for name, value in environment.items()
        if name.upper().startswith(PREFIX) and value
    }
    for name, key in _OPENAI.items():
        if environment.get(name):
            yield name, key
    for name, key in sorted(found.items(), key=lambda pair: (len(pair[1]), pair[0].isupper())):
        if len(key) > 1 or type_of(root, key) is not None:
            yield name, key
        elif meant := _too_few_underscores(root, name, environment[name]):
            source.problems.append(_unknown(name, meant, source.file))


def _key_of(name: str) -> Key:
    return tuple(name.upper().removeprefix(PREFIX).lower().split(DELIMITER))


def _too_few_underscores(root: type[BaseModel], name: str, value: str) -> str | None:
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
        source.problems.append(_unknown(name, variable_name(close) if close else None, source.file))
    elif annotation is None or not is_compound(annotation):
        set_value(source.tree, key, text)
    else:
        try:
            set_value(source.tree, key, _named(json.loads(text), annotation))
        except json.JSONDecodeError as error:
            reason = f"must be JSON, but is not at character {error.pos + 1}"
            source.problems.append(SettingsProblem(dotted(key), reason, _place(name, source.file)))


def _checked(source: SettingsSource, root: type[BaseModel]) -> SettingsSource:
    """The source with today's names, without the keys that nobody knows: those are its problems."""
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
        text = f"is the old name of {source.key_name(new)}, which is set too: keep that one"
        source.problems.append(SettingsProblem(dotted(old), text, _place(name, source.file)))
        return
    set_value(source.tree, new, write(value))
    source.renamed[new] = old
    if name:
        source.variables[new] = name


def _unknown(what: str, meant: str | None, origin: str) -> SettingsProblem:
    hint = f"; did you mean {meant}?" if meant else ""
    return SettingsProblem(what, f"there is no such setting{hint}", origin)


def _unknown_keys(tree: Tree, annotation: object, above: Key = ()) -> Iterator[Key]:
    for name, value in tree.items():
        inner = child_type(annotation, name)
        if inner is None:
            yield (*above, name)
        elif is_nested(inner):
            yield from _unknown_keys(children(value), inner, (*above, name))


def _named(content: object, annotation: object) -> object:
    """Content whose keys are all words, and whose empty sections (`openai:`) say nothing."""
    if isinstance(content, list):
        return [_named(row, child_type(annotation, "0")) for row in cast("list[object]", content)]
    if not isinstance(content, dict):
        return content
    named = {str(name): value for name, value in cast("dict[object, object]", content).items()}
    return {
        name: _named(value, child_type(annotation, name))
        for name, value in named.items()
        if value is not None or not is_nested(child_type(annotation, name))
    }


def _place(name: str, file: str) -> str:
    return f"{name} in {file}" if name and file else name or file


def _yaml_reason(error: Exception) -> str:
    """What is wrong and where, without a word of the file's."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        problem = _QUOTED.sub("…", error.problem or "it is not YAML")
        return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"
    return "it is not YAML text"
