"""The checks behind the lessons' exercises: `check` an answer, ask for a `hint`."""

from .attention import ATTEND, SPLIT_HEADS
from .blocks_and_grids import GROUP_OF, PASTE_GRID
from .checking import Exercise, check, hint
from .convolutions import MBCONV_WEIGHTS, SQUEEZE_EXCITE, STRIDED
from .first_look import STAGE_SIDES, WINDOW_COST
from .how_far import RECEPTIVE_FIELD, SMALLEST_SET
from .max_sa import DROP_BRANCH, GRID_LAYER
from .mine import check_module, my_classes
from .modules import MAXVIT, MAXVIT_BLOCK, MBCONV, POSITION_BIAS, RELATIVE_ATTENTION
from .positions import READ_BIAS, RELATIVE_INDEX
from .relatives_that_attend import BY_COLUMN, NEIGHBORHOOD, SHIFTED_MASK
from .relatives_without_attention import CHANNEL_WEIGHTS, CONVNEXT_BLOCK, REACHED_SIDE
from .the_real_one import DRIFT, RESIZE_TABLES
from .tokens import SOFT_DISTILLATION, SOFT_SPLIT, VISUAL_TOKENS
from .train_it import SCHEDULE, SMOOTHED_LOSS
from .what_it_attends_to import EFFECTIVE_KEYS, LIFT
from .whole_network import DROP_PATHS, HEAD
