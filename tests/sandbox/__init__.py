"""Tests of the router: sandbox."""
