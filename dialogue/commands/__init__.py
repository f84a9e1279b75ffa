"""The commands of `starfold`, by what a person is at; `dialogue.cli` puts them together."""
