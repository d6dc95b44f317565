"""Judge: any function from crops to probabilities, scored and drawn, whoever made it."""
