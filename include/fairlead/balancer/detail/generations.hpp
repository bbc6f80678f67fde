// How a backend's config and state are told apart from earlier ones, in the word that requests change too.
//
// Called with the roster's mutex; requests take and give back places meanwhile.
#pragma once

#include <atomic>
#include <cstdint>
#include <system_error>

#include <fairlead/balancer/detail/live_backend.hpp>
#include <fairlead/model/error.hpp>
#include <fairlead/strategies/detail/account.hpp>

namespace fairlead::detail {

/// Another generation of the config: from now on an old snapshot cannot hand the backend out, and `config`,
/// the present one, lives until its last lease ends. `Errc::too_many_changes` when every generation is still
/// used. Throws std::bad_alloc, and then nothing changed.
inline std::error_code change_generation(LiveBackend& backend) {
    auto now = backend.word.load(std::memory_order_relaxed);
    const std::uint32_t old = word::generation(now);
    std::uint32_t next = old;
    do {
        next = (next + 1) % word::generations;
        if (next == old) return Errc::too_many_changes;
    } while (backend.history.uses(next));
    backend.history.make_room();  // before anything is changed
    const auto bits = std::uint64_t{next} << word::generation_shift;
    // Acquire and release: a lease taken under the old generation was taken before, and is counted here.
    while (!backend.word.compare_exchange_weak(now, (now & ~word::generation_mask) | bits,
                                               std::memory_order_acq_rel, std::memory_order_relaxed)) {
    }
    backend.history.retire(old, backend.config, word::in_flight(now));
    return {};
}

/// Another epoch: outcomes of requests that began before do not decide any more, and whoever held the
/// trial place does not now.
inline void change_epoch(LiveBackend& backend) noexcept {
    auto now = backend.word.load(std::memory_order_relaxed);
    std::uint64_t next = 0;
    do {
        const std::uint64_t epoch = (word::epoch(now) + 1) % word::epochs;
        next = (now & ~(word::epoch_mask | word::trial)) | (epoch << word::epoch_shift);
    } while (
        !backend.word.compare_exchange_weak(now, next, std::memory_order_relaxed, std::memory_order_relaxed));
}

}  // namespace fairlead::detail
