"""What the tests need before anything else is imported."""

from hypothesis import settings

from benchmarks.peers import import_torchvision

import_torchvision()  # the first time may take some help, which timm does not give it
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")
