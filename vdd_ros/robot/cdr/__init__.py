"""Selective reading of serialised messages: only the fields that somebody asks for."""
