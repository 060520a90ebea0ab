"""Documents out of people's files: their text with its pages, batches of them, and files of results."""
