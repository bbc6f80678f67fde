// The way to a connection: names, several addresses, and sockets that cannot be had.
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <asio/error.hpp>
#include <asio/ip/tcp.hpp>

#include "support/catch.hpp"
#include "support/http_exchange.hpp"
#include "support/silent_listener.hpp"

namespace {

template <class Function>
Function* system_call(const char* name) {
    return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

/// What names mean to this program; all others are the system's.
class Names {
  public:
    static Names& of_program() {
        static Names names;
        return names;
    }

    /// Addresses in the order in which they are found.
    void set(const std::string& name, std::vector<std::string> addresses) {
        const std::lock_guard lock{mutex_};
        names_[name] = std::move(addresses);
    }

    int look_up(const char* name, const char* service, const addrinfo* hints, addrinfo** found) {
        static auto* const system = system_call<decltype(::getaddrinfo)>("getaddrinfo");
        std::vector<std::string> addresses{name == nullptr ? "" : name};
        {
            const std::lock_guard lock{mutex_};
            const auto known = names_.find(addresses.front());
            if (known == names_.end()) return system(name, service, hints, found);
            addresses = known->second;
        }
        for (auto** end = found; const auto& each : addresses) {
            if (const int error = system(each.c_str(), service, hints, end); error != 0) return error;
            while (*end != nullptr) end = &(*end)->ai_next;
        }
        return 0;
    }

  private:
    std::mutex mutex_{};
    std::map<std::string, std::vector<std::string>> names_{};
};

// Relaxed: set and read by one thread.
std::atomic<bool> has_ipv6{true};

}  // namespace

extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** found) {
    return Names::of_program().look_up(name, service, hints, found);
}

extern "C" int socket(int domain, int type, int protocol) noexcept {
    static auto* const system = system_call<int(int, int, int)>("socket");
    if (domain == AF_INET6 && !has_ipv6.load(std::memory_order_relaxed)) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    return system(domain, type, protocol);
}

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;
using E = TransportErrc;

namespace {

class WithoutIpv6 {
  public:
    WithoutIpv6() { has_ipv6.store(false, std::memory_order_relaxed); }
    WithoutIpv6(const WithoutIpv6&) = delete;
    WithoutIpv6& operator=(const WithoutIpv6&) = delete;
    ~WithoutIpv6() { has_ipv6.store(true, std::memory_order_relaxed); }
};

/// As long as this lives, the process can open no file beside those that it has.
class NoMoreFiles {
  public:
    NoMoreFiles() {
        const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);  // the lowest that is free
        ::close(next);
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const rlimit none{static_cast<rlim_t>(next), before_.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &none);
    }
    NoMoreFiles(const NoMoreFiles&) = delete;
    NoMoreFiles& operator=(const NoMoreFiles&) = delete;
    ~NoMoreFiles() { ::setrlimit(RLIMIT_NOFILE, &before_); }

  private:
    rlimit before_{};
};

BackendConfig backend_named(const std::string& name, std::uint16_t port) {
    return backend_at("http://" + name + ":" + std::to_string(port));
}

/// Where nothing listens.
std::uint16_t free_port() {
    asio::io_context io;
    return asio::ip::tcp::acceptor{io, {asio::ip::address_v4::loopback(), 0}}.local_endpoint().port();
}

}  // namespace

TEST_CASE("where no socket is to be had, that is the error, and not that somebody cancelled") {
    RawPeer peer{always(answer("ok", "Connection: close\r\n"))};
    asio::io_context io;
    HttpTransport http{io};
    REQUIRE_FALSE(send(io, http, backend_at(peer.url()), get()).error);  // the loop has all that it needs
    peer.wait_for_ended(1);
    Sent sent;
    {
        const NoMoreFiles none;
        sent = send(io, http, backend_at(peer.url()), get());
    }
    CHECK(sent.calls == 1);
    CHECK(sent.error == asio::error::no_descriptors);
    CHECK(HttpTransport::outcome(sent.error, {}).kind == Outcome::connect_error);
    CHECK(send(io, http, backend_at(peer.url()), get()).response.body == "ok");
}

TEST_CASE("an address of a family that the system has no sockets of is passed over") {
    Names::of_program().set("both.test", {"::1", "127.0.0.1"});
    Names::of_program().set("six.test", {"::1"});
    const WithoutIpv6 without;
    const RawPeer peer{always(answer("ok"))};
    asio::io_context io;
    HttpTransport http{io};
    CHECK(send(io, http, backend_named("both.test", peer.port()), get()).response.body == "ok");
    // A dead backend is one, and what has no address that can be had says why.
    CHECK(send(io, http, backend_named("both.test", free_port()), get()).error == E::connection_refused);
    const auto six = send(io, http, backend_named("six.test", peer.port()), get());
    CHECK(six.error == asio::error::address_family_not_supported);
    CHECK(HttpTransport::outcome(six.error, {}).kind == Outcome::connect_error);
}

TEST_CASE("an address that does not answer leaves time for the next") {
    Names::of_program().set("two.test", {"127.0.0.2", "127.0.0.1"});
    const RawPeer peer{always(answer("ok"))};
    asio::io_context io;
    const SilentListener silent{io, {asio::ip::make_address("127.0.0.2"), peer.port()}};
    HttpTransport http{io};
    // It must be long enough for the second, which only the machine knows: doubled until it is.
    for (Duration timeout = 20ms;; timeout *= 2) {
        REQUIRE(timeout < 10s);
        auto backend = backend_named("two.test", peer.port());
        backend.connect_timeout = timeout;
        const auto sent = send(io, http, backend, get());
        if (!sent.error) break;
        CHECK(sent.error == E::connect_timeout);
    }
}

TEST_CASE("of several addresses the first that says why it cannot be had is heard") {
    Names::of_program().set("two.test", {"127.0.0.2", "127.0.0.1"});
    asio::io_context io;
    HttpTransport http{io};
    auto backend = backend_named("two.test", free_port());
    CHECK(send(io, http, backend, get()).error == E::connection_refused);
    const std::uint16_t port = free_port();
    const SilentListener silent{io, {asio::ip::make_address("127.0.0.1"), port}};
    backend = backend_named("two.test", port);
    backend.connect_timeout = 20ms;  // however short: nothing else ends it
    CHECK(send(io, http, backend, get()).error == E::connect_timeout);
}
