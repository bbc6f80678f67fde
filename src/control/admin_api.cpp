// The admin API: who may ask, which call it is, what it does, what it answers.
#include <fairlead/control/admin_api.hpp>

#include <algorithm>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "admin_access.hpp"
#include "admin_bodies.hpp"
#include "admin_json.hpp"
#include "admin_messages.hpp"
#include "admin_path.hpp"

namespace fairlead {
namespace {

using AdminJson = nlohmann::json;

struct AdminAnswer {
    int status = 200;
    AdminJson body{};
    HttpHeaders headers{};
};

AdminAnswer with_data(AdminJson data) {
    return {200, {{"status", "success"}, {"data", std::move(data)}}, {}};
}

AdminAnswer with_message(std::string message) {
    return {200, {{"status", "success"}, {"message", std::move(message)}}, {}};
}

AdminAnswer admin_error(int status, std::string detail) {
    return {status, {{"status", "error"}, {"detail", std::move(detail)}}, {}};
}

void send_answer(const AdminApi::Respond& respond, AdminAnswer answer) {
    answer.headers.set("Content-Type", "application/json");
    answer.headers.set("Cache-Control", "no-store");
    // Names and messages may hold what a stranger wrote: what is no UTF-8 is replaced, never thrown over.
    respond(answer.status, std::move(answer.headers),
            answer.body.dump(-1, ' ', false, AdminJson::error_handler_t::replace) + '\n');
}

}  // namespace

class AdminApi::Impl : public std::enable_shared_from_this<Impl> {
  public:
    Impl(std::unique_ptr<detail::AdminTarget> target, std::unique_ptr<detail::HealthControl> health,
         std::string key, AdminOptions options)
        : target_{std::move(target)},
          health_{std::move(health)},
          key_{std::make_shared<const std::string>(std::move(key))},
          language_{options.language} {}

    detail::Access access(const HttpHeaders& headers, std::string_view peer) const {
        return detail::access_of(*key(), headers, peer);
    }
    std::string notice() const { return key()->empty() ? say(detail::text::notice_loopback) : std::string{}; }
    void set_key(std::string key) {
        auto fresh = std::make_shared<const std::string>(std::move(key));
        const std::lock_guard lock{key_mutex_};
        key_.swap(fresh);
    }

    void handle(const AdminRequest& request, const Respond& respond) const {
        detail::AdminPath path;
        if (auto refusal = refused(request, path)) return send_answer(respond, std::move(*refusal));
        if (path.resource == detail::AdminResource::backend_health_check) return probe(path.name, respond);
        send_answer(respond, guarded([&] { return answer(request, path); }));
    }

  private:
    std::string say(const detail::Text& text, std::initializer_list<std::string_view> arguments = {}) const {
        return detail::say(language_, text, arguments);
    }

    /// What `call` answers; a 500 where it throws: memory ran out, or the host's own code failed.
    template <class Call>
    AdminAnswer guarded(Call&& call) const {
        try {
            return call();
        } catch (const std::exception& error) {
            return admin_error(500, say(detail::text::internal_error, {error.what()}));
        }
    }

    // --- before the call -----------------------------------------------------------------------------------

    /// The key comes first: who has none learns nothing, not even which paths there are.
    std::optional<AdminAnswer> refused(const AdminRequest& request, detail::AdminPath& path) const {
        switch (access(request.headers, request.peer)) {
            case detail::Access::granted:
                break;
            case detail::Access::no_key:
                return unauthorized(detail::text::key_missing);
            case detail::Access::wrong_key:
                return unauthorized(detail::text::key_wrong);
            case detail::Access::not_local:
                return admin_error(403, say(detail::text::only_loopback));
        }
        if (!is_mine(request.target)) return nowhere(request.target);
        path = detail::parse_admin_path(request.target.substr(prefix.size()));
        if (path.found == detail::AdminPath::Found::bad_escape)
            return admin_error(422, say(detail::text::bad_escape));
        if (path.found == detail::AdminPath::Found::no) return nowhere(request.target);
        const std::string_view methods = detail::methods_of(path.resource);
        if (!is_among(request.method, methods)) {
            auto answer =
                admin_error(405, say(detail::text::wrong_method, {detail::shown(request.method), methods}));
            answer.headers.set("Allow", std::string{methods});
            return answer;
        }
        if (request.body.size() > max_body_bytes) return admin_error(413, say(detail::text::body_too_large));
        return std::nullopt;
    }

    AdminAnswer unauthorized(const detail::Text& why) const {
        auto answer = admin_error(401, say(why));
        answer.headers.set("WWW-Authenticate", "Bearer");
        return answer;
    }

    AdminAnswer nowhere(std::string_view target) const {
        return admin_error(404, say(detail::text::no_such_path,
                                    {detail::shown(target.substr(0, target.find_first_of("?#")))}));
    }

    static bool is_among(std::string_view method, std::string_view methods) noexcept {
        for (std::size_t at = 0; at < methods.size();) {
            const std::size_t end = std::min(methods.find(", ", at), methods.size());
            if (methods.substr(at, end - at) == method) return true;
            at = end + 2;
        }
        return false;
    }

    // --- the calls
    // -------------------------------------------------------------------------------------------

    AdminAnswer answer(const AdminRequest& request, const detail::AdminPath& path) const {
        using Resource = detail::AdminResource;
        const bool reads = request.method == "GET";
        switch (path.resource) {
            case Resource::status:
                return status();
            case Resource::backends:
                return reads ? backends() : add(request.body);
            case Resource::backend:
                return request.method == "PUT" ? update(path.name, request.body) : remove(path.name);
            case Resource::backend_enable:
                return done(path.name, target_->enable(path.name), detail::text::was_enabled);
            case Resource::backend_disable:
                return done(path.name, target_->disable(path.name), detail::text::was_disabled);
            case Resource::backend_drain:
                return drain(path.name);
            case Resource::strategy:
                return reads ? with_data(strategy(true)) : set_strategy(request.body);
            case Resource::health_check_start:
            case Resource::health_check_stop:
                return periodic(path.resource == Resource::health_check_start);
            case Resource::metrics:
                return metrics();
            case Resource::backend_health_check:
                break;  // `probe`
        }
        return nowhere(request.target);
    }

    AdminAnswer status() const {
        const auto all = target_->snapshot();
        const Totals totals = target_->totals();
        AdminJson available = AdminJson::array();
        for (const auto& backend : all) {
            if (backend.in_service) available.push_back(backend.config.name);
        }
        const Duration mean = totals.completed == 0
                                  ? Duration::zero()
                                  : totals.response_time_sum / static_cast<std::int64_t>(totals.completed);
        const Mode mode = current_mode(all.size());
        return with_data({{"enabled", mode != Mode::single_backend},
                          {"mode", to_string(mode)},
                          {"strategy", target_->strategy()},
                          {"total_backends", all.size()},
                          {"healthy_backends", available.size()},
                          {"unhealthy_backends", all.size() - available.size()},
                          {"health_check_running", health_ != nullptr && health_->running()},
                          {"available_backends", available},
                          {"overall_statistics",
                           {{"total_requests", totals.completed},
                            {"successful_requests", totals.succeeded},
                            {"failed_requests", totals.failed},
                            {"success_rate", detail::success_rate(totals.succeeded, totals.completed)},
                            {"average_response_time", detail::seconds_of(mean)}}}});
    }

    /// The mode of the settings; where backends are balanced, as many as there are now.
    Mode current_mode(std::size_t backends) const {
        if (target_->mode() == Mode::single_backend) return Mode::single_backend;
        return backends > 1 ? Mode::multi_backend : Mode::single_backend_balanced;
    }

    AdminAnswer backends() const {
        const auto all = target_->snapshot();
        AdminJson by_name = AdminJson::object();
        for (const auto& backend : all) {
            by_name[backend.config.name] = {
                {"config", detail::config_json(backend.config)},
                {"metrics", detail::metrics_json(backend, last_probe(backend.config.name), language_)}};
        }
        return with_data(counted(all, std::move(by_name)));
    }

    AdminAnswer metrics() const {
        const auto all = target_->snapshot();
        AdminJson by_name = AdminJson::object();
        for (const auto& backend : all)
            by_name[backend.config.name] =
                detail::metrics_json(backend, last_probe(backend.config.name), language_);
        return with_data(counted(all, std::move(by_name)));
    }

    AdminJson counted(const std::vector<BackendFigures>& all, AdminJson by_name) const {
        const auto healthy =
            std::count_if(all.begin(), all.end(), [](const auto& backend) { return backend.in_service; });
        return {{"strategy", target_->strategy()},
                {"total_backends", all.size()},
                {"healthy_backends", healthy},
                {"backends", std::move(by_name)}};
    }

    std::optional<detail::HealthReport> last_probe(std::string_view name) const {
        return health_ ? health_->last(name) : std::nullopt;
    }

    AdminAnswer add(std::string_view body) const {
        if (target_->mode() == Mode::single_backend) return admin_error(409, say(detail::text::single_mode));
        detail::Problems problems{language_};
        BackendConfig config = detail::read_new_backend(body, problems);
        if (!problems.list().empty()) return admin_error(422, detail::in_one_line(problems));
        const std::string name = config.name;
        const std::error_code error = target_->add(std::move(config));
        if (error == Errc::duplicate_name)
            return admin_error(409, say(detail::text::backend_exists, {detail::in_quotes(name)}));
        return done(name, error, detail::text::was_added);
    }

    AdminAnswer update(const std::string& name, std::string_view body) const {
        detail::Problems problems{language_};
        const auto change = detail::read_backend_change(body, problems);
        if (!problems.list().empty()) return admin_error(422, detail::in_one_line(problems));
        const std::error_code error =
            target_->update(name, [&](BackendConfig& config) { change.apply(config); });
        return done(name, error, detail::text::was_changed);
    }

    AdminAnswer remove(const std::string& name) const {
        return done(name, target_->remove(name), detail::text::was_removed);
    }

    AdminAnswer drain(const std::string& name) const {
        if (const std::error_code error = target_->drain(name)) return failed(name, error);
        std::uint32_t in_flight = 0;
        for (const auto& backend : target_->snapshot()) {
            if (backend.config.name == name) in_flight = backend.in_flight;
        }
        return with_message(
            say(detail::text::is_draining, {detail::in_quotes(name), std::to_string(in_flight)}));
    }

    AdminJson strategy(bool with_available) const {
        const Duration interval = health_ ? health_->interval() : Duration::zero();
        AdminJson data{{"strategy", target_->strategy()},
                       {"health_check_interval", detail::seconds_of(interval)},
                       {"max_retries", target_->max_retries()},
                       {"failure_threshold", target_->failure_threshold()}};
        if (with_available) data["available_strategies"] = target_->strategies();
        return data;
    }

    AdminAnswer set_strategy(std::string_view body) const {
        const auto known = target_->strategies();
        detail::Problems problems{language_};
        const auto change = detail::read_strategy_change(body, known, problems);
        if (!problems.list().empty()) return admin_error(422, detail::in_one_line(problems));
        // Whatever can be refused is refused before anything is changed.
        if (change.strategy && std::find(known.begin(), known.end(), *change.strategy) == known.end())
            return admin_error(409, say(detail::text::strategy_is_fixed, {target_->strategy()}));
        if (change.health_check_interval && !health_) return admin_error(409, say(detail::text::no_checker));
        if (change.strategy) {
            if (const auto error = target_->set_strategy(*change.strategy))
                return admin_error(422, message(error, language_));
        }
        if (change.health_check_interval) health_->set_interval(*change.health_check_interval);
        if (change.max_retries) target_->set_max_retries(*change.max_retries);
        if (change.failure_threshold) target_->set_failure_threshold(*change.failure_threshold);
        AdminJson data = strategy(false);
        std::string said = say(detail::text::strategy_set, {data["strategy"].get<std::string>()});
        AdminAnswer answer = with_message(std::move(said));
        answer.body["data"] = std::move(data);
        return answer;
    }

    AdminAnswer periodic(bool on) const {
        if (!health_) return admin_error(409, say(detail::text::no_checker));
        on ? health_->start() : health_->stop();
        return with_message(say(on ? detail::text::checks_started : detail::text::checks_stopped));
    }

    /// Answers when the probe has ended.
    void probe(const std::string& name, const Respond& respond) const {
        if (!exists(name)) return send_answer(respond, failed(name, Errc::unknown_backend));
        if (!health_) return send_answer(respond, admin_error(409, say(detail::text::no_checker)));
        health_->probe(name, [self = shared_from_this(), name, respond](std::error_code error,
                                                                        const detail::HealthReport& report) {
            send_answer(respond, self->guarded([&] { return self->probed(name, error, report); }));
        });
    }

    AdminAnswer probed(const std::string& name, std::error_code error,
                       const detail::HealthReport& report) const {
        if (error == Errc::unknown_backend) return failed(name, error);  // removed meanwhile
        // Not a finding about the backend: the checks were stopped while the probe was under way.
        if (error) return admin_error(503, message(error, language_));
        AdminJson data{{"backend", name},
                       {"health_status", report.ok ? "healthy" : "unhealthy"},
                       {"last_check_time", report.checked_at},
                       {"consecutive_failures", report.consecutive_failures},
                       {"last_error", report.ok ? AdminJson(nullptr) : AdminJson(report.error)}};
        for (const auto& backend : target_->snapshot()) {
            if (backend.config.name != name) continue;
            data["status"] = detail::status_word(backend);
            data["state"] = to_string(backend.state);
            return with_data(std::move(data));
        }
        return failed(name, Errc::unknown_backend);
    }

    bool exists(std::string_view name) const {
        const auto all = target_->snapshot();
        return std::any_of(all.begin(), all.end(),
                           [&](const auto& backend) { return backend.config.name == name; });
    }

    AdminAnswer done(std::string_view name, std::error_code error, const detail::Text& what) const {
        if (error) return failed(name, error);
        return with_message(say(what, {detail::in_quotes(name)}));
    }

    AdminAnswer failed(std::string_view name, std::error_code error) const {
        if (error == Errc::unknown_backend)
            return admin_error(404, say(detail::text::no_such_backend, {detail::in_quotes(name)}));
        const bool later = error == Errc::too_many_backends || error == Errc::too_many_changes;
        return admin_error(later ? 409 : 422, message(error, language_));
    }

    const std::unique_ptr<detail::AdminTarget> target_;
    const std::unique_ptr<detail::HealthControl> health_;  // null: the host has none
    std::shared_ptr<const std::string> key() const {
        const std::lock_guard lock{key_mutex_};
        return key_;
    }

    mutable std::mutex key_mutex_;
    std::shared_ptr<const std::string> key_;
    const Language language_;
};

AdminApi::AdminApi(std::unique_ptr<detail::AdminTarget> target, std::unique_ptr<detail::HealthControl> health,
                   std::string admin_key, AdminOptions options)
    : impl_{std::make_shared<Impl>(std::move(target), std::move(health), std::move(admin_key), options)} {}

bool AdminApi::is_mine(std::string_view target) noexcept {
    if (!target.starts_with(prefix)) return false;
    target.remove_prefix(prefix.size());
    return target.empty() || target.front() == '/' || target.front() == '?' || target.front() == '#';
}

void AdminApi::handle(const AdminRequest& request, Respond respond) const { impl_->handle(request, respond); }

bool AdminApi::admits(const HttpHeaders& headers, std::string_view peer) const {
    return impl_->access(headers, peer) == detail::Access::granted;
}

void AdminApi::set_key(std::string admin_key) { impl_->set_key(std::move(admin_key)); }

std::string AdminApi::notice() const { return impl_->notice(); }

}  // namespace fairlead
