"""The bot on the web: one process that serves its own API, a WebSocket and the channels."""
