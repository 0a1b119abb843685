"""The README's tables of MaxViT's relatives: the whole family, and from a ResNet to ConvNeXt."""

from readme import of, paragraph, processors, record_of, records, remarks, seeds, table

from minimaxvit import CONFIGS, MaxViTBlock
from minimaxvit.experiments.modernize import NETWORKS
from minimaxvit.seeing import depth_to_whole, draw_trade_off, multiply_adds, reach
from minimaxvit.seeing.draw.comparison import by_name, places, pooled_deviation, spread


def family():
    """MaxViT's relatives at equal epochs and at equal time, as far as they have been trained."""
    by_steps, by_time = record_of("family-*-steps.json"), record_of("family-*-s.json")
    kept = [one for one in (by_time, by_steps) if one.get("rows")]
    if not kept:
        return ""
    rows = [row for one in kept for row in one["rows"]]
    names = dict.fromkeys(name for one in kept for name in by_name(one["rows"]))  # best first
    cells = [
        [
            name,
            f"{next(row['parameters'] for row in rows if row['name'] == name):,}",
            f"{sum(multiply_adds(CONFIGS[name], 32, 32).values()) / 1e6:.1f} M",
            f"{step_time(by_time, name):,.0f} ms" if name in by_time.get("steps", ()) else "–",
            *how_far(first_stage(name)),
            *reached_by(by_steps, name),
            *reached_by(by_time, name),
        ]
        for name in names
    ]
    later = [name for name in names if attends_later(name)]
    text = paragraph(
        "MaxViT's relatives, each with compact's recipe, which was tuned for compact alone, on ",
        f"one core of an {processors(rows)} in bf16; test images of {rows[0]['source']}, in ",
        "percent, mean and standard deviation of the seeds. ",
        *map(in_words, kept),
        "*Step* is that time, divided by the steps that were counted to fit. " if by_time else "",
        "A *place* such as 4 to 6 means that three networks are ahead by more than luck, and that ",
        "two others are too close to call: by luck alone, one pair of means in twenty differs ",
        "by more than twice the standard deviation of such differences. *Reads* counts the ",
        "tokens of a 16 x 16 map on which one token depends at most after one layer, the widest ",
        "of the first stage; ",
        "*whole map* counts the layers of that stage until it depends on all 256. Gates such as ",
        "squeeze-excitation are left out. ",
        f"Only a later stage attends in {', '.join(later)}." if later else "",
    )
    header = ["network", "parameters", "multiply-adds", "step", "reads", "whole map"]
    header += ["equal epochs", "place", "equal time", "place"]
    picture = ""
    if by_time.get("rows"):
        picture = f"\n![{family_chart(by_time)[1]}]({chart_of(by_time)})\n"
    return text + table(header, cells) + picture + remarks(kept)


def in_words(kept):
    """What is equal for all networks of a record, and what its seeds can tell."""
    if "seconds" in kept:
        equal = f"*Equal time*: as many steps, on all images, as fit into {kept['seconds']} s"
    else:
        equal = f"*Equal epochs*: {kept['rows'][0]['epochs']:.1f}, of {kept['train_size']:,} images"
    deviation = pooled_deviation(by_name(kept["rows"]))
    if deviation is None:
        chance = "one seed each tells no standard deviation, and so no place"
    else:
        chance = f"{seeds(kept)}, pooled deviation {100 * deviation:.1f} points"
    return f"{equal} ({chance}; `{kept['command']}`). "


def step_time(kept, name):
    return 1000 * kept["seconds"] / kept["steps"][name]  # ms


def reached_by(kept, name):
    """Accuracy and place of one network in a record."""
    accuracies = by_name(kept.get("rows", []))
    if name not in accuracies:
        return "–", "–"
    return spread(accuracies[name]), places(accuracies, pooled_deviation(accuracies)).get(name, "–")


def first_stage(name):
    """The layers of one block of the first stage, for a map of 16 x 16 that keeps its size."""
    stage = CONFIGS[name].stage(0)
    parts = MaxViTBlock(stage["dims"], stage["dims"], **stage).parts
    if any(part.misfit(16) for part in parts):  # weights are of one map: that of 16 x 16, then
        parts = MaxViTBlock(stage["dims"], stage["dims"], **stage | {"window": 16}).parts
    return parts


def how_far(layers):
    """How many tokens one token reads by the widest layer, and how many layers see everything."""
    widest = max(reach([each], 16, 16, gates=False).flatten(2).sum(2).max() for each in layers)
    depth = depth_to_whole(layers, 16, 16)
    return str(int(widest)), f"{depth} layer{'s' * (depth != 1)}"


def attends_later(name):
    first, *others = CONFIGS[name].parts
    attending = [any(hasattr(part, "scores") for part in stage) for stage in (first, *others)]
    return any(attending) and not attending[0]


def family_chart(kept):
    """Accuracy at equal time against the time of a step: the figure, and its alt text."""
    accuracies = by_name(kept["rows"])
    ranks = places(accuracies, pooled_deviation(accuracies))
    first = [name for name, place in ranks.items() if place.split()[0] == "1"]
    best = f"most accurate: {' and '.join(first)}" if first else "one seed, so no order is sure"
    title = f"Each network trained for {kept['seconds']} s on one core; {best}"
    return draw_trade_off({name: step_time(kept, name) for name in accuracies}, accuracies, title)


def chart_of(kept):
    return f"benchmarks/results/family-{kept['seconds']}-s.png"


def modernized():
    """From a ResNet's block to ConvNeXt's."""
    (kept,) = records("modernize.json")
    accuracies = by_name(kept["rows"])
    rows = [
        [
            name,
            f"{of(kept, name)[0]['parameters']:,}",
            f"{sum(multiply_adds(config, 32, 32).values()) / 1e6:.1f} M",
            spread(accuracies[name]),
        ]
        for name, config in NETWORKS.items()
        if name in accuracies
    ]
    text = paragraph(
        "From a ResNet's block to ConvNeXt's, one change a step; stem, downsampling, widths and ",
        f"depths are the same in all rows: {kept['steps']:,} steps on {kept['train_size']:,} ",
        f"training images of {kept['rows'][0]['source']}, test images, {seeds(kept)} ",
        f"(`{kept['command']}`):",
    )
    return (
        text + table(["block", "parameters", "multiply-adds", "accuracy"], rows) + remarks([kept])
    )
