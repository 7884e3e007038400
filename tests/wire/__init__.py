"""Tests of the router: wire."""
