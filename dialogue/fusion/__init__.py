"""The fusion Transformer and what it reads."""
