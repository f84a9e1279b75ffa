"""Entities learned from annotated examples: which stretch of a message names what, and how surely."""
