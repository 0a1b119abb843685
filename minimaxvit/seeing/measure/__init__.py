"""Measure what a network looks at: arrays and numbers, which `draw` and the explorer show."""
