"""Tests of the router: integration."""
