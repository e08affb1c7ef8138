"""Lua scripts that are called like functions: keyword parameters become KEYS and ARGV.

    @redis_script("return redis.call('SET', lock, owner, 'NX', 'PX', ttl_ms)")
    def acquire(*, lock: Key, owner: str, ttl_ms: int) -> bytes | None: ...

    await acquire(redis, lock="mamba:lock", owner="worker-1", ttl_ms=5000)

Each parameter is a Lua local of the same name. `int` and `float` arrive as numbers, everything else
as a string. Every script can call `now_ms()` and `now_us()`, the time of the Redis server, and
`keep(key, ttl_ms)`, which extends the TTL of a key and never shortens it.

The parts of a script can define functions for many scripts. Those that a script does not use are
left out, because Lua creates them in each call. Such a function starts with `local function` at the
beginning of a line. It ends on the same line, or at the next line that is `end`.

A script that ends or stops something must also work when the memory of Redis is used up: pass
`when_full=True`. All other scripts fail then, at their first command that needs memory.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha1
from inspect import Parameter, signature
from typing import (
    Annotated,
    Any,
    Generic,
    ParamSpec,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from redis.exceptions import NoScriptError, ResponseError

from shared.redis.client import Argument, Pipeline, Redis, as_unavailable

#: A parameter that is a key. All others are arguments.
Key = Annotated[str, "key"]
#: A key that may be left out: the Lua local is nil if it is None. Must be the last key.
OptionalKey = Annotated[str | None, "key"]
#: Any number of keys, as a Lua table. A script can have one parameter of this type.
Keys = Annotated[Sequence[str], "keys"]
#: Any number of arguments, as a Lua table of strings. A script can have one parameter of this type.
Arguments = Sequence[Argument]

P = ParamSpec("P")
ReplyT = TypeVar("ReplyT")

#: Permits the script when the memory is used up. Must be the first line.
WHEN_FULL = "#!lua flags=allow-oom\n"
_FUNCTIONS = """
local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
local function now_ms() return math.floor(now_us() / 1000) end
local function keep(key, ttl_ms)
  if redis.call('PTTL', key) < ttl_ms then redis.call('PEXPIRE', key, ttl_ms) end
end
"""

#: How many values Lua copies into a table at once, which is faster than one by one.
_MAX_UNPACKED = 1000
_FUNCTION = re.compile(r"^local function (\w+)\((?:.* end|(?s:.*?)\nend)\n", re.MULTILINE)
_WORD = re.compile(r"\w+")
_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)


class RedisScript(Generic[P, ReplyT]):
    """A Lua script. It is sent to a server once and then called by its hash."""

    def __init__(
        self, declaration: Callable[P, ReplyT], body: str, *, when_full: bool = False
    ) -> None:
        hints = _parameters(declaration)
        self._keys = _Values("KEYS", {name: hint for name, hint in hints.items() if _is_key(hint)})
        self._args = _Values("ARGV", {n: hint for n, hint in hints.items() if n not in self._keys})
        flags = WHEN_FULL if when_full else ""
        lua = _without_unused_functions(f"{_FUNCTIONS}{body}")
        self.text = f"{flags}{self._keys.locals()}{self._args.locals()}{lua}"
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, redis: Redis, *_: P.args, **parameters: P.kwargs) -> ReplyT:
        """Run the script.

        Raises:
            REDIS_UNAVAILABLE: if Redis cannot serve the call now.
            RedisError: if the script fails.
        """
        values = self._values(parameters)
        try:
            try:
                reply = await redis.execute_command("EVALSHA", self.sha, *values)
            except NoScriptError:
                reply = await redis.execute_command("EVAL", self.text, *values)
        except ResponseError as error:
            raise as_unavailable(error) from error
        return cast("ReplyT", reply)

    def add_to(self, pipe: Pipeline, *_: P.args, **parameters: P.kwargs) -> None:
        """Add a call to a pipeline. Its reply is a NoScriptError if the server lacks the script."""
        pipe.execute_command("EVALSHA", self.sha, *self._values(parameters))

    def add_text_to(self, pipe: Pipeline, *_: P.args, **parameters: P.kwargs) -> None:
        """Add a call to a pipeline that sends the whole script."""
        pipe.execute_command("EVAL", self.text, *self._values(parameters))

    def _values(self, parameters: Mapping[str, Any]) -> list[Argument]:
        keys = self._keys.of(parameters)
        return [len(keys), *keys, *self._args.of(parameters)]


def redis_script(
    *lua: str, when_full: bool = False
) -> Callable[[Callable[P, ReplyT]], RedisScript[P, ReplyT]]:
    """Make a script of a function's signature and the Lua text, given in one or more parts."""
    return lambda declaration: RedisScript(declaration, "".join(lua), when_full=when_full)


def lua_key(key: Callable[[str], str], variable: str) -> str:
    """Return a Lua expression for a key that contains the value of a Lua variable."""
    pattern = key(f"' .. {variable} .. '")
    return f"'{pattern}'"


def _without_unused_functions(lua: str) -> str:
    """Remove the functions whose names do not follow later, and the lines that are comments."""
    lua = _COMMENT.sub("", lua)
    kept: list[str] = []
    words: set[str] = set()
    end = len(lua)
    for function in reversed([*_FUNCTION.finditer(lua)]):
        kept.append(lua[function.end() : end])
        words.update(_WORD.findall(kept[-1]))
        if function[1] in words:
            kept.append(function[0])
            words.update(_WORD.findall(function[0]))
        end = function.start()
    return lua[:end] + "".join(reversed(kept))


class _Values:
    """The parameters that a script receives in one of the tables `KEYS` and `ARGV`."""

    def __init__(self, table: str, hints: Mapping[str, Any]) -> None:
        self._table = table
        self._hints = hints
        sequences = [name for name, hint in hints.items() if _is_sequence(hint)]
        if len(sequences) > 1:
            raise TypeError(f"A script can have one sequence of {table}: {', '.join(sequences)}")
        self._single = [name for name in hints if name not in sequences]
        #: Takes the rest of the table.
        self._rest = sequences[0] if sequences else None

    def __contains__(self, name: str) -> bool:
        return name in self._hints

    def of(self, parameters: Mapping[str, Any]) -> list[Argument]:
        values = [parameters[name] for name in self._single]
        if self._rest is not None:
            values.extend(parameters[self._rest])
        elif values and values[-1] is None:
            values.pop()
        return values

    def locals(self) -> str:
        """Return the Lua statements that give each value its name."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        for position, name in enumerate(self._single, start=1):
            value = f"{self._table}[{position}]"
            number = self._hints[name] in (int, float)
            yield f"local {name} = " + (f"tonumber({value})" if number else value)
        if self._rest is not None:
            before, last = len(self._single), len(self._single) + _MAX_UNPACKED
            count = f"#{self._table}"
            yield (
                f"local {self._rest} ="
                f" {{unpack({self._table}, {before + 1}, math.min({count}, {last}))}}"
            )
            yield (
                f"for i = {last + 1}, {count} do {self._rest}[i - {before}] = {self._table}[i] end"
            )


def _parameters(declaration: Callable[..., object]) -> dict[str, Any]:
    """Return the type of each parameter; those of an unpacked TypedDict in its place."""
    hints = get_type_hints(declaration, include_extras=True)
    parameters: dict[str, Any] = {}
    for parameter in signature(declaration).parameters.values():
        hint = hints[parameter.name]
        if parameter.kind is Parameter.VAR_KEYWORD:
            parameters |= get_type_hints(get_args(hint)[0], include_extras=True)
        else:
            parameters[parameter.name] = hint
    return parameters


def _is_key(hint: object) -> bool:
    return hint in (Key, OptionalKey, Keys)


def _is_sequence(hint: Any) -> bool:  # noqa: ANN401  (a type, in any form)
    return hint == Keys or get_origin(hint) is Sequence
