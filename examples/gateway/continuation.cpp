// Which requests can be continued, what their answers came to, and how the rest is joined.
#include "gateway/continuation.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace gateway {
namespace {

using OrderedJson = nlohmann::ordered_json;  // members stay in their order

constexpr std::size_t longest_event = std::size_t{1024} * 1024;     // as SseSplitter takes them
constexpr std::size_t longest_text = std::size_t{8} * 1024 * 1024;  // two million tokens
constexpr int deepest_object = 256;                                 // because `dump` recurses
constexpr std::string_view done_data = "[DONE]";
constexpr std::string_view done_event = "data: [DONE]\n\n";

/// An object; empty for everything else, and for what nests too deeply.
std::optional<OrderedJson> parse_object(std::string_view text) {
    bool deep = false;
    const auto look = [&deep](int depth, OrderedJson::parse_event_t, OrderedJson&) {
        deep = deep || depth > deepest_object;
        return true;
    };
    auto value = OrderedJson::parse(text, look, false);
    if (deep || !value.is_object()) return std::nullopt;
    return value;
}

/// Null where there is none.
const OrderedJson& value_of(const OrderedJson& object, std::string_view name) {
    static const OrderedJson none;
    const auto found = object.find(name);
    return found == object.end() ? none : *found;
}

/// Whether a member asks for, or says, nothing: absent, null, false, 0, empty.
bool is_nothing(const OrderedJson& value) {
    return value.is_null() || value == OrderedJson(false) || value == OrderedJson(0) ||
           value == OrderedJson("") || (value.is_structured() && value.empty());
}

std::optional<std::uint64_t> whole_count(const OrderedJson& value) {
    if (!value.is_number_unsigned()) return std::nullopt;
    return value.get<std::uint64_t>();
}

/// What an answer cannot be continued with: more than one choice, more than text, text of a form that only an
/// engine which saw its beginning can keep to, or parts of it computed elsewhere.
constexpr std::array unlike_text{"tools",
                                 "functions",
                                 "function_call",
                                 "logprobs",
                                 "top_logprobs",
                                 "prompt_logprobs",
                                 "echo",
                                 "suffix",
                                 "guided_json",
                                 "guided_regex",
                                 "guided_choice",
                                 "guided_grammar",
                                 "guided_decoding_backend",
                                 "structured_outputs",
                                 "structural_tag",
                                 "json_schema",
                                 "regex",
                                 "ebnf",
                                 "grammar",
                                 "ignore_eos",
                                 "use_beam_search",
                                 "return_token_ids",
                                 "return_tokens_as_token_ids",
                                 "return_hidden_states",
                                 "truncate_prompt_tokens",
                                 "prompt_embeds",
                                 "kv_transfer_params",
                                 "audio",
                                 "prediction",
                                 "web_search_options"};

bool asks_for_plain_text(const OrderedJson& request) {
    for (const auto* name : unlike_text) {
        if (!is_nothing(value_of(request, name))) return false;
    }
    for (const auto* name : {"n", "best_of"}) {
        if (const auto& value = value_of(request, name); !value.is_null() && value != OrderedJson(1))
            return false;
    }
    const auto& choice = value_of(request, "tool_choice");
    if (!choice.is_null() && choice != OrderedJson("none")) return false;
    const auto& format = value_of(request, "response_format");
    if (!format.is_null() && !(format.is_object() && value_of(format, "type") == OrderedJson("text")))
        return false;
    const auto& modalities = value_of(request, "modalities");
    return modalities.is_null() || modalities == OrderedJson::array({"text"});
}

/// Whether the text so far has a place in the messages.
bool can_end_with_text(const OrderedJson& request) {
    const auto& messages = value_of(request, "messages");
    if (!messages.is_array() || messages.empty() || !messages.back().is_object()) return false;
    const bool goes_on = value_of(request, "continue_final_message") == OrderedJson(true);
    const auto& last = messages.back();
    if (value_of(last, "role") == OrderedJson("assistant"))
        return goes_on && value_of(last, "content").is_string();
    return !goes_on && value_of(request, "add_generation_prompt") != OrderedJson(false);
}

}  // namespace

std::optional<Continuation> Continuation::of(std::string_view target, std::string_view body) {
    target = target.substr(0, target.find('?'));
    const bool chat = target == "/v1/chat/completions";
    if (!chat && target != "/v1/completions") return std::nullopt;
    const auto request = parse_object(body);
    if (!request || value_of(*request, "stream") != Json(true) || !asks_for_plain_text(*request))
        return std::nullopt;
    // Without a limit, an engine's own for completions would count anew: 16 tokens with most of them.
    const bool fits =
        chat ? can_end_with_text(*request)
             : value_of(*request, "prompt").is_string() && whole_count(value_of(*request, "max_tokens"));
    if (!fits) return std::nullopt;
    const auto& options = value_of(*request, "stream_options");
    return Continuation{chat, options.is_object() && value_of(options, "include_usage") == Json(true)};
}

std::string_view Continuation::feed(std::string_view piece) { return joining_ ? join(piece) : pass(piece); }

/// How much of the piece belongs to events that are whole now.
std::size_t Continuation::whole_events(std::string_view piece) noexcept {
    std::size_t whole = 0;
    for (std::size_t i = 0; i < piece.size(); ++i) {
        const char c = piece[i];
        if (c == '\n' && std::exchange(after_cr_, false)) {
            if (whole == i && (i > 0 || held_.empty())) ++whole;  // of the line that ended with CR
            continue;
        }
        after_cr_ = c == '\r';
        if (c != '\n' && c != '\r') {
            line_empty_ = false;
        } else if (std::exchange(line_empty_, true)) {
            whole = i + 1;
        }
    }
    return whole;
}

/// The first answer passes as it is.
std::string_view Continuation::pass(std::string_view piece) {
    if (plain_) {
        events_.feed(piece, [this](fairlead::SseEvent&& event) {
            if (event.data == done_data) {
                done_ = true;
                return;
            }
            const auto json = parse_object(event.data);
            if (!json || !note(*json)) plain_ = false;
        });
        if (events_.dropped() > 0) plain_ = false;
    }
    std::size_t whole = whole_events(piece);
    plain_ = plain_ && held_.size() + piece.size() - whole <= longest_event;
    if (!plain_) whole = piece.size();
    if (held_.empty()) {
        held_ = piece.substr(whole);
        return piece.substr(0, whole);
    }
    if (whole == 0) {
        held_ += piece;
        return {};
    }
    out_ = std::exchange(held_, std::string{piece.substr(whole)});
    return out_ += piece.substr(0, whole);
}

/// Notes what an event of an answer says; false when it cannot be continued.
bool Continuation::note(const Json& event) {
    const auto& choices = value_of(event, "choices");
    if (!choices.is_array() || choices.size() > 1 || !is_nothing(value_of(event, "error"))) return false;
    if (identity_.is_null()) {
        identity_ = Json::object();
        for (const auto* name : {"id", "created", "model", "system_fingerprint"}) {
            if (const auto found = event.find(name); found != event.end()) identity_[name] = *found;
        }
    }
    if (const auto& usage = value_of(event, "usage"); usage.is_object()) {
        usage_given_ = usage_given_ || choices.empty();
        tokens_told_ = whole_count(value_of(usage, "completion_tokens")).value_or(tokens_told_);
        if (!joining_) prompt_tokens_ = whole_count(value_of(usage, "prompt_tokens"));
    }
    return choices.empty() || note_choice(choices.front());
}

bool Continuation::note_choice(const Json& choice) {
    const auto is_first = [](const Json& index) { return index.is_null() || index == Json(0); };
    if (!choice.is_object() || !is_first(value_of(choice, "index")) ||
        !is_nothing(value_of(choice, "logprobs")))
        return false;
    const Json* text = &value_of(choice, "text");
    if (chat_) {
        const auto& delta = value_of(choice, "delta");
        if (!delta.is_object()) return false;
        for (const auto& [name, value] : delta.items()) {
            if (name != "role" && name != "content" && !is_nothing(value)) return false;
        }
        role_given_ = role_given_ || delta.contains("role");
        text = &value_of(delta, "content");
    }
    if (!text->is_null() && !text->is_string()) return false;
    if (!is_nothing(*text)) {
        ++events_with_text_;
        if (plain_) text_ += text->get_ref<const std::string&>();
    }
    finished_ = finished_ || !value_of(choice, "finish_reason").is_null();
    if (text_.size() > longest_text) plain_ = false;
    if (!plain_) std::string{}.swap(text_);  // nobody is asked for the rest
    return true;
}

/// What follows is written anew, as a part of the first answer.
std::string_view Continuation::join(std::string_view piece) {
    out_.clear();
    events_.feed(piece, [this](fairlead::SseEvent&& event) { append_joined(event.data); });
    // A comment, or an event that the client has no use for: it is a sign of life all the same.
    if (whole_events(piece) > 0 && out_.empty()) out_ = ":\n\n";
    return out_;
}

void Continuation::append_joined(std::string_view data) {
    if (data == done_data) {
        done_ = true;
        return append(data);
    }
    auto event = parse_object(data);
    const bool had_role = role_given_;
    if (!event || !note(*event)) {
        plain_ = false;
        return append(data);
    }
    const bool has_role = std::exchange(role_given_, had_role);
    if (rewrite(*event)) append(event->dump());
    role_given_ = has_role;
}

void Continuation::append(std::string_view data) {
    for (;;) {
        const auto end = data.find('\n');
        out_.append("data: ").append(data.substr(0, end)).append("\n");
        if (end == std::string_view::npos) break;
        data.remove_prefix(end + 1);
    }
    out_ += '\n';
}

/// False when nothing is left of it.
bool Continuation::rewrite(Json& event) const {
    for (const auto& [name, value] : identity_.items()) event[name] = value;
    const bool tells_usage = value_of(event, "usage").is_object();
    if (tells_usage) join_usage(event["usage"]);
    auto& choices = event["choices"];
    if (choices.empty() || !chat_) return true;
    auto& delta = choices.front()["delta"];
    if (role_given_) delta.erase("role");
    const bool says = !is_nothing(value_of(delta, "content")) || delta.contains("role");
    return says || tells_usage || !value_of(choices.front(), "finish_reason").is_null();
}

/// The client asked once and got one answer: its prompt, and the tokens of all parts.
void Continuation::join_usage(Json& usage) const {
    const auto prompt = whole_count(value_of(usage, "prompt_tokens")).value_or(0);
    const auto completion = whole_count(value_of(usage, "completion_tokens")).value_or(0);
    const auto asked = prompt_tokens_.value_or(prompt - std::min(prompt, tokens_before_));
    usage["prompt_tokens"] = asked;
    usage["completion_tokens"] = completion + tokens_before_;
    usage["total_tokens"] = asked + completion + tokens_before_;
}

std::string_view Continuation::rest() const noexcept {
    if (!joining_) return held_;
    return done_ ? std::string_view{} : done_event;
}

std::string_view Continuation::ending() const noexcept {
    return plain_ && finished_ && !done_ && (usage_given_ || !wants_usage_) ? done_event : std::string_view{};
}

std::optional<std::string> Continuation::next_body(std::string_view body) {
    if (!can_go_on()) return std::nullopt;
    auto request = parse_object(body);
    if (!request) return std::nullopt;
    const auto tokens = tokens_before_ + std::max(events_with_text_, tokens_told_);
    for (const auto* name : {"max_tokens", "max_completion_tokens"}) {
        const auto most = whole_count(value_of(*request, name));
        if (most && *most <= tokens) return std::nullopt;
        if (most) (*request)[name] = *most - tokens;
    }
    if (const auto least = whole_count(value_of(*request, "min_tokens")))
        (*request)["min_tokens"] = *least - std::min(*least, tokens);
    if (!text_.empty() && !chat_) {
        (*request)["prompt"].get_ref<std::string&>() += text_;
    } else if (!text_.empty()) {
        auto& messages = (*request)["messages"];
        if (value_of(messages.back(), "role") == Json("assistant")) {
            messages.back()["content"].get_ref<std::string&>() += text_;
        } else {
            messages.push_back({{"role", "assistant"}, {"content", text_}});
        }
        (*request)["continue_final_message"] = true;
        (*request)["add_generation_prompt"] = false;
    }
    const bool anew = identity_.is_null();  // nothing has come
    joining_ = joining_ || !anew;
    tokens_before_ = tokens;
    events_with_text_ = tokens_told_ = 0;
    events_ = fairlead::SseSplitter{};
    held_.clear();
    line_empty_ = true;
    after_cr_ = false;
    return anew ? std::string{body} : request->dump();
}

}  // namespace gateway
