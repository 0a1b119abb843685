"""The command line: data, train, evaluate, predict, explore, summary."""

import argparse
import json
import shlex
import sys
from dataclasses import fields, replace
from pathlib import Path

import torch

from .atomic_write import atomic_write
from .configs import CONFIGS
from .datasets.cifar10 import CIFAR10_URL, download_cifar10
from .datasets.image_files import read_image
from .datasets.labeled_images import normalize
from .datasets.loading import load_data, load_shapes
from .network import MaxViT
from .seeing.explorer import explorer, explorer_page
from .summary import summary
from .training.allocator import keep_memory
from .training.device import choose_device
from .training.evaluation import evaluate
from .training.recipe import Recipe
from .training.run import RECORD, WEIGHTS, fit
from .training.statistics import with_statistics
from .weights import bundled, load, pretrained, pretrained_record


def main(arguments=None):
    """Run one command; an error with a known cause takes one line on standard error."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(arguments)
    keep_memory()
    try:
        options.run(options, shlex.join(["minimaxvit", *arguments]))
    except (ValueError, OSError, FloatingPointError) as error:
        sys.exit(f"minimaxvit: {error}")
    except KeyboardInterrupt:
        resume = "; the same command goes on from the last checkpoint" * (options.run is run_train)
        sys.exit(f"minimaxvit: stopped{resume}")


def parser():
    top = argparse.ArgumentParser(prog="minimaxvit", description="Learn MaxViT by building it.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    data = commands.add_parser("data", help="download CIFAR-10")
    data.add_argument("name", choices=["cifar10"], help="which data set")
    data.add_argument(
        "source",
        nargs="?",
        default=CIFAR10_URL,
        help="address or file of the official binary archive (default: %(default)s)",
    )
    data.add_argument("--to", default="data", help="folder to unpack into (default: %(default)s)")
    data.set_defaults(run=run_data)

    train = commands.add_parser("train", help="train a network; the same command resumes it")
    train.add_argument(
        "--network",
        default="compact",
        choices=CONFIGS,
        metavar="NAME",
        help=f"one of {', '.join(for_images_of(32))} (default: %(default)s)",
    )
    train.add_argument("--out", help="folder of the run (default: runs/NETWORK-DATA)")
    add_data_options(train)
    for field in fields(Recipe):
        add_recipe_option(train, field)
    add_device_options(train)
    train.add_argument(
        "--bf16",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="compute in bf16 (default: where the hardware supports it)",
    )
    train.add_argument("--compile", action="store_true", help="compile the network first")
    train.set_defaults(run=run_train)

    which = f"the folder of a run, or a pretrained network: {', '.join(bundled())}"
    measure = commands.add_parser("evaluate", help="accuracy and confusion matrix of a network")
    measure.add_argument(
        "trained", nargs="?", default="compact", help=f"{which} (default: compact)"
    )
    add_data_options(measure, None)
    add_device_options(measure)
    measure.set_defaults(run=run_evaluate)

    predict = commands.add_parser("predict", help="the top-5 classes of an image")
    predict.add_argument("image", help="PNG or JPEG file")
    predict.add_argument(
        "--run", dest="trained", default="compact", help=f"{which} (default: compact)"
    )
    predict.set_defaults(run=run_predict)

    look = commands.add_parser("explore", help="a page that shows where a network looks")
    look.add_argument("images", nargs="+", metavar="image", help="PNG or JPEG file")
    look.add_argument(
        "--run", dest="trained", default="compact", help=f"{which} (default: compact)"
    )
    look.add_argument("--out", default="explorer.html", help="page to write (default: %(default)s)")
    look.set_defaults(run=run_explore)

    tell = commands.add_parser("summary", help="stages, shapes, parameters and multiply-adds")
    tell.add_argument(
        "network", choices=CONFIGS, metavar="NAME", help=f"one of {', '.join(CONFIGS)}"
    )
    tell.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="size of the images in pixels (default: the size that the network is made for)",
    )
    tell.set_defaults(run=run_summary)
    return top


def for_images_of(side):
    """Name the networks that are made for square images with this many pixels on a side."""
    return [name for name, config in CONFIGS.items() if config.image_size == side]


def add_data_options(command, default="any"):
    command.add_argument(
        "--data",
        default=default,
        choices=["any", "cifar10", "shapes"],
        help="data set; any: CIFAR-10 where it is found, else shapes"
        + (" (default)" if default else " (default: the one that the run was trained on)"),
    )
    command.add_argument(
        "--data-folder", help="folder of CIFAR-10 (default: that in MINIMAXVIT_DATA, or data)"
    )


def add_recipe_option(command, field):
    flag, meaning = f"--{field.name.replace('_', '-')}", field.metadata["meaning"]
    if isinstance(field.default, bool):
        options = {"action": argparse.BooleanOptionalAction}
    else:
        options = {
            "type": type(field.default) if field.default is not None else int,
            "metavar": "N",
        }
    if field.default is not None:
        meaning += f" (default: {field.default})"
    command.add_argument(flag, default=field.default, help=meaning, **options)


def add_device_options(command):
    command.add_argument("--device", help="cpu, cuda or cuda:1 (default: a GPU if there is one)")


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
    record = fit(config, training, test, recipe, folder, device, command)
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
    if list(test.classes) != record["data"]["classes"]:
        raise ValueError(
            f"the network {options.trained} was trained on {trained_on}, not {test.source}"
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
    side = model.config.image_size
    with torch.inference_mode():
        image, _ = read_image(options.image, side)
        probabilities = model(normalize(image)).softmax(1)[0]
    top = probabilities.topk(min(5, len(probabilities)))
    for probability, index in zip(*top, strict=True):
        print(f"{probability:6.1%}  {record['data']['classes'][index]}")
    print(f"(by a network trained on {record['data']['source']}; it saw {side} x {side} pixels)")


def run_explore(options, command):
    model, record = load_trained(options.trained)
    read = [read_image(path, model.config.image_size) for path in options.images]
    names = [
        f"{Path(path).name}{note and f' ({note})'}"
        for path, (_, note) in zip(options.images, read, strict=True)
    ]
    images = torch.cat([image for image, _ in read])
    torch.manual_seed(0)
    drawn, _ = load_shapes(500, 1)  # statistics take more images than somebody explores
    untrained = with_statistics(MaxViT(model.config), drawn.images)
    networks = {"trained": model, "untrained": untrained}
    found = explorer(networks, images, names, record["data"]["classes"])
    page = explorer_page(found, f"Where {options.trained} looks")
    atomic_write(options.out, lambda partial: partial.write_text(page, encoding="utf-8"))
    print(f"Open {options.out} in a browser; it is self-contained, {len(page):,} bytes")


def run_summary(options, command):
    config = CONFIGS[options.network]
    print(summary(options.network, config, *(options.size or 2 * [config.image_size])))


def load_trained(name):
    """Load a network and its record: a pretrained one by its name, or that of a finished run."""
    if name in bundled():
        return pretrained(name), pretrained_record(name)
    folder = Path(name)
    if not (folder / RECORD).is_file():
        raise FileNotFoundError(
            f"there is no finished run in {folder}, and no pretrained network of that name "
            f"({', '.join(bundled())}): train one with `minimaxvit train --out {folder}`"
        )
    return load(folder / WEIGHTS), json.loads((folder / RECORD).read_text())


def confusion_table(confusion, classes):
    """Write a confusion matrix as text, one row per true class, one column per prediction."""
    rows = [f"{'true / predicted':>16} " + "".join(f"{name[:6]:>7}" for name in classes)]
    for name, counts in zip(classes, confusion.tolist(), strict=True):
        rows.append(f"{name:>16} " + "".join(f"{count:>7}" for count in counts))
    return "\n".join(rows)


if __name__ == "__main__":
    main()
