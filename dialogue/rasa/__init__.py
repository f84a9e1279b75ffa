"""Rasa 3 projects as they are: config.yml, endpoints.yml and credentials.yml read as if they were a bot.yml."""
