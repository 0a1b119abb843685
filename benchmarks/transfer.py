"""Measure what the bundled networks know of images that they were not trained on.

    python benchmarks/transfer.py

Linear probes on few labeled images of each class, on shapes and on CIFAR-10 (which must be in the
data folder); fine-tuning compact, which was trained on CIFAR-10, to shapes; and compact-shapes on
images of 64 x 64, with windows as they were and with windows that grew. What is measured is kept,
so that a run which was interrupted goes on; delete benchmarks/results/transfer.json to begin anew.
Half an hour on two cores.
"""

import json
from copy import deepcopy
from pathlib import Path

import torch
import torch.nn.functional as F

from minimaxvit import MaxViT, pretrained, resize
from minimaxvit.atomic_write import atomic_write
from minimaxvit.datasets import load_cifar10, load_shapes
from minimaxvit.prepare import prepare
from minimaxvit.training.statistics import take_statistics, with_statistics

RESULTS = Path(__file__).parent / "results" / "transfer.json"
SEEDS, PER_CLASS, TESTED = range(3), (1, 5, 20, 100), 2000
FEATURES = ("pixels", "untrained", "compact", "compact-shapes")
DECAYS = 1.0, 10.0, 100.0, 1e3, 1e4  # of a probe's weights; the standard deviation is 1
HELD_OUT = 1000  # training images by which the decay is chosen
STEPS, BATCH, LR = 100, 50, 1e-3  # of fine-tuning
KEPT = 20, 100  # images of each class to fine-tune on


def load_both(source):
    """Training images to choose from, and those that are tested on."""
    training, test = load_shapes(5000, TESTED) if source == "shapes" else load_cifar10()
    return training[:5000], test[:TESTED]


def few_of_each(labels, number, seed):
    """Choose so many images of each class at random: their indices."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    return torch.cat([order[labels[order] == label][:number] for label in labels.unique()])


def load_network(name, images):
    if name != "untrained":
        return pretrained(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return with_statistics(MaxViT(pretrained("compact").config), images[:500])


@torch.no_grad()
def features(name, images, model=None):
    """What a probe reads: the mean of a network's last map, or the pixels themselves."""
    if name == "pixels":
        return images.flatten(1).double()
    batches = [prepare(model, batch) for batch in images.split(250)]
    return torch.cat([model.features(batch)[-1].mean((2, 3)) for batch in batches]).double()


def probe(x, labels, decay, classes=10):
    """Fit a linear layer to features by least squares: (weight, bias)."""
    targets = F.one_hot(labels, classes).double()
    mean, centered = x.mean(0), x - x.mean(0)
    penalty = decay * torch.eye(x.shape[1], dtype=x.dtype)
    gram = centered.T @ centered + penalty
    weight = torch.linalg.solve(gram, centered.T @ (targets - targets.mean(0)))
    return weight, targets.mean(0) - mean @ weight


def probed(source, name, numbers=PER_CLASS):
    """Accuracies of probes on features: {number of each class: one for each seed}.

    The decay is the one that is best, in the mean of the seeds, on images held out.
    """
    training, test = load_both(source)
    model = None if name == "pixels" else load_network(name, training.images)
    x, x_test = (features(name, each.images, model) for each in (training, test))
    x, x_test = x / x.std(0).mean(), x_test / x.std(0).mean()
    left, held_out = slice(HELD_OUT, None), slice(HELD_OUT)

    def accuracies(number, decay, x_other, labels):
        for seed in SEEDS:
            chosen = few_of_each(training.labels[left], number, seed)
            weight, bias = probe(x[left][chosen], training.labels[left][chosen], decay)
            right = (x_other @ weight + bias).argmax(1) == labels
            yield right.double().mean().item()

    found = {}
    for number in numbers:
        tried = {
            decay: sum(accuracies(number, decay, x[held_out], training.labels[held_out]))
            for decay in DECAYS
        }
        best = max(tried, key=tried.get)
        found[str(number)] = list(accuracies(number, best, x_test, test.labels))
    return found


def fine_tune(model, images, labels, parameters, seed, steps=STEPS):
    """Train some parameters of a model for so many steps, and return the losses.

    At the end, batch-norm statistics are taken anew: they move by 1% a step, so after 100 steps
    more than a third of each would still be what it was before.
    """
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(parameters, LR, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.01, total_iters=steps)
    losses = []
    model.train()
    for _ in range(steps):
        chosen = torch.randint(len(labels), (BATCH,))
        loss = F.cross_entropy(model(prepare(model, images[chosen])), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    take_statistics(model, images)
    model.eval()
    return losses


@torch.no_grad()
def accuracy(model, images, labels):
    batches = images.split(100)
    answers = torch.cat([model(prepare(model, batch)).argmax(1) for batch in batches])
    return (answers == labels).double().mean().item()


def begin(name):
    """A network to fine-tune to ten other classes, and those of its parameters that learn."""
    torch.manual_seed(0)
    if name == "all, from scratch":
        model = MaxViT(pretrained("compact").config)
    else:
        model = pretrained("compact", num_classes=10)
    learning = {
        "the head alone": model.head,
        "the last stage and the head": torch.nn.ModuleList([model.stages[-1], model.head]),
    }
    return model, list(learning.get(name, model).parameters())


WAYS = ("the head alone", "the last stage and the head", "all", "all, from scratch")


def fine_tuned(name, number):
    """Accuracies on shapes after fine-tuning on so many images of each class, by seed."""
    training, test = load_both("shapes")
    found = []
    for seed in SEEDS:
        model, learning = begin(name)
        chosen = few_of_each(training.labels, number, seed)
        fine_tune(model, training.images[chosen], training.labels[chosen], learning, seed)
        found.append(accuracy(model, test.images, test.labels))
    return found


def enlarged(images):
    return F.interpolate(images.float(), (64, 64), mode="bilinear").round().byte()


def at_64(name):
    """Accuracies of compact-shapes on images of 64 x 64, by what was done to it before.

    "tiled" are four copies of an image as it was; in all others, it is enlarged.
    """
    training, test = load_both("shapes")
    test = test[:500]
    images, tiled = enlarged(test.images), test.images.repeat(1, 1, 2, 2)
    start = pretrained("compact-shapes")
    if name == "grown windows":
        start = resize(start, 64)
    some = training[few_of_each(training.labels, 100, seed=0)]
    fresh = with_statistics(start, enlarged(some.images), batch_size=100)
    found = {
        "tiled": [accuracy(start, tiled, test.labels)],
        "before": [accuracy(start, images, test.labels)],
        "statistics": [accuracy(fresh, images, test.labels)],
        "after": [],
    }
    for seed in SEEDS[:2]:  # they take long
        model = deepcopy(start)
        some = training[few_of_each(training.labels, 100, seed)]
        fine_tune(model, enlarged(some.images), some.labels, model.parameters(), seed)
        found["after"].append(accuracy(model, images, test.labels))
    return found


JOBS = {
    **{f"probe, {source}, {name}": (probed, source, name)
       for source in ("shapes", "cifar10") for name in FEATURES},
    **{f"fine-tune, {name}, {number} of each class": (fine_tuned, name, number)
       for name in WAYS for number in KEPT},
    **{f"64 x 64, {name}": (at_64, name) for name in ("windows as they were", "grown windows")},
}  # fmt: skip


def first_losses():
    """Losses of the first steps of fine-tuning, which change if the network or the recipe does."""
    training, _ = load_shapes(100, 1)
    model, learning = begin("all")
    return fine_tune(model, training.images, training.labels, learning, seed=0, steps=5)


def keep(record):
    text = json.dumps(record, indent=1)
    atomic_write(RESULTS, lambda partial: partial.write_text(text))


def main():
    record = {"command": "python benchmarks/transfer.py", "rows": {}}
    if RESULTS.exists():
        record = json.loads(RESULTS.read_text())
    record["first_losses"] = first_losses()
    keep(record)
    for name, (measure, *arguments) in JOBS.items():
        if name not in record["rows"]:
            record["rows"][name] = measure(*arguments)
            keep(record)
            print(name, record["rows"][name], flush=True)


if __name__ == "__main__":
    main()
