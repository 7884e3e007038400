"""Tests of the router: config."""
