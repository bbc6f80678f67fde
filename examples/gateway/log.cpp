// Lines of the log. Text from clients is escaped: a request must not be able to forge a line.
#include "gateway/log.hpp"

#include <chrono>
#include <ostream>

#include <nlohmann/json.hpp>

namespace gateway {
namespace {

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

}  // namespace

void Log::line(std::string_view text) {
    const std::lock_guard lock{mutex_};
    out_ << text << '\n' << std::flush;
}

void Log::message(std::string_view text) {
    if (format_ == Format::text) return line(text);
    line("{\"time\":" + number(now()) + ",\"message\":" + as_json(text) + "}");
}

void Log::event(const fairlead::Event& event) {
    using Kind = fairlead::Event::Kind;
    const bool changes = event.kind == Kind::state_changed;
    if (format_ == Format::text) {
        std::string text = to_string(event.kind);
        if (!event.backend.empty()) text += " " + event.backend;
        if (changes) text += std::string{": "} + to_string(event.from) + " -> " + to_string(event.to);
        if (!event.reason.empty()) text += " (" + event.reason + ")";
        return line(text);
    }
    std::string text = "{\"time\":" + number(now()) + ",\"event\":\"" + to_string(event.kind) + "\"";
    if (!event.backend.empty()) text += ",\"backend\":" + as_json(event.backend);
    if (changes) {
        text +=
            std::string{",\"from\":\""} + to_string(event.from) + "\",\"to\":\"" + to_string(event.to) + "\"";
    }
    if (!event.reason.empty()) text += ",\"reason\":" + as_json(event.reason);
    line(text + "}");
}

void Log::access(const AccessEntry& entry) {
    if (format_ == Format::text) {
        return line(entry.peer + " " + entry.method + " " + as_json(entry.target) + " " +
                    std::to_string(entry.status) + " " +
                    (entry.backend.empty() ? "-" : as_json(entry.backend)) + " " +
                    std::to_string(entry.bytes) + " B " + number(milliseconds(entry.took)) + " ms " +
                    std::string{entry.end});
    }
    line("{\"time\":" + number(now()) + ",\"peer\":" + as_json(entry.peer) +
         ",\"method\":" + as_json(entry.method) + ",\"target\":" + as_json(entry.target) +
         ",\"status\":" + std::to_string(entry.status) + ",\"backend\":" + as_json(entry.backend) +
         ",\"bytes\":" + std::to_string(entry.bytes) +
         ",\"milliseconds\":" + number(milliseconds(entry.took)) + ",\"end\":" + as_json(entry.end) + "}");
}

}  // namespace gateway
