// The load that an answer tells of its backend.
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <asio/io_context.hpp>

#include <fairlead/fairlead.hpp>
#include <fairlead/transport/async.hpp>
#include <fairlead/transport/detail/completion.hpp>

#include "support/catch.hpp"
#include "support/fleet.hpp"

namespace {

using namespace fairlead;

/// Keeps one request until the test answers it; each answer says that 77 requests run.
struct Holding {
    using Request = std::string;
    using Response = int;

    asio::io_context* io;
    std::shared_ptr<detail::Completion<std::error_code, int>> held{};

    asio::io_context::executor_type get_executor() const { return io->get_executor(); }
    template <class Handler>
    void async_send(const BackendConfig&, std::string, Deadline, Handler handler) {
        held = std::make_shared<detail::Completion<std::error_code, int>>(std::move(handler), get_executor());
    }
    static Outcome outcome(std::error_code, int) { return Outcome::success; }
    static std::optional<LoadReport> load(int) { return LoadReport{.running = 77.0}; }
};

TEST_CASE("is that of the server that answered, not of another that took its name meanwhile") {
    const bool is_another = GENERATE(false, true);
    asio::io_context io;
    Balancer<RoundRobin, Holding> balancer{test::fleet(1), {}, Holding{&io}};
    balancer.async_send("x", [](std::error_code, int) {});
    io.poll();  // it is sent, and waits
    if (is_another) {
        CHECK_FALSE(balancer.remove("b0"));
        CHECK_FALSE(balancer.add({.name = "b0", .url = "http://another"}));
    }
    balancer.transport().held->post(std::error_code{}, 200);
    io.restart();
    io.run();
    CHECK(test::figures(balancer, "b0").load.running.has_value() == !is_another);
}

}  // namespace
