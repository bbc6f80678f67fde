// The server's limits in time: whoever is too slow is told so or dropped, and holds nothing.
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include "http_server/server.hpp"
#include "programs/raw_client.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using test::get;
using test::post;
using test::RawClient;
using test::status_of;

namespace {

/// Short, so that the tests are quick; nothing else ends these connections, so however slow the machine is,
/// the outcome is the same.
constexpr auto brief = 50ms;

/// Limits of which none strikes before a test gives up (20 s).
http_server::Limits patient() {
    http_server::Limits limits;
    limits.idle = limits.head = limits.progress = limits.linger = 1h;
    limits.coarseness = 10ms;
    return limits;
}

/// Writes an answer without an end, piece after piece, until its client is given up.
class Endless final : public http_server::Responder, public std::enable_shared_from_this<Endless> {
  public:
    Endless(std::shared_ptr<http_server::Exchange> exchange, std::promise<void>& left)
        : exchange_{std::move(exchange)}, left_{left} {}

    void run() {
        exchange_->attach(shared_from_this());
        fairlead::HttpResponse head;
        head.status = 200;
        exchange_->start(head, std::nullopt);
        exchange_->write(piece_);
    }

    void on_written() override { exchange_->write(piece_); }
    void on_left() override {
        exchange_.reset();
        left_.set_value();
    }

  private:
    std::shared_ptr<http_server::Exchange> exchange_;
    std::promise<void>& left_;
    const std::string piece_ = std::string(std::size_t{64} * 1024, 'x');
};

// More than the sockets of both sides take in while nobody reads: 4 MiB were seen.
constexpr std::size_t large = std::size_t{24} * 1024 * 1024;

/// Answers all at once, and notes whether it is told that the client has left.
class Whole final : public http_server::Responder, public std::enable_shared_from_this<Whole> {
  public:
    explicit Whole(std::atomic<bool>& told) : told_{told} {}

    void run(http_server::Exchange& exchange) {
        exchange.attach(shared_from_this());
        exchange.respond(fairlead::HttpResponse{200, std::string(large, 'x')});
    }

    void on_left() override { told_.store(true, std::memory_order_relaxed); }

  private:
    std::atomic<bool>& told_;
};

/// Answers with "one", and "two" as soon as that is out, in a loop that is busy with such ends.
class TwoPieces final : public http_server::Responder, public std::enable_shared_from_this<TwoPieces> {
  public:
    TwoPieces(std::shared_ptr<http_server::Exchange> exchange, http_server::Server& server)
        : exchange_{std::move(exchange)}, server_{server} {}

    void run() {
        exchange_->attach(shared_from_this());
        exchange_->start(fairlead::HttpResponse{200, {}}, std::nullopt);
        exchange_->write("one");
    }

    void on_written() override {
        // As if another answer had ended just now, however slow the machine is.
        server_.coalescing().pays(std::chrono::steady_clock::now() + 1h);
        std::exchange(exchange_, nullptr)->finish("two");
    }

  private:
    std::shared_ptr<http_server::Exchange> exchange_;
    http_server::Server& server_;
};

/// A server on a loop of its own: "/endless" never ends its answer, "/large" has a large one, "/pieces" one
/// of two pieces, "/later" is answered a turn later, all else with "ok" at once.
class Serving {
  public:
    explicit Serving(http_server::Limits limits) {
        server_ = std::make_shared<http_server::Server>(
            io_.get_executor(), [this] { return asio::any_io_executor{io_.get_executor()}; }, limits,
            [this](const auto& exchange) {
                if (exchange->request().target == "/endless") {
                    return std::make_shared<Endless>(exchange, left_)->run();
                }
                if (exchange->request().target == "/large") {
                    return std::make_shared<Whole>(told_)->run(*exchange);
                }
                if (exchange->request().target == "/pieces") {
                    return std::make_shared<TwoPieces>(exchange, *server_)->run();
                }
                if (exchange->request().target == "/later") {
                    return asio::post(io_, [exchange] {
                        exchange->respond(fairlead::HttpResponse{200, "later"});
                    });
                }
                exchange->respond(fairlead::HttpResponse{200, "ok"});
            },
            [](int status, std::string_view message) {
                return fairlead::HttpResponse{status, std::string{message}};
            });
        server_->listen("127.0.0.1:0");
        thread_ = std::thread{[this] { io_.run(); }};
    }
    Serving(const Serving&) = delete;
    Serving& operator=(const Serving&) = delete;
    ~Serving() {
        server_->close();
        guard_.reset();
        thread_.join();
    }

    RawClient connect(int receive_buffer = 0) const { return RawClient{server_->url(), receive_buffer}; }

    /// Ready when the endless answer's client was given up.
    std::future<void> left() { return left_.get_future(); }

    /// Whether who gave the large answer was told of its client's leaving. Exact once the connection is gone.
    bool was_told() const noexcept { return told_.load(std::memory_order_relaxed); }

    std::size_t connections() const { return server_->connections(); }

  private:
    std::promise<void> left_{};
    std::atomic<bool> told_{false};
    asio::io_context io_{1};
    asio::executor_work_guard<asio::io_context::executor_type> guard_{io_.get_executor()};
    std::shared_ptr<http_server::Server> server_{};
    std::thread thread_{};
};

}  // namespace

TEST_CASE("a head that does not end in time is answered 408 and the connection closed") {
    auto limits = patient();
    limits.head = limits.linger = brief;
    const Serving serving{limits};
    std::string answer;
    // A client that is kept from its first byte for so long has no request yet, and is closed without a word.
    for (int i = 0; i < 1'000 && answer.empty(); ++i) {
        answer = serving.connect().send("GET / HTTP/1.1\r\nHost: te").read_all();
    }
    CHECK(status_of(answer) == 408);
    CHECK(answer.find("Connection: close\r\n") != std::string::npos);
}

TEST_CASE("bytes that trickle in do not stretch the time for a head") {
    auto limits = patient();
    limits.head = limits.linger = brief;
    const Serving serving{limits};
    std::string answer;
    for (int i = 0; i < 1'000 && answer.empty(); ++i) {
        auto other = serving.connect();
        auto client = serving.connect();
        client.send("GET / HTTP/1.1\r\nHost: test\r\nX: ");
        // Paced by requests of another connection, so that the server's loop turns between two bytes.
        while (!client.has_news() && client.is_taken("y")) {
            if (other.send(get("/")).read_response().empty()) other = serving.connect();
        }
        answer = client.read_all();
    }
    CHECK(status_of(answer) == 408);
}

TEST_CASE("a body that stands still is answered 408 and the connection closed") {
    auto limits = patient();
    limits.progress = limits.linger = brief;
    const Serving serving{limits};
    auto client = serving.connect();
    const auto request = post("/", "0123456789");
    const auto answer = client.send(request.substr(0, request.size() - 5)).read_all();
    CHECK(status_of(answer) == 408);
    CHECK(answer.find("Connection: close\r\n") != std::string::npos);
}

TEST_CASE("a client that takes nothing of its answer is given up, and whoever answers is told") {
    auto limits = patient();
    limits.progress = brief;
    Serving serving{limits};
    auto left = serving.left();
    auto client = serving.connect();
    const bool old = GENERATE(false, true);
    client.send(old ? "GET /endless HTTP/1.0\r\n\r\n" : get("/endless"));
    REQUIRE(left.wait_for(20s) == std::future_status::ready);
    // What had been sent can still be read; then the connection is at its end, and the answer is not. A
    // client of HTTP/1.0, whose answers end with the connection, is told so by a reset.
    const auto answer = client.read_all();
    CHECK(status_of(answer) == 200);
    CHECK_FALSE(answer.ends_with("0\r\n\r\n"));
    CHECK(client.was_reset() == old);
}

TEST_CASE("a client that takes its answer slowly gets all of it, however long that lasts") {
    auto limits = patient();
    limits.progress = 300ms;
    const Serving serving{limits};
    auto client = serving.connect(256 * 1024);
    CHECK(status_of(client.send(get("/large")).read_until("\r\n\r\n")) == 200);
    std::string body;
    // A second at the least, three times the limit: the client's own pace, not a wait for something. What the
    // server's system holds lasts longer than the limit, too.
    for (int i = 0; i < 200; ++i) {
        body += client.read_bytes(std::size_t{16} * 1024);
        std::this_thread::sleep_for(5ms);
    }
    body += client.read_bytes(large - body.size());
    CHECK(body.size() == large);
}

TEST_CASE("an end that was put off, and left with what came before it, does not end the next request") {
    const Serving serving{patient()};
    auto client = serving.connect();
    client.send(get("/pieces") + get("/later"));
    CHECK(test::body_of(client.read_response()) == "onetwo");
    CHECK(test::body_of(client.read_response()) == "later");
}

TEST_CASE("who has answered is not told that the client left before it had all of it") {
    const Serving serving{patient()};
    auto client = serving.connect();
    CHECK(client.send(get("/large")).read_bytes(1) == "H");  // the answer is under way
    client.close();
    // The server sees it in one of its turns, of which each of these takes one at the least.
    auto other = serving.connect();
    const auto patience = std::chrono::steady_clock::now() + 20s;
    do {
        REQUIRE(std::chrono::steady_clock::now() < patience);
        REQUIRE(status_of(other.send(get("/")).read_response()) == 200);
    } while (serving.connections() > 1);
    CHECK_FALSE(serving.was_told());
}

TEST_CASE("a connection without a request is closed without a word, be it new or used") {
    auto for_new = patient();
    for_new.head = brief;  // the first request's time counts from the connection on
    CHECK(Serving{for_new}.connect().read_all().empty());

    auto for_used = patient();
    for_used.idle = brief;
    const Serving serving{for_used};
    auto client = serving.connect();
    CHECK(status_of(client.send(get("/")).read_response()) == 200);
    CHECK(client.read_all().empty());
}

TEST_CASE("where all places are taken, who has waited longest for its next request makes room") {
    auto limits = patient();
    limits.max_connections = 4;
    const Serving serving{limits};
    std::vector<RawClient> held;
    for (int i = 0; i < 4; ++i) {
        held.push_back(serving.connect());
        CHECK(status_of(held.back().send(get("/")).read_response()) == 200);
    }
    // The first one waits since just now: the second is the one that has waited longest.
    CHECK(status_of(held[0].send(get("/")).read_response()) == 200);
    auto other = serving.connect();
    CHECK(status_of(other.send(get("/")).read_response()) == 200);
    CHECK(held[1].read_all().empty());
    for (const std::size_t i : {0U, 2U, 3U}) {
        INFO(i);
        CHECK(status_of(held[i].send(get("/")).read_response()) == 200);
    }
    CHECK(serving.connections() == 4);
}

TEST_CASE("one that has begun its first request does not make room, and one that has begun none does") {
    auto limits = patient();
    limits.max_connections = 4;
    const Serving serving{limits};
    std::vector<RawClient> begun;
    for (int i = 0; i < 3; ++i) {
        begun.push_back(serving.connect());
        begun.back().send("GET / HTTP/1.1\r\n");
    }
    auto silent = serving.connect();
    auto other = serving.connect();
    CHECK(status_of(other.send(get("/")).read_response()) == 200);
    CHECK(silent.read_all().empty());
    for (auto& client : begun) {
        CHECK(status_of(client.send("Host: test\r\n\r\n").read_response()) == 200);
    }
}

TEST_CASE("where all places are busy, who comes waits until one ends, or waits for its next request") {
    auto limits = patient();
    limits.max_connections = 4;
    const Serving serving{limits};
    std::vector<RawClient> held;
    for (int i = 0; i < 4; ++i) {
        held.push_back(serving.connect(64 * 1024));
        CHECK(held.back().send(get("/large")).read_bytes(1) == "H");  // the answer is under way
    }
    auto other = serving.connect();
    other.send(get("/"));
    // More than sockets hold, so that the loop turns for these and would have come to it; with what they hold
    // less than the answer.
    CHECK(held[0].read_bytes(large / 3).size() == large / 3);
    CHECK_FALSE(other.has_news());
    CHECK(serving.connections() == 4);
    const bool ends = GENERATE(false, true);
    if (ends) {
        held[1].close();
    } else {
        const auto rest = held[0].read_all();  // to the connection's end: it makes room as soon as it can
        CHECK(rest.size() > large / 3);
        CHECK_FALSE(held[0].was_reset());
    }
    CHECK(status_of(other.read_response()) == 200);
}

TEST_CASE("an empty line behind a request is no begun one, and none of the next") {
    const bool apart = GENERATE(false, true);
    INFO(apart);
    auto limits = patient();
    SECTION("what comes next is answered") {
        const Serving serving{limits};
        auto client = serving.connect();
        CHECK(status_of(client.send(post("/", "{}") + "\r").read_response()) == 200);
        CHECK(status_of(client.send("\n" + get("/")).read_response()) == 200);
    }
    SECTION("a connection that it leaves without a request is closed without a word") {
        limits.idle = brief;
        const Serving serving{limits};
        auto client = serving.connect();
        client.send(post("/", "{}") + (apart ? "" : "\r\n"));
        CHECK(status_of(client.read_response()) == 200);
        if (apart) client.send("\r\n");
        CHECK(client.read_all().empty());
    }
    SECTION("it makes room as one that waits does") {
        limits.max_connections = 1;
        const Serving serving{limits};
        auto client = serving.connect();
        client.send(post("/", "{}") + (apart ? "" : "\r\n"));
        CHECK(status_of(client.read_response()) == 200);
        if (apart) client.send("\r\n");
        CHECK(status_of(serving.connect().send(get("/")).read_response()) == 200);
    }
}

TEST_CASE("an address to listen on has a port that there is") {
    asio::io_context io{1};
    for (const auto* address :
         {"127.0.0.1:99999", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:80x", "127.0.0.1:+80",
          "127.0.0.1: 80", "127.0.0.1:http", "127.0.0.1:", ":80", "80"}) {
        INFO(address);
        const auto server = std::make_shared<http_server::Server>(
            io.get_executor(), [&io] { return asio::any_io_executor{io.get_executor()}; },
            http_server::Limits{}, http_server::Handler{}, http_server::ErrorPage{});
        CHECK_THROWS_AS(server->listen(address), std::invalid_argument);
    }
}

TEST_CASE("one that was refused and goes on sending is dropped after the linger time") {
    auto limits = patient();
    limits.linger = brief;
    const Serving serving{limits};
    auto client = serving.connect();
    CHECK(status_of(client.send("nonsense\r\n\r\n").read_all()) == 501);
    // The server's side has ended; ours it closes, too, although we never do.
    const auto patience = std::chrono::steady_clock::now() + 20s;
    while (client.is_taken("more")) REQUIRE(std::chrono::steady_clock::now() < patience);
}
