"""From YAML to a trained model: readers, validation, training, evaluation."""
