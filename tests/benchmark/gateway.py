"""Measures our gateway, HAProxy and nginx in one session, interleaved: gateway.sh builds and calls it.

    gateway.py BIN OUTPUT_DIR [--short] [--only gateway,haproxy,...] [--what plain,events,...]

BIN holds fairlead-gateway and bench-gateway-load. Writes gateway.json (every figure of every round) and gateway.md
(medians as ratios to HAProxy of the same round, beside the marks). One proxy thread on one CPU; backends and load, one
thread, on another. CPU time is what the kernel charged to the proxy's processes. All processes end with this one."""
import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from gateway_rows import ROWS, median, ratio
from marks import beside_peer

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("bin", type=pathlib.Path)
parser.add_argument("out", type=pathlib.Path)
parser.add_argument("--short", action="store_true", help="one brief round: that it runs, not how fast")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--only", help="these proxies alone, by commas")
parser.add_argument("--what", help="these measures alone, by commas")
given = parser.parse_args()
rounds = 1 if given.short else given.rounds
streams = 200 if given.short else 5000
STREAMS_EACH = 2  # descriptors a proxy holds for a stream: its client's and its backend's
patience = 30  # seconds, for a program to start or end

# --- the machine ---

cpus = sorted(os.sched_getaffinity(0))
proxy_cpu, load_cpu = (cpus[-1], cpus[0])
if len(cpus) < 2:
    print("one CPU alone: proxy and load share it, and times say little", file=sys.stderr)
needed = streams * STREAMS_EACH + 1000
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if hard != resource.RLIM_INFINITY and hard < needed:
    fits = max(0, (hard - 1000) // STREAMS_EACH)
    print(f"the hard limit of open files is {hard}: {fits} streams instead of {streams}", file=sys.stderr)
    streams = fits
    needed = hard
resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))

work = pathlib.Path(tempfile.mkdtemp(prefix="fairlead-bench-"))
running = []


def free_port():
    """Free now; a program that cannot be told to take any gets it a moment later."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(command, cpu, name, **more):
    with open(work / f"{name}.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stderr=log, cwd=work, **{"stdout": log, **more},
                                   preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
    running.append(process)
    return process


def end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process in running:
        running.remove(process)


def pids_of(process):
    """It and its children: nginx serves from a worker of its own."""
    with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
        return [process.pid] + [int(pid) for pid in file.read().split()]


# --- the proxies ---

ENVIRONMENT = {key: value for key, value in os.environ.items()
               if not key.startswith(("FAIRLEAD_", "LLM_", "LOAD_BALANCE_", "HEALTH_CHECK_"))}


def gateway(port, backends):
    settings = {
        "load_balance_strategy": "least_connections",
        "llm_backends": [{"name": f"b{i}", "url": f"http://127.0.0.1:{at}", "max_connections": 100_000,
                          "timeout": 600} for i, at in enumerate(backends)],
    }
    (work / "gateway.settings").write_text(json.dumps(settings), encoding="utf-8")
    return [given.bin / "fairlead-gateway", "--listen", f"127.0.0.1:{port}", "--env-file", "", "--settings",
            work / "gateway.settings"]


def haproxy_config(mode, port, backends):
    http = "  option http-no-delay\n  timeout http-keep-alive 75s\n" if mode == "http" else ""
    servers = "".join(f"  server b{i} 127.0.0.1:{at} check\n" for i, at in enumerate(backends))
    path = work / f"haproxy-{mode}.cfg"
    path.write_text(f"""global
  nbthread 1
  maxconn {(needed - 500) // STREAMS_EACH}
defaults
  mode {mode}
{http}  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend clients
  bind 127.0.0.1:{port}
  default_backend engines
backend engines
  balance leastconn
{servers}""", encoding="utf-8")
    return [shutil.which("haproxy"), "-db", "-f", path]


def nginx(port, backends):
    servers = "".join(f"    server 127.0.0.1:{at};\n" for at in backends)
    path = work / "nginx.conf"
    path.write_text(f"""daemon off;
worker_processes 1;
{'user root;' if os.geteuid() == 0 else ''}
pid {work}/nginx.pid;
error_log stderr error;
events {{ worker_connections {needed - 200}; }}
http {{
  access_log off;
  client_body_temp_path {work}/nginx-body;
  proxy_temp_path {work}/nginx-proxy;
  fastcgi_temp_path {work}/nginx-fastcgi;
  uwsgi_temp_path {work}/nginx-uwsgi;
  scgi_temp_path {work}/nginx-scgi;
  client_max_body_size 64m;
  keepalive_requests 1000000000;
  upstream engines {{
    least_conn;
{servers}    keepalive 64;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://engines;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout 600s;
    }}
  }}
}}
""", encoding="utf-8")
    # -e: else it tries the one of the system first.
    return [shutil.which("nginx"), "-e", "stderr", "-p", work, "-c", path]


PROXIES = {
    "gateway": ("gateway", gateway),
    "haproxy": ("HAProxy", lambda *where: haproxy_config("http", *where)),
    "nginx": ("nginx", nginx),
    "relay": ("HAProxy in TCP mode", lambda *where: haproxy_config("tcp", *where)),
}
wanted = given.only.split(",") if given.only else list(PROXIES)
for name, program in (("haproxy", "haproxy"), ("relay", "haproxy"), ("nginx", "nginx")):
    if name in wanted and not shutil.which(program):
        print(f"{program} is not here: {PROXIES[name][0]} is left out", file=sys.stderr)
        wanted.remove(name)


def start_proxy(name):
    """The process and its port, when it takes connections."""
    port = free_port()
    process = start(PROXIES[name][1](port, backends), proxy_cpu, name, env=ENVIRONMENT)
    give_up = time.monotonic() + patience
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process, port
        except OSError:
            if process.poll() is not None or time.monotonic() > give_up:
                raise SystemExit(f"{name} does not start:\n" + (work / f"{name}.log").read_text())
            time.sleep(0.02)


# --- the measures: what is told to the load program, and which figure of its answer counts ---

brief = given.short


def per_count(unit):
    return lambda result: {unit: result["cpu_us"] / max(1, result["count"]),
                           "per_second": result["count"] / result["seconds"]}


def lasting(seconds):
    return "warm_up=0.1 seconds=0.2" if brief else f"warm_up=0.5 seconds={seconds}"


MEASURES = {
    "plain": (f"closed {lasting(2)} connections=32 body=1024", per_count("us_per_request")),
    "events": (f"events {lasting(3)} streams=200 interval_ms=20 burst=1",
               per_count("us_per_event")),
    "bursts": (f"events {lasting(3)} streams=200 interval_ms=1000 burst=50",
               per_count("us_per_event")),
    "upload": (f"closed {lasting(2)} connections=8 body={1024 * 1024}", per_count("us_per_mib")),
    "rate": (f"rate {lasting(3)} requests=2000", lambda result: result),
    "first": (f"first streams={3 if brief else 10} delay_ms=0", lambda result: result),
    "first_later": (f"first streams={3 if brief else 10} delay_ms=30", lambda result: result),
    "memory": (f"hold streams={streams}", lambda result: result),
}
measures = given.what.split(",") if given.what else list(MEASURES)


def ask(command):
    load.stdin.write(command + "\n")
    load.stdin.flush()
    answer = load.stdout.readline()
    if not answer:
        raise SystemExit(f"the load program ended during \"{command}\":\n" + (work / "load.log").read_text() +
                         "".join(path.read_text() for path in work.glob("*.log") if path.name != "load.log"))
    return json.loads(answer)


def measure(what, process, port):
    command, figures = MEASURES[what]
    return figures(ask(f"{command} port={port} pids={','.join(map(str, pids_of(process)))}"))


def one_round(number):
    """Each measure for each proxy, in an order that moves on with every round."""
    turn = number % len(wanted)
    order = wanted[turn:] + wanted[:turn]
    result = {name: {} for name in order}
    for what in measures:
        if what == "rate":
            direct = ask(f"{MEASURES[what][0]} port={backends[0]}")
            result["direct"] = {what: direct}
        for name in order:
            # Memory from a fresh start: what was open before stays in a program's pools.
            process, port = start_proxy(name) if what == "memory" else proxies[name]
            result[name][what] = measure(what, process, port)
            if what == "memory":
                end(process)
            if what == "rate":
                for share in ("p50_us", "p99_us"):
                    result[name][what]["added_" + share] = result[name][what][share] - direct[share]
    return result


date, load_before = time.strftime("%Y-%m-%d"), os.getloadavg()[0]
try:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given.out.mkdir(parents=True, exist_ok=True)
    given.bin = given.bin.resolve()
    load = start([given.bin / "bench-gateway-load"], load_cpu, "load", stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE, text=True)
    backends = [int(port) for port in load.stdout.readline().split()]
    proxies = {name: start_proxy(name) for name in wanted}
    results = []
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        results.append(one_round(number))
finally:
    for process in list(running):
        end(process)
    shutil.rmtree(work, ignore_errors=True)

# --- what came out ---


HELD_BACK_MS = 20.0  # because what holds back costs 40 ms (a delayed acknowledgement) or more, a busy machine a few


def table():
    others = [name for name in ("nginx", "relay") if name in wanted]
    lines = ["| figure | HAProxy | " + "".join(PROXIES[name][0] + " | " for name in others) +
             "gateway | mark | met |", "|---|---:|" + "---:|" * (len(others) + 1) + "---:|---|"]

    def against_haproxy(name, what, figure):
        value = ratio(results, name, "haproxy", what, figure)
        if value is not None:
            return f"{value:.2f} x"
        alone = median(results, name, what, figure)
        return "-" if alone is None else f"{alone:.1f}"

    for text, what, figure, mark, to in ROWS:
        if what not in measures:
            continue
        base = median(results, "haproxy", what, figure)
        cells = [text.format(streams=f"{streams:,}"), "-" if base is None else f"{base:.1f}"]
        cells += [against_haproxy(name, what, figure) for name in others + ["gateway"]]
        value = ratio(results, "gateway", to, what, figure)
        cells.append("" if mark is None else f"{mark:g} x {PROXIES[to][0]}")
        if mark is None or value is None:
            cells.append("")
        else:
            # Each ratio is the median of the rounds' own: two of them need not give the third.
            cells.append(("" if to == "haproxy" else f"{value:.2f} x {PROXIES[to][0]}: ") + beside_peer(value, mark))
        lines.append("| " + " | ".join(cells) + " |")
    # What holds an event back holds back each: a median is enough, and free of what else the machine does.
    for text, what in (("first event, with the head: ms under way", "first"),
                       ("first event, 30 ms after the head: ms under way", "first_later")):
        if what not in measures:
            continue
        names = ["haproxy"] + others + ["gateway"]
        waits = {name: median(results, name, what, "median_ms") for name in names}
        cells = [text] + ["-" if waits[name] is None else f"{waits[name]:.1f}" for name in names]
        ours = waits["gateway"]
        cells += ["not held back", "" if ours is None else "yes" if ours < HELD_BACK_MS else "**no**"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"




def version(*command):
    """The first number in what a program says of its version."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    found = re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr)
    return found and found[0]


def compiler():
    """That of the build whose programs were measured."""
    cache = given.bin.parent / "CMakeCache.txt"
    found = cache.exists() and re.search(r"^CMAKE_CXX_COMPILER:\w+=(.*)", cache.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else "c++"


versions = {"clang++" if "clang" in compiler() else "g++": version(compiler(), "--version"),
            "HAProxy": version("haproxy", "-v"), "nginx": version("nginx", "-v")}
versions = {name: number for name, number in versions.items() if number}
(given.out / "gateway.json").write_text(
    json.dumps({"date": date, "load": load_before, "versions": versions, "streams": streams, "rounds": results}, indent=1),
    encoding="utf-8")
(given.out / "gateway.md").write_text(table(), encoding="utf-8")
print(table(), end="")
