"""The README's tables of the compact network: budgets, networks at equal time, its recipe."""

import shlex

from readme import epochs_of, of, paragraph, processors, records, remarks, seeds, table

from minimaxvit.seeing.draw.comparison import by_name, pooled_deviation, spread


def budgets():
    """The compact network on growing budgets."""
    runs = records("compact-*.json")
    runs.sort(key=lambda run: (run["data"]["source"], run["result"]["seconds"]))
    rows = [[run["data"]["source"], *reached(run)] for run in runs]
    parameters = {run["parameters"] for run in runs}
    assert len(parameters) == 1, f"records of different networks: {parameters}"
    text = paragraph(
        f"The compact network ({parameters.pop():,} parameters) on two cores of an ",
        f"{processors(runs)} in bf16, one seed each. The whole command includes loading, ",
        "statistics and evaluation; with flip: the logits of each test image and of its mirror ",
        "image are added.",
    )
    return text + table(["images", *REACHED], rows) + remarks(runs)


def on_a_gpu():
    """Compact and others, each on one GPU."""
    runs = sorted(records("gpu-*.json"), key=lambda run: (network_of(run), run["seed"]))
    torches = " or ".join(sorted({run["versions"]["torch"] for run in runs}))
    text = paragraph(
        f"Networks on one GPU (torch {torches}, bf16), on {runs[0]['data']['source']}; each ",
        "step is replayed as one CUDA graph:",
    )
    rows = [
        [network_of(run), run["machine"]["gpu"].removeprefix("NVIDIA "), *reached(run)]
        for run in runs
    ]
    return text + table(["network", "GPU", *REACHED], rows) + remarks(runs)


def network_of(run):
    words = shlex.split(run["command"])
    return words[words.index("--network") + 1] if "--network" in words else "compact"


REACHED = ["whole command", "training", "epochs", "test accuracy", "with flip", "command"]


def reached(run):
    """What a run of compact took and reached: the cells under `REACHED`."""
    result = run["result"]
    return [
        minutes(result.get("whole_seconds")),
        minutes(result["seconds"]),
        f"{epochs(run):.1f}",
        f"{result['accuracy']:.1%}",
        f"{result['accuracy_with_flip']:.1%}",
        f"`{run['command']}`",
    ]


def minutes(seconds):
    return "interrupted" if seconds is None else f"{seconds / 60:.1f} min"


def epochs(run):
    """How often each image was trained on, from the steps that the history counts."""
    return run["history"][-1]["step"] * run["recipe"]["batch_size"] / run["data"]["train_size"]


def networks():
    """Networks at equal time, one table for each time."""
    kept = sorted(records("equal-time-*.json"), key=lambda one: one["seconds"])
    rows = [row for one in kept for row in one["rows"]]
    text = paragraph(
        f"Networks with compact's recipe, each trained on {rows[0]['source']} for as ",
        f"many steps as fit into a time on *one* core of an {processors(rows)}: mean and ",
        "standard deviation of the seeds, test images, in percent. The recipe was tuned for ",
        "compact alone, so the others may do better than this.",
    )
    return text + "\n".join(map(at_equal_time, kept))


def at_equal_time(kept):
    with_flip = by_name(kept["rows"], "accuracy_with_flip")
    rows = [
        [
            name,
            f"{of(kept, name)[0]['parameters']:,}",
            epochs_of(kept, name),
            spread(accuracies),
            spread(with_flip[name]),
        ]
        for name, accuracies in by_name(kept["rows"]).items()
    ]
    text = paragraph(f"{kept['seconds']} s, {seeds(kept)} (`{kept['command']}`):")
    header = ["network", "parameters", "epochs", "accuracy", "with flip"]
    return text + table(header, rows) + remarks([kept])


def recipe_changes():
    """The recipe and one change each."""
    (kept,) = records("recipe-changes.json")
    rows = [
        [f"**{name}**" if name == "the recipe" else name, epochs_of(kept, name), spread(accuracies)]
        for name, accuracies in by_name(kept["rows"]).items()
    ]
    deviation = pooled_deviation(by_name(kept["rows"]))
    if deviation is None:
        chance = "one seed tells no standard deviation, so a gap of a point may be chance"
    else:
        chance = f"one standard deviation, pooled over all rows, is {100 * deviation:.1f} points"
    text = paragraph(
        f"The recipe of compact, and one change each: {kept['steps']:,} steps on a subset of ",
        f"{kept['train_size']:,} training images, measured on {kept['held_out']:,} others, ",
        f"{seeds(kept)}; {chance} (`{kept['command']}`):",
    )
    return text + table(["", "epochs", "accuracy"], rows) + remarks([kept])
