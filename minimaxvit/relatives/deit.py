"""DeiT: a Vision Transformer that also learns from a teacher, through a token made for that.

On little data a ViT lags behind convolutions, so one of them teaches it: a distillation token
travels beside the class token, and its head predicts what the teacher says. MaxViT needs no
teacher, as it has convolutions of its own.
Source: Touvron et al. 2021, "Training data-efficient image transformers & distillation through
attention", section 4.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from ..configs import CONFIGS
from ..steps import Append, Attend, Taps
from ..weights import register
from .vit import VIT, ClassTokenHead, PatchEmbedding


class DistilledPatchEmbedding(PatchEmbedding):
    """Begin a distillation token beside the class token: (b, 2, c) in all. Source: figure 2."""

    def __init__(self, stem_dim, stem_stride, image_size, in_channels=3):
        super().__init__(stem_dim, stem_stride, image_size, in_channels)
        self.distillation_token = nn.Parameter(torch.empty(1, 1, stem_dim))
        self.distillation_position = nn.Parameter(torch.empty(1, 1, stem_dim))
        nn.init.normal_(self.distillation_token, std=0.02)
        nn.init.normal_(self.distillation_position, std=0.02)

    def run(self, images):
        x, class_token = super().run(images)
        distilled = (self.distillation_token + self.distillation_position).expand_as(class_token)
        return x, torch.cat([class_token, distilled], 1)

    def steps(self):
        return Taps(self.project), Append(2)


class DistilledHead(ClassTokenHead):
    """Classify by two tokens, each with a head of its own, and average their logits.

    Shapes: (b, 2, c) -> (b, num_classes). `predict` returns the two apart, for the losses below.
    The paper adds the two softmaxes; the official code averages logits, as here. Source: section 4.
    """

    def __init__(self, dim, num_classes):
        super().__init__(dim, num_classes)
        self.classify_distilled = nn.Linear(dim, num_classes)

    def forward(self, tokens):
        return sum(self.predict(tokens)) / 2

    def predict(self, tokens):
        class_token, distillation_token = self.norm(tokens[:, :2]).unbind(1)  # (b, c) each
        return self.classify(class_token), self.classify_distilled(distillation_token)

    def run(self, x, tokens, *others):
        return (self(tokens),)

    def steps(self):
        return (Attend(lambda numbers, extra: (torch.zeros(1, 1).long(), extra[None, :2])),)


def predict_apart(model, images):
    """Run a model that ends in a `DistilledHead`: the class token's logits, the distilled ones."""
    state = (images,)
    for part in model.layers().values():
        state = part.run(*state)
    return model.head.predict(state[1])


def hard_distillation(logits, distilled, labels, teacher_logits):
    """CE(logits, labels) / 2 + CE(distilled, the teacher's label) / 2.

    Shapes: logits (b, num_classes), labels (b,) -> (). Source: equation 3.
    """
    by_teacher = F.cross_entropy(distilled, teacher_logits.argmax(1))
    return (F.cross_entropy(logits, labels) + by_teacher) / 2


def soft_distillation(logits, distilled, labels, teacher_logits, weight=0.1, temperature=3.0):
    """(1 - w) CE(logits, labels) + w t^2 KL(teacher || student), both softened by t.

    The official code, and so this, takes the mean of KL over classes, too; the formula the sum.
    Shapes: logits (b, num_classes), labels (b,) -> (). Source: equation 2, defaults included.
    """
    student = F.log_softmax(distilled / temperature, 1)
    teacher = F.log_softmax(teacher_logits / temperature, 1)
    divergence = (teacher.exp() * (teacher - student)).mean() * temperature**2
    return (1 - weight) * F.cross_entropy(logits, labels) + weight * divergence


DEIT = replace(VIT, stem=DistilledPatchEmbedding, head=DistilledHead)

register(DistilledPatchEmbedding=DistilledPatchEmbedding, DistilledHead=DistilledHead)
CONFIGS["deit"] = DEIT
