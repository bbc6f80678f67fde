// fairlead-gateway: balances OpenAI-compatible requests over several backends.
//
//     LLM_BACKENDS='[{"name": "a", "url": "http://10.0.0.6:8000"}, ...]' fairlead-gateway --listen
//     127.0.0.1:5000
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <thread>
#include <vector>

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>

#include <fairlead/control/load_settings.hpp>
#include <fairlead/control/mode_line.hpp>

#include "gateway/descriptors.hpp"
#include "gateway/gateway.hpp"
#include "gateway/messages.hpp"
#include "gateway/options.hpp"
#include "gateway/reloader.hpp"

namespace {

fairlead::SettingsSources sources_of(const gateway::Options& options) {
    fairlead::SettingsSources sources;
    sources.settings_file = options.settings_file;
    sources.env_file = options.env_file;
    return sources;
}

std::optional<fairlead::Settings> read_settings(const fairlead::SettingsSources& sources) {
    try {
        return fairlead::load_settings(sources);
    } catch (const fairlead::SettingsError& error) {
        std::cerr << error.what() << '\n';
        return std::nullopt;
    }
}

/// Runs until a signal came and the answers under way have ended, or their time is up, or a second signal
/// came.
void serve(const gateway::Options& options, const fairlead::Settings& settings, gateway::Log& log) {
    const auto clients = gateway::descriptors_for_clients(gateway::raise_descriptor_limit());
    // Where one thread runs the loop, no other touches a socket: then their locks are left out.
    asio::io_context io{options.threads > 1 ? static_cast<int>(options.threads)
                                            : ASIO_CONCURRENCY_HINT_UNSAFE_IO};
    const auto control = asio::make_strand(io);
    // Before anybody is told that it runs: whoever reads that may tell it to stop at once.
    asio::signal_set signals{control, SIGINT, SIGTERM};
    const auto language = fairlead::language_from_environment();
    gateway::Gateway gateway{io, settings, {options.threads, &log, options.access_log, clients}};
    gateway::Reloader reloader{
        control,  sources_of(options),
        settings, [&gateway](const auto& before, const auto& after) { return gateway.reload(before, after); },
        log,      language};
    reloader.start();
    gateway.listen(options.listen);
    if (!options.admin_listen.empty()) gateway.listen_admin(options.admin_listen);
    log.message(gateway::listening(gateway.url()));
    log.message(gateway::admin_at(gateway.admin_url(), language));
    if (const auto notice = gateway.admin().notice(); !notice.empty()) log.message(notice);

    asio::steady_timer grace{control};
    // Nothing is stopped by force: when all of this is closed, the loop has nothing left to wait for.
    const auto leave = [&] {
        gateway.close();
        reloader.stop();
        grace.cancel();
        signals.cancel();
    };
    signals.async_wait([&](std::error_code error, int) {
        if (error) return;
        reloader.stop();
        log.message(gateway::stopping(gateway.connections(), language));
        signals.async_wait([&leave](std::error_code cancelled, int) {
            if (!cancelled) leave();
        });
        grace.expires_after(options.grace);
        grace.async_wait([&leave](std::error_code cancelled) {
            if (!cancelled) leave();
        });
        gateway.stop([&] { asio::post(control, leave); });
    });

    std::vector<std::jthread> others;
    for (unsigned i = 1; i < options.threads; ++i) others.emplace_back([&io] { io.run(); });
    io.run();
}

/// The status to leave with.
int run(const gateway::Options& options, const fairlead::Settings& settings, gateway::Log& log) {
    log.message(fairlead::mode_line(settings));
    if (options.check) return EXIT_SUCCESS;
    try {
        serve(options, settings, log);
    } catch (const std::exception& error) {
        std::cerr << "fairlead-gateway: " << error.what() << '\n';
        return EXIT_FAILURE;
    }
    log.message(gateway::stopped(fairlead::language_from_environment()));
    return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
    // Whoever reads the log may go: that is the log's loss, and no reason to end.
    std::signal(SIGPIPE, SIG_IGN);
    const auto [options, exit_status] = gateway::read_command_line(argc, argv);
    if (exit_status) return *exit_status;
    const auto settings = read_settings(sources_of(options));
    if (!settings) return 2;

    gateway::Log log{std::cout, options.log_format, gateway::takes_at_once(STDOUT_FILENO)};
    const auto status = run(options, *settings, log);
    // Whoever does not read the log must not keep the program from ending.
    if (!log.close(std::chrono::seconds{1})) std::_Exit(status);
    return status;
}
