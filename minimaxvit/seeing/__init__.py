"""Pictures of what the network looks at; numbers first, then drawings of those numbers."""

from .attended import draw_attended
from .comparison import draw_comparison
from .confusion import draw_confusion, draw_guesses
from .costs import draw_costs, multiply_adds
from .effective import effective_field
from .extent import draw_fields, extent, middle
from .field import layers, trace
from .footprint import draw_footprints, footprint
from .growth import draw_growth
from .heads import draw_heads, measure_heads
from .history import draw_history
from .maps import draw_maps
from .offsets import draw_offsets
from .partitions import draw_partitions, group_map
from .photograph import photograph
from .reach import count_paths, draw_reach
from .recording import record_attention
from .rollout import rollout
from .scales import draw_scales
from .show import show
from .shuffled import draw_shuffled, shuffle_patches
from .strip import draw_strip
