// A stream of completions as its client reads it.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <fairlead/transport/sse.hpp>

namespace test {

/// What a client makes of it.
struct ChatStream {
    std::string text{};
    int roles = 0;
    int done = 0;
    std::vector<std::string> finish{};   ///< reasons
    std::set<std::string> identities{};  ///< id, time and model, of each event
    std::optional<nlohmann::json> usage{};
    bool broken_json = false;

    bool operator==(const ChatStream&) const = default;
};

inline ChatStream read_chat_stream(std::string_view bytes) {
    ChatStream stream;
    fairlead::SseSplitter events;
    events.feed(bytes, [&](fairlead::SseEvent&& event) {
        if (event.data == "[DONE]") return static_cast<void>(++stream.done);
        const auto json = nlohmann::json::parse(event.data, nullptr, false);
        if (!json.is_object()) return static_cast<void>(stream.broken_json = true);
        stream.identities.insert(json.value("id", "") + " " + std::to_string(json.value("created", 0)) + " " +
                                 json.value("model", ""));
        if (json.contains("usage") && json["usage"].is_object()) stream.usage = json["usage"];
        for (const auto& choice : json.value("choices", nlohmann::json::array())) {
            const auto said = choice.value("delta", choice);
            if (said.contains("role")) ++stream.roles;
            for (const auto* name : {"content", "text"}) {
                if (said.contains(name) && said[name].is_string())
                    stream.text += said[name].get<std::string>();
            }
            if (choice.contains("finish_reason") && choice["finish_reason"].is_string())
                stream.finish.push_back(choice["finish_reason"].get<std::string>());
        }
    });
    return stream;
}

}  // namespace test
