"""Which .test cases of MariaDB's main suite are run, and which are known to differ.

The cases in the folder ``cases`` pass against a server as mariadb-test-run.pl starts it, and most of them take less
than a fifth of a second. Left out are those that wait until the server's number of connections is what it was (the
router keeps its own), and func_sformat and func_system, whose nullable columns depend on what the connection was used
for before.
"""

from __future__ import annotations

from pathlib import Path


def cases(name: str) -> list[str]:
    """The names in ``cases/NAME.txt``."""
    return (Path(__file__).with_name("cases") / f"{name}.txt").read_text("ascii").split()


_QUERY_CACHE = "session_track_transaction_info turns MariaDB's query cache off"
# Differences there to stay; every one is in docs/reference/compatibility.md.
BY_DESIGN = {
    "alter_user": "a connection of an account outlives the account",
    "nested_profiling": "the router's own statements are in the profile",
    "parser": "KILL of an expression",
    "query_cache_innodb": _QUERY_CACHE,
    "query_cache_ps_no_prot": _QUERY_CACHE,
    "query_cache_with_views": _QUERY_CACHE,
    "show_profile": "the router's own statements are in the profile",
    "sp-bugs": "KILL of an expression",
}
# Differences to be mended in the router; of one variant only, with its name in front.
OURS: dict[str, str] = {}
# Differ in some runs, for want of this: a new session does not see a global variable set just before.
UNCERTAIN = frozenset({"cast", "func_json", "func_weight_string", "insert_notembedded"})
