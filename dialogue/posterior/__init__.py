"""From the views of a text to a posterior predictive: one file an approximation."""
