"""Policies: from belief and conversation to a decision."""
