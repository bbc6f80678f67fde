// OpenAI's shapes: completions, their events, errors, the list of models.
#include "mock_llm/answers.hpp"

#include <array>
#include <tuple>
#include <utility>

#include <nlohmann/json.hpp>

#include "mock_llm/prompt_blocks.hpp"

namespace mock_llm {
namespace {

using json = nlohmann::ordered_json;  // in the order in which engines write

constexpr std::array<std::string_view, 16> words{
    "The ", "quick ",    "tide ", "carries ", "every ", "rope ", "through ", "its ",
    "own ", "fairlead ", "and ",  "none ",    "of ",    "them ", "is ",      "tangled. "};

// Any moment would do; a fixed one keeps equal prompts' answers equal byte for byte.
constexpr int created = 1'700'000'000;

std::string text(std::size_t first, std::size_t count) {
    std::string result;
    for (std::size_t i = first; i < first + count; ++i) result += words[i % words.size()];
    return result;
}

/// How many words of an answer a text ends with, from the answer's first on; and their bytes.
std::pair<std::size_t, std::size_t> answer_at_end(std::string_view prompt) {
    std::pair<std::size_t, std::size_t> found{};
    std::string answer;
    for (std::size_t count = 1; answer.size() < prompt.size(); ++count) {
        answer += words[(count - 1) % words.size()];
        if (prompt.ends_with(answer)) found = {count, answer.size()};
    }
    return found;
}

json usage(const Completion& completion, std::uint64_t cached_tokens) {
    return {{"prompt_tokens", prompt_tokens(completion)},
            {"completion_tokens", completion.tokens},
            {"total_tokens", prompt_tokens(completion) + completion.tokens},
            {"prompt_tokens_details", {{"cached_tokens", cached_tokens}}}};
}

std::string hexadecimal(std::uint64_t value) {
    std::string result;
    for (int shift = 60; shift >= 0; shift -= 4) result += "0123456789abcdef"[(value >> shift) & 15];
    return result;
}

std::string as_event(const json& data) { return "data: " + data.dump() + "\n\n"; }

json part(const Completion& completion, const std::string& id, json choices) {
    const auto* kind = completion.chat ? (completion.stream ? "chat.completion.chunk" : "chat.completion")
                                       : "text_completion";
    return {{"id", id},
            {"object", kind},
            {"created", created},
            {"model", completion.model},
            {"choices", std::move(choices)}};
}

/// Four bytes for each token, as text has them.
void append_token(std::uint64_t token, std::string& prompt) {
    for (std::size_t i = 0; i < token_bytes; ++i) prompt += static_cast<char>((token >> (8 * i)) & 0xff);
}

/// A prompt may be text, token ids, a list of either, or messages whose content is text or a list of parts.
void gather(const json& value, std::string& prompt) {
    if (value.is_string()) prompt += value.get_ref<const std::string&>();
    if (value.is_number_unsigned()) append_token(value.get<std::uint64_t>(), prompt);
    if (!value.is_array()) return;
    for (const auto& item : value) {
        if (!item.is_object()) {
            gather(item, prompt);
            continue;
        }
        if (const auto role = item.find("role"); role != item.end() && role->is_string())
            prompt.append("<|").append(role->get_ref<const std::string&>()).append("|>");
        if (item.contains("content")) gather(item["content"], prompt);
        if (item.contains("text")) gather(item["text"], prompt);
        for (const auto* part : {"image_url", "input_audio"}) {
            if (item.contains(part)) prompt += item[part].dump();
        }
    }
}

}  // namespace

std::size_t prompt_tokens(const Completion& completion) {
    return (completion.prompt.size() - completion.begun_bytes) / token_bytes + 1 + completion.begun;
}

Completion read_completion(bool chat, std::string_view body) {
    Completion result;
    result.chat = chat;
    const auto request = json::parse(body, nullptr, false);
    if (!request.is_object()) {
        result.problem = "the body is no JSON object";
        return result;
    }
    if (const auto model = request.find("model"); model != request.end() && model->is_string()) {
        result.model = model->get<std::string>();
    }
    if (const auto salt = request.find("cache_salt"); salt != request.end() && salt->is_string()) {
        result.salt = salt->get<std::string>();
    }
    if (chat && request.contains("tools")) result.prompt += request["tools"].dump();
    const auto* const prompt = chat ? "messages" : "prompt";
    const bool goes_on = chat && request.value("continue_final_message", json(false)) == json(true);
    if (goes_on && request.value("add_generation_prompt", json(false)) == json(true)) {
        result.problem = "cannot set both continue_final_message and add_generation_prompt";  // as vLLM does
    } else if (request.contains(prompt)) {
        auto said = request[prompt];
        std::string begun;
        if (goes_on && said.is_array() && !said.empty() && said.back().is_object() &&
            said.back().value("role", json{}) == json("assistant")) {
            gather(said.back().value("content", json{}), begun);
            said.erase(said.size() - 1);
        }
        gather(said, result.prompt);
        result.prompt += begun;
        if (goes_on || !chat) std::tie(result.begun, result.begun_bytes) = answer_at_end(result.prompt);
    } else {
        result.problem = std::string{"\""} + prompt + "\" is missing";
    }
    for (const auto* name : {"max_tokens", "max_completion_tokens"}) {
        if (const auto limit = request.find(name); limit != request.end() && limit->is_number_unsigned()) {
            // A stand-in that is asked for a billion tokens must not try.
            result.tokens = std::min<std::size_t>(limit->get<std::size_t>(), 1'000'000);
        }
    }
    result.stream = request.value("stream", json(false)) == json(true);
    const auto options = request.value("stream_options", json::object());
    result.usage = options.is_object() && options.value("include_usage", json(false)) == json(true);
    return result;
}

Answer::Answer(const Completion& completion)
    : completion_{completion},
      id_{(completion.chat ? "chatcmpl-" : "cmpl-") + hexadecimal(hash(completion.prompt))} {}

std::string Answer::whole(std::uint64_t cached_tokens) const {
    json choice{{"index", 0}, {"finish_reason", "length"}, {"logprobs", nullptr}};
    if (completion_.chat) {
        choice["message"] = {{"role", "assistant"}, {"content", text(completion_.begun, completion_.tokens)}};
    } else {
        choice["text"] = text(completion_.begun, completion_.tokens);
    }
    auto answer = part(completion_, id_, json::array({std::move(choice)}));
    answer["usage"] = usage(completion_, cached_tokens);
    return answer.dump();
}

std::string Answer::event(std::size_t first, std::size_t count) const {
    std::string result;
    for (std::size_t i = first; i < first + count; ++i) {
        json choice{{"index", 0}, {"finish_reason", nullptr}};
        if (completion_.chat) {
            choice["delta"] = {{"content", text(completion_.begun + i, 1)}};
            if (i == 0) choice["delta"]["role"] = "assistant";
        } else {
            choice["text"] = text(completion_.begun + i, 1);
        }
        result += as_event(part(completion_, id_, json::array({std::move(choice)})));
    }
    return result;
}

std::string Answer::end(std::uint64_t cached_tokens) const {
    json choice{{"index", 0}, {"finish_reason", "length"}};
    if (completion_.chat) {
        choice["delta"] = json::object();
    } else {
        choice["text"] = "";
    }
    auto result = as_event(part(completion_, id_, json::array({std::move(choice)})));
    if (completion_.usage) {
        auto last = part(completion_, id_, json::array());
        last["usage"] = usage(completion_, cached_tokens);
        result += as_event(last);
    }
    return result + "data: [DONE]\n\n";
}

fairlead::HttpResponse json_response(int status, std::string body) {
    fairlead::HttpResponse response;
    response.status = status;
    response.headers.set("Content-Type", "application/json");
    response.body = std::move(body);
    return response;
}

fairlead::HttpResponse error(int status, std::string_view message, std::string_view type,
                             std::string_view code) {
    const json body{{"error", {{"message", message}, {"type", type}, {"param", nullptr}, {"code", code}}}};
    return json_response(status, body.dump());
}

std::string model_list(std::string_view model) {
    const json entry{
        {"id", model}, {"object", "model"}, {"created", created}, {"owned_by", "fairlead-mock-llm"}};
    return json{{"object", "list"}, {"data", json::array({entry})}}.dump();
}

}  // namespace mock_llm
