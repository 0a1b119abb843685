"""Whitening filters do what their name says, and the first convolution gets them."""

import pytest
import torch
import torch.nn.functional as F

from minimaxvit.layers import Conv3x3
from minimaxvit.training.whitening import SMALLEST, whiten, whitening_filters


def smooth_images(count=200, side=17):
    """Noise blurred twice: neighbors are alike, as in photographs."""
    noise = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    return F.avg_pool2d(F.avg_pool2d(noise, 3, 1, 1), 3, 1, 1)


def answers(filters, images):
    conv = Conv3x3(3, len(filters), stride=2, bias=False)
    with torch.no_grad():
        conv.weight.copy_(filters.view_as(conv.weight))
        return conv(images)[..., :-1, :-1].transpose(0, 1).flatten(1)  # without padded edges


def test_answers_are_uncorrelated_and_equally_wide():
    images = smooth_images(side=18)
    filters = whitening_filters(images)
    covariance = answers(filters, images).cov()
    variance = 1 - SMALLEST * (filters**2).sum(1)  # what the small addition takes away
    torch.testing.assert_close(covariance, variance.diag(), rtol=0, atol=2e-3)
    assert variance.max() > 0.99, "nothing is whitened: all variances are tiny"
    before = F.unfold(images, 3, stride=2).mT.flatten(0, 1).T.corrcoef().fill_diagonal_(0)
    assert before.abs().max() > 0.5, "the pictures were white already: nothing is tested"


def test_the_widest_variation_comes_first():
    lengths = whitening_filters(smooth_images()).norm(dim=1)
    assert (lengths.diff() >= 0).all()  # the more a direction varies, the weaker its filter


@pytest.mark.parametrize("channels, whitened", [(16, 16), (27, 27), (54, 54), (60, 54)])
def test_a_convolution_is_set_as_far_as_it_reaches_and_frozen_if_that_is_all(channels, whitened):
    conv, images = Conv3x3(3, channels, stride=2), smooth_images()
    before = conv.weight.clone()
    whiten(conv, images)
    filters = whitening_filters(images)
    both = torch.cat([filters, -filters])[:whitened]
    torch.testing.assert_close(conv.weight[:whitened].flatten(1), both)
    assert torch.equal(conv.weight[whitened:], before[whitened:])
    assert conv.weight.requires_grad == (channels > whitened) and conv.bias.requires_grad
