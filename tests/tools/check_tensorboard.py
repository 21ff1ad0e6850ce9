#!/usr/bin/env python3
"""Reads a folder of event files with TensorBoard's own reader and prints what it found as JSON.

usage: check_tensorboard.py FOLDER

{"scalars": {tag: [[step, value], ...]}, "images": {tag: [[step, width, height, [r, g, b] of the top left pixel], ...]}}
A value that is not finite is printed as the text "nan", "inf" or "-inf".
Needs the Python packages tensorboard and pillow.
"""

import io
import json
import math
import sys

from PIL import Image
from tensorboard.backend.event_processing import event_accumulator


def read(folder):
    everything = {event_accumulator.SCALARS: 0, event_accumulator.IMAGES: 0}  # 0 keeps all events
    events = event_accumulator.EventAccumulator(folder, size_guidance=everything)
    events.Reload()
    tags = events.Tags()
    found = {"scalars": {}, "images": {}}
    for tag in tags["scalars"]:
        found["scalars"][tag] = [[e.step, e.value if math.isfinite(e.value) else str(e.value)]
                                 for e in events.Scalars(tag)]
    for tag in tags["images"]:
        found["images"][tag] = []
        for e in events.Images(tag):
            image = Image.open(io.BytesIO(e.encoded_image_string)).convert("RGB")
            assert image.size == (e.width, e.height), (image.size, e.width, e.height)
            found["images"][tag].append([e.step, e.width, e.height, list(image.getpixel((0, 0)))])
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(json.dumps(read(sys.argv[1]), sort_keys=True))
