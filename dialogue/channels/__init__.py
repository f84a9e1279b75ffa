"""The ways to talk to a bot: one protocol of the outside world a file."""
