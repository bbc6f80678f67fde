// Conversations that begin as in a Poisson process whose rate changes, and grow by turns.
#include "simulator/generator.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>
#include <vector>

#include <fairlead/model/rng.hpp>

namespace simulator {

namespace {

using fairlead::Rng;

double exponential(Rng& rng, double mean) { return -mean * std::log1p(-rng.uniform()); }

/// Box and Muller; one of the two is enough here.
double normal(Rng& rng) {
    return std::sqrt(-2 * std::log1p(-rng.uniform())) * std::cos(2 * std::numbers::pi * rng.uniform());
}

/// Lognormal with that median; a sigma of 1 has a mean of 1.65 medians and a 99th percentile of 10.
std::uint32_t tokens(Rng& rng, std::uint32_t median, double sigma, double most) {
    const double drawn = median * std::exp(sigma * normal(rng));
    return static_cast<std::uint32_t>(std::clamp(drawn, 1.0, most));
}

// What models take and give at most.
constexpr double longest_prompt = 128'000;
constexpr double longest_answer = 2'000;
// What a step of decoding takes on a busy engine, about: the next question waits for the answer.
constexpr double seconds_a_token = 0.04;

/// Arrivals whose rate follows the time of day and bursts, by thinning (Lewis and Shedler 1979).
class Arrivals {
  public:
    Arrivals(const Traffic& traffic, double rate, double length, Rng& rng)
        : traffic_{traffic}, length_{length}, rng_{rng} {
        // Bursts take a fifth of the time; outside of them the rate is so much lower that the mean holds.
        calm_ = rate / (1 + burst_share * (traffic.burst_factor - 1));
        change_ = exponential(rng_, traffic_.burst_seconds * (1 - burst_share) / burst_share);
    }

    /// Of the next one, in seconds.
    double next() {
        const double highest = calm_ * std::max(1.0, traffic_.burst_factor) * (1 + traffic_.day_share);
        do {
            now_ += exponential(rng_, 1 / highest);
            while (change_ < now_) {
                bursts_ = !bursts_;
                const double mean = bursts_ ? traffic_.burst_seconds
                                            : traffic_.burst_seconds * (1 - burst_share) / burst_share;
                change_ += exponential(rng_, mean);
            }
        } while (rng_.uniform() * highest > rate());
        return now_;
    }

  private:
    static constexpr double burst_share = 0.2;

    double rate() const {
        const double day = 1 - traffic_.day_share * std::cos(2 * std::numbers::pi * now_ / length_);
        return calm_ * day * (bursts_ ? traffic_.burst_factor : 1);
    }

    const Traffic& traffic_;
    double length_;
    Rng& rng_;
    double calm_ = 0;
    double now_ = 0;
    double change_ = 0;
    bool bursts_ = false;
};

/// A prompt that grows at its end: full blocks keep their numbers, the last one gets another when it grows.
class Prompt {
  public:
    Prompt(std::uint32_t block_tokens, std::uint64_t& next_id)
        : block_tokens_{block_tokens}, next_id_{&next_id} {}

    void add(std::uint32_t count) {
        const std::uint32_t open = length_ % block_tokens_;
        if (count > 0 && open > 0) ids_.pop_back();
        length_ += count;
        while (ids_.size() * block_tokens_ < length_) ids_.push_back((*next_id_)++);
    }

    std::uint32_t length() const { return length_; }
    const std::vector<std::uint64_t>& ids() const { return ids_; }

  private:
    std::uint32_t block_tokens_;
    std::uint64_t* next_id_;
    std::uint32_t length_ = 0;
    std::vector<std::uint64_t> ids_{};
};

}  // namespace

Trace generate(const Traffic& traffic) {
    Rng rng{Rng::mix(traffic.seed + 0x5eed)};
    std::uint64_t next_id = 0;
    Prompt common{traffic.block_tokens, next_id};
    common.add(traffic.common_tokens);
    std::vector<Prompt> systems(std::max(traffic.applications, 1U), common);
    for (auto& system : systems) system.add(tokens(rng, traffic.system_tokens, 0.5, 100'000));
    double popularity = 0;
    for (std::size_t i = 1; i <= systems.size(); ++i) popularity += 1.0 / static_cast<double>(i);
    const auto application = [&]() -> const Prompt& {
        double drawn = rng.uniform() * popularity;
        std::size_t at = 0;
        while (at + 1 < systems.size() && (drawn -= 1.0 / static_cast<double>(at + 1)) > 0) ++at;
        return systems[at];
    };

    const double length = static_cast<double>(traffic.requests) / traffic.rate;
    Arrivals arrivals{traffic, traffic.rate / traffic.turns, length, rng};
    Trace trace;
    const auto ends = [&](double at) {  // nothing that is still to come can be among the first `requests`
        if (trace.size() < traffic.requests) return false;
        return std::count_if(trace.begin(), trace.end(), [at](const Request& request) {
                   return request.at <= std::chrono::duration<double>(at);
               }) >= static_cast<std::ptrdiff_t>(traffic.requests);
    };
    for (std::size_t begun = 1;; ++begun) {
        double at = arrivals.next();
        if (begun % 64 == 0 && ends(at)) break;
        Prompt prompt = application();
        prompt.add(tokens(rng, traffic.opening_tokens, 1.3, longest_prompt));
        while (true) {
            if (prompt.length() > longest_prompt) break;
            const std::uint32_t answer = tokens(rng, traffic.answer_tokens, 0.8, longest_answer);
            Request request;
            request.at = std::chrono::milliseconds{static_cast<std::int64_t>(at * 1'000)};
            request.prompt_tokens = prompt.length();
            request.output_tokens = answer;
            request.ids = prompt.ids();
            trace.push_back(std::move(request));
            if (rng.uniform() * traffic.turns < 1) break;
            prompt.add(answer);
            prompt.add(tokens(rng, traffic.question_tokens, 1, longest_prompt));
            if (rng.uniform() < traffic.attachment_share)
                prompt.add(tokens(rng, traffic.attachment_tokens, 1, longest_prompt));
            at += answer * seconds_a_token + traffic.think_seconds * std::exp(normal(rng));
        }
    }
    std::stable_sort(trace.begin(), trace.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
    trace.resize(traffic.requests);
    find_conversations(trace);
    return trace;
}

}  // namespace simulator
