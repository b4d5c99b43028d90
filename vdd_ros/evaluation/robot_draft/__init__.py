"""Drafts a robot file from bags, with open questions for a person to answer."""
