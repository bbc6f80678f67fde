// What a backend's engine said of itself, as an operator is shown it.
#pragma once

#include <cstdint>
#include <optional>

#include <fairlead/balancer/figures.hpp>
#include <fairlead/model/load_report.hpp>
#include <fairlead/model/time.hpp>

namespace fairlead::detail {

/// Keeps each figure with its own time: what a report does not say stays what it was, and ages. Called with
/// the roster's mutex.
class LoadNotes {
  public:
    /// `lasts`: for how long a figure counts.
    void take(const LoadReport& report, Duration lasts) noexcept {
        lasts_ = lasts;
        running_.take(report.running, report.at);
        waiting_.take(report.waiting, report.at);
        waiting_tokens_.take(report.waiting_tokens, report.at);
        cache_use_.take(report.cache_use, report.at);
        if (report.cache_blocks) cache_blocks_ = report.cache_blocks;
        if (report.block_tokens) block_tokens_ = report.block_tokens;
    }

    LoadFigures figures(Time now) const noexcept {
        return {.running = running_.figure(now, lasts_),
                .waiting = waiting_.figure(now, lasts_),
                .waiting_tokens = waiting_tokens_.figure(now, lasts_),
                .cache_use = cache_use_.figure(now, lasts_),
                .cache_blocks = cache_blocks_,
                .block_tokens = block_tokens_};
    }

  private:
    struct Note {
        void take(const std::optional<double>& told, Time when) noexcept {
            if (!told) return;
            value = *told;
            at = when;
            known = true;
        }
        std::optional<LoadFigure> figure(Time now, Duration lasts) const noexcept {
            if (!known || now - at > lasts) return std::nullopt;
            return LoadFigure{value, now > at ? now - at : Duration{}};
        }

        double value = 0.0;
        Time at{};
        bool known = false;
    };

    Duration lasts_{};
    Note running_;
    Note waiting_;
    Note waiting_tokens_;
    Note cache_use_;
    std::optional<std::uint64_t> cache_blocks_;
    std::optional<std::uint32_t> block_tokens_;
};

}  // namespace fairlead::detail
