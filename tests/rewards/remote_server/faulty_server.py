"""A reward server with faults, for remote_test.cpp. The first folder of the path says which: POST /FAULT/score.

A good score is the prompt read as a number. It ends when its standard input does.
"""
import json
import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

calls = {}  # fault -> requests so far
most = {}  # fault -> most requests at once
running = {}
lock = threading.Lock()


def good(requests, ids=True):
    results = [{"reward": {"reward": float(r["history"][-1]["text"])}} for r in requests]
    return {"results": results, **({"ids": [r["metadata"]["id"] for r in requests]} if ids else {})}


def chat(body):
    """The question's last line is what is answered."""
    parts = body["messages"][-1]["content"]
    assert parts[0]["image_url"]["url"].startswith("data:image/png;base64,iVBOR"), "a PNG file"
    said = parts[1]["text"].split("\n")[-1]
    return {"choices": [{"message": {"role": "assistant", "content": None if said == "nothing" else said}}]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def send(self, text, status=200, **headers):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def hang_up(self):
        self.connection.shutdown(socket.SHUT_RDWR)  # close() alone would wait for the files made of it
        self.close_connection = True

    def do_GET(self):
        with lock:
            self.send(json.dumps({"calls": calls, "most": most}))

    def do_POST(self):
        fault = self.path.split("/")[1]
        with lock:
            count = calls[fault] = calls.get(fault, 0) + 1
            running[fault] = running.get(fault, 0) + 1
            most[fault] = max(most.get(fault, 0), running[fault])
        try:
            self.serve(fault, count, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        finally:
            with lock:
                running[fault] -= 1

    def serve(self, fault, count, body):
        if fault == "chat":
            return self.send(json.dumps(chat(body)))
        requests = body["requests"]
        if fault == "slow":
            time.sleep(0.3)
            return self.send(json.dumps(good(requests)))
        if fault == "stuck":
            time.sleep(30)
        elif fault == "drip":  # a byte now and then: no single read ever waits long
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(300):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.1)
        elif fault == "endless":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b" " * (1 << 20))
        elif fault == "hang_up" or (fault == "hang_up_once" and count == 1):
            self.hang_up()
        elif fault == "half":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"results": [')
            self.wfile.flush()
            self.hang_up()
        elif fault == "fail" or (fault == "fail_once" and count == 1):
            self.send("out of order", 500)
        elif fault == "busy_once" and count == 1:
            self.send("later", 429, Retry_After="1")
        elif fault == "wrong":
            self.send('{"error": "no such model"}', 404)
        elif fault == "moved":
            self.send("", 302, Location="/good/score")
        elif fault == "nonsense":
            self.send("<html>proxy</html>")
        elif fault == "list":
            self.send("[1, 2]")
        elif fault == "nan":
            answer = good(requests)
            answer["results"][0]["reward"]["reward"] = float("nan")
            self.send(json.dumps(answer))
        elif fault == "nan_once":
            answer = good(requests)
            if count == 1:
                answer["results"][-1]["reward"]["reward"] = float("inf")
            self.send(json.dumps(answer))
        elif fault == "text":
            answer = good(requests)
            answer["results"][0]["reward"]["reward"] = "0.5"
            self.send(json.dumps(answer))
        elif fault == "few":
            answer = good(requests, ids=False)
            answer["results"].pop()
            self.send(json.dumps(answer))
        elif fault == "many":
            answer = good(requests, ids=False)
            answer["results"].append({"reward": {"reward": 1}})
            self.send(json.dumps(answer))
        elif fault == "backwards":
            answer = good(requests)
            self.send(json.dumps({key: value[::-1] for key, value in answer.items()}))
        elif fault == "no_ids":
            self.send(json.dumps(good(requests, ids=False)))
        elif fault == "same_ids":
            answer = good(requests)
            answer["ids"] = [answer["ids"][0]] * len(requests)
            self.send(json.dumps(answer))
        elif fault == "several":
            answer = good(requests)
            for result in answer["results"]:
                result["reward"] = {"a": result["reward"]["reward"], "b": 7}
            self.send(json.dumps(answer))
        elif fault == "key":
            self.send(*(("no key", 401) if self.headers["Authorization"] != "Bearer sesame" else
                        (json.dumps(good(requests)),)))
        else:
            self.send(json.dumps(good(requests)))

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *args):  # hang-ups are wanted
        pass


server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
