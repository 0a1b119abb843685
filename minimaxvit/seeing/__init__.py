"""Pictures of what the network looks at; numbers first, then drawings of those numbers."""

from .comparison import draw_comparison
from .confusion import draw_confusion, draw_guesses
from .costs import draw_costs, multiply_adds
from .footprint import draw_footprints, footprint
from .growth import draw_growth
from .history import draw_history
from .maps import draw_maps
from .offsets import draw_offsets
from .partitions import draw_partitions, group_map
from .photograph import photograph
from .reach import count_paths, draw_reach
from .scales import draw_scales
from .show import show
from .shuffled import draw_shuffled, shuffle_patches
