// An asynchronous transport of one's own. This one sends nothing over a network: its backends are engines in
// this process, which answer after a while. `balancer.async_send` then works with any of Asio's completion
// tokens.
#include <fairlead/fairlead.hpp>
#include <fairlead/transport/async.hpp>

#include <asio/associated_cancellation_slot.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <cstdio>
#include <memory>
#include <string>

class LocalEngines {
  public:
    using Request = std::string;
    using Response = std::string;

    explicit LocalEngines(asio::io_context& io) : io_{&io} {}

    asio::io_context::executor_type get_executor() const { return io_->get_executor(); }

    /// Calls `handler(error, response)` exactly once, and soon when it is cancelled through its slot.
    template <class Handler>
    void async_send(const fairlead::BackendConfig& backend, Request request, fairlead::Deadline deadline,
                    Handler handler) {
        const auto now = std::chrono::steady_clock::now();
        const auto latency =
            backend.name == "slow" ? std::chrono::milliseconds{20} : std::chrono::milliseconds{2};
        const bool late = deadline.passed(now + latency);
        auto timer = std::make_shared<asio::steady_timer>(*io_, latency);
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
            slot.assign([timer](asio::cancellation_type) { timer->cancel(); });
        }
        timer->async_wait([timer, late, handler = std::move(handler), name = backend.name,
                           request = std::move(request)](std::error_code error) mutable {
            if (!error && late) error = asio::error::timed_out;
            handler(error, error ? Response{} : name + " says: " + request);
        });
    }

    static fairlead::Outcome outcome(std::error_code error, const Response&) {
        if (error == asio::error::timed_out) return fairlead::Outcome::timeout;
        if (error == asio::error::operation_aborted) return fairlead::Outcome::cancelled;
        return error ? fairlead::Outcome::connect_error : fairlead::Outcome::success;
    }

  private:
    asio::io_context* io_;
};
static_assert(fairlead::AsyncTransport<LocalEngines>);

int main() {
    asio::io_context io;
    fairlead::Balancer<fairlead::ResponseTime, LocalEngines> balancer{
        {
            {.name = "fast", .url = "http://fast"},
            {.name = "slow", .url = "http://slow"},
        },
        {},
        LocalEngines{io}};

    constexpr int requests = 100;
    int good = 0;
    for (int i = 0; i < requests; ++i) {
        balancer.async_send("number " + std::to_string(i),
                            [&good](std::error_code error, const std::string& answer) {
                                if (!error && answer.find(" says: number ") != std::string::npos) ++good;
                            });
    }
    io.run();

    for (const auto& backend : balancer.snapshot()) {
        std::printf("%s answered %lu\n", backend.config.name.c_str(),
                    static_cast<unsigned long>(backend.completed));
    }
    std::printf("%d of %d requests were answered\n", good, requests);
    return good == requests ? 0 : 1;
}
