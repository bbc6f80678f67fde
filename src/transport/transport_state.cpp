// The pools: taking, keeping and expiring idle connections; the TLS context.
#include "transport_state.hpp"

#include <system_error>

namespace fairlead::detail {

std::unique_ptr<Connection> Endpoint::take(Time now) {
    std::vector<Idle> closing;  // dropped outside of the lock
    for (;;) {
        std::unique_ptr<Connection> candidate;
        {
            const std::lock_guard lock{mutex_};
            while (!idle_.empty() && !candidate) {
                if (idle_.back().until > now) {
                    candidate = std::move(idle_.back().connection);
                } else {
                    closing.push_back(std::move(idle_.back()));
                }
                idle_.pop_back();
            }
        }
        if (!candidate || !candidate->is_stale()) return candidate;
    }
}

void Endpoint::put(std::unique_ptr<Connection> connection, Time until, std::size_t limit) {
    if (limit == 0) return;
    Idle oldest{};
    const std::lock_guard lock{mutex_};
    if (idle_.size() >= limit) {
        oldest = std::move(idle_.front());
        idle_.pop_front();
    }
    idle_.push_back({std::move(connection), until});
}

std::size_t Endpoint::expire(Time now) {
    std::vector<Idle> closing;
    const std::lock_guard lock{mutex_};
    for (auto it = idle_.begin(); it != idle_.end();) {
        if (it->until > now) {
            ++it;
            continue;
        }
        closing.push_back(std::move(*it));
        it = idle_.erase(it);
    }
    return idle_.size();
}

TransportState::TransportState(asio::any_io_executor e, HttpTransportOptions o)
    : executor{std::move(e)},
      options{std::move(o)},
      poller{options.one_thread ? ReadPoller::of(executor) : nullptr} {
    if (!options.tls.ca_file.empty())
        tls();  // a wrong file is a wrong set-up: said now, not at the first request
}

std::shared_ptr<Endpoint> TransportState::endpoint(const std::string& url, Time now) {
    std::vector<std::shared_ptr<Endpoint>> all;
    std::shared_ptr<Endpoint> found;
    {
        const std::lock_guard lock{mutex_};
        if (now >= next_sweep_) expire(now, all);
        if (const auto it = endpoints_.find(url); it != endpoints_.end()) found = it->second;
    }
    for (const auto& each : all) each->expire(now);
    if (found) return found;
    auto origin = parse_origin(url);
    if (!origin) return nullptr;
    auto made = std::make_shared<Endpoint>(std::move(*origin));
    const std::lock_guard lock{mutex_};
    return endpoints_.try_emplace(url, std::move(made)).first->second;
}

/// Called with the mutex held. Gives the endpoints to be looked through, and forgets those of backends that
/// are gone: nobody uses them and nothing is kept or known in them.
void TransportState::expire(Time now, std::vector<std::shared_ptr<Endpoint>>& found) {
    next_sweep_ = now + std::chrono::seconds{1};
    std::erase_if(endpoints_, [&](const auto& entry) {
        // Only this map and running exchanges hold it, and both take it under this mutex.
        return entry.second.use_count() == 1 && entry.second->expire(now) == 0 &&
               !entry.second->addresses->are_known(now);
    });
    found.reserve(endpoints_.size());
    for (const auto& [url, endpoint] : endpoints_) found.push_back(endpoint);
}

std::size_t TransportState::idle_connections(Time now) {
    std::vector<std::shared_ptr<Endpoint>> all;
    {
        const std::lock_guard lock{mutex_};
        for (const auto& [url, endpoint] : endpoints_) all.push_back(endpoint);
    }
    std::size_t sum = 0;
    for (const auto& each : all) sum += each->expire(now);
    return sum;
}

asio::ssl::context& TransportState::tls() {
    std::call_once(tls_made_, [this] {
        auto made = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_client);
        made->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                          asio::ssl::context::no_tlsv1_1);
        std::error_code ignored;  // a system without authorities refuses every certificate, which says enough
        made->set_default_verify_paths(ignored);
        if (!options.tls.ca_file.empty()) made->load_verify_file(options.tls.ca_file);
        tls_ = std::move(made);
    });
    return *tls_;
}

}  // namespace fairlead::detail
