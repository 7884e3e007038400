"""Tests of the router: fuzz."""
