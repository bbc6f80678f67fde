// Looks, draws, waits.
#include "watch.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <map>
#include <ostream>
#include <string>
#include <utility>

#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>

#include "show.hpp"
#include "text.hpp"
#include "width.hpp"

namespace fairlead::ctl {
namespace {

using Clock = std::chrono::steady_clock;

// ECMA-48: to the first place; erase to the line's end; erase to the screen's end. Overwriting instead of
// erasing first is what keeps the table from flickering.
constexpr std::string_view to_top = "\x1b[H";
constexpr std::string_view erase_line = "\x1b[K";
constexpr std::string_view erase_below = "\x1b[J";

/// How many requests each backend had in all, and when.
struct Totals {
    Clock::time_point when{};
    std::map<std::string, double> requests{};
};

Totals totals_of(const nlohmann::json& data) {
    Totals totals{Clock::now(), {}};
    const auto& backends = field_of(data, {"backends"});
    if (!backends.is_object()) return totals;
    for (const auto& [name, backend] : backends.items()) {
        const auto& total = field_of(backend, {"metrics", "total_requests"});
        if (total.is_number()) totals.requests[name] = total.get<double>();
    }
    return totals;
}

/// A backend that is new, or was removed and added again, has none.
Rates rates_between(const Totals& before, const Totals& now) {
    const double passed = std::chrono::duration<double>{now.when - before.when}.count();
    Rates rates;
    for (const auto& [name, total] : now.requests) {
        const auto earlier = before.requests.find(name);
        if (earlier != before.requests.end() && total >= earlier->second && passed > 0)
            rates[name] = (total - earlier->second) / passed;
    }
    return rates;
}

class Watch {
  public:
    Watch(asio::io_context& io, Client& client, const Watching& watching, bool raw, const Console& console)
        : io_{io}, client_{client}, watching_{watching}, raw_{raw}, console_{console}, timer_{io} {
        signals_.async_wait([this](std::error_code error, int) {
            if (error) return;
            stopped_ = true;
            client_.cancel();
        });
    }

    Status run() {
        Call look;
        look.path = "/backends";
        for (std::uint64_t looks = 1;; ++looks) {
            const Answer answer = client_.ask(look);
            if (stopped_) return Status::done;
            if (raw_) {
                print_raw(answer, console_.out);
                console_.out.flush();
            }
            if (answer.status != Status::done && (looks == 1 || looks == watching_.count || raw_))
                console_.err << "fairlead-ctl: " << answer.problem << '\n';
            if (answer.status != Status::done && looks == 1) return answer.status;
            if (!raw_) draw(answer);
            if (looks == watching_.count) return answer.status;
            pause();
            if (stopped_) return Status::done;
        }
    }

  private:
    void draw(const Answer& answer) {
        if (answer.status == Status::done) {
            Totals now = totals_of(answer.data());
            table_ = show_live(answer.data(), rates_between(last_, now), console_.language);
            last_ = std::move(now);
        }
        Lines lines = table_;
        if (answer.status != Status::done) {
            const auto silent = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - last_.when);
            lines.insert(lines.begin(), detail::say(console_.language, text::lost,
                                                    {std::to_string(silent.count()), answer.problem}));
        }
        if (const auto size = console_.terminal()) {
            console_.out << picture(lines, *size, console_.language);
        } else {
            for (const std::string& line : lines) console_.out << line << '\n';
            console_.out << '\n';
        }
        console_.out.flush();
    }

    void pause() {
        bool waited = false;
        timer_.expires_after(watching_.interval);
        timer_.async_wait([&waited](std::error_code) { waited = true; });
        io_.restart();
        while (!waited && !stopped_) io_.run_one();
        if (waited) return;
        timer_.cancel();
        while (!waited) io_.run_one();  // it points to a variable of this function
    }

    asio::io_context& io_;
    Client& client_;
    const Watching watching_;
    const bool raw_;
    const Console& console_;
    asio::steady_timer timer_;
    asio::signal_set signals_{io_, SIGINT, SIGTERM};
    bool stopped_ = false;
    Lines table_{};
    Totals last_{};
};

}  // namespace

std::string picture(const Lines& lines, TerminalSize size, Language language) {
    const bool all = lines.size() < size.rows;  // the last row stays free: the cursor stands there
    const std::size_t shown = all ? lines.size() : std::max<std::size_t>(size.rows, 2) - 2;
    std::string drawn{to_top};
    const auto draw = [&](const std::string& line) {
        drawn.append(clipped(line, size.columns)).append(erase_line).append("\n");
    };
    for (std::size_t i = 0; i < shown; ++i) draw(lines[i]);
    if (!all) draw(detail::say(language, text::more_rows, {std::to_string(lines.size() - shown)}));
    return drawn.append(erase_below);
}

Status watch(asio::io_context& io, Client& client, const Watching& watching, bool raw,
             const Console& console) {
    Watch live{io, client, watching, raw, console};
    return live.run();
}

}  // namespace fairlead::ctl
