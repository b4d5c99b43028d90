"""Avoiding, a task of D3IL."""
