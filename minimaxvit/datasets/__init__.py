"""Images to learn from: CIFAR-10, found or downloaded, and shapes, drawn on the spot.

Both stay in memory whole, as bytes; there is no loader and there are no workers.
"""

from ..pixels import normalize
from .cifar10 import download_cifar10, find_cifar10, load_cifar10
from .image_files import read_image
from .labeled_images import LabeledImages
from .loading import load_data, load_shapes
from .packed_images import pack_images, unpack_images
from .shapes import SHAPE_CLASSES, draw_shapes
