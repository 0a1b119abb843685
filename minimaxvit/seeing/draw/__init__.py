"""Draw what was measured: every function returns a figure and its alt text, with the numbers."""
