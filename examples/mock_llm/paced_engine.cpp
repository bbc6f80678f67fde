// The clockwork at a fixed pace: one timer a running request, set to its next token.
#include "mock_llm/paced_engine.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace mock_llm {

using std::chrono::steady_clock;

PacedEngine::PacedEngine(asio::any_io_executor executor, const Speed& speed)
    : executor_{std::move(executor)}, speed_{speed}, cache_{speed.cache_blocks} {}

Engine::Id PacedEngine::submit(Prompt prompt, std::size_t tokens, OnTokens on_tokens) {
    const Id id = next_id_++;
    auto sequence = std::make_shared<Sequence>(executor_, std::move(prompt), std::max<std::size_t>(tokens, 1),
                                               std::move(on_tokens));
    sequences_.emplace(id, std::move(sequence));
    queue_.push_back(id);
    fill_batch();
    return id;
}

void PacedEngine::cancel(Id id) {
    const auto found = sequences_.find(id);
    if (found == sequences_.end()) return;
    if (found->second->runs) {
        --total_.running;
    } else {
        queue_.erase(std::find(queue_.begin(), queue_.end(), id));
    }
    sequences_.erase(found);
    fill_batch();
}

Figures PacedEngine::figures() {
    Figures figures = total_;
    figures.waiting = queue_.size();
    std::uint64_t held = 0;
    for (const auto& [id, sequence] : sequences_) {
        if (sequence->done == 0) figures.waiting_tokens += sequence->prompt.tokens - sequence->cached_tokens;
        if (sequence->runs) held += sequence->prompt.blocks.size();
    }
    if (cache_.capacity() > 0) {
        figures.cache_use = std::min(1.0, static_cast<double>(held) / static_cast<double>(cache_.capacity()));
    }
    return figures;
}

void PacedEngine::fill_batch() {
    while (total_.running < speed_.max_batch && !queue_.empty()) {
        const Id id = queue_.front();
        queue_.pop_front();
        ++total_.running;
        start(id, sequences_.at(id));
    }
}

void PacedEngine::start(Id id, const std::shared_ptr<Sequence>& sequence) {
    const auto& prompt = sequence->prompt;
    const std::uint64_t held = cache_.match(prompt.blocks) * std::uint64_t{speed_.block_tokens};
    sequence->cached_tokens = std::min(held, prompt.tokens - 1);  // the last one is always computed
    cache_.insert(prompt.blocks);
    total_.prompt_tokens += prompt.tokens;
    total_.cached_tokens += sequence->cached_tokens;
    const double uncached =
        static_cast<double>(prompt.tokens - sequence->cached_tokens) / static_cast<double>(prompt.tokens);
    const auto prefill = std::chrono::duration<double, std::milli>(speed_.first_token) * uncached;
    sequence->runs = true;
    sequence->first = steady_clock::now() + std::chrono::duration_cast<steady_clock::duration>(prefill);
    wait(id, sequence);
}

void PacedEngine::wait(Id id, const std::shared_ptr<Sequence>& sequence) {
    sequence->timer.expires_at(next(*sequence));
    // Cancelled while its timer was already due: then the engine itself may be gone, too.
    sequence->timer.async_wait([this, id, alive = std::weak_ptr{sequence}](std::error_code error) {
        if (const auto held = alive.lock(); held && !error) advance(id, held);
    });
}

void PacedEngine::advance(Id id, const std::shared_ptr<Sequence>& sequence) {
    if (!sequences_.contains(id)) return;
    const std::size_t count = due(*sequence) - sequence->done;
    sequence->done += count;
    total_.generated_tokens += count;
    const bool last = sequence->done == sequence->tokens;
    if (count > 0) sequence->on_tokens({count, last, sequence->cached_tokens});
    if (!last) {
        if (sequences_.contains(id)) wait(id, sequence);
    } else if (sequences_.erase(id) > 0) {
        --total_.running;
        fill_batch();
    }
}

std::size_t PacedEngine::due(const Sequence& sequence) const {
    const auto now = steady_clock::now();
    if (now < sequence.first) return sequence.done;
    if (speed_.tokens_per_second <= 0) return sequence.tokens;
    const double seconds = std::chrono::duration<double>(now - sequence.first).count();
    // Half a token of grace: a timer that fires at the very moment must not miss its token by rounding.
    const auto count = static_cast<std::size_t>(seconds * speed_.tokens_per_second + 0.5) + 1;
    return std::clamp(count, sequence.done, sequence.tokens);
}

steady_clock::time_point PacedEngine::next(const Sequence& sequence) const {
    if (sequence.done == 0 || speed_.tokens_per_second <= 0) return sequence.first;
    const std::chrono::duration<double> after{static_cast<double>(sequence.done) / speed_.tokens_per_second};
    return sequence.first + std::chrono::duration_cast<steady_clock::duration>(after);
}

}  // namespace mock_llm
