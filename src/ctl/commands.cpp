// Makes the call, prints the answer, and waits for a drain where that was asked for.
#include "commands.hpp"

#include <chrono>
#include <ostream>
#include <string>
#include <string_view>
#include <variant>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include "command_line.hpp"
#include "show.hpp"
#include "text.hpp"
#include "watch.hpp"
#include "width.hpp"

namespace fairlead::ctl {
namespace {

/// Between two looks at a backend that drains. 200 ms: a person notices no delay, and five requests a second
/// are nothing to the server.
constexpr std::chrono::milliseconds drain_pause{200};

Status complain(std::string_view problem, Status status, const Console& console) {
    console.err << "fairlead-ctl: " << problem << '\n';
    return status;
}

/// Looks until the backend has nothing in flight. What another operator does meanwhile ends it, too: with
/// success when the backend was removed, without when it is given requests again.
Status wait_until_empty(asio::io_context& io, Client& client, const std::string& backend, bool quiet,
                        const Console& console) {
    const auto said = [&](const detail::Text& text) {
        return detail::say(console.language, text, {printable(backend)});
    };
    const auto end = [&](const detail::Text& text) {
        if (!quiet) console.out << said(text) << '\n';
        return Status::done;
    };
    Call look;
    look.path = "/backends";
    asio::steady_timer timer{io};
    for (;;) {
        const Answer answer = client.ask(look);
        if (answer.status != Status::done) return complain(answer.problem, answer.status, console);
        const auto& backends = field_of(answer.data(), {"backends"});
        if (!backends.is_object())
            return complain(detail::say(console.language, text::no_admin_api, {"200"}), Status::unreachable,
                            console);
        const auto found = backends.find(backend);
        if (found == backends.end()) return end(text::gone);
        const auto& metrics = field_of(*found, {"metrics"});
        if (field_of(metrics, {"active_connections"}) == 0) return end(text::drained);
        if (field_of(metrics, {"status"}) == "healthy" && field_of(metrics, {"state"}) != "draining")
            return complain(said(text::taken_back), Status::refused, console);
        timer.expires_after(drain_pause);
        timer.async_wait([](std::error_code) {});
        io.restart();
        io.run();  // nothing but the timer is under way
    }
}

}  // namespace

void print_raw(const Answer& answer, std::ostream& out) {
    if (answer.raw.empty()) return;
    out << answer.raw;
    if (answer.raw.back() != '\n') out << '\n';
}

Status run(int argc, const char* const* argv, const Console& console) {
    const auto read = read_command_line(argc, argv, console.language, console.out, console.err);
    if (const auto* const status = std::get_if<Status>(&read)) return *status;
    const Plan& plan = std::get<Plan>(read);

    asio::io_context io{1};
    Client client{io, plan.server, console.language};
    if (const auto* const watching = std::get_if<Watching>(&plan.then))
        return watch(io, client, *watching, plan.raw, console);
    const Answer answer = client.ask(plan.call);
    if (plan.raw) print_raw(answer, console.out);
    if (answer.status != Status::done) return complain(answer.problem, answer.status, console);
    if (!plan.raw)
        for (const std::string& line : show(plan.form, answer.document, console.language))
            console.out << line << '\n';
    if (const auto* const draining = std::get_if<Draining>(&plan.then)) {
        console.out.flush();  // the wait may be long
        return wait_until_empty(io, client, draining->backend, plan.raw, console);
    }
    return Status::done;
}

}  // namespace fairlead::ctl
