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
    assert "for i = 2, #ARGV do rest[i - 1] = ARGV[i] end\n" in script.text


def test_two_sequences_of_one_kind_are_rejected() -> None:
    def declaration(*, queues: Keys, wakeups: Keys) -> None: ...

    with pytest.raises(TypeError, match="one sequence of KEYS: queues, wakeups"):
        redis_script("")(declaration)
