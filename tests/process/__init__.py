"""Tests of the router: more than one process."""
