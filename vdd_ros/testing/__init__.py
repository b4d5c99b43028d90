"""Conformance tests for plug-ins of other packages; call them from the tests of your own package."""
