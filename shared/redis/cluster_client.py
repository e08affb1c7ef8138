"""A Redis Cluster: each command goes to the node that has its key.

    cluster://user:password@one:6379,two:6379,three:6379

`clusters://` is the same over TLS. The hosts are seeds: any one of them tells of all nodes. User,
password and parameters are those of every node.

redis-py's own cluster client closes all its connections when one node is lost, raises when it has
none left, and lets a pipeline fail whole. Here each node has a bounded pool of its own, and is lost
alone.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast
from urllib.parse import urlsplit

import redis.asyncio
from redis.asyncio.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.redis.client import (
    REDIS_AWAY,
    SILENCE_SECONDS,
    Argument,
    Redis,
    RedisError,
    away,
    pool_of,
)
from shared.redis.hash_slots import Address, Redirect, SlotMap, redirect_in, slot_of

_PORT = 6379
_FORM = "cluster://: name its nodes and no database, as cluster://one:6379,two:6379"
_SCHEMES = {"cluster": "redis", "clusters": "rediss"}
#: A node that says nothing for so long is passed over where others can be asked.
_ANSWER_SECONDS = 1.0
#: Before a command is sent again whose keys are elsewhere, or on their way.
_PAUSES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)

Command = tuple[Argument, ...]


class ClusterClient:
    """What `shared.redis.client.Redis` has, for commands each of whose keys share a slot."""

    def __init__(self, url: str, *, name: str, max_connections: int) -> None:
        """At most `max_connections` to each node.

        Raises:
            ValueError: if the URL names no host, a database, or an unknown parameter.
        """
        self.options, self.seeds = _parse(url)
        self.slots = SlotMap()
        self._name = name
        self._max_connections = max_connections
        self._clients: dict[Address, Redis] = {}
        self._look: asyncio.Task[Exception | None] | None = None
        self._new_pool(self.seeds[0])  # which refuses what no node could be asked with

    async def execute_command(self, *args: Argument) -> Any:  # noqa: ANN401  (any reply)
        [reply] = await self.send([args])
        if isinstance(reply, Exception):
            raise reply
        return reply

    def pipeline(self, *, transaction: bool = True) -> "ClusterPipeline":
        if transaction:
            raise ValueError("Nodes of a cluster have no transaction in common.")
        return ClusterPipeline(self)

    async def aclose(self) -> None:
        if self._look is not None:
            self._look.cancel()
        await asyncio.gather(*(client.aclose() for client in self._clients.values()))

    def owner(self, key: str | bytes) -> Address | None:
        """The node that has the key, as far as is known."""
        return self.slots.owner(slot_of(key))

    def moves(self, key: str | bytes) -> bool:
        """Whether keys of its slot were found to be on their way to another node."""
        return self.slots.moves(slot_of(key))

    async def each(self, *command: Argument) -> dict[Address, object]:
        """What each node that has slots replies; where it does not, the error.

        Raises:
            RedisConnectionError: if none can be asked.
        """
        if error := await self.refresh():
            raise error
        nodes = self.slots.nodes
        replies = await asyncio.gather(*(self._ask(node, *command) for node in nodes))
        return dict(zip(nodes, replies, strict=True))

    async def refresh(self) -> Exception | None:
        """Learn who has what; the error where nobody can be asked. Those who ask at once share."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._refresh())
        return await asyncio.shield(self._look)

    async def _refresh(self) -> Exception | None:
        said: Exception | str = ""
        for node in self._known():
            reply = await self._ask(node, "CLUSTER", "SLOTS")
            if isinstance(reply, list) and reply:
                self.slots.learn(cast("list[list[Any]]", reply), node)
                return None
            said = reply if isinstance(reply, Exception) else "no node has slots"
            if "cluster support disabled" in str(said):
                said = (
                    f"{node} is no node of a cluster; where one server has the logs, write redis://"
                )
        return RedisConnectionError(f"The cluster cannot be asked: {said}")

    def _known(self) -> Iterator[Address]:
        """In any order: a node that is cut off from the rest must not be asked first each time."""
        known = self.slots.nodes
        yield from random.sample(known, len(known))
        yield from (seed for seed in self.seeds if seed not in known)

    async def _ask(self, node: Address, *command: Argument) -> object:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._client(node).execute_command(*command)
        except TimeoutError:
            return RedisConnectionError(f"{node} does not answer.")
        except (*REDIS_AWAY, RedisError) as error:
            return error

    def _client(self, node: Address) -> Redis:
        if node not in self._clients:
            pool = self._new_pool(node)
            self._clients[node] = cast("Redis", redis.asyncio.Redis.from_pool(pool))
        return self._clients[node]

    def _new_pool(self, node: Address) -> redis.asyncio.BlockingConnectionPool:
        server = {**self.options, "host": node.host, "port": node.port}
        return pool_of(server, name=self._name, max_connections=self._max_connections)

    async def send(self, commands: Sequence[Command]) -> list[object]:
        """The reply to each, or its error. Each node gets its own at once, in one round trip."""
        sendings = [_Sending(command, slot_of(_key(command))) for command in commands]
        left = sendings
        for pause in (*_PAUSES, None):
            await self._send(left)
            for one in left:
                if one.redirect is not None:
                    self.slots.follow(one.redirect)
            if any(one.at_a_loss for one in left):
                await self.refresh()
            left = [one for one in left if self._may_succeed(one)]
            if not left or pause is None:
                break
            await asyncio.sleep(pause)
        return [one.error or one.reply for one in sendings]

    def _may_succeed(self, one: "_Sending") -> bool:
        """Whether it has failed, and another try has a reason."""
        if one.redirect is not None or one.torn:
            return True
        return one.at_a_loss and self.slots.owner(one.slot) not in (None, one.node)

    async def _send(self, sendings: "Sequence[_Sending]") -> None:
        if any(self.slots.owner(one.slot) is None for one in sendings):
            await self.refresh()
        groups: defaultdict[tuple[Address, bool], list[_Sending]] = defaultdict(list)
        for one in sendings:
            if node := one.route(self.slots.owner(one.slot)):
                groups[node, one.asking].append(one)
        calls = [self._send_to(*place, group) for place, group in groups.items()]
        await (calls[0] if len(calls) == 1 else asyncio.gather(*calls))

    async def _send_to(self, node: Address, asking: bool, sendings: "list[_Sending]") -> None:  # noqa: FBT001
        """To one node. `asking` lets it serve keys of a slot that it does not have yet."""
        prefix: list[Command] = [("ASKING",)] if asking else []
        commands = [command for one in sendings for command in (*prefix, one.command)]
        try:
            async with asyncio.timeout(SILENCE_SECONDS):  # all tries of the pool together
                replies = await self._replies(node, commands)
        except TimeoutError:
            replies = [RedisConnectionError(f"{node} does not answer.")] * len(commands)
        except (*REDIS_AWAY, RedisError) as error:
            replies = [error] * len(commands)
        for one, reply in zip(sendings, replies[asking :: 1 + asking], strict=True):
            one.take(reply)

    async def _replies(self, node: Address, commands: Sequence[Command]) -> list[Any]:
        client = self._client(node)
        if len(commands) == 1:
            return [await client.execute_command(*commands[0])]
        async with client.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            return await pipe.execute(raise_on_error=False)


@dataclass(slots=True)
class _Sending:
    """A command on its way, and what has come of it."""

    command: Command
    slot: int
    node: Address | None = None
    asking: bool = False
    reply: object = None
    error: Exception | None = None
    redirect: Redirect | None = None

    @property
    def at_a_loss(self) -> bool:
        """Whether its node could not serve it, and somebody else may."""
        return isinstance(self.error, REDIS_AWAY) and not (self.redirect and self.redirect.once)

    @property
    def torn(self) -> bool:
        """Whether some of its keys are here, and some are there."""
        return str(self.error).startswith("TRYAGAIN")

    def route(self, owner: Address | None) -> Address | None:
        """Where it goes next; None if nobody has its slot."""
        self.node = self.redirect.node if self.redirect else owner
        self.asking = self.redirect is not None and self.redirect.once
        self.redirect = None
        if self.node is None:
            self.error = RedisConnectionError(f"No node of the cluster has slot {self.slot}.")
        return self.node

    def take(self, reply: object) -> None:
        failed = isinstance(reply, Exception)
        self.reply, self.error = reply, away(reply) if failed else None
        self.redirect = redirect_in(reply, self.node) if failed and self.node else None


class ClusterPipeline:
    """Commands that are sent together, to each node its own."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client
        self._commands: list[Command] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._commands = []

    def execute_command(self, *args: Argument) -> None:
        self._commands.append(args)

    async def execute(self, *, raise_on_error: bool = True) -> list[Any]:
        commands, self._commands = self._commands, []
        replies = await self._client.send(commands)
        if raise_on_error and (errors := [r for r in replies if isinstance(r, Exception)]):
            raise errors[0]
        return replies


def _parse(url: str) -> tuple[dict[str, Any], list[Address]]:
    """What every connection has in common, in redis-py's words; and the seeds."""
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    seeds = [_seed(host) for host in hosts.split(",") if host]
    if not seeds or parts.path.strip("/") not in ("", "0"):
        raise ValueError(_FORM)
    plain = f"{_SCHEMES[parts.scheme]}://{credentials}@node/0?{parts.query}"
    options = dict(parse_url(plain))
    if options["db"] or not all(seed.host for seed in seeds):
        raise ValueError(_FORM)
    return options, seeds


def _seed(host: str) -> Address:
    parts = urlsplit(f"//{host}")
    return Address(parts.hostname or "", parts.port or _PORT)


def _key(command: Command) -> str:
    """The first of its keys."""
    return str(command[3 if command[0] in ("EVALSHA", "EVAL") else 1])
