"""Tests of the router: admin."""
