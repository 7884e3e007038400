"""The test suites of PyMySQL and aiomysql pass through the router as they pass against a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from router.sandbox import Flavor
from tests.fix_servers import FLAVORS
from tests.suites.drivers import (
    AUTH_PASSWORDS,
    PYMYSQL_DATABASES,
    certificates,
    create_auth_accounts,
    run_aiomysql,
    run_pymysql,
)
from tests.suites.places import Place, Places, compare, in_front_of, new_password, start

SUITES: dict[str, Callable[[Path, Place], dict[str, str]]] = {"pymysql": run_pymysql, "aiomysql": run_aiomysql}
Results = dict[str, dict[str, dict[str, str]]]

# Differences there to stay; every one is in docs/reference/compatibility.md.
BY_DESIGN: dict[str, str] = {}
# Differences to be mended in the router; tests of both suites and of both flavours, by name.
OURS = {
    "pymysql.tests.test_issues.TestNewIssues.test_issue_36": "SHOW PROCESSLIST names the server's ids",
}
# Outcomes that change from run to run against a server alone.
FLAKY = frozenset(f"tests.test_issues.test_issue_36[{loop}-tcp]" for loop in ("asyncio", "uvloop"))


@pytest.fixture(scope="module", params=FLAVORS)
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    """Outcomes by suite, place and test. The suites run side by side, in databases of their own."""
    flavor: Flavor = request.param
    tls = {"ca": "ca.pem", "cert": "server-cert.pem", "key": "server-key.pem"}
    options = [f"--ssl-{option}={certificates() / name}" for option, name in tls.items()]
    with start(flavor, [*options, "--lock-wait-timeout=2"]) as servers:
        directory = tmp_path_factory.mktemp(f"drivers-{flavor}")
        accounts = {"root": new_password(servers), **AUTH_PASSWORDS}
        listener = {"certificate": f"{certificates()}/server-cert.pem", "key": f"{certificates()}/server-key.pem"}
        with in_front_of(servers, directory, accounts=accounts, tls=listener) as places:
            yield _run(places, directory)


def _run(places: Places, directory: Path) -> Results:
    found: Results = {suite: {} for suite in SUITES}
    for place in places.both:
        places.clean(PYMYSQL_DATABASES)
        create_auth_accounts(places)
        with ThreadPoolExecutor() as pool:
            futures = {suite: pool.submit(_run_suite, suite, place, directory) for suite in SUITES}
        for suite, future in futures.items():
            found[suite][place.through] = future.result()
    return found


def _run_suite(suite: str, place: Place, directory: Path) -> dict[str, str]:
    work = directory / f"{place.through}-{suite}"
    work.mkdir()
    return SUITES[suite](work, place)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("suite", SUITES)
def test_passes_the_same_tests(results: Results, suite: str) -> None:
    direct, router = results[suite]["direct"], results[suite]["router"]
    passed = {name for run in (direct, router) for name, outcome in run.items() if outcome == "passed"}
    assert len(passed) > 100, direct
    compare(
        {name: direct.get(name) for name in passed},
        {name: router.get(name) for name in passed},
        {name: why for name, why in (BY_DESIGN | OURS).items() if name in passed},
        flaky=FLAKY,
    )
