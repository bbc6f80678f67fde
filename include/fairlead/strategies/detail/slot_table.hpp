// Weighted rendezvous hashing at the cost of a table: who owns which slot of the key space.
//
// Each backend visits all slots, in a pseudo-random order of its own that follows from its name, its k-th
// visit at time -ln(1 - (k + 1/2) / S) / weight. So it comes to any one slot at an exponentially distributed
// time of rate `weight`, and the first visitor owns the slot: the same winner as in weighted rendezvous
// hashing. Nobody's visits depend on anybody else, so when one leaves, returns or changes weight, exactly its
// own slots change hands.
//
// All in integers: libm and compilers differ in floating point.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include <fairlead/model/rng.hpp>
#include <fairlead/strategies/candidate.hpp>
#include <fairlead/strategies/detail/stable_hash.hpp>

namespace fairlead::detail {

/// A bijection of [0, 2^bits) chosen by a 64-bit key, with its inverse: three rounds of a multiplication by
/// an odd number and a shift by half the width, each of which can be undone.
class SlotOrder {
  public:
    SlotOrder(std::uint64_t key, unsigned bits) noexcept : mask_{(1U << bits) - 1}, half_{(bits + 1) / 2} {
        Rng rng{key};
        for (auto& round : rounds_) {
            const std::uint64_t random = rng();
            round = {static_cast<std::uint32_t>(random) | 1U, static_cast<std::uint32_t>(random >> 32)};
        }
    }

    std::uint32_t slot(std::uint32_t visit) const noexcept {
        std::uint32_t x = visit;
        for (const auto& round : rounds_) {
            x = (x * round.factor + round.offset) & mask_;
            x ^= x >> half_;
        }
        return x;
    }

    std::uint32_t visit(std::uint32_t slot) const noexcept {
        std::uint32_t x = slot;
        for (std::size_t i = rounds_.size(); i-- > 0;) {
            x ^= x >> half_;  // its own inverse, since half_ is at least half of the width
            x = ((x - rounds_[i].offset) * inverse(rounds_[i].factor)) & mask_;
        }
        return x;
    }

  private:
    struct Round {
        std::uint32_t factor;
        std::uint32_t offset;
    };

    /// Of an odd number modulo 2^32: Newton's iteration doubles the correct bits from 3.
    static std::uint32_t inverse(std::uint32_t odd) noexcept {
        std::uint32_t x = odd;
        for (int i = 0; i < 4; ++i) x *= 2U - odd * x;
        return x;
    }

    std::array<Round, 3> rounds_{};
    std::uint32_t mask_;
    unsigned half_;
};

/// -ln(1 - (k + 1/2) / S) for each visit k, times 2^28, rising strictly. S = 2^bits, bits <= 18.
///
/// With m = 2 (S - k) - 1 it is ln(2 S) - ln(m), and ln(m + 2) - ln(m) = 2 artanh(1 / (m + 1)), a series of
/// integer divisions: 2 (1/x + 1/(3 x^3) + ...). Summed with 48 binary places, so that the error after all of
/// 2^18 steps is below one unit of the 28.
inline std::vector<std::uint32_t> visit_times(unsigned bits) {
    constexpr unsigned places = 48;
    const std::uint32_t slots = 1U << bits;
    std::vector<std::uint32_t> times(slots);
    std::uint64_t sum = 0;
    const auto step = [](std::uint64_t x) {
        std::uint64_t power = (std::uint64_t{1} << places) / x;
        std::uint64_t series = 0;
        for (std::uint64_t n = 1; power != 0; n += 2) {
            series += power / n;
            power = power / x / x;
        }
        return 2 * series;
    };
    // From visit 0, where -ln(1 - 1 / 2S) = 2 artanh(1 / (4 S - 1)), on.
    sum = step(std::uint64_t{4} * slots - 1);
    for (std::uint32_t k = 0; k < slots; ++k) {
        times[k] = static_cast<std::uint32_t>(sum >> (places - 28));
        sum += step(std::uint64_t{2} * (slots - k) - 2 + (k + 1 == slots ? 2 : 0));
    }
    return times;
}

/// The shared times of a table of 2^bits slots; made once a process and width.
inline const std::vector<std::uint32_t>& shared_visit_times(unsigned bits) {
    if (bits == 16) {
        static const auto times = visit_times(16);
        return times;
    }
    if (bits == 18) {
        static const auto times = visit_times(18);
        return times;
    }
    static const auto times = visit_times(17);
    return times;
}

/// The owner of every slot, as an index into the candidates. About 9 S visits: 5 ms for 65,536 slots.
class SlotTable {
  public:
    SlotTable() = default;

    /// At most 65,536 candidates; `bits` 16 to 18. Throws std::bad_alloc.
    SlotTable(std::span<const Candidate> candidates, unsigned bits) : bits_{bits} {
        if (candidates.empty()) return;
        Visitors visitors{candidates, bits};
        owners_ = visitors.run();
    }

    std::uint32_t owner(std::uint64_t hash) const noexcept {
        return owners_.empty() ? 0 : owners_[hash >> (64 - bits_)];
    }

    std::span<const std::uint16_t> owners() const noexcept { return owners_; }

    /// Without the times, which all tables share.
    std::size_t memory() const noexcept { return owners_.capacity() * sizeof(std::uint16_t); }

  private:
    class Visitors {
      public:
        Visitors(std::span<const Candidate> candidates, unsigned bits)
            : times_{shared_visit_times(bits)},
              slots_{1U << bits},
              best_(slots_, std::numeric_limits<std::uint64_t>::max()),
              owners_(slots_, 0) {
            visitors_.reserve(candidates.size());
            for (const auto& candidate : candidates) {
                const std::uint64_t hash = stable_hash(candidate.name());
                // 2^31 / weight: the product with a time of 32 bits fits in 63.
                visitors_.push_back({SlotOrder{hash, bits}, hash, (1U << 31) / candidate.weight(), 0});
                weight_ += candidate.weight();
            }
        }

        std::vector<std::uint16_t> run() {
            // Everybody's visits up to a moment, then up to the next: an owner found by then is final. In the
            // unit of times (2^28 * 2^31 / weight), 1 / W further a share 1 - 1/e of what was free is taken.
            const std::uint64_t pace = std::max<std::uint64_t>(1, (std::uint64_t{1} << 59) / weight_);
            std::uint32_t unowned = slots_;
            for (std::uint64_t until = pace; unowned * visitors_.size() > slots_; until += pace) {
                for (std::size_t i = 0; i < visitors_.size(); ++i) unowned -= visit(i, until);
                if (until > std::numeric_limits<std::uint64_t>::max() - pace) break;
            }
            // The last few slots are cheaper to ask for one by one.
            for (std::uint32_t slot = 0; unowned > 0 && slot < slots_; ++slot) {
                if (best_[slot] == std::numeric_limits<std::uint64_t>::max()) decide(slot);
            }
            return std::move(owners_);
        }

      private:
        struct Visitor {
            SlotOrder order;
            std::uint64_t hash;
            std::uint32_t slowness;
            std::uint32_t next;
        };

        std::uint32_t visit(std::size_t who, std::uint64_t until) {
            Visitor& visitor = visitors_[who];
            std::uint32_t first = 0;
            for (; visitor.next < slots_; ++visitor.next) {
                const std::uint64_t time = std::uint64_t{times_[visitor.next]} * visitor.slowness;
                if (time > until) break;
                const std::uint32_t slot = visitor.order.slot(visitor.next);
                if (best_[slot] == std::numeric_limits<std::uint64_t>::max()) ++first;
                claim(slot, who, time);
            }
            return first;
        }

        void decide(std::uint32_t slot) {
            for (std::size_t i = 0; i < visitors_.size(); ++i) {
                const auto visit = visitors_[i].order.visit(slot);
                claim(slot, i, std::uint64_t{times_[visit]} * visitors_[i].slowness);
            }
        }

        void claim(std::uint32_t slot, std::size_t who, std::uint64_t time) {
            if (time > best_[slot]) return;
            if (time == best_[slot] && visitors_[owners_[slot]].hash <= visitors_[who].hash) return;
            best_[slot] = time;
            owners_[slot] = static_cast<std::uint16_t>(who);
        }

        const std::vector<std::uint32_t>& times_;
        const std::uint32_t slots_;
        std::uint64_t weight_ = 0;
        std::vector<Visitor> visitors_;
        std::vector<std::uint64_t> best_;
        std::vector<std::uint16_t> owners_;
    };

    unsigned bits_ = 16;
    std::vector<std::uint16_t> owners_;
};

}  // namespace fairlead::detail
