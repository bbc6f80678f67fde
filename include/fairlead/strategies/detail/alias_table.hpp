// Draws an index in proportion to weights in constant time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <fairlead/model/rng.hpp>

namespace fairlead::detail {

/// Walker's alias table (Walker 1977), built as Vose (1991) does, in integers: each of n columns keeps a
/// share of 2^32 for itself and gives the rest to one other. Exact to n / 2^32. One random number, one column
/// a draw.
///
/// Equal weights need no table. 8 bytes an entry. At most 65,536 weights of at most 65,535.
class AliasTable {
  public:
    AliasTable() = default;

    /// O(n). Weights are >= 1. Throws std::bad_alloc.
    explicit AliasTable(std::span<const std::uint32_t> weights)
        : size_{static_cast<std::uint32_t>(weights.size())} {
        if (std::adjacent_find(weights.begin(), weights.end(), std::not_equal_to<>{}) == weights.end())
            return;
        std::uint64_t sum = 0;
        for (const auto weight : weights) sum += weight;
        // Column i holds weight * n of a capacity of `sum`, which is below 2^32: 65,535 * 65,536 at most.
        std::vector<std::uint64_t> left(weights.size());
        std::vector<std::uint32_t> small;
        std::vector<std::uint32_t> large;
        for (std::uint32_t i = 0; i < size_; ++i) {
            left[i] = std::uint64_t{weights[i]} * size_;
            (left[i] < sum ? small : large).push_back(i);
        }
        columns_.resize(size_);
        for (std::uint32_t i = 0; i < size_; ++i) columns_[i] = {full, i};
        while (!small.empty() && !large.empty()) {
            const std::uint32_t poor = small.back();
            const std::uint32_t rich = large.back();
            small.pop_back();
            columns_[poor] = {share(left[poor], sum), rich};
            left[rich] -= sum - left[poor];
            if (left[rich] < sum) {
                large.pop_back();
                small.push_back(rich);
            }
        }
    }

    std::size_t memory() const noexcept { return columns_.capacity() * sizeof(Column); }

    /// 0 when the table is empty.
    std::uint32_t pick(Rng& rng) const noexcept {
        const std::uint64_t random = rng();
        // The high half picks the column (Lemire's multiplication), the low half splits it.
        const auto column = static_cast<std::uint32_t>(((random >> 32) * size_) >> 32);
        if (columns_.empty()) return column;
        const Column& c = columns_[column];
        // A mask, not a branch: it would be mispredicted as often as chance takes it, some 10 ns each time.
        const std::uint32_t given =
            0U - static_cast<std::uint32_t>(static_cast<std::uint32_t>(random) >= c.own);
        return column ^ ((column ^ c.other) & given);
    }

  private:
    struct Column {
        std::uint32_t own;
        std::uint32_t other;
    };
    static constexpr std::uint32_t full = 0xffff'ffff;  // and 2^-32 of a column to itself as `other`

    /// part / whole in units of 2^-32, rounded down; part < whole < 2^32, so the shift loses nothing.
    static std::uint32_t share(std::uint64_t part, std::uint64_t whole) noexcept {
        return static_cast<std::uint32_t>((part << 32) / whole);
    }

    std::uint32_t size_ = 0;
    std::vector<Column> columns_;
};

}  // namespace fairlead::detail
