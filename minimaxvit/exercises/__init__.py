"""The checks behind the lessons' exercises: `check` an answer, ask for a `hint`."""

from .blocks_and_grids import PASTE_GRID
from .checking import Exercise, check, hint
from .train_it import SCHEDULE, SMOOTHED_LOSS
