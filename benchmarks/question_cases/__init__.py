"""Answers of many kinds, official scripts, and what both sides make of them; see `question_scores.py`."""
