"""Tests of the router: backend."""
