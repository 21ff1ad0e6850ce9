"""Rewards for examples/reward_server in the tests, and the one way they have to look into a PNG file."""
import struct
import zlib


def pixels(png):
    """Width, height and the bytes of an 8-bit RGB file without interlacing."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n", "no PNG file"
    at, data, width, height = 8, b"", 0, 0
    while at < len(png):
        (size,), kind = struct.unpack(">I", png[at:at + 4]), png[at + 4:at + 8]
        body = png[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, color = struct.unpack(">IIBB", body[:10])
            assert (depth, color) == (8, 2), "8-bit RGB"
        elif kind == b"IDAT":
            data += body
        at += size + 12
    raw, stride, out = zlib.decompress(data), 3 * width, []
    above = [0] * stride
    for row in range(height):
        kind, line = raw[row * (stride + 1)], list(raw[row * (stride + 1) + 1:(row + 1) * (stride + 1)])
        for i in range(stride):
            a, b, c = line[i - 3] if i >= 3 else 0, above[i], above[i - 3] if i >= 3 else 0
            p = a + b - c
            nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            line[i] = (line[i] + (0, a, b, (a + b) // 2, nearest)[kind]) % 256
        out += line
        above = line
    return width, height, out


def brightness(png, prompt):
    """Mean of all bytes / 255, and the image's width."""
    width, _, values = pixels(png)
    if prompt == "refuse":
        raise ValueError("this prompt is refused")
    return {"reward": sum(values) / len(values) / 255, "width": width}
