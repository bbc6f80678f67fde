// What the copies of one transport share: options, TLS, and the idle connections of each backend.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <asio/ssl/context.hpp>
#include <asio/strand.hpp>

#include <fairlead/model/time.hpp>
#include <fairlead/transport/detail/coalescing.hpp>
#include <fairlead/transport/detail/read_poller.hpp>
#include <fairlead/transport/http_transport.hpp>

#include "addresses.hpp"
#include "connection.hpp"
#include "request_head.hpp"

namespace fairlead::detail {

/// Where one backend is, and its idle connections, the latest first, none past its time.
///
/// Threads: any. Takes its mutex for moves of pointers; connections are closed outside.
class Endpoint {
  public:
    explicit Endpoint(Origin where)
        : origin{std::move(where)}, addresses{std::make_shared<Addresses>(origin.host, origin.port)} {}

    const Origin origin;
    const std::shared_ptr<Addresses> addresses;

    /// The latest of them that the backend has not closed; none when there is none.
    std::unique_ptr<Connection> take(Time now);

    /// Keeps `connection` until `until`; the oldest goes when there are more than `limit`.
    void put(std::unique_ptr<Connection> connection, Time until, std::size_t limit);

    /// Closes those whose time has passed; returns how many are left.
    std::size_t expire(Time now);

  private:
    struct Idle {
        std::unique_ptr<Connection> connection;
        Time until;
    };
    std::mutex mutex_{};
    std::deque<Idle> idle_{};  // oldest first
};

/// Threads: any. Nothing is called back, and no I/O but the closing of sockets is done, under its mutexes.
class TransportState {
  public:
    TransportState(asio::any_io_executor executor, HttpTransportOptions options);

    /// The endpoint of this url, made when it is new; null when the url is none. Every second, in passing,
    /// connections past their time are closed, over all endpoints.
    std::shared_ptr<Endpoint> endpoint(const std::string& url, Time now);

    /// The TLS context, made at first use.
    asio::ssl::context& tls();

    std::size_t idle_connections(Time now);

    /// For one connection and all that is done over it.
    Strand make_strand() const {
        if (options.one_thread) return executor;
        return asio::make_strand(executor);
    }

    const asio::any_io_executor executor;
    const HttpTransportOptions options;
    ReadPoller* const poller;  // where one thread runs a loop that has one
    Coalescing coalescing{};   // of requests, on the loop's thread, where that is one

  private:
    void expire(Time now, std::vector<std::shared_ptr<Endpoint>>& found);

    std::mutex mutex_{};
    std::unordered_map<std::string, std::shared_ptr<Endpoint>> endpoints_{};
    Time next_sweep_{};
    std::once_flag tls_made_{};
    std::unique_ptr<asio::ssl::context> tls_{};
};

}  // namespace fairlead::detail
