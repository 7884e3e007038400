"""Tests of the router: bench."""
