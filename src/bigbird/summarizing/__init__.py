"""Summaries of documents: written or chosen, and for each of their sentences what it leans on."""
