// Listening, accepting, and one coarse clock for all time-outs.
#include "http_server/server.hpp"

#include <charconv>
#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <asio/post.hpp>

#include "http_server/connection.hpp"

namespace http_server {
namespace {

using asio::ip::tcp;

// When accept fails (no file descriptors left) trying again at once would only burn the processor.
constexpr std::chrono::milliseconds accept_pause{50};

/// The resolver would take any number, and cut it to 16 bits.
bool is_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto* const end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, port);
    return result.ec == std::errc{} && result.ptr == end;
}

tcp::endpoint parse_address(const std::string& address, const asio::any_io_executor& executor) {
    const auto colon = address.rfind(':');
    const bool has_both = colon != std::string::npos && colon != 0;
    if (!has_both || !is_port(std::string_view{address}.substr(colon + 1))) {
        throw std::invalid_argument{"an address to listen on is HOST:PORT, got \"" + address + "\""};
    }
    auto host = address.substr(0, colon);
    if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    tcp::resolver resolver{executor};
    const auto found = resolver.resolve(host, address.substr(colon + 1),
                                        tcp::resolver::passive | tcp::resolver::numeric_service);
    return found.begin()->endpoint();
}

std::string to_url(const tcp::endpoint& endpoint) {
    const auto host = endpoint.address().to_string();
    return "http://" + (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" +
           std::to_string(endpoint.port());
}

}  // namespace

Server::Server(asio::any_io_executor executor, ExecutorSource source, Limits limits, Handler handler,
               ErrorPage error_page)
    : executor_{std::move(executor)},
      source_{std::move(source)},
      limits_{limits},
      max_body_bytes_{limits.max_body_bytes},
      handler_{std::move(handler)},
      error_page_{std::move(error_page)},
      acceptor_{executor_},
      timer_{executor_},
      retry_{executor_} {}

Server::~Server() = default;

void Server::listen(const std::string& address) {
    try {
        const auto endpoint = parse_address(address, executor_);
        acceptor_.open(endpoint.protocol());
        acceptor_.set_option(tcp::acceptor::reuse_address{true});
        acceptor_.bind(endpoint);
        acceptor_.listen();
    } catch (const std::system_error& error) {
        throw std::system_error{error.code(), "cannot listen on " + address};
    }
    url_ = to_url(acceptor_.local_endpoint());
    accept();
    sweep();
}

std::size_t Server::connections() const {
    const std::lock_guard lock{mutex_};
    return connections_.size();
}

void Server::accept() {
    const std::lock_guard lock{mutex_};
    if (connections_.size() >= limits_.max_connections) {
        return acceptor_.async_wait(
            tcp::acceptor::wait_read,
            [self = shared_from_this()](std::error_code error) { self->someone_came(error); });
    }
    acceptor_.async_accept(source_(), [self = shared_from_this()](std::error_code error, tcp::socket socket) {
        self->accepted(error, std::move(socket));
    });
}

void Server::accepted(std::error_code error, tcp::socket socket) {
    if (stopping()) return;
    if (error) return pause();
    const auto connection = std::make_shared<Connection>(std::move(socket), shared_from_this());
    {
        const std::lock_guard lock{mutex_};
        connections_.insert(connection.get());
    }
    connection->run();
    accept();
}

void Server::pause() {
    retry_.expires_after(accept_pause);
    retry_.async_wait([self = shared_from_this()](std::error_code cancelled) {
        if (!cancelled && !self->stopping()) self->accept();
    });
}

/// A client is in the system's queue, and there was no place for it.
void Server::someone_came(std::error_code error) {
    if (stopping()) return;
    if (error) return pause();
    bool is_full = false;
    {
        const std::lock_guard lock{mutex_};
        is_full = connections_.size() >= limits_.max_connections;
        is_full_.store(is_full, std::memory_order_relaxed);
    }
    is_full ? make_room() : accept();
}

/// Takes the lock. Lets go of the connection that has waited longest for a request; `left` goes on from
/// there. O(connections), but only for a client that has no place.
void Server::make_room() {
    std::shared_ptr<Connection> longest;
    {
        const std::lock_guard lock{mutex_};
        if (!is_full_.load(std::memory_order_relaxed) || leaving_ != nullptr || stopping()) return;
        Connection* found = nullptr;
        auto since = Connection::busy;
        for (auto* connection : connections_) {
            if (const auto its = connection->waits_since(); its < since) {
                since = its;
                found = connection;
            }
        }
        if (found == nullptr) return;  // one of them will wait, or leave
        longest = found->weak_from_this().lock();
        if (!longest) return;  // it leaves
        leaving_ = found;
    }
    longest->make_room();
}

/// Takes the lock.
void Server::stays(const Connection* connection) {
    {
        const std::lock_guard lock{mutex_};
        if (leaving_ == connection) leaving_ = nullptr;
    }
    make_room();
}

void Server::sweep() {
    timer_.expires_after(limits_.coarseness);
    timer_.async_wait([self = shared_from_this()](std::error_code error) {
        // An expiry that was on its way when the timer was cancelled comes without an error.
        if (error || self->closed_) return;
        // Relaxed: one writer, and a reader that sees the tick late is late by a second.
        self->tick_.fetch_add(1, std::memory_order_relaxed);
        self->for_each([](const auto& connection) { connection->check_time(); });
        self->one_waits();
        self->sweep();
    });
}

template <class Action>
void Server::for_each(Action action) {
    // Outside the lock: the last pointer may be the one held here, and its end takes the lock.
    std::vector<std::shared_ptr<Connection>> alive;
    {
        const std::lock_guard lock{mutex_};
        alive.reserve(connections_.size());
        for (auto* connection : connections_) {
            if (auto held = connection->weak_from_this().lock()) alive.push_back(std::move(held));
        }
    }
    for (const auto& connection : alive) action(connection);
}

void Server::left(Connection* connection) {
    std::function<void()> drained;
    {
        const std::lock_guard lock{mutex_};
        connections_.erase(connection);
        if (leaving_ == connection) leaving_ = nullptr;
        if (is_full_.load(std::memory_order_relaxed) && !stopping()) {
            is_full_.store(false, std::memory_order_relaxed);
            asio::post(executor_, [self = shared_from_this()] {
                if (!self->stopping()) self->accept();
            });
        }
        if (stopping() && connections_.empty()) drained = std::exchange(drained_, {});
    }
    if (drained) drained();
}

/// Takes the lock. The port is free when it returns.
void Server::close_acceptor() {
    stopping_.store(true, std::memory_order_relaxed);
    const std::lock_guard lock{mutex_};
    std::error_code ignored;
    acceptor_.close(ignored);
}

void Server::stop_accepting(std::function<void()> drained) {
    close_acceptor();
    asio::post(executor_, [self = shared_from_this(), drained = std::move(drained)]() mutable {
        self->retry_.cancel();
        {
            const std::lock_guard lock{self->mutex_};
            self->drained_ = std::move(drained);
            if (self->connections_.empty())
                drained = std::exchange(self->drained_, {});
            else
                drained = nullptr;
        }
        if (drained) return drained();
        self->for_each([](const auto& connection) { connection->leave_if_idle(); });
    });
}

void Server::close() {
    close_acceptor();
    asio::post(executor_, [self = shared_from_this()] {
        self->closed_ = true;
        self->retry_.cancel();
        self->timer_.cancel();
        self->for_each([](const auto& connection) { connection->close_now(); });
    });
}

}  // namespace http_server
