"""Actions: one protocol, one file for each place that runs them."""
