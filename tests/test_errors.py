"""The tree of exceptions: who is caught by whom, and what they say."""

from __future__ import annotations

import inspect

import pytest

from router import errors
from router.errors import AccessDenied, ConfigError, MySQLError, Problem, RouterError, Unsupported


def test_problems_say_where_they_are() -> None:
    assert str(Problem("routes.yaml", 12, 7, "groups.main", "is wrong")) == "routes.yaml:12:7: groups.main: is wrong"
    assert str(Problem("routes.yaml", 1, 1, "", "is empty")) == "routes.yaml:1:1: is empty"


def test_a_configuration_error_lists_everything() -> None:
    problems = [Problem("a.yaml", 1, 1, "users", "is missing"), Problem("a.yaml", 2, 3, "rules", "is wrong")]
    error = ConfigError(problems)
    assert error.problems == problems
    assert str(error).splitlines() == [str(problem) for problem in problems]


@pytest.mark.parametrize("kind", [MySQLError, AccessDenied, Unsupported])
def test_what_a_client_sees(kind: type[MySQLError]) -> None:
    error = kind(1064, "42000", "nonsense")
    assert (error.code, error.sqlstate, error.message) == (1064, "42000", "nonsense")
    assert str(error) == "1064 (42000): nonsense"


def test_the_tree_is_the_one_in_the_docstring() -> None:
    """One indentation deeper means a subclass of the line above it."""
    drawn = {}
    above: list[tuple[int, str]] = [(-1, "Exception")]
    for line in (errors.__doc__ or "").splitlines():
        name = line.lstrip(" │├└─").split(" ")[0]
        if not (
            name.endswith(("Error", "Lost", "Denied", "Timeout", "Large", "Unavailable", "Name", "Failed", "Away"))
            or name == "Unsupported"
        ):
            continue
        column = line.index(name)
        while above[-1][0] >= column:
            above.pop()
        drawn[name] = above[-1][1]
        above.append((column, name))
    real = {
        name: kind.__bases__[0].__name__
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, Exception)
    }
    assert drawn == real


def test_everything_is_a_router_error() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]
    assert len(kinds) > 8
    assert all(issubclass(kind, RouterError) for kind in kinds)
