"""The labels of a window of a promoter set."""

PROMOTER, BACKGROUND = "promoter", "background"
