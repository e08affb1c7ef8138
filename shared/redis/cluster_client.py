"""A client of a Redis Cluster: sends each command to the node that owns its key.

    cluster://user:password@host1:6379,host2:6379,host3:6379

`clusters://` uses TLS. The hosts are seeds: any of them can report all nodes. User, password and
parameters apply to every node.

redis-py's cluster client closes all connections when one node is lost, and then a whole pipeline
fails. This client has a bounded pool per node, so a lost node fails only its own commands.
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
    REDIS_UNAVAILABLE,
    Argument,
    Redis,
    RedisError,
    as_unavailable,
    pool_for,
)
from shared.redis.confirmation import Confirmation
from shared.redis.hash_slots import Address, Redirect, SlotMap, hash_tag_of, redirect_in, slot_of
from shared.telemetry.metrics import CONFIRM_SECONDS

_PORT = 6379
_URL_ERROR = "cluster:// needs the nodes and no database, such as cluster://host1:6379,host2:6379."
_SCHEMES = {"cluster": "redis", "clusters": "rediss"}
#: Longest wait for a node's reply to a request that other nodes can answer.
_REPLY_SECONDS = 1.0
#: Longest wait for a node, which another one may have replaced. It is shorter than the limit of a
#: `BoundedClient`, whose cancellation would prevent that the slots are read again.
_NODE_SECONDS = 2.5
#: Delays before a command is sent again because its keys have moved or are moving.
_RETRY_DELAYS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)

#: How many hash tags are tried to find one of a node: each node has many slots.
_MAX_HASH_TAGS = 1000

Command = tuple[Argument, ...]


class ClusterClient:
    """Implements `shared.redis.client.Redis`. All keys of a command must share a slot."""

    def __init__(
        self,
        url: str,
        *,
        name: str,
        max_connections: int,
        confirmation: Confirmation | None = None,
    ) -> None:
        """Open at most `max_connections` to each node, and confirm each call if requested.

        Raises:
            ValueError: if the URL has no host, a database, or an unknown parameter.
        """
        self.options, self.seeds = _parse(url)
        self.slots = SlotMap()
        self._name = name
        self._max_connections = max_connections
        self._confirmation = confirmation
        self._clients: dict[Address, Redis] = {}
        self._refreshing: asyncio.Task[Exception | None] | None = None
        self._new_pool(self.seeds[0])  # checks the options

    async def execute_command(self, *args: Argument) -> Any:  # noqa: ANN401  (any reply)
        [reply] = await self.send([args])
        if isinstance(reply, Exception):
            raise reply
        return reply

    def pipeline(self, *, transaction: bool = True) -> "ClusterPipeline":
        if transaction:
            raise ValueError("A cluster has no transactions across nodes.")
        return ClusterPipeline(self)

    async def aclose(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
        await asyncio.gather(*(client.aclose() for client in self._clients.values()))

    def owner(self, key: str | bytes) -> Address | None:
        """Return the node that owns the key, as far as known."""
        return self.slots.owner(slot_of(key))

    def is_moving(self, key: str | bytes) -> bool:
        """Return whether the slot of `key` is moving to another node."""
        return self.slots.is_moving(slot_of(key))

    async def each(self, *command: Argument) -> dict[Address, object]:
        """Send a command to every node that owns slots; return each reply or error.

        Raises:
            RedisConnectionError: if no node responds.
        """
        if error := await self.refresh():
            raise error
        nodes = self.slots.nodes
        replies = await asyncio.gather(*(self._request(node, *command) for node in nodes))
        return dict(zip(nodes, replies, strict=True))

    async def refresh(self) -> Exception | None:
        """Read the slot map; return the error if no node responds. Concurrent calls share one."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        return await asyncio.shield(self._refreshing)

    async def _refresh(self) -> Exception | None:
        reason, cause = "", None
        for node in self._known():
            reply = await self._request(node, "CLUSTER", "SLOTS")
            if isinstance(reply, list) and reply:
                self.slots.update(cast("list[list[Any]]", reply), node)
                return None
            cause = reply if isinstance(reply, Exception) else None
            reason = str(cause) if cause else "no node has slots"
            if "cluster support disabled" in reason:
                reason = f"{node} is not a cluster node; use redis:// for a single server"
        error = RedisConnectionError(f"No node of the cluster responds: {reason}")
        error.__cause__ = cause
        return error

    def _known(self) -> Iterator[Address]:
        """Return all nodes in random order: one that is cut off must not come first each time."""
        known = self.slots.nodes
        yield from random.sample(known, len(known))
        yield from (seed for seed in self.seeds if seed not in known)

    async def _request(self, node: Address, *command: Argument) -> object:
        try:
            async with asyncio.timeout(_REPLY_SECONDS):
                return await self._client(node).execute_command(*command)
        except TimeoutError:
            return RedisConnectionError(f"{node} does not respond.")
        except (*REDIS_UNAVAILABLE, RedisError) as error:
            return error

    def _client(self, node: Address) -> Redis:
        if node not in self._clients:
            pool = self._new_pool(node)
            self._clients[node] = cast("Redis", redis.asyncio.Redis.from_pool(pool))
        return self._clients[node]

    def _new_pool(self, node: Address) -> redis.asyncio.BlockingConnectionPool:
        server = {**self.options, "host": node.host, "port": node.port}
        return pool_for(server, name=self._name, max_connections=self._max_connections)

    async def send(self, commands: Sequence[Command]) -> list[object]:
        """Send commands; return each reply or error. Nodes receive theirs concurrently."""
        requests = [_Request(command, slot_of(_key(command))) for command in commands]
        pending = requests
        for delay in (*_RETRY_DELAYS, None):
            await self._send(pending)
            for request in pending:
                if request.redirect is not None:
                    self.slots.follow(request.redirect)
            if any(request.failed_over for request in pending):
                await self.refresh()
            pending = [request for request in pending if self._should_retry(request)]
            if not pending or delay is None:
                break
            await asyncio.sleep(delay)
        return [request.error or request.reply for request in requests]

    def _should_retry(self, request: "_Request") -> bool:
        if request.redirect is not None or request.keys_are_split:
            return True
        return request.failed_over and self.slots.owner(request.slot) not in (None, request.node)

    async def _send(self, requests: "Sequence[_Request]") -> None:
        if any(self.slots.owner(request.slot) is None for request in requests):
            await self.refresh()
        groups: defaultdict[tuple[Address, bool], list[_Request]] = defaultdict(list)
        for request in requests:
            if node := request.route(self.slots.owner(request.slot)):
                groups[node, request.asking].append(request)
        calls = [self._send_to(node, asking, group) for (node, asking), group in groups.items()]
        await (calls[0] if len(calls) == 1 else asyncio.gather(*calls))

    async def _send_to(self, node: Address, asking: bool, requests: "list[_Request]") -> None:  # noqa: FBT001
        """Send to one node. `asking` requests keys of a slot that it is still importing."""
        prefix: list[Command] = [("ASKING",)] if asking else []
        commands = [command for request in requests for command in (*prefix, request.command)]
        try:
            async with asyncio.timeout(_NODE_SECONDS):  # for all retries of the pool
                key = _key(requests[0].command) if asking else None
                replies = await self._confirmed_replies(node, commands, asking_for=key)
        except TimeoutError:
            replies = [RedisConnectionError(f"{node} does not respond.")] * len(commands)
        except (*REDIS_UNAVAILABLE, RedisError) as error:
            replies = [error] * len(commands)
        for request, reply in zip(requests, replies[asking :: 1 + asking], strict=True):
            request.take(reply)

    async def _confirmed_replies(
        self, node: Address, commands: Sequence[Command], *, asking_for: str | None
    ) -> list[Any]:
        """Return the replies of a node. `asking_for` is a key of a slot that it is importing."""
        if self._confirmation is None:
            return await self._replies(node, commands)
        # A node that imports its first slot owns none that the write could use.
        tag = self._hash_tag(node) if asking_for is None else hash_tag_of(asking_for)
        asking: list[Command] = [] if asking_for is None else [("ASKING",)]
        confirmation = [*asking, *self._confirmation.commands(tag)]
        with CONFIRM_SECONDS.time():
            replies = await self._replies(node, [*commands, *confirmation])
        written, confirmed = replies[-2:]
        replies = replies[: len(commands)]
        if redirect := redirect_in(written, node):
            self.slots.follow(redirect)
        self._confirmation.check(written, confirmed)
        return replies

    def _hash_tag(self, node: Address) -> str:
        """Return a hash tag whose slot the node owns, and is not moving."""
        tags = map(str, range(_MAX_HASH_TAGS))
        owned = (tag for tag in tags if self.owner(tag) == node and not self.is_moving(tag))
        return next(owned, "0")

    async def _replies(self, node: Address, commands: Sequence[Command]) -> list[Any]:
        client = self._client(node)
        if len(commands) == 1:
            return [await client.execute_command(*commands[0])]
        async with client.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            return await pipe.execute(raise_on_error=False)


@dataclass(slots=True)
class _Request:
    """A command, and its reply or error."""

    command: Command
    slot: int
    node: Address | None = None
    asking: bool = False
    reply: object = None
    error: Exception | None = None
    redirect: Redirect | None = None

    @property
    def failed_over(self) -> bool:
        """Whether the node failed to serve the command and another node may."""
        redirected_once = self.redirect is not None and self.redirect.once
        return isinstance(self.error, REDIS_UNAVAILABLE) and not redirected_once

    @property
    def keys_are_split(self) -> bool:
        """Whether only some keys of the command have moved."""
        return str(self.error).startswith("TRYAGAIN")

    def route(self, owner: Address | None) -> Address | None:
        """Set and return the node to send to; None if the slot has no owner."""
        self.node = self.redirect.node if self.redirect else owner
        self.asking = self.redirect is not None and self.redirect.once
        self.redirect = None
        if self.node is None:
            self.error = RedisConnectionError(f"No node of the cluster owns slot {self.slot}.")
        return self.node

    def take(self, reply: object) -> None:
        failed = isinstance(reply, Exception)
        self.reply, self.error = reply, as_unavailable(reply) if failed else None
        self.redirect = redirect_in(reply, self.node) if failed and self.node else None


class ClusterPipeline:
    """Commands that are sent together, each to its node."""

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
    """Return redis-py's options for every connection, and the seeds."""
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    seeds = [_seed(host) for host in hosts.split(",") if host]
    if not seeds or parts.path.strip("/") not in ("", "0"):
        raise ValueError(_URL_ERROR)
    plain = f"{_SCHEMES[parts.scheme]}://{credentials}@node/0?{parts.query}"
    options = dict(parse_url(plain))
    if options["db"] or not all(seed.host for seed in seeds):
        raise ValueError(_URL_ERROR)
    return options, seeds


def _seed(host: str) -> Address:
    parts = urlsplit(f"//{host}")
    return Address(parts.hostname or "", parts.port or _PORT)


def _key(command: Command) -> str:
    """Return the first key of a command."""
    return str(command[3 if command[0] in ("EVALSHA", "EVAL") else 1])
