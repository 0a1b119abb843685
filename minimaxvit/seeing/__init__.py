"""See what a network looks at: `measure` makes arrays, `draw` makes figures of those arrays."""

from ..training.statistics import with_statistics
from .draw.attended import draw_attended
from .draw.comparison import comparison_table, draw_comparison
from .draw.confusion import draw_confusion, draw_predictions
from .draw.costs import draw_costs
from .draw.field_sizes import draw_field_sizes
from .draw.fields import draw_fields
from .draw.footprints import draw_footprints
from .draw.gradients import draw_gradients
from .draw.growth import draw_growth
from .draw.heads import draw_heads
from .draw.history import draw_history
from .draw.index import draw_index
from .draw.ladder import draw_ladder
from .draw.maps import draw_maps
from .draw.mbconv import draw_mbconv
from .draw.offsets import draw_offsets
from .draw.partitions import draw_partitions
from .draw.paths import draw_reach
from .draw.photograph import photograph
from .draw.qkv import draw_qkv
from .draw.read import draw_read
from .draw.rumor import draw_rumor
from .draw.scales import draw_scales
from .draw.show import show
from .draw.shuffled import draw_shuffled, shuffle_patches
from .draw.strip import draw_strip
from .draw.trade_off import draw_trade_off
from .measure.costs import layer_multiply_adds, multiply_adds
from .measure.effective import effective_field
from .measure.extent import extent, middle
from .measure.footprint import footprint
from .measure.groups import group_map
from .measure.heads import measure_heads
from .measure.paths import count_paths
from .measure.reach import depth_to_whole, reach
from .measure.receptive_field import trace
from .measure.recording import record_attention
from .measure.rollout import rollout
from .measure.shapes import mbconv_shapes
