"""What is compared of the gateway and its peers, and the marks: for gateway.py and docs/pictures/figures.py."""
import statistics

# Text, measure, its figure, the mark as a multiple of whose.
ROWS = [
    ("CPU us a request, 1 KiB in, 300 B out, closed loop, 32 connections", "plain", "us_per_request", 1.0, "haproxy"),
    ("CPU us an SSE event, 200 streams, one event each 20 ms", "events", "us_per_event", 1.0, "haproxy"),
    ("CPU us an SSE event, bursts of 50", "bursts", "us_per_event", 0.9, "haproxy"),
    ("CPU us a MiB uploaded", "upload", "us_per_mib", 0.95, "haproxy"),
    ("memory (PSS), bytes an open idle stream, {streams} of them", "memory", "bytes_each", 1.0, "haproxy"),
    ("added p50, us, at 2,000 requests/s", "rate", "added_p50_us", 1.0, "nginx"),
    ("added p99, us, at 2,000 requests/s", "rate", "added_p99_us", None, "nginx"),
]
SHORT = {
    "us_per_request": "CPU a request", "us_per_mib": "CPU a MiB uploaded", "bytes_each": "memory an open stream",
    "added_p50_us": "added latency, p50", "added_p99_us": "added latency, p99",
    "events": "CPU an SSE event", "bursts": "CPU an SSE event in a burst",
}
NAMES = {"gateway": "gateway", "haproxy": "HAProxy", "nginx": "nginx", "relay": "HAProxy in TCP mode"}


def median(rounds, name, what, figure):
    values = [each[name][what][figure] for each in rounds if what in each.get(name, {})]
    return statistics.median(values) if values else None


def ratio(rounds, name, to, what, figure):
    """The median of the ratios within each round."""
    pairs = [(each[name][what][figure], each[to][what][figure]) for each in rounds
             if what in each.get(name, {}) and what in each.get(to, {})]
    return statistics.median(a / b for a, b in pairs) if pairs else None


def cost_ratios(rounds):
    """Of CPU and memory, each proxy's against HAProxy's: for comparing two runs."""
    found = {(name, what): ratio(rounds, name, "haproxy", what, figure)
             for _, what, figure, _, _ in ROWS if what != "rate" for name in NAMES if name != "haproxy"}
    return {f"{NAMES[name]}, {what}": value for (name, what), value in found.items() if value is not None}
