// The random generator of the library: small, fast, seeded.
#pragma once

#include <cstdint>
#include <utility>

namespace fairlead {

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): one addition
/// and two multiplications a number, period 2^64, passes BigCrush. Not for secrets.
///
/// Threads: one generator belongs to one thread at a time.
class Rng {
  public:
    using result_type = std::uint64_t;

    constexpr explicit Rng(std::uint64_t seed = 0) noexcept : state_{seed} {}

    static constexpr result_type min() noexcept { return 0; }
    static constexpr result_type max() noexcept { return ~result_type{0}; }

    constexpr result_type operator()() noexcept { return std::exchange(next_, mix(state_ += golden_gamma)); }

    /// Uniform in [0, n); 0 when n is 0. By multiplication (Lemire 2019, without rejection): the bias is
    /// below n / 2^32.
    constexpr std::uint32_t below(std::uint32_t n) noexcept {
        return static_cast<std::uint32_t>(((operator()() >> 32) * n) >> 32);
    }

    /// Uniform in [0, 1), 53 bits.
    constexpr double uniform() noexcept { return static_cast<double>(operator()() >> 11) * 0x1p-53; }

    /// The finalizer on its own: a bijection of 64 bits in which every input bit moves half of the output's.
    static constexpr std::uint64_t mix(std::uint64_t z) noexcept {
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31);
    }

  private:
    static constexpr std::uint64_t golden_gamma = 0x9e3779b97f4a7c15U;  // 2^64 / golden ratio, odd
    std::uint64_t state_;
    std::uint64_t next_ = mix(state_ += golden_gamma);  // so that a choice need not wait for it
};

}  // namespace fairlead
