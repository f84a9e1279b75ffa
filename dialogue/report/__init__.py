"""What `starfold test nlu` shows: a page of charts about one measurement, or about two side by side."""
