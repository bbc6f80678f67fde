// Lines of the log. Text from clients is escaped: a request must not be able to forge a line.
#include "gateway/log.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <ostream>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

namespace gateway {
namespace {

constexpr std::size_t part_size = 4096;  // PIPE_BUF

std::string as_json(std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

double now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double milliseconds(fairlead::Duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
}

std::string number(double value) {
    std::string text(32, '\0');
    text.resize(static_cast<std::size_t>(std::snprintf(text.data(), text.size(), "%.3f", value)));
    return text;
}

/// One line of fields: key=value, text in quotes where it needs them, or a JSON object.
class Entry {
  public:
    explicit Entry(Log::Format format) : json_{format == Log::Format::json} { value("time", number(now())); }

    /// A number.
    Entry& value(std::string_view key, std::string_view value) {
        line_ += line_.empty() ? (json_ ? "{" : "") : (json_ ? "," : " ");
        line_ += json_ ? as_json(key) + ":" : std::string{key} + "=";
        line_ += value;
        return *this;
    }
    /// One of ours, which needs no escaping.
    Entry& word(std::string_view key, std::string_view word) {
        return value(key, json_ ? as_json(word) : std::string{word});
    }
    /// Anybody's: escaped, so that it can forge neither a field nor a line.
    Entry& text(std::string_view key, std::string_view text) {
        const bool plain =
            !json_ && !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
                return c > ' ' && c < 0x7F && c != '"' && c != '\\' && c != '=';
            });
        return value(key, plain ? std::string{text} : as_json(text));
    }
    std::string finish() { return std::move(line_) + (json_ ? "}" : ""); }

  private:
    bool json_;
    std::string line_{};
};

}  // namespace

Log::Log(std::ostream& out, Format format, Takes takes, std::size_t room)
    : out_{out}, format_{format}, takes_{std::move(takes)}, room_{room} {}

Log::~Log() {
    while (!close(std::chrono::hours{1})) {
    }
}

bool Log::close(std::chrono::milliseconds patience) {
    std::unique_lock lock{mutex_};
    closing_ = true;
    if (!writer_.joinable()) return true;
    changed_.notify_all();
    for (auto before = writes_; !is_done_; before = writes_) {
        if (!changed_.wait_for(lock, patience, [&] { return is_done_ || writes_ != before; })) return false;
    }
    lock.unlock();
    writer_.join();
    return true;
}

/// Takes the lock.
void Log::line(std::string_view text) {
    const std::lock_guard lock{mutex_};
    if (!writer_.joinable() && !closing_ && lines_.empty() && text.size() < part_size && takes_ && takes_()) {
        out_ << text << '\n' << std::flush;
        out_.clear();  // as in `write`
        return;
    }
    // After one that was dropped none is taken until that can be said: so it is said in its place.
    const bool fits = lines_.empty() || (dropped_ == 0 && lines_.size() + text.size() < room_);
    if (closing_ || !fits) {
        ++dropped_;
        return;
    }
    const bool is_first = lines_.empty();
    lines_.append(text) += '\n';
    if (has_writer() && is_first) changed_.notify_all();
}

/// Called with the lock. Begins the writer where there is none. Where the system has no thread to give, lines
/// wait for the next one's attempt.
bool Log::has_writer() noexcept {
    if (writer_.joinable()) return true;
    // Signals are for the others: a write that one interrupts would lose its text.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        writer_ = std::thread{[this] { run(); }};
    } catch (const std::system_error&) {
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return writer_.joinable();
}

/// The writer's thread.
void Log::run() {
    std::string taken;
    std::unique_lock lock{mutex_};
    for (;;) {
        changed_.wait(lock, [this] { return closing_ || !lines_.empty(); });
        if (lines_.empty()) break;
        taken.swap(lines_);
        const auto dropped = std::exchange(dropped_, 0);
        lock.unlock();
        if (dropped > 0) {
            taken += Entry{format_}.value("dropped", std::to_string(dropped)).finish() + '\n';
        }
        write(taken);
        taken.clear();
        lock.lock();
    }
    is_done_ = true;
    changed_.notify_all();
}

/// In parts of whole lines, each of which a pipe takes at once or not at all: lines of several programs that
/// write to one are not mixed up. Takes the lock after each.
void Log::write(std::string_view lines) {
    while (!lines.empty()) {
        auto end = lines.size();
        if (end > part_size) {
            end = lines.rfind('\n', part_size - 1);
            if (end == std::string_view::npos) end = lines.find('\n');  // one long line
            ++end;
        }
        out_ << lines.substr(0, end) << std::flush;
        out_.clear();  // what could not be written, on a full disk say, is lost; the next line need not be
        lines.remove_prefix(end);
        const std::lock_guard lock{mutex_};
        ++writes_;
        changed_.notify_all();
    }
}

void Log::message(std::string_view text) {
    if (format_ == Format::text) return line(text);
    line("{\"time\":" + number(now()) + ",\"message\":" + as_json(text) + "}");
}

void Log::event(const fairlead::Event& event) {
    const bool changes = event.kind == fairlead::Event::Kind::state_changed;
    Entry entry{format_};
    entry.word("event", to_string(event.kind));
    if (!event.backend.empty()) entry.text("backend", event.backend);
    if (changes) entry.word("from", to_string(event.from)).word("to", to_string(event.to));
    if (!event.reason.empty()) entry.text("reason", event.reason);
    line(entry.finish());
}

void Log::access(const AccessEntry& request) {
    Entry entry{format_};
    entry.text("peer", request.peer)
        .text("method", request.method)
        .text("target", request.target)
        .value("status", std::to_string(request.status))
        .text("backend", request.backend)
        .value("bytes", std::to_string(request.bytes))
        .value("prompt_tokens", std::to_string(request.usage.prompt))
        .value("cached_tokens", std::to_string(request.usage.cached))
        .value("completion_tokens", std::to_string(request.usage.completion))
        .value("milliseconds", number(milliseconds(request.took)))
        .text("end", request.end);
    line(entry.finish());
}

Log::Takes takes_at_once(int descriptor) {
    if (isatty(descriptor) == 1) return {};
    return [descriptor] {
        pollfd wanted{descriptor, POLLOUT, 0};
        return poll(&wanted, 1, 0) == 1;  // or an error, which a write meets at once
    };
}

}  // namespace gateway
