"""What a run of the hot path's benchmark measured, as ratios to the floor of the same run: for report.py and for
docs/pictures/figures.py."""
import json
import re
import statistics

UNITS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
STRATEGIES = ["round_robin", "weighted_round_robin", "random", "weighted_random", "consistent_hash",
              "least_connections", "response_time", "least_tokens", "prefix_affinity"]
WITH_WEIGHTS = ["least_connections", "response_time", "least_tokens"]
CLOCKS = ["no_clock", "steady_clock", "coarse_clock", "tsc_clock"]
SIZES = [1, 3, 16, 64, 100, 1000, 10_000]
THREAD_SIZES = [1, 3, 16, 100, 1000, 10_000]
COLD_SIZES = [10, 100, 1000, 10_000]


class Run:
    """Nanoseconds by row: of one thread's CPU time the fastest repetition, since what else the machine does only ever
    adds (a neighbour on the same core, half as much again: medians then differ from run to run by that); of what walks
    through megabytes, which has more repetitions, the lower quartile, since the fastest had lucky pages; of two threads'
    real time the median."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        self.context = content["context"]
        times, counters = {}, {}
        for run in content["benchmarks"]:
            if run.get("run_type") != "iteration":
                continue
            name = re.sub(r"/(iterations:\d+|repeats:\d+|manual_time|real_time)", "", run["run_name"])
            # The CPU's time, which other programs cannot take away; how two threads get on shows in real time only.
            real = run["threads"] > 1 or "threads:" in name or "manual_time" in run["run_name"]
            kind = "real_time" if real else "cpu_time"
            times.setdefault((name, real), []).append(run[kind] * UNITS[run["time_unit"]])
            if "bytes_a_backend" in run:
                counters.setdefault(name, []).append(run["bytes_a_backend"])
        self.repetitions = min(len(values) for values in times.values())
        self.repetitions_in_memory = max(len(values) for values in times.values())

        def figure(values, real):
            if real:
                return statistics.median(values)
            return sorted(values)[len(values) // 4 if len(values) > self.repetitions else 0]

        self.time = {name: figure(values, real) for (name, real), values in times.items()}
        self.bytes = {name: statistics.median(values) for name, values in counters.items()}

    def floors(self, name):
        """Against the floor at its own size; None where it was not measured."""
        size = "1" if name == "single_backend" else name.split("/")[1]
        floor = self.time.get(f"floor/{size}")
        return self.time[name] / floor if floor and name in self.time else None

    def milliseconds(self, name):
        return self.time[name] / 1e6 if name in self.time else None

    def gain(self, name, size):
        """What a second thread brings, of what it brings to the floor."""
        def of(row):
            one, two = (self.time.get(f"{row}/{size}/threads:{n}") for n in (1, 2))
            return one / two if one and two else None
        kind = "floor_own" if name.endswith("_own") else "floor_shared"
        ours, floors = of(name), of(kind)
        return ours / floors if ours and floors else None

    def ratios(self):
        """Every figure of CPU time, as a ratio to the floor, and of memory, by name: for comparing two runs. (What two
        threads bring is a matter of real time, and of what else the machine did.)"""
        found = {name: self.floors(name) if name == "single_backend" or f"floor/{name.split('/')[1]}" in self.time
                 else self.time[name] / self.time["floor/100"] for name in self.time
                 if "/" in name and "threads:" not in name and not re.match("floor|memory|seen", name)
                 or name == "single_backend"}
        found.update({name: value for name, value in self.bytes.items()})
        return {name: value for name, value in found.items() if value is not None}
