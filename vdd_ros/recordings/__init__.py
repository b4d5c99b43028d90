"""Bags to demonstrations: what an operator did, sampled as the policy node would have seen it."""
