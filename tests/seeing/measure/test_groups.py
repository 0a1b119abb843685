"""Groups are numbered as coordinates alone say."""

import numpy as np
import pytest
from groups import PAIR, SIZES, same_group

from minimaxvit import block_partition
from minimaxvit.seeing import group_map


@pytest.mark.parametrize("partition", PAIR)
@pytest.mark.parametrize("h, w, side", SIZES)
def test_tokens_share_a_number_exactly_when_they_share_a_group(partition, h, w, side):
    groups = group_map(partition, h, w, side)
    assert groups.shape == (h, w)
    assert set(groups.flat) == set(range(h * w // side**2))
    found = np.equal.outer(groups.ravel(), groups.ravel())
    np.testing.assert_array_equal(found, same_group(partition, h, w, side))


def test_group_map_passes_on_the_refusal_of_a_size_that_does_not_divide():
    with pytest.raises(ValueError, match="6 x 9"):
        group_map(block_partition, 6, 9, 2)
