"""What the commands do, each with the options that the command line read for it."""

from dataclasses import fields, replace
from pathlib import Path

import torch
import torch.nn.functional as F

from .atomic_write import atomic_write
from .configs import CONFIGS
from .datasets.cifar10 import download_cifar10
from .datasets.image_files import read_image
from .datasets.loading import load_data, load_shapes
from .network import MaxViT
from .official_weights import OFFICIAL
from .prepare import prepare
from .pretrained_networks import bundled, pretrained, pretrained_record
from .seeing.explorer import MARK, MOST_CLASSES, explorer, explorer_page, name_answers
from .summary import summary
from .training.device import choose_device
from .training.evaluation import evaluate
from .training.folder import CHECKPOINT, RECORD, WEIGHTS, read_record
from .training.recipe import Recipe
from .training.run import fit
from .training.statistics import with_statistics
from .weights import load


def for_images_of(side):
    """Name the networks that are made for square images with this many pixels on a side."""
    return [name for name, config in CONFIGS.items() if config.image_size == side]


def run_data(options, command):
    folder = download_cifar10(options.source, options.to)
    print(f"CIFAR-10 is in {folder}")


def run_train(options, command):
    recipe = Recipe(**{field.name: getattr(options, field.name) for field in fields(Recipe)})
    device = choose_device(options.device, options.bf16, options.compile)
    training, test = load_data(options.data, options.data_folder)
    config, side = CONFIGS[options.network], training.images.shape[2]
    if config.image_size != side:
        raise ValueError(
            f"{options.network} needs images of {config.image_size} x {config.image_size} pixels, "
            f"and those of {training.source} are {side} x {side}: choose one of "
            f"{', '.join(for_images_of(side))}"
        )
    data = "shapes" if training.source == "shapes" else "cifar10"
    folder = options.out or f"runs/{options.network}-{data}"
    precision = "bf16" if device.bf16 else "fp32"
    print(
        f"Training {options.network} on {training.source}, on {device.name} in {precision}; "
        f"the run is kept in {folder}",
        flush=True,
    )
    config = replace(config, num_classes=len(training.classes))
    try:
        record = fit(config, training, test, recipe, folder, device, command)
    except KeyboardInterrupt:
        if (Path(folder) / CHECKPOINT).is_file():
            raise KeyboardInterrupt("; the same command goes on from the last checkpoint") from None
        raise KeyboardInterrupt(" before the first checkpoint; nothing is kept") from None
    result = record["result"]
    print(
        f"Test accuracy on {record['data']['source']} after {result['seconds']:.0f} s of training: "
        f"{result['accuracy']:.2%}, or {result['accuracy_with_flip']:.2%} with test-time flip; "
        f"weights and record are in {folder}"
    )


def run_evaluate(options, command):
    model, record = load_trained(options.trained)
    trained_on = record["data"]["source"]
    name = options.data if options.data else ("shapes" if trained_on == "shapes" else "cifar10")
    _, test = load_data(name, options.data_folder)
    h, w = image_size(model, record)
    if list(test.classes) != record["data"]["classes"] or test.images.shape[2:] != (h, w):
        raise ValueError(
            f"the network {options.trained} was trained on {trained_on}, {h} x {w}, not on "
            f"{test.source}, {test.images.shape[2]} x {test.images.shape[3]}"
        )
    device = choose_device(options.device).name
    model, test = model.to(device), test.to(device)
    accuracy, confusion = evaluate(model, test)
    with_flip, _ = evaluate(model, test, flip=True)
    print(
        f"Accuracy on {len(test)} test images of {test.source}: {accuracy:.2%}, "
        f"or {with_flip:.2%} with test-time flip"
    )
    if test.sha256() != record["data"]["sha256"][1]:
        print(f"Note: these are not the test images of its record, which are of {trained_on}.")
    print(confusion_table(confusion, test.classes))


def run_predict(options, command):
    model, record = load_trained(options.trained)
    h, w = image_size(model, record)
    image, done = read_image(options.image, h, w, record["data"].get("crop", 1))
    with torch.inference_mode():
        probabilities = model(prepare(model, image)).softmax(1)[0]
    top = probabilities.topk(min(5, len(probabilities)))
    for probability, index in zip(*top, strict=True):
        print(f"{probability:6.1%}  {record['data']['classes'][index]}")
    done = f": {done}" if done else ""
    print(f"(by a network trained on {record['data']['source']}; it saw {h} x {w} pixels{done})")


def run_explore(options, command):
    refuse_to_overwrite(options.out)
    model, record = load_trained(options.trained)
    size = image_size(model, record)
    crop = record["data"].get("crop", 1)
    read = [read_image(path, *size, crop) for path in options.images]
    names = [
        f"{Path(path).name}{note and f' ({note})'}"
        for path, (_, note) in zip(options.images, read, strict=True)
    ]
    images = torch.cat([image for image, _ in read])
    networks = {"trained": model}
    if options.trained not in OFFICIAL:  # a second network would double a page of megabytes
        networks["untrained"] = like_untrained(model, size)
    classes, source = record["data"]["classes"], name_source(record)
    found = explorer(networks, images, names, classes, source)
    name = options.trained
    network = f"the {name} network" if name in bundled() else f"the network in {name}"
    page = explorer_page(found, f"What {network} attends to")
    page = page.encode("utf-8", errors="backslashreplace")  # file names may be no UTF-8
    atomic_write(options.out, lambda partial: partial.write_bytes(page))
    print(f"Open {options.out} in a browser; it is self-contained, {len(page):,} bytes")
    answers = name_answers(classes, source)
    listed = f" ({', '.join(classes)})" if len(classes) <= MOST_CLASSES else ""
    print(f"Note: whatever an image shows, {options.trained} answers with {answers}{listed}")


def like_untrained(model, size):
    """Build the network of a model's configuration, with the statistics of shapes of a size."""
    h, w = size
    drawn, _ = load_shapes(max(50, 500 * 32 * 32 // (h * w)), 1)  # more than somebody explores
    drawn = F.interpolate(drawn.images.float(), size).byte()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return with_statistics(MaxViT(model.config), drawn, batch_size=50)


def run_summary(options, command):
    config = CONFIGS[options.network]
    print(summary(options.network, config, *(options.size or 2 * [config.image_size])))


def load_trained(name):
    """Load a network and its record: a pretrained one by its name, or that of a finished run."""
    if name in [*bundled(), *OFFICIAL]:
        return pretrained(name), pretrained_record(name)
    folder = Path(name)
    if not (folder / RECORD).is_file():
        raise FileNotFoundError(
            f"there is no finished run in {folder}, and no pretrained network of that name "
            f"({', '.join([*bundled(), *OFFICIAL])}): train one with "
            f"`minimaxvit train --out {folder}`"
        )
    record = read_record(folder)
    return load(folder / WEIGHTS), record


def image_size(model, record):
    """The size (h, w) of the images that a network was trained on."""
    return record["data"].get("image_size") or 2 * [model.config.image_size]


def name_source(record):
    """Name the data that a network was trained on as one does before "classes"."""
    source = record["data"]["source"].split(" (")[0]  # without the kind of file
    return "shape" if source == "shapes" else source


def refuse_to_overwrite(path):
    """Raise ValueError if there is a file that is not a page of ours."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give the name of a page to write")
    if path.exists():
        with open(path, "rb") as file:
            ours = MARK.encode() in file.read(1000)
        if not ours:
            raise ValueError(
                f"{path} is there already and is not a page that explore wrote: remove it, or "
                f"give another name with --out"
            )


def confusion_table(confusion, classes):
    """Write a confusion matrix as text, one row per true class, one column per prediction."""
    rows = [f"{'true / predicted':>16} " + "".join(f"{name[:6]:>7}" for name in classes)]
    for name, counts in zip(classes, confusion.tolist(), strict=True):
        rows.append(f"{name:>16} " + "".join(f"{count:>7}" for count in counts))
    return "\n".join(rows)
