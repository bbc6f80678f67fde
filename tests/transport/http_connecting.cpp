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
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <asio/error.hpp>
#include <asio/ip/tcp.hpp>

#include "support/catch.hpp"
#include "support/http_exchange.hpp"
#include "support/silent_listener.hpp"
#include "transport/addresses.hpp"

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

    /// Addresses in the order in which they are found; none with an error of getaddrinfo's.
    void set(const std::string& name, std::vector<std::string> addresses, int error = 0) {
        const std::lock_guard lock{mutex_};
        auto& known = names_[name];
        known.addresses = std::move(addresses);
        known.error = error;
    }

    /// How often it was looked up.
    int asked(const std::string& name) {
        const std::lock_guard lock{mutex_};
        return names_[name].asked;
    }

    /// Lets look-ups of a name wait, or no more.
    void hold(const std::string& name, bool held) {
        const std::lock_guard lock{mutex_};
        names_[name].held = held;
        released_.notify_all();
    }

    int look_up(const char* name, const char* service, const addrinfo* hints, addrinfo** found) {
        static auto* const system = system_call<decltype(::getaddrinfo)>("getaddrinfo");
        Name meant;
        {
            std::unique_lock lock{mutex_};
            const auto known = names_.find(name == nullptr ? "" : name);
            if (known == names_.end()) return system(name, service, hints, found);
            ++known->second.asked;
            released_.wait(lock, [&] { return !known->second.held; });
            meant = known->second;
        }
        if (meant.error != 0) return meant.error;
        for (auto** end = found; const auto& each : meant.addresses) {
            if (const int error = system(each.c_str(), service, hints, end); error != 0) return error;
            while (*end != nullptr) end = &(*end)->ai_next;
        }
        return 0;
    }

  private:
    struct Name {
        std::vector<std::string> addresses{};
        int error = 0;
        int asked = 0;
        bool held = false;
    };

    std::mutex mutex_{};
    std::condition_variable released_{};
    std::map<std::string, Name> names_{};
};

/// Its look-ups wait as long as this lives.
class HeldName {
  public:
    explicit HeldName(std::string name) : name_{std::move(name)} { Names::of_program().hold(name_, true); }
    HeldName(const HeldName&) = delete;
    HeldName& operator=(const HeldName&) = delete;
    ~HeldName() { Names::of_program().hold(name_, false); }

  private:
    std::string name_;
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
    CHECK(HttpTransport::outcome(sent.error, {}).kind == Outcome::cancelled);  // no fault of the backend
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
    Names::of_program().set("dead.test", {"::1", "127.0.0.3"});  // where nothing listens
    CHECK(send(io, http, backend_named("dead.test", peer.port()), get()).error == E::connection_refused);
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
    Names::of_program().set("dead.test", {"127.0.0.2", "127.0.0.3"});
    Names::of_program().set("two.test", {"127.0.0.2", "127.0.0.1"});
    asio::io_context io;
    HttpTransport http{io};
    const SilentListener silent{io, {asio::ip::make_address("127.0.0.1"), 0}};
    CHECK(send(io, http, backend_named("dead.test", silent.port()), get()).error == E::connection_refused);
    auto backend = backend_named("two.test", silent.port());
    backend.connect_timeout = 20ms;  // however short: nothing else ends it
    CHECK(send(io, http, backend, get()).error == E::connect_timeout);
}

TEST_CASE("what is known of a name is used at once, and looked up again behind the request's back") {
    using detail::Addresses;
    auto& names = Names::of_program();
    names.set("aging.test", {"127.0.0.1"});
    asio::io_context io;
    const auto addresses = std::make_shared<Addresses>("aging.test", "80");
    const Time begin{1h};
    int told = 0;
    std::error_code error;
    const auto find = [&](Duration later) {
        const auto found = addresses->find(io.get_executor(), begin + later,
                                           [&](std::error_code e, const Addresses::Found&) {
                                               ++told;
                                               error = e;
                                           });
        return found.size();
    };
    // Two at the same time, then all that they began: how many addresses both had, and look-ups there were.
    const auto both_find = [&](Duration later) {
        const int before = names.asked("aging.test");
        const auto had = find(later);
        CHECK(find(later) == had);
        CHECK(addresses->are_known(begin + later) == (had > 0));
        io.restart();
        io.run();
        return std::pair{had, names.asked("aging.test") - before};
    };
    using Had = std::pair<std::size_t, int>;
    CHECK(both_find(0s) == Had{0, 1});
    CHECK(told == 2);
    CHECK(both_find(Addresses::old - 1ns) == Had{1, 0});
    names.set("aging.test", {"127.0.0.1", "127.0.0.2"});
    CHECK(both_find(Addresses::old) == Had{1, 1});
    CHECK(both_find(Addresses::old) == Had{2, 0});
    // A server that is silent says nothing of the name, for a while.
    names.set("aging.test", {}, EAI_AGAIN);
    CHECK(both_find(2 * Addresses::old) == Had{2, 1});
    CHECK(both_find(Addresses::old + Addresses::useless - 1ns) == Had{2, 1});
    CHECK(told == 2);
    CHECK(both_find(Addresses::old + Addresses::useless) == Had{0, 1});
    CHECK(told == 4);
    CHECK(error == asio::error::host_not_found_try_again);
    // That there is none says all.
    names.set("aging.test", {"127.0.0.1"});
    CHECK(both_find(1h) == Had{0, 1});
    names.set("aging.test", {}, EAI_NONAME);
    CHECK(both_find(1h + Addresses::old) == Had{1, 1});
    CHECK(both_find(1h + Addresses::old) == Had{0, 1});
    names.set("aging.test", {"127.0.0.1"});
    CHECK(both_find(1h + Addresses::old) == Had{0, 1});
    addresses->forget();
    CHECK(both_find(1h + Addresses::old) == Had{0, 1});
}

TEST_CASE("a name whose server is silent holds up no other that is known") {
    auto& names = Names::of_program();
    names.set("silent.test", {"127.0.0.1"});
    names.set("known.test", {"127.0.0.1"});
    const RawPeer peer{always(answer("ok", "Connection: close\r\n"))};
    asio::io_context io;
    HttpTransport http{io, {.one_thread = GENERATE(false, true)}};
    const auto known = backend_named("known.test", peer.port());
    const int before = names.asked("known.test");
    const int silent = names.asked("silent.test");
    REQUIRE_FALSE(send(io, http, known, get()).error);
    int answers = 0;
    const auto ask = [&](const BackendConfig& backend) {
        http.async_send(backend, get(), {}, [&](std::error_code error, const HttpResponse&) {
            CHECK_FALSE(error);
            ++answers;
        });
    };
    io.restart();
    {
        const HeldName held{"silent.test"};
        ask(backend_named("silent.test", peer.port()));
        ask(backend_named("silent.test", peer.port()));
        while (names.asked("silent.test") == silent) io.run_one_for(1ms);
        ask(known);
        while (answers == 0) io.run_one();
    }
    io.run();
    CHECK(answers == 3);
    CHECK(names.asked("known.test") == before + 1);
    CHECK(names.asked("silent.test") == silent + 1);
}

TEST_CASE("where no connection comes of what is known of a name, it is looked up again") {
    auto& names = Names::of_program();
    names.set("moving.test", {"127.0.0.3"});
    asio::io_context io;
    HttpTransport http{io};
    const RawPeer peer{always(answer("ok"))};
    const auto backend = backend_named("moving.test", peer.port());
    CHECK(send(io, http, backend, get()).error == E::connection_refused);
    const SilentListener nobody{io, {asio::ip::make_address("127.0.0.2"), peer.port()}};
    names.set("moving.test", {"127.0.0.2"});
    auto hasty = backend;
    hasty.connect_timeout = 20ms;  // however short: nothing else ends it
    CHECK(send(io, http, hasty, get()).error == E::connect_timeout);
    names.set("moving.test", {"127.0.0.1"});
    CHECK(send(io, http, backend, get()).response.body == "ok");
}
