"""No request waits for a thread: a function that is not async runs in a thread pool."""

import importlib
import inspect
import pkgutil
from collections.abc import Generator
from types import ModuleType

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

import api


def modules() -> Generator[ModuleType]:
    for module in pkgutil.walk_packages(api.__path__, "api."):
        yield importlib.import_module(module.name)


def routes() -> list[APIRoute]:
    routers = {
        id(router): router
        for module in modules()
        if isinstance(router := getattr(module, "router", None), APIRouter)
    }
    return [
        route
        for router in routers.values()
        for route in router.routes
        if isinstance(route, APIRoute)
    ]


def functions(dependant: Dependant) -> Generator[object]:
    """Return the function of a route or dependency, and of all its dependencies."""
    yield dependant.call
    for dependency in dependant.dependencies:
        yield from functions(dependency)


def test_routes_and_dependencies_are_async() -> None:
    called = {function for route in routes() for function in functions(route.dependant)}
    assert len(called) > 20
    sync = [
        function
        for function in called
        if not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function))
    ]
    assert sync == []
