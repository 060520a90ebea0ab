"""Questions to documents: text out of files, answers with their places, a review of many."""
