from typing import TypedDict, Unpack

import pytest

from shared.redis.scripts import Arguments, Key, Keys, OptionalKey, redis_script


class Common(TypedDict):
    queue: Key
    count: int


def test_parameters_become_named_lua_locals() -> None:
    @redis_script("return rest")
    def script(*, rest: Arguments, lease: OptionalKey, **common: Unpack[Common]) -> int: ...

    assert "local lease = KEYS[1]\nlocal queue = KEYS[2]\n" in script.text
    assert "local count = tonumber(ARGV[1])\n" in script.text
    assert "local rest = {unpack(ARGV, 2, math.min(#ARGV, 1001))}\n" in script.text
    assert "for i = 1002, #ARGV do rest[i - 1] = ARGV[i] end\n" in script.text


def test_two_sequences_of_one_kind_are_rejected() -> None:
    def declaration(*, queues: Keys, wakeups: Keys) -> None: ...

    with pytest.raises(TypeError, match="one sequence of KEYS: queues, wakeups"):
        redis_script("")(declaration)


def test_functions_that_a_script_does_not_use_are_left_out() -> None:
    library = """
-- Adds with inner_used.
local function unused(a) return inner_used(a) end
local function inner_used(a)
  if a then return a end
end
local function used(a) return inner_used(a) end
"""

    @redis_script(library, "return used(count)")
    def script(*, count: int) -> int: ...

    assert script.text == (
        "local count = tonumber(ARGV[1])\n\n\n"
        "local function inner_used(a)\n  if a then return a end\nend\n"
        "local function used(a) return inner_used(a) end\nreturn used(count)"
    )
