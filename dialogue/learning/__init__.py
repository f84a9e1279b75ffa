"""Learning from use: what the bot did not understand becomes new intents, and the messages most worth a label."""
