// From requests to figures.
#include "simulator/result.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

namespace simulator {

namespace {

/// Two readings of the clock with nothing between them: what each measured pick has too much.
double clock_ns() {
    static const double cost = [] {
        std::vector<double> costs(501);
        for (auto& each : costs) {
            const auto begin = std::chrono::steady_clock::now();
            each = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count();
        }
        return quantile(std::move(costs), 0.5);
    }();
    return cost;
}

}  // namespace

double quantile(std::vector<double> values, double q) {
    if (values.empty()) return 0;
    const auto rank = static_cast<std::ptrdiff_t>(std::ceil(q * static_cast<double>(values.size()))) - 1;
    const auto at = std::clamp<std::ptrdiff_t>(rank, 0, std::ssize(values) - 1);
    std::nth_element(values.begin(), values.begin() + at, values.end());
    return values[static_cast<std::size_t>(at)];
}

Summary summary_of(const Result& result) {
    Summary summary;
    summary.strategy = result.strategy;
    summary.requests = result.requests;
    summary.shed = result.shed;
    summary.failed = result.failed;
    summary.retries = result.retries;
    std::vector<double> firsts;
    double per_token = 0;
    double several = 0;
    double prompt = 0;
    double cached = 0;
    for (const auto& each : result.served) {
        firsts.push_back(each.first_token);
        summary.mean += each.first_token;
        prompt += each.prompt_tokens;
        cached += each.cached_tokens;
        if (each.per_token > 0) {
            per_token += each.per_token;
            ++several;
        }
    }
    const auto count = static_cast<double>(std::max<std::size_t>(firsts.size(), 1));
    summary.mean /= count;
    summary.p50 = quantile(firsts, 0.5);
    summary.p90 = quantile(firsts, 0.9);
    summary.p99 = quantile(std::move(firsts), 0.99);
    summary.per_token = several > 0 ? per_token / several : 0;
    summary.hit_rate = prompt > 0 ? cached / prompt : 0;
    const auto all = static_cast<double>(std::accumulate(result.sent.begin(), result.sent.end(), 0ULL));
    if (all > 0) {
        const auto most = static_cast<double>(*std::max_element(result.sent.begin(), result.sent.end()));
        summary.imbalance = most * static_cast<double>(result.sent.size()) / all;
    }
    std::vector<double> picks{result.pick_times.begin(), result.pick_times.end()};
    summary.pick_ns = std::max(0.0, quantile(std::move(picks), 0.5) - clock_ns());
    return summary;
}

std::vector<Interval> timeline_of(const Result& result, double seconds) {
    double last = 0;
    for (const auto& each : result.served) last = std::max(last, each.arrived);
    std::vector<Interval> timeline(static_cast<std::size_t>(last / seconds) + 1);
    std::vector<double> prompt(timeline.size());
    std::vector<double> cached(timeline.size());
    for (std::size_t i = 0; i < timeline.size(); ++i) {
        timeline[i].begin = static_cast<double>(i) * seconds;
        timeline[i].served.resize(result.sent.size());
    }
    for (const auto& each : result.served) {
        const auto at = static_cast<std::size_t>(each.arrived / seconds);
        timeline[at].mean += each.first_token;
        ++timeline[at].served[each.backend];
        prompt[at] += each.prompt_tokens;
        cached[at] += each.cached_tokens;
    }
    for (std::size_t i = 0; i < timeline.size(); ++i) {
        const auto& served = timeline[i].served;
        const auto count = static_cast<double>(std::accumulate(served.begin(), served.end(), 0ULL));
        timeline[i].mean /= std::max(count, 1.0);
        timeline[i].hit_rate = prompt[i] > 0 ? cached[i] / prompt[i] : 0;
    }
    return timeline;
}

}  // namespace simulator
