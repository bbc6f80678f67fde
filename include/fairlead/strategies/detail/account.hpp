// The one cache line that every request to a backend touches, and one for the choices that look at tokens.
// Private to the library.
//
// `word` holds all that must change together, so that a request costs two read-modify-writes in all: a
// compare-and-swap that takes a place and one addition that gives it back.
//
//     bit  0..19  in flight
//     bit  20     closed: disabled, draining or removed; nobody may take a place
//     bit  21     trial:  half open, and the one trial request is under way
//     bit  22     resting: asked to be left alone; cleared when the rest is over
//     bit  23..32 generation of the config: an old snapshot cannot hand the backend out under an old config
//     bit  33..39 epoch of the state: outcomes from before the last change of state do not count towards it
//     bit  40..63 completed, modulo 2^24 (`half_turns` extends it to 64 bits)
//
// In flight is lowest and the flags and the generation stand directly above it, so that
//     ((word ^ expected_generation) & busy_mask) < limit
// asks in one comparison whether the backend is open, of this generation, and below its limit.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

namespace fairlead::detail {

namespace word {

inline constexpr std::uint64_t one_in_flight = 1;
inline constexpr std::uint64_t in_flight_mask = (std::uint64_t{1} << 20) - 1;
inline constexpr std::uint64_t closed = std::uint64_t{1} << 20;
inline constexpr std::uint64_t trial = std::uint64_t{1} << 21;
inline constexpr std::uint64_t resting = std::uint64_t{1} << 22;
inline constexpr unsigned generation_shift = 23;
inline constexpr std::uint64_t generations = 1024;
inline constexpr std::uint64_t generation_mask = (generations - 1) << generation_shift;
inline constexpr unsigned epoch_shift = 33;
inline constexpr std::uint64_t epochs = 128;
inline constexpr std::uint64_t epoch_mask = (epochs - 1) << epoch_shift;
inline constexpr unsigned completed_shift = 40;
inline constexpr std::uint64_t one_completed = std::uint64_t{1} << completed_shift;
inline constexpr std::uint64_t busy_mask = in_flight_mask | closed | trial | resting | generation_mask;

constexpr std::uint32_t in_flight(std::uint64_t w) noexcept {
    return static_cast<std::uint32_t>(w & in_flight_mask);
}
constexpr std::uint32_t generation(std::uint64_t w) noexcept {
    return static_cast<std::uint32_t>((w & generation_mask) >> generation_shift);
}
constexpr std::uint32_t epoch(std::uint64_t w) noexcept {
    return static_cast<std::uint32_t>((w & epoch_mask) >> epoch_shift);
}
constexpr std::uint32_t completed(std::uint64_t w) noexcept {
    return static_cast<std::uint32_t>(w >> completed_shift);
}

}  // namespace word

/// A figure that an engine told, and when; NaN is unknown, which is not 0. The two are stored apart: a pick
/// between them takes the new value for a second older than it is.
struct Told {
    std::atomic<float> value{std::numeric_limits<float>::quiet_NaN()};
    std::atomic<std::uint32_t> tick{0};
};

/// A backend's live figures. Everything but `word` is relaxed: a stale value costs a pick that is slightly
/// off, never a wrong count; the counts that must be exact are changed by read-modify-writes only.
struct alignas(64) Account {
    std::atomic<std::uint64_t> word{0};
    std::atomic<std::uint64_t> area{0};       ///< tick (32 bits) and the integral of in flight over ticks
    std::atomic<std::int64_t> prefill{0};     ///< uncached prompt tokens of those without a first byte
    std::atomic<std::int64_t> tokens{0};      ///< of answers that began: expected, or come so far
    std::atomic<float> slowness{1.0F};        ///< latency relative to the pool's, noise removed; 1 is normal
    std::atomic<std::uint32_t> failed{0};     ///< failures ever, modulo 2^32
    std::atomic<std::uint32_t> forgotten{0};  ///< of those, how many no longer count as in flight
    std::atomic<std::uint32_t> consecutive{0};   ///< failures since the last success
    std::atomic<std::uint32_t> streaming{0};     ///< in flight whose latency ended with their first byte
    std::atomic<std::uint32_t> refresh_tick{0};  ///< when the averages are due to be brought up to date
    std::uint32_t id = 0;      ///< the backend's dense number within its balancer; given once
    std::uint32_t serial = 0;  ///< tells apart two backends that had one id after the other; given once

    // --- the second line ---------------------------------------------------------------------------------
    std::atomic<std::uint32_t> half_turns{0};  ///< how often `completed` crossed a multiple of 2^23
    std::atomic<std::uint32_t> neutral{0};     ///< completed without a word on the backend: cancelled, 429
    std::atomic<std::uint32_t> decoding{0};    ///< in flight whose first byte came and stopped no clock

    // What the engine told of itself, less what was our own at that moment.
    Told others_running;                     ///< requests
    Told others_waiting;                     ///< requests
    Told others_tokens;                      ///< uncached prompt tokens of those that wait
    Told cache_use;                          ///< share, 0 to 1
    std::atomic<std::uint32_t> told_for{0};  ///< ticks after which one counts no more

    // Prompt tokens and the seconds until their first byte; both fade together.
    std::atomic<float> prefilled_tokens{0.0F};
    std::atomic<float> prefilled_seconds{0.0F};

    std::atomic<std::uint64_t> far_area{0};  ///< what `area` has not, of intervals that are long; since taken
};
static_assert(sizeof(Account) == 128);

/// Requests past their first byte.
inline std::uint32_t decoding(const Account& account) noexcept {
    return account.streaming.load(std::memory_order_relaxed) +
           account.decoding.load(std::memory_order_relaxed);
}

/// Failures that still count as in flight. The two are read apart, so `forgotten` may be the newer: then 0.
[[gnu::always_inline]] inline std::uint32_t recent_failures(const Account& account) noexcept {
    const std::uint32_t forgotten = account.forgotten.load(std::memory_order_relaxed);
    const std::uint32_t recent = account.failed.load(std::memory_order_relaxed) - forgotten;
    return recent < (std::uint32_t{1} << 31) ? recent : 0;
}

/// Requests completed ever, as `word` has it, read after `half_turns`. `completed` in the word has 24 bits;
/// `half_turns` counts how often they passed a multiple of 2^23 and is raised a moment after the word, by one
/// thread: its lowest bit and the word's highest tell whether that is still to come.
inline std::uint64_t total_completed(std::uint32_t half_turns, std::uint64_t word) noexcept {
    constexpr std::uint32_t half = std::uint32_t{1} << 23;
    const std::uint32_t now = word::completed(word);
    std::uint64_t turns = half_turns;
    if ((turns & 1U) != (now >= half ? 1U : 0U)) ++turns;
    return turns * half + (now & (half - 1));
}
inline std::uint64_t total_completed(const Account& account) noexcept {
    // Acquire pairs with the release in `Roster::released`: a word from before the turn would be taken for
    // one from after the next.
    const std::uint32_t half_turns = account.half_turns.load(std::memory_order_acquire);
    return total_completed(half_turns, account.word.load(std::memory_order_relaxed));
}

}  // namespace fairlead::detail
