"""Tests of what reads the configuration of other routers."""
