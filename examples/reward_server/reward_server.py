#!/usr/bin/env python3
"""Serves any Python callable as a reward, for rt::RemoteReward. Standard library only.

    python3 reward_server.py MODULE:FUNCTION [--name reward] [--host 127.0.0.1] [--port 8080]

FUNCTION(png: bytes, prompt: str) returns a number, or {name: number} with one number named like the reward (--name);
higher is better. What it raises is that image's error; the client asks again, then fails or leaves the image out.
MODULE is looked for in the current folder first. With Pillow an image is PIL.Image.open(io.BytesIO(png)).
"""
import argparse
import base64
import importlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def score(function, name, requests):
    """The answer to a batch: results and errors of each image, found again by their ids."""
    results, errors = [], []
    for request in requests:
        turn = request["history"][-1]
        try:
            numbers = function(base64.b64decode(turn["image_b64"]), turn["text"])
            numbers = numbers if isinstance(numbers, dict) else {name: numbers}
            results.append({name: {key: float(value) for key, value in numbers.items()}})
            errors.append({})
        except Exception as error:  # of one image: the others keep their scores
            results.append({})
            errors.append({name: repr(error)})
    ids = [(request.get("metadata") or {}).get("id") for request in requests]
    return {"results": results, "errors": errors, **({"ids": ids} if all(ids) else {})}


def handler(function, name):
    one_at_a_time = threading.Lock()  # most models on a device want that

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps connections

        def answer(self, status, body):
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            self.answer(200, {"status": "ok", "rewards": [name]})

        def do_POST(self):
            try:
                requests = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["requests"]
                unknown = [wanted for request in requests for wanted in request["required_rewards"] if wanted != name]
            except (KeyError, TypeError, ValueError) as error:
                return self.answer(400, {"error": f"no request for scores: {error!r}"})
            if unknown:
                return self.answer(404, {"error": f"this server has the reward {name}, not {unknown[0]}"})
            with one_at_a_time:
                body = score(function, name, requests)
            self.answer(200, body)

        def log_message(self, *args):
            pass

    return Handler


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("function", help="MODULE:FUNCTION")
    parser.add_argument("--name", default="reward")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0: any free one")
    options = parser.parse_args()
    sys.path.insert(0, "")
    module, _, function = options.function.partition(":")
    called = getattr(importlib.import_module(module), function or "score")
    server = ThreadingHTTPServer((options.host, options.port), handler(called, options.name))
    print(f"http://{options.host}:{server.server_port}/score", flush=True)
    server.serve_forever()
