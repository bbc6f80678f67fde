// The engine's clockwork: one timer a running request, set to its next token.
#include "mock_llm/engine.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace mock_llm {

using std::chrono::steady_clock;

Engine::Engine(asio::any_io_executor executor, Speed speed)
    : executor_{std::move(executor)}, speed_{speed}, cache_{speed.cache_blocks} {}

Engine::Id Engine::submit(std::vector<std::uint64_t> blocks, std::size_t tokens, OnTokens on_tokens) {
    const Id id = next_id_++;
    auto sequence =
        std::make_shared<Sequence>(executor_, std::max<std::size_t>(tokens, 1), std::move(on_tokens));
    sequence->blocks = std::move(blocks);
    sequences_.emplace(id, std::move(sequence));
    queue_.push_back(id);
    fill_batch();
    return id;
}

void Engine::cancel(Id id) {
    const auto found = sequences_.find(id);
    if (found == sequences_.end()) return;
    if (found->second->runs) {
        --running_;
    } else {
        queue_.erase(std::find(queue_.begin(), queue_.end(), id));
    }
    sequences_.erase(found);
    fill_batch();
}

void Engine::fill_batch() {
    while (running_ < speed_.max_batch && !queue_.empty()) {
        const Id id = queue_.front();
        queue_.pop_front();
        ++running_;
        start(id, sequences_.at(id));
    }
}

void Engine::start(Id id, const std::shared_ptr<Sequence>& sequence) {
    const auto total = sequence->blocks.size();
    const auto cached = cache_.take(sequence->blocks);
    auto prefill = std::chrono::duration_cast<steady_clock::duration>(speed_.first_token);
    if (total > 0)
        prefill = prefill * static_cast<std::int64_t>(total - cached) / static_cast<std::int64_t>(total);
    sequence->runs = true;
    sequence->first = steady_clock::now() + prefill;
    wait(id, sequence);
}

void Engine::wait(Id id, const std::shared_ptr<Sequence>& sequence) {
    sequence->timer.expires_at(next(*sequence));
    // Cancelled while its timer was already due: then the engine itself may be gone, too.
    sequence->timer.async_wait([this, id, alive = std::weak_ptr{sequence}](std::error_code error) {
        if (const auto held = alive.lock(); held && !error) advance(id, held);
    });
}

void Engine::advance(Id id, const std::shared_ptr<Sequence>& sequence) {
    if (!sequences_.contains(id)) return;
    const std::size_t count = due(*sequence) - sequence->done;
    sequence->done += count;
    const bool last = sequence->done == sequence->tokens;
    if (count > 0) sequence->on_tokens(count, last);
    if (!last) {
        if (sequences_.contains(id)) wait(id, sequence);
    } else if (sequences_.erase(id) > 0) {
        --running_;
        fill_batch();
    }
}

std::size_t Engine::due(const Sequence& sequence) const {
    const auto now = steady_clock::now();
    if (now < sequence.first) return sequence.done;
    if (speed_.tokens_per_second <= 0) return sequence.tokens;
    const double seconds = std::chrono::duration<double>(now - sequence.first).count();
    // Half a token of grace: a timer that fires at the very moment must not miss its token by rounding.
    const auto count = static_cast<std::size_t>(seconds * speed_.tokens_per_second + 0.5) + 1;
    return std::clamp(count, sequence.done, sequence.tokens);
}

steady_clock::time_point Engine::next(const Sequence& sequence) const {
    if (sequence.done == 0 || speed_.tokens_per_second <= 0) return sequence.first;
    const std::chrono::duration<double> after{static_cast<double>(sequence.done) / speed_.tokens_per_second};
    return sequence.first + std::chrono::duration_cast<steady_clock::duration>(after);
}

}  // namespace mock_llm
