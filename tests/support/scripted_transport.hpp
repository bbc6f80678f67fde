// A transport that answers as a test says: at once, or when the test completes the call. Nothing is sent.
#pragma once

#include <algorithm>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/associated_cancellation_slot.hpp>
#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>

#include <fairlead/model/backend_config.hpp>
#include <fairlead/model/error.hpp>
#include <fairlead/model/outcome.hpp>
#include <fairlead/transport/detail/completion.hpp>

namespace fairlead::test {

struct Answer {
    int status = 200;
    std::error_code error{};
};

/// No connection, which nothing was sent over where it was refused.
inline Outcome failed(std::error_code error) {
    Outcome outcome = Outcome::connect_error;
    outcome.unsent = error == std::errc::connection_refused;
    return outcome;
}

/// For a test on one thread; copies share their script.
template <class RequestType = std::string>
class ScriptedTransport {
  public:
    using Request = RequestType;
    using Response = Answer;
    using Done = detail::Completion<std::error_code, Answer>;

    struct Call {
        std::string backend;
        std::string request;
        Done done;
    };
    struct Script {
        /// What a backend answers; nothing: the call waits for `complete`.
        std::function<std::optional<Answer>(const std::string& backend)> answer = [](const std::string&) {
            return Answer{};
        };
        std::vector<std::string> asked{};  ///< names, in order
        std::list<std::shared_ptr<Call>> pending{};
        int cancelled = 0;

        /// Completes the oldest call that waits at `backend`.
        void complete(const std::string& backend, Answer with) {
            for (auto it = pending.begin(); it != pending.end(); ++it) {
                if ((*it)->backend != backend) continue;
                const auto call = *it;
                pending.erase(it);
                return call->done.post(with.error, with);
            }
            throw std::out_of_range{"nothing waits at " + backend};
        }
    };

    explicit ScriptedTransport(asio::io_context& io) : io_{&io} {}

    asio::io_context::executor_type get_executor() const { return io_->get_executor(); }
    Script& script() const { return *script_; }

    template <class Handler>
    void async_send(const BackendConfig& backend, Request request, Deadline, Handler handler) {
        auto& script = *script_;
        script.asked.push_back(backend.name);
        auto slot = asio::get_associated_cancellation_slot(handler);
        auto call = std::make_shared<Call>(
            Call{backend.name, text_of(request), Done{std::move(handler), get_executor()}});
        if (const auto answer = script.answer(backend.name)) return call->done.post(answer->error, *answer);
        script.pending.push_back(call);
        if (!slot.is_connected()) return;
        slot.assign([held = script_, weak = std::weak_ptr{call}](asio::cancellation_type) {
            const auto waiting = weak.lock();
            if (!waiting || !waiting->done) return;
            held->pending.remove(waiting);
            ++held->cancelled;
            waiting->done.post(Errc::cancelled, Answer{});
        });
    }

    static Outcome outcome(std::error_code error, const Answer& answer) {
        if (error == Errc::cancelled) return Outcome::cancelled;
        return error ? failed(error) : Outcome::from_status(answer.status);
    }

  private:
    static std::string text_of(const std::string& text) { return text; }
    static std::string text_of(const std::unique_ptr<std::string>& text) {
        return text ? *text : "moved from";
    }

    asio::io_context* io_;
    std::shared_ptr<Script> script_ = std::make_shared<Script>();
};

/// The same on the caller's thread.
class ScriptedBlocking {
  public:
    using Request = std::string;
    using Response = Answer;

    struct Script {
        std::function<Answer(const std::string& backend)> answer = [](const std::string&) {
            return Answer{};
        };
        std::vector<std::string> asked{};
    };

    Script& script() const { return *script_; }

    Answer send(const BackendConfig& backend, const std::string&, Deadline) {
        script_->asked.push_back(backend.name);
        Answer answer = script_->answer(backend.name);
        if (answer.error) throw std::system_error{answer.error};
        return answer;
    }
    static Outcome outcome(std::error_code error, const Answer& answer) {
        return error ? failed(error) : Outcome::from_status(answer.status);
    }

  private:
    std::shared_ptr<Script> script_ = std::make_shared<Script>();
};

}  // namespace fairlead::test
