"""Tests of the router: engine."""
