// One step after the other: what is in it, how long it takes, what comes of it.
#include "engine/engine.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace inference {

Engine::Engine(const Profile& profile) : profile_{profile}, cache_{profile.cache_blocks} {
    profile_.max_batch = std::max(profile_.max_batch, 1U);
    profile_.block_tokens = std::max(profile_.block_tokens, 1U);
}

bool Engine::submit(Id id, Request request, Time now) {
    request.prompt_tokens = std::max<std::uint64_t>(request.prompt_tokens, 1);
    request.output_tokens = std::max<std::uint64_t>(request.output_tokens, 1);
    Sequence sequence{id, std::move(request)};
    if (length(sequence) > profile_.room) return false;
    waiting_.push_back(std::move(sequence));
    if (busy_) {
        cut(now);
    } else {
        begin(now);
    }
    return true;
}

void Engine::cancel(Id id, Time now) {
    const auto is_it = [id](const Sequence& sequence) { return sequence.id == id; };
    if (const auto found = std::find_if(running_.begin(), running_.end(), is_it); found != running_.end()) {
        used_ -= length(*found);
        running_.erase(found);
    } else {
        std::erase_if(waiting_, is_it);
    }
    // The step under way takes as long as it would have: an engine looks at its batch between steps.
    if (busy_) cut(now);
}

std::optional<Time> Engine::next() const {
    if (!busy_) return std::nullopt;
    return began_ + length_ * static_cast<std::int64_t>(alike_);
}

void Engine::advance(Time now, std::vector<Event>& events) {
    while (busy_ && *next() <= now) finish(events);
}

/// What the next step holds. Without anything to run the engine is idle until the next `submit`.
void Engine::begin(Time now) {
    const auto decoding = static_cast<std::uint64_t>(std::count_if(
        running_.begin(), running_.end(), [this](const Sequence& one) { return is_decoding(one); }));
    // A prompt moves on by a token at least: else a full batch would hold it up for good.
    std::uint64_t spare = profile_.step_tokens > decoding ? profile_.step_tokens - decoding : 1;
    const std::uint64_t most = spare;
    for (auto& sequence : running_) {
        sequence.chunk = static_cast<std::uint32_t>(std::min<std::uint64_t>(sequence.left, spare));
        spare -= sequence.chunk;
    }
    while (spare > 0 && !waiting_.empty() && running_.size() < profile_.max_batch &&
           used_ + length(waiting_.front()) <= profile_.room) {
        start(spare);
    }
    busy_ = !running_.empty();
    if (!busy_) return;
    began_ = now;
    length_ = profile_.step + profile_.step_per_decoding * static_cast<std::int64_t>(decoding);
    if (profile_.prefill_rate > 0) {
        const double seconds = static_cast<double>(most - spare) / profile_.prefill_rate;
        length_ += std::chrono::duration_cast<Duration>(std::chrono::duration<double>{seconds});
    }
    alike_ = most == spare && !profile_.every_token ? steps_alike() : 1;
}

/// Moves the one that waits longest into the batch.
void Engine::start(std::uint64_t& spare) {
    Sequence sequence = std::move(waiting_.front());
    waiting_.pop_front();
    const auto& request = sequence.request;
    const std::uint64_t held = cache_.match(request.blocks) * std::uint64_t{profile_.block_tokens};
    // The last token of a prompt is always computed: the first one of the answer comes from it.
    sequence.cached_tokens = std::min(held, request.prompt_tokens - 1);
    sequence.left = request.prompt_tokens - sequence.cached_tokens;
    sequence.chunk = static_cast<std::uint32_t>(std::min(sequence.left, spare));
    spare -= sequence.chunk;
    used_ += length(sequence);
    total_.prompt_tokens += request.prompt_tokens;
    total_.cached_tokens += sequence.cached_tokens;
    running_.push_back(std::move(sequence));
}

/// How many steps there are until one of the decoding requests is complete, when all that run are decoding.
/// Who waits then waits for a place or for room, which no earlier step brings.
std::uint64_t Engine::steps_alike() const {
    auto least = std::numeric_limits<std::uint64_t>::max();
    for (const auto& sequence : running_) {
        const std::uint64_t done = total_.steps - sequence.first_step + 1;
        least = std::min(least, sequence.request.output_tokens - done);
    }
    return std::max<std::uint64_t>(least, 1);
}

/// Of the steps under way, those that ended by `now`; of one alone none has, or `advance` would have.
std::uint64_t Engine::steps_done(Time now) const {
    return alike_ <= 1 ? 0 : static_cast<std::uint64_t>((now - began_) / length_);
}

/// Somebody came or left: the steps after the present one are no longer what they would have been.
void Engine::cut(Time now) { alike_ = std::min(alike_, steps_done(now) + 1); }

void Engine::finish(std::vector<Event>& events) {
    const Time end = *next();
    total_.steps += alike_;
    for (auto& sequence : running_) {
        if (!is_decoding(sequence)) {
            compute(sequence);
            if (!is_decoding(sequence)) continue;
            sequence.first_step = total_.steps;
            const bool last = sequence.request.output_tokens == 1;
            events.push_back({sequence.id, end, 1, sequence.cached_tokens, true, last});
            ++total_.generated_tokens;
            continue;
        }
        total_.generated_tokens += alike_;
        const std::uint64_t done = total_.steps - sequence.first_step + 1;
        const bool last = done >= sequence.request.output_tokens;
        if (profile_.every_token) {
            events.push_back({sequence.id, end, alike_, sequence.cached_tokens, false, last});
        } else if (last) {
            events.push_back({sequence.id, end, done - 1, sequence.cached_tokens, false, true});
        }
    }
    std::erase_if(running_, [this](const Sequence& sequence) {
        if (!is_decoding(sequence)) return false;
        const bool is_complete = total_.steps - sequence.first_step + 1 >= sequence.request.output_tokens;
        if (is_complete) used_ -= length(sequence);
        return is_complete;
    });
    begin(end);
}

/// A piece of a prompt is computed: its full blocks can be used by others from now on.
void Engine::compute(Sequence& sequence) {
    sequence.left -= sequence.chunk;
    sequence.chunk = 0;
    const std::uint64_t computed = sequence.request.prompt_tokens - sequence.left;
    const auto& blocks = sequence.request.blocks;
    const auto full = std::min<std::uint64_t>(blocks.size(), computed / profile_.block_tokens);
    cache_.insert(std::span{blocks}.first(static_cast<std::size_t>(full)));
}

std::uint64_t Engine::uncomputed_tokens() const {
    std::uint64_t tokens = 0;
    for (const auto& sequence : waiting_) tokens += sequence.request.prompt_tokens;
    for (const auto& sequence : running_) tokens += sequence.left;
    return tokens;
}

Figures Engine::figures() const {
    Figures figures = total_;
    figures.running = static_cast<std::uint32_t>(running_.size());
    figures.waiting = static_cast<std::uint32_t>(waiting_.size());
    figures.waiting_tokens = uncomputed_tokens();
    figures.used =
        static_cast<double>(used_) / static_cast<double>(std::max<std::uint64_t>(profile_.room, 1));
    return figures;
}

}  // namespace inference
