// What the stand-in says, in the shapes of OpenAI's API.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <fairlead/transport/http_message.hpp>

namespace mock_llm {

/// One completion that was asked for, as read from the request's body.
struct Completion {
    bool chat = true;             ///< /v1/chat/completions; else /v1/completions
    bool stream = false;          ///< as server-sent events
    bool usage = false;           ///< `stream_options.include_usage`: one more event with the tokens counted
    std::string prompt{};         ///< all of it as text, in the order in which an engine would lay it out
    std::size_t begun = 0;        ///< tokens of the answer that the prompt ends with: it goes on behind them
    std::size_t begun_bytes = 0;  ///< of the prompt, the same
    std::string salt{};           ///< `cache_salt`: prompts with unlike ones share nothing in the cache
    std::string model{};
    std::size_t tokens =
        16;                 ///< `max_tokens` or `max_completion_tokens`; OpenAI's own default for completions
    std::string problem{};  ///< not empty: the request is refused with this sentence
};

/// Of the prompt.
std::size_t prompt_tokens(const Completion& completion);

/// Reads a body; any JSON will do, what is missing takes its default. `problem` says when it is no JSON
/// object.
Completion read_completion(bool chat, std::string_view body);

/// The same prompt gets the same bytes: identity and time of creation are drawn from the prompt.
class Answer {
  public:
    explicit Answer(const Completion& completion);

    std::string whole(std::uint64_t cached_tokens) const;  ///< the body of a plain answer
    std::string event(std::size_t first,
                      std::size_t count) const;          ///< tokens [first, first + count) as events
    std::string end(std::uint64_t cached_tokens) const;  ///< finish reason, usage if wanted, [DONE]

  private:
    const Completion& completion_;
    std::string id_;
};

fairlead::HttpResponse json_response(int status, std::string body);
fairlead::HttpResponse error(int status, std::string_view message, std::string_view type,
                             std::string_view code);

/// The body of /v1/models.
std::string model_list(std::string_view model);

}  // namespace mock_llm
