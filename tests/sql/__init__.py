"""Tests of the router: sql."""
