"""Conformance tests for what other packages add to vdd_ros; call them from the tests of your own package."""
