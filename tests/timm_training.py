"""What timm's train.py does with a network, in short, for as many processes as torchrun starts.

That script is not in timm's package. Here as there, timm makes the network, the loader and the
optimizer, and PyTorch distributes; `test_timm_models.py` runs this and reads what it leaves.
"""

import argparse
import importlib
from pathlib import Path

import torch

from benchmarks.import_torchvision import import_torchvision

# Few, but so many that a process which sees the wrong ones is found out.
BATCH, EPOCHS, LR, WEIGHT_DECAY, SMOOTHING, CLIP = 8, 2, 1e-3, 0.05, 0.1, 1.0


def train():
    """Train on the images of a folder, and leave one file per process there."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--device-modules", nargs="+")
    args = parser.parse_args()
    import_torchvision()
    for module in args.device_modules:  # as train.py does before it asks for a network
        importlib.import_module(module)

    from timm import create_model, utils
    from timm.data import create_dataset, create_loader, resolve_data_config
    from timm.optim import create_optimizer_v2

    device = utils.init_distributed_device(args)
    utils.random_seed(42, args.rank)  # so each process begins with other weights
    model = create_model(args.model, pretrained=False, in_chans=3, drop_rate=0.0).double()
    own = weights(model)
    data = resolve_data_config(vars(args), model=model)
    loader = create_loader(
        create_dataset("", root=args.data_dir, split="train", is_training=True),
        **{name: data[name] for name in ("input_size", "mean", "std")},
        batch_size=BATCH,
        is_training=True,
        no_aug=True,
        num_workers=0,
        distributed=args.distributed,
        img_dtype=torch.float64,
        device=device,
    )
    optimizer = create_optimizer_v2(model, opt="adamw", lr=LR, weight_decay=WEIGHT_DECAY)
    parallel = torch.nn.parallel.DistributedDataParallel(model)
    start, batches, losses = weights(model), [], []
    for epoch in range(EPOCHS):
        loader.sampler.set_epoch(epoch)
        for images, labels in loader:
            loss = smoothed(parallel.train()(images), labels)
            optimizer.zero_grad()
            loss.backward()
            utils.dispatch_clip_grad(parallel.parameters(), CLIP)
            optimizer.step()
            batches.append((images.clone(), labels.clone()))
            losses.append(loss.item())
        utils.distribute_bn(parallel, args.world_size, reduce=True)
    left = {"own": own, "start": start, "end": weights(model), "batches": batches, "losses": losses}
    torch.save(left, args.data_dir / f"{args.rank}.pt")
    torch.distributed.destroy_process_group()


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def smoothed(logits, labels):
    return torch.nn.functional.cross_entropy(logits, labels, label_smoothing=SMOOTHING)


if __name__ == "__main__":
    train()
