"""Encoders: five ways to look at one text."""
