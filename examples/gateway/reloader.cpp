// How a reload is noticed, and what is said of it.
#include "gateway/reloader.hpp"

#include <sys/stat.h>

#include <csignal>
#include <exception>
#include <utility>
#include <vector>

#include "gateway/messages.hpp"

namespace gateway {

Reloader::Reloader(const asio::any_io_executor& executor, fairlead::SettingsSources sources,
                   fairlead::Settings current, Apply apply, Log& log, fairlead::Language language)
    : sources_{std::move(sources)},
      current_{std::move(current)},
      apply_{std::move(apply)},
      log_{log},
      language_{language},
      hangup_{executor, SIGHUP},
      look_{executor},
      seen_{marks()} {}

void Reloader::start() {
    await_signal();
    await_change();
}

void Reloader::stop() {
    is_stopped_ = true;  // what has fallen due already is not called off by cancelling
    hangup_.cancel();
    look_.cancel();
}

Reloader::Mark Reloader::mark_of(const std::string& file) {
    struct stat found {};
    if (file.empty() || ::stat(file.c_str(), &found) != 0) return {};
    return {found.st_mtim.tv_sec, found.st_mtim.tv_nsec, static_cast<std::uint64_t>(found.st_size),
            static_cast<std::uint64_t>(found.st_ino)};
}

Reloader::Marks Reloader::marks() const {
    return {mark_of(sources_.env_file.value_or(".env")), mark_of(sources_.settings_file),
            mark_of(current_.tls_ca_file)};
}

void Reloader::await_signal() {
    hangup_.async_wait([this](std::error_code error, int) {
        if (error || is_stopped_) return;
        reload();
        await_signal();
    });
}

void Reloader::await_change() {
    look_.expires_after(std::chrono::seconds{1});
    look_.async_wait([this](std::error_code error) {
        if (error || is_stopped_) return;
        if (marks() != seen_) reload();
        await_change();
    });
}

void Reloader::reload() {
    seen_ = marks();  // before reading: what changes meanwhile is read once more
    try {
        fairlead::Settings next = fairlead::load_settings(sources_);
        const auto report = apply_(current_, next);
        for (const auto& line : reloaded(report, current_, next, language_)) log_.message(line);
        if (!report.applied) return;
        if (current_.tls_ca_file != next.tls_ca_file) seen_.back() = mark_of(next.tls_ca_file);
        current_ = std::move(next);
    } catch (const fairlead::SettingsError& error) {
        std::vector<std::string> problems;
        for (const auto& problem : error.problems()) problems.push_back(problem.text());
        for (const auto& line : not_reloaded(problems, language_)) log_.message(line);
    } catch (const std::exception& error) {  // what could not be read besides
        for (const auto& line : not_reloaded({error.what()}, language_)) log_.message(line);
    }
}

}  // namespace gateway
