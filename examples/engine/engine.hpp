// A model of an inference engine with continuous batching: what takes how long, without a model and a clock.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include <fairlead/model/time.hpp>

#include "engine/block_cache.hpp"

namespace inference {

using fairlead::Duration;
using fairlead::Time;

/// How fast the engine is, and how much it holds. The defaults are about a 30-billion-parameter model on one
/// accelerator of 2024: long prompts fill whole steps, and a step of decoding is bound by memory.
struct Profile {
    double prefill_rate = 8'000;        ///< prompt tokens a second; 0: they take no time
    std::uint32_t step_tokens = 2'048;  ///< tokens of one step at most: one a decoding request, then prompts
    std::uint32_t max_batch = 128;      ///< requests running together at most, >= 1; others wait in order
    Duration step = std::chrono::milliseconds{20};                ///< what a step costs at least ...
    Duration step_per_decoding = std::chrono::microseconds{300};  ///< ... and for each decoding request
    std::uint64_t room = 600'000;      ///< tokens of all running requests, prompts and answers, at most
    std::size_t cache_blocks = 2'000;  ///< blocks of past prompts that need no prefill
    std::uint32_t block_tokens = 512;  ///< tokens of a block
    bool every_token = false;          ///< tell of each token, not only of the first and the last
};

/// What an engine shows of itself, and what it did since it was made, as of the last `advance`.
struct Figures {
    std::uint32_t running = 0;  ///< requests in the batch
    std::uint32_t waiting = 0;  ///< requests that wait for a place in it
    std::uint64_t waiting_tokens =
        0;            ///< prompt tokens not yet computed, cached ones counted until they start
    double used = 0;  ///< share of the room that running requests hold, 0..1
    std::uint64_t prompt_tokens = 0;     ///< of all prompts that started
    std::uint64_t cached_tokens = 0;     ///< of those, found in the cache
    std::uint64_t generated_tokens = 0;  ///< of all answers
    std::uint64_t steps = 0;
};

/// Continuous batching as vLLM and its like do it. The engine works in steps. A step takes one token of each
/// decoding request, and prompt tokens up to `step_tokens`, in order of arrival, a long prompt in several
/// steps. A request enters the batch when a step has tokens to spare for it, the batch a place, and the room
/// its whole length (what preempts nobody later); its leading blocks that the cache holds are not computed
/// again. The last piece of a prompt brings the first token.
///
/// No clock, no I/O: the caller passes `now`, which never falls, and comes back at `next()`.
///
///     engine.submit(7, {.blocks = hashes, .prompt_tokens = 900, .output_tokens = 50}, now);
///     while (const auto at = engine.next()) {
///         events.clear();
///         engine.advance(*at, events);
///         for (const auto& event : events) ...
///     }
///
/// Threads: one at a time. Cost: a step is O(batch), and steps in which nothing happens but decoding are
/// taken in one (unless `every_token`).
class Engine {
  public:
    using Id = std::uint64_t;  ///< the caller's, unique among its requests here

    struct Request {
        std::vector<std::uint64_t> blocks{};  ///< chained hashes of the prompt's full blocks
        std::uint64_t prompt_tokens = 1;
        std::uint64_t output_tokens = 1;  ///< 0 counts as 1
    };

    /// New tokens of one request.
    struct Event {
        Id id;
        Time at;
        std::uint64_t tokens;         ///< how many are new
        std::uint64_t cached_tokens;  ///< of its prompt, as found when it started
        bool first;                   ///< the first of them is the answer's first
        bool last;                    ///< the answer is complete, the request gone
    };

    explicit Engine(const Profile& profile);

    /// Takes a request, after `advance(now)`. False when it is longer than the room, and so could never run.
    bool submit(Id id, Request request, Time now);

    /// Drops a request wherever it stands; nothing more is told of it. Unknown ones are ignored.
    void cancel(Id id, Time now);

    /// When `advance` has something to do next; nothing while idle.
    std::optional<Time> next() const;

    /// Works until `now`, and appends to `events` what came of it, in order of time.
    void advance(Time now, std::vector<Event>& events);

    /// Forgets every cached block, as a restart does. Requests go on.
    void lose_cache() { cache_.clear(); }

    /// Calls `visit(id, tokens)` for each answer under way, with how many of its tokens were made by `now`,
    /// after `advance(now)`: what `every_token` would have told of by then. O(batch).
    template <class Visit>
    void each_answer(Time now, Visit&& visit) const {
        const std::uint64_t steps = total_.steps + (busy_ ? steps_done(now) : 0);
        for (const auto& sequence : running_) {
            if (is_decoding(sequence)) visit(sequence.id, steps - sequence.first_step + 1);
        }
    }

    Figures figures() const;
    const Profile& profile() const { return profile_; }
    const BlockCache& cache() const { return cache_; }

  private:
    struct Sequence {
        Id id;
        Request request;
        std::uint64_t cached_tokens = 0;
        std::uint64_t left = 0;        // prompt tokens to be computed
        std::uint32_t chunk = 0;       // of those, in the present step
        std::uint64_t first_step = 0;  // the step that brought the first token
    };

    bool is_decoding(const Sequence& sequence) const { return sequence.left == 0; }
    std::uint64_t length(const Sequence& sequence) const {
        return sequence.request.prompt_tokens + sequence.request.output_tokens;
    }
    std::uint64_t uncomputed_tokens() const;

    void begin(Time now);
    void admit(std::uint64_t tokens_to_spare);
    void start(std::uint64_t& tokens_to_spare);
    std::uint64_t steps_alike() const;
    std::uint64_t steps_done(Time now) const;
    void cut(Time now);
    void finish(std::vector<Event>& events);
    void compute(Sequence& sequence);

    Profile profile_;
    BlockCache cache_;
    std::deque<Sequence> waiting_{};
    std::vector<Sequence> running_{};  // in order of admission
    std::uint64_t used_ = 0;           // tokens of the room
    Figures total_{};

    // The steps under way: `alike_` of them, of one length, the first begun at `began_`.
    bool busy_ = false;
    Time began_{};
    Duration length_{};
    std::uint64_t alike_ = 0;
};

}  // namespace inference
