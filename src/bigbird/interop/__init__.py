"""Models in other libraries' formats, read and written without those libraries."""
