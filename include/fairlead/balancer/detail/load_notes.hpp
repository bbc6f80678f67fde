// What a backend's engine said of itself, as an operator is shown it.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

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

    /// Takes note of when the process began. Whether that is another one than told before: by more than a
    /// second, since some work it out anew from the clock each time.
    bool is_restart(const LoadReport& report) noexcept {
        if (!report.process_start) return false;
        const auto before = std::exchange(process_start_, report.process_start);
        return before && std::abs(*report.process_start - *before) > 1.0;
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
        }
        std::optional<LoadFigure> figure(Time now, Duration lasts) const noexcept {
            if (std::isnan(value) || now - at > lasts) return std::nullopt;
            return LoadFigure{value, now > at ? now - at : Duration{}};
        }

        // Until it is told; a flag beside it would take 8 bytes of each backend.
        double value = std::numeric_limits<double>::quiet_NaN();
        Time at{};
    };

    Duration lasts_{};
    Note running_;
    Note waiting_;
    Note waiting_tokens_;
    Note cache_use_;
    std::optional<std::uint64_t> cache_blocks_;
    std::optional<std::uint32_t> block_tokens_;
    std::optional<double> process_start_;
};

}  // namespace fairlead::detail
