// A stream of completions that breaks at one backend and goes on at another, as one stream.
//
// A backend that dies in the middle of an answer has cost its user the whole answer, although most of it has
// arrived. Where a request asks for nothing but text, what has arrived can be given to another backend as the
// beginning of its answer, and the rest follows in the same stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <fairlead/transport/sse.hpp>

namespace gateway {

/// What passes of one answer to /v1/chat/completions or /v1/completions, how its rest is asked for, and how
/// that is joined. No I/O.
///
///     auto continuation = gateway::Continuation::of(target, body);        // empty: cannot be continued
///     send_on(continuation->feed(piece));                                 // whole events alone
///     ...                                                                 // the backend is gone
///     if (auto rest = continuation->next_body(body)) ask_another(*rest);  // and feed what it answers
///
/// A request can be continued when it asks for one choice of plain text, streamed: no tools, no structured
/// output, no log-probabilities, no token ids. An answer can, as long as it keeps to that: one choice whose
/// text is all there is (no reasoning apart from it, no call of a tool, no error). The rest is asked for with
/// the text so far: as an assistant's message to be gone on with (`continue_final_message`, which vLLM and
/// SGLang know), or behind the prompt; of what the request's limit allows the tokens so far are taken off:
/// one for each event, or as the answer's usage tells.
///
/// Threads: one at a time. Cost: each event is read as JSON; holds the text so far and at most one event that
/// is not whole, 1 MiB and 8 MiB at most: beyond them everything passes, and nothing is continued.
class Continuation {
  public:
    /// `target` is the request's path, `body` what the client sent.
    static std::optional<Continuation> of(std::string_view target, std::string_view body);

    /// Takes some of the answer and returns what is to be passed on, which lives until the next call.
    std::string_view feed(std::string_view piece);

    /// What an answer that has come to its proper end has behind its last whole event; of one that was
    /// joined, the end marker if it stood there.
    std::string_view rest() const noexcept;

    /// The answer broke off after all of its text: what ends the stream properly. Empty when there is more to
    /// be asked for.
    std::string_view ending() const noexcept;

    /// Whether `next_body` may have one to ask with.
    bool can_go_on() const noexcept { return plain_ && !finished_ && !done_; }

    /// Whether the end marker has been passed on: nothing may follow it.
    bool is_done() const noexcept { return done_; }

    /// The answer broke off: the body that asks for the rest, made of the client's; what is fed from now on
    /// is the answer to it. Empty when the rest cannot be asked for.
    std::optional<std::string> next_body(std::string_view body);

    /// Whether an event was too large to be joined: then a part of the text is missing.
    bool is_torn() const noexcept { return joining_ && events_.dropped() > 0; }

    /// Tokens that came before the answer that is fed now.
    std::uint64_t tokens_before() const noexcept { return tokens_before_; }

  private:
    using Json = nlohmann::ordered_json;

    explicit Continuation(bool chat, bool wants_usage) : chat_{chat}, wants_usage_{wants_usage} {}

    std::string_view pass(std::string_view piece);
    std::string_view join(std::string_view piece);
    bool note(const Json& event);
    bool note_choice(const Json& choice);
    void append(std::string_view data);
    void append_joined(std::string_view data);
    bool rewrite(Json& event) const;
    void join_usage(Json& usage) const;
    std::size_t whole_events(std::string_view piece) noexcept;

    bool chat_;
    bool wants_usage_;
    fairlead::SseSplitter events_{};
    std::string held_{};  // of an event that is not whole
    std::string out_{};
    std::string text_{};
    Json identity_{};  // what the first event says of the stream: id, created, model
    std::optional<std::uint64_t> prompt_tokens_{};
    std::uint64_t tokens_before_ = 0;
    std::uint64_t events_with_text_ = 0;  // of the answer that is fed now
    std::uint64_t tokens_told_ = 0;       // the same
    bool role_given_ = false;
    bool usage_given_ = false;
    bool finished_ = false;  // the text has come to its end
    bool done_ = false;      // and the stream
    bool plain_ = true;      // nothing has come that cannot be continued
    bool joining_ = false;   // an answer before this one was begun
    bool line_empty_ = true;
    bool after_cr_ = false;
};

}  // namespace gateway
