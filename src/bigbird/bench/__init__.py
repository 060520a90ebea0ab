"""How fast, beside whom: `bigbird bench`. Correct first: nothing is timed while a comparison is red."""
