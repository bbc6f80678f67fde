// Reads the settings again: on SIGHUP, and when a file of theirs changed.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include <asio/any_io_executor.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>

#include <fairlead/control/language.hpp>
#include <fairlead/control/load_settings.hpp>
#include <fairlead/control/reload.hpp>

#include "gateway/log.hpp"

namespace gateway {

/// What is valid is applied as a whole, by `apply(before, after)`; what is not leaves everything as it was,
/// with every problem in the log. The files, that of the certificate authorities included, are looked at once
/// a second, by time, size and number, since that also sees a file that was replaced, over any file system.
///
/// Threads: all of it on `executor`, which runs one thing at a time; `stop` there too.
class Reloader {
  public:
    using Apply = std::function<fairlead::ReloadReport(const fairlead::Settings& before,
                                                       const fairlead::Settings& after)>;

    Reloader(const asio::any_io_executor& executor, fairlead::SettingsSources sources,
             fairlead::Settings current, Apply apply, Log& log, fairlead::Language language);

    void start();
    void stop();

  private:
    /// What tells one state of a file from another; all zero where there is none.
    struct Mark {
        std::int64_t seconds = 0;
        std::int64_t nanoseconds = 0;
        std::uint64_t size = 0;
        std::uint64_t number = 0;
        bool operator==(const Mark&) const = default;
    };
    using Marks = std::array<Mark, 3>;

    static Mark mark_of(const std::string& file);
    Marks marks() const;
    void reload();
    void await_signal();
    void await_change();

    fairlead::SettingsSources sources_;
    fairlead::Settings current_;
    Apply apply_;
    Log& log_;
    fairlead::Language language_;
    asio::signal_set hangup_;
    asio::steady_timer look_;
    Marks seen_{};
    bool is_stopped_ = false;
};

}  // namespace gateway
