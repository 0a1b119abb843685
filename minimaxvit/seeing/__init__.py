"""Pictures of what the network looks at; numbers first, then drawings of those numbers."""

from .comparison import draw_comparison
from .confusion import draw_confusion, draw_guesses
from .history import draw_history
from .partitions import draw_partitions, group_map
from .photograph import photograph
from .reach import count_paths, draw_reach
from .show import show
