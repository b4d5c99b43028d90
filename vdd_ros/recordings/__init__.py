"""Bags to demonstrations: an operator's recordings, sampled as the policy node would have seen them."""
