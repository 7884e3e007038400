"""Test suites of other projects, run against a server and through the router."""
