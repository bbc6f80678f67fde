"""The load, the mishaps and the accounts of tests/soak.sh: standard library only.

Backends b, c and d are killed, restarted on their ports and made to fail, one at a time; a is left alone. So with two
further tries every request has somebody who can answer it, and each must be answered. The only exception is an answer
that broke after its first byte had gone to the client, by a backend that was killed or cut answers off just then: it
cannot be taken back, nor begun again elsewhere. (And, on a machine so slow that a request lasts for seconds, one that
met three of these mishaps in its three tries.)
"""
import argparse
import asyncio
import collections
import json
import os
import random
import signal
import subprocess
import sys
import time

FAILURES = ["refuse", "hang", "500", "429", "cut", "garbage"]
STRATEGIES = ["round_robin", "weighted_round_robin", "least_connections", "random", "consistent_hash",
              "response_time", "weighted_random", "least_tokens", "prefix_affinity"]
ADMIN = "/api/v1/load_balancer"
ESTABLISHED, CLOSE_WAIT = 1, 8  # as /proc/net/tcp has them


class Broken(Exception):
    """The connection ended within an answer."""


class Program:
    """One of the finished programs, as a child."""

    def __init__(self, command, log):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline().decode()
        while line and "listening on " not in line:
            line = self.process.stdout.readline().decode()
        if not line:
            sys.exit(f"FAILED: {command[0]} does not start")
        self.url = line.split("listening on ")[1].strip()
        self.port = int(self.url.rsplit(":", 1)[1])

    def forward(self, log):
        """What it still says goes to `log`: a full pipe would stop it."""
        asyncio.get_running_loop().add_reader(self.process.stdout, self._read, log)

    def files(self):
        """What its open files are."""
        folder = f"/proc/{self.process.pid}/fd"
        for entry in os.listdir(folder):
            try:
                yield os.readlink(f"{folder}/{entry}")
            except FileNotFoundError:
                pass  # closed since

    def _read(self, log):
        data = os.read(self.process.stdout.fileno(), 65536)
        if data:
            log.write(data)
        else:
            asyncio.get_running_loop().remove_reader(self.process.stdout)


class Backend:
    def __init__(self, soak, name):
        self.soak, self.name, self.port, self.program = soak, name, 0, None
        self.trouble = []  # [begin, end]: when answers of it may have broken
        self.start()

    def start(self, failure="none"):
        mock = self.soak.programs + "/fairlead-mock-llm"
        self.program = Program([mock, "--listen", f"127.0.0.1:{self.port}", "--name", self.name, "--model", "m",
                                "--first-token-ms", "4", "--tokens-per-second", "400", "--max-batch", "64",
                                "--fail", failure, "--fail-ratio", "0.5"], self.soak.log)
        self.port = self.program.port

    def kill(self):
        self.trouble.append([time.monotonic(), float("inf")])
        self.program.process.kill()
        self.program.process.wait()
        self.program.process.stdout.close()

    def was_in_trouble(self, begin, end):
        # A little more at its end: what was sent before the process stopped is still on its way.
        return any(b <= end and begin <= e + 0.5 for b, e in self.trouble)


class Client:
    """A connection to the gateway, kept as long as it lasts."""

    def __init__(self, port):
        self.port, self.reader, self.writer = port, None, None

    async def open(self):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    def drop(self):
        if self.writer is not None:
            self.writer.transport.abort()
        self.writer = None

    async def head(self, method, target, body=b"", headers=()):
        """Sends a request and reads the answer's head: status and headers."""
        await self.open()
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers, "", ""]
        self.writer.write("\r\n".join(lines).encode() + body)
        await self.writer.drain()
        try:
            raw = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise ConnectionError("no answer") from error
        first, *rest = raw.decode().split("\r\n")
        return int(first.split(" ")[1]), {k.lower(): v.strip() for k, _, v in (r.partition(":") for r in rest) if k}

    async def pieces(self, headers):
        """The body, piece by piece. Broken when it ends too early."""
        try:
            if "content-length" in headers:
                yield await self.reader.readexactly(int(headers["content-length"]))
            else:
                while True:
                    size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
                    piece = await self.reader.readexactly(size + 2)
                    if size == 0:
                        break
                    yield piece[:-2]
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self.drop()
            raise Broken() from error
        if headers.get("connection") == "close":
            self.drop()

    async def exchange(self, method, target, body=b"", headers=()):
        status, told = await self.head(method, target, body, headers)
        return status, told, b"".join([piece async for piece in self.pieces(told)])


class Soak:
    def __init__(self, options):
        self.seconds, self.programs, self.asan = options.minutes * 60, options.bin, options.asan
        self.work = options.work
        self.log = open(self.work + "/log", "ab", buffering=0)
        self.random = random.Random(options.seed)
        self.counts = collections.Counter()
        self.wrong = []
        self.ends_at = 0.0
        self.paused = asyncio.Event()
        self.running = 0

    def count(self, what, by=1):
        self.counts[what] += by

    # --- the settings ---------------------------------------------------------------------------------------------

    def write_settings(self, valid=True, strategy=None):
        """Other weights, strategy and retries; replaced at once, as an editor does. d is left out now and then."""
        names = [b for b in self.backends if b != "d" or self.random.random() < 0.7]
        settings = {
            "llm_backends": [{"name": n, "url": self.backends[n].program.url, "model_name": "m", "timeout": 30,
                              "weight": self.random.randint(1, 9), "max_connections": self.random.randint(20, 60)}
                             for n in names],
            "load_balance_strategy": strategy or self.random.choice(STRATEGIES),
            "max_retries": self.random.randint(2, 3),
            "health_check_interval": self.random.choice([1, 2]),
            # Beliefs about caches grow with the prompts seen: to this within the first minute.
            "prefix_cache_blocks": 1000,
            # Three of four may be out at once: with half, the one killed while another was still out and a third
            # drained would stay in, and cost more further tries than the retry budget has.
            "max_ejected": 0.8,
            "base_ejection": 0.5, "max_ejection": 2, "queue_timeout": 20, "rest_max": 1}
        if not valid:
            settings["max_retries"] = -1
        with open(self.work + "/new.json", "w") as file:
            json.dump(settings, file)
        os.replace(self.work + "/new.json", self.work + "/settings.json")

    # --- the load -------------------------------------------------------------------------------------------------

    def chat(self, stream, tokens, prompt):
        return json.dumps({"model": "m", "stream": stream, "max_tokens": tokens,
                           "messages": [{"role": "user", "content": prompt}]}).encode()

    async def one(self, client):
        """One request of a random kind, and what is to be said of its answer."""
        draw = self.random.random()
        prompt = f"question {self.random.randrange(1000)}"
        tokens = self.random.randint(1, 12)
        kind = ("plain" if draw < 0.5 else "stream" if draw < 0.8 else "upload" if draw < 0.88 else "leaves"
                if draw < 0.97 else "models")
        if kind == "upload":
            prompt += "x" * self.random.randint(100_000, 1_000_000)
        self.count(kind + " sent")
        began = time.monotonic()
        backend = None
        fresh = client.writer is None
        try:
            if kind == "leaves":
                return await self.leave(client, prompt, tokens)
            if kind == "models":
                status, told = await client.head("GET", "/v1/models")
            else:
                status, told = await client.head("POST", "/v1/chat/completions",
                                                 self.chat(kind == "stream", tokens, prompt),
                                                 ["Content-Type: application/json"])
            backend = told.get("x-fairlead-backend")
            body = b"".join([piece async for piece in client.pieces(told)])
            if status in (502, 503, 504) and self.mishaps_since(began) > 2:
                # As many as it has tries, where a machine is so slow that they came within one request.
                return self.count(kind + " broken by three")
            if status != 200:
                raise ValueError(f"status {status}: {body[:200]!r}")
            if kind == "stream":
                events = [line for line in body.split(b"\n") if line.startswith(b"data: ")]
                if events[-1] != b"data: [DONE]" or len(events) < tokens:
                    raise ValueError(f"a stream of {len(events)} events for {tokens} tokens")
            elif kind != "models" and json.loads(body)["usage"]["completion_tokens"] != tokens:
                raise ValueError("an answer of another length")
            self.count(kind + " answered")
        except Broken:
            if backend in self.backends and self.backends[backend].was_in_trouble(began, time.monotonic()):
                self.count(kind + " broken by its backend")
            else:
                self.wrong.append(f"{kind}: broken, though {backend} was well")
        except (ValueError, KeyError, IndexError, ConnectionError) as error:
            client.drop()
            self.wrong.append(f"{time.time():.3f} {kind} after {time.monotonic() - began:.2f} s"
                              f"{'' if fresh else ' on a kept connection'}: {error}")

    def mishaps_since(self, began):
        return sum(end + 0.5 >= began for b in self.backends.values() for _, end in b.trouble)

    async def leave(self, client, prompt, tokens):
        """Goes away: within its own body, before the answer, or in the middle of it."""
        body = self.chat(True, tokens + 20, prompt)
        await client.open()
        where = self.random.randrange(3)
        if where == 0:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body) + 1000}\r\n\r\n"
            client.writer.write(head.encode() + body)
            await client.writer.drain()
        else:
            client.writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                                + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await client.writer.drain()
            if where == 1:
                await asyncio.sleep(self.random.random() * 0.01)
            else:
                await client.reader.read(self.random.randint(1, 600))
        client.drop()
        self.count("leaves left")

    async def load(self):
        client = Client(self.gateway.port)
        self.running += 1
        while time.monotonic() < self.ends_at:
            if self.paused.is_set():
                client.drop()
                self.running -= 1
                while self.paused.is_set():
                    await asyncio.sleep(0.05)
                self.running += 1
            try:
                await asyncio.wait_for(self.one(client), 60)
            except asyncio.TimeoutError:
                self.wrong.append("no answer within 60 s")
                client.drop()
        client.drop()
        self.running -= 1

    # --- mishaps --------------------------------------------------------------------------------------------------

    async def mishaps(self):
        while time.monotonic() < self.ends_at:
            await asyncio.sleep(self.random.uniform(0.3, 1.0))
            if self.paused.is_set():
                continue
            backend = self.backends[self.random.choice("bcd")]
            backend.kill()
            self.count("killed")
            if self.random.random() < 0.5:
                failure = self.random.choice(FAILURES)
                backend.start(failure)
                self.count("made to fail: " + failure)
                await asyncio.sleep(self.random.uniform(0.5, 2.0))
                backend.program.process.kill()
                backend.program.process.wait()
                backend.program.process.stdout.close()
            else:
                await asyncio.sleep(self.random.uniform(0.1, 2.0))
            backend.start()
            backend.trouble[-1][1] = time.monotonic()
            self.count("restarted")

    async def admin(self):
        """What operators do, of every kind, over HTTP or with fairlead-ctl."""
        client = Client(self.gateway.port)
        extra = False
        while time.monotonic() < self.ends_at:
            await asyncio.sleep(self.random.uniform(0.05, 0.3))
            if self.paused.is_set():
                client.drop()
                continue
            name = self.random.choice("bcd")
            strategy = self.random.choice(STRATEGIES)
            action = self.random.choice(["disable", "drain"])
            weight = self.random.randint(1, 9)
            call = self.random.randrange(9)
            # As a request, and as a command; fairlead-ctl changes no backend in place.
            if call < 3:
                what = self.random.choice(["/status", "/backends", "/metrics", "/strategy"])
                request = ("GET", what, None)
                command = {"/backends": ["list"], "/strategy": ["strategy", "get"]}.get(what, [what[1:]])
            elif call == 3:
                request = ("PUT", "/strategy", {"strategy": strategy})
                command = ["strategy", "set", "--strategy", strategy]
            elif call == 4:
                request, command = ("PUT", "/backends/" + name, {"weight": weight}), None
            elif call == 5:
                request, command = ("POST", f"/backends/{name}/{action}", None), [action, name]
            elif call == 6:
                request, command = ("POST", f"/backends/{name}/enable", None), ["enable", name]
            elif call == 7:
                request, command = ("POST", f"/backends/{name}/health_check", None), ["health-check", name]
            elif extra:
                request, command = ("DELETE", "/backends/e", None), ["remove", "e"]
            else:
                url = self.extra.program.url
                request = ("POST", "/backends", {"name": "e", "url": url, "model_name": "m"})
                command = ["add", "--name", "e", "--url", url, "--model-name", "m", "--backend-api-key", ""]
            if command and self.random.random() < 0.4:
                done, refused, said = await self.ctl(command)
                self.count("commands of fairlead-ctl")
            else:
                method, path, body = request
                status, _, said = await client.exchange(method, ADMIN + path, json.dumps(body).encode() if body else b"",
                                                        ["Content-Type: application/json"])
                done, refused, command = status == 200, status in (404, 409), f"{request}: {status}"
                self.count("admin requests")
            # d, and what a reload takes away, may be gone at this moment.
            if call == 8 and (done or refused):
                extra = done and not extra
            elif not done and not (refused and call >= 4):
                self.wrong.append(f"admin {command} {said[:200]!r}")
            if self.random.random() < 0.1:
                status, _, body = await client.exchange("GET", "/metrics")
                if status != 200 or not body:
                    self.wrong.append(f"metrics: {status}")
        client.drop()

    async def ctl(self, command):
        """Whether fairlead-ctl did it, whether the server refused it, and what was said."""
        process = await asyncio.create_subprocess_exec(
            self.programs + "/fairlead-ctl", "--server-url", self.gateway.url, *command, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = await process.communicate()
        return process.returncode == 0, process.returncode == 1, said

    async def reloads(self):
        while time.monotonic() < self.ends_at:
            await asyncio.sleep(self.random.uniform(0.5, 2.5))
            if self.paused.is_set():
                continue
            valid = self.random.random() < 0.85
            self.write_settings(valid)
            by = "SIGHUP" if self.random.random() < 0.5 else "file"
            if by == "SIGHUP":
                self.gateway.process.send_signal(signal.SIGHUP)
            self.count(f"reloads by {by}" if valid else f"reloads of a bad file by {by}")

    async def last_reload(self):
        """After all this a change of the file still takes effect."""
        client = Client(self.gateway.port)
        for strategy in ("least_connections", "round_robin"):
            self.write_settings(strategy=strategy)
            by = time.monotonic() + 20
            while True:
                _, _, body = await client.exchange("GET", ADMIN + "/strategy")
                if f'"{strategy}"'.encode() in body:
                    break
                if time.monotonic() > by:
                    self.wrong.append(f"a change to {strategy} is not taken over: {body[:200]!r}")
                    break
                await asyncio.sleep(0.1)
        client.drop()

    # --- accounts -------------------------------------------------------------------------------------------------

    def connections(self):
        """The system's TCP connections: port here, port there, state, socket."""
        for table in ("tcp", "tcp6"):
            with open(f"/proc/{self.gateway.process.pid}/net/{table}") as lines:
                for fields in map(str.split, lines):
                    if fields[0] != "sl":
                        here, there = (int(address.rsplit(":", 1)[1], 16) for address in fields[1:3])
                        yield here, there, int(fields[3], 16), f"socket:[{fields[9]}]"

    def backends_by_port(self):
        return {b.port: b for b in [*self.backends.values(), self.extra]}

    def descriptors(self):
        """Open files of the gateway: all but its idle connections to backends, and those."""
        ports = self.backends_by_port()
        upstream = {socket for _, there, _, socket in self.connections() if there in ports}
        files = list(self.gateway.files())
        idle = sum(file in upstream for file in files)
        return len(files) - idle, idle

    def dead_connections(self):
        """Those of the gateway to a backend that has closed them, or that no backend has which is alive."""
        ports, connections = self.backends_by_port(), list(self.connections())
        files = set(self.gateway.files())
        held = {port: set(backend.program.files()) for port, backend in ports.items()}
        ends = {(here, there): socket for here, there, _, socket in connections}
        dead = []
        for here, there, state, socket in connections:
            if socket not in files or there not in ports:
                continue
            if state == CLOSE_WAIT or (state == ESTABLISHED and ends.get((there, here)) not in held[there]):
                dead.append(f"{ports[there].name} (port {here}, state {state})")
        return dead

    async def no_dead_connections(self):
        """What a backend closed goes at the next use of it, by a request or a probe; after the pool's 30 s at last."""
        by = time.monotonic() + 35
        while (dead := self.dead_connections()) and time.monotonic() < by:
            await asyncio.sleep(0.1)
        self.wrong += [f"a connection to a backend that is gone: {each}" for each in dead]

    def memory(self):
        """Proportional set size, in KiB."""
        with open(f"/proc/{self.gateway.process.pid}/smaps_rollup") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))

    async def settled(self):
        """Waits until nothing is in flight, and returns descriptors, idle connections and memory."""
        self.paused.set()
        while self.running > 0:
            await asyncio.sleep(0.05)
        client = Client(self.gateway.port)
        by = time.monotonic() + 20
        while True:
            _, _, body = await client.exchange("GET", ADMIN + "/metrics")
            left = {n: (b["active_connections"], b["tokens_in_flight"])
                    for n, b in json.loads(body)["data"]["backends"].items()}
            if all(each == (0, 0) for each in left.values()):
                break
            if time.monotonic() > by:
                self.wrong.append(f"requests and tokens in flight after the last request: {left}")
                break
            await asyncio.sleep(0.1)
        client.drop()
        await asyncio.sleep(1.0)  # the gateway sees the closed connections
        return (*self.descriptors(), self.memory())

    async def run(self):
        self.backends = {}
        for name in "abcd":
            self.backends[name] = Backend(self, name)
        self.extra = Backend(self, "e")
        self.write_settings()
        # Freed bodies go back to the system at once, instead of leaving holes of unlike sizes: then what is left is
        # what is kept. (A fixed threshold also stops glibc from raising it.)
        os.environ.update(MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="65536", MALLOC_ARENA_MAX="1",
                          ASAN_OPTIONS="quarantine_size_mb=16")
        self.gateway = Program([self.programs + "/fairlead-gateway", "--listen", "127.0.0.1:0", "--env-file", "",
                                "--settings", self.work + "/settings.json"], self.log)
        self.gateway.forward(self.log)
        began = time.monotonic()
        self.ends_at = began + self.seconds
        tasks = [asyncio.create_task(self.load()) for _ in range(16)]
        others = [asyncio.create_task(task()) for task in (self.mishaps, self.admin, self.reloads)]
        # The first minute, but no more than a third of it all.
        await asyncio.sleep(min(60, self.seconds / 3))
        first = await self.settled()
        self.paused.clear()
        await asyncio.gather(*tasks, *others)
        last = await self.settled()
        await self.last_reload()
        await self.no_dead_connections()
        took = time.monotonic() - began
        self.gateway.process.send_signal(signal.SIGTERM)
        try:
            status = self.gateway.process.wait(40)
        except subprocess.TimeoutExpired:
            status = "no end"
        if status != 0:
            self.wrong.append(f"the gateway's end: {status}")
        self.judge(first, last)
        self.report(first, last, took)

    def judge(self, first, last):
        c = self.counts
        for kind in ("plain", "stream", "upload", "models"):
            ended = c[kind + " answered"] + c[kind + " broken by its backend"] + c[kind + " broken by three"]
            if ended != c[kind + " sent"]:
                self.wrong.append(f"{kind}: {c[kind + ' sent']} sent, {ended} accounted for")
            if kind not in ("models",) and c[kind + " answered"] < 10:
                self.wrong.append(f"{kind}: too few to say anything")
        for what in ("killed", "restarted", "reloads by SIGHUP", "reloads by file", "admin requests",
                     "commands of fairlead-ctl"):
            if c[what] == 0:
                self.wrong.append(f"{what}: never, which says nothing")
        if last[0] != first[0]:
            self.wrong.append(f"descriptors beside idle connections to backends: {first[0]}, then {last[0]}")
        # The pool keeps 64 a backend at most; more would be leaked ones.
        if last[1] > 64 * 5:
            self.wrong.append(f"{last[1]} idle connections to backends")
        # Malloc keeps what fragments; caches (subsets, pools, beliefs, log) may still fill after the first look, most
        # of all when that came within the first minute. A leak of 100 bytes a request would be beyond it in minutes.
        limit = first[2] * 1.1 + (2048 if self.seconds >= 180 else 8192)
        if not self.asan and last[2] > limit:
            self.wrong.append(f"memory: {first[2]} KiB, then {last[2]} KiB")

    def report(self, first, last, took):
        c = self.counts
        sent = sum(v for k, v in c.items() if k.endswith(" sent"))
        print(f"{sent} requests in {took:.0f} s")
        print(f"{'':12}{'sent':>9}{'answered':>10}{'broken':>9}{'left':>8}")
        for kind in ("plain", "stream", "upload", "models", "leaves"):
            print(f"{kind:12}{c[kind + ' sent']:9}{c[kind + ' answered']:10}{c[kind + ' broken by its backend']:9}"
                  f"{c[kind + ' left']:8}")
        for what in sorted(c):
            if not what.endswith((" sent", " answered", " left", " broken by its backend")):
                print(f"{what}: {c[what]}")
        print(f"descriptors {first[0]} -> {last[0]}, idle connections to backends {first[1]} -> {last[1]}, "
              f"memory {first[2]} -> {last[2]} KiB")
        for line in self.wrong[:20]:
            print("WRONG:", line)
        print("FAILED" if self.wrong else "nothing lost")

    def end(self):
        programs = [b.program for b in getattr(self, "backends", {}).values()]
        programs += [getattr(self, "extra", None) and self.extra.program, getattr(self, "gateway", None)]
        for program in programs:
            if program and program.process.poll() is None:
                program.process.kill()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("minutes", type=float)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--asan", action="store_true")
    soak = Soak(parser.parse_args())
    try:
        asyncio.run(soak.run())
    finally:
        soak.end()
    sys.exit(1 if soak.wrong else 0)


main()
